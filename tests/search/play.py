"""A study without table, processes and clocks, in which what comes when is left to chance."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.setup.read import Setup
from search.study.vocabulary import Exhausted, Record, Suggestion, Suggestions, Told

Trials = list[tuple[Suggestion, Told | None]]


def height(params: Mapping[str, Any]) -> float:
    """A value in [0, 1) to climb, the same for the same parameters."""
    return random.Random(json.dumps(dict(params), sort_keys=True)).random()


class Play:
    """A study with `workers`, who take their next step in an order that is left to chance.

    `deaths`, `restarts`: how likely a step is that a worker dies, or the coordinator. What a trial
    comes to depends on its parameters alone; one in ten fails at its second epoch.
    """

    def __init__(
        self,
        setup: Setup,
        workers: int = 1,
        chance: int = 0,
        deaths: float = 0.0,
        restarts: float = 0.0,
    ) -> None:
        self._setup = setup
        self._workers = workers
        self._chance = random.Random(chance)
        self._deaths = deaths
        self._restarts = restarts
        self._suggested: list[Suggestion] = []
        self._told: dict[int, Told] = {}
        self._running: dict[int, dict[int, float]] = {}
        self.engine = setup.engine_from((), workers)

    def run(self, target: int) -> Trials:
        """All trials, when `target` of them have ended or the engine has no more."""
        self._ask(target)
        while self._running:
            lot = self._chance.random()
            if lot < self._restarts:
                self._restart()
            elif lot < self._restarts + self._deaths:
                self._running[self._chance.choice(list(self._running))] = {}
            else:
                self._step(self._chance.choice(list(self._running)))
            self._ask(target)
        return [
            (replace(suggestion, notes={}), self._told.get(number))
            for number, suggestion in enumerate(self._suggested)
        ]

    def records(self) -> list[Record]:
        """What a table would remember."""
        return [
            Record(
                replace(suggestion, notes=json.loads(json.dumps(suggestion.notes))),
                self._told.get(number),
            )
            for number, suggestion in enumerate(self._suggested)
        ]

    def _ask(self, target: int) -> None:
        while free := min(self._workers - len(self._running), target - len(self._suggested)):
            answer = self.engine.ask(free)
            if not isinstance(answer, Suggestions):
                assert self._running or answer == Exhausted(), "it waits for nothing"
                return
            for suggestion in answer.trials:
                self._running[len(self._suggested)] = {}
                self._suggested.append(suggestion)

    def _step(self, number: int) -> None:
        suggestion, curve = self._suggested[number], self._running[number]
        goal = height(suggestion.params)
        epoch = max(curve, default=self._behind(suggestion)) + 1
        curve[epoch] = goal * (1 - 0.7**epoch)
        if goal < 0.1 and len(curve) == 2:
            self._end(Told(number, "failed", None, curve))
        elif epoch == (suggestion.epochs or self._setup.run.train.epochs):
            cost = self._setup.run.objective.cost and height({"cost of": goal})
            self._end(Told(number, "complete", curve[epoch], curve, cost))
        elif self.engine.report(number, dict(curve)):
            self._end(Told(number, "pruned", None, curve))

    def _behind(self, suggestion: Suggestion) -> int:
        if suggestion.continues is None:
            return 0
        return max(self._told[suggestion.continues].curve)

    def _end(self, told: Told) -> None:
        notes = {**self._suggested[told.number].notes, **self.engine.tell(told)}
        self._suggested[told.number] = replace(self._suggested[told.number], notes=notes)
        self._told[told.number] = told
        del self._running[told.number]

    def _restart(self) -> None:
        self._running = {number: {} for number in self._running}
        self.engine = self._setup.engine_from(self.records(), self._workers)
