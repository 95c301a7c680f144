"""A network of one's own is made once before a study begins, in a process that imports Keras for that."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from pipeline.command.errors import ConfigError, PlumblineError
from pipeline.command.section import as_override
from pipeline.data import Dataset
from pipeline.run.config import RunConfig
from pipeline.run.custom import SETTINGS, CustomConfig, source_of
from search.study.space import Space, replaced

_MOST = 50  # networks that are tried


def check_network(run: RunConfig, space: Space, dataset: Dataset, seconds: float) -> None:
    """Raise ConfigError where the network of a study can't be made, alone or at a bound of its space.

    Nothing is done for a network of the house. `seconds`: what it may take until Keras is there.
    """
    if not isinstance(run.model, CustomConfig):
        return
    source_of(run.model)  # what can be told without Keras is told at once
    print(f"{run.model.build}: making the network once, before anything else ...", flush=True)
    tried = dict(list(_tried(run, space))[:_MOST])
    asked = {
        "models": [model.model_dump(mode="json") for model in tried.values()],
        "shape": dataset.shape,
        "classes": dataset.classes,
        "precision": run.train.precision,
    }
    answer = _answer(json.dumps(asked), seconds)
    if answer is not None:
        place = list(tried)[answer["place"]]
        raise ConfigError(
            f"study.space: {place}: {answer['reason']}" if place else answer["reason"]
        )


def _tried(run: RunConfig, space: Space) -> Iterator[tuple[str, CustomConfig]]:
    """The network that the study starts from, then one for each bound and choice, by its setting."""
    points = {
        f"{path}={as_override(value)}": {path: value}
        for path, dimension in space.dimensions.items()
        if path.startswith(f"{SETTINGS}.")
        for value in dimension.probes()
    }
    for name, point in {"": {}, **points}.items():
        model = replaced(run, point).model
        assert isinstance(model, CustomConfig)
        yield name, model


def _answer(asked: str, seconds: float) -> dict[str, Any] | None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # what a worker gets of this process
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-m", "pipeline.network.custom"]
    try:
        done = subprocess.run(
            command,
            input=asked,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            start_new_session=True,  # Ctrl-C is the launch's to answer
        )
    except subprocess.TimeoutExpired:
        raise PlumblineError(
            f"model.build: the network was not made within {seconds:g} s (launcher.start_seconds)"
        ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PlumblineError(f"model.build: the network can't be tried: {last}")
    answer: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1])
    return answer
