"""One tracked run trained again from what MLflow has of it, compared to the last bit, and certified.

python -m pipeline.replay RUN_ID
python -m pipeline.replay RUN_ID data.path=mnist.npz tracking.uri=http://127.0.0.1:5000
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.command.cli import command
from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.command.overrides import is_typed
from pipeline.command.section import PositiveInt, Section, validated
from pipeline.data import Dataset, load
from pipeline.network.backend import limit_threads, quietly
from pipeline.network.environment import environment
from pipeline.run.comparison import Training, changes, compare
from pipeline.run.result import DivergedError, EpochMetrics
from pipeline.tracking.certificates import log, write
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.reading import Published, published

_THREADS = "launcher.threads_per_worker"


class _Asked(Section):
    """What this command takes beside the sections of others. `run`: the run's id in MLflow."""

    run: Annotated[str, Field(min_length=1)]


class _Threads(Section):
    """What it takes of the launcher's section."""

    threads_per_worker: PositiveInt


class _Replay(Section):
    """What it takes of the section `replay`."""

    path: Annotated[str, Field(min_length=1)]


def main(values: dict[str, Any]) -> int:
    """Train the run again and compare; 0 where it is identical, 1 where it differs.

    Raises ConfigError where there is no such run, or it has no result; UnavailableError where the
    tracker or the data can't be had.
    """
    if values["run"] is None:
        raise ConfigError(
            "run: is missing (python -m pipeline.replay RUN_ID, as MLflow calls the run)"
        )
    asked = validated(_Asked, {"run": values["run"]})
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    file = Path(validated(_Replay, {"path": values["replay"]["path"]}, "replay").path)
    given = {"threads_per_worker": values["launcher"].get("threads_per_worker")}
    threads = validated(_Threads, given, "launcher").threads_per_worker
    if tracking.name == "none":
        raise ConfigError(
            "tracking: is off, but the run is on record there (choose tracking=mlflow)"
        )
    run = published(str(tracking.uri), asked.run, values["data"]["path"])
    if not is_typed(values, _THREADS):
        threads = int(run.training.environment["threads"])
    dataset = _data_of(run)
    write(file, ())  # what can't be written is noticed before it is trained
    certificate = compare(
        run.name,
        run.uid,
        run.run.objective.metric,
        run.training,
        _again(run, dataset, threads),
    )
    print(certificate.words(), flush=True)
    write(file, [certificate])
    log(tracking, run.experiment, [certificate])
    print(f"Certificate: {file}")
    return 0 if certificate.identical else 1


def _data_of(run: Published) -> Dataset:
    """The data of `run`. Raises UnavailableError where they are others by now."""
    whole = load(run.run.data.model_copy(update={"split_seed": None}))
    seed = run.run.data.split_seed
    dataset = whole if seed is None else whole.resplit(seed)
    # A worker takes the digest before it draws the validation rows.
    if run.data_digest != dataset.digest:
        whole.check(run.data_digest, run.name)
    return dataset


def _again(run: Published, dataset: Dataset, threads: int) -> Training:
    """Train `run` once more, in this process, under its backend; say first what has changed since."""
    before = run.training
    backend = before.environment.get("backend", "tensorflow")
    if find_spec(backend) is None:
        raise UnavailableError(
            f"{run.name}: was trained with {backend}, which is not installed here"
        )
    os.environ["KERAS_BACKEND"] = backend
    limit_threads(threads)
    with quietly():
        from pipeline.lanes.choice import use_lanes
        from pipeline.network.custom import imported_source
        from pipeline.training.execute import execute

        lanes = before.environment.get("lanes")
        use_lanes(int(lanes or 1))
        about = {**environment(threads), **imported_source(run.run.model)}
        about |= {} if lanes is None else {"lanes": lanes}
    if changed := changes(before.environment, about):
        print(f"{run.name}: its environment was another: {'; '.join(changed)}", flush=True)
    was_pruned = before.result is not None and before.result.stop == "pruned"
    history: list[EpochMetrics] = []

    def on_epoch(epoch: EpochMetrics) -> bool:
        history.append(epoch)
        return was_pruned and epoch.epoch == before.history[-1].epoch

    try:
        result = execute(run.run, dataset, on_epoch).result
    except DivergedError as error:
        return Training(about, tuple(history), None, str(error))
    return Training(about, result.history, result)


def spelled_out(words: Sequence[str]) -> list[str]:
    """`words` with a bare run id as `run=ID`."""
    found = list(words)
    for place, word in enumerate(words):
        if re.fullmatch(r"\w+", word) and (place == 0 or words[place - 1] != "--config-dir"):
            found[place] = f"run={word}"
    return found


def _help(_: Path) -> str:
    return (
        "RUN_ID: as MLflow calls the run, in its address and under `Run ID`\n"
        "tracking.uri: where it is on record, mlflow.db or a server; nothing else of it is needed but\n"
        "its data, which data.path names where they are not in the usual place\n"
        "replay.path: where the certificate goes, replay.json; MLflow gets it too, with the tag replay\n"
        "The run gets as many threads as it had, and its backend (docs/replay.md).\n\n"
        "exit codes: 0 identical, 1 it differs, or anything else, 2 bad configuration or no such run,\n"
        "69 the tracker or the data can't be had, 74 input/output, 75 stopped"
    )


if __name__ == "__main__":
    description = "Train a tracked run again, and compare it to the last bit."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "pipeline.replay", description, _help))
