"""Run the published networks of conf/experiment and compare with what their sources report.

python -m search.replicate
python -m search.replicate replicate.long=true
"""

import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli import command

if TYPE_CHECKING:
    from pipeline.config import DataConfig, RunConfig
    from pipeline.data import Dataset
    from pipeline.forest import Forest, ForestConfig
    from pipeline.record import DatasetInfo, RunRecord
    from pipeline.result import RunResult
    from search.comparison import Compared
    from search.launchers.base import Launcher
    from search.networks import Network

# What is slow to import is imported where it is used: --help and a typo answer at once, and the
# worker processes, which import this module again, stay light.

EXPERIMENT = "replicate"


@dataclass
class _Row:
    """What was measured of one row of the table so far, seed by seed."""

    measured: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    """One run of a network that has ended."""

    network: "Network"
    config: "RunConfig"
    result: "RunResult"
    worker: dict[str, str]
    started_at: float


def main(values: dict[str, Any]) -> int:
    """Train every network on workers side by side, then the forest; track each, print one table."""
    from rich.console import Console

    from pipeline.config import TrackingConfig, validated
    from pipeline.data import check_run, load, locate
    from pipeline.errors import ConfigError
    from pipeline.forest import ForestConfig, fit
    from pipeline.train import dataset_info, open_publisher, run_config, tell_doubts
    from search.comparison import Compared, as_text
    from search.devices import visible_gpus
    from search.launchers.base import LocalConfig
    from search.launchers.local import LocalLauncher, default_workers
    from search.networks import FOREST, chosen

    networks, with_forest = chosen(values)
    forest = validated(ForestConfig, values["forest"], "forest")
    if values["launcher"]["name"] != "local":
        raise ConfigError("launcher: the published networks run on this machine (launcher=local)")
    config = validated(LocalConfig, values["launcher"], "launcher")
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    gpus = visible_gpus(config.require_gpu)
    run = run_config(values)
    data = locate(run.data)

    @cache
    def read(config: "DataConfig") -> "Dataset":
        return load(config.model_copy(update={"path": data.path}))

    about = cache(lambda config: dataset_info(read(config)))
    # Checked before anything is created.
    tell_doubts(dataset_info(read(data), run))
    for network in networks:
        check_run(read(network.run.data), network.run)
    workers = config.workers or default_workers(gpus, config.workers_per_gpu)
    console = Console(highlight=False, soft_wrap=True)
    publisher = open_publisher(tracking, console.print)
    rows: dict[str, _Row] = {}

    def publish(record: "RunRecord") -> None:
        if publisher is not None:
            publisher.update(record)

    def ended(run: _Run) -> None:
        row = rows.setdefault(run.network.name, _Row())
        row.measured.append({**run.result.history[-1].metrics, **run.result.test})
        row.seconds.append(run.result.timings["seconds_total"])
        name = f"{run.network.name}, seed {run.config.train.seed}"
        console.print(f"{name}: {_told(run.result.test, row.seconds[-1])}")
        publish(_of_run(run, about(run.config.data)))

    began = time.time()
    unpublished = 0
    try:
        if networks:
            runs = sum(len(network.seeded) for network in networks)
            console.print(f"{len(networks)} networks, {runs} runs, {min(workers, runs)} workers.")
            launcher = LocalLauncher(config, data, min(workers, runs), gpus)
            try:
                _train(networks, launcher, ended)
            finally:
                launcher.close()
        if with_forest:
            started = time.time()
            fitted = fit(forest, read(data), workers * config.threads_per_worker)
            seconds = fitted.train_seconds + fitted.test_seconds
            rows[FOREST] = _Row([fitted.test.metrics], [seconds])
            console.print(f"{FOREST}: {_told(fitted.test.metrics, seconds)}")
            publish(_of_forest(forest, fitted, started, about(data)))
        published = {network.name: network.published for network in networks}
        compared = [
            Compared(name, published.get(name, {}), rows[name].measured, rows[name].seconds)
            for name in [*published, *([FOREST] if with_forest else [])]
        ]
        publish(_of_table(compared, began))
    finally:
        if publisher is not None:
            unpublished = publisher.close(patience=30)
    console.print(f"\n{as_text(compared)}")
    if data.name != "mnist":
        console.print(f"\nMeasured on {data.name}: the published figures are of MNIST.")
    if unpublished:
        console.print(f"\n{unpublished} runs could not be published to the tracking server.")
    elif publisher is not None:
        console.print(f"\nTracked in the experiment {EXPERIMENT!r}: make ui")
    return 0


def _train(
    networks: "Sequence[Network]", launcher: "Launcher", ended: Callable[[_Run], None]
) -> None:
    """Run every network with all its seeds, the longest first, so that no worker is left alone."""
    from pipeline.errors import PlumblineError
    from search.launchers.base import (
        Broken,
        Epoch,
        Failed,
        Finished,
        Lost,
        OutOfMemory,
        Started,
        Task,
    )

    tasks = [
        (network, Task(number, run))
        for number, (network, run) in enumerate(
            sorted(
                ((network, run) for network in networks for run in network.seeded),
                key=lambda pair: -pair[1].train.epochs,
            )
        )
    ]
    waiting = list(reversed(tasks))
    workers: dict[int, tuple[dict[str, str], float]] = {}
    left = len(tasks)
    while left:
        while waiting and launcher.free():
            launcher.submit(waiting.pop()[1])
        for event in launcher.poll(1.0):
            if isinstance(event, Started):
                workers[event.number] = (event.worker, time.time())
            elif isinstance(event, Epoch):
                launcher.reply(event.number, prune=False)
            elif isinstance(event, Broken):
                raise PlumblineError(event.reason)
            elif isinstance(event, Failed | Lost | OutOfMemory):
                raise PlumblineError(f"{tasks[event.number][0].name}: {event.reason}")
            elif isinstance(event, Finished):
                network, task = tasks[event.number]
                ended(_Run(network, task.run, event.result, *workers[event.number]))
                left -= 1


def _record(
    name: str,
    started_at: float,
    dataset: "DatasetInfo | None",
    tags: Mapping[str, str],
    **rest: Any,
) -> "RunRecord":
    from pipeline.record import RunRecord, environment_tags

    return RunRecord(
        uid=uuid.uuid4().hex,
        experiment=EXPERIMENT,
        name=name,
        status="FINISHED",
        started_at=started_at,
        dataset=dataset,
        tags={**environment_tags(), **tags, **({"data.digest": dataset.digest} if dataset else {})},
        **rest,
    )


def _of_run(run: _Run, dataset: "DatasetInfo") -> "RunRecord":
    from pipeline.record import epoch_points, final_points, final_texts

    now = time.time()
    published = {f"published.{name}": str(value) for name, value in run.network.published.items()}
    return _record(
        f"{run.network.name} seed={run.config.train.seed}",
        run.started_at,
        dataset,
        {"experiment": run.network.name, **published, **run.worker},
        ended_at=now,
        params=run.config.parameters(),
        points=epoch_points(run.result.history) + final_points(run.result, now),
        texts=final_texts(run.result),
    )


def _of_forest(
    config: "ForestConfig", forest: "Forest", started_at: float, dataset: "DatasetInfo"
) -> "RunRecord":
    from pipeline.diagnosis import as_json
    from pipeline.record import Point
    from search.networks import FOREST

    now = time.time()
    return _record(
        FOREST,
        started_at,
        dataset,
        {"experiment": FOREST},
        ended_at=now,
        params=config.parameters(),
        points=tuple(Point(name, v, 0, now) for name, v in forest.final_metrics().items()),
        texts={"confusion_test.json": as_json(forest.test.confusion, "test")},
    )


def _of_table(compared: "Sequence[Compared]", started_at: float) -> "RunRecord":
    from search.comparison import as_json, as_markdown

    table = as_markdown(compared)
    return _record(
        "comparison",
        started_at,
        None,
        {"mlflow.note.content": table},
        ended_at=time.time(),
        texts={"comparison.md": table, "comparison.json": as_json(compared)},
    )


def _told(metrics: Mapping[str, float], seconds: float) -> str:
    return f"test accuracy {metrics['test_accuracy']:.4f}, {seconds:.0f} s"


def _help(_: Path) -> str:
    from search.networks import FOREST, experiments

    names = "\n".join(f"  {name}" for name in [*experiments(), FOREST])
    return (
        "replicate.long=true also runs the networks of 200 epochs and more, with one seed;\n"
        f"replicate.only=[NAME,...] runs just these, of\n{names}"
    )


if __name__ == "__main__":
    description = "Run the published networks and compare."
    sys.exit(command(sys.argv[1:], main, "search.replicate", description, _help))
