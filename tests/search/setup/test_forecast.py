"""A forecast from a configuration: what is measured, once, and what is said of the rest of a study."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from pipeline.data import load
from search.forecasting.words import duration, seconds_in
from search.setup import forecast
from search.setup.forecast import foretold, told_to_schedule
from search.setup.read import Setup
from search.trial_table.trials import TrialTable
from search.workers.messages import LocalConfig, Started, Task
from tests.search.conftest import composed, setup_of, study_of
from tests.search.fakes import WORKER, FakeLauncher, Script, finished, trains
from tests.search.forecasting.machine import ended

DROPOUT: Mapping[str, Any] = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
WIDTHS: Mapping[str, Any] = {"model": {"hidden_units": [32, 64, 256]}, "train": {"seed": [0, 1]}}


@pytest.fixture(autouse=True)
def launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FakeLauncher]:
    """Those that were made to measure; their workers are not processes. In an empty folder."""
    made: list[FakeLauncher] = []

    def launcher(_: LocalConfig, __: object, workers: int, *___: object) -> FakeLauncher:
        made.append(FakeLauncher(trains, workers))
        return made[-1]

    monkeypatch.setattr(forecast, "launcher_for", launcher)
    monkeypatch.chdir(tmp_path)
    return made


def told(*overrides: str, space: Mapping[str, Any] = DROPOUT) -> list[str]:
    """The forecast of a study of digits, where it has two workers."""
    words = ("launcher.workers=2", "pruner=none", "sampler=random", *overrides)
    return foretold(setup_of(*words, space=space), composed(*words))


def said(lines: list[str], what: str) -> str:
    (line,) = [line for line in lines if line.strip().startswith(what)]
    return line.strip().removeprefix(what).strip()


def test_the_second_forecast_measures_nothing(
    launchers: list[FakeLauncher], tmp_path: Path
) -> None:
    first = told()
    assert len(launchers) == 1
    assert sorted(path.name for path in (tmp_path / "mlruns").iterdir()) == [
        "measured.json",
        "measured.json.lock",
    ]
    assert said(told(), "wall time") == said(first, "wall time")
    assert len(launchers) == 1
    told("study.trials=99", "study.name=other")
    assert len(launchers) == 1, "the same space"
    told("forecast.fresh=true")
    assert len(launchers) == 2
    told("launcher.workers=3")
    assert len(launchers) == 3, "as many at once were not measured"


def test_one_is_one() -> None:
    lines = told("study.trials=1", "launcher.workers=1", space=WIDTHS)
    assert lines[0] == "test: 1 trial to come, with 1 worker."


def test_everything_that_is_asked_of_a_study_is_said() -> None:
    lines = told("study.trials=6", "study.max_seconds=3600", space=WIDTHS)
    assert lines[0] == "test: 6 trials to come, with 2 workers."
    assert re.fullmatch(r"[\d.]+ s \(80 %: [\d.]+ s to [\d.]+ s\)", said(lines, "wall time"))
    assert "model.hidden_units=256" in said(lines, "the dearest")
    assert "model.hidden_units=32" in said(lines, "the cheapest")
    assert float(said(lines, "trials per hour")) > 0
    assert said(lines, "memory")
    assert "MiB of weights" in said(lines, "disk")
    assert said(lines, "launches") == "1 of 60 min (study.max_seconds)"
    assert said(lines, "2 workers") == said(lines, "wall time")
    assert said(lines, "1 worker ")
    assert "every trial trains all its epochs" in "\n".join(lines)
    assert all(len(line) <= 80 for text in lines for line in text.splitlines())


def test_more_trials_take_longer_and_pruned_ones_less() -> None:
    def seconds(*overrides: str) -> float:
        (number, unit), *_ = re.findall(
            r"([\d.]+) (s|min|h)", said(told("train.epochs=40", *overrides), "wall time")
        )
        return seconds_in(number, unit)

    few, many = seconds("study.trials=9"), seconds("study.trials=90000")
    assert few < many
    assert seconds("study.trials=9000", "pruner=median") < many
    assert "of all epochs are trained" in "\n".join(told("pruner=median"))


def test_a_study_that_has_all_its_trials_has_nothing_to_be_told_of(
    launchers: list[FakeLauncher], url: str
) -> None:
    setup = _begun(url, "study.trials=2")
    assert foretold(setup, composed()) == ["test: nothing left to do, it has its 2 trials."]
    assert launchers == []


def test_of_a_study_that_began_the_rest_is_told(url: str) -> None:
    setup = _begun(url, "study.trials=7")
    lines = foretold(setup, composed())
    assert lines[0] == "test: 5 trials to come, with 2 workers."
    assert TrialTable.load(url, "test").entries()[0].state == "complete"


def test_the_same_study_with_another_space_is_refused(url: str) -> None:
    _begun(url, "study.trials=7")
    with pytest.raises(ConfigError, match="exists with other settings"):
        told(f"storage.url={url}", space=WIDTHS)


def test_of_a_network_of_ones_own_it_says_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trains_it(task: Task) -> Script:
        yield Started(task.number, dict(WORKER))
        yield finished(task, [0.5, 0.6])

    monkeypatch.setattr(forecast, "check_network", lambda *_: None)
    monkeypatch.setattr(forecast, "launcher_for", lambda *_: FakeLauncher(trains_it, 2))
    own = ("model=custom", "model.build=mine.network:build", "model.settings.filters=4")
    lines = told(*own, space={"model": {"settings": {"filters": [4, 8]}}})
    words = " ".join(" ".join(lines).split())
    assert "weights of a network of one's own are not counted" in words
    assert "mine.network:build takes what its measured runs took" in words
    assert all(len(line) <= 80 for line in "\n".join(lines).splitlines())


def test_of_a_network_of_the_house_it_knows_what_is_in_it() -> None:
    assert "whatever its settings" not in " ".join(told())


@pytest.mark.parametrize("hours", [6.0, 1e-9])
def test_a_schedule_is_told_how_many_launches_it_takes(hours: float) -> None:
    setup = setup_of("launcher.workers=2", "pruner=none", space=DROPOUT)
    assert told_to_schedule(setup, 3600 * hours) is None, "nothing was measured yet"
    told()
    words = told_to_schedule(setup, 3600 * hours) or ""
    assert ("1 launch " in words) == (hours == 6.0)
    assert words.startswith("warning: a trial takes ") == (hours < 1)


@pytest.mark.parametrize("seconds", [0.0, 1.26, 9.99, 42.0, 99.4, 130.0, 1500.0, 90_000.0])
def test_a_time_is_said_to_two_digits(seconds: float) -> None:
    number, unit = duration(seconds).split()
    assert seconds_in(number, unit) == pytest.approx(seconds, rel=0.05)


def _begun(url: str, *overrides: str) -> Setup:
    """A study with two trials that ended."""
    words = (f"storage.url={url}", "launcher.workers=2", "pruner=none", *overrides)
    setup = setup_of(*words, space=DROPOUT)
    data = load(setup.run.data)
    table = TrialTable.open(url, study_of(setup, data.digest))
    study = study_of(setup, data.digest)
    table.describe(study.about("a: 1\n", "x"))
    for number in range(2):
        engine = setup.make_engine(table.entries(), 2)
        (suggestion,) = engine.ask(1).trials  # type: ignore[union-attr]
        entry = table.create(suggestion, setup.space)
        run = setup.space.apply(setup.run, suggestion.params)
        begun = table.start(number, run, entry.attempts)
        result = ended(number, 3.0, run).result
        assert result is not None
        table.complete(begun, result, {})
    return setup
