"""Machines of a cluster come and go, by Ray's own test cluster; what a launch starts goes with it."""

import contextlib
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.clusters import Nodes, cluster
from tests.faults import fakes
from tests.faults.launch import eventually
from tests.faults.world import World, hanging

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]

TARGET = 6

CLOSED = "127.0.0.1:9"  # the port of a service that nobody runs any more


@pytest.fixture
def nodes(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """The head of a cluster, with a core, on which the study of `world` is to run two workers."""
    for name, value in world.environment.items():  # of a cluster that is there already
        monkeypatch.setenv(name, value)
    with cluster(num_cpus=1) as started:
        world.overrides += ["launcher=ray", f"launcher.address={started.address}"]
        yield started


def go_on_locally(world: World) -> None:
    world.overrides = [each for each in world.overrides if not each.startswith("launcher")]
    world.overrides += [
        "launcher.trainer=tests.faults.fakes.make_trainer",
        "launcher.workers=2",
        f"study.trials={TARGET}",
    ]
    launch = world.run()
    assert launch.status == 0, launch.output
    world.assert_whole(TARGET)


def processes(world: World) -> list[int]:
    """Whatever runs that a launch in `world` has started."""
    mark = f"{fakes.FAULTS}={world.faults}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                alive = b") Z " not in (process / "stat").read_bytes()
                if alive and mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return found


@pytest.mark.slow
def test_a_node_added_in_the_middle_of_a_study_is_used(world: World, nodes: Nodes) -> None:
    hang = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}")
    eventually(lambda: world.happened() == 1)
    nodes.add_node(num_cpus=1)
    eventually(lambda: world.happened() == 2)  # while the first worker is still in its trial
    hang.unlink()
    assert launch.wait() == 0, launch.output
    world.assert_whole(TARGET)
    assert world.count("COMPLETE") == TARGET


@pytest.mark.slow
def test_a_node_that_dies_costs_the_trials_that_ran_on_it(world: World, nodes: Nodes) -> None:
    """They run again, and no other trial notices."""
    dying = nodes.add_node(num_cpus=1)
    launch, hang = hanging(world, f"study.trials={TARGET}")
    nodes.remove_node(dying)
    # Before it could end well.
    eventually(lambda: any(entry.attempts.losses for entry in world.entries()))
    hang.unlink()
    assert launch.wait() == 0, launch.output
    world.assert_whole(TARGET)
    assert sorted(entry.attempts.losses for entry in world.entries()) == [0] * (TARGET - 1) + [1]
    assert world.count("COMPLETE") == TARGET


@pytest.mark.slow
def test_without_its_head_a_cluster_is_lost_and_the_study_goes_on_elsewhere(
    world: World, nodes: Nodes
) -> None:
    hang = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}")
    eventually(lambda: world.happened() == 1)
    nodes.kill_head()
    assert launch.wait() == 69, launch.output
    assert "is lost; the same command goes on" in launch.stderr
    assert "Traceback" not in launch.stderr
    hang.unlink()
    assert world.count("RUNNING") == 2  # one of them still waited for a worker
    go_on_locally(world)
    assert world.count("COMPLETE") == TARGET


@pytest.mark.slow
def test_a_cluster_of_the_launchs_own_ends_with_a_coordinator_that_is_killed(world: World) -> None:
    world.overrides += ["launcher=ray"]
    launch, hang = hanging(world, f"study.trials={TARGET}")
    assert len(processes(world)) > 3  # it, its driver, and what makes a cluster
    launch.signal(signal.SIGKILL)
    eventually(lambda: not processes(world))
    hang.unlink()
    go_on_locally(world)


@pytest.mark.slow
def test_ctrl_c_reaches_the_coordinator_and_not_its_cluster(world: World) -> None:
    """Though a terminal sends it to all that the launch has started: running trials finish."""
    world.overrides += ["launcher=ray"]
    launch, hang = hanging(world, f"study.trials={TARGET}")
    launch.signal_all(signal.SIGINT)
    eventually(lambda: "Finishing the running trials" in launch.stdout)
    hang.unlink()
    assert launch.wait() == 75, launch.output
    assert world.count("COMPLETE") == 2
    assert world.count("RUNNING") == 0
    eventually(lambda: not processes(world))
    go_on_locally(world)


def test_an_address_where_nothing_answers_is_told_before_anything_is_created(world: World) -> None:
    launch = world.run("launcher=ray", f"launcher.address={CLOSED}")
    assert launch.status == 69
    assert f"no Ray cluster answers at {CLOSED}" in launch.stderr
    assert not list(world.folder.iterdir())
