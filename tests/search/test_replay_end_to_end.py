"""Real studies replay to the same bits, whoever trained them and however often they were interrupted."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.tracking.mlflow import MlflowTracker
from search.trial_table.lineage import whole_run
from search.trial_table.trials import TrialTable
from tests.search.conftest import environment

pytestmark = pytest.mark.slow  # dozens of real trainings

SMALL = ("+study=smoke", "train.epochs=6", "study.name=small")
HYPERBAND = ("engine=keras_tuner", "oracle=hyperband", "oracle.factor=2")


def run(*words: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("words", "backend", "made", "again"),
    [
        # Interrupted, and a fresh worker for each trial; then two that live on.
        ((), "tensorflow", ("launcher.workers=1", "launcher.trials_per_worker=1"), 2),
        ((), "tensorflow", ("launcher.workers=2",), 1),
        (HYPERBAND, "tensorflow", ("launcher.workers=2",), 2),
        ((), "jax", ("launcher.workers=2",), 1),
        ((), "jax", ("launcher.workers=1", "launcher.lanes=3"), 2),
        (HYPERBAND, "jax", ("launcher.workers=1", "launcher.lanes=3"), 1),
    ],
    ids=["pruned, interrupted", "two workers", "hyperband", "jax", "lanes", "lanes, hyperband"],
)
def test_a_study_is_identical_to_the_last_trial(
    workdir: Path, words: Sequence[str], backend: str, made: Sequence[str], again: int
) -> None:
    del workdir
    for trials in (5, 12):
        code, out = run(
            "search.optimize",
            *SMALL,
            *words,
            *made,
            f"study.trials={trials}",
            "tracking=none",
            KERAS_BACKEND=backend,
        )
        assert code == 0, out
    entries = TrialTable.load("sqlite:///mlruns/studies.db", "small").entries()
    states = {entry.state for entry in entries}
    assert states == ({"complete"} if words else {"complete", "pruned"})
    assert any(entry.continues is not None for entry in entries) == bool(words)
    assert {entry.worker["backend"] for entry in entries} == {backend}
    if "launcher.lanes=3" in made:
        assert {entry.worker["lanes"] for entry in entries} == {"3"}
        assert {entry.worker["worker"] for entry in entries} <= {"0.0", "0.1", "0.2"}
    code, out = run("search.replay", "trial=all", f"launcher.workers={again}", "tracking=none")
    assert code == 0, out
    certificates = json.loads(Path("replay.json").read_text())
    assert [each["replay"] for each in certificates] == ["identical"] * 12
    assert {each["weights"] for each in certificates} == {"identical"}
    assert "12 of 12 identical" in out


def test_one_run_by_hand_has_the_digests_of_the_trial(workdir: Path) -> None:
    del workdir
    code, out = run("search.optimize", *SMALL, "study.trials=2", "tracking=none", "pruner=none")
    assert code == 0, out
    entry = TrialTable.load("sqlite:///mlruns/studies.db", "small").entries()[1]
    assert entry.result is not None
    overrides = [f"{path}={text}" for path, text in whole_run(entry).items()]
    code, out = run("pipeline.train", *overrides)
    assert code == 0, out
    tracker = MlflowTracker("sqlite:///mlflow.db")
    ((uid, _),) = tracker.ended("runs")
    tags = tracker.tags("runs", uid)
    assert tags["digest.history"] == entry.result.history_digest
    assert tags["digest.weights"] == entry.result.weights_digest
    decides = {k: v for k, v in entry.worker.items() if k != "worker"}
    assert decides.items() <= tags.items()


def test_fewer_instructions_are_said_first_and_named_where_the_numbers_differ(
    workdir: Path,
) -> None:
    del workdir
    code, out = run("search.optimize", *SMALL, "study.trials=1", "tracking=none")
    assert code == 0, out
    limited = {"ONEDNN_MAX_CPU_ISA": "SSE41", "TF_ENABLE_ONEDNN_OPTS": "1"}
    code, out = run("search.replay", "tracking=none", **limited)
    assert code in (0, 1), out
    assert "its environment was another: env.ONEDNN_MAX_CPU_ISA none -> SSE41" in out
    assert ("1 of 1 identical" in out) == (code == 0)
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") is None
