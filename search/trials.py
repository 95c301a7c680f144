"""The trial table: the only truth about a study's trials, kept in Optuna's storage for both engines."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import optuna

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.result import EpochMetrics, RunResult
from search.space import fixed
from search.storage import open_storage
from search.study import About, Entry, Study, Trial, TrialState

_IDENTITY = "identity"
_UID = "uid"
_ABOUT = "about"
_START = "start"
_END = "end"
_STATES: dict[str, TrialState] = {
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


class TrialTable:
    """The trials of one study. Only the coordinator writes to it.

    `optuna_study` is for the Optuna engine, which asks and prunes on it.
    """

    def __init__(self, optuna_study: optuna.Study) -> None:
        self.optuna_study = optuna_study
        self.uid: str = optuna_study.user_attrs[_UID]
        self._trials: dict[int, optuna.Trial] = {}

    @classmethod
    def open(cls, url: str, study: Study) -> "TrialTable":
        """The table of `study`, created where there is none.

        Raises ConfigError, showing the difference, where the study exists with another space,
        objective, data or fixed parameters: its trials could not be compared with new ones.
        """
        storage = open_storage(url)
        name = study.config.name
        found = optuna.create_study(
            study_name=name,
            storage=storage,
            direction=study.base.objective.direction,
            load_if_exists=True,
        )
        identity = _identity(study)
        recorded = found.user_attrs.get(_IDENTITY)
        if recorded is None:
            if found.get_trials(deepcopy=False):
                raise ConfigError(
                    f"study.name: {name!r} in this storage was not made by Plumbline "
                    "(give the study another study.name)"
                )
            found.set_user_attr(_UID, uuid.uuid4().hex)
            found.set_user_attr(_IDENTITY, identity)
        elif recorded != identity:
            raise ConfigError(
                f"study.name: {name!r} exists with other settings:\n"
                + _difference(recorded, identity)
                + "\nGive the new study another name (study.name=...), or set these back."
            )
        return cls(found)

    @classmethod
    def every(cls, url: str) -> "list[TrialTable]":
        """The tables of all Plumbline studies in the storage at `url`."""
        storage = open_storage(url)
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage, False)]
        studies = [optuna.load_study(study_name=name, storage=storage) for name in names]
        return [cls(study) for study in studies if _ABOUT in study.user_attrs]

    def describe(self, about: About) -> None:
        """Record what people read of the study; the latest launch's words count."""
        self.optuna_study.set_user_attr(_ABOUT, about.to_json())

    def about(self) -> About:
        """What the latest launch said of the study."""
        return About.from_json(self.optuna_study.user_attrs[_ABOUT])

    def start(self, trial: Trial, run: RunConfig) -> None:
        """Record that an attempt at `trial` begins now, with this `run`."""
        self.optuna_trial(trial.number).set_user_attr(
            _START,
            {
                "attempt": trial.attempt,
                "losses": trial.losses,
                "at": time.time(),
                "run": run.parameters(),
            },
        )

    def optuna_trial(self, number: int) -> optuna.Trial:
        """The running trial as Optuna's, for reporting."""
        return self._trials[number]

    def asked(self, optuna_trial: optuna.Trial) -> Trial:
        """Take in a trial that an engine has just created, or taken up again."""
        number = optuna_trial.number
        self._trials[number] = optuna_trial
        start = optuna_trial.user_attrs.get(_START, {"attempt": 0, "losses": 0})
        return Trial(
            number,
            f"{self.uid}-{number}",
            dict(optuna_trial.params),
            attempt=start["attempt"],
            losses=start["losses"],
        )

    def complete(self, trial: Trial, result: RunResult, worker: Mapping[str, str]) -> Entry:
        """Record a trial that ran to its end, or was pruned."""
        self._end(trial, {"result": asdict(result), "worker": dict(worker)})
        if result.stop == "pruned":
            return self._tell(trial, state=optuna.trial.TrialState.PRUNED)
        return self._tell(trial, values=[result.value])

    def fail(self, trial: Trial, reason: str, history: tuple[EpochMetrics, ...]) -> Entry:
        """Record a trial that failed, with the epochs that it got to."""
        self._end(trial, {"reason": reason, "history": [asdict(epoch) for epoch in history]})
        return self._tell(trial, state=optuna.trial.TrialState.FAIL)

    def entries(self) -> list[Entry]:
        """All trials by number, the running ones too."""
        frozen = self.optuna_study.get_trials(deepcopy=False)
        return [self._entry(trial) for trial in frozen]

    def interrupted(self) -> list[int]:
        """Trials left running by a coordinator that died: to be run again as they are."""
        running = self.optuna_study.get_trials(
            deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)
        )
        return [trial.number for trial in running]

    def _end(self, trial: Trial, facts: dict[str, Any]) -> None:
        # Before the state: a trial that shows as finished is recorded whole.
        self.optuna_trial(trial.number).set_user_attr(_END, {"at": time.time(), **facts})

    def _tell(self, trial: Trial, **outcome: Any) -> Entry:
        return self._entry(self.optuna_study.tell(self._trials.pop(trial.number), **outcome))

    def _entry(self, frozen: optuna.trial.FrozenTrial) -> Entry:
        start = frozen.user_attrs.get(_START, {})
        end = frozen.user_attrs.get(_END, {}) if frozen.state.is_finished() else {}
        result = RunResult.from_json(end["result"]) if "result" in end else None
        failed = tuple(EpochMetrics(**epoch) for epoch in end.get("history", ()))
        return Entry(
            number=frozen.number,
            uid=f"{self.uid}-{frozen.number}",
            state=_STATES[frozen.state.name],
            params=frozen.params,
            run=start.get("run", {}),
            attempt=start.get("attempt", 0),
            started_at=start["at"] if start else _created_at(frozen),
            ended_at=end.get("at"),
            value=result.value if result else None,
            result=result,
            reason=end.get("reason"),
            history=result.history if result else failed,
            worker=end.get("worker", {}),
        )


def _created_at(frozen: optuna.trial.FrozenTrial) -> float:
    return frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0


def _identity(study: Study) -> dict[str, dict[str, str]]:
    """What makes trials of a study comparable: if any of it changes, it is another study."""
    parameters = fixed(study.base, study.space)
    del parameters["data.path"]  # where the data lies is no part of what it is
    return {
        "space": {f"study.space.{key}": text for key, text in study.space.describe().items()},
        "fixed": parameters,
        "data": {"data digest": study.dataset.digest},
    }


def _difference(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    before = {key: text for part in recorded.values() for key, text in part.items()}
    after = {key: text for part in now.values() for key, text in part.items()}
    return "\n".join(
        f"  {key}: {before.get(key, 'not there')} in the study, {after.get(key, 'not there')} now"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    )
