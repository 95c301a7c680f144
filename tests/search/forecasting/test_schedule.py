"""Trials on workers: who waits for whom, and what is paid once."""

from typing import Any

import pytest

from search.forecasting.schedule import Job, Workers, makespan, spans


def job(each: float = 1.0, epochs: int = 1, **more: Any) -> Job:
    """A trial of so many epochs of so many seconds."""
    facts: dict[str, Any] = {"once": 0.0, "behind": 0, "compiling": 0.0, "shape": "a"}
    return Job(each=each, epochs=epochs, **{**facts, **more})


@pytest.mark.parametrize(
    ("jobs", "workers", "seconds"),
    [
        ([], Workers(2), 0.0),
        ([job()] * 5, Workers(1), 5.0),
        ([job()] * 5, Workers(2), 3.0),
        ([job(epochs=3), job(), job()], Workers(2), 3.0),
        ([job(once=2.0, epochs=3)], Workers(1), 5.0),
        ([job(compiling=10.0)] * 2, Workers(1), 12.0),
        ([job(compiling=10.0)] * 2, Workers(2), 11.0),
        ([job(compiling=10.0, shape=s) for s in "abcdab"], Workers(1), 46.0),
        ([job(compiling=10.0, shape=s) for s in "abcdeb"], Workers(1), 56.0),
        ([job(compiling=10.0, shape=s) for s in "abcdea"], Workers(1), 66.0),
        ([job()] * 3, Workers(1, first=5.0), 8.0),
        ([job()] * 3, Workers(1, first=5.0, start=20.0, trials=2), 33.0),
        ([job()] * 4, Workers(2, slower=2.0), 4.0),
        ([job(epochs=2), job(), job(epochs=4, behind=2, after=0)], Workers(2), 4.0),
        ([job(epochs=n, alike="x") for n in (4, 2)], Workers(1), 4.0),
        ([job(epochs=n, alike="x") for n in (2, 4)], Workers(1), 4.0),
        ([job(epochs=n, alike="x") for n in (2, 4)], Workers(2), 4.0),
        ([job(epochs=2, alike=n) for n in "xy"], Workers(1), 4.0),
    ],
)
def test_a_study_takes_what_its_workers_are_busy_with(
    jobs: list[Job], workers: Workers, seconds: float
) -> None:
    assert makespan(jobs, workers) == pytest.approx(seconds)


def test_the_spread_of_trials_evens_out_over_many() -> None:
    few, many = (spans([[job()] * count], Workers(1), 0.3, 100) / count for count in (4, 400))
    assert 0.1 < few.std() < 0.2
    assert many.std() < 0.03
    assert spans([[job()], [job(2.0)]], Workers(1), 0.0, 4).tolist() == [1.0, 2.0, 1.0, 2.0]
