"""Studies with an oracle, driven by hand: without table, coordinator and workers."""

import dataclasses
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from search.setup.read import Setup
from search.study.vocabulary import Entry, Exhausted, Suggestions, Told, Wait
from tests.search import conftest
from tests.search.conftest import DROPOUT

ORACLES = ("random", "grid", "bayesian", "hyperband")
EVERYTHING: Mapping[str, Any] = {
    "model": {
        "hidden_units": [32, [64, 32]],
        "dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
        "l2": {"low": 0, "high": 0.1},
    },
    "train": {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"low": 16, "high": 128, "log": True},
        "patience": [None, 2],
        "optimizer": ["adam", "sgd"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
    },
}
"""Every kind of dimension."""
SIX: Mapping[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.2, "step": 0.1}},
    "train": {"patience": [None, 2]},
}
"""Six points."""


def setup_of(oracle: str, space: Mapping[str, Any] = DROPOUT, *overrides: str) -> Setup:
    """The checked configuration of a study with `oracle`."""
    chosen = ("engine=keras_tuner", f"oracle={oracle}", "train.epochs=9")
    return conftest.setup_of(*chosen, *overrides, space=space)


def height(params: Mapping[str, Any]) -> float:
    """A value to climb, the same for the same parameters."""
    return random.Random(json.dumps(dict(params), sort_keys=True)).random()


class Session:
    """A coordinator's part with an engine, and the table's: `entries` is what is remembered."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.entries: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        """The coordinator died; another one makes its engine from what is remembered."""
        remembered = json.loads(json.dumps([entry.notes for entry in self.entries]))
        entries = [
            dataclasses.replace(entry, notes=notes)
            for entry, notes in zip(self.entries, remembered, strict=True)
        ]
        self.engine = self.setup.make_engine(entries, workers=1)

    def ask(self) -> Entry | Wait | Exhausted:
        """The next trial, running; or what the engine said instead."""
        answer = self.engine.ask(1)
        if not isinstance(answer, Suggestions):
            return answer
        (asked,) = answer.trials
        number = len(self.entries)
        entry = Entry(
            number=number,
            uid=f"uid-{number}",
            state="running",
            params=asked.params,
            run=self.setup.run,
            started_at=0.0,
            epochs=asked.epochs,
            continues=asked.continues,
            notes=asked.notes,
        )
        self.entries.append(entry)
        return entry

    def end(self, number: int, value: float | None = None) -> None:
        """Trial `number` ended with `value`, by default its height."""
        entry = self.entries[number]
        value = height(entry.params) if value is None else value
        self.entries[number] = dataclasses.replace(entry, state="complete", value=value)
        self.engine.tell(Told(number, "complete", value, {}))

    def fail(self, number: int) -> None:
        """Trial `number` failed."""
        self.entries[number] = dataclasses.replace(self.entries[number], state="failed")
        self.engine.tell(Told(number, "failed", None, {}))

    def trial(self) -> Entry:
        """A whole trial."""
        entry = self.ask()
        assert isinstance(entry, Entry), entry
        self.end(entry.number)
        return self.entries[entry.number]

    def trials(self, count: int) -> list[Any]:
        """What `count` trials, one after the other, are asked with."""
        return [plan(self.trial()) for _ in range(count)]

    def running(self) -> list[int]:
        return [entry.number for entry in self.entries if entry.state == "running"]


def plan(entry: Entry) -> Any:
    """All that was suggested of a trial."""
    return entry.params, entry.epochs, entry.continues, entry.notes


def until_the_end(
    session: Session, workers: int, seed: int = 0, fails: Callable[[Entry], bool] = lambda _: False
) -> None:
    """Run the study until it is exhausted; whichever of the running trials ends is left to chance."""
    chance = random.Random(seed)
    for _ in range(10_000):
        while len(session.running()) < workers:
            if not isinstance(said := session.ask(), Entry):
                break
        if not session.running():
            assert said == Exhausted(), "it waits for nothing"
            return
        number = chance.choice(session.running())
        if fails(session.entries[number]):
            session.fail(number)
        else:
            session.end(number)
    raise AssertionError("the study does not end")
