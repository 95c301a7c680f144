"""The loop of a study: ask, submit, listen, record, publish. One process, one writer, no training."""

import dataclasses
import statistics
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from pipeline.config import RunConfig
from pipeline.ending import ending
from pipeline.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.result import EpochMetrics, State
from search.launchers.base import (
    Broken,
    Epoch,
    Event,
    Failed,
    Finished,
    Launcher,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from search.ranking import Ranking
from search.stopping import Stopper
from search.study import (
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
from search.trials import TrialTable
from search.weights import WeightStore

_POLL_SECONDS = 0.5  # how soon a signal is heard while nothing else happens
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
            attempt=self.trial.attempt,
            losses=self.trial.losses,
            started_at=self.started_at,
            epochs=self.trial.epochs,
            continues=self.trial.continues,
            history=tuple(self.history),
            worker=self.worker,
        )


@dataclass
class Usage:
    """How much of the time workers trained, and how much of a core the coordinator took.

    `tracking` is what the other threads of its process took: they publish.
    """

    workers: int = 0
    _began: float = 0.0
    _own_cpu: float = 0.0
    _cpu: float = 0.0
    _busy: float = 0.0
    _last: float = 0.0
    _since: dict[int, float] = field(default_factory=dict)

    def started(self, number: int) -> None:
        """A worker took a trial up. The clock runs from the first one: before, workers start."""
        now = time.monotonic()
        if not self._began:
            self._began = now
            self._own_cpu, self._cpu = time.thread_time(), time.process_time()
        self._since[number] = now
        self.workers = max(self.workers, len(self._since))

    def ended(self, number: int) -> None:
        """A worker is done with a trial."""
        self._last = time.monotonic()
        self._busy += self._last - self._since.pop(number, self._last)

    def __str__(self) -> str:
        wall = self._last - self._began
        if wall <= 0 or not self.workers:
            return "No trial was trained."
        busy = self._busy / (wall * self.workers)
        own = time.thread_time() - self._own_cpu
        others = max(0.0, time.process_time() - self._cpu - own)  # two clocks: not to the tick
        return (
            f"{wall:.1f} s: workers busy {busy:.1%} of it, "
            f"coordinator {own / wall:.1%} of a core, tracking {others / wall:.1%}."
        )


class Watcher(Protocol):
    """Who follows a study."""

    def running(self, trials: Mapping[int, Running]) -> None:
        """What runs now; called at each step, and at least every half second."""

    def ended(self, entry: Entry) -> None:
        """A trial that ended, as the table has it."""


class Coordinator:
    """Brings a study to its target number of trials.

    Only here is a trial asked for, recorded or given up. Workers that die cost one attempt at one trial.
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
        self._launcher = launcher
        self._weights = weights
        self._attempts = attempts
        self._watcher = watcher
        self._stopper = stopper
        self._keep = keep
        self._running: dict[int, Running] = {}
        self._waiting: deque[Trial] = deque()
        self._alone: set[int] = set()  # trials that a shared GPU had no memory for
        self._durations = deque(
            (e.result.timings["seconds_total"] for e in table.entries() if e.result), RECENT_TRIALS
        )
        self._ranking = Ranking(study.base.objective, table.entries())
        self._failures: deque[str] = deque(maxlen=_SAME_FAILURES)
        self._asked = 0
        self._engine_waits = False
        self._usage = Usage()
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
        while True:
            while self._launcher.free() and (trial := self._next(target)) is not None:
                self._submit(trial)
            if not self._running:
                if self._engine_waits and not self._stopper.draining:
                    raise PlumblineError("the engine waits for trials to end, but none is running")
                self.met = not self._stopper.draining or self._is_met(target)
                if self.met:
                    self._weights.remove_states()
                return
            if self._stopper.expired:
                return
            events = self._launcher.poll(_POLL_SECONDS)
            for event in sorted(events, key=lambda event: isinstance(event, Broken)):
                self._handle(event)  # the end of everything last: other trials may have finished
            self._watcher.running(self._running)
            self._table.keep()

    def usage(self) -> str:
        """How busy workers and coordinator were, in one line."""
        return str(self._usage)

    def _is_met(self, target: int) -> bool:
        return not self._waiting and self._asked >= target

    def _next(self, target: int) -> Trial | None:
        self._stopper.allow(statistics.median(self._durations) if self._durations else 0.0)
        if self._stopper.draining:
            return None
        if self._waiting:
            return self._waiting.popleft()
        if self._asked >= target:
            return None
        answer = self._engine.ask(min(self._launcher.free(), target - self._asked))
        self._engine_waits = isinstance(answer, Wait)
        self.used_up = isinstance(answer, Exhausted)
        if not isinstance(answer, Suggestions):
            return None
        for suggestion in answer.trials:
            self._waiting.append(self._table.create(suggestion, self._study.space))
            self._asked += 1
        return self._waiting.popleft()

    def _submit(self, trial: Trial) -> None:
        trial = dataclasses.replace(trial, attempt=trial.attempt + 1)
        try:
            run = self._study.space.apply(self._study.base, trial.params, trial.epochs)
        except (
            ConfigError
        ) as error:  # several fields that don't fit together: the space let it pass
            notes = self._engine.tell(Told(trial.number, "failed", None, {}))
            entry = self._table.fail(trial, f"refused: {error}", (), notes)
            self._watcher.ended(entry)
            return
        started_at = self._table.start(trial, run)
        self._running[trial.number] = Running(trial, run, started_at)
        start = None if trial.continues is None else self._end_of(trial.continues)
        alone = trial.number in self._alone
        self._launcher.submit(Task(trial.number, run, start, self._engine.continues, alone))

    def _end_of(self, number: int) -> State:
        """Where trial `number` ended.

        If its state was not kept, the number of its last epoch: its successor trains up to there once
        more, to the same numbers, because the order of the rows and the units dropped depend only on
        the seed and the epoch.
        """
        state = self._weights.state(number)
        return state or State(self._table.entries()[number].history[-1].epoch, [])

    def _handle(self, event: Event) -> None:
        if isinstance(event, Broken):
            error = UnavailableError if event.unavailable else PlumblineError
            raise error(f"no worker can train:\n{event.reason}")
        running = self._running[event.number]
        trial = running.trial
        if isinstance(event, Finished | Failed | Lost | OutOfMemory):
            self._usage.ended(trial.number)
        if isinstance(event, Started):
            running.worker = event.worker
            self._usage.started(trial.number)
        elif isinstance(event, Epoch):
            running.history.append(event.metrics)
            # A trial that ends here anyhow is paid for in full: whether to prune it is not asked.
            goes_on = ending(running.run, running.curve) is None
            prune = goes_on and self._engine.report(trial.number, running.curve)
            self._launcher.reply(trial.number, prune)
        elif isinstance(event, Finished):
            self._finished(running, event)
        elif isinstance(event, Failed):
            self._fail(running, event.reason)
            if event.traceback is None:
                self._failures.clear()
            else:
                self._stop_at_a_bug(event.reason, event.traceback)
        elif isinstance(event, OutOfMemory):
            self._out_of_memory(running, event)
        elif isinstance(event, Lost):
            self._lost(running, event.reason)

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

    def _lost(self, running: Running, reason: str) -> None:
        trial = dataclasses.replace(running.trial, losses=running.trial.losses + 1)
        if trial.losses < self._attempts:
            del self._running[trial.number]
            self._waiting.appendleft(trial)
        else:
            self._fail(running, f"{trial.losses} workers died of it: {reason}")

    def _out_of_memory(self, running: Running, event: OutOfMemory) -> None:
        """Try the trial again with the GPU to itself where that can be; once, for then it is too large."""
        self._failures.clear()
        number = running.trial.number
        if number not in self._alone:
            self._alone.add(number)
            del self._running[number]
            self._waiting.appendleft(running.trial)
        else:
            again = (
                "alone on its GPU" if event.alone else "on a fresh worker (its GPU may be shared)"
            )
            self._fail(running, f"out of memory, also {again}: {event.reason}")

    def _fail(self, running: Running, reason: str) -> None:
        notes = self._engine.tell(Told(running.trial.number, "failed", None, running.curve))
        self._ended(self._table.fail(running.trial, reason, running.history, notes, running.worker))

    def _ended(self, entry: Entry) -> None:
        del self._running[entry.number]
        self._ranking.add(entry)
        self._watcher.ended(entry)

    def _is_among_the_best(self, running: Running, value: float) -> bool:
        ended = dataclasses.replace(running.entry, state="complete", value=value)
        return self._ranking.place(ended) < self._keep

    def _retain(self) -> None:
        """Keep the weights of the best trials, and no others."""
        self._weights.keep_only(self._ranking.numbers(self._keep))

    def _stop_at_a_bug(self, reason: str, traceback: str) -> None:
        # Its class and place: the message may name parameters, which differ from trial to trial.
        places = [line for line in traceback.splitlines() if line.startswith('  File "')]
        self._failures.append(f"{reason.partition(':')[0]} {places[-1:]}")
        if len(self._failures) == _SAME_FAILURES and len(set(self._failures)) == 1:
            raise PlumblineError(
                f"{_SAME_FAILURES} trials in a row failed alike; this is a bug, not bad trials:\n"
                f"{traceback}"
            )
