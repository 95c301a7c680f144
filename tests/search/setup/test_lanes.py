"""Lanes where there can be none are refused before anything is created."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.command.errors import ConfigError
from search.machine.gpus import Gpu
from search.setup import means
from search.setup.finalists import _estimator, _what_is_to_come
from search.setup.means import check_lanes, check_loops, looked_at, number_of_workers, trained_so
from search.setup.replay import _check_lanes
from search.study.space import replaced
from search.trial_table.trials import TrialTable
from tests.search import made
from tests.search.conftest import setup_of
from tests.search.verdicts import compared

RATES: dict[str, Any] = {"train": {"learning_rate": [0.1, 0.2]}}
LOOPS: dict[str, Any] = {"train": {"loop": ["auto", "keras"]}}


@pytest.fixture(autouse=True)
def _jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")


def test_trials_that_keras_trains_one_at_a_time_have_no_lanes() -> None:
    for setup in (
        setup_of("launcher.lanes=4", "train.loop=keras", space=RATES),
        setup_of("launcher.lanes=4", space=LOOPS),
    ):
        with pytest.raises(
            ConfigError, match=r"^launcher\.lanes: expected 1 with train.loop=keras"
        ):
            check_lanes(setup, forecasts=False)
    check_lanes(setup_of("train.loop=keras", space=RATES), forecasts=False)


def test_seconds_in_company_are_no_objective() -> None:
    words = ("objective.cost=train_seconds", "pruner=none")
    with pytest.raises(
        ConfigError, match=r"^launcher\.lanes: .* objective.cost=train_seconds, got 4"
    ):
        check_lanes(setup_of("launcher.lanes=4", *words, space=RATES), forecasts=False)
    check_lanes(setup_of(*words, space=RATES), forecasts=False)


def test_a_forecast_knows_no_lanes() -> None:
    setup = setup_of("launcher.lanes=4", space=RATES)
    check_lanes(setup, forecasts=False)
    with pytest.raises(ConfigError, match=r"^launcher\.lanes: expected 1 for a forecast, got 4"):
        check_lanes(setup, forecasts=True)


WORKERS: list[dict[str, str]] = [
    {},
    {"backend": "jax", "threads": "1"},
    {"backend": "jax", "threads": "1", "lanes": "4"},
    {"backend": "tensorflow", "threads": "1"},
    {"backend": "jax", "threads": "2"},
]


@pytest.mark.parametrize(("lanes", "alike"), [(1, [0, 1]), (4, [2])])
def test_the_times_of_trials_on_other_workers_say_nothing(lanes: int, alike: list[int]) -> None:
    entries = [made.trial(n, worker=worker) for n, worker in enumerate(WORKERS)]
    config = setup_of(f"launcher.lanes={lanes}", space=RATES).launcher
    assert [entry.number for entry in trained_so(entries, config)] == alike


@pytest.mark.parametrize(("lanes", "known"), [(1, True), (4, False)])
def test_trials_of_another_width_say_nothing_of_how_long_finalists_take(
    lanes: int, known: bool
) -> None:
    finalists, rows = compared(), cast("TrialTable", SimpleNamespace(entries=list))
    config = setup_of(f"launcher.lanes={lanes}", space=RATES).launcher
    told = _what_is_to_come(finalists, 8, "WORKERS", _estimator(finalists, rows, config))[-1]
    assert ("how long is not known, with WORKERS." in told) == (not known)
    assert told.endswith("with WORKERS.")


def test_finalists_that_keras_trains_one_at_a_time_have_no_lanes() -> None:
    lanes, alone = (
        setup_of(word, space=RATES).launcher for word in ("launcher.lanes=4", "launcher.lanes=1")
    )
    with pytest.raises(ConfigError, match=r"^launcher\.lanes: .* train.loop=keras, got 4"):
        check_loops(lanes, {"auto", "keras"})
    check_loops(alone, {"keras"})


@pytest.mark.parametrize(
    ("backend", "loop", "what"),
    [("tensorflow", "auto", "tensorflow"), ("jax", "keras", "train.loop=keras")],
)
def test_a_run_that_can_have_no_lanes_is_not_replayed_in_some(
    backend: str, loop: str, what: str
) -> None:
    entry = made.trial(
        3, run=replaced(made.BASE, {"train.loop": loop}), worker={"backend": backend}
    )
    lanes, alone = (setup_of(f"launcher.lanes={n}", space=RATES).launcher for n in (4, 1))
    with pytest.raises(ConfigError, match=f"expected 1 for run 3, which has {what}, got 4"):
        _check_lanes(lanes, [entry])
    _check_lanes(alone, [entry])
    _check_lanes(lanes, [made.trial(1, worker={"backend": "jax"})])


def test_as_many_trials_run_at_once_as_workers_have_lanes() -> None:
    setup = setup_of("launcher.lanes=4", "launcher.workers=3", space=RATES)
    assert number_of_workers(setup.launcher, ()) == 12


def test_lanes_to_be_found_are_settled_as_the_ground_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(means, "gpus_of", lambda _: [Gpu("0", "A card", 80_000, 0)])
    words = ("launcher.lanes=auto", "study.trials=40")
    setup, _, _, gpus = looked_at(setup_of(*words, space=RATES))
    assert number_of_workers(setup.launcher, gpus) == 8
    with pytest.raises(ConfigError, match=r"^launcher\.lanes: expected 1 for a forecast, got 8"):
        looked_at(setup_of(*words, "study.forecast=true", space=RATES))
    monkeypatch.setattr(means, "gpus_of", lambda _: [])
    setup, _, _, gpus = looked_at(setup_of(*words, "launcher.workers=2", space=RATES))
    assert number_of_workers(setup.launcher, gpus) == 2
