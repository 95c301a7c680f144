"""What a study's answer is: its verdict where one stands, and else that nothing is sure."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.command.errors import StorageError
from search.analysis.finalists import Finalists
from search.analysis.leaderboard import doubt, made_of, summary
from search.study.ranking import SEED
from search.study.vocabulary import Entry, Suggestion
from search.trial_table.trials import TrialTable
from tests.search import made
from tests.search.analysis.test_leaderboard import MAXIMIZE, printed
from tests.search.conftest import study
from tests.search.verdicts import (
    MEANS,
    asked,
    by_mean,
    compared,
    facts,
    row,
    rows_of,
    three,
    trial,
)

COMMAND = "python -m search.finalists study.name=mine"


def unfinished() -> Finalists:
    finalists = asked(facts(three()))
    return finalists.with_rows(rows_of(finalists, by_mean(MEANS), most=5))


def topped_up(finalists: Finalists, *more: Entry) -> Finalists:
    """The same comparison, of a study that went on since."""
    return replace(finalists, facts=facts([*three(), *more]))


def told(finalists: Finalists | None) -> str:
    entries = three() if finalists is None else finalists.facts.entries
    return "\n".join(printed(summary(entries, MAXIMIZE, "mine", finalists), width=200))


NOBODY_ASKED = "is not known before its finalists are compared over fresh seeds:"
GOES_ON = "The comparison of its finalists is not finished (5 runs on record); this goes on:"
OLD = "This verdict was made when the study had 3 trials; its finalists have changed since"


@pytest.mark.parametrize(
    ("finalists", "says", "says_not"),
    [
        (
            lambda: None,
            ["Best parameters (trial 2: one run, spread not measured):", NOBODY_ASKED, COMMAND],
            ["verdict:"],
        ),
        (unfinished, ["one run, spread not measured", GOES_ON, COMMAND], ["The verdict:"]),
        (
            compared,
            [
                "The verdict:\n2 configurations can't be told apart; of these trial 1 is the cheapest",
                "Its parameters (trial 1):\n  model.dropout=0.2",
            ],
            ["Best parameters", "not measured", COMMAND],
        ),
        (
            lambda: topped_up(compared(), trial(3, 0.96, 0.4)),
            ["The verdict:", "Its parameters (trial 1):", OLD, COMMAND],
            ["Best parameters"],
        ),
        (
            lambda: topped_up(compared(), trial(3, 0.91, 0.4)),  # not among the finalists
            ["The verdict:"],
            ["have changed", COMMAND],
        ),
        (
            lambda: compared(value=lambda _: None),
            ["there is no answer.", "Best parameters (trial 2: one run, spread not measured):"],
            ["Its parameters"],
        ),
    ],
    ids=["nobody asked", "unfinished", "stands", "outdated", "topped up in vain", "all diverged"],
)
def test_the_terminal_says_what_is_known_and_what_is_not(
    finalists: Callable[[], Finalists | None], says: list[str], says_not: list[str]
) -> None:
    text = told(finalists())
    for each in says:
        assert each in text
    for each in says_not:
        assert each not in text


def test_a_verdict_is_out_of_date_when_others_would_be_compared_now() -> None:
    stands = compared()
    assert not stands.outdated
    assert topped_up(stands, trial(3, 0.96, 0.4)).outdated
    assert topped_up(stands, trial(3, 0.945, 0.4)).outdated, "better than the second"
    assert not topped_up(stands, trial(3, 0.93, 0.4)).outdated
    assert not topped_up(stands, made.failed(3)).outdated
    again = replace(trial(3, 0.96, 0.4), run=three()[2].run)
    assert not topped_up(stands, again).outdated, "the same network once more"


def test_a_study_that_had_fewer_than_were_asked_for_has_changed_with_one_more() -> None:
    stands = compared(top=5)
    assert len(stands.asked.trials) == 3
    assert not stands.outdated
    assert topped_up(stands, trial(3, 0.5, 0.4)).outdated


def test_what_the_version_before_asked_is_read() -> None:
    stands = compared()
    old = replace(stands, asked=stands.asked.model_copy(update={"top": None, "ended": None}))
    assert not old.outdated
    more = topped_up(old, trial(3, 0.96, 0.4))
    assert more.outdated
    assert "when the study had fewer trials" in (doubt(more) or "")


def test_the_answer_is_the_seed_nearest_to_the_mean_of_those_that_chose_nothing() -> None:
    stands = compared()
    assert stands.verdict is not None
    assert stands.answer is not None
    answer = stands.verdict.of(stands.verdict.answer or "")
    assert answer.confirmed is not None
    assert stands.answer.value == pytest.approx(answer.confirmed.value, abs=1e-12)
    assert stands.answer.seeds == len(answer.confirmation) == 4
    fresh = {stands.seed("confirmation", place) for place in range(4)}
    assert {entry.params[SEED] for entry in stands.answer.trials} == fresh
    off = {e.number: abs((e.value or 0) - answer.confirmed.value) for e in stands.answer.trials}
    assert stands.answer.entry.number == min(off, key=lambda number: off[number])


def test_a_seed_of_the_answer_that_diverged_is_left_out_of_it() -> None:
    values = by_mean(MEANS)
    lost = compared(value=lambda r: None if r[1:] == ("confirmation", 1) else values(r))
    assert lost.verdict is not None
    assert lost.verdict.answer == "trial 1"
    assert lost.verdict.of("trial 1").confirmed is None
    assert lost.verdict.test == {}, "the others would flatter it"
    assert lost.answer is not None
    assert lost.answer.seeds == 3


@pytest.mark.parametrize(
    "finalists", [lambda: None, unfinished, lambda: compared(value=lambda _: None)]
)
def test_without_a_verdict_there_is_no_answer(finalists: Callable[[], Finalists | None]) -> None:
    found = finalists()
    assert found is None or (found.answer is None and not found.answered)


def test_a_report_is_made_of_its_trials_and_of_what_its_verdict_says() -> None:
    entries = three()
    stands, begun = compared(), unfinished()
    further = begun.with_rows([*begun.rows, row(begun, begun.missing[0], 5, 0.9)])
    same = compared()
    stricter = compared(alpha=0.01)
    found = [made_of(entries, each) for each in (None, begun, further, stands, stricter)]
    assert len(set(found)) == len(found)
    assert made_of(entries, same) == made_of(entries, stands)
    assert all(text.startswith("3 complete") for text in found)


# What is on record.


def table_with(url: str, asked: Any) -> TrialTable:
    """A study of one complete trial, whose table keeps `asked` of its finalists."""
    subject = study()
    table = TrialTable.open(url, subject)
    created = table.create(Suggestion({"model.dropout": 0.1}), subject.space)
    table.complete(created, made.result([0.9]), {})
    table.ask_finalists(asked)
    return TrialTable.open(url, subject)


def good() -> dict[str, Any]:
    tree: dict[str, Any] = asked(facts([trial(0, 0.9, 0.1)])).asked.model_dump(mode="json")
    return tree


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a part is gone": lambda tree: {key: tree[key] for key in tree if key != "plan"},
    "a part of a part is gone": lambda tree: {**tree, "plan": {"metric": "val_accuracy"}},
    "a number that is none": lambda tree: {**tree, "plan": {**tree["plan"], "alpha": "x"}},
    "a trial that is not there": lambda tree: {**tree, "trials": [7]},
    "no trial": lambda tree: {**tree, "trials": []},
    "a word that nobody knows": lambda tree: {**tree, "colour": "blue"},
    "nothing": lambda _: {},
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_of_the_finalists_is_named_with_its_file(url: str, damage: str) -> None:
    subject = facts([trial(0, 0.9, 0.1)])
    table = table_with(url, DAMAGES[damage](json.loads(json.dumps(good()))))
    with pytest.raises(StorageError) as error:
        Finalists.recorded(subject, table)
    assert error.value.exit_code == 74
    assert url.removeprefix("sqlite:///") in str(error.value)
    assert "what is asked of the finalists of 'test' can't be read" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_what_is_whole_of_the_finalists_is_read_and_nobody_has_to_have_asked(url: str) -> None:
    subject = facts([trial(0, 0.9, 0.1)])
    table = table_with(url, good())
    found = Finalists.recorded(subject, table)
    assert found is not None
    assert found.rows == ()
    assert found.verdict is None
    table.ask_finalists(None)  # type: ignore[arg-type]  # as it was before
    assert Finalists.recorded(subject, table) is None
