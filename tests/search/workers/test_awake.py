"""Time as a process counts it that may be stopped."""

import asyncio
from collections.abc import Callable

import pytest

from search.workers.awake import AwakeClock, within


class Time:
    """Stands where a test puts it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr("search.workers.awake.time", fake)
    return fake


def test_time_awake_counts_and_time_asleep_does_not(time: Time) -> None:
    clock = AwakeClock()
    for step in (0.5, 0.25, 3600.0, 0.25):  # a laptop that was shut for an hour
        time.now += step
        seconds = clock()
    assert seconds == 0.5 + 0.25 + 1.0 + 0.25


def run(seconds: float | None, steps: int, fails: bool = False) -> int:
    """`within` around something that takes so many turns of the event loop."""

    async def work() -> int:
        for _ in range(steps):
            await asyncio.sleep(0)
        if fails:
            raise KeyError
        return steps

    async def main() -> int:
        return await within(seconds, work())

    return asyncio.run(main())


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_what_ends_in_time_gives_its_result_or_its_exception(seconds: float | None) -> None:
    assert run(seconds, 3) == 3
    with pytest.raises(KeyError):
        run(seconds, 3, fails=True)


def test_what_does_not_end_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(TimeoutError):
        asyncio.run(within(0.01, hangs()))
    assert cancelled == [True]


def test_a_step_counts_as_its_length_however_long_the_process_was_stopped_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three seconds are three looks of a second each, whatever the clock says."""
    steps: list[float] = []
    wait: Callable[..., object] = asyncio.wait

    async def stopped(tasks: object, timeout: float) -> object:
        steps.append(timeout)
        return await wait(tasks, timeout=0)

    monkeypatch.setattr("search.workers.awake.asyncio.wait", stopped)
    with pytest.raises(TimeoutError):
        asyncio.run(within(2.5, asyncio.sleep(60)))
    assert steps == [1.0, 1.0, 0.5]
