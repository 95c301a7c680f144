"""What a trial may know of the others, so that the same seed gives the same study."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from search.engines.points import POINT, Points, Wanted
from search.study.untried import Point
from search.study.vocabulary import Curve, Exhausted, Record, Suggestion, Suggestions, Told, Wait
from search.trial_table.attributes import Past

LAG = 3
"""How many trials for each worker may be on their way when the next one is suggested."""

_ORDER = "order"


class Algorithm(Protocol):
    """Suggests trials and prunes them, by the results that it was told. Trials are added by number."""

    continues: bool

    def add(self, suggestion: Suggestion) -> None:
        """Take in the next trial as it was suggested before."""

    def suggest(self, at: Point = ...) -> Suggestion | Wait | Exhausted:
        """The next trial, which runs from now on. The same again where nothing was told since.

        `at`: what of its point is given; then Exhausted means that all runs there are on record. A
        trial that goes on from another has it not.
        """

    def prunes(self, number: int, curve: Curve, known: int | None) -> bool:
        """Whether trial `number` ends here, for all that the first `known` trials say (None: all)."""

    def notes(self, told: Told) -> Mapping[str, Any]:
        """What must be remembered of a trial that ended so."""

    def tell(self, told: Told) -> None:
        """Learn how a trial ended."""


class MakeAlgorithm(Protocol):
    """Makes what suggests trials."""

    def __call__(self, seed: int, rows: int | None, past: Sequence[Past] = ()) -> Algorithm:
        """Seeded by `seed`. `rows`: how many to train on, if that is known; `past`: what it learns from."""


class OrderedEngine:
    """An algorithm that hears of results in the order of their numbers, not of their arrival.

    With `workers`, trial n is suggested and pruned by the results of the trials up to n - lag,
    whatever else has ended by then; the others run, as far as it knows. The lag is `LAG` times the
    workers, and 1 for a single one, who has every result before the next trial anyhow. Where the
    algorithm waits, it is told of one more at a time until it does not. So timing has no say.

    Without `workers` each result counts as soon as it is there. `remember`: notes of every trial.
    `points`: what a user wants tried before the algorithm has its say; None: nothing.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        records: Sequence[Record],
        workers: int | None,
        remember: Mapping[str, Any] = MappingProxyType({}),
        points: Points | None = None,
    ) -> None:
        self.continues = algorithm.continues
        self._algorithm = algorithm
        self._workers = workers
        self._lag = 1 if workers == 1 else LAG * (workers or 0)
        self._remember = remember
        self._points = points or Wanted((), ())
        self._known: list[int] = []  # of each trial: how many results it was suggested by
        self._ended: dict[int, Told] = {}  # results that are not told yet
        self._told = 0  # the results of so many trials, the first ones, are told
        for record in records:
            algorithm.add(record.suggestion)
            in_order = max(0, len(self._known) - self._lag + 1)
            order = record.suggestion.notes.get(_ORDER, {"known": in_order})
            self._known.append(order["known"])
        for record in records:
            if record.told is not None:
                self._hear(record.told)
        if workers is not None:
            self._catch_up(max(self._known, default=0))

    def ask(self, count: int) -> Suggestions | Wait | Exhausted:
        """Up to `count` trials; see `Engine`."""
        found: list[Suggestion] = []
        while len(found) < count:
            answer = self._next()
            if not isinstance(answer, Suggestion):
                return Suggestions(tuple(found)) if found else answer
            found.append(answer)
        return Suggestions(tuple(found))

    def report(self, number: int, curve: Curve) -> bool:
        """Whether trial `number` is pruned; see `Engine`."""
        known = None if self._workers is None else self._known[number]
        return self._algorithm.prunes(number, curve, known)

    def tell(self, told: Told) -> Mapping[str, Any]:
        """Hear of a result, if it may be told on already; see `Engine`."""
        notes = self._algorithm.notes(told)
        self._hear(told)
        return notes

    def _next(self) -> Suggestion | Wait | Exhausted:
        in_order = self._workers is not None
        if in_order and not self._catch_up(len(self._known) - self._lag + 1):
            return Wait()
        answer = self._suggest()
        while isinstance(answer, Wait) and in_order and self._catch_up(self._told + 1):
            answer = self._suggest()
        if not isinstance(answer, Suggestion):
            return answer
        self._known.append(self._told)
        order = {_ORDER: {"known": self._told, "workers": self._workers}} if in_order else {}
        return replace(answer, notes={**answer.notes, **order, **self._remember})

    def _suggest(self) -> Suggestion | Wait | Exhausted:
        number = len(self._known)
        while (point := self._points.take(number)) is not None:
            answer = self._algorithm.suggest(point)
            if isinstance(answer, Exhausted):  # it was tried by now
                continue
            if isinstance(answer, Suggestion) and answer.continues is None:
                return replace(answer, notes={**answer.notes, POINT: point})
            self._points.put_back(number, point)
            return answer
        return self._algorithm.suggest()

    def _hear(self, told: Told) -> None:
        if self._workers is None:
            self._algorithm.tell(told)
        else:
            self._ended[told.number] = told

    def _catch_up(self, count: int) -> bool:
        """Tell on the results of the first `count` trials, if they are all there."""
        while self._told < count and self._told in self._ended:
            self._algorithm.tell(self._ended.pop(self._told))
            self._told += 1
        return self._told >= count


def drawn_seed(records: Sequence[Record]) -> int:
    """The seed that was drawn for the study when it began; another one where none was."""
    seeds: list[int] = [
        record.suggestion.notes["seed"] for record in records if "seed" in record.suggestion.notes
    ]
    return seeds[-1] if seeds else secrets.randbits(32)


def workers_of(notes: Mapping[str, Any]) -> int | None:
    """With how many workers in order a trial was suggested, by its notes; None: in no order."""
    workers: int | None = notes.get(_ORDER, {}).get("workers")
    return workers
