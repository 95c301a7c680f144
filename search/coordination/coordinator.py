"""The loop of a study: ask, submit, listen, record, publish. One process, one writer, no training."""

import statistics
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from pipeline.command.errors import ConfigError, PlumblineError
from pipeline.run.config import RunConfig
from pipeline.run.ending import ending
from pipeline.run.result import EpochMetrics, State
from search.study.ranking import Ranking
from search.study.vocabulary import (
    RECENT_TRIALS,
    Engine,
    Entry,
    Exhausted,
    Study,
    Suggestions,
    Told,
    Trial,
    Wait,
    curve,
)
from search.table.trials import TrialTable
from search.table.weights import WeightStore
from search.workers.messages import Epoch, Failed, Finished, Launcher, Task
from search.workers.pool import Again, Began, Happened, Pool
from search.workers.stopping import Stopper

_SAME_FAILURES = 5  # in a row: a bug, not a bad trial


@dataclass
class Running:
    """A trial that a worker has: what is known of it so far."""

    trial: Trial
    run: RunConfig
    started_at: float
    worker: dict[str, str] = field(default_factory=dict)
    history: list[EpochMetrics] = field(default_factory=list)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Its configuration by override path."""
        return self.run.parameters()

    @property
    def curve(self) -> dict[int, float]:
        """The objective's metric by epoch, in this attempt."""
        return curve(self.history, self.run.objective.metric)

    @property
    def epochs(self) -> int:
        """How many epochs it may train."""
        return self.run.train.epochs

    @property
    def entry(self) -> Entry:
        """It as the trial table would show it now."""
        return Entry(
            number=self.trial.number,
            uid=self.trial.uid,
            state="running",
            params=self.trial.params,
            run=self.parameters,
            attempt=self.trial.attempts.made,
            losses=self.trial.attempts.losses,
            excused=self.trial.attempts.excused,
            started_at=self.started_at,
            epochs=self.trial.epochs,
            continues=self.trial.continues,
            history=tuple(self.history),
            worker=self.worker,
        )


class Watcher(Protocol):
    """Who follows a study."""

    def running(self, trials: Mapping[int, Running]) -> None:
        """What runs now; called at each step, and at least every half second."""

    def ended(self, entry: Entry) -> None:
        """A trial that ended, as the table has it."""


class Coordinator:
    """Brings a study to its target number of trials.

    Only here is a trial of it asked for, recorded or given up; a pool runs them.
    """

    def __init__(
        self,
        study: Study,
        table: TrialTable,
        engine: Engine,
        launcher: Launcher,
        weights: WeightStore,
        attempts: int,
        watcher: Watcher,
        stopper: Stopper,
        keep: int = 3,
    ) -> None:
        self._study = study
        self._table = table
        self._engine = engine
        self._pool = Pool(launcher, attempts, stopper)
        self._weights = weights
        self._watcher = watcher
        self._stopper = stopper
        self._keep = keep
        self._running: dict[int, Running] = {}
        self._waiting: deque[Trial] = deque()
        self._durations = deque(
            (e.result.timings["seconds_total"] for e in table.entries() if e.result), RECENT_TRIALS
        )
        self._ranking = Ranking(study.base.objective, table.entries())
        self._failures: deque[str] = deque(maxlen=_SAME_FAILURES)
        self._bug: PlumblineError | None = None  # to be raised when all that happened is on record
        self._asked = 0
        self._engine_waits = False
        self._target = 0
        self.met = False
        self.used_up = False  # the engine has nothing more to suggest

    def run(self, target: int) -> None:
        """Run until the table holds `target` finished trials, or the space is exhausted (`met`).

        Trials that an earlier coordinator left running go first, with their parameters. When the
        stopper says so, it returns earlier; trials given up then stay running in the table, which is
        how the next launch finds them.
        Raises UnavailableError when there is no GPU or no machine to train on, PlumblineError when no
        worker can train, the same exception ends trial after trial, or the engine waits for trials
        although none runs.
        """
        self._waiting.extend(self._table.interrupted())
        self._asked = len(self._table.entries())
        self._target = target
        self._allow()
        with self._pool.leaving(self._count):
            for happened in self._pool.run(self._next):
                for event in happened:
                    self._handle(event)
                if self._bug is not None:
                    raise self._bug
                self._watcher.running(self._running)
                self._table.keep()
                self._allow()
        if not self._running:
            if self._engine_waits and not self._stopper.draining:
                raise PlumblineError("the engine waits for trials to end, but none is running")
            self.met = not self._stopper.draining or self._is_met(target)
            if self.met:
                self._weights.remove_states()

    def usage(self) -> str:
        """How busy workers and coordinator were, in one line."""
        return str(self._pool.usage)

    def _is_met(self, target: int) -> bool:
        return not self._waiting and self._asked >= target

    def _allow(self) -> None:
        self._stopper.allow(statistics.median(self._durations) if self._durations else 0.0)

    def _count(self, task: Task) -> None:
        running = self._running[task.number]
        running.trial = replace(running.trial, attempts=task.attempts)
        self._table.count(running.trial)

    def _next(self) -> Task | None:
        """The next trial, as a task. What the configuration refuses has failed."""
        while (trial := self._ask()) is not None:
            try:
                run = self._study.space.apply(self._study.base, trial.params, trial.epochs)
            except ConfigError as error:  # several fields that don't fit together
                notes = self._engine.tell(Told(trial.number, "failed", None, {}))
                self._watcher.ended(self._table.fail(trial, f"refused: {error}", (), notes))
                continue
            self._running[trial.number] = Running(trial, run, time.time())
            start = None if trial.continues is None else self._end_of(trial.continues)
            keep_state = self._engine.continues
            return Task(trial.number, run, start, keep_state, attempts=trial.attempts)
        return None

    def _ask(self) -> Trial | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._asked >= self._target:
            return None
        answer = self._engine.ask(min(self._pool.free(), self._target - self._asked))
        self._engine_waits = isinstance(answer, Wait)
        self.used_up = isinstance(answer, Exhausted)
        if not isinstance(answer, Suggestions):
            return None
        for suggestion in answer.trials:
            self._waiting.append(self._table.create(suggestion, self._study.space))
            self._asked += 1
        return self._waiting.popleft()

    def _end_of(self, number: int) -> State:
        """Where trial `number` ended.

        If its state was not kept, the number of its last epoch: its successor trains up to there once
        more, to the same numbers, because the order of the rows and the units dropped depend only on
        the seed and the epoch.
        """
        state = self._weights.state(number)
        return state or State(self._table.entries()[number].history[-1].epoch, [])

    def _handle(self, event: Happened) -> None:
        if isinstance(event, Began):
            self._began(self._running[event.task.number], event)
            return
        if isinstance(event, Again):
            self._count(event.task)
            return
        running = self._running[event.number]
        if isinstance(event, Epoch):
            running.history.append(event.metrics)
            # A trial that ends here anyhow is paid for in full: whether to prune it is not asked.
            goes_on = ending(running.run, running.curve) is None
            prune = goes_on and self._engine.report(event.number, running.curve)
            self._pool.reply(event.number, prune)
        elif isinstance(event, Finished):
            self._finished(running, event)
        else:
            self._failed(running, event)

    def _began(self, running: Running, event: Began) -> None:
        running.trial = replace(running.trial, attempts=event.task.attempts)
        running.started_at = self._table.start(running.trial, running.run)
        running.worker = event.worker
        running.history = []

    def _finished(self, running: Running, event: Finished) -> None:
        trial, result = running.trial, event.result
        self._failures.clear()
        self._durations.append(result.timings["seconds_total"])
        # Arrays before the record: what the table counts on is there.
        if event.state is not None:
            self._weights.save_state(trial.number, event.state)
        if result.stop != "pruned" and self._is_among_the_best(running, result.value):
            self._weights.save(trial.number, event.weights)
        told_of = curve(result.history, running.run.objective.metric)
        told = (
            Told(trial.number, "pruned", None, told_of)
            if result.stop == "pruned"
            else Told(trial.number, "complete", result.value, told_of)
        )
        notes = self._engine.tell(told)
        self._ended(self._table.complete(trial, result, running.worker, notes))
        self._retain()

    def _failed(self, running: Running, event: Failed) -> None:
        notes = self._engine.tell(Told(event.number, "failed", None, running.curve))
        trial, history, worker = running.trial, running.history, running.worker
        self._ended(self._table.fail(trial, event.reason, history, notes, worker))
        if event.traceback is None:
            self._failures.clear()
        else:
            self._look_for_a_bug(event.reason, event.traceback)

    def _ended(self, entry: Entry) -> None:
        del self._running[entry.number]
        self._ranking.add(entry)
        self._watcher.ended(entry)

    def _is_among_the_best(self, running: Running, value: float) -> bool:
        ended = replace(running.entry, state="complete", value=value)
        return self._ranking.place(ended) < self._keep

    def _retain(self) -> None:
        """Keep the weights of the best trials, and no others."""
        self._weights.keep_only(self._ranking.numbers(self._keep))

    def _look_for_a_bug(self, reason: str, traceback: str) -> None:
        # Its class and place: the message may name parameters, which differ from trial to trial.
        places = [line for line in traceback.splitlines() if line.startswith('  File "')]
        self._failures.append(f"{reason.partition(':')[0]} {places[-1:]}")
        if len(self._failures) == _SAME_FAILURES and len(set(self._failures)) == 1:
            self._bug = PlumblineError(
                f"{_SAME_FAILURES} trials in a row failed alike; this is a bug, not bad trials:\n"
                f"{traceback}"
            )
