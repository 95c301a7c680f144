"""What a network would show that was not trained: a Gaussian process over the curves of those that were."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from search.simulate.record import Floats, Record
from search.study.dimension import Choices, Range
from search.study.space import Space, Stored

_FITTED = 300
"""The process's length scales are fitted to so many configurations: more take long, and change little."""

_NEAREST = 20
"""The noise of a network is that of another one's seed, of so many that are about as good."""

_AT_ONCE = 2000


class Shown(NamedTuple):
    """What networks show. `curves`: networks x epochs; `begin`: seconds besides, `epoch`: of each epoch."""

    curves: Floats
    begin: Floats
    epoch: Floats


class Surrogate:
    """Curves of one `metric`, and seconds, of every network in the space of a record.

    The logarithms of errors (1 - accuracy) or losses are learnt, by a Gaussian process with a Matern
    kernel (Rasmussen & Williams 2006, chapters 2 and 5); a configuration that is on record has its own,
    the mean over its seeds. `error`: how far the best epoch is off where a configuration is left out,
    among the better half, as a root mean square; `noise`: by how much seeds differ there, as a standard
    deviation, None where none has two.
    """

    def __init__(self, record: Record, metric: str) -> None:
        self.metric, self.epochs = metric, record.epochs
        self._accuracy = "accuracy" in metric
        self._axes = _Axes(record.space)
        groups: dict[tuple[Stored, ...], list[int]] = {}
        for place, params in enumerate(record.params):
            groups.setdefault(tuple(params.values()), []).append(place)
        logs = np.log(self._error(record.curves[metric]))
        costs = np.log(np.stack([record.begin, record.epoch], axis=1))
        self._outputs = np.array(
            [np.hstack([logs[each], costs[each]]).mean(axis=0) for each in groups.values()]
        )
        self._known = {point: place for place, point in enumerate(groups)}
        self._inputs = self._axes.encode([record.params[each[0]] for each in groups.values()])
        left_out = self._fit()
        best, guess = self.best(self._outputs), self.best(left_out)
        good = best >= np.median(best) if self._accuracy else best <= np.median(best)
        self.error = float(np.sqrt(np.mean((best - guess)[good] ** 2)))
        self._noise(list(groups.values()), logs)
        self.noise = self._spread(record.curves[metric], list(groups.values()), good)
        if self.noise is None:  # then what the surrogate misses stands for it
            self._differences = (self._outputs - left_out)[:, : self.epochs]
            self._levels = self._outputs[:, self.epochs - 1]

    def __len__(self) -> int:
        """How many configurations it goes by."""
        return len(self._outputs)

    def show(self, params: Sequence[Mapping[str, Stored]]) -> Shown:
        """What networks with these `params` show, without the noise of a seed."""
        logs = np.vstack(
            [self._logs(params[n : n + _AT_ONCE]) for n in range(0, len(params), _AT_ONCE)]
        )
        values = np.exp(logs)
        curves = values[:, : self.epochs]
        return Shown(self._metric_of(curves), values[:, -2], values[:, -1])

    def draw(self, curve: Floats, lot: float) -> Floats:
        """The `curve` of one seed, which `lot` in [0, 1) chooses."""
        logs = np.log(self._error(curve))
        near = np.argsort(np.abs(self._levels - logs[-1]))[:_NEAREST]
        values: Floats = np.exp(logs + self._differences[near[int(lot * len(near))]])
        return self._metric_of(np.minimum(values, 1.0) if self._accuracy else values)

    def best(self, outputs: Floats) -> Floats:
        """The metric at the best epoch."""
        values = np.exp(outputs[:, : self.epochs]).min(axis=1)
        return self._metric_of(values)

    def _metric_of(self, errors: Floats) -> Floats:
        values: Floats = 1 - errors if self._accuracy else errors
        return values

    def _error(self, values: Floats) -> Floats:
        errors: Floats = np.maximum(1 - values if self._accuracy else values, 1e-6)
        return errors

    def _logs(self, params: Sequence[Mapping[str, Stored]]) -> Floats:
        inputs = self._axes.encode(params)
        found: Floats = (
            self._kernel(inputs, self._inputs) @ self._weights * self._scale + self._centre
        )
        for row, each in enumerate(params):
            point = tuple(each[path] for path in self._axes.paths)
            if (place := self._known.get(point)) is not None:
                found[row] = self._outputs[place]
        return found

    def _fit(self) -> Floats:
        """Fit the process; what it says of each configuration where that one is left out (ibid., 5.12)."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._centre, self._scale = self._outputs.mean(axis=0), self._outputs.std(axis=0) + 1e-9
        scaled = (self._outputs - self._centre) / self._scale
        some = np.random.default_rng(0).permutation(len(scaled))[:_FITTED]
        lengths = Matern(np.ones(self._inputs.shape[1]), (0.05, 100), nu=2.5)
        kernel = ConstantKernel(1.0, (0.1, 100)) * lengths + WhiteKernel(0.01, (1e-5, 1))
        process = GaussianProcessRegressor(kernel, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length at its bound: that setting says nothing
            process.fit(self._inputs[some], scaled[some])
        self._kernel = process.kernel_.k1
        inverse = np.linalg.inv(process.kernel_(self._inputs))
        self._weights = inverse @ scaled
        left_out: Floats = scaled - self._weights / np.diag(inverse)[:, None]
        unscaled: Floats = left_out * self._scale + self._centre
        return unscaled

    def _noise(self, groups: Sequence[Sequence[int]], logs: Floats) -> None:
        """What seeds show less their mean; n seeds are nearer to it than to the mean of all."""
        several = [each for each in groups if len(each) > 1]
        wider = [np.sqrt(len(each) / (len(each) - 1)) for each in several for _ in each]
        means = [logs[each].mean(axis=0) for each in several for _ in each]
        rows = [logs[place] for each in several for place in each]
        width = logs.shape[1]
        self._differences = (
            np.reshape(rows, (-1, width)) - np.reshape(means, (-1, width))
        ) * np.reshape(wider, (-1, 1))
        self._levels = np.reshape(means, (-1, width))[:, -1]

    def _spread(
        self, curves: Floats, groups: Sequence[Sequence[int]], good: np.ndarray
    ) -> float | None:
        best = curves.max(axis=1) if self._accuracy else curves.min(axis=1)
        spreads = [
            best[each].var(ddof=1)
            for each, counts in zip(groups, good, strict=True)
            if counts and len(each) > 1
        ]
        return float(np.sqrt(np.mean(spreads))) if spreads else None


class _Axes:
    """Configurations as numbers: ranges from 0 to 1, by their logarithm where they are searched so."""

    def __init__(self, space: Space) -> None:
        self.paths = tuple(space.dimensions)
        self._dimensions = space.dimensions

    def encode(self, params: Sequence[Mapping[str, Stored]]) -> Floats:
        """Rows of numbers, one for each of `params`."""
        return np.hstack(
            [self._column(path, [each[path] for each in params]) for path in self.paths]
        )

    def _column(self, path: str, values: Sequence[Stored]) -> Floats:
        dimension = self._dimensions[path]
        if isinstance(dimension, Range):
            low, high, log = float(dimension.low), float(dimension.high), dimension.log
        elif (numbers := numbers_of(dimension)) is None:
            options = dimension.grid()
            return np.array([[float(value == option) for option in options] for value in values])
        else:
            low, high, log = min(numbers), max(numbers), min(numbers) > 0
        column = np.array(values, dtype=float)[:, None]
        if log:
            low, high, column = np.log(low), np.log(high), np.log(column)
        return (column - low) / ((high - low) or 1.0)


def numbers_of(choices: Choices) -> tuple[float, ...] | None:
    """The options, where all are numbers: between them lies something."""
    numbers = tuple(option for option in choices.options if type(option) in (int, float))
    return numbers if len(numbers) == len(choices.options) else None
