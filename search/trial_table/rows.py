"""A row as it stands in Optuna's storage: what is written into its attributes, and read out of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial
from pydantic import TypeAdapter

from pipeline.run.comparison import Certificate
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, RunResult
from search.study.vocabulary import Attempts, Entry, Suggestion
from search.trial_table.storage import damage_named
from search.trial_table.terms import FROM_OPTUNA, canonical
from search.trial_table.writing import Storage

START = "start"
END = "end"
REPLAY = "replay"
_NOTES = "notes"
_PLAN = "plan"
_PREFIX = ("same_as", "prefix_of", "extends")

_RESULT = TypeAdapter(RunResult)
_HISTORY = TypeAdapter(tuple[EpochMetrics, ...])
_TEXTS = TypeAdapter(dict[str, str])


def plan_of(suggestion: Suggestion) -> dict[str, Any]:
    """The attributes of a trial that was suggested."""
    return {
        _PLAN: {"epochs": suggestion.epochs, "continues": suggestion.continues},
        _NOTES: dict(suggestion.notes),
    }


def start_of(attempts: Attempts, at: float, run: RunConfig) -> dict[str, Any]:
    """The attribute `START`: the latest attempt at a trial."""
    return {
        "attempt": attempts.made,
        "losses": attempts.losses,
        "excused": attempts.excused,
        "at": at,
        "run": run.model_dump(mode="json"),
    }


def end_of(entry: Entry) -> dict[str, Any]:
    """The attribute `END` of a trial that ended."""
    facts: dict[str, Any] = {"at": entry.ended_at, "worker": dict(entry.worker)}
    if entry.result is not None:
        facts["result"] = asdict(entry.result)
    else:
        facts |= {"reason": entry.reason, "diverged": entry.diverged}
        facts["history"] = [asdict(epoch) for epoch in entry.history]
    facts |= {name: at for name in _PREFIX if (at := getattr(entry, name)) is not None}
    return {**facts, "notes": dict(entry.notes)}


def row_of(frozen: FrozenTrial, study_uid: str) -> Entry:
    """The row of `frozen`.

    Raises LookupError, TypeError or ValueError where its attributes are not what was written.
    """
    if not {_PLAN, START, END} & frozen.user_attrs.keys():
        raise ValueError(
            f"Plumbline did not make it ({frozen.state.name}; an Optuna script may have enqueued it)"
        )
    state = FROM_OPTUNA[frozen.state]
    plan = frozen.user_attrs[_PLAN]
    facts: dict[str, Any] = {"notes": dict(frozen.user_attrs.get(_NOTES, {}))}
    if (start := frozen.user_attrs.get(START)) is not None:
        facts |= _started(start)
    else:
        facts["started_at"] = frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0
    if state != "running":
        facts |= _ended(frozen.user_attrs[END], facts["notes"])
    if (certificate := frozen.user_attrs.get(REPLAY)) is not None:
        facts["certificate"] = Certificate.model_validate_json(json.dumps(certificate))
    return Entry(
        number=frozen.number,
        uid=f"{study_uid}-{frozen.number}",
        state=state,
        params={path: canonical(frozen, path) for path in frozen.params},
        epochs=plan["epochs"],
        continues=plan["continues"],
        **facts,
    )


def _started(start: Mapping[str, Any]) -> dict[str, Any]:
    made, losses = start["attempt"], start["losses"]
    # The version before did not count them: whatever ended a launch then is held against no trial.
    excused = start.get("excused", made - losses)
    return {
        "attempts": Attempts(made, losses, excused),
        "started_at": float(start["at"]),
        "run": _run(start["run"]),
    }


def _run(tree: Mapping[str, Any]) -> RunConfig | None:
    """A run as it was written. The version before wrote each field as the text of an override."""
    if tree and all("." in path for path in tree):
        tree = _nested({path: _value(text) for path, text in tree.items()})
    return RunConfig.model_validate(tree) if tree else None


def _nested(leaves: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for path, value in leaves.items():
        section, _, name = path.partition(".")
        tree.setdefault(section, {})[name] = value
    return tree


def _value(text: str) -> Any:
    """What `as_override` made `text` of."""
    if text.startswith("'"):
        return text[1:-1].replace("\\'", "'")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _ended(end: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "ended_at": float(end["at"]),
        "worker": _TEXTS.validate_python(end.get("worker", {})),
        "notes": {**notes, **(end.get("notes") or {})},
        **{name: int(end[name]) for name in _PREFIX if name in end},
    }
    if "result" in end:
        result = _RESULT.validate_python(end["result"])
        return {**facts, "result": result, "value": result.value, "history": result.history}
    history: Sequence[EpochMetrics] = _HISTORY.validate_python(end["history"])
    diverged = bool(end.get("diverged", False))  # the version before did not say
    return {**facts, "reason": end["reason"], "diverged": diverged, "history": history}


def certify(storage: Storage, study: str, certificates: Sequence[Certificate]) -> None:
    """Have the rows of `study` keep these, in place of older ones. Its lock must be held.

    A row that is another run's by now, as the study was made anew meanwhile, keeps what it has.
    """
    with damage_named(storage.url, f"the study {study!r}"):
        study_id = storage.get_study_id_from_name(study)
        uid = storage.get_study_user_attrs(study_id)["uid"]
        trials = {
            f"{uid}-{trial.number}": trial._trial_id
            for trial in storage.get_all_trials(study_id, deepcopy=False)
            if trial.state.is_finished()
        }
    known = [each for each in certificates if each.uid in trials]
    storage.attach(REPLAY, {trials[each.uid]: each.model_dump(mode="json") for each in known})
