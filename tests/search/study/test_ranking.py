"""Who is best: nothing that can't be compared is ranked, and the seed is no knob to win with."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from pipeline.run.comparable import EFFECTS, spoils
from pipeline.run.config import METRICS, ObjectiveConfig, RunConfig
from search.analysis.confidence import sentences
from search.analysis.leaderboard import as_csv, as_markdown, summary
from search.artifacts.candidate import candidate, standing_of
from search.plots.course import best_so_far
from search.study.endings import MET
from search.study.parse import parse
from search.study.ranking import SEED, Ranking
from search.study.space import Choices, Space, replaced
from search.study.vocabulary import Entry
from search.telling.summary import SummaryFile
from tests.search import made
from tests.search.analysis.test_leaderboard import printed
from tests.search.telling.test_progress import Screen
from tests.search.telling.test_runs import best_curve, entry, failed, records

MAXIMIZE = ObjectiveConfig(metric="val_accuracy", direction="maximize", select="best")
MINIMIZE = ObjectiveConfig(metric="val_loss", direction="minimize", select="best")

# What can't be compared.

TWO: Mapping[str, Any] = {
    "model.hidden_units": [8, 16],
    "model.depth": [1, 2],
    "model.dropout": [0.0, 0.5],
    "model.activation": ["relu", "tanh"],
    "model.l1": [0.0, 0.1],
    "model.l2": [0.0, 0.1],
    "train.optimizer": ["sgd", "rmsprop"],
    "train.learning_rate": [0.1, None],
    "train.momentum": [0.0, 0.5],
    "train.batch_size": [8, 16],
    "train.epochs": [2, 3],
    "train.validation_split": [0.1, 0.2],
    "train.loss": ["mse", "categorical_crossentropy"],
    "train.patience": [2, None],
    "train.min_delta": [0.0, 0.1],
    "train.seed": [0, 1],
    "train.precision": ["float32", "mixed_bfloat16"],
    "train.loop": ["auto", "keras"],
    "train.weight_decay": [0.1, None],
    "train.schedule": ["none", "step"],
    "train.warmup_epochs": [0, 1],
    "train.schedule_epochs": [30, None],
}
"""Two values of every setting that can be searched."""


def judged_by(run_config: Callable[..., RunConfig], metric: str, *overrides: str) -> RunConfig:
    direction = "minimize" if "loss" in metric else "maximize"
    objective = (f"objective.metric={metric}", f"objective.direction={direction}")
    return run_config("train.optimizer=sgd", *objective, *overrides)


def tree_of(path: str, leaf: Any) -> dict[str, Any]:
    section, name = path.split(".")
    return {section: {name: leaf}}


def test_the_table_below_has_every_setting_that_can_be_searched() -> None:
    assert set(TWO) == {path for path in EFFECTS if path.split(".")[0] in ("model", "train")}


@pytest.mark.parametrize(("path", "metric"), list(itertools.product(TWO, METRICS)))
def test_a_space_whose_trials_can_not_be_compared_is_refused_with_the_remedy(
    run_config: Callable[..., RunConfig], path: str, metric: str
) -> None:
    base = judged_by(run_config, metric)
    reason = spoils(path, metric)
    if reason is None:
        assert list(parse(tree_of(path, TWO[path]), base).dimensions) == [path]
        return
    with pytest.raises(ConfigError) as caught:
        parse(tree_of(path, TWO[path]), base)
    assert str(caught.value).startswith(f"study.space.{path}: can't vary")
    assert reason in str(caught.value)
    if spoils(path, "val_accuracy") is None:
        remedy = "objective.metric=val_accuracy objective.direction=maximize"
        assert f"(set {remedy}, or leave it out)" in str(caught.value)
        parse(tree_of(path, TWO[path]), run_config("train.optimizer=sgd", *remedy.split()))


def test_without_validation_rows_the_remedy_asks_for_some(
    run_config: Callable[..., RunConfig],
) -> None:
    base = judged_by(run_config, "accuracy", "train.validation_split=0.0")
    with pytest.raises(
        ConfigError, match=r"direction=maximize train\.validation_split=0\.2, or leave"
    ):
        parse(tree_of("model.dropout", {"low": 0.0, "high": 0.5}), base)


def test_a_penalty_that_is_always_the_same_may_stand_in_a_space(
    run_config: Callable[..., RunConfig],
) -> None:
    base = judged_by(run_config, "val_loss")
    assert parse(tree_of("model.l2", [0.1]), base)
    seldom = {
        "model": {"l2": {"choices": [0.1], "when": {"train.optimizer": "sgd"}}},
        "train": {"optimizer": ["sgd", "adam"]},
    }
    with pytest.raises(ConfigError, match=r"model\.l2: can't vary with objective\.metric=val_loss"):
        parse(seldom, base)


PENALTIES = Space({"model.l2": Choices((0.0, 0.1))})


def incomparable() -> list[Entry]:
    """Trials of a study by validation loss that the version before let through."""
    runs = [replaced(made.BASE, {"model.l2": l2}) for l2 in (0.0, 0.1)]
    return [
        made.trial(n, 0.9, PENALTIES, params={"model.l2": 0.1 * n}, run=r)
        for n, r in enumerate(runs)
    ]


def test_a_study_on_record_whose_trials_can_not_be_compared_has_no_best_one() -> None:
    entries = incomparable()
    facts = made.facts(entries, PENALTIES, objective=MINIMIZE)
    (said,) = sentences(facts)
    assert said.startswith(
        "Nothing: model.l2 differs from trial to trial, and the penalty is a part"
    )
    about = made.about(PENALTIES, objective=MINIMIZE)
    with pytest.raises(
        ConfigError, match=r"differ in model\.l2, .*name the one to export: trial=NUMBER"
    ):
        candidate(about, entries, None, None)
    assert candidate(about, entries, None, 1).entry is entries[1]


def test_a_model_stays_where_the_new_one_was_measured_by_another_formula() -> None:
    one, other = (Ranking(MINIMIZE, [each])[0] for each in incomparable())
    about = made.about(PENALTIES, objective=MINIMIZE)
    reason = standing_of(about, one).reason_to_stay(standing_of(about, other))
    assert reason == (
        "its val_loss is of model.l2=0.0, the new one's of 0.1, and the penalty is a part of the loss"
    )
    by_accuracy = made.about(PENALTIES)
    assert standing_of(by_accuracy, one).reason_to_stay(standing_of(by_accuracy, other)) is None


# The seed.

LUCKY, STEADY = 0.2, 0.4
SEEDED = Space({"model.dropout": Choices((LUCKY, STEADY)), SEED: Choices((0, 1, 2))})
VALUES = {
    (LUCKY, 0): 0.99,
    (LUCKY, 1): 0.90,
    (LUCKY, 2): 0.91,
    (STEADY, 0): 0.95,
    (STEADY, 1): 0.94,
    (STEADY, 2): 0.97,
}


def seeded(*chosen: tuple[float, int]) -> list[Entry]:
    """Trials of dropout and seed, in order; the luckiest seed is one of the worse dropout."""
    return [
        made.trial(
            number,
            VALUES[dropout, seed],
            SEEDED,
            params={"model.dropout": dropout, SEED: seed},
            run=replaced(made.BASE, {"model.dropout": dropout, SEED: seed}),
        )
        for number, (dropout, seed) in enumerate(chosen or VALUES)
    ]


MEAN = pytest.approx((0.95 + 0.94 + 0.97) / 3)


def test_a_configuration_ranks_by_the_mean_over_its_seeds() -> None:
    best, second = Ranking(MAXIMIZE, seeded())
    assert (best.value, best.seeds, best.params) == (MEAN, 3, {"model.dropout": STEADY})
    assert best.spread == pytest.approx(0.015275, abs=1e-6)
    assert second.value == pytest.approx(2.8 / 3)
    # The trial that is nearest to the mean stands for it, the luckiest never.
    assert (best.entry.number, second.entry.number) == (3, 2)


@pytest.mark.parametrize("order", list(itertools.permutations(range(6)))[::37])
def test_the_ranking_is_the_same_in_whatever_order_trials_end(order: Sequence[int]) -> None:
    entries, grown = seeded(), Ranking(MAXIMIZE)
    for number in order:
        place = grown.place(entries[number])
        grown.add(entries[number])
        assert entries[number] in grown[place].trials
    assert list(grown) == list(Ranking(MAXIMIZE, entries))


def test_the_same_seed_again_measures_nothing_new() -> None:
    (only,) = Ranking(MAXIMIZE, seeded((LUCKY, 0), (LUCKY, 0), (LUCKY, 1)))
    assert (only.seeds, only.value) == (2, pytest.approx((0.99 + 0.90) / 2))


def test_another_budget_is_another_configuration() -> None:
    """Hyperband trains a configuration for 2 epochs, and the promoted ones for more."""
    short, long = seeded((LUCKY, 0), (LUCKY, 1))
    budgets = [replace(each, epochs=n) for each, n in ((short, 2), (long, 8))]
    assert len(Ranking(MAXIMIZE, budgets)) == 2


def test_where_the_seed_does_not_vary_equal_parameters_are_still_two_trials() -> None:
    twice = [entry(number, [0.5], params={"model.dropout": 0.1}) for number in (0, 1)]
    assert [each.entry.number for each in Ranking(MAXIMIZE, twice)] == [0, 1]


def test_weights_are_kept_of_all_seeds_of_the_best() -> None:
    assert sorted(Ranking(MAXIMIZE, seeded()).numbers(1)) == [3, 4, 5]


# Everything that names a best one goes by it.


def test_the_terminal_shows_means_spread_and_seeds() -> None:
    lines = printed(summary(seeded(), MAXIMIZE, "mine"))
    cells = [line.split() for line in lines if line.strip()[:1].isdigit() and "0.9" in line]
    assert cells[0][:5] == ["3", "0.4", "0.9533", "0.0153", "3"]
    assert cells[1][:5] == ["2", "0.2", "0.9333", "0.0493", "3"]
    best = "Best parameters (trial 3 is nearest to the mean of 3 seeds, standard deviation 0.0153):"
    assert lines[lines.index(best) + 1].strip() == "model.dropout=0.4"
    assert max(len(line) for line in lines if line != best) <= 80


def test_one_seed_has_no_spread_and_that_is_said() -> None:
    lines = printed(summary(seeded((LUCKY, 0)), MAXIMIZE, "mine"))
    assert "Best parameters (trial 0: one run, spread not measured):" in lines
    assert "not measured" in as_markdown(seeded((LUCKY, 0)), MAXIMIZE)


def test_the_table_for_machines_has_every_trial_and_its_configuration() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(seeded(), MAXIMIZE))))
    assert [row["trial"] for row in rows] == ["3", "4", "5", "0", "1", "2"]
    assert (rows[0]["val_accuracy"], rows[0][SEED], rows[0]["seeds"]) == ("0.95", "0", "3")
    assert float(rows[0]["mean"]) == MEAN
    assert "mean" not in as_csv([made.trial(0)], MAXIMIZE).splitlines()[0]


def test_the_summary_for_scripts_has_the_mean(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    SummaryFile(file, "test", 6, MAXIMIZE).write(MET, seeded(), None)
    (best,) = json.loads(file.read_text())["best"]
    assert (best["trial"], best["params"], best["seeds"]) == (3, {"model.dropout": STEADY}, 3)
    assert best["value"] == MEAN
    assert best["test"]["test_accuracy"] == pytest.approx(best["value"] - 0.005)


def test_the_study_in_mlflow_has_the_mean_and_its_curve() -> None:
    entries = seeded()
    record = records().of_study(entries, MET)
    assert record.tags["study.best_trial"] == "3"
    note = record.tags["mlflow.note.content"]
    spread = "trial 3 is nearest to the mean of 3 seeds, standard deviation 0.0153"
    assert f"Best: val_accuracy 0.9533 ({spread}), with" in note
    assert "```\nmodel.dropout=0.4\n```" in note
    curve = [value for _, value, _ in best_curve(records(), entries)]
    assert curve == pytest.approx([0.99, 0.945, 0.9333, 0.95, 0.945, 0.9533], abs=1e-4)
    assert [value for _, value in best_so_far(made.facts(entries, SEEDED))] == curve


def test_the_line_while_it_runs_has_the_mean() -> None:
    screen = Screen()
    for each in seeded():
        screen.progress.ended(each)
    assert "best 0.9900 (trial 0)" in screen.lines[0]
    assert "best 0.9533 (mean of 3 seeds)" in screen.lines[-1]


def test_the_report_tells_of_the_spread_and_of_what_the_mean_leaves_out() -> None:
    lost = [
        replace(made.failed(6), params={"model.dropout": STEADY, SEED: 3}),
        made.pruned(7, params={"model.dropout": STEADY, SEED: 4}),
    ]
    said = " ".join(sentences(made.facts([*seeded(), *lost], SEEDED)))
    assert (
        "The mean of the configuration of trial 3 leads the second, that of trial 2, by 0.0200."
        in said
    )
    assert "trained with 3 seeds, standard deviation 0.0153" in said
    assert "2 more seeds were stopped early or failed: the mean is flattered by that." in said
    once = " ".join(sentences(made.facts(seeded((LUCKY, 0)), SEEDED)))
    assert "trained with one seed: its spread was not measured" in once


def test_what_is_exported_is_not_the_luckiest_and_stands_by_its_mean() -> None:
    entries = seeded()
    about, ranking = made.about(SEEDED), Ranking(MAXIMIZE, entries)
    chosen = candidate(about, entries, None, None)
    assert chosen.entry.number == 3
    standing = chosen.standing
    assert (standing.value, standing.seeds) == (MEAN, 3)
    lucky = standing_of(about, ranking.of(entries[0]))
    assert standing.reason_to_stay(lucky) is not None
    assert lucky.reason_to_stay(standing) is None


def test_a_trial_that_does_not_rank_stands_for_itself() -> None:
    pruned = made.pruned(6, 0.99, params={"model.dropout": STEADY, SEED: 3})
    assert Ranking(MAXIMIZE, [*seeded(), pruned]).of(pruned).value == 0.99
    assert failed(0) not in [each.entry for each in Ranking(MAXIMIZE, [failed(0)])]
