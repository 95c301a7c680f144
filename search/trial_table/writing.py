"""A trial is written into Optuna's tables at once and whole: Optuna itself takes a query for each field."""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from pipeline.command.errors import StorageError

_TRIALS = models.TrialModel.__table__
_PARAMS = models.TrialParamModel.__table__
_ATTRIBUTES = models.TrialUserAttributeModel.__table__
_CURVES = models.TrialIntermediateValueModel.__table__
_VALUES = models.TrialValueModel.__table__

_TWO = "another program writes into this study (end it; the same command says what it left)"


class Storage(optuna.storages.RDBStorage):
    """Optuna's storage in an SQL database that holds trial tables. Each study has one writer."""

    def keep(self) -> None:
        """Look after the table; called now and then while a study runs. Raises where it is lost."""

    def create(self, study_id: int, number: int, frozen: FrozenTrial) -> int:
        """Write a new trial, the `number`th of its study; its id.

        Raises StorageError where that number is taken: another program writes into the study.
        """
        with self.engine.begin() as connection:
            row = {"number": number, "study_id": study_id, "state": frozen.state}
            begun = {"datetime_start": _utc(frozen.datetime_start)}
            inserted = connection.execute(_TRIALS.insert().values({**row, **begun}))
            trial_id = int(inserted.inserted_primary_key[0])  # type: ignore[index]  # there is one
            # After the insert, which others have to wait for.
            counted = sqlalchemy.select(sqlalchemy.func.count()).where(
                _TRIALS.c.study_id == study_id
            )
            if (there := connection.execute(counted).scalar_one() - 1) != number:
                raise StorageError(f"trial {number} became trial {there}: {_TWO}")
            params = [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": kind.to_internal_repr(frozen.params[name]),
                    "distribution_json": optuna.distributions.distribution_to_json(kind),
                }
                for name, kind in frozen.distributions.items()
            ]
            if params:
                connection.execute(_PARAMS.insert(), params)
            _write_attributes(connection, trial_id, frozen.user_attrs)
        return trial_id

    def annotate(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Write user attributes of a trial, over older ones."""
        with self.engine.begin() as connection:
            _write_attributes(connection, trial_id, attributes)

    def end(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
        curve: Mapping[int, float],
    ) -> None:
        """Write the end of a trial that runs, with what is known of it by then. `curve`: by step.

        Raises StorageError where it does not run any more: another program has ended it.
        """
        curves = [
            {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": stored,
                "intermediate_value_type": kind,
            }
            for step, value in curve.items()
            for stored, kind in [
                models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
            ]
        ]
        scores = [
            {"trial_id": trial_id, "objective": place, "value": stored, "value_type": kind}
            for place, value in enumerate(values or ())
            for stored, kind in [models.TrialValueModel.value_to_stored_repr(value)]
        ]
        now = datetime.datetime.now()
        ended = (
            _TRIALS.update()
            .where(_TRIALS.c.trial_id == trial_id, _TRIALS.c.state == TrialState.RUNNING)
            .values(state=state, datetime_complete=_utc(now))
        )
        with self.engine.begin() as connection:
            if connection.execute(ended).rowcount != 1:
                raise StorageError(f"a trial does not run any more: {_TWO}")
            _write_attributes(connection, trial_id, attributes)
            for table, rows in ((_CURVES, curves), (_VALUES, scores)):
                connection.execute(table.delete().where(table.c.trial_id == trial_id))
                if rows:
                    connection.execute(table.insert(), rows)

    def reopen(self, trials: Sequence[int], attribute: str) -> None:
        """Bring trials that failed back to running, with no trace of their end, in one transaction.

        Optuna has no way back from an end. `trials`: their ids; `attribute`: what was recorded at their end.
        """
        failed = sqlalchemy.select(_TRIALS.c.trial_id).where(
            _TRIALS.c.trial_id.in_(trials), _TRIALS.c.state == TrialState.FAIL
        )
        again = {"state": TrialState.RUNNING, "datetime_complete": None}
        with self.engine.begin() as connection:
            ids = list(connection.execute(failed).scalars())
            for table in (_VALUES, _CURVES):
                connection.execute(table.delete().where(table.c.trial_id.in_(ids)))
            connection.execute(
                _ATTRIBUTES.delete().where(
                    _ATTRIBUTES.c.trial_id.in_(ids), _ATTRIBUTES.c.key == attribute
                )
            )
            connection.execute(_TRIALS.update().where(_TRIALS.c.trial_id.in_(ids)).values(again))

    def attach(self, attribute: str, values: Mapping[int, Any]) -> None:
        """Have trials that ended keep an attribute, in one transaction. `values`: by their ids.

        Optuna lets nothing be added to an end.
        """
        with self.engine.begin() as connection:
            for trial_id, value in values.items():
                _write_attributes(connection, trial_id, {attribute: value})


def _write_attributes(
    connection: sqlalchemy.Connection, trial_id: int, attributes: Mapping[str, Any]
) -> None:
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]
    older = _ATTRIBUTES.c.trial_id == trial_id, _ATTRIBUTES.c.key.in_(list(attributes))
    connection.execute(_ATTRIBUTES.delete().where(*older))
    connection.execute(_ATTRIBUTES.insert(), rows)


def _utc(moment: datetime.datetime | None) -> datetime.datetime | None:
    """A local time as Optuna stores it."""
    return None if moment is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
