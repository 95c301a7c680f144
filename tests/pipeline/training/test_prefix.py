"""A run of fewer epochs is the beginning of one of more, to the same bits, however the two come about."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from pipeline.data import Dataset
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, Outcome, RunResult
from pipeline.training.execute import execute
from search.trial_table.weights import WeightStore
from tests.conftest import MakeRunConfig

_OF_TIME = {"timings", "examples_per_second", "system", "shorter"}
HIGH = "train.learning_rate=0.05"  # so that the best epoch is not the last one


def never(_: EpochMetrics) -> bool:
    return False


@pytest.fixture(params=["best", "last"])
def run(request: pytest.FixtureRequest, run_config: MakeRunConfig) -> RunConfig:
    small = ("model.hidden_units=16", "model.depth=1", "model.dropout=0.3", "train.batch_size=64")
    return run_config(*small, HIGH, "train.epochs=6", f"objective.select={request.param}")


def of(run: RunConfig, epochs: int) -> RunConfig:
    return run.model_copy(update={"train": run.train.model_copy(update={"epochs": epochs})})


def numbers(result: RunResult) -> dict[str, object]:
    """All but times."""
    found = {each.name: getattr(result, each.name) for each in fields(result)}
    history = [(epoch.epoch, dict(epoch.metrics)) for epoch in result.history]
    return {name: found[name] for name in found.keys() - _OF_TIME} | {"history": history}


@pytest.mark.parametrize("loop", ["auto", pytest.param("keras", marks=pytest.mark.slow)])
def test_a_longer_run_shows_what_shorter_ones_come_to(
    run: RunConfig, digits: Dataset, loop: str
) -> None:
    run = run.model_copy(update={"train": run.train.model_copy(update={"loop": loop})})
    whole = execute(run, digits, never).result
    with_others = execute(run, digits, never, None, (1, 3, 4)).result
    assert numbers(with_others) == numbers(whole)
    assert list(with_others.shorter) == [1, 3, 4]
    for epochs, result in with_others.shorter.items():
        assert numbers(result) == numbers(execute(of(run, epochs), digits, never).result)


@pytest.mark.parametrize("behind", [1, 3, 5])
def test_a_longer_run_goes_on_from_a_shorter_one(
    run: RunConfig, digits: Dataset, tmp_path: Path, behind: int
) -> None:
    whole = execute(run, digits, never)
    short = execute(of(run, behind), digits, never)
    store = WeightStore(tmp_path)
    store.save_state(7, short.state)
    kept = store.state(7)
    assert kept is not None
    told: list[int] = []

    def on_epoch(epoch: EpochMetrics) -> bool:
        told.append(epoch.epoch)
        return False

    start = replace(kept, history=short.result.history)
    rest = execute(run, digits, on_epoch, start, (4,))
    assert told == list(range(behind + 1, 7)), "what is behind it is not trained again"
    assert numbers(rest.result) == numbers(whole.result)
    assert weights(rest) == weights(whole)
    if behind < 4:
        assert numbers(rest.result.shorter[4]) == numbers(execute(of(run, 4), digits, never).result)


def weights(outcome: Outcome) -> list[bytes]:
    return [array.tobytes() for array in outcome.weights]


def test_patience_counts_what_is_behind(run: RunConfig, digits: Dataset) -> None:
    patient = run.model_copy(update={"train": run.train.model_copy(update={"patience": 2})})
    whole = execute(of(patient, 12), digits, never).result
    assert whole.stop == "early_stopped"
    ended = len(whole.history)
    short = execute(of(patient, ended - 1), digits, never)
    start = replace(short.state, history=short.result.history)
    assert numbers(execute(of(patient, 12), digits, never, start).result) == numbers(whole)
