"""Ray clusters on this machine, by Ray's own test cluster."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.world import LONG

_STORE = 80_000_000  # bytes, about the least that Ray takes


class Nodes:
    """A cluster of this machine's own. Its head runs no workers. `address`: for `launcher.address`."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self.add_node(num_cpus=0)  # the first is the head
        self.address: str = self._cluster.address

    def add_node(self, **resources: Any) -> Any:
        """A machine more."""
        return self._cluster.add_node(
            object_store_memory=_STORE, include_dashboard=False, **resources
        )

    def remove_node(self, node: Any) -> None:
        """A machine goes without a word."""
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        """The machine that keeps the cluster together goes."""
        self.remove_node(self._cluster.head_node)

    def close(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def cluster() -> Iterator[Nodes]:
    """A cluster of a head alone, gone after the block."""
    from ray._private import services, utils

    find_node = services.get_node

    def get_node(*arguments: Any) -> Any:
        """Ray gives a node 30 s to start, which may be too few on a busy machine."""
        give_up = time.monotonic() + LONG
        while True:
            try:
                return find_node(*arguments)
            except RuntimeError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(services, "get_node", get_node)
        # A node without its HTTP server, which on a busy machine is not up in the 15 s that it has.
        patch.setattr(utils, "get_dashboard_dependency_error", lambda: ImportError("not wanted"))
        nodes = Nodes()
        try:
            yield nodes
        finally:
            nodes.close()
