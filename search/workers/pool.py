"""The one event loop: it takes tasks, gives back events, and tries again what a lost worker had."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from pipeline.command.errors import PlumblineError, UnavailableError
from search.trial_table.postgres import LostError
from search.workers.messages import (
    Broken,
    Epoch,
    Excused,
    Failed,
    Finished,
    Launcher,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from search.workers.stopping import Stopper
from search.workers.usage import Usage

_POLL_SECONDS = 0.5  # how soon a signal is heard while nothing else happens


@dataclass(frozen=True)
class Began:
    """A worker took `task` up; `task.attempts` counts this time. It trains once this is handled.

    What must outlive a trial that takes the whole machine down is recorded now.
    """

    task: Task
    worker: dict[str, str]


@dataclass(frozen=True)
class Again:
    """An attempt at `task` ended before its end; it is tried again. `task.attempts` counts how it ended."""

    task: Task


Happened = Began | Epoch | Again | Finished | Failed


class Pool:
    """Runs tasks on the workers of a launcher. A worker that dies costs an attempt at its task, no more.

    A task that `attempts` workers died of has failed. So has one that twice as many launches ended under
    without a word, the last of them while nothing else ran: launches are killed for other reasons, too.
    One that lost a worker together with others has its last attempt while nothing else runs.
    One that its GPU had no memory for is tried once more, with the GPU to itself.
    """

    def __init__(self, launcher: Launcher, attempts: int, stopper: Stopper) -> None:
        self.usage = Usage(stopper.clock)
        self._launcher = launcher
        self._attempts = attempts
        self._launches = 2 * attempts
        self._stopper = stopper
        self._running: dict[int, Task] = {}
        self._taken: set[int] = set()  # those of them that a worker has taken up
        self._again: deque[Task] = deque()
        self._doubtful: set[int] = set()  # that lost a worker together with others
        self._suspect: int | None = None  # it runs, and nothing beside it
        self._excuses: set[str] = set()  # that were said

    def run(self, next_task: Callable[[], Task | None]) -> Iterator[list[Happened]]:
        """What happens to the tasks that `next_task` gives, which is asked when a worker is free.

        None means none now: it is asked again when something has happened. An Epoch needs a `reply`.
        The list is empty where nothing happened for half a second. Ends when no task runs and there is
        none to run; earlier where the stopper says so: it asks for no more tasks while the stopper
        drains. Raises UnavailableError where there is no GPU or no machine to train on, PlumblineError
        where no worker can train.
        """
        while True:
            self._stopper.look()
            if refused := self._fill(next_task):
                yield refused
                continue
            if not self._running or self._stopper.expired:
                return
            broken: Broken | None = None
            happened: list[Happened] = []
            for event in self._launcher.poll(_POLL_SECONDS):
                if isinstance(event, Broken):
                    broken = event
                else:
                    happened += self._handle(event)
            yield happened
            if broken is not None:  # last: other tasks may have finished
                error = UnavailableError if broken.unavailable else PlumblineError
                raise error(f"no worker can train:\n{broken.reason}")

    def free(self) -> int:
        """How many workers have no task."""
        return self._launcher.free()

    def reply(self, number: int, prune: bool) -> None:
        """Answer an Epoch: the task goes on, or is pruned."""
        self._launcher.reply(number, prune)

    @contextmanager
    def leaving(self, give_up: Callable[[Task], None]) -> Iterator[None]:
        """Call `give_up` with each task that has not ended when the block does, however that ends.

        That it was stopped is not held against a task. Nothing is called where the table can't be reached.
        """
        try:
            yield
        except LostError:
            raise
        except BaseException:
            with suppress(Exception):  # the first error is the one to be told
                self._give_up(give_up)
            raise
        self._give_up(give_up)

    def _give_up(self, give_up: Callable[[Task], None]) -> None:
        for number, task in self._running.items():
            give_up(_excused(task) if number in self._taken else task)
        for task in self._again:
            give_up(task)

    def _fill(self, next_task: Callable[[], Task | None]) -> list[Happened]:
        """Give every free worker a task. Failed are those that had their attempts before this launch."""
        refused: list[Happened] = []
        while self._may_start():
            task = self._again.popleft() if self._again else next_task()
            if task is None:
                break
            if (reason := self._reason_to_refuse(task)) is not None:
                refused.append(Failed(task.number, reason))
                continue
            if self._must_be_alone(task):
                if self._running:
                    self._again.appendleft(task)  # until it can be alone
                    break
                self._suspect = task.number
            self._running[task.number] = task
            self._launcher.submit(task)
        return refused

    def _must_be_alone(self, task: Task) -> bool:
        """Whether it may be what others die of, or they what it dies of, and has one attempt left."""
        doubtful = task.number in self._doubtful and task.attempts.losses == self._attempts - 1
        return doubtful or task.attempts.unheard >= self._launches - 1

    def _may_start(self) -> bool:
        free = self._suspect is None and self._launcher.free() > 0
        return free and not self._stopper.draining

    def _reason_to_refuse(self, task: Task) -> str | None:
        if task.attempts.losses >= self._attempts:
            return f"{task.attempts.losses} workers died of it"
        if task.attempts.unheard >= self._launches:
            return (
                f"{task.attempts.unheard} launches ended without a word while it ran "
                "(does it need more memory than the machine has?)"
            )
        return None

    def _handle(
        self, event: Started | Epoch | Finished | Failed | Lost | OutOfMemory | Excused
    ) -> list[Happened]:
        task = self._running[event.number]
        if isinstance(event, Started):
            attempts = replace(task.attempts, made=task.attempts.made + 1)
            task = self._running[task.number] = replace(task, attempts=attempts)
            self._taken.add(task.number)
            self.usage.started(task.number)
            return [Began(task, event.worker)]
        if isinstance(event, Epoch):
            return [event]
        del self._running[task.number]
        if task.number == self._suspect:
            self._suspect = None
        taken = task.number in self._taken
        self._taken.discard(task.number)
        self.usage.ended(task.number)
        if isinstance(event, Excused):
            return self._after_excuse(task, event, taken)
        if isinstance(event, Lost):
            return self._after_loss(task, event)
        if isinstance(event, OutOfMemory):
            return self._after_out_of_memory(task, event)
        return [event]

    def _after_loss(self, task: Task, event: Lost) -> list[Happened]:
        if event.shared:
            self._doubtful.add(task.number)
        attempts = replace(task.attempts, losses=task.attempts.losses + 1)
        if attempts.losses >= self._attempts:
            return [Failed(task.number, f"{attempts.losses} workers died of it: {event.reason}")]
        return self._try_again(replace(task, attempts=attempts))

    def _after_excuse(self, task: Task, event: Excused, taken: bool) -> list[Happened]:
        if event.reason not in self._excuses:  # one for all the trials of a worker
            self._excuses.add(event.reason)
            self._stopper.note(event.reason)
        return self._try_again(_excused(task) if taken else task)

    def _after_out_of_memory(self, task: Task, event: OutOfMemory) -> list[Happened]:
        if not task.alone:
            return self._try_again(replace(_excused(task), alone=True))
        again = "alone on its GPU" if event.alone else "on a fresh worker (its GPU may be shared)"
        return [Failed(task.number, f"out of memory, also {again}: {event.reason}")]

    def _try_again(self, task: Task) -> list[Happened]:
        self._again.appendleft(task)
        return [Again(task)]


def _excused(task: Task) -> Task:
    attempts = replace(task.attempts, excused=task.attempts.excused + 1)
    return replace(task, attempts=attempts)
