"""Which run is exported, what is said of it, and what of a study replaces what."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from pipeline.artifact.manifest import Manifest, Standing
from pipeline.command.errors import ConfigError
from search.analysis.configurations import DEFAULT
from search.analysis.estimates import Estimate
from search.analysis.finalists import Finalists
from search.analysis.wording import words
from search.artifacts.candidate import Candidate, candidate, introduced
from search.artifacts.card import model_card
from search.artifacts.verdict import tags_of, verdict_of
from tests.search import made
from tests.search.analysis.test_answer import topped_up, unfinished
from tests.search.artifacts.test_registry import manifest
from tests.search.verdicts import MEANS, by_mean, compared, facts, three, trial

COMMAND = "python -m search.finalists study.name=test"
WINS = {**MEANS, DEFAULT: 0.97}


def choose(finalists: Finalists | None, number: int | None = None) -> tuple[Candidate, str]:
    """What is exported, and what is said of it."""
    subject = facts(three()) if finalists is None else finalists.facts
    chosen = candidate(subject.about, subject.entries, finalists, number)
    return chosen, "\n".join(introduced(subject.about, chosen, finalists))


@pytest.mark.parametrize(
    ("finalists", "number", "name", "says"),
    [
        (lambda: None, None, "trial 2", ["one run, spread not measured", COMMAND]),
        (lambda: None, 1, "trial 1", ["one run, spread not measured", COMMAND]),
        (unfinished, None, "trial 2", ["is not finished (5 runs on record)", COMMAND]),
        (
            compared,
            None,
            "the verdict's answer, trial 1",
            ["over 4 fresh seeds", "nearest to the mean"],
        ),
        (compared, 2, "trial 2", ["This overrules the verdict, whose answer is trial 1"]),
        (
            lambda: topped_up(compared(), trial(3, 0.96, 0.4)),
            None,
            "the verdict's answer, trial 1",
            ["made when the study had 3 trials", COMMAND],
        ),
        (lambda: compared(value=by_mean(WINS)), None, "the verdict's answer, default", ["0.9693"]),
        (
            lambda: compared(value=lambda _: None),
            None,
            "trial 2",
            ["spread not measured", "has no answer: every configuration diverged"],
        ),
    ],
)
def test_the_answer_is_exported_where_there_is_one_and_else_the_best_trial(
    finalists: Callable[[], Finalists | None], number: int | None, name: str, says: list[str]
) -> None:
    chosen, said = choose(finalists(), number)
    assert chosen.name == name
    assert name in said
    for each in says:
        assert each in said
    assert (chosen.verdict is not None) == name.startswith("the verdict")


def test_the_answer_is_the_run_nearest_to_its_mean_and_stands_by_that() -> None:
    finalists = compared()
    chosen, _ = choose(finalists)
    assert finalists.answer is not None
    assert chosen.entry == finalists.answer.entry
    assert chosen.entry in chosen.entries
    assert chosen.trial == 1
    assert chosen.base == three()[1].run
    standing = chosen.standing
    assert (standing.value, standing.seeds, standing.fresh) == (finalists.answer.value, 4, True)
    of_study, _ = choose(finalists, 1)
    assert standing.settings == of_study.standing.settings, "they compare"


@pytest.mark.parametrize(
    ("finalists", "within", "number"),
    [
        (lambda: None, 0.0, 2),
        (lambda: None, 0.01, 1),  # which binary fractions miss
        (lambda: None, 0.015, 1),
        (lambda: None, 0.5, 0),
        # Of those that were compared, by the means over fresh seeds: 1 leads, and 2 is larger.
        (compared, 0.0, 1),
        (compared, 0.5, 1),
        (lambda: compared(top=3), 0.5, 0),
        (lambda: compared(value=lambda _: None), 0.015, 1),
    ],
)
def test_the_smallest_network_near_enough_to_the_best_is_exported(
    finalists: Callable[[], Finalists | None], within: float, number: int
) -> None:
    found = finalists()
    subject = facts(three()) if found is None else found.facts
    chosen = candidate(subject.about, subject.entries, found, within=within)
    assert (chosen.trial, chosen.verdict) == (number, None)


def test_an_answer_that_the_study_never_trained_is_exported_all_the_same() -> None:
    finalists = compared(value=by_mean(WINS))
    chosen, _ = choose(finalists)
    assert chosen.trial is None
    assert chosen.base == made.BASE
    assert chosen.entry in finalists.rows


def test_an_answer_of_which_a_seed_diverged_is_flattered_by_the_others() -> None:
    values = by_mean(MEANS)
    chosen, _ = choose(
        compared(value=lambda r: None if r[1:] == ("confirmation", 1) else values(r))
    )
    assert (chosen.standing.seeds, chosen.standing.fresh) == (3, False)
    with pytest.raises(ConfigError, match=r"diverged with every seed .*trial=NUMBER"):
        choose(compared(value=lambda r: None if r.part == "confirmation" else values(r)))


# What replaces what.

STUDY = Standing("val_accuracy", "maximize", 0.98, "beef")
FRESH = replace(STUDY, value=0.97, seeds=10, spread=0.001, fresh=True)


@pytest.mark.parametrize(
    ("present", "new", "reason"),
    [
        (STUDY, replace(STUDY, value=0.97), "its val_accuracy is 0.98, the new one's 0.97"),
        (STUDY, replace(STUDY, value=0.99), None),
        (STUDY, FRESH, None),  # whose mean is less than a value that chose itself
        (FRESH, replace(STUDY, value=0.99), "its val_accuracy is a mean over 10 fresh seeds, and"),
        (FRESH, replace(FRESH, value=0.96), "its val_accuracy is 0.97, the new one's 0.96"),
        (FRESH, replace(FRESH, value=0.98), None),
        (FRESH, replace(FRESH, data="feed"), "it knows other data"),
        (STUDY, replace(FRESH, metric="val_loss"), "it was chosen by val_accuracy"),
        (replace(STUDY, settings={"data.shuffle": "true"}),
         replace(FRESH, settings={"data.shuffle": "false"}), "it holds out other rows"),
    ],
)  # fmt: skip
def test_a_mean_over_fresh_seeds_replaces_a_value_that_chose_itself_and_never_the_other_way_round(
    present: Standing, new: Standing, reason: str | None
) -> None:
    found = present.reason_to_stay(new)
    assert (found is None) == (reason is None)
    assert reason is None or reason in (found or "")


def test_the_answer_replaces_whatever_of_its_study_was_exported_before() -> None:
    """Also the answer of the verdict before, with a better mean: by now it is a tie, and dearer."""
    finalists = compared()
    chosen, _ = choose(finalists)
    others = {uid: each for uid, each in chosen.standings.items() if uid != chosen.entry.uid}
    assert {entry.uid for entry in three()} <= others.keys()
    assert {each.uid for each in finalists.rows} - {chosen.entry.uid} <= others.keys()
    assert all(each.reason_to_stay(chosen.standing) is None for each in others.values())


def test_no_trial_of_the_study_replaces_the_answer() -> None:
    finalists = compared()
    answer, _ = choose(finalists)
    for number in range(3):
        chosen, _ = choose(finalists, number)
        present = chosen.standings[answer.entry.uid]
        assert present.reason_to_stay(chosen.standing) is not None


def test_the_answer_of_another_study_of_that_name_stays_where_it_is_better() -> None:
    chosen, _ = choose(compared())
    elsewhere = replace(chosen.standing, value=0.99)
    assert elsewhere.reason_to_stay(chosen.standing) is not None


# What is written of it.


def exported(finalists: Finalists | None, number: int | None = None) -> Manifest:
    chosen, _ = choose(finalists, number)
    given: dict[str, Any] = {
        "study": "test",
        "trial": chosen.trial,
        "uid": chosen.entry.uid,
        "standing": chosen.standing,
        "verdict": chosen.verdict,
        "validation": {"val_accuracy": chosen.entry.value},
        "data": {"name": "digits", "train_rows": 1437, "test_rows": 360},
        "verified": {},
        "labels": ("0", "1"),
        "epoch": 1,
        "git_commit": None,
        **dict.fromkeys(("retrain", "export", "exported_at"), "x"),
    }
    assert given.keys() <= {field.name for field in fields(Manifest)}
    return replace(manifest(), **given)


def test_manifest_and_verdict_go_through_json_unchanged(tmp_path: Any) -> None:
    finalists = compared()
    made_now = exported(finalists)
    made_now.write(tmp_path)
    read = Manifest.read(tmp_path)
    assert read.verdict == made_now.verdict
    assert verdict_of(read) == finalists.verdict
    assert read.standing == made_now.standing
    chosen, _ = choose(finalists)
    assert chosen.is_in(read)
    again, _ = choose(compared(alpha=0.04))
    assert not again.is_in(read), "another verdict on the same run"
    assert not choose(finalists, 1)[0].is_in(read)


def test_the_card_states_the_verdict_with_its_numbers() -> None:
    finalists = compared()
    card = model_card(exported(finalists), "Why?")
    assert finalists.verdict is not None
    assert card.startswith("# test: the verdict's answer, trial 1\n")
    for sentence in words(finalists.verdict):
        assert f"- {sentence}" in card
    for each in finalists.verdict.standings:
        assert each.name in card
        assert each.mean is not None
        assert f"{each.mean.value:.4f}" in card
    assert "this network is the one nearest to their mean" in card
    assert "not measured" not in card


@pytest.mark.parametrize(("finalists", "number"), [(lambda: None, None), (compared, 2)])
def test_the_card_of_a_trial_says_that_its_spread_was_not_measured(
    finalists: Callable[[], Finalists | None], number: int | None
) -> None:
    card = model_card(exported(finalists(), number), None)
    assert "val_accuracy 0.95 is of one run, spread not measured" in card
    assert f"`{COMMAND}`" in card
    assert "## The verdict" not in card


def test_the_tags_have_the_mean_the_gain_and_both_intervals() -> None:
    finalists = compared()
    verdict = finalists.verdict
    assert verdict is not None
    assert verdict.gain is not None
    mean = verdict.of("trial 1").confirmed
    assert mean is not None
    assert tags_of(exported(finalists)) == {
        "verdict.outcome": "tie",
        "verdict.answer": "trial 1",
        "verdict.tie": "trial 1, trial 2",
        "verdict.runs": str(verdict.runs),
        "verdict.gained": "true",
        **numbers("mean", mean),
        **numbers("gain", verdict.gain),
    }
    assert tags_of(exported(None)) == {}


def numbers(name: str, of: Estimate) -> dict[str, str]:
    ends = {"": of.value, "_low": of.low, "_high": of.high}
    return {f"verdict.{name}{end}": repr(value) for end, value in ends.items()}


def test_what_is_not_known_has_no_tag() -> None:
    values = by_mean(MEANS)
    without = compared(value=lambda run: None if run.contender == DEFAULT else values(run))
    tags = tags_of(exported(without))
    assert not [name for name in tags if "gain" in name]
    single = tags_of(exported(compared(seeds=1, max_seeds=1, confirm=1)))
    assert "verdict.mean" in single
    assert "verdict.mean_low" not in single
