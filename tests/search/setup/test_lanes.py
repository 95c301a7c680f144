"""Lanes where there can be none are refused before anything is created."""

from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from search.machine.gpus import Gpu
from search.setup import means
from search.setup.means import check_lanes, looked_at, number_of_workers
from tests.search.conftest import setup_of

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


def test_a_forecast_knows_no_lanes() -> None:
    setup = setup_of("launcher.lanes=4", space=RATES)
    check_lanes(setup, forecasts=False)
    with pytest.raises(ConfigError, match=r"^launcher\.lanes: expected 1 for a forecast, got 4"):
        check_lanes(setup, forecasts=True)


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
