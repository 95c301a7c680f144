"""A replication of published networks that is killed, stopped, or loses workers goes on where it was."""

import signal
from pathlib import Path
from typing import Any

import pytest

from search.study.vocabulary import Entry
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.faults.launch import Launch, eventually
from tests.faults.tracked import tracked
from tests.faults.world import World

pytestmark = pytest.mark.faults

ONE, OTHER = "softmax_rmsprop", "two_hidden128_sgd"
SEEDS = [0, 1, 2]


class Replication:
    """Two networks of three seeds each, on digits, trained by the fake trainer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.overrides = [
            "data=digits",
            f"replicate.only=[{ONE},{OTHER}]",
            "launcher.trainer=tests.faults.fakes.make_trainer",
            "launcher.workers=2",
            "tracking=none",
        ]

    def start(self, *overrides: str) -> Launch:
        return self.world.start(*self.overrides, *overrides, module="search.replicate")

    def run(self, *overrides: str) -> Launch:
        launch = self.start(*overrides)
        launch.wait()
        return launch

    def rows(self, name: str = ONE) -> dict[int, Entry]:
        """What is on record of a network, by seed."""
        storage = open_storage(self.world.url)
        (study,) = (
            each.study_name
            for each in storage.get_all_studies()
            if each.study_name.startswith(f"replicate.{name}.")
        )
        entries = TrialTable(storage, study).entries()
        storage.engine.dispose()
        return {int(str(entry.params["train.seed"])): entry for entry in entries}

    def assert_whole(self) -> None:
        for name in (ONE, OTHER):
            rows = self.rows(name)
            assert sorted(rows) == SEEDS
            assert {row.state for row in rows.values()} == {"complete"}
        eventually(lambda: not self.world.workers(), within=60)


@pytest.fixture
def replication(world: World) -> Replication:
    return Replication(world)


def hang_last(replication: Replication) -> tuple[Launch, Path]:
    """Started, and all done but the last seed of each network, which hang until the file is gone."""
    hang = replication.world.fault("hang", where={"train.seed": 2}, epoch=2)
    launch = replication.start()
    eventually(lambda: replication.world.happened() == 2)
    eventually(lambda: replication.world.count("COMPLETE") == 4)
    return launch, hang


def test_a_worker_that_is_killed_costs_an_attempt(replication: Replication) -> None:
    replication.world.fault("kill", where={"train.seed": 1}, epoch=2, times=1)
    launch = replication.run()
    assert launch.status == 0, launch.output
    replication.assert_whole()
    attempts = [
        replication.rows(name)[seed].attempts.made for name in (ONE, OTHER) for seed in SEEDS
    ]
    assert sorted(attempts) == [1] * 5 + [2]
    assert launch.stdout.count("test accuracy") == 6 + 2, "each run, and two rows of the table"


def test_one_that_was_killed_trains_only_what_is_missing(replication: Replication) -> None:
    launch, hang = hang_last(replication)
    launch.signal(signal.SIGKILL)
    launch.wait()
    hang.unlink()
    again = replication.run()
    assert again.status == 0, again.output
    assert "4 runs are on record" in again.stdout
    assert "2 runs, 2 workers." in again.stdout
    replication.assert_whole()
    assert [replication.rows()[seed].attempts.made for seed in SEEDS] == [1, 1, 2]


def test_the_table_of_one_that_was_interrupted_is_that_of_one_that_was_not(
    replication: Replication, make_world: Any
) -> None:
    calm = Replication(make_world("calm"))
    undisturbed = calm.run().stdout
    launch, hang = hang_last(replication)
    launch.signal(signal.SIGKILL)
    launch.wait()
    hang.unlink()
    assert _table(replication.run().stdout) == _table(undisturbed)
    assert _table(replication.run().stdout) == _table(undisturbed), "all on record"


def _table(stdout: str) -> list[str]:
    lines = stdout[stdout.index("network ") :].splitlines()
    return [line.rpartition(" ")[0].rstrip() for line in lines]  # without the seconds


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_one_that_is_told_to_end_keeps_and_publishes_what_finished(
    replication: Replication, mlflow_database: Path, number: int, times: int
) -> None:
    database = replication.world.folder / "mlflow.db"
    database.write_bytes(mlflow_database.read_bytes())
    replication.overrides.remove("tracking=none")
    replication.overrides.append("launcher.grace_seconds=0")
    launch, hang = hang_last(replication)
    launch.signal(number)
    if times == 2:
        eventually(lambda: "Ctrl-C again" in launch.output)
        launch.signal(number)
    assert launch.wait() == 75, launch.output
    assert "Stopped, 2 runs are missing; the same command goes on:" in launch.stdout
    assert f"replicate.only=[{ONE},{OTHER}]" in launch.stdout, "brackets are no markup"
    assert "network " not in launch.stdout, "half a table"
    assert [run.status for run in tracked(database, "replicate")] == ["FINISHED"] * 4
    hang.unlink()
    again = replication.run("launcher.attempts=1")  # being stopped is no attempt
    assert again.status == 0, again.output
    replication.assert_whole()
    runs = tracked(database, "replicate")
    assert sorted(run.tags["mlflow.runName"] for run in runs) == sorted(
        ["comparison", *(f"{name} seed={seed}" for name in (ONE, OTHER) for seed in SEEDS)]
    )
    assert {run.status for run in runs} == {"FINISHED"}


def test_on_the_first_ctrl_c_what_runs_is_finished(replication: Replication) -> None:
    launch, hang = hang_last(replication)
    launch.signal(signal.SIGINT)
    eventually(lambda: "Finishing the running trials" in launch.output)
    hang.unlink()
    assert launch.wait() == 0, "nothing was missing any more"
    replication.assert_whole()


def test_two_at_once_are_one(replication: Replication) -> None:
    launch, hang = hang_last(replication)
    second = replication.run()
    assert second.status == 75
    assert "another launch of it is running" in second.stderr
    hang.unlink()
    assert launch.wait() == 0
    replication.assert_whole()


def test_what_is_on_record_is_trained_again_when_it_is_asked_for(replication: Replication) -> None:
    assert replication.run().status == 0
    before = replication.rows()[0]
    second = replication.run()
    assert "6 runs are on record" in second.stdout
    assert replication.rows()[0] == before
    third = replication.run("replicate.fresh=true")
    assert "6 runs, 2 workers." in third.stdout
    assert replication.rows()[0].uid != before.uid
    replication.assert_whole()


def test_other_data_threads_or_settings_are_no_record(replication: Replication) -> None:
    assert replication.run().status == 0
    assert "6 runs, 2 workers." in replication.run("launcher.threads_per_worker=2").stdout


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("diverge", "loss is nan in epoch 1 [/of it]"),
        ("kill", "2 workers died of it: its worker was ended"),
    ],
)
def test_a_network_that_fails_is_named_and_the_others_are_measured(
    replication: Replication, does: str, reason: str
) -> None:
    fault = replication.world.fault(does, where={"model.depth": 0}, epoch=2)
    launch = replication.run("launcher.attempts=2")
    assert launch.status == 1, launch.output
    for seed in SEEDS:
        assert f"{ONE}, seed {seed}: failed: {reason}" in launch.stdout
    assert [line.split()[0] for line in _table(launch.stdout) if line.startswith(OTHER)] == [OTHER]
    fault.unlink()
    again = replication.run()
    assert again.status == 0, again.output
    assert "3 runs are on record" in again.stdout
    replication.assert_whole()


def test_its_runs_are_no_studies_of_the_user(replication: Replication) -> None:
    """The only study is still found without its name."""
    assert replication.run().status == 0
    assert replication.world.run("study.trials=1").status == 0
    assert TrialTable.names(replication.world.url) == ["smoke"]
    assert TrialTable.load(replication.world.url, None).name == "smoke"
