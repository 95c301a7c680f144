"""Whether a run on a data set makes sense: what is refused, and what is only said."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import ConfigError
from pipeline.data.dataset import Dataset, Split, validation_start
from pipeline.run.config import RunConfig, TrainConfig

_CHANCE = 1e-4
"""Rows count as sorted where a random order is less likely to leave a class out of the validation rows."""

_UNEVEN = 10
"""How many times the rows of the rarest class the commonest may have before that is said."""

_MOSTLY = 0.8
"""The share of the rows that one class may have before that is said."""

_COPIES = 0.01
"""The share of the judging rows that may be training rows as well before that is said."""

_OTHER_UNIT = 3
"""How many times the range of the training images the test images may have before that is said."""

_LARGEST = float(np.finfo(np.float32).max)

_NAMED = 5  # classes that are named before the rest is counted

_Counts = NDArray[np.int64]


def check_run(dataset: Dataset, run: RunConfig) -> None:
    """Raise ConfigError where nothing could be learned from a `run` on `dataset`.

    That is without rows to train on or to validate on, with validation rows of classes that training
    rows lack or the other way round, or with numbers that a network can't take.
    """
    check_rows(dataset, run.train.validation_split)
    _check_classes(dataset, run.train.validation_split, run.data.shuffle)
    _check_reach(dataset.fitted(run.train.validation_split))


def check_rows(dataset: Dataset, validation_split: float) -> None:
    """Raise ConfigError where the split leaves no row to train on, or none to validate on."""
    rows = len(dataset.train)
    training = validation_start(rows, validation_split)
    if training == 0 or (validation_split > 0 and training == rows):
        raise ConfigError(
            f"train.validation_split: {validation_split} of {rows} rows leaves {training} to train on "
            f"and {rows - training} to validate on"
        )


def doubts(dataset: Dataset, train: TrainConfig) -> tuple[str, ...]:
    """What should be known of a data set before its numbers are believed, a line for each.

    The run goes on nevertheless: it may be what was wanted.
    """
    training, validation = _parts(dataset, train.validation_split)
    return (
        *_about_classes(dataset, training, validation),
        *_about_batches(training, train.batch_size),
        *_about_copies(training, {"validation": validation, "test": dataset.test}),
        *_about_units(dataset),
    )


def _parts(dataset: Dataset, validation_split: float) -> tuple[Split, Split]:
    start = validation_start(len(dataset.train), validation_split)
    features, labels = dataset.train.features, dataset.train.labels
    return Split(features[:start], labels[:start]), Split(features[start:], labels[start:])


def _counts(split: Split, classes: int) -> _Counts:
    """Rows of each class."""
    return np.bincount(split.labels, minlength=classes)


def _check_classes(dataset: Dataset, validation_split: float, shuffled: bool) -> None:
    training, validation = (
        _counts(part, dataset.classes) for part in _parts(dataset, validation_split)
    )
    untrained = np.flatnonzero((validation > 0) & (training == 0))
    unlikely = training * math.log1p(-validation_split) < math.log(_CHANCE)
    unjudged = np.flatnonzero((validation == 0) & unlikely)
    if len(untrained):
        fault = f"validation rows have {_named(untrained)}, of which no row is left to train on"
    elif len(unjudged):
        fault = f"no validation row has {_named(unjudged)}, which is trained on"
    else:
        if np.count_nonzero(training) < 2:
            raise ConfigError("data: the rows to train on are of one class, expected two or more")
        return
    remedy = (
        "set a smaller train.validation_split"
        if shuffled
        else "set data.shuffle=true, which draws them from every class"
    )
    raise ConfigError(
        f"train.validation_split: expected every class on both sides of the last {validation_split:g} of "
        f"the rows; {fault}: are they sorted by label? ({remedy})"
    )


def _check_reach(dataset: Dataset) -> None:
    """Raise ConfigError where scaled features exceed what 32 bits can hold."""
    span = dataset.high - dataset.low
    for name, split in (("x_train", dataset.train), ("x_test", dataset.test)):
        if split.features.dtype.kind != "f":
            continue
        axis = None if dataset.low.ndim == 0 else 0
        ends = (split.features.min(axis), split.features.max(axis))
        with np.errstate(over="ignore"):
            reach = max(float(np.max(np.abs(end - dataset.low) / span)) for end in ends)
        if not reach <= _LARGEST:
            raise ConfigError(
                f"data: {name}: expected numbers that fit 32 bits"
                + (" once they are scaled" if dataset.scaled else " (set data.scale=true)")
                + f", got up to {reach:.0e}"
            )


def _about_classes(dataset: Dataset, training: Split, validation: Split) -> Iterator[str]:
    of_training = _counts(training, dataset.classes)
    of_validation = _counts(validation, dataset.classes)
    of_test = _counts(dataset.test, dataset.classes)
    nowhere = np.flatnonzero(of_training + of_validation + of_test == 0)
    if len(nowhere):
        yield (
            f"labels: no row is of {_named(nowhere)}, for which the network has outputs nevertheless: "
            "are classes counted from 0?"
        )
    unseen = np.flatnonzero((of_test > 0) & (of_training == 0))
    if len(unseen):
        yield f"labels: {_named(unseen)} in test rows only: none of them can be right"
    if len(validation):
        unjudged = np.flatnonzero((of_training > 0) & (of_validation == 0))
        if len(unjudged):
            yield f"labels: {_named(unjudged)} in no validation row: the objective can't tell of it"
    untested = np.flatnonzero((of_training > 0) & (of_test == 0))
    if len(untested):
        yield f"labels: {_named(untested)} in no test row: test metrics can't tell of it"
    there = np.flatnonzero(of_training)
    most = there[np.argmax(of_training[there])]
    least = there[np.argmin(of_training[there])]
    share = of_training[most] / len(training)
    if of_training[most] >= _UNEVEN * of_training[least] or share >= _MOSTLY:
        yield (
            f"labels: classes are uneven: {of_training[most]:,} of {len(training):,} rows to train on "
            f"are of class {most} ({share:.1%}, as much as always answering {most} is right), "
            f"{of_training[least]:,} of class {least}: accuracy says little of the rare ones"
        )


def _about_batches(training: Split, batch_size: int) -> Iterator[str]:
    if len(training) < batch_size:
        yield (
            f"train.batch_size: {batch_size:,} is more than the {len(training):,} rows to train on: "
            "an epoch is a single step"
        )


def _about_copies(training: Split, judges: dict[str, Split]) -> Iterator[str]:
    """Rows that judge though a network was trained on them flatter it."""
    known: set[int] | None = None
    for name, split in judges.items():
        if not len(split):
            continue
        dtype = np.result_type(training.features.dtype, split.features.dtype)
        if known is None:
            known = set(_hashes(training, dtype))
            if len(known) == 1:
                yield "x_train: all rows to train on are the same"
        copies = sum(row in known for row in _hashes(split, dtype))
        if copies >= _COPIES * len(split):
            yield (
                f"x_{'train' if name == 'validation' else name}: {copies:,} of {len(split):,} {name} "
                "rows are rows to train on as well: what is learned by heart is judged"
            )


def _hashes(split: Split, dtype: np.dtype[np.generic]) -> Iterator[int]:
    """A number for each example that equal ones share."""
    return (hash(row.astype(dtype).tobytes()) for row in split.features)


def _about_units(dataset: Dataset) -> Iterator[str]:
    if len(dataset.shape) == 1:
        return
    ends = [(x.min(), x.max()) for x in (dataset.train.features, dataset.test.features)]
    train, test = (float(high) - float(low) for low, high in ends)
    if not train <= _OTHER_UNIT * test <= _OTHER_UNIT**2 * train:
        (a, b), (c, d) = ends
        yield f"x_test: goes from {c:g} to {d:g}, x_train from {a:g} to {b:g}: is it the same unit?"


def _named(classes: Sequence[int] | NDArray[np.int64]) -> str:
    """`class 3`, `classes 3 and 5`, or the first few and how many more."""
    names = [str(each) for each in classes]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    if len(names) == 1:
        return f"class {names[0]}"
    return f"classes {', '.join(names[:-1])} and {names[-1]}"
