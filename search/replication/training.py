"""The published networks, trained and on record: each is a small study in the trial table, over its seeds."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version

from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo
from search.replication.networks import Network
from search.study.dimension import Choices
from search.study.space import Space
from search.study.vocabulary import Entry, Study, StudyConfig, Suggestion
from search.table.postgres import Storage
from search.table.trials import TrialTable
from search.workers.messages import Epoch, Finished, Task
from search.workers.pool import Again, Began, Happened, Pool

_SEED = "train.seed"


def environment(threads: int, device: str, trainer: str) -> dict[str, str]:
    """What decides the numbers of a run, besides its configuration and its data."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    packages = {name: version(name) for name in ("keras", backend, "numpy")}
    return {"threads": str(threads), "device": device, "trainer": trainer, **packages}


@dataclass
class _Run:
    """A network with one of its seeds: a row of its study, once it was begun."""

    network: Network
    config: RunConfig
    table: TrialTable
    space: Space
    row: Entry | None = None

    def begun(self) -> Entry:
        """Its row, made if need be."""
        if self.row is None:
            self.row = self.table.create(Suggestion({_SEED: self.config.train.seed}), self.space)
        return self.row


class Replication:
    """The runs of `networks`: those on record, of the same data and environment, and those still missing.

    A run that failed is missing. Rows are of this launch alone: who makes one holds the lock.
    `about`: the data of a run. `fresh`: forget what is on record.
    """

    def __init__(
        self,
        storage: Storage,
        networks: Sequence[Network],
        about: Callable[[RunConfig], DatasetInfo],
        environment: Mapping[str, str],
        fresh: bool = False,
    ) -> None:
        self.on_record: list[tuple[Network, Entry]] = []
        missing: list[_Run] = []
        for network in networks:
            study = _study(network, about(network.run), environment)
            name = study.config.name
            if fresh:
                with suppress(KeyError):
                    storage.delete_study(storage.get_study_id_from_name(name))
            table = TrialTable.open(storage, study)
            rows = {entry.params[_SEED]: entry for entry in table.entries()}  # the last of each
            for config in network.seeded:
                row = rows.get(config.train.seed)
                if row is not None and row.state == "complete":
                    self.on_record.append((network, row))
                else:
                    missing.append(_Run(network, config, table, study.space))
            for row in table.interrupted():
                for run in missing:
                    if run.table is table and run.config.train.seed == row.params[_SEED]:
                        run.row = row
        # The longest first, so that no worker is left alone at the end.
        missing.sort(key=lambda run: -run.config.train.epochs)
        self._runs = dict(enumerate(missing))
        self._waiting = deque(self._runs)

    @property
    def missing(self) -> int:
        """How many runs have not ended."""
        return len(self._runs)

    def train(self, pool: Pool, ended: Callable[[Network, Entry], None]) -> None:
        """Run what is missing, and record each run as it ends, before `ended` hears of it.

        Where the pool's stopper says so it returns earlier; what is `missing` is left to the next launch.
        Raises PlumblineError where no worker can train.
        """
        with pool.leaving(self._count):
            for happened in pool.run(self._next):
                for event in happened:
                    self._handle(event, pool, ended)

    def _next(self) -> Task | None:
        if not self._waiting:
            return None
        number = self._waiting.popleft()
        run = self._runs[number]
        return Task(number, run.config, attempts=run.begun().attempts)

    def _handle(self, event: Happened, pool: Pool, ended: Callable[[Network, Entry], None]) -> None:
        if isinstance(event, Began):
            run = self._runs[event.task.number]
            row = run.table.start(run.begun().number, run.config, event.task.attempts)
            run.row = replace(row, worker=event.worker)
            return
        if isinstance(event, Again):
            self._count(event.task)
            return
        run = self._runs[event.number]
        row = run.begun()
        if isinstance(event, Epoch):
            run.row = replace(row, history=(*row.history, event.metrics))
            pool.reply(event.number, prune=False)
            return
        if isinstance(event, Finished):
            entry = run.table.complete(row, event.result, {})
        else:
            entry = run.table.fail(row, event.reason)
        del self._runs[event.number]
        ended(run.network, entry)

    def _count(self, task: Task) -> None:
        run = self._runs[task.number]
        run.table.count(run.begun().number, task.attempts)


def _study(network: Network, dataset: DatasetInfo, environment: Mapping[str, str]) -> Study:
    """The study of `network`, by a name that is another one where anything else decides its numbers."""
    parameters = network.run.parameters()
    for path in (_SEED, "data.path"):
        del parameters[path]
    decides = json.dumps([parameters, dataset.digest, dict(environment)], sort_keys=True)
    key = hashlib.sha256(decides.encode()).hexdigest()[:12]
    seeds = [config.train.seed for config in network.seeded]
    config = StudyConfig(
        name=f"replicate.{network.name}.{key}",
        question=None,
        trials=len(seeds),
        lock="fail",
        space={"train": {"seed": seeds}},
    )
    return Study(config, network.run, Space({_SEED: Choices(tuple(seeds))}), dataset, {})
