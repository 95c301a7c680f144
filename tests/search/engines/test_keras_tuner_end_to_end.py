"""Hyperband with real workers on the digits: killed in the middle, launched again, and checked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command.compose import compose
from pipeline.data import Dataset
from search.setup.read import read
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable

ROOT = Path(__file__).parents[3]
STUDY = (
    "+study=smoke",
    "engine=keras_tuner",
    "oracle=hyperband",
    "oracle.factor=2",
    "train.epochs=4",
    "study.trials=10",
    "launcher.workers=2",
    "tracking=none",
)


def launch() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "search.optimize", *STUDY],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_study_completes_with_the_numbers_of_uninterrupted_runs(
    workdir: Path, digits: Dataset
) -> None:
    first = launch()
    assert first.stdout is not None
    ended = 0
    while ended < 5:  # two of the first round are promoted by then
        line = first.stdout.readline()
        assert line, "it ended too early"
        ended += line.startswith("trial")
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    assert len(entries()) < 10

    second = launch()
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert [entry.state for entry in entries()] == ["complete"] * 10
    assert not list((workdir / "mlruns" / "weights").glob("*/*-state*"))

    continued = [entry for entry in entries() if entry.continues is not None]
    assert continued
    for entry in continued:
        first_epoch = entry.notes["tuner/initial_epoch"] + 1
        assert [epoch.epoch for epoch in entry.history] == list(
            range(first_epoch, (entry.epochs or 0) + 1)
        )
    longest = max(continued, key=lambda entry: (entry.epochs or 0, -entry.number))
    assert curve(longest) == uninterrupted(longest, digits)[-len(longest.history) :]


def entries() -> list[Entry]:
    return TrialTable.load("sqlite:///mlruns/studies.db", "smoke").entries()


def curve(entry: Entry) -> list[tuple[int, dict[str, float]]]:
    return [(epoch.epoch, dict(epoch.metrics)) for epoch in entry.history]


def uninterrupted(entry: Entry, digits: Dataset) -> list[tuple[int, dict[str, float]]]:
    """The curve of one run with the parameters of `entry`, from its first epoch."""
    from pipeline.training.execute import execute

    setup = read(compose(STUDY), str)
    run = setup.space.apply(setup.run, entry.params, entry.epochs)
    history = execute(run, digits, lambda _: False).result.history
    return [(epoch.epoch, dict(epoch.metrics)) for epoch in history]
