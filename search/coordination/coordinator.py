"""The loop of a study: ask, submit, listen, record, publish. One process, one writer, no training."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from pipeline.command.errors import ConfigError, PlumblineError
from pipeline.run.config import RunConfig
from pipeline.run.custom import SOURCE, source_of
from pipeline.run.ending import ending
from pipeline.run.result import RunResult, State
from search.coordination.prefixes import Prefixes
from search.forecasting.estimator import Estimator
from search.study.ranking import Ranking
from search.study.vocabulary import (
    Engine,
    Entry,
    Exhausted,
    Study,
    Suggestions,
    Told,
    Wait,
)
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Epoch, Failed, Finished, Launcher, Task
from search.workers.pool import Again, Began, Happened, Pool
from search.workers.stopping import Stopper

_SAME_FAILURES = 5  # in a row: a bug, not a bad trial


class Watcher(Protocol):
    """Who follows a study."""

    def running(self, trials: Mapping[int, Entry], last: bool) -> None:
        """What runs now; called at each step, and at least every half second. `last`: none come after."""

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
        prefixes: Prefixes | None = None,
        estimator: Estimator | None = None,
    ) -> None:
        self._study = study
        self._table = table
        self._engine = engine
        self._pool = Pool(launcher, attempts, stopper)
        self._weights = weights
        self._watcher = watcher
        self._stopper = stopper
        self._estimator = estimator or Estimator.of(
            study.base, study.space, study.dataset, table.entries()
        )
        self._keep = keep
        self._prefixes = prefixes or Prefixes(None)
        self._source = source_of(study.base.model).get(SOURCE)
        self._running: dict[int, Entry] = {}
        self._waiting: deque[Entry] = deque()
        self._aside: list[Entry] = []  # too long for any launch of this length
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
                self._watcher.running(self._running, last=self._is_met(target) or self.used_up)
                self._table.keep()
                self._allow()
        if not self._running:
            if self._engine_waits and not self._stopper.draining:
                raise PlumblineError("the engine waits for trials to end, but none is running")
            over = self._stopper.draining or self._aside
            self.met = not over or self._is_met(target)
            if self.met:
                self._weights.remove_states()

    def usage(self) -> str:
        """How busy workers and coordinator were, in one line."""
        return str(self._pool.usage)

    def _is_met(self, target: int) -> bool:
        return not self._waiting and not self._aside and self._asked >= target

    def _allow(self) -> None:
        if self._stopper.budget < math.inf:
            self._stopper.allow(self._estimator.usual or 0.0)

    def _count(self, task: Task) -> None:
        self._table.count(task.number, task.attempts)

    def _next(self) -> Task | None:
        """The next trial, as a task. What the configuration refuses has failed."""
        while (entry := self._ask()) is not None:
            try:
                run = self._study.space.apply(self._study.base, entry.params, entry.epochs)
            except ConfigError as error:  # several fields that don't fit together
                notes = self._engine.tell(Told(entry.number, "failed", None, {}))
                self._watcher.ended(self._table.fail(entry, f"refused: {error}", notes))
                continue
            known = self._prefixes.known(run)
            if known is None and not self._may_begin(entry, run):
                continue
            self._running[entry.number] = replace(
                entry, run=run, started_at=self._table.clock(), history=()
            )
            if known is None:
                return self._task(entry, run)
            self._complete(known.begun(self._table, entry, run), known.result)
        return None

    def _may_begin(self, entry: Entry, run: RunConfig) -> bool:
        """Whether a trial can end in the time that is left; else the next launch has it, under its number."""
        if self._stopper.budget == math.inf:
            return True
        seconds = self._estimator.seconds(run) or 0.0
        if seconds >= self._stopper.budget:  # no launch of this length has the time
            self._aside.append(entry)
            self._stopper.note(
                f"study.max_seconds: trial {entry.number} takes {seconds:.0f} s, which no such launch has: "
                "it is left out."
            )
            return False
        if not self._stopper.allow(seconds):
            self._waiting.appendleft(entry)
            return False
        return True

    def _task(self, entry: Entry, run: RunConfig) -> Task:
        start = None if entry.continues is None else self._end_of(entry.continues)
        if (before := self._prefixes.start(run, self._weights)) is not None:
            number, start = before
            self._running[entry.number] = replace(self._running[entry.number], extends=number)
        keep_state = self._engine.continues or self._prefixes.keep_states
        milestones = self._prefixes.milestones(run)
        return Task(entry.number, run, start, keep_state, milestones, attempts=entry.attempts)

    def _ask(self) -> Entry | None:
        if self._stopper.draining:
            return None
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
            self._check_source(event.worker)
            number, attempts = event.task.number, event.task.attempts
            begun = self._table.start(number, event.task.run, attempts)
            before = () if event.task.start is None else event.task.start.history
            extends = self._running[number].extends
            self._running[number] = replace(
                begun, worker=event.worker, extends=extends, history=before
            )
            self._prefixes.began(event.worker)
        elif isinstance(event, Again):
            self._count(event.task)
        elif isinstance(event, Epoch):
            self._epoch(event)
        elif isinstance(event, Finished):
            self._finished(self._running[event.number], event)
        else:
            self._failed(self._running[event.number], event)

    def _check_source(self, worker: Mapping[str, str]) -> None:
        """Raise PlumblineError where a worker has another network than this study, under the same name."""
        if worker.get(SOURCE) != self._source:
            raise PlumblineError(
                "model.build: its source is another than that of this study: it was changed meanwhile, or is "
                "another where the worker runs (set it back, or give the new study another study.name)"
            )

    def _epoch(self, event: Epoch) -> None:
        before = self._running[event.number]
        entry = replace(before, history=(*before.history, event.metrics))
        self._running[event.number] = entry
        # A trial that ends here anyhow is paid for in full: whether to prune it is not asked.
        goes_on = entry.run is not None and ending(entry.run, entry.curve) is None
        prune = goes_on and self._engine.report(event.number, entry.curve)
        self._pool.reply(event.number, prune)

    def _finished(self, entry: Entry, event: Finished) -> None:
        result = event.result
        self._failures.clear()
        # Arrays before the record: what the table counts on is there.
        if event.state is not None:
            self._weights.save_state(entry.number, event.state)
        pruned = result.stop == "pruned"
        if not pruned and self._is_among_the_best(entry, result):
            self._weights.save(entry.number, event.weights)
        self._complete(entry, result)

    def _complete(self, entry: Entry, result: RunResult) -> None:
        entry = replace(entry, history=result.history, result=result)
        told = (
            Told(entry.number, "pruned", None, entry.curve)
            if result.stop == "pruned"
            else Told(entry.number, "complete", result.value, entry.curve, entry.cost)
        )
        notes = self._engine.tell(told)
        self._ended(self._table.complete(entry, result, notes))
        self._retain()

    def _failed(self, entry: Entry, event: Failed) -> None:
        notes = self._engine.tell(Told(entry.number, "failed", None, entry.curve))
        failed = replace(entry, diverged=event.diverged)
        self._ended(self._table.fail(failed, event.reason, notes))
        if event.traceback is None:
            self._failures.clear()
        else:
            self._look_for_a_bug(event.reason, event.traceback)

    def _ended(self, entry: Entry) -> None:
        del self._running[entry.number]
        self._estimator.add(entry)
        self._ranking.add(entry)
        self._prefixes.add(entry)
        self._watcher.ended(entry)

    def _is_among_the_best(self, entry: Entry, result: RunResult) -> bool:
        ended = replace(entry, state="complete", value=result.value, result=result)
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
