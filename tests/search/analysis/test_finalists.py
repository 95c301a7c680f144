"""Who the finalists of a study are, what they are trained with, and what is on record of them."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.command.compose import compose, to_yaml
from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from pipeline.run.config import RunConfig
from search.analysis.configurations import DEFAULT
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.plan import FinalistsConfig, Run
from search.study.ranking import SEED
from search.study.space import Choices, Condition, Range, Space, replaced
from search.study.vocabulary import Entry
from tests.search import made

UID = "0123456789abcdef"


def config(**changes: Any) -> FinalistsConfig:
    return validated(FinalistsConfig, {**compose([])["finalists"], **changes}, "finalists")


def facts(
    entries: list[Entry], space: Space = made.DROPOUT, tree: Any = None, *overrides: str
) -> Facts:
    tree = tree or {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
    values = {**compose(["data=digits", *overrides])}
    values["study"] = {**values["study"], "space": tree}
    return Facts(made.about(space, config=to_yaml(values)), space, tuple(entries))


def trial(number: int, value: float, space: Space = made.DROPOUT, **params: Any) -> Entry:
    """A complete trial with `params` by the last part of their path."""
    paths = {path.rpartition(".")[2]: path for path in [*space.dimensions, SEED]}
    chosen = {paths[name]: given for name, given in params.items()}
    outcome = made.result([value])
    return replace(
        made.trial(number),
        params=chosen,
        run=replaced(made.BASE, {path: space.decode(path, v) for path, v in chosen.items()}),
        result=outcome,
        value=value,
        history=outcome.history,
    )


def chosen(subject: Facts, **changes: Any) -> Finalists:
    return Finalists.chosen(subject, UID, config(**changes))


def test_the_best_configurations_are_compared_and_what_the_study_started_from() -> None:
    entries = [trial(n, 0.9 + n / 100, dropout=0.1 + n / 20) for n in range(4)]
    found = chosen(facts(entries), top=2)
    assert list(found.all) == ["trial 3", "trial 2", DEFAULT]
    assert found.all[DEFAULT].run == made.BASE
    assert found.all[DEFAULT].entry is None
    assert found.all["trial 3"].run == entries[3].run
    assert found.asked.left_out is None


def test_a_default_that_the_study_tried_is_known_by_its_name_and_its_value() -> None:
    entries = [trial(0, 0.91, dropout=0.0), trial(1, 0.95, dropout=0.2)]
    for top in (1, 2):  # among the best, or not
        found = chosen(facts(entries), top=top)
        assert list(found.all) == ["trial 1", DEFAULT]
        assert found.all[DEFAULT].entry == entries[0]
        assert [each.study for each in found.contenders] == [0.95, 0.91]
        assert [each.default for each in found.contenders] == [False, True]


@pytest.mark.parametrize(
    ("space", "tree", "overrides", "why"),
    [
        (
            Space({"model.dropout": Range(low=0.2, high=0.6)}),
            {"model": {"dropout": {"low": 0.2, "high": 0.6}}},
            (),
            "model.dropout=0.0 is not in the space",
        ),
        (
            Space({"model.dropout": Range(low=0.1, high=0.5, step=0.2)}),
            {"model": {"dropout": {"low": 0.1, "high": 0.5, "step": 0.2}}},
            ("model.dropout=0.2",),
            "model.dropout=0.2 is not in the space",
        ),
        (
            Space({"train.learning_rate": Range(low=0.0001, high=0.01, log=True)}),
            {"train": {"learning_rate": {"low": 0.0001, "high": 0.01, "log": True}}},
            ("train.learning_rate=null",),
            None,  # Keras's own rate, 0.001
        ),
        (
            Space({"model.hidden_units": Choices((64, 128))}),
            {"model": {"hidden_units": [64, 128]}},
            ("model.depth=2", "model.hidden_units=[64,64]"),
            None,  # however it was written
        ),
        (
            Space(
                {
                    "train.optimizer": Choices(("adam", "sgd")),
                    "train.momentum": Range(low=0.5, high=0.9),
                },
                {"train.momentum": Condition("train.optimizer", ("sgd",))},
            ),
            {
                "train": {
                    "optimizer": ["adam", "sgd"],
                    "momentum": {"low": 0.5, "high": 0.9, "when": {"train.optimizer": "sgd"}},
                }
            },
            (),
            None,  # with adam there is no momentum to be tried
        ),
    ],
)
def test_a_default_that_no_trial_could_have_been_is_left_out(
    space: Space, tree: Any, overrides: tuple[str, ...], why: str | None
) -> None:
    subject = facts([trial(0, 0.9, space, **_any_point(space))], space, tree, *overrides)
    found = chosen(subject)
    assert found.asked.left_out == why
    assert (DEFAULT in found.all) == (why is None)


def _any_point(space: Space) -> dict[str, Any]:
    return {
        path.rpartition(".")[2]: dimension.probes()[-1]
        for path, dimension in space.dimensions.items()
        if path not in space.conditions
    }


def test_configurations_that_differ_in_their_seed_alone_are_one() -> None:
    space = Space({**made.DROPOUT.dimensions, SEED: Choices((0, 1))})
    entries = [
        trial(0, 0.99, space, dropout=0.1, seed=0),  # the luckiest
        trial(1, 0.90, space, dropout=0.1, seed=1),
        trial(2, 0.96, space, dropout=0.2, seed=0),
        trial(3, 0.96, space, dropout=0.2, seed=1),
    ]
    found = chosen(facts(entries, space))
    assert list(found.all) == ["trial 2", "trial 1", DEFAULT] or list(found.all) == [
        "trial 2",
        "trial 0",
        DEFAULT,
    ]
    assert found.contenders[0].study == pytest.approx(0.96)
    assert found.contenders[1].study == pytest.approx(0.945)
    assert {path for each in found.all.values() for path in each.params} == {"model.dropout"}


def test_trials_that_are_the_same_network_are_one() -> None:
    space = Space({**made.DROPOUT.dimensions, "model.depth": Range(low=0, high=2, integer=True)})
    entries = [trial(n, 0.9 + n / 100, space, dropout=0.1 * n, depth=0) for n in range(3)]
    assert list(chosen(facts(entries, space)).all) == ["trial 2", DEFAULT]


def runs(found: Finalists) -> dict[Run, RunConfig]:
    return {run: found.run_of(run) for run in found.missing}


def test_all_are_trained_over_the_same_fresh_seeds_and_rows() -> None:
    entries = [trial(n, 0.9 + n / 100, dropout=0.1 + n / 20) for n in range(3)]
    found = chosen(facts(entries), seeds=4, max_seeds=4)
    seeds: dict[int, set[tuple[int, int | None]]] = {}
    for run, again in runs(found).items():
        seeds.setdefault(run.seed, set()).add((again.train.seed, again.data.split_seed))
        usual = {SEED: 0, "data.split_seed": None}
        assert replaced(again, usual) == replaced(found.all[run.contender].run, usual)
    assert [len(each) for each in seeds.values()] == [1] * 4, "the same for every configuration"
    drawn = {seed for each in seeds.values() for seed, _ in each}
    assert len(drawn) == 4
    assert all(seed == split for each in seeds.values() for seed, split in each)
    confirmation = {found.seed("confirmation", place) for place in range(50)}
    race = {found.seed("race", place) for place in range(50)}
    assert len(confirmation | race) == 100, "seeds that choose measure nothing"
    other = Finalists(found.facts, "another", found.asked)
    assert other.seed("race", 0) != found.seed("race", 0)


def test_a_seed_that_the_study_used_is_not_fresh() -> None:
    plain = chosen(facts([trial(0, 0.9, dropout=0.1)]))
    taken = plain.seed("race", 0)
    entry = trial(0, 0.9, dropout=0.1)
    assert entry.run is not None
    used = replace(entry, run=replaced(entry.run, {SEED: taken}))
    again = Finalists(facts([used]), UID, plain.asked)
    assert again.seed("race", 0) != taken
    assert again.seed("race", 1) == plain.seed("race", 1)


@pytest.mark.parametrize(("resplit", "drawn"), [(None, True), (False, False), (True, True)])
def test_each_seed_draws_its_validation_rows_unless_it_is_told_not_to(
    resplit: bool | None, drawn: bool
) -> None:
    found = chosen(facts([trial(0, 0.9, dropout=0.1)]), resplit=resplit)
    assert {run.data.split_seed is not None for run in runs(found).values()} == {drawn}


def test_there_is_nothing_to_compare_without_a_complete_trial() -> None:
    with pytest.raises(ConfigError, match="no trial of this study is complete"):
        chosen(facts([made.failed(0)]))


def test_rows_are_known_by_their_run_and_a_run_that_broke_is_tried_again() -> None:
    found = chosen(facts([trial(0, 0.9, dropout=0.1)]), seeds=2, max_seeds=2, confirm=1)
    wanted = found.missing
    assert [(run.contender, run.part, run.seed) for run in wanted] == [
        (name, "race", seed) for seed in range(2) for name in ("trial 0", DEFAULT)
    ]
    rows = [
        replace(made.failed(number), run=found.run_of(run), diverged=diverged)
        for number, (run, diverged) in enumerate(zip(wanted, (True, False), strict=False))
    ]
    after = found.with_rows(rows)
    assert after.contenders[0].race == {0: None}, "it diverged, which is a result"
    assert after.contenders[1].race == {}
    assert wanted[1] in after.missing
    assert after.verdict is None


def test_the_verdict_has_the_test_metrics_of_its_answer_over_the_seeds_that_chose_nothing() -> None:
    found = chosen(facts([trial(0, 0.9, dropout=0.1)]), seeds=2, max_seeds=2, confirm=2)
    rows: list[Entry] = []
    while found.missing:
        for run in found.missing:
            value = 0.9 + 0.001 * run.seed + (0.05 if run.contender == "trial 0" else 0)
            outcome = made.result([value], test={"test_accuracy": value - 0.1})
            facts_of = {"run": found.run_of(run), "result": outcome, "value": value}
            rows.append(made.trial(len(rows), **facts_of))
        found = found.with_rows(rows)
    verdict = found.verdict
    assert verdict is not None
    assert verdict.answer is not None
    answer = verdict.of(verdict.answer)
    assert answer.confirmed is not None
    assert verdict.test["test_accuracy"].value == pytest.approx(answer.confirmed.value - 0.1)
    assert verdict.test["test_accuracy"].seeds == 2
    assert verdict.runs == 8
