"""Lanes where there can be none are refused before anything is created."""

from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from search.setup.means import check_lanes, number_of_workers
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
