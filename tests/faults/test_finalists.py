"""A comparison of finalists that is killed, stopped or disturbed comes to the same verdict."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.section import validated
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.plan import FinalistsConfig, Part
from search.study.vocabulary import Entry
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from tests.faults.launch import Launch, eventually
from tests.faults.tracked import tracked
from tests.faults.world import World

pytestmark = pytest.mark.faults

FINALISTS = ["finalists.top=2", "finalists.seeds=3", "finalists.step=2", "finalists.max_seeds=5"]
FINALISTS += ["finalists.confirm=2"]


class Comparison:
    """A study of three dropouts, one of them its default, and the comparison of its finalists."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.name = "dropout"
        kept = [each for each in world.overrides if each not in ("+study=smoke", "sampler=random")]
        space = ["study.space.model.dropout.step=0.29", "study.trials=3"]
        world.overrides = ["+study=dropout", "data=digits", *kept, *space]

    def study(self) -> "Comparison":
        launch = self.world.run()
        assert launch.status == 0, launch.output
        return self

    def start(self, *overrides: str) -> Launch:
        given = [*self.world.overrides, *FINALISTS, *overrides]
        return self.world.start(*given, module="search.finalists")

    def run(self, *overrides: str) -> Launch:
        launch = self.start(*overrides)
        launch.wait()
        return launch

    @property
    def finalists(self) -> Finalists:
        table = self.world.table()
        found = Finalists.recorded(Facts.of(table.about(), table.entries()), table)
        assert found is not None
        return found

    @property
    def rows(self) -> list[Entry]:
        """The runs of the comparison."""
        return list(self.finalists.rows)

    def verdict(self) -> str:
        """As it is published, to the last bit."""
        verdict = self.finalists.verdict
        assert verdict is not None
        return verdict.model_dump_json()

    def assert_whole(self) -> None:
        """Each run once, all complete, no worker left; and the study is what it was."""
        rows = self.rows
        assert {row.state for row in rows} == {"complete"}
        assert len({json.dumps(row.settings) for row in rows}) == len(rows)
        self.world.assert_whole(3)


@pytest.fixture
def comparison(world: World) -> Comparison:
    return Comparison(world).study()


@pytest.fixture
def beside(comparison: Comparison, make_world: Callable[[str], World]) -> Comparison:
    """The same study, to be left in peace."""
    calm = Comparison(make_world("calm"))
    shutil.copytree(comparison.world.folder, calm.world.folder, dirs_exist_ok=True)
    return calm


def hang(comparison: Comparison, **where: Any) -> tuple[Launch, Path]:
    """Started, until a run hangs."""
    file = comparison.world.fault("hang", where=where, epoch=2, times=1)
    launch = comparison.start()
    eventually(lambda: comparison.world.happened() >= 1)
    return launch, file


@pytest.mark.parametrize(("part", "place"), [("race", 0), ("race", 2), ("confirmation", 1)])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_was_cut_short_goes_on_to_the_same_bits(
    comparison: Comparison, beside: Comparison, part: Part, place: int, number: int
) -> None:
    assert beside.run().status == 0
    seed = beside.finalists.seed(part, place)
    launch, file = hang(comparison, **{"train.seed": seed})
    launch.signal(number)
    status = launch.wait()
    if number == signal.SIGTERM:
        assert status == 75, launch.output
        assert "the same command goes on:\n  python -m search.finalists" in launch.stdout
    done = [row for row in comparison.rows if row.state == "complete"]
    file.unlink()
    again = comparison.run()
    assert again.status == 0, again.output
    assert comparison.verdict() == beside.verdict()
    assert again.stdout[again.stdout.index("race  ") :] in beside.run().stdout
    comparison.assert_whole()
    assert all(row in comparison.rows for row in done), "nothing is trained twice"


def kept(comparison: Comparison) -> set[int]:
    """The runs of the comparison whose weights are kept."""
    uid, root = comparison.rows[0].uid, comparison.world.folder / "mlruns" / "weights"
    return WeightStore.of(str(root), "dropout", uid).kept()


def test_the_weights_of_its_answer_are_kept_and_no_others_whatever_was_killed(
    comparison: Comparison,
) -> None:
    seed = comparison_seed(comparison)
    launch, file = hang(comparison, **{"train.seed": seed})
    launch.signal(signal.SIGKILL)
    launch.wait()
    file.unlink()
    assert comparison.run().status == 0
    answer = comparison.finalists.answer
    assert answer is not None
    assert kept(comparison) == {answer.entry.number}


def comparison_seed(comparison: Comparison) -> int:
    """The last seed of the confirmation, which isn't asked for before the race is over."""
    table = comparison.world.table()
    facts = Facts.of(table.about(), table.entries())
    values = compose([*FINALISTS])["finalists"]
    config = validated(FinalistsConfig, values, "finalists")
    return Finalists.chosen(facts, table.uid, config).seed("confirmation", 1)


def test_a_worker_that_dies_costs_an_attempt(comparison: Comparison, beside: Comparison) -> None:
    comparison.world.fault("kill", where={"model.dropout": 0.29}, epoch=2, times=1)
    assert comparison.run().status == 0
    assert beside.run().status == 0
    assert sorted(row.attempts.made for row in comparison.rows)[-2:] == [1, 2]
    assert comparison.verdict() == beside.verdict()


def test_a_verdict_that_stands_is_told_without_workers_and_data(comparison: Comparison) -> None:
    first = comparison.run()
    assert first.status == 0, first.output
    comparison.world.fault("die", epoch=1)
    before = comparison.rows
    again = comparison.run("data.path=/nowhere")
    assert again.status == 0, again.output
    assert comparison.rows == before
    assert again.stdout in first.stdout


def test_more_seeds_and_a_larger_top_go_on_from_what_is_there(comparison: Comparison) -> None:
    assert comparison.run().status == 0
    before = comparison.rows
    larger = comparison.run("finalists.top=3", "finalists.max_seeds=7", "finalists.confirm=3")
    assert larger.status == 0, larger.output
    rows = comparison.rows
    assert rows[: len(before)] == before
    assert len(rows) > len(before)
    comparison.assert_whole()


def test_a_run_that_breaks_is_named_and_tried_again(comparison: Comparison) -> None:
    file = comparison.world.fault("raise", where={"model.dropout": 0.29}, epoch=2)
    launch = comparison.run()
    assert launch.status == 1, launch.output
    assert "the same command tries it again" in launch.stderr
    file.unlink()
    assert comparison.run().status == 0
    assert comparison.finalists.verdict is not None


def test_one_that_diverges_is_out(comparison: Comparison) -> None:
    comparison.world.fault("diverge", where={"model.dropout": 0.29}, epoch=2)
    launch = comparison.run()
    assert launch.status == 0, launch.output
    verdict = comparison.finalists.verdict
    assert verdict is not None
    assert [each.state for each in verdict.standings].count("diverged") == 1
    before = comparison.rows
    assert comparison.run().status == 0
    assert comparison.rows == before, "it would diverge again"


def test_two_at_once_are_one(comparison: Comparison) -> None:
    launch, file = hang(comparison)
    second = comparison.run()
    assert second.status == 75
    assert "another launch of this study is running" in second.stderr
    file.unlink()
    launch.signal(signal.SIGKILL)
    launch.wait()


def test_a_study_goes_on_to_its_verdict_by_itself(world: World) -> None:
    comparison = Comparison(world)
    world.overrides += ["study.finalists=true", *FINALISTS]
    launch = world.run()
    assert launch.status == 0, launch.output
    assert comparison.finalists.verdict is not None
    comparison.assert_whole()


def test_the_tracker_shows_the_verdict_its_configurations_and_their_seeds(
    tracked_world: World,
) -> None:
    comparison = Comparison(tracked_world).study()
    assert comparison.run().status == 0
    runs = tracked(tracked_world.folder / "mlflow.db", "dropout")
    by_name = {run.tags["mlflow.runName"]: run for run in runs}
    verdict = by_name["verdict"]
    assert verdict.status == "FINISHED"
    assert verdict.tags["verdict.answer"] == comparison.finalists.verdict.answer  # type: ignore[union-attr]
    for name in comparison.finalists.all:
        assert by_name[name].tags["mlflow.parentRunId"] == verdict.run
        for row in [
            run for run in runs if run.tags.get("finalist") == name and "finalist.part" in run.tags
        ]:
            assert row.tags["mlflow.parentRunId"] == by_name[name].run
            assert row.status == "FINISHED"
    seeds = [run for run in runs if "finalist.part" in run.tags]
    assert len(seeds) == len(comparison.rows)
    again = comparison.run()
    assert again.status == 0
    assert tracked(tracked_world.folder / "mlflow.db", "dropout") == runs, "it is told once"


def test_another_question_is_another_verdict_in_the_tracker_too(tracked_world: World) -> None:
    comparison = Comparison(tracked_world).study()
    assert comparison.run().status == 0
    file = tracked_world.folder / "mlflow.db"
    before = {run.tags["uid"]: run for run in tracked(file, "dropout")}
    launch = comparison.run("finalists.alpha=0.2", "finalists.margin=0.5", "finalists.top=1")
    assert launch.status == 0, launch.output
    after = {run.tags["uid"]: run for run in tracked(file, "dropout")}
    by_name = {run.tags["mlflow.runName"]: run for run in after.values()}
    verdict = comparison.finalists.verdict
    assert verdict is not None
    told = by_name["verdict"]
    assert told.run != before[told.tags["uid"]].run
    assert "(80%)" in told.tags["mlflow.note.content"]
    assert {name for name in by_name if "finalist" in by_name[name].tags} >= set(
        comparison.finalists.all
    )
    for run in after.values():
        assert run.tags.get("mlflow.parentRunId") in {None, *(each.run for each in after.values())}
    seeds = [run for run in after.values() if "finalist.part" in run.tags]
    assert seeds
    assert all(run == before[run.tags["uid"]] or run.tags["mlflow.parentRunId"] for run in seeds)


def test_its_runs_are_no_study_of_the_user(comparison: Comparison) -> None:
    assert comparison.run().status == 0
    assert TrialTable.load(comparison.world.url, None).name == "dropout"
    storage = open_storage(comparison.world.url)
    assert len(storage.get_all_studies()) == 2
    storage.engine.dispose()
    more = comparison.world.run("study.trials=3")
    assert more.status == 0
    comparison.world.assert_whole(3)
