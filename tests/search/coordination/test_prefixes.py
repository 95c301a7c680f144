"""Nothing is trained twice, nor the beginning of anything: what is on record is read off or gone on from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.run.config import RunConfig
from pipeline.run.digests import history_digest
from pipeline.run.result import State
from search.coordination.prefixes import Prefixes, epochs_in
from search.study.parse import parse
from search.study.space import replaced
from search.study.vocabulary import Entry
from search.trial_table.weights import WeightStore
from tests.conftest import MakeRunConfig
from tests.search.fakes import run_result

WORKER = {"device": "cpu", "threads": "1", "version.python": "3.11", "data.digest": "d"}
VALUES = [0.1, 0.9, 0.8, 0.7]


@pytest.fixture
def run(run_config: MakeRunConfig) -> RunConfig:
    return run_config("train.epochs=4", "model.dropout=0.3")


def entry(
    run: RunConfig, number: int = 3, worker: Mapping[str, str] = WORKER, **changes: Any
) -> Entry:
    result = run_result(VALUES[: run.train.epochs], **changes)
    facts = {"value": result.value, "result": result, "history": result.history}
    return Entry(number, "uid", "complete", {}, 1.0, run, worker=worker, **facts)  # type: ignore[arg-type]


def of(run: RunConfig, **changes: Any) -> RunConfig:
    return replaced(run, {f"train.{name}": value for name, value in changes.items()})


def prefixes(*entries: Entry, worker: Mapping[str, str] | None = WORKER) -> Prefixes:
    found = Prefixes((1, 2, 4), entries)
    if worker is not None:
        found.began({**worker, "worker": "1", "user": "somebody"})
    return found


def test_the_same_run_is_not_trained_twice(run: RunConfig) -> None:
    known = prefixes(entry(run)).known(run)
    assert known is not None
    assert (known.number, known.worker, known.same) == (3, WORKER, True)
    assert known.result.value == 0.9
    assert set(known.result.timings.values()) == {0.0}, "it cost nothing"


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"batch_size": 64}, {"learning_rate": 0.5}, {"patience": 2}]
)
def test_another_run_is_another_run(run: RunConfig, change: dict[str, Any]) -> None:
    assert prefixes(entry(run)).known(of(run, **change)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("threads", "2"), ("version.python", "3.12"), ("data.digest", "e"), ("env.XLA_FLAGS", "x")],
)
def test_what_another_environment_trained_is_left_alone(
    run: RunConfig, name: str, value: str, tmp_path: Path
) -> None:
    store = WeightStore(tmp_path)
    store.save_state(3, State(4, [np.zeros(1)], [np.zeros(1)]))
    found = prefixes(entry(run, worker={**WORKER, name: value}))
    assert found.known(run) is None
    assert found.start(of(run, epochs=9), store) is None
    assert prefixes(entry(run), worker=None).known(run) is None, "no worker was heard of"


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({}, True),
        ({"weight_decay": 0.1}, True),
        ({"schedule": "cosine"}, False),
        ({"schedule": "step"}, False),
        ({"warmup_epochs": 1}, False),
        ({"schedule": "cosine", "schedule_epochs": 9}, True),
    ],
)
def test_a_run_whose_schedule_takes_all_its_epochs_is_nobodys_beginning(
    run: RunConfig, settings: dict[str, Any], begins: bool, tmp_path: Path
) -> None:
    run = of(run, **settings)
    store = WeightStore(tmp_path)
    store.save_state(3, State(4, [np.zeros(1)], [np.zeros(1)]))
    found = prefixes(entry(run))
    assert (found.known(of(run, epochs=2)) is not None) == begins
    assert (found.start(of(run, epochs=9), store) is not None) == begins
    assert (found.milestones(run) == (1, 2)) == begins
    same = found.known(run)
    assert same is not None
    assert same.same, "the same run is the same run"


@pytest.mark.parametrize("state", ["failed", "pruned", "running"])
def test_what_is_not_complete_shows_nothing(run: RunConfig, state: Any) -> None:
    assert prefixes(replace(entry(run), state=state)).known(run) is None


def test_a_shorter_run_is_read_off_where_the_best_epoch_is_in_it(run: RunConfig) -> None:
    found = prefixes(entry(run))
    for epochs in (2, 3):
        known = found.known(of(run, epochs=epochs))
        assert known is not None
        assert (known.result.value, known.result.best_epoch) == (0.9, 2)
        assert not known.same
        assert [epoch.epoch for epoch in known.result.history] == list(range(1, epochs + 1))
        assert known.result.history_digest == history_digest(known.result.history)
    assert found.known(of(run, epochs=1)) is None, "its weights are not those of epoch 2"


def test_of_the_last_epoch_only_a_milestone_tells(run_config: MakeRunConfig) -> None:
    run = run_config("train.epochs=4", "objective.select=last")
    two = run_result(VALUES[:2], value=0.9, best_epoch=2)
    found = prefixes(entry(run, shorter={2: two}))
    known = found.known(of(run, epochs=2))
    assert known is not None
    assert known.result == replace(two, timings=dict.fromkeys(two.timings, 0.0))
    assert found.known(of(run, epochs=3)) is None


def test_a_run_that_stopped_early_is_any_longer_one(run: RunConfig) -> None:
    patient = of(run, patience=2)
    found = prefixes(entry(patient, stop="early_stopped"))
    for epochs, stop in ((4, "completed"), (9, "early_stopped")):
        known = found.known(of(patient, epochs=epochs))
        assert known is not None
        assert (known.result.stop, len(known.result.history)) == (stop, 4)


def test_a_longer_run_goes_on_from_the_longest_that_is_kept(run: RunConfig, tmp_path: Path) -> None:
    store = WeightStore(tmp_path)
    two, one = entry(of(run, epochs=2)), entry(of(run, epochs=1), number=1)
    found = prefixes(one, two)
    assert found.start(run, store) is None, "nothing is kept"
    store.save_state(1, State(1, [np.ones(2)]))
    number, state = found.start(run, store) or (None, None)
    assert number == 1
    store.save_state(3, State(2, [np.ones(2)]))
    number, state = found.start(run, store) or (None, None)
    assert (number, state.history) == (3, two.history)  # type: ignore[union-attr]
    number, _ = found.start(of(run, epochs=2), store) or (None, None)
    assert number == 1, "what is no shorter is no beginning"


def test_without_the_weights_of_its_best_epoch_nothing_goes_on(
    run: RunConfig, tmp_path: Path
) -> None:
    """As the version before kept a state."""
    store = WeightStore(tmp_path)
    found, longer = prefixes(entry(run)), of(run, epochs=9)
    store.save_state(3, State(4, [np.ones(2)]))
    assert found.start(longer, store) is None
    store.save_state(3, State(4, [np.ones(2)], [np.ones(1)]))
    assert found.start(longer, store) is not None


@pytest.mark.parametrize(
    ("train", "model", "epochs"),
    [
        ({"epochs": [2, 4, 8]}, {}, (2, 4, 8)),
        ({"epochs": {"low": 2, "high": 6, "step": 2}, "seed": [0, 1]}, {}, (2, 4, 6)),
        ({"epochs": [2, 4]}, {"dropout": {"low": 0.0, "high": 0.5}}, ()),
        ({"seed": [0, 1]}, {}, ()),
    ],
)
def test_epochs_count_where_a_configuration_can_come_twice(
    run: RunConfig, train: dict[str, Any], model: dict[str, Any], epochs: tuple[int, ...]
) -> None:
    tree = {key: value for key, value in (("train", train), ("model", model)) if value}
    assert epochs_in(parse(tree, run)) == epochs


def test_milestones_are_shorter_and_few(run: RunConfig) -> None:
    assert prefixes().milestones(run) == (1, 2)
    assert Prefixes(range(1, 30)).milestones(of(run, epochs=20)) == ()
    assert not Prefixes(()).keep_states
    assert prefixes().keep_states
