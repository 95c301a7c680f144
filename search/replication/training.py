"""The published networks, trained and on record: each is a small study in the trial table, over its seeds."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version

from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo
from search.coordination.repeats import Repeats, Wanted
from search.machine.template import backend_of_workers
from search.replication.networks import Network
from search.study.dimension import Choices
from search.study.space import Space
from search.study.vocabulary import Entry, Study, StudyConfig
from search.trial_table.trials import TrialTable
from search.trial_table.writing import Storage
from search.workers.messages import LocalConfig
from search.workers.pool import Pool

_SEED = "train.seed"


def environment(config: LocalConfig, device: str) -> dict[str, str]:
    """What decides the numbers of a run, besides its configuration and its data."""
    backend = backend_of_workers()
    packages = {name: version(name) for name in ("keras", backend, "numpy")}
    lanes = {"lanes": str(config.width)} if config.width > 1 else {}
    place = {"threads": str(config.threads_per_worker), "device": device}
    return {**place, "trainer": config.trainer, **packages, **lanes}


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
        self._networks: dict[str, Network] = {}  # by the uid of their study
        wanted: list[Wanted] = []
        for network in networks:
            study = _study(network, about(network.run), environment)
            name = study.config.name
            if fresh:
                with suppress(KeyError):
                    storage.delete_study(storage.get_study_id_from_name(name))
            table = TrialTable.open(storage, study)
            self._networks[table.uid] = network
            rows = {entry.params[_SEED]: entry for entry in table.entries()}  # the last of each
            for config in network.seeded:
                row = rows.get(config.train.seed)
                if row is not None and row.state == "complete":
                    self.on_record.append((network, row))
                else:
                    params = {_SEED: config.train.seed}
                    wanted.append(Wanted(table, study.space, params, config))
        # The longest first, so that no worker is left alone at the end.
        wanted.sort(key=lambda each: -each.run.train.epochs)
        self._repeats = Repeats(wanted)

    @property
    def missing(self) -> int:
        """How many runs have not ended."""
        return self._repeats.missing

    def train(self, pool: Pool, ended: Callable[[Network, Entry], None]) -> None:
        """Run what is missing, as `Repeats.train`."""

        def told(entry: Entry) -> None:
            ended(self._networks[entry.uid.rpartition("-")[0]], entry)

        self._repeats.train(pool, told)


def _study(network: Network, dataset: DatasetInfo, environment: Mapping[str, str]) -> Study:
    """The study of `network`; its name stands for all that decides the numbers."""
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
