"""Whole studies with the real command, real workers and Keras, checked in what they leave behind."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.command.compose import compose
from pipeline.data import load
from pipeline.run.config import DataConfig, run_config
from pipeline.tracking.record import metric_name
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from tests.search.conftest import environment, run_python


def entries_of(folder: Path, study: str) -> list[Entry]:
    """The trial table of a study that ran in `folder`."""
    return TrialTable.load(f"sqlite:///{folder / 'mlruns' / 'studies.db'}", study).entries()


@dataclass(frozen=True)
class MlflowRun:
    """A run as MLflow's database has it. `metrics`: (name, step) -> value."""

    name: str
    experiment: str
    status: str
    start: int
    end: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[tuple[str, int], float]


def mlflow_runs(folder: Path) -> list[MlflowRun]:
    """The runs in the tracking database that are not in its trash: first parents, then by their start."""
    with sqlite3.connect(folder / "mlflow.db") as database:

        def rows(table: str, columns: str, run: str) -> list[tuple[str, ...]]:
            return database.execute(
                f"SELECT {columns} FROM {table} WHERE run_uuid = ?", (run,)
            ).fetchall()

        runs = database.execute(
            "SELECT runs.run_uuid, runs.name, experiments.name, status, start_time, end_time "
            "FROM runs JOIN experiments USING (experiment_id) "
            "WHERE runs.lifecycle_stage = 'active' ORDER BY start_time, runs.name"
        ).fetchall()
        found = []
        for run, *facts in runs:
            metrics = rows("metrics", "key, step, value", run)
            values = {(key, int(step)): float(value) for key, step, value in metrics}
            assert len(values) == len(metrics), "a metric was logged twice for one step"
            tags = dict(rows("tags", "key, value", run)) | {"run": run}
            found.append(MlflowRun(*facts, dict(rows("params", "key, value", run)), tags, values))
    return sorted(found, key=lambda run: "mlflow.parentRunId" in run.tags)


@dataclass(frozen=True)
class Launch:
    """What a launch of a study printed, and what there was after it."""

    stdout: str
    stderr: str
    entries: list[Entry]
    runs: list[MlflowRun]


SMOKE = (
    *("+study=smoke", "launcher.workers=1", "train.epochs=3", "study.trials=5"),
    *("study.space.train.learning_rate.high=0.1", "pruner.n_startup_trials=1"),
    *("pruner.n_warmup_steps=1", "tracking.report=false"),
)
COMMAND = ("-m", "search.optimize", *SMOKE)

MAIN = """
import json, sys
from pipeline.command.cli import command
from search.optimize import main

code = command(sys.argv[1:], main, "search.optimize", "", lambda _: "")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
sys.exit(code)
"""
"""The command, and what it imported."""


@pytest.fixture(scope="module")
def twin(
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[tuple[Path, subprocess.Popen[str]]]":
    """The smoke study on the digits with other test labels, running, and its folder."""
    digits = load(DataConfig(name="digits", path=None, scale=True))
    folder = tmp_path_factory.mktemp("twin")
    np.savez(
        folder / "digits.npz",
        x_train=digits.train.features.astype(np.float32),  # bytes would be scaled by 255
        y_train=digits.train.labels,
        x_test=digits.test.features.astype(np.float32),
        y_test=np.random.default_rng(0).permutation(digits.test.labels),
    )
    running = subprocess.Popen(
        [sys.executable, *COMMAND, "data=npz", "data.path=digits.npz", "tracking=none"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield folder, running
    running.kill()
    running.communicate()


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory, twin: object) -> list[Launch]:
    """The smoke study with 5 trials, the same command again, and then topped up to 6.

    The last trial needs no Keras: where trials run is no part of what a study is.
    """
    del twin  # it only runs meanwhile, so that no core is idle
    folder = tmp_path_factory.mktemp("smoke")

    def launch(*arguments: str) -> Launch:
        done = run_python(arguments, folder)
        assert done.returncode == 0, done.stderr
        return Launch(done.stdout, done.stderr, entries_of(folder, "smoke"), mlflow_runs(folder))

    first = launch(*COMMAND)
    driver = folder / "bin" / "nvidia-smi"  # says that it was called
    driver.parent.mkdir()
    driver.write_text(f"#!/bin/sh\necho called >> {folder}/nvidia-smi.log\n")
    driver.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(driver.parent), prepend=os.pathsep)
        again = launch("-c", MAIN, *SMOKE, "launcher.require_gpu=true")
        touched = (folder / "nvidia-smi.log").exists()
        without_keras = "launcher.trainer=tests.search.fakes.curve_trainer"
        topped_up = launch("-c", MAIN, *SMOKE, "study.trials=6", without_keras)
        assert not touched
        assert (folder / "nvidia-smi.log").exists(), "the driver would have been heard"
    return [first, again, topped_up]


def test_a_study_runs_from_one_command_without_a_word_on_stderr(launches: list[Launch]) -> None:
    assert [launch.stderr for launch in launches] == [""] * 3


def test_the_coordinator_never_imports_what_trains(launches: list[Launch]) -> None:
    imported = set(json.loads(launches[2].stdout.splitlines()[-1]))
    assert {"optuna", "mlflow"} <= imported
    assert imported.isdisjoint({"tensorflow", "keras", "jax"})


def test_a_met_study_is_left_alone_without_what_is_slow_and_without_a_gpu(
    launches: list[Launch],
) -> None:
    """The fixture sees that the driver is not asked."""
    imported = set(json.loads(launches[1].stdout.splitlines()[-1]))
    assert "optuna" in imported
    assert imported.isdisjoint({"tensorflow", "keras", "jax", "mlflow", "sklearn"})
    assert launches[1].stdout.startswith("Nothing left to do: smoke has its 5 trials.\n")
    assert launches[1].runs == launches[0].runs


def test_the_trial_table_has_every_trial_of_the_study(launches: list[Launch]) -> None:
    entries = launches[0].entries
    assert [entry.number for entry in entries] == list(range(5))
    for entry in entries:
        assert entry.state in ("complete", "pruned")
        assert entry.result is not None
        assert [epoch.epoch for epoch in entry.history] == list(range(1, len(entry.history) + 1))
        assert entry.value == entry.history[entry.result.best_epoch - 1].metrics["val_accuracy"]
        assert 0 <= entry.result.test["test_accuracy"] <= 1
        assert set(entry.params) == {"model.hidden_units", "model.dropout", "train.learning_rate"}
        if entry.state == "complete":
            assert len(entry.history) == 3


def test_mlflow_has_one_parent_and_a_nested_run_for_each_trial(launches: list[Launch]) -> None:
    parent, *trials = launches[0].runs
    assert {run.experiment for run in launches[0].runs} == {"smoke"}
    assert parent.name == "smoke"
    assert "mlflow.parentRunId" not in parent.tags
    assert parent.params["model.dropout"] == "0.0 .. 0.5"
    assert "Does everything work?" in parent.tags["mlflow.note.content"]
    assert {run.tags["mlflow.parentRunId"] for run in trials} == {parent.tags["run"]}
    assert [run.tags["trial.number"] for run in trials] == list("01234")


def test_mlflow_shows_of_a_trial_what_the_table_has(launches: list[Launch]) -> None:
    for entry, run in zip(launches[0].entries, launches[0].runs[1:], strict=True):
        assert run.params == entry.settings
        assert float(run.params["model.dropout"]) == entry.params["model.dropout"]
        assert run.params["train.optimizer"] == "adam"
        curves = {
            (name, epoch.epoch): value
            for epoch in entry.history
            for name, value in {**epoch.metrics, "system/epoch_seconds": epoch.seconds}.items()
        }
        assert {name for name, _ in curves} == {
            *("loss", "accuracy", "val_loss", "val_accuracy", "system/epoch_seconds")
        }
        assert entry.result is not None
        found = entry.result.final_metrics().items()
        finals = {(metric_name(name), 0): value for name, value in found}
        assert {"test_accuracy", "test_loss", "system/seconds", "system/best_epoch"} <= {
            name for name, _ in finals
        }
        assert run.metrics == pytest.approx(curves | finals, rel=1e-12)
        assert run.tags["trial.state"] == entry.state
        assert run.tags["sampler"] == "TPESampler"
        assert run.tags["pruner"] == "MedianPruner"
        assert run.tags["threads"] == "1"
        assert len(run.tags["data.digest"]) == 64
        assert {"device", "version.keras", "version.tensorflow", "mlflow.user"} <= set(run.tags)
        assert entry.ended_at is not None
        assert run.end == round(entry.ended_at * 1000) > run.start


def test_nothing_is_left_running(launches: list[Launch]) -> None:
    for launch in launches:
        assert {run.status for run in launch.runs} == {"FINISHED"}
        assert {entry.state for entry in launch.entries} <= {"complete", "pruned"}


def test_the_parent_ends_with_the_best_value_so_far(launches: list[Launch]) -> None:
    for launch in (launches[0], launches[2]):
        best, curve = 0.0, {}
        for entry in launch.entries:
            if entry.state == "complete":
                best = max(best, entry.value or 0.0)
            curve["best_val_accuracy", entry.number + 1] = best
        assert launch.runs[0].metrics == pytest.approx(curve)


def test_the_same_command_again_finds_nothing_left_to_do(launches: list[Launch]) -> None:
    first, again, _ = launches
    assert "Nothing left to do: smoke has its 5 trials." in again.stdout
    assert again.entries == first.entries
    assert again.runs == first.runs


def test_a_higher_target_tops_the_study_up(launches: list[Launch]) -> None:
    first, _, topped_up = launches
    assert topped_up.entries[:5] == first.entries
    assert [entry.number for entry in topped_up.entries] == list(range(6))
    assert topped_up.runs[1:6] == first.runs[1:]
    assert len(topped_up.runs) == 7


def test_the_best_parameters_that_are_printed_can_be_pasted(launches: list[Launch]) -> None:
    lines = launches[0].stdout.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("Best parameters (trial"))
    number = re.findall(r"\d+", lines[place])[0]
    best = launches[0].entries[int(number)]
    assert best.value == max(
        entry.value or 0.0 for entry in launches[0].entries if entry.state == "complete"
    )
    run = run_config(compose([*SMOKE, *shlex.split(lines[place + 1])]))
    assert run == best.run


# The test set.


def test_the_test_set_never_steers_the_search(
    launches: list[Launch], twin: "tuple[Path, subprocess.Popen[str]]"
) -> None:
    """The same study, with the test labels permuted, makes the same trials, prunings and winner."""
    folder, running = twin
    _, problems = running.communicate(timeout=300)
    assert running.returncode == 0, problems
    one, other = launches[0].entries, entries_of(folder, "smoke")

    def steered_by(entries: list[Entry]) -> list[object]:
        return [
            (
                *(entry.number, entry.state, entry.params, entry.value),
                [epoch.metrics for epoch in entry.history],
                (entry.result.best_epoch, entry.result.stop) if entry.result else entry.reason,
            )
            for entry in entries
        ]

    assert steered_by(one) == steered_by(other)
    assert {entry.state for entry in one} == {"complete", "pruned"}
    scores = [[entry.result.test for entry in study if entry.result] for study in (one, other)]
    assert len(scores[0]) == 5
    assert all(a != b for a, b in zip(*scores, strict=True))


# MNIST.


@pytest.mark.slow
def test_a_study_of_mnist_learns(tmp_path: Path, mnist_path: Path) -> None:
    overrides = ["study.trials=2", "train.epochs=1", "model.hidden_units=32", "tracking=none"]
    overrides.append(f"data.path={mnist_path}")
    done = run_python(["-m", "search.optimize", "+study=dropout", *overrides], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    entries = entries_of(tmp_path, "dropout")
    assert [entry.state for entry in entries] == ["complete"] * 2
    assert all(entry.result.test["test_accuracy"] > 0.75 for entry in entries if entry.result)
    assert all(0.0 <= float(entry.settings["model.dropout"]) <= 0.6 for entry in entries)
