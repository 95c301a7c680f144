"""What a person reads at the end of a study."""

import io
from typing import Any

import pytest
from rich.console import Console

from pipeline.run.config import ObjectiveConfig
from search.analysis.leaderboard import leaderboard, summary
from search.study.ranking import Ranking
from search.study.shown import shown
from search.study.vocabulary import Entry
from tests.search.fakes import run_result
from tests.search.telling.test_runs import entry, failed

MAXIMIZE = ObjectiveConfig(metric="val_accuracy", direction="maximize", select="best")
MINIMIZE = ObjectiveConfig(metric="val_loss", direction="minimize", select="best")


def printed(renderable: Any, width: int = 80) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False).print(renderable, crop=False)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def numbers(entries: list[Entry], objective: ObjectiveConfig) -> list[int]:
    return [each.entry.number for each in Ranking(objective, entries)]


@pytest.mark.parametrize(
    ("objective", "order"), [(MAXIMIZE, [2, 0, 3, 1]), (MINIMIZE, [1, 0, 3, 2])]
)
def test_trials_are_ranked_by_the_objective_and_equals_by_age(
    objective: ObjectiveConfig, order: list[int]
) -> None:
    entries = [entry(n, [value]) for n, value in enumerate([0.5, 0.2, 0.9, 0.5])]
    assert numbers(entries[::-1], objective) == order


def test_only_complete_trials_are_ranked() -> None:
    running = entry(2, state="running", value=None, result=None)
    entries = [entry(0, [0.9], state="pruned"), failed(1), running, entry(3, [0.1])]
    assert numbers(entries, MAXIMIZE) == [3]


def test_a_value_of_zero_is_a_value() -> None:
    entries = [entry(0, [0.5]), entry(1, [0.0])]
    assert numbers(entries, MINIMIZE) == [1, 0]


def test_the_test_accuracy_has_no_say_in_the_ranking() -> None:
    worse = run_result([0.5], test={"test_loss": 0.0, "test_accuracy": 1.0})
    entries = [entry(0, result=worse, value=0.5), entry(1, [0.6])]
    assert numbers(entries, MAXIMIZE) == [1, 0]


PARAMS = {
    "model.hidden_units": 128,
    "model.dropout": 0.21766119630913844,
    "train.learning_rate": 0.0006930123456789012,
}


def test_the_leaderboard_shows_values_whole_in_80_columns() -> None:
    entries = [entry(number, [0.5 + number / 100], params=PARAMS) for number in range(12)]
    lines = printed(leaderboard(entries, MAXIMIZE))
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert len(rows) == 10
    assert rows[0] == ["11", "128", "0.2177", "0.000693", "0.6100", "0.5490", "1", "0.1"]
    assert [row[0] for row in rows] == [str(number) for number in range(11, 1, -1)]


def test_the_leaderboard_of_seven_dimensions_fits_80_columns() -> None:
    params = PARAMS | {
        "model.depth": 3,
        "train.optimizer": "rmsprop",
        "train.batch_size": 128,
        "model.l2": 1.234e-05,
    }
    lines = printed(leaderboard([entry(0, [0.5], params=params)], MAXIMIZE))
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).split())
    assert all(
        f"{path.rpartition('.')[2]}={shown(value)}" in told for path, value in params.items()
    )


def test_the_summary_counts_trials_by_how_they_ended() -> None:
    pruned = entry(1, state="pruned")
    lines = printed(summary([entry(0), pruned, entry(2), failed(3)], MAXIMIZE, "mine"))
    assert lines[0] == "4 trials: 2 complete, 1 pruned, 1 failed"


def test_the_summary_gives_the_reason_of_a_failed_trial_in_one_line() -> None:
    lines = printed(
        summary([failed(3, "its worker was ended by SIGKILL\nmore\n")], MAXIMIZE, "mine")
    )
    assert "  trial 3 failed: its worker was ended by SIGKILL" in lines
    assert "more" not in lines


def test_a_failure_without_words_is_told_too() -> None:
    lines = printed(summary([failed(3, "")], MAXIMIZE, "mine"))
    assert lines[1] == "  trial 3 failed: no reason was recorded"


def test_the_summary_has_the_best_parameters_whole_in_one_line_and_says_that_they_are_of_one_run() -> (
    None
):
    params = {f"model.a_long_name_{number}": 0.1 for number in range(9)}
    entries = [entry(0, [0.4]), entry(1, [0.5], params=params)]
    lines = printed(summary(entries, MAXIMIZE, "mine"))
    place = lines.index("Best parameters (trial 1: one run, spread not measured):")
    assert lines[place + 1] == "  " + " ".join(f"{path}=0.1" for path in params)
    assert lines[-1] == "  python -m search.finalists study.name=mine"


def test_a_study_without_a_complete_trial_has_no_best_parameters() -> None:
    lines = printed(summary([failed(0)], MAXIMIZE, "mine"))
    assert not [line for line in lines if "Best" in line]
