"""The one event loop, with a launcher that has no processes and nobody who records."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.command.errors import PlumblineError, StoppedError, UnavailableError
from search.study.vocabulary import Attempts
from search.trial_table.postgres import LostError
from search.workers.messages import Broken, Epoch, Failed, Finished, Lost, Started, Task
from search.workers.pool import Again, Began, Happened, Pool
from search.workers.stopping import Stopper
from tests.search.fakes import (
    FakeLauncher,
    Script,
    dies,
    diverges,
    epoch_metrics,
    excused,
    finished,
    raises,
    starves,
    trains,
)
from tests.search.workers.launcher_contract import run_of

Play = Callable[[Task], Script]


class Client:
    """Gives tasks, answers epochs, keeps what happened, and what was given up."""

    def __init__(
        self, script: Play, *tasks: Task, workers: int = 1, attempts: int = 3, grace: float = 0
    ) -> None:
        self.launcher = FakeLauncher(script, workers)
        self.stopper = Stopper(grace, str)
        self.pool = Pool(self.launcher, attempts, self.stopper)
        self.tasks = list(tasks)
        self.happened: list[Happened] = []
        self.given_up: list[Task] = []

    def run(self, see: Callable[[Happened], Any] = lambda _: None) -> list[Happened]:
        with self.pool.leaving(self.given_up.append):
            for happened in self.pool.run(lambda: self.tasks.pop(0) if self.tasks else None):
                for event in happened:
                    self.happened.append(event)
                    see(event)
                    if isinstance(event, Epoch):
                        self.pool.reply(event.number, False)
        return self.happened

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.happened if isinstance(event, kind)]


def task(number: int = 0, **more: Any) -> Task:
    return Task(number, run_of(), **more)


def times(count: int, bad: Play) -> Play:
    """A `bad` worker so many times, and good ones after them."""
    left = iter([bad] * count)
    return lambda task: next(left, trains)(task)


def test_a_task_is_told_of_from_its_beginning_to_its_end() -> None:
    kinds = [type(event) for event in Client(trains, task()).run()]
    assert kinds == [Began, Epoch, Epoch, Epoch, Finished]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_all_tasks_run_each_once_and_as_many_at_a_time_as_there_are_workers(workers: int) -> None:
    client = Client(trains, *map(task, range(5)), workers=workers)
    running: set[int] = set()
    most = 0

    def see(event: Happened) -> None:
        nonlocal most
        if isinstance(event, Began):
            running.add(event.task.number)
            most = max(most, len(running))
        elif isinstance(event, Finished):
            running.remove(event.number)

    client.run(see)
    assert sorted(event.number for event in client.of(Finished)) == [0, 1, 2, 3, 4]
    assert most == workers


def test_a_task_that_its_worker_dies_of_takes_none_with_it_that_shared_the_worker() -> None:
    """Task 0 kills the worker of all that run beside it; nobody can tell which of them does."""

    def script(task: Task) -> Script:
        yield Started(task.number, {})
        beside = set(client.launcher._running)
        yield Epoch(task.number, epoch_metrics(1, 0.5))
        if 0 in beside:
            yield Lost(task.number, "killed", shared=len(beside) > 1)
        yield finished(task, [0.5])

    client = Client(script, *map(task, range(4)), workers=3)
    client.run()
    assert [event.number for event in client.of(Failed)] == [0]
    assert {event.number for event in client.of(Finished)} == {1, 2, 3}


@pytest.mark.parametrize("losses", [1, 2])
def test_a_task_whose_worker_dies_is_tried_again_before_any_other(losses: int) -> None:
    client = Client(times(losses, dies), task(0), task(1))
    client.run()
    assert [each.number for each in client.launcher.tasks] == [0] * (losses + 1) + [1]
    attempts = [event.task.attempts for event in client.of(Began) if event.task.number == 0]
    assert attempts == [Attempts(made=1 + count, losses=count) for count in range(losses + 1)]
    assert [event.task.attempts for event in client.of(Again)] == [
        Attempts(made=count, losses=count) for count in range(1, losses + 1)
    ], "each loss is told at once, before it is tried again"
    assert not client.of(Failed)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_task_has_failed_when_its_attempts_are_used_up(attempts: int) -> None:
    client = Client(dies, task(), attempts=attempts)
    client.run()
    (failed,) = client.of(Failed)
    assert failed.reason == f"{attempts} workers died of it: its worker was ended by SIGKILL"
    assert len(client.of(Began)) == attempts


@pytest.mark.parametrize(
    ("before", "runs"),
    [
        (Attempts(made=5), True),  # five launches ended without a word
        (Attempts(made=6), False),
        (Attempts(made=9, excused=9), True),  # stopped nine times
        (Attempts(made=9, excused=3), False),
        (Attempts(made=7, losses=2), True),
        (Attempts(made=8, losses=2), False),
        (Attempts(made=3, losses=3), False),
    ],
)
def test_attempts_before_this_launch_count_unless_they_were_excused(
    before: Attempts, runs: bool
) -> None:
    client = Client(trains, task(attempts=before), task(1))
    client.run()
    assert [event.number for event in client.of(Finished)] == ([0, 1] if runs else [1])
    assert len(client.of(Failed)) == (not runs)
    assert len(client.launcher.tasks) == 1 + runs


def test_a_task_that_launches_ended_under_says_so() -> None:
    client = Client(trains, task(attempts=Attempts(made=7, losses=1)))
    client.run()
    assert client.of(Failed)[0].reason == (
        "6 launches ended without a word while it ran "
        "(does it need more memory than the machine has?)"
    )


@pytest.mark.parametrize(("unheard", "alone"), [(0, False), (4, False), (5, True)])
def test_nothing_runs_beside_a_task_that_is_about_to_be_blamed(unheard: int, alone: bool) -> None:
    """Else the one beside it may be to blame; and who was only unlucky is soon done."""
    suspect = task(1, attempts=Attempts(made=unheard))
    client = Client(trains, task(0), suspect, task(2), task(3), workers=2)
    running: set[int] = set()
    beside: set[int] = set()

    def see(event: Happened) -> None:
        if isinstance(event, Began):
            running.add(event.task.number)
        elif not isinstance(event, Epoch):
            running.remove(event.number)
        if 1 in running:
            beside.update(running - {1})

    client.run(see)
    assert sorted(event.number for event in client.of(Finished)) == [0, 1, 2, 3]
    assert (not beside) == alone


def test_two_that_are_about_to_be_blamed_run_one_after_the_other() -> None:
    suspects = [task(number, attempts=Attempts(made=5)) for number in range(2)]
    client = Client(trains, *suspects, workers=2)
    client.run(lambda event: client.stopper.drain(0) if isinstance(event, Epoch) else None)
    made = {each.number: each.attempts for each in client.given_up}
    assert made == {0: Attempts(made=6, excused=1)}, (
        "of the other no launch can be said to end under it"
    )


def test_a_task_is_counted_before_its_worker_goes_on() -> None:
    """What takes the machine down right away is on record: the script goes on after `Began` was seen."""
    order: list[str] = []

    def script(task: Task) -> Script:
        yield Started(task.number, {})
        order.append("trains")
        yield finished(task, [0.5])

    client = Client(script, task())
    client.run(lambda event: order.append(type(event).__name__))
    assert order == ["Began", "trains", "Finished"]


def test_a_task_without_memory_is_tried_once_more_alone_which_is_no_fault_of_its_own() -> None:
    client = Client(times(1, starves), task())
    client.run()
    assert [each.alone for each in client.launcher.tasks] == [False, True]
    assert client.of(Began)[-1].task.attempts == Attempts(made=2, excused=1)
    assert client.of(Finished)


def test_tasks_that_were_ended_for_another_ones_sake_are_tried_again_and_excused() -> None:
    client = Client(times(2, excused), task(0), task(1), workers=2)
    notes: list[str] = []
    client.stopper.note = notes.append
    client.run()
    last = {each.task.number: each.task for each in client.of(Began)}
    assert {each.attempts for each in last.values()} == {Attempts(made=2, excused=1)}
    assert not any(each.alone for each in last.values())
    assert len(client.of(Finished)) == 2
    assert notes == ["worker 0 goes on with 2 lanes"], "once for both"


def test_a_task_without_memory_also_alone_has_failed() -> None:
    client = Client(starves, task())
    client.run()
    assert len(client.launcher.tasks) == 2
    assert client.of(Failed)[0].reason.startswith("out of memory, also alone on its GPU: ")


@pytest.mark.parametrize(("script", "traceback"), [(diverges, False), (raises("KeyError"), True)])
def test_a_task_that_fails_by_itself_is_not_tried_again(script: Play, traceback: bool) -> None:
    client = Client(script, task())
    client.run()
    assert len(client.launcher.tasks) == 1
    assert bool(client.of(Failed)[0].traceback) == traceback


@pytest.mark.parametrize(
    ("unavailable", "kind"), [(False, PlumblineError), (True, UnavailableError)]
)
def test_what_finished_is_told_before_that_no_worker_can_train(
    unavailable: bool, kind: type[PlumblineError]
) -> None:
    def broken(_: Task) -> Script:
        yield Broken("no keras", unavailable)

    def done(task: Task) -> Script:
        yield finished(task, [0.5])

    client = Client(lambda each: (broken, done)[each.number](each), task(0), task(1), workers=2)
    with pytest.raises(kind, match="no worker can train:\nno keras") as caught:
        client.run()
    assert type(caught.value) is kind
    assert [event.number for event in client.of(Finished)] == [1]


# Being stopped.


def test_a_pool_that_drains_ends_what_runs_and_takes_no_more() -> None:
    client = Client(trains, *map(task, range(4)), workers=2)
    client.run(lambda _: client.stopper.drain(float("inf")))
    assert sorted(event.number for event in client.of(Finished)) == [0, 1]
    assert len(client.tasks) == 2
    assert client.given_up == []


def stop(client: Client) -> Callable[[Happened], None]:
    """At the first epoch."""
    return lambda event: client.stopper.drain(0) if isinstance(event, Epoch) else None


def test_tasks_that_are_stopped_are_given_up_and_excused() -> None:
    client = Client(trains, task(0, attempts=Attempts(2, 1)), task(1), workers=2)
    client.run(stop(client))
    assert {each.number: each.attempts for each in client.given_up} == {
        0: Attempts(made=3, losses=1, excused=1),
        1: Attempts(made=1, excused=1),
    }


def test_a_task_that_lost_its_worker_while_the_pool_drained_is_given_up_with_its_loss() -> None:
    client = Client(dies, task())
    client.run(lambda _: client.stopper.drain(float("inf")))
    assert [each.attempts for each in client.given_up] == [Attempts(made=1, losses=1)]


def test_a_task_that_no_worker_took_up_is_given_up_as_it_was() -> None:
    client = Client(trains, task())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.launcher, "submit", lambda _: client.stopper.drain(0))
        client.run()
    assert [each.attempts for each in client.given_up] == [Attempts()]


@pytest.mark.parametrize(
    "error", [StoppedError("stopped"), PlumblineError("five alike"), OSError()]
)
def test_tasks_are_given_up_too_where_an_error_ends_the_launch(error: Exception) -> None:
    client = Client(trains, task())

    def see(event: Happened) -> None:
        if isinstance(event, Epoch):
            raise error

    with pytest.raises(type(error)):
        client.run(see)
    assert [each.attempts for each in client.given_up] == [Attempts(made=1, excused=1)]


def test_nothing_is_recorded_where_the_table_is_out_of_reach() -> None:
    client = Client(trains, task())

    def see(_: Happened) -> None:
        raise LostError("gone")

    with pytest.raises(LostError):
        client.run(see)
    assert client.given_up == []


def test_an_error_is_told_even_if_nothing_can_be_recorded_any_more() -> None:
    client = Client(trains, task())

    def fails(_: Task) -> None:
        raise OSError("the disk is full")

    def loop() -> Iterator[None]:
        with client.pool.leaving(fails):
            for happened in client.pool.run(lambda: client.tasks.pop() if client.tasks else None):
                if happened:
                    raise PlumblineError("five alike")
                yield

    with pytest.raises(PlumblineError, match="five alike"):
        list(loop())
