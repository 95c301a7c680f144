"""Networks that were trained once, each with its curve and what it cost: what a simulated study replays."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import ConfigError, StorageError
from pipeline.data.files import told
from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo
from search.study.parse import parse
from search.study.space import Space, Stored
from search.study.vocabulary import About, Entry

Floats = NDArray[np.float64]

SEED = "train.seed"
"""What a network may be trained again with, and is the same configuration all the same."""

OPTIMIZER, RATE = "train.optimizer", "train.learning_rate"
"""The rate is null where it is Keras's own of the optimizer, and a number in a record that varies it."""

_RUNS = 5
"""A study needs so many runs for each of its dimensions, or it says nothing of what lies between them."""


@dataclass(frozen=True)
class Record:
    """Runs over one `space`, all of as many epochs; `base` has what does not vary. It has no test metrics.

    `params`: of each run, by override path, without its seed. `curves`: by metric, runs x epochs.
    `begin`: seconds that each run takes beside its epochs; `epoch`: that each of these takes.
    """

    name: str
    base: RunConfig
    space: Space
    dataset: DatasetInfo
    params: tuple[Mapping[str, Stored], ...]
    curves: Mapping[str, Floats]
    begin: Floats
    epoch: Floats

    @property
    def epochs(self) -> int:
        """Of every run."""
        return int(next(iter(self.curves.values())).shape[1])

    @classmethod
    def load(cls, file: Path) -> "Record":
        """What `benchmarks.space` wrote. Raises StorageError where it is not there, or something else."""
        if not file.is_file():
            raise StorageError(
                f"{file}: is not there (it comes with the project's repository; simulate.record=STUDY takes "
                "a finished study in its place)"
            )
        with (
            told(str(file), "this is no record of benchmarks.space", StorageError),
            np.load(file, allow_pickle=False) as arrays,
        ):
            facts = json.loads(str(arrays["facts"]))
            base = RunConfig.model_validate_json(json.dumps(facts["base"]))
            shapes = {name: tuple(facts["dataset"][name]) for name in ("train_shape", "test_shape")}
            return cls(
                name=facts["name"],
                base=base,
                space=parse(facts["space"], base),
                dataset=DatasetInfo(**{**facts["dataset"], **shapes, "doubts": ()}),
                params=_rows({path: arrays[path] for path in facts["paths"]}, facts["choices"]),
                curves={
                    "val_accuracy": arrays["val_right"] / facts["validation_rows"],
                    "val_loss": arrays["val_loss"].astype(float),
                },
                begin=arrays["begin_seconds"].astype(float),
                epoch=arrays["epoch_seconds"].astype(float),
            )

    @classmethod
    def of_study(
        cls, about: About, entries: Iterable[Entry], base: RunConfig, space: Space
    ) -> "Record":
        """The trials of a finished study that trained to their last epoch.

        Raises ConfigError where they are too few, or the space is of another kind than a record's.
        """
        free = {path: each for path, each in space.dimensions.items() if path != SEED}
        if space.conditions or any(path.count(".") != 1 for path in free):
            raise ConfigError(
                f"simulate.record: the space of {about.name} has conditions, layers or settings of a network "
                "of one's own, expected none of these"
            )
        whole = [entry for entry in entries if _is_whole(entry)]
        epochs = max((len(entry.history) for entry in whole), default=0)
        whole = [entry for entry in whole if len(entry.history) == epochs]
        if len(whole) < (least := _RUNS * max(1, len(free))):
            raise ConfigError(
                f"simulate.record: {about.name} has {len(whole)} trials that trained to their last epoch, "
                f"expected {least} or more (a study with pruner=none has more of them)"
            )
        usual = np.array([np.median([e.seconds for e in entry.history]) for entry in whole])
        took = np.array([(entry.ended_at or 0.0) - entry.started_at for entry in whole])
        return cls(
            name=about.name,
            base=base,
            space=Space(free),
            dataset=about.dataset,
            params=tuple({path: entry.params[path] for path in free} for entry in whole),
            curves={
                metric: np.array([[e.metrics[metric] for e in entry.history] for entry in whole])
                for metric in whole[0].history[0].metrics
            },
            begin=np.maximum(took - epochs * usual, 0.001),
            epoch=np.maximum(usual, 0.001),
        )


def _is_whole(entry: Entry) -> bool:
    borrowed = (entry.same_as, entry.prefix_of, entry.extends, entry.continues)
    return entry.state == "complete" and borrowed == (None,) * 4


def _rows(
    columns: Mapping[str, NDArray[np.generic]], choices: Mapping[str, list[Stored]]
) -> tuple[Mapping[str, Stored], ...]:
    """Of choices the columns hold the places."""
    found = [
        [choices[path][place] for place in column.tolist()] if path in choices else column.tolist()
        for path, column in columns.items()
    ]
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*found, strict=True))
