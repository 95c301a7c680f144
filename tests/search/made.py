"""Trials made by hand, for what is drawn and written of a study."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pipeline.command.compose import compose, to_yaml
from pipeline.run.config import run_config
from pipeline.run.result import EpochMetrics, Example, RunResult
from pipeline.tracking.record import DatasetInfo
from search.analysis.facts import Facts
from search.study.space import Choices, Range, Space, Stored
from search.study.vocabulary import About, Attempts, Entry

BASE = run_config(compose(["data=digits"]))
DATA = DatasetInfo("digits", "d1" * 32, "scikit-learn", (1437, 8, 8), (360, 8, 8))
DROPOUT = Space({"model.dropout": Range(low=0.0, high=0.6)})
MIXED = Space(
    {
        "model.hidden_units": Choices((32, (64, 32), 128)),
        "model.dropout": Range(low=0.0, high=0.5),
        "train.learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "train.optimizer": Choices(("adam", "sgd")),
    }
)
CONFUSION = ((9, 1, 0), (0, 8, 2), (0, 0, 0))
HARDEST = (Example(1200, 1, (0.9, 0.06, 0.04)), Example(1300, 0, (0.3, 0.5, 0.2)))


def params(space: Space, number: int) -> dict[str, Stored]:
    """What trial `number` tries: all over `space`, differently in each dimension."""
    found: dict[str, Stored] = {}
    for index, (path, dimension) in enumerate(space.dimensions.items()):
        share = (number * (0.618 + 0.1 * index) + 0.1) % 1
        if isinstance(dimension, Range) and dimension.log:
            found[path] = dimension.low * (dimension.high / dimension.low) ** share
        elif isinstance(dimension, Range):
            found[path] = dimension.low + share * (dimension.high - dimension.low)
        else:
            options = dimension.grid()
            found[path] = options[int(share * len(options))]
    return found


def history(
    values: Sequence[float], first: int = 1, seconds: float = 2.0
) -> tuple[EpochMetrics, ...]:
    """Epochs from `first` with `values` as their validation accuracy; `seconds` in all."""
    return tuple(
        EpochMetrics(
            epoch,
            {"loss": 1.1 - v, "accuracy": v + 0.01, "val_loss": 1 - v, "val_accuracy": v},
            seconds / len(values),
            1_700_000_000.0 + epoch,
        )
        for epoch, v in enumerate(values, first)
    )


def result(
    values: Sequence[float], seconds: float = 2.0, first: int = 1, **changes: Any
) -> RunResult:
    """A run with `values` as its validation accuracies."""
    facts: dict[str, Any] = {
        "history": history(values, first, seconds),
        "stop": "completed",
        "value": max(values),
        "best_epoch": first + list(values).index(max(values)),
        "test": {"test_loss": 0.2, "test_accuracy": max(values) - 0.005},
        "timings": {"train_seconds": seconds, "seconds_total": seconds + 0.5},
        "examples_per_second": 1000.0,
        "parameters": 21,
        "model_summary": "a model",
        "device": "cpu",
        "loop": "keras",
        "confusion": CONFUSION,
        "hardest": HARDEST,
    }
    return RunResult(**{**facts, **changes})


def trial(number: int, height: float = 0.9, space: Space = DROPOUT, **changes: Any) -> Entry:
    """A complete trial that took `number` + 1 seconds on worker `number` modulo 2."""
    usual = result([height - 0.2, height - 0.1, height], seconds=number + 1.0)
    made = changes.get("result") or usual
    chosen = params(space, number)
    facts: dict[str, Any] = {
        "number": number,
        "uid": f"s1-{number}",
        "state": "complete",
        "params": chosen,
        "run": space.apply(BASE, chosen),
        "attempts": Attempts(made=1),
        "started_at": 1_700_000_000.0 + 2 * (number // 2),
        "ended_at": 1_700_000_002.0 + 2 * (number // 2),
        "value": made.value,
        "result": made,
        "history": made.history,
        "worker": {"device": "cpu", "worker": str(number % 2)},
    }
    return Entry(**{**facts, **changes})


def pruned(number: int, value: float = 0.5, space: Space = DROPOUT, **changes: Any) -> Entry:
    """A trial that was stopped after its second epoch."""
    made = result([value - 0.1, value], stop="pruned")
    facts = {"state": "pruned", "value": value, "result": made, "history": made.history}
    return trial(number, value, space, **{**facts, **changes})


def failed(number: int, reason: str = "loss is nan at epoch 2", space: Space = DROPOUT) -> Entry:
    """A trial that failed after its first epoch."""
    facts = {"state": "failed", "value": None, "result": None, "reason": reason}
    return trial(number, 0.5, space, **facts, history=history([0.4]))


def running(number: int, space: Space = DROPOUT) -> Entry:
    """A trial that a worker has."""
    facts = {"state": "running", "value": None, "result": None, "ended_at": None, "history": ()}
    return trial(number, 0.5, space, **facts)


@cache
def _config(*overrides: str) -> str:
    return to_yaml(compose(["data=digits", *overrides]))


def about(space: Space = DROPOUT, *overrides: str, **changes: Any) -> About:
    """What is said of a study of `space` on the digits."""
    facts: dict[str, Any] = {
        "name": "test",
        "question": "How much dropout?",
        "trials": 40,
        "space": space.describe(),
        "objective": BASE.objective,
        "search": {"engine": "optuna", "sampler": "TPESampler", "pruner": "NopPruner"},
        "dataset": DATA,
        "config": _config(*overrides),
        "command": "python -m search.optimize +study=test",
        "versions": {"version.keras": "3.15.1", "mlflow.source.git.commit": "abc123"},
    }
    return About(**{**facts, **changes})


def facts(entries: Sequence[Entry], space: Space = DROPOUT, **changes: Any) -> Facts:
    """A study of `entries`."""
    return Facts(about(space, **changes), space, tuple(entries))


def many(count: int, space: Space = DROPOUT) -> list[Entry]:
    """`count` complete trials, the better the later."""
    return [trial(number, 0.9 + 0.002 * number, space) for number in range(count)]


def settings(tree: Mapping[str, Any]) -> str:
    """`tree` as the configuration that a study keeps."""
    return to_yaml({**compose(["data=digits"]), "study": dict(tree)})
