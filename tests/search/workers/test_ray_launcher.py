"""Workers on a Ray cluster: a real one on this machine, one for all tests here."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from pipeline.command.errors import ConfigError, UnavailableError
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Finished,
    Lost,
    OutOfMemory,
    RayConfig,
    Started,
    Task,
)
from search.workers.ray import RayLauncher, check
from tests.clusters import Nodes, cluster
from tests.search.workers.launcher_contract import (
    Launch,
    LauncherContract,
    all_of,
    assert_gone,
    config,
    last,
    run_of,
    train,
    until,
)

pytestmark = [
    pytest.mark.slow,  # a cluster takes seconds to start, and so does every worker
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]


def ray_config(trainer: str = "curve_trainer", **changes: Any) -> RayConfig:
    settings = config("ray", trainer, **changes)
    assert isinstance(settings, RayConfig)
    return settings


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch, cluster(num_cpus=2) as started:
        patch.setenv("RAY_ADDRESS", started.address)
        yield started


@contextlib.contextmanager
def gpu_node(nodes: Nodes, num_gpus: int) -> Iterator[Callable[[], None]]:
    """A machine more in the block, which ends before if it is told to."""
    with contextlib.ExitStack() as stack:
        node = nodes.add_node(num_cpus=0, num_gpus=num_gpus)
        stack.callback(nodes.remove_node, node)
        yield stack.close


@pytest.mark.usefixtures("nodes")
class TestRayLauncher(LauncherContract):
    """On a cluster with room for two workers."""

    @staticmethod
    def make(trainer: str, workers: int, **changes: Any) -> RayLauncher:
        return RayLauncher(ray_config(trainer, **changes), run_of().data, workers)

    def test_a_worker_is_given_the_data_and_does_not_load_it(self, launch: Launch) -> None:
        """Its arrays are views of what all workers of a node share, so they can't be written to."""
        launcher = launch("data_trainer")
        launcher.submit(Task(0, run_of()))
        about = last(until(launcher, Started), Started).worker
        assert about["rows"] == "1437"
        assert about["writeable"] == "False"

    def test_tasks_wait_for_a_worker_that_the_cluster_has_room_for(self, launch: Launch) -> None:
        """Of three workers the third is never made, and its trial goes to another one."""
        launcher = launch("curve_trainer", workers=3)
        for number in range(3):
            launcher.submit(Task(number, run_of()))
        assert {event.number for event in all_of(launcher, Finished, 3)} == {0, 1, 2}

    def test_a_worker_that_no_node_has_room_for_is_not_waited_for_for_ever(
        self, launch: Launch
    ) -> None:
        launcher = launch("curve_trainer", num_gpus=8, start_seconds=3)
        launcher.submit(Task(0, run_of()))
        broken = last(until(launcher, Broken), Broken)
        assert "launcher.num_gpus=8 for 3 s (launcher.start_seconds)" in broken.reason
        assert "'CPU': 2.0" in broken.reason
        assert broken.unavailable

    def test_idle_workers_of_a_machine_that_dies_cost_no_trial_an_attempt(
        self, launch: Launch, nodes: Nodes
    ) -> None:
        """The trial that ran there is lost once, and then given to none of the others there."""
        launcher = launch("curve_trainer", workers=3, num_cpus=0, num_gpus=1)
        with gpu_node(nodes, num_gpus=3) as end:
            for number in range(3):
                launcher.submit(Task(number, run_of()))
            events: list[Event] = []
            while sum(isinstance(event, Epoch) for event in events) < 3:  # all wait for an answer
                events += until(launcher, Epoch, answer=False)
            for number in (0, 1):
                launcher.reply(number, True)
            all_of(launcher, Finished, 2)
            end()
            assert_gone(*(event.worker["pid"] for event in events if isinstance(event, Started)))
            launcher.reply(2, False)
            assert last(until(launcher, Lost), Lost).number == 2
            launcher.submit(Task(2, run_of()))
            with gpu_node(nodes, num_gpus=1):
                assert last(until(launcher, Lost, Finished), Finished).number == 2

    @pytest.mark.parametrize("num_gpus", [0.25, 1])
    def test_a_trial_is_alone_on_its_gpu_only_where_every_worker_is(
        self, launch: Launch, nodes: Nodes, num_gpus: float
    ) -> None:
        launcher = launch("hungry_trainer", num_cpus=0, num_gpus=num_gpus)
        with gpu_node(nodes, num_gpus=1):
            launcher.submit(Task(0, run_of(), alone=True))
            assert last(until(launcher, OutOfMemory), OutOfMemory).alone == (num_gpus == 1)

    def test_a_worker_that_reserves_no_gpu_sees_none(self, launch: Launch) -> None:
        launcher = launch("hanging_trainer")
        launcher.submit(Task(0, run_of()))
        assert last(until(launcher, Started), Started).worker["gpu"] == "-1"

    def test_the_backend_goes_with_the_workers(
        self, launch: Launch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "a backend of this launch")
        launcher = launch("data_trainer")
        launcher.submit(Task(0, run_of()))
        about = last(until(launcher, Started), Started).worker
        assert about["backend"] == "a backend of this launch"

    def test_a_driver_that_stops_moving_is_a_cluster_that_is_lost(
        self, launch: Launch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("search.workers.ray._SILENT_SECONDS", 5.0)
        launcher = launch("hanging_trainer")
        launcher.submit(Task(0, run_of()))
        until(launcher, Epoch)
        for driver in multiprocessing.active_children():
            os.kill(driver.pid or 0, signal.SIGSTOP)
        monkeypatch.setattr("search.workers.ray._CLOSE_SECONDS", 0.1)
        with pytest.raises(UnavailableError, match="its driver has said nothing for a long time"):
            until(launcher, Finished)

    def test_an_idle_worker_that_is_stopped_costs_no_trial_an_attempt(self, launch: Launch) -> None:
        launcher = launch("curve_trainer", start_seconds=15)
        stopped = train(launcher, 0)
        os.kill(int(stopped), signal.SIGSTOP)
        launcher.submit(Task(1, run_of()))
        events = until(launcher, Finished, Lost)
        assert last(events, Finished).number == 1
        assert last(events, Started).worker["pid"] != stopped

    def test_a_driver_that_ends_is_a_cluster_that_is_lost(self, launch: Launch) -> None:
        launcher = launch("hanging_trainer")
        launcher.submit(Task(0, run_of()))
        until(launcher, Epoch)
        for driver in multiprocessing.active_children():
            driver.kill()
        with pytest.raises(UnavailableError, match="or at once with launcher=local"):
            until(launcher, Finished)


# Before anything is started.


@pytest.fixture
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.usefixtures("_no_address")
class TestCheck:
    """`check` refuses what can't work."""

    def test_a_cluster_of_its_own_needs_no_address_and_no_workers(self) -> None:
        check(ray_config())

    def test_an_address_where_nothing_answers_is_named(self) -> None:
        with pytest.raises(UnavailableError, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
            check(ray_config(address="127.0.0.1:9", workers=1))

    def test_on_a_cluster_the_number_of_workers_is_said(self) -> None:
        with pytest.raises(ConfigError, match=r"launcher\.workers: is missing"):
            check(ray_config(address="127.0.0.1:9"))

    def test_the_address_of_the_environment_is_checked_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(os.environ, "RAY_ADDRESS", "nowhere")
        with pytest.raises(ConfigError, match="RAY_ADDRESS: expected host:port"):
            check(ray_config(workers=1))

    def test_without_ray_the_remedy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("search.workers.ray.find_spec", lambda _: None)
        with pytest.raises(ConfigError, match=r"pip install 'plumbline\[ray\]'"):
            check(ray_config())
