"""Recorded runs trained again, from the configuration to the certificates and the exit code."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, variance
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from pipeline.command.errors import ConfigError, PlumblineError, StoppedError
from pipeline.command.overrides import is_typed
from pipeline.command.redact import redact
from pipeline.command.section import Section, as_override, validated
from pipeline.run.comparison import Certificate, Certified, changes, compare
from pipeline.run.config import DataConfig
from pipeline.tracking.certificates import log, write
from pipeline.tracking.config import TrackingConfig
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.coordination.replay import Replayed, Replays, backend_of, lanes_of, recorded, threads_of
from search.coordination.suggestions import Asked
from search.machine.template import backend_of_workers
from search.setup.means import data_of, gpus_of, launcher_for, number_of_workers
from search.setup.suggestions import engine_on_record, suggestions_again
from search.study.address import named
from search.study.vocabulary import Entry
from search.trial_table.lock import LockedError, study_lock
from search.trial_table.rows import certify
from search.trial_table.storage import StorageConfig, errors_named
from search.trial_table.trials import TrialTable
from search.workers.messages import LocalConfig, RayConfig, launcher_config, workforce
from search.workers.pool import Pool
from search.workers.stopping import Stopper

_THREADS = "launcher.threads_per_worker"
_WORDS = ("best", "all", "none", "finalists")


def _chosen(value: object) -> object:
    numbers = value if isinstance(value, list) else [value]
    if value in _WORDS:
        return value
    if numbers and all(type(number) is int and number >= 0 for number in numbers):
        return tuple(dict.fromkeys(numbers))
    raise ValueError(
        f"replay.trial: expected a number, a list of them, {', '.join(_WORDS[:-1])} or {_WORDS[-1]}, got "
        f"{as_override(value)}"
    )


class ReplayConfig(Section):
    """Which runs are trained again: trials by number, or `best`, `all`, `none`, or the runs of `finalists`.

    `suggestions`: whether the engine is asked again as well. `path`: JSON file for the certificates.
    """

    trial: Annotated[tuple[int, ...] | str, BeforeValidator(_chosen)]
    suggestions: bool
    path: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _asks_for_something(self) -> "ReplayConfig":
        if self.trial == "none" and not self.suggestions:
            raise ValueError(
                "replay.trial: none is for the suggestions alone (add suggestions=true)"
            )
        return self


@dataclass(frozen=True)
class _Settings:
    """What the command was given, checked. `threads`, `lanes`: whether their number was typed."""

    replay: ReplayConfig
    launcher: LocalConfig | RayConfig
    tracking: TrackingConfig
    storage: StorageConfig
    name: str | None
    path: str | None
    threads: bool
    lanes: bool


@dataclass
class _Found:
    """The certificates so far, in `file`, which is whole at any moment."""

    facts: Facts
    noise: float | None
    file: Path
    called: str
    certificates: list[Certificate] = field(default_factory=list)
    suggestions: Asked | None = None
    _told: set[str] = field(default_factory=set)

    def began(self, entry: Entry, worker: Mapping[str, str]) -> None:
        """Say, before a run is trained, what has changed since it was; the same only once."""
        changed = "; ".join(changes(entry.worker, worker))
        if changed and changed not in self._told:
            self._told.add(changed)
            print(f"{self._name(entry)}: its environment was another: {changed}", flush=True)

    def ended(self, entry: Entry, replayed: Replayed) -> None:
        """Compare, tell and keep."""
        metric = self.facts.objective.metric
        certificate = compare(
            self._name(entry), entry.uid, metric, recorded(entry), replayed.training, self.noise
        )
        print(certificate.words(), flush=True)
        self.certificates.append(certificate)
        write(self.file, self.all)

    def asked(self, suggestions: Asked) -> None:
        """Tell and keep what came of asking the engine."""
        print(suggestions.words(), flush=True)
        self.suggestions = suggestions
        write(self.file, self.all)

    @property
    def all(self) -> list[Certified]:
        """Every certificate, that of the suggestions first."""
        return [*([self.suggestions] if self.suggestions else []), *self.certificates]

    def _name(self, entry: Entry) -> str:
        return f"{self.facts.about.name}, {self.called} {entry.number}"


def replay(values: Mapping[str, Any]) -> int:
    """Train recorded runs again and compare, and ask the engine again; 0 where all is identical, 1 where not.

    Raises ConfigError where there is no such run, StoppedError where it was stopped.
    """
    settings = _read(values)
    with errors_named(settings.storage.url):
        table = TrialTable.load(settings.storage.url, settings.name)
        facts = Facts.recorded(table)
        finalists = Finalists.recorded(facts, table)
    is_of_finalists = settings.replay.trial == "finalists"
    entries = tuple(finalists.rows if finalists else ()) if is_of_finalists else facts.entries
    wanted = _wanted(facts, entries, settings.replay.trial)
    _check_lanes(settings.launcher, wanted)
    rows = finalists.table_name if finalists and is_of_finalists else facts.about.name
    file = Path(settings.replay.path)
    called = "run of finalists" if is_of_finalists else "trial"
    found = _Found(facts, None if finalists is None else _noise(finalists), file, called)
    data = data_of(facts.about, facts.data, settings.path) if wanted else facts.data
    engine = engine_on_record(values, facts) if settings.replay.suggestions else None
    write(file, ())  # what can't be written is noticed before hours of training
    by_worker: dict[tuple[str | None, int, int], list[Entry]] = {}
    for entry in wanted:
        worker = entry.worker
        kind = (worker.get("backend"), threads_of(worker), lanes_of(worker))
        by_worker.setdefault(kind, []).append(entry)
    try:
        if engine is not None:
            found.asked(suggestions_again(engine, table, facts))
        for alike in by_worker.values():
            _train(settings, alike, entries, data, found)
    finally:
        _keep(settings, facts.about.name, rows, found)
    same = sum(certificate.identical for certificate in found.certificates)
    runs = f"{same} of {len(wanted)} identical. " if wanted else ""
    print(f"\n{runs}Certificates: {file}")
    suggested = found.suggestions is None or found.suggestions.identical
    return 0 if same == len(wanted) and suggested else 1


def _read(values: Mapping[str, Any]) -> _Settings:
    return _Settings(
        replay=validated(ReplayConfig, values["replay"], "replay"),
        launcher=launcher_config(values["launcher"]),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        name=named(values),
        path=values["data"]["path"],
        threads=is_typed(values, _THREADS),
        lanes=is_typed(values, "launcher.lanes") and values["launcher"].get("lanes") != "auto",
    )


def _wanted(
    facts: Facts, entries: Sequence[Entry], trial: tuple[int, ...] | str
) -> Sequence[Entry]:
    """The runs that were asked for. Raises ConfigError where one of them has nothing to compare with."""
    name, there = facts.about.name, {entry.number: entry for entry in entries}
    if trial == "none":
        return []
    if trial == "best":
        if not facts.ranking:
            raise ConfigError(f"{name}: no trial of this study is complete yet")
        return [facts.ranking[0].entry]
    if isinstance(trial, str):
        found = [entry for entry in entries if entry.result is not None]
        if not found:
            runs = "run of finalists" if trial == "finalists" else "trial of this study"
            raise ConfigError(f"{name}: no {runs} has a result yet")
        return found
    for number in trial:
        if number not in there:
            raise ConfigError(
                f"replay.trial: {name} has {len(there)} trials, counted from 0, got {number}"
            )
        entry = there[number]
        if entry.result is None:
            why = "" if entry.reason is None else f": {entry.reason.splitlines()[0]}"
            raise ConfigError(f"replay.trial: trial {number} of {name} is {entry.state}{why}")
    return [there[number] for number in trial]


def _check_lanes(launcher: LocalConfig | RayConfig, wanted: Sequence[Entry]) -> None:
    """Raise ConfigError where a run can't be trained in the lanes that were typed."""
    if isinstance(launcher, RayConfig) or launcher.width == 1:
        return
    for entry in wanted:
        backend = entry.worker.get("backend") or backend_of_workers()
        by_keras = entry.run is not None and entry.run.train.loop == "keras"
        if backend != "jax" or by_keras:
            what = "train.loop=keras" if by_keras else backend
            raise ConfigError(
                f"launcher.lanes: expected 1 for run {entry.number}, which has {what}, got {launcher.lanes} "
                "(leave it out: a run is trained again in as many as it had)"
            )


def _noise(finalists: Finalists) -> float | None:
    """Standard deviation of the objective over seeds, pooled over the configurations compared."""
    runs = [[*each.race.values(), *each.confirmation.values()] for each in finalists.contenders]
    values = [[value for value in row if value is not None] for row in runs]
    spreads = [variance(row) for row in values if len(row) > 1]
    return math.sqrt(mean(spreads)) if spreads else None


def _train(
    settings: _Settings,
    wanted: Sequence[Entry],
    entries: Sequence[Entry],
    data: DataConfig,
    found: _Found,
) -> None:
    """Train trials again that had workers of one kind."""
    config, worker = settings.launcher, wanted[0].worker
    if not settings.threads:
        config = config.model_copy(update={"threads_per_worker": threads_of(worker)})
    if isinstance(config, LocalConfig) and not settings.lanes:
        config = config.model_copy(update={"lanes": lanes_of(worker)})
    gpus = gpus_of(config)
    workers = min(number_of_workers(config, gpus), len(wanted))
    print(
        f"{found.facts.about.name}: {len(wanted)} runs again, {workforce(config, workers)}.",
        flush=True,
    )
    stopper = Stopper(config.grace_seconds, print)
    with (
        backend_of(worker),
        stopper.listening(),
        closing(launcher_for(config, data, workers, gpus)) as launcher,
    ):
        replays = Replays(wanted, entries)
        replays.train(Pool(launcher, config.attempts, stopper), found.ended, found.began)
    if replays.missing:
        raise StoppedError(
            f"stopped, {replays.missing} runs are not trained again yet; {found.file} has the others' "
            "certificates (the same command begins anew)"
        )


def _keep(settings: _Settings, study: str, rows: str, found: _Found) -> None:
    """Leave certificates where the runs are on record: in the table `rows` of `study`, in the tracker."""
    url, why = settings.storage.url, ""
    try:
        if found.certificates:
            with errors_named(url), study_lock(url, study, wait=False) as storage:
                certify(storage, rows, found.certificates)
    except LockedError:
        why = "another launch of it is running"
    except PlumblineError as error:
        why = str(error)
    if why:
        print(
            f"{study}: its trial table does not have the certificates: {redact(why)} (the same command, "
            f"later, records them; {found.file} has them)",
            file=sys.stderr,
        )
    log(settings.tracking, study, found.all)
