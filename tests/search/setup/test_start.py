"""A study learns from the trials of others: which ones, that it does, and that this is settled once."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import to_yaml
from pipeline.command.errors import ConfigError
from search.analysis.facts import Facts
from search.setup.read import Setup
from search.setup.start import untried, warm_start, words
from search.setup.suggestions import engine_on_record, suggestions_again
from search.study.vocabulary import Suggestion, Suggestions
from search.trial_table.attributes import Past, WarmStart
from search.trial_table.trials import TrialTable
from tests.search.conftest import DATASET, Copies, composed, setup_of, study_of
from tests.search.engines.test_order import OPTUNA, SPACE, study

WIDE: dict[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.6}, "l2": {"low": 0.0, "high": 0.1, "step": 0.1}},
    "train": {"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}},
}
NARROW: dict[str, Any] = {"model": {"dropout": {"low": 0.0, "high": 0.3}}, "train": SPACE["train"]}
BAYESIAN = ("engine=keras_tuner", "oracle=bayesian", "oracle.num_initial_points=3")


def recorded(url: str, name: str) -> TrialTable:
    """A study as a launch leaves it, with trials that are complete, pruned, or failed."""
    setup = setup_of(*OPTUNA, f"study.name={name}", space=SPACE)
    study(setup, url, 1, target=24)
    return described(url, setup)


@pytest.fixture(scope="module")
def source(empty_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial table with the study `other`."""
    file = tmp_path_factory.mktemp("source") / "studies.db"
    shutil.copy(empty_table, file)
    recorded(f"sqlite:///{file}", "other")
    return file


@pytest.fixture
def url(source: Path, tmp_path: Path) -> str:
    """A trial table of the test's own, with the study `other`."""
    file = tmp_path / "studies.db"
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(file)) as here:
        there.backup(here)
    return f"sqlite:///{file}"


def other_of(url: str) -> TrialTable:
    return TrialTable.load(url, "other")


def described(url: str, setup: Setup) -> TrialTable:
    table = TrialTable.open(url, study_of(setup))
    table.describe(study_of(setup).about(to_yaml(setup.values), "python -m x"))
    return table


def learning(url: str, *words: str, space: Any = SPACE) -> Setup:
    given = (f"storage.url={url}", "study.warm_start=[other]", "study.order=fixed")
    return setup_of(
        *(OPTUNA if "engine=keras_tuner" not in words else ()), *given, *words, space=space
    )


def begun(url: str, setup: Setup) -> TrialTable:
    """The table of a study before its first trial."""
    learnt = warm_start(setup, DATASET, None)
    table = described(url, setup)
    table.learn(learnt)
    return TrialTable.open(url, study_of(setup))


def test_trials_that_lie_in_the_space_are_learnt_from(url: str) -> None:
    other = other_of(url)
    learnt = warm_start(learning(url), DATASET, None)
    ended = [entry for entry in other.entries() if entry.result is not None]
    assert len(ended) < 24, "some failed"
    assert [past.trial for past in learnt.trials] == [entry.number for entry in ended]
    assert [past.params for past in learnt.trials] == [entry.params for entry in ended]
    values = [entry.value if entry.state == "complete" else None for entry in ended]
    assert [past.value for past in learnt.trials] == values
    assert any(past.value is None and past.curve for past in learnt.trials), "a pruned one"
    assert learnt.left_out == (f"{24 - len(ended)} of other: failed",)
    (said, *_) = words(learning(url), learnt, [])
    assert (
        said
        == f"Learns from {len(ended)} trials of other (left out: {24 - len(ended)} of other: failed)."
    )


def test_a_dimension_that_was_fixed_there_has_the_value_that_it_had(url: str) -> None:
    learnt = warm_start(learning(url, space=WIDE), DATASET, None)
    assert {past.params["model.l2"] for past in learnt.trials} == {0.0}


def test_what_lies_outside_is_left_out_with_the_reason(url: str) -> None:
    other = other_of(url)
    learnt = warm_start(learning(url, space=NARROW), DATASET, None)
    inside = [e.number for e in other.entries() if e.result and e.params["model.dropout"] <= 0.3]  # type: ignore[operator]
    assert [past.trial for past in learnt.trials] == inside
    assert [reason for reason in learnt.left_out if "failed" not in reason]
    assert all("model.dropout is 0." in each or "failed" in each for each in learnt.left_out)


@pytest.mark.slow
def test_the_same_run_is_learnt_once(url: str) -> None:
    recorded(url, "twin")
    learnt = warm_start(learning(url, "study.warm_start=[other,twin,other]"), DATASET, None)
    assert learnt.studies == ("other", "twin")
    assert {past.study for past in learnt.trials} == {"other"}
    assert any("of twin: the same run is there" in reason for reason in learnt.left_out)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["study.warm_start=nobody"], "study.warm_start: there is no study 'nobody'"),
        (["study.warm_start=test"], "study.warm_start: test is this study itself"),
        (["objective.select=last"], "other has objective.select=best, this study last"),
        (["train.batch_size=64"], "of other: train.batch_size is 128 there, 64 here"),
        (["train.epochs=5"], "train.epochs is 4 there, 5 here"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(url: str, words: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=r"^study\.warm_start: ") as caught:
        warm_start(learning(url, *words), DATASET, None)
    assert told in str(caught.value)


def test_other_data_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="other has other data than this study"):
        warm_start(learning(url), replace(DATASET, digest="another"), None)


@pytest.mark.parametrize(
    "words",
    [
        ("sampler=random", "pruner=none"),
        ("sampler=cmaes", "pruner=none"),
        ("engine=keras_tuner", "oracle=hyperband"),
        ("engine=keras_tuner", "oracle=random"),
    ],
)
def test_who_can_not_learn_is_not_taught(words: tuple[str, ...]) -> None:
    with pytest.raises(
        ConfigError, match=r"study\.warm_start: \w+ learns from no trials but its own"
    ):
        setup_of("study.warm_start=other", *words, space=SPACE)


@pytest.mark.parametrize(
    "words", [(), pytest.param(BAYESIAN, marks=pytest.mark.slow)], ids=["optuna", "bayesian"]
)
def test_the_engine_suggests_by_what_it_learnt(url: str, words: tuple[str, ...]) -> None:
    setup = learning(url, *words)
    learnt = warm_start(setup, DATASET, None).trials
    dropouts = {}
    for sign in (1, -1):
        past = [
            replace(each, value=sign * float(str(each.params["model.dropout"]))) for each in learnt
        ]
        answers = [setup.make_engine([], 1, past=past).ask(1) for _ in range(2)]
        assert answers[0] == answers[1]
        assert isinstance(answers[0], Suggestions)
        dropouts[sign] = float(str(answers[0].trials[0].params["model.dropout"]))
    assert dropouts[1] > dropouts[-1]


def test_the_pruner_compares_with_what_was_learnt(url: str) -> None:
    good = {1: 0.9, 2: 0.95, 3: 0.97, 4: 0.98}
    params = {"model.dropout": 0.1, "train.learning_rate": 0.001}
    past = [Past("other", number, params, 0.98, None, good) for number in range(3)]
    setup = learning(url)
    for learnt, pruned in ((past, True), ([], False)):
        engine = setup.make_engine([], 1, past=learnt)
        engine.ask(1)
        assert engine.report(0, {1: 0.1}) is pruned


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_that_learnt_is_the_same_whatever_is_killed(workers: int, copies: Copies) -> None:
    studies = []
    for chance, kills in ((0, 0.0), (1, 0.05)):
        url = copies.next()
        setup = learning(url, "study.points=[{model.dropout: 0.1}]")
        begun(url, setup)
        studies.append(study(setup, url, workers, chance=chance, kills=kills, target=10))
    assert studies[0] == studies[1]
    assert len(studies[0]) == 10, "what was learnt from counts for nothing"


@pytest.mark.slow
def test_the_certificate_holds_when_the_source_is_gone(url: str) -> None:
    setup = learning(url)
    begun(url, setup)
    study(setup, url, 2, target=10)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("DELETE FROM studies WHERE study_name = 'other'")
    table = TrialTable.load(url, "test")
    facts = Facts.of(table.about(), table.entries())
    asked = suggestions_again(engine_on_record(composed(), facts), table, facts)
    assert asked.identical, asked.words()


def test_what_was_learnt_is_settled_by_the_first_trial(url: str) -> None:
    setup = learning(url)
    table = begun(url, setup)
    assert warm_start(setup, DATASET, table) == table.warm_start, (
        "a launch that was killed begins again"
    )
    table.create(Suggestion({"model.dropout": 0.1, "train.learning_rate": 0.001}), setup.space)
    table.learn(WarmStart(("another",)))
    assert table.warm_start.studies == ("other",)
    assert warm_start(setup, DATASET, table) == table.warm_start
    assert warm_start(learning(url, "study.warm_start=[]"), DATASET, table) == table.warm_start
    with pytest.raises(ConfigError, match=r"test has begun with \[other\], got \[more\]"):
        warm_start(learning(url, "study.warm_start=[more]"), DATASET, table)


def test_a_study_that_began_without_learning_can_not_learn_later(url: str) -> None:
    setup = learning(url)
    table = described(url, setup)
    table.create(Suggestion({"model.dropout": 0.1, "train.learning_rate": 0.001}), setup.space)
    with pytest.raises(ConfigError, match=r"test has begun with \[\], got \[other\]"):
        warm_start(setup, DATASET, table)


def test_a_launch_says_which_points_wait(url: str) -> None:
    points = "study.points=[{model.dropout: 0.1},{model.dropout: 0.2},{model.dropout: 0.3}]"
    setup = setup_of(points, "study.trials=2", "pruner=none", space=SPACE)
    assert list(words(setup, WarmStart(), [])) == [
        "study.points: 2 to be tried first.",
        "study.points: 1 not tried, for want of trials (study.trials=3 has room).",
    ]
    study(setup, url, 1, target=2)
    entries = TrialTable.open(url, study_of(setup)).entries()
    assert untried(setup, entries) == [{"model.dropout": 0.3}]


@pytest.mark.faults
def test_a_study_learns_on_a_server_too(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(server_url, "other")
    setup = learning(server_url, "study.points=[{model.dropout: 0.1}]")
    learnt = begun(server_url, setup).warm_start
    assert learnt == warm_start(setup, DATASET, None)
    assert learnt.trials
    assert study(setup, server_url, 2, chance=1, kills=0.05, target=4)[0][0]["model.dropout"] == 0.1
    assert TrialTable.load(server_url, "test").warm_start == learnt
