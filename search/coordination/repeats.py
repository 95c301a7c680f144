"""Runs that are wanted, one by one: those on record, and the missing ones, which are trained and recorded."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.run.config import RunConfig
from search.coordination.prefixes import Prefixes, key_of
from search.study.space import Space, Stored
from search.study.vocabulary import Entry, Suggestion
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Epoch, Finished, Task
from search.workers.pool import Again, Began, Happened, Pool


@dataclass(frozen=True)
class Wanted:
    """A run that is to stand in `table`, with the `params` that name it there, values of `space`.

    `weights`: where its weights are kept, by the number of its row; None: nowhere.
    """

    table: TrialTable
    space: Space
    params: Mapping[str, Stored]
    run: RunConfig
    weights: WeightStore | None = None


class Repeats:
    """Trains runs that are wanted, in their order. Their tables have no other writer meanwhile.

    A row that was left running with the same parameters is taken up again. Of runs that differ in their
    epochs alone the longest is trained, and the others are read off it. `rows`: of the runs that a worker
    has, by their place among those wanted.
    """

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._wanted = dict(enumerate(wanted))
        self._waiting = deque(self._wanted)
        # Rows that no run of this launch has taken up.
        self._left = {id(each.table): deque(each.table.interrupted()) for each in wanted}
        self._keys = {n: (id(each.table), key_of(each.run)) for n, each in self._wanted.items()}
        self._prefixes = {id(each.table): Prefixes((), each.table.entries()) for each in wanted}
        self.rows: dict[int, Entry] = {}

    @property
    def missing(self) -> int:
        """How many runs have not ended."""
        return len(self._wanted)

    def train(
        self,
        pool: Pool,
        ended: Callable[[Entry], None],
        seen: Callable[[Mapping[int, Entry]], None] = lambda _: None,
    ) -> None:
        """Train what is missing, and record each run as it ends, before `ended` hears of it.

        `seen`: is given the running ones at each step. Where the pool's stopper says so it returns
        earlier; what is `missing` then is left to the next launch. Raises PlumblineError where no
        worker can train.
        """
        with pool.leaving(self._count):
            for happened in pool.run(self._next):
                for event in happened:
                    self._handle(event, pool, ended)
                if not all(isinstance(event, Epoch) for event in happened):
                    self._read_off(ended)
                seen(self.rows)

    def _next(self) -> Task | None:
        number = next((n for n in self._waiting if not self._is_awaited(n)), None)
        if number is None:
            return None
        self._waiting.remove(number)
        each, row = self._wanted[number], self._row(number)
        self.rows[number] = replace(row, run=each.run)
        shorter = [n for n in self._wanted if self._is_beginning(n, of=number)]
        milestones = tuple(sorted(self._wanted[n].run.train.epochs for n in shorter))
        return Task(number, each.run, milestones=milestones, attempts=row.attempts)

    def _row(self, number: int) -> Entry:
        """A row for a run that is wanted, or the one that was left running."""
        each = self._wanted[number]
        left = self._left[id(each.table)]
        row = next((row for row in left if row.params == each.params), None)
        if row is None:
            return each.table.create(Suggestion(each.params), each.space)
        left.remove(row)
        return row

    def _is_beginning(self, number: int, of: int) -> bool:
        """Whether one of those wanted is the beginning of another."""
        shorter, longer = self._wanted[number].run.train, self._wanted[of].run.train
        return shorter.epochs < longer.epochs and self._keys[number] == self._keys[of]

    def _is_awaited(self, number: int) -> bool:
        """Whether a longer run is still to come that shows what this one comes to."""
        return any(self._is_beginning(number, of=other) for other in self._wanted)

    def _read_off(self, ended: Callable[[Entry], None]) -> None:
        """Record those that wait and whose results are there by now, as parts of longer runs."""
        for number in list(self._waiting):
            each = self._wanted[number]
            known = self._prefixes[id(each.table)].known(each.run)
            if known is not None:
                self._waiting.remove(number)
                begun = known.begun(each.table, self._row(number), each.run)
                self._end(number, each.table.complete(begun, known.result, {}), ended)

    def _end(self, number: int, entry: Entry, ended: Callable[[Entry], None]) -> None:
        del self._wanted[number]
        self._prefixes[self._keys[number][0]].add(entry)
        ended(entry)

    def _handle(self, event: Happened, pool: Pool, ended: Callable[[Entry], None]) -> None:
        if isinstance(event, Began):
            number, run = event.task.number, event.task.run
            row = self._table(number).start(self.rows[number].number, run, event.task.attempts)
            self.rows[number] = replace(row, worker=event.worker)
            self._prefixes[self._keys[number][0]].began(event.worker)
            return
        if isinstance(event, Again):
            self._count(event.task)
            return
        row = self.rows[event.number]
        if isinstance(event, Epoch):
            self.rows[event.number] = replace(row, history=(*row.history, event.metrics))
            pool.reply(event.number, prune=False)
            return
        table = self._table(event.number)
        if isinstance(event, Finished):
            # Arrays before the record: what the table counts on is there.
            if (weights := self._wanted[event.number].weights) is not None:
                weights.save(row.number, event.weights)
            entry = table.complete(row, event.result, {})
        else:
            entry = table.fail(replace(row, diverged=event.diverged), event.reason)
        del self.rows[event.number]
        self._end(event.number, entry, ended)

    def _count(self, task: Task) -> None:
        self._table(task.number).count(self.rows[task.number].number, task.attempts)

    def _table(self, number: int) -> TrialTable:
        return self._wanted[number].table
