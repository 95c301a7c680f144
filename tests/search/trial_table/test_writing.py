"""What is written into Optuna's tables at once is what Optuna itself would have written, field by field."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.command.errors import StorageError
from search.trial_table.storage import open_storage
from search.trial_table.writing import Storage

PARAMS: dict[str, tuple[Any, Any]] = {
    "model.dropout": (0.25, FloatDistribution(0.0, 0.5)),
    "train.learning_rate": (1e-3, FloatDistribution(1e-4, 1e-2, log=True)),
    "model.depth": (2, IntDistribution(1, 3)),
    "model.hidden_units": ("[64, 32]", CategoricalDistribution(["[64]", "[64, 32]"])),
}
ATTRIBUTES = {"plan": {"epochs": None}, "notes": {"ü": [1, 2.5, None]}}
CURVE = {1: 0.5, 2: math.nan, 3: math.inf}


def suggested(attributes: dict[str, Any], params: dict[str, tuple[Any, Any]]) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params={name: value for name, (value, _) in params.items()},
        distributions={name: kind for name, (_, kind) in params.items()},
        user_attrs=attributes,
    )


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(f"sqlite:///{tmp_path / 'studies.db'}")


def study_in(storage: Storage, name: str = "ours", directions: int = 1) -> int:
    direction = optuna.study.StudyDirection.MAXIMIZE
    return storage.create_new_study([direction] * directions, name)


def fields(trial: FrozenTrial) -> dict[str, Any]:
    """All of it but what the clock says, and which row it is."""
    shown = {name: repr(value) for name, value in vars(trial).items()}
    for name in ("_trial_id", "_datetime_start", "datetime_complete"):
        shown[name] = str(getattr(trial, name) is not None)
    return shown


@pytest.mark.parametrize("params", [PARAMS, {}], ids=["four parameters", "none"])
@pytest.mark.parametrize(
    ("state", "values"),
    [
        (TrialState.COMPLETE, [0.98]),
        (TrialState.COMPLETE, [0.98, 118282.0]),
        (TrialState.COMPLETE, [math.inf]),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
    ],
)
def test_a_trial_reads_as_if_optuna_had_written_it(
    storage: Storage, params: Any, state: TrialState, values: list[float] | None
) -> None:
    frozen = suggested(ATTRIBUTES, params)
    ours, theirs = (study_in(storage, name, len(values or [0])) for name in ("ours", "theirs"))
    mine = storage.create(ours, 0, frozen)
    storage.annotate(mine, {"start": 1})
    storage.annotate(mine, {"start": 2})
    storage.end(mine, state, values, {"end": {"at": 1.5}}, CURVE)
    its = storage.create_new_trial(theirs, frozen)
    for key, value in {"start": 2, "end": {"at": 1.5}}.items():
        storage.set_trial_user_attr(its, key, value)
    for step, value in CURVE.items():
        storage.set_trial_intermediate_value(its, step, value)
    storage.set_trial_state_values(its, state, values)
    assert fields(storage.get_trial(mine)) == fields(storage.get_trial(its))
    begun, other = (storage.get_trial(each).datetime_start for each in (mine, its))
    assert begun is not None
    assert other is not None
    assert abs((begun - other).total_seconds()) < 60  # one clock, one time zone


def test_a_number_that_is_taken_is_told_and_nothing_is_written(storage: Storage) -> None:
    study = study_in(storage)
    assert storage.create(study, 0, suggested({"plan": 1}, PARAMS)) == 1
    with pytest.raises(StorageError, match="trial 0 became trial 1: another program writes"):
        storage.create(study, 0, suggested({"plan": 1}, PARAMS))
    assert len(storage.get_all_trials(study)) == 1


def test_a_trial_that_another_program_ended_keeps_its_end(storage: Storage) -> None:
    trial = storage.create(study_in(storage), 0, suggested({"plan": 1}, PARAMS))
    storage.set_trial_state_values(trial, TrialState.FAIL)
    with pytest.raises(StorageError, match="does not run any more: another program writes"):
        storage.end(trial, TrialState.COMPLETE, [0.5], {"end": 1}, CURVE)
    kept = storage.get_trial(trial)
    assert (kept.state, kept.user_attrs, kept.intermediate_values) == (
        TrialState.FAIL,
        {"plan": 1},
        {},
    )
