"""The file of what was measured: it spares time, and is in nobody's way."""

import os
import threading
from pathlib import Path

import pytest

from search.forecasting.kept import Kept, Measured, digest_of, key_of_machine
from tests.search import made
from tests.search.forecasting.machine import BASE, DIGITS, MNIST, Machine, run, seen

MEASURED = Measured(
    worker={"device": "cpu"},
    samples=(seen(Machine(1.0), run()),),
    spaces=("a",),
    start_seconds=5.0,
    memory_mib=700.0,
)


def test_what_was_put_is_there_for_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "measured.json"
    Kept(file).put("one", MEASURED)
    Kept(file).put("two", Measured())
    again = Kept(file)
    assert (again.of("one"), again.of("two"), again.of("three")) == (
        MEASURED,
        Measured(),
        Measured(),
    )
    assert again.problem == ""
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "measured.json",
        "measured.json.lock",
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"one": 1}', '{"one": {"samples": [{}]}}', "\x00", '{"one": null}']
)
def test_a_damaged_file_is_said_to_be_and_written_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "measured.json"
    file.write_text(text)
    kept = Kept(file)
    assert kept.of("one") == Measured()
    assert "damaged" in kept.problem
    kept.put("one", MEASURED)
    assert Kept(file).of("one") == MEASURED


def test_a_file_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    file.write_bytes(b"\xff\xfe\x00")
    kept = Kept(file)
    assert kept.of("one") == Measured()
    assert "damaged" in kept.problem


def test_what_cant_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file" / "measured.json")
    kept.put("one", MEASURED)
    assert "can't be written" in kept.problem


def test_two_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    threads = [
        threading.Thread(target=Kept(file).put, args=(str(number), MEASURED)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(Kept(file).of(str(number)) == MEASURED for number in range(8))


@pytest.mark.parametrize(
    ("place", "workers", "threads", "backend"),
    [("ray", 2, 1, "tensorflow"), ("local", 1, 1, "tensorflow"), ("local", 2, 2, "tensorflow"),
     ("local", 2, 1, "jax")],
)  # fmt: skip
def test_another_backend_place_or_number_of_workers_is_another_machine(
    place: str, workers: int, threads: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    usual = key_of_machine("local", 2, 1)
    assert usual == key_of_machine("local", 2, 1)
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", backend)
    assert key_of_machine(place, workers, threads) != usual


def test_what_is_measured_later_joins_what_was_there() -> None:
    more = Measured(worker={"device": "x"}, samples=MEASURED.samples, start_seconds=7.0)
    both = MEASURED.joined(more, "b")
    assert (both.spaces, len(both.samples), both.start_seconds) == (("a", "b"), 2, 5.0)
    assert both.memory_mib == 700.0
    assert MEASURED.joined(None, "b").samples == MEASURED.samples


def test_another_space_or_other_data_is_to_be_measured_anew() -> None:
    one = digest_of(BASE, made.DROPOUT, MNIST)
    assert one != digest_of(BASE, made.MIXED, MNIST)
    assert one != digest_of(BASE, made.DROPOUT, DIGITS)
    assert one != digest_of(run(train__optimizer="sgd"), made.DROPOUT, MNIST)
    assert one == digest_of(run(train__epochs=9, train__seed=3), made.DROPOUT, MNIST)
