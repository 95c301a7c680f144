"""One tracked run without a study.

python -m pipeline.train model.dropout=0.3 train.epochs=5
python -m pipeline.train train.epochs=5 export.path=exports/mine
"""

import shlex
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from pipeline.artifact.formats import Format, check_writable
from pipeline.artifact.keep import Kept, check_formats, check_place, keep
from pipeline.command import public
from pipeline.command.cli import command
from pipeline.command.errors import ConfigError, StoppedError, StorageError
from pipeline.command.overrides import key
from pipeline.command.redact import redact
from pipeline.command.section import PositiveInt, Section, as_override, validated
from pipeline.command.signals import ignore_signals
from pipeline.data import Dataset, check_run, grey_size, load
from pipeline.network.backend import limit_threads, quietly
from pipeline.network.environment import environment
from pipeline.run.config import RunConfig, as_words, run_config
from pipeline.run.custom import CustomConfig, source_of
from pipeline.run.result import DivergedError, EpochMetrics
from pipeline.tracking.address import run_page
from pipeline.tracking.config import TrackingConfig, missing, open_publisher
from pipeline.tracking.record import (
    RunRecord,
    dataset_info,
    epoch_points,
    final_points,
    final_texts,
    outcome_tags,
    provenance_tags,
    source_tags,
    tell_doubts,
)

EXPERIMENT = "runs"


_OF_EXPORT = ("path", "formats", "force")


class _Keep(Section):
    """What it takes of the section `export`. `path`: the folder for its model; None keeps none."""

    path: Annotated[str, Field(min_length=1)] | None
    formats: Annotated[tuple[Format, ...], BeforeValidator(tuple)]
    force: bool

    @field_validator("formats")
    @classmethod
    def _with_keras(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        if "keras" not in formats:
            raise ValueError("export.formats: keras must be among them: pipeline.predict reads it")
        return tuple(dict.fromkeys(formats))


class _Threads(Section):
    """What a run without a launcher takes from that section."""

    threads_per_worker: PositiveInt


def main(values: dict[str, Any]) -> int:
    """Train, score and publish one run; 0, or 1 if training diverged.

    Raises StoppedError, after the run is tracked as KILLED, where a signal or a closed output stops it.
    """
    run = run_config(values)
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    given = {k: v for k, v in values["launcher"].items() if k in _Threads.model_fields}
    threads = validated(_Threads, given, "launcher").threads_per_worker
    keeping = _keeping(values)
    source_of(run.model)  # it is there
    dataset = load(run.data)
    check_run(dataset, run)
    info = dataset_info(dataset, run)
    tell_doubts(info)
    limit_threads(threads)
    publisher = open_publisher(tracking, print)
    with quietly():
        from pipeline.network.custom import imported_source
        from pipeline.network.model import build, summary
        from pipeline.training.execute import execute

        about = {**environment(threads), **imported_source(run.model)}
        if keeping.path is not None:
            check_formats(keeping.formats, dataset)
        model = build(run.model, dataset.shape, dataset.classes, run.train.precision)
        print(summary(model))

    record = RunRecord(
        uid=uuid.uuid4().hex,
        experiment=EXPERIMENT,
        name=_name(run),
        status="RUNNING",
        started_at=time.time(),
        params=run.parameters(),
        tags={
            **source_tags("pipeline/train.py"),
            **provenance_tags(about),
            "data.digest": dataset.digest,
        },
        dataset=info,
    )
    history: list[EpochMetrics] = []

    def publish(**changes: Any) -> None:
        nonlocal record
        record = replace(record, **changes)
        if publisher is not None:
            publisher.update(record)

    def on_epoch(epoch: EpochMetrics) -> bool:
        history.append(epoch)
        print(_line(epoch, run.train.epochs), flush=True)
        publish(points=epoch_points(tuple(history)))
        return False

    status, failure = "KILLED", ""
    try:
        publish()
        outcome = execute(run, dataset, on_epoch)
        result = outcome.result
        status = "FINISHED"
    except DivergedError as error:
        status, failure = "FAILED", str(error)
    except StoppedError as error:  # nobody reads the output any more
        failure = str(error)
        raise
    except KeyboardInterrupt as error:
        failure = str(error) or "stopped"
        raise StoppedError(
            f"{failure}: the run is given up (the same command begins a new one)"
        ) from None
    except Exception as error:
        status, failure = "FAILED", f"{type(error).__name__}: {error}"
        raise
    finally:
        ignore_signals()  # the end is told, then the process ends by itself
        ended = time.time()
        if status == "FINISHED":
            publish(
                status=status,
                ended_at=ended,
                tags={**record.tags, **outcome_tags(result)},
                points=record.points + final_points(result, ended),
                texts=final_texts(result),
            )
        else:
            publish(
                status=status, ended_at=ended, tags={**record.tags, "reason": public.error(failure)}
            )
        waiting = 0
        if publisher is not None:
            waiting = publisher.close(patience=10)
            waiting = waiting or len(missing(tracking, EXPERIMENT, {record.uid: record.attempt}))
        if waiting:
            uri = redact(str(tracking.uri))
            print(f"tracking: the run could not be published to {uri}", file=sys.stderr)
    if failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    print(f"epoch {result.best_epoch}: {run.objective.metric} {result.value:.4f}")
    print("  ".join(f"{name} {value:.4f}" for name, value in result.test.items()))
    print(f"loop {result.loop}, device {result.device}")
    if publisher is not None and not waiting:
        print(f"Tracked:{run_page(tracking, EXPERIMENT, record.uid)}")
    if keeping.path is not None:
        words = [*as_words(run.parameters()), f"launcher.threads_per_worker={threads}"]
        again = shlex.join(["python", "-m", "pipeline.train", *words])
        kept = Kept(record.uid, EXPERIMENT, run, outcome, about, again)
        _keep(Path(keeping.path), keeping, kept, dataset)
    return 0


def _keeping(values: dict[str, Any]) -> _Keep:
    """What is to be kept, where there is room for it. Raises ConfigError."""
    for word in getattr(values, "typed", ()):
        section, _, name = key(word).partition(".")
        if section == "export" and name and name not in _OF_EXPORT:
            raise ConfigError(
                f"{word}: is for search.export, which chooses among trials; a single run takes "
                f"{', '.join(f'export.{each}' for each in _OF_EXPORT)}"
            )
    given = {name: values["export"].get(name) for name in _OF_EXPORT}
    keeping = validated(_Keep, given, "export")
    for kind in keeping.formats:
        check_writable(kind)
    if keeping.path is not None:
        check_place(Path(keeping.path), keeping.force)
    return keeping


def _keep(folder: Path, keeping: _Keep, kept: Kept, dataset: Dataset) -> None:
    try:
        with quietly():
            manifest = keep(folder, keeping.formats, kept, dataset, keeping.force)
    except OSError as error:
        raise StorageError(f"export.path: {folder} can't be written: {error}") from None
    print(f"Kept: {folder} ({', '.join(manifest.verified)}), each as the network that was trained")
    if grey_size(manifest.inputs.shape) is not None:
        print(f"Try it:\n  python -m pipeline.predict {folder} image.png")


def _name(run: RunConfig) -> str:
    if isinstance(run.model, CustomConfig):
        return f"{run.model.build} {run.train.optimizer}"
    width = as_override(run.model.hidden_units)
    network = f"{run.model.depth} x {width}" if run.model.depth else "softmax"
    return f"{network} {run.train.optimizer} dropout={run.model.dropout:g}"


def _line(epoch: EpochMetrics, epochs: int) -> str:
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in epoch.metrics.items())
    return f"epoch {epoch.epoch}/{epochs}  {metrics}  {epoch.seconds:.2f} s"


def _help(_: Path) -> str:
    return (
        "Any setting of conf/ can be given: model.dropout=0.3 train.optimizer=sgd data=digits\n"
        "export.path=FOLDER keeps the model, for pipeline.predict; export.formats, export.force"
    )


if __name__ == "__main__":
    sys.exit(
        command(sys.argv[1:], main, "pipeline.train", "Train, score and track one network.", _help)
    )
