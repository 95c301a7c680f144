"""One launch of a study, without processes; where a test says so, with an engine by script."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from search.coordination.coordinator import Coordinator
from search.engines.optuna import OptunaAlgorithm
from search.engines.order import OrderedEngine
from search.setup.read import Setup
from search.study.space import Range, Space
from search.study.untried import Runs
from search.study.vocabulary import (
    Engine,
    Entry,
    Exhausted,
    Study,
    Suggestion,
    Suggestions,
    Told,
    Wait,
)
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Task
from search.workers.stopping import Stopper
from tests.search.conftest import DROPOUT, RecordingWatcher, engine_of, setup_of, study_of
from tests.search.fakes import FakeLauncher, Script, trains

Play = Callable[[Task], Script]


class Launch:
    """One launch of a study of dropout: its coordinator, launcher, table and watcher."""

    def __init__(
        self,
        url: str,
        script: Play = trains,
        *overrides: str,
        workers: int = 1,
        attempts: int = 3,
        engine: Engine | None = None,
        wide: bool = False,
    ) -> None:
        self.setup: Setup = setup_of("pruner=none", *overrides, space=DROPOUT)
        study: Study = study_of(self.setup)
        if wide:  # as only three fields can be that don't fit together: pairs are checked before
            study = replace(study, space=Space({"model.dropout": Range(low=0.0, high=50.0)}))
            sampler, pruner = optuna.samplers.RandomSampler, optuna.pruners.NopPruner()
            runs = Runs(self.setup.run, study.space)
            engine = OrderedEngine(
                OptunaAlgorithm(["maximize"], study.space, runs, sampler, 0, pruner), (), None
            )
        self.table = TrialTable.open(url, study)
        self.engine = engine or engine_of(self.setup, self.table.entries())
        self.launcher = FakeLauncher(script, workers)
        self.watcher = RecordingWatcher()
        self.weights = WeightStore(Path(url.removeprefix("sqlite:///")).parent / "weights")
        self.stopper = Stopper(grace_seconds=0, note=str)
        self.coordinator = Coordinator(
            study,
            self.table,
            self.engine,
            self.launcher,
            self.weights,
            attempts,
            self.watcher,
            self.stopper,
        )

    def run(self, target: int) -> list[Entry]:
        """The table after the study was brought to `target`."""
        self.coordinator.run(target)
        return self.table.entries()

    @property
    def submitted(self) -> list[int]:
        return [task.number for task in self.launcher.tasks]


def first(script: Play, number: int = 0, times: int = 1) -> Play:
    """`script` for the first tasks of a trial, and good training for all others."""
    seen: Counter[int] = Counter()

    def play(task: Task) -> Script:
        seen[task.number] += 1
        return script(task) if task.number == number and seen[number] <= times else trains(task)

    return play


class Scripted:
    """Answers in turn, then is exhausted; hears what the coordinator tells it."""

    def __init__(self, *answers: Suggestion | Wait, continues: bool = False) -> None:
        self.answers = list(answers)
        self.told: list[Told] = []
        self.reported: list[tuple[int, Mapping[int, float]]] = []
        self.counts: list[int] = []
        self.continues = continues

    def ask(self, count: int) -> Suggestions | Wait | Exhausted:
        self.counts.append(count)
        if not self.answers:
            return Exhausted()
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Wait) else Suggestions((answer,))

    def report(self, number: int, curve: Mapping[int, float]) -> bool:
        self.reported.append((number, curve))
        return False

    def tell(self, told: Told) -> Mapping[str, Any]:
        self.told.append(told)
        return {"told": told.number}


def suggest(dropout: float, **plan: Any) -> Suggestion:
    return Suggestion({"model.dropout": dropout}, **plan)
