"""Publication: whatever the tracker does, no record is lost and the latest one wins."""

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pipeline.tracking.publisher import Publisher
from pipeline.tracking.record import Point, RunRecord

SOON = 0.001
LONG = 60.0


def record(uid: str, points: int = 0, parent: str | None = None) -> RunRecord:
    return RunRecord(
        uid=uid,
        experiment="fruit",
        name=uid,
        status="RUNNING",
        started_at=0.0,
        parent=parent,
        points=tuple(Point("size", step, step, float(step)) for step in range(points)),
    )


class Script:
    """A tracker that does what `behave` says: returns, raises or waits; then keeps the record."""

    def __init__(self, behave: Callable[[RunRecord], None] = lambda _: None) -> None:
        self.published: list[RunRecord] = []
        self.calls: list[RunRecord] = []
        self._behave = behave

    def publish(self, record: RunRecord) -> bool:
        """True where the record was not there yet."""
        self.calls.append(record)
        self._behave(record)
        is_new = self.latest().get(record.uid) != record
        self.published.append(record)
        return is_new

    def latest(self) -> dict[str, RunRecord]:
        return {record.uid: record for record in self.published}


def fails(times: int, error: Exception) -> Callable[[RunRecord], None]:
    failures = iter([error] * times)

    def behave(_: RunRecord) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    return behave


def ignore(_: str) -> None:
    """Problems are of no interest."""


def test_a_record_is_published() -> None:
    tracker = Script()
    publisher = Publisher(lambda: tracker, ignore, SOON)
    publisher.update(record("apple"))
    assert publisher.close(LONG) == 0
    assert tracker.published == [record("apple")]


def test_publications_that_changed_something_are_counted() -> None:
    tracker = Script()
    tracker.publish(record("pear"))  # by an earlier launch
    publisher = Publisher(lambda: tracker, ignore, SOON)
    for uid in ("apple", "pear", "plum"):
        publisher.update(record(uid))
    assert publisher.close(LONG) == 0
    assert publisher.changed == 2


@pytest.mark.parametrize(
    "error",
    [ConnectionError("down"), TimeoutError(), ValueError("two\nlines"), RuntimeError("")],
    ids=["words", "no words", "lines", "empty"],
)
def test_a_failure_is_retried_until_the_tracker_takes_the_record(error: Exception) -> None:
    tracker = Script(fails(3, error))
    publisher = Publisher(lambda: tracker, ignore, SOON)
    publisher.update(record("apple"))
    publisher.update(record("pear"))
    assert publisher.close(LONG) == 0
    assert tracker.latest() == {"apple": record("apple"), "pear": record("pear")}


def test_a_tracker_that_can_not_be_made_at_first_is_made_later() -> None:
    tracker = Script()
    failures = iter([OSError("no such host"), OSError()])

    def make() -> Script:
        if (failure := next(failures, None)) is not None:
            raise failure
        return tracker

    publisher = Publisher(make, ignore, SOON)
    publisher.update(record("apple"))
    assert publisher.close(LONG) == 0
    assert tracker.published == [record("apple")]


def test_the_latest_record_wins() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def behave(_: RunRecord) -> None:
        entered.set()
        assert go_on.wait(LONG)

    tracker = Script(behave)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    publisher.update(record("apple", points=1))
    assert entered.wait(LONG)
    for points in (2, 3, 4):  # while the first is on its way
        publisher.update(record("apple", points))
    go_on.set()
    assert publisher.close(LONG) == 0
    assert [len(done.points) for done in tracker.published] == [1, 4]


def test_update_never_waits_for_the_tracker() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def behave(_: RunRecord) -> None:
        entered.set()
        assert go_on.wait(LONG)

    tracker = Script(behave)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    publisher.update(record("apple"))
    assert entered.wait(LONG)
    publisher.update(record("pear"))  # returns although the tracker hangs
    assert tracker.published == []
    go_on.set()
    assert publisher.close(LONG) == 0
    assert set(tracker.latest()) == {"apple", "pear"}


@pytest.mark.parametrize("bad", ["apple", "pear", "basket"])
def test_one_record_that_always_fails_does_not_hold_up_the_others(bad: str) -> None:
    records = [
        record("basket"),
        *(record(uid, parent="basket") for uid in ("apple", "pear", "plum", "fig")),
    ]
    arrived: dict[str, threading.Event] = {item.uid: threading.Event() for item in records}

    def behave(item: RunRecord) -> None:
        if item.uid == bad:
            raise ValueError("this one is broken")
        arrived[item.uid].set()

    tracker = Script(behave)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    for item in records:
        publisher.update(item)
    for uid, event in arrived.items():
        assert uid == bad or event.wait(LONG), uid
    assert publisher.close(0) == 1
    assert set(tracker.latest()) == {item.uid for item in records} - {bad}


def test_a_parent_is_published_before_its_children() -> None:
    making, go_on = threading.Event(), threading.Event()
    tracker = Script()

    def make() -> Script:
        making.set()
        assert go_on.wait(LONG)
        return tracker

    publisher = Publisher(make, ignore, SOON)
    assert making.wait(LONG)
    publisher.update(record("apple", parent="basket"))
    publisher.update(record("basket"))
    go_on.set()
    assert publisher.close(LONG) == 0
    assert [done.uid for done in tracker.published] == ["basket", "apple"]


def test_close_gives_up_when_its_patience_is_out_and_counts_what_is_left() -> None:
    tracker = Script(fails(10**6, ConnectionError("down")))
    publisher = Publisher(lambda: tracker, ignore, SOON)
    for uid in ("apple", "pear", "plum"):
        publisher.update(record(uid))
        publisher.update(record(uid, points=1))
    assert publisher.close(0) == 3
    assert tracker.published == []


def test_close_with_nothing_left_does_not_wait_for_a_tracker_that_is_down() -> None:
    attempts: list[int] = []

    def make() -> Script:
        attempts.append(1)
        raise ConnectionError("down")

    publisher = Publisher(make, ignore, SOON)
    assert publisher.close(5) == 0
    assert len(attempts) < 1000, "it did not spin either"


def test_a_tracker_that_is_down_is_told_once_until_it_recovers() -> None:
    problems: list[str] = []
    tracker = Script(fails(5, ConnectionError("down\nfor repair")))
    publisher = Publisher(lambda: tracker, problems.append, SOON)
    publisher.update(record("apple"))
    assert publisher.close(LONG) == 0
    assert problems == ["ConnectionError: down"]


def test_a_problem_is_told_without_its_password() -> None:
    problems: list[str] = []
    tracker = Script(fails(1, ConnectionError("no answer from http://ada:apple@server/mlflow")))
    publisher = Publisher(lambda: tracker, problems.append, SOON)
    publisher.update(record("apple"))
    assert publisher.close(LONG) == 0
    assert problems == ["ConnectionError: no answer from http://ada:***@server/mlflow"]


def test_a_record_that_came_during_a_failed_publication_replaces_the_failed_one() -> None:
    entered, go_on = threading.Event(), threading.Event()
    steps: Iterator[int] = iter(range(10**6))

    def behave(_: RunRecord) -> None:
        if next(steps) == 0:
            entered.set()
            assert go_on.wait(LONG)
            raise ConnectionError("down")

    tracker = Script(behave)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    early = record("apple", points=1)
    late = replace(record("apple", points=2), status="FINISHED")
    publisher.update(early)
    assert entered.wait(LONG)
    publisher.update(late)
    go_on.set()
    assert publisher.close(LONG) == 0
    assert tracker.calls[:2] == [early, late]
    assert all(published == late for published in tracker.published)


def test_what_failed_at_first_is_told_once_more_at_the_end_to_a_tracker_made_anew() -> None:
    """It may have been done after all, and be there twice: only a fresh look sees that."""
    first, second = Script(fails(1, TimeoutError())), Script()
    trackers = iter([first, second])
    publisher = Publisher(lambda: next(trackers), ignore, SOON)
    publisher.update(record("apple"))
    publisher.update(record("pear"))
    assert publisher.close(LONG) == 0
    assert first.latest() == {"apple": record("apple"), "pear": record("pear")}
    assert second.calls == [record("apple")]


def test_what_failed_at_first_is_not_published_while_nobody_could_look_again() -> None:
    first = Script(fails(1, TimeoutError()))
    trackers = iter([first])

    def make() -> Script:
        if (tracker := next(trackers, None)) is None:
            raise ConnectionError("down")
        return tracker

    publisher = Publisher(make, ignore, SOON)
    publisher.update(record("apple"))
    publisher.update(record("pear"))
    assert publisher.close(0.1) == 1
    assert set(first.latest()) == {"apple", "pear"}


@pytest.mark.parametrize("hurry", [True, False])
def test_a_call_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, hurry: bool) -> None:
    """A peer that sends a byte now and then never lets a client's time-out strike."""
    monkeypatch.setattr("pipeline.tracking.publisher._STALLED_SECONDS", 0.01)
    never = threading.Event()
    publisher = Publisher(lambda: Script(lambda _: never.wait() and None), ignore, SOON)
    publisher.update(record("apple"))
    assert publisher.close(patience=0.01, hurry=hurry) == 1
    never.set()


def test_without_hurry_all_is_published_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as there is progress: all together take longer here than the bound for one."""
    monkeypatch.setattr("pipeline.tracking.publisher._STALLED_SECONDS", 1.0)
    tick = threading.Event()
    tracker = Script(lambda _: tick.wait(0.02) and None)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    for number in range(60):
        publisher.update(record(str(number)))
    assert publisher.close(patience=0, hurry=False) == 0
    assert len(tracker.published) == 60


def test_a_signal_while_the_end_is_published_leaves_no_record_half_told() -> None:
    """Python takes a thread for ended whose join a signal interrupts: it must not be joined."""
    entered, go_on = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        go_on.set()
        raise KeyboardInterrupt

    def behave(_: RunRecord) -> None:
        entered.set()
        assert go_on.wait(LONG)

    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None
    tracker = Script(behave)
    publisher = Publisher(lambda: tracker, ignore, SOON)
    for number in range(1000):
        publisher.update(record(str(number)))
    assert entered.wait(LONG)
    threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGUSR1)).start()
    with pytest.raises(KeyboardInterrupt):
        publisher.close(LONG)
    signal.signal(signal.SIGUSR1, before)
    assert tracker.calls == tracker.published
    assert 1 <= len(tracker.published) < 1000
