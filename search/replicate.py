"""Run the published networks of conf/experiment and compare with what their sources report.

python -m search.replicate
python -m search.replicate replicate.long=true
"""

import statistics
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cli import command

EXPERIMENT = "replicate"
_LONG_EPOCHS = 100  # more than these are run only when asked, and with one seed
_SEEDS = (0, 1, 2)


@dataclass
class _Network:
    """A published network: what its source reports, and what was measured, seed by seed."""

    name: str
    published: Mapping[str, float]
    measured: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """One row per published metric: metric, published, measured, difference."""
        rows = []
        for metric in self.published or ("test_accuracy",):
            values = [result[metric] for result in self.measured]
            mean = statistics.mean(values)
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            published = self.published.get(metric)
            rows.append(
                (
                    metric,
                    "-" if published is None else f"{published:.4f}",
                    f"{mean:.4f}{spread}",
                    "-" if published is None else f"{mean - published:+.4f}",
                )
            )
        return rows


def main(values: dict[str, Any]) -> int:
    """Train every network on workers side by side, track each run, print one table."""
    from rich.console import Console

    from pipeline.compose import CONF, compose
    from pipeline.config import RunConfig, TrackingConfig, validated
    from pipeline.data import load, locate
    from pipeline.errors import ConfigError, PlumblineError
    from pipeline.record import RunRecord, environment_tags, epoch_points, final_points
    from pipeline.train import dataset_info, open_publisher, run_config
    from search.devices import visible_gpus
    from search.launchers.base import Broken, Epoch, Failed, Finished, LocalConfig, Lost, Task
    from search.launchers.local import LocalLauncher, default_workers

    long = bool(values["replicate"]["long"])
    only = values["replicate"]["only"]
    networks: dict[str, _Network] = {}
    tasks: list[tuple[_Network, Task]] = []
    for file in sorted((CONF / "experiment").glob("*.yaml")):
        composed = compose([f"+experiment={file.stem}"])
        run = run_config(composed)
        if (only and file.stem not in only) or (run.train.epochs > _LONG_EPOCHS and not long):
            continue
        network = networks[file.stem] = _Network(file.stem, composed["published"])
        for seed in _SEEDS if run.train.epochs <= _LONG_EPOCHS else _SEEDS[:1]:
            seeded = run.model_copy(update={"train": run.train.model_copy(update={"seed": seed})})
            tasks.append((network, Task(len(tasks), seeded)))

    data = locate(run_config(values).data)
    dataset = dataset_info(load(data))
    if values["launcher"]["name"] != "local":
        raise ConfigError("launcher: the published networks run on this machine (launcher=local)")
    config = validated(LocalConfig, values["launcher"], "launcher")
    publisher = open_publisher(validated(TrackingConfig, values["tracking"], "tracking"), print)
    gpus = visible_gpus()
    workers = config.workers or default_workers(gpus, config.workers_per_gpu)
    launcher = LocalLauncher(config, data, min(workers, len(tasks)), gpus)
    console = Console(highlight=False)
    waiting, began = list(reversed(tasks)), time.time()
    running: dict[int, tuple[_Network, Task, float]] = {}

    def publish(network: _Network, run: RunConfig, result: Any, started: float) -> None:
        now = time.time()
        record = RunRecord(
            uid=uuid.uuid4().hex,
            experiment=EXPERIMENT,
            name=f"{network.name} seed={run.train.seed}",
            status="FINISHED",
            started_at=started,
            ended_at=now,
            params=run.parameters(),
            tags={
                **environment_tags(),
                "experiment": network.name,
                **{f"published.{metric}": str(v) for metric, v in network.published.items()},
            },
            points=epoch_points(result.history) + final_points(result, now),
            texts={"model_summary.txt": result.model_summary},
            dataset=dataset,
        )
        if publisher is not None:
            publisher.update(record)

    try:
        while waiting or running:
            while waiting and launcher.free():
                network, task = waiting.pop()
                running[task.number] = (network, task, time.time())
                launcher.submit(task)
            for event in launcher.poll(1.0):
                if isinstance(event, Epoch):
                    launcher.reply(event.number, prune=False)
                elif isinstance(event, Broken | Failed | Lost):
                    raise PlumblineError(event.reason)
                elif isinstance(event, Finished):
                    network, task, started = running.pop(event.number)
                    result = event.result
                    network.measured.append({**result.history[-1].metrics, **result.test})
                    network.seconds.append(result.timings["seconds_total"])
                    publish(network, task.run, result, started)
                    console.print(
                        f"{network.name} seed {task.run.train.seed}: "
                        f"test_accuracy {result.test['test_accuracy']:.4f}, "
                        f"{network.seconds[-1]:.0f} s"
                    )
    finally:
        launcher.close()
    text = table(list(networks.values()))
    if publisher is not None:
        now = time.time()
        publisher.update(
            RunRecord(
                uid=uuid.uuid4().hex,
                experiment=EXPERIMENT,
                name="comparison",
                status="FINISHED",
                started_at=began,
                ended_at=now,
                tags={**environment_tags(), "mlflow.note.content": text},
                texts={"comparison.md": text},
            )
        )
        publisher.close(patience=30)
    console.print(text)
    return 0


def table(networks: list[_Network]) -> str:
    """Published against measured (mean ± standard deviation over the seeds), as markdown."""
    lines = [
        "| network | metric | published | measured | difference | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for network in networks:
        for index, cells in enumerate(network.rows()):
            name = f"`{network.name}`" if index == 0 else ""
            seconds = f"{statistics.mean(network.seconds):.0f}" if index == 0 else ""
            lines.append(f"| {name} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


def _help(_: Path) -> str:
    return (
        "replicate.long=true also runs the networks of 200 epochs and more, with one seed;\n"
        "replicate.only=[NAME,...] runs just these."
    )


if __name__ == "__main__":
    description = "Run the published networks and compare."
    sys.exit(command(sys.argv[1:], main, "search.replicate", description, _help))
