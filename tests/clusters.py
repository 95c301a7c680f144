"""Ray clusters on this machine, by Ray's own test cluster."""

import contextlib
import inspect
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.launch import LONG, ROOT

_STORE = 80_000_000  # bytes, about the least that Ray takes


class Nodes:
    """A cluster on this machine. `address`: for `launcher.address`. `num_cpus`: the head's."""

    def __init__(self, num_cpus: int) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self.add_node(num_cpus)  # the first is the head
        self.address: str = self._cluster.address

    def add_node(self, num_cpus: int, num_gpus: int = 0) -> Any:
        """A machine more. Nobody looks whether it has GPUs."""
        with socket.create_server(("", 0)) as server:
            port = server.getsockname()[1]
        return self._cluster.add_node(
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            object_store_memory=_STORE,
            include_dashboard=False,
            runtime_env_agent_port=port,
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
def cluster(num_cpus: int) -> Iterator[Nodes]:
    """A cluster of a head alone, gone after the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))  # its workers find the trainers of these tests
        _be_patient(patch)
        nodes = Nodes(num_cpus)
        try:
            yield nodes
        finally:
            nodes.close()


def _be_patient(patch: pytest.MonkeyPatch) -> None:
    """Let nodes start on a busy machine.

    Ray forgets a node after 30 s that may still come up; and a node ends itself when its agent, whose
    metrics and pages nobody wants here, has not named its ports after 15 s.
    """
    from ray._private import services, utils
    from ray._raylet import persist_port

    find_node, start_raylet = services.get_node, services.start_raylet

    def get_node(*arguments: Any) -> Any:
        give_up = time.monotonic() + LONG
        while True:
            try:
                return find_node(*arguments)
            except RuntimeError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def start(redis: Any, gcs: Any, node: str, *arguments: Any, **named: Any) -> Any:
        folder = inspect.signature(start_raylet).bind(redis, gcs, node, *arguments, **named)
        for name in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"):
            persist_port(folder.arguments["session_dir"], node, name, -1)  # as without an agent
        return start_raylet(redis, gcs, node, *arguments, **named)

    patch.setattr(services, "get_node", get_node)
    patch.setattr(services, "start_raylet", start)
    patch.setattr(utils, "get_dashboard_dependency_error", lambda: ImportError("not wanted"))
