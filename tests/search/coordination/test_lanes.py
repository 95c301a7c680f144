"""launcher.lanes=auto comes to what there is use and memory for, and is told before anything is created."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.run.config import RunConfig, run_config
from search.coordination.lanes import lane_bytes, settled
from search.machine.gpus import Gpu
from search.workers.messages import LocalConfig, launcher_config
from tests.search.forecasting.machine import BASE, MNIST, run

PLENTY = Gpu("0", "A card", 80_000, 0)
OWN = run_config(compose(["model=custom", "model.build=examples.cnn.network:build"]))
SECONDS = run(objective__cost="train_seconds")
SHAPES = [run(train__optimizer=name) for name in ("adam", "sgd", "rmsprop")]


def lanes(
    *words: str,
    gpus: Sequence[Gpu] = (PLENTY,),
    runs: Sequence[RunConfig] = (BASE,),
    at_once: int = 1000,
) -> int | str:
    config = launcher_config(compose(["launcher.lanes=auto", *words])["launcher"])
    assert isinstance(config, LocalConfig)
    found = settled(config, gpus, MNIST, lambda: runs, at_once)
    return found.lanes


@pytest.fixture(autouse=True)
def _jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, 128),
        ({"at_once": 40}, 32),
        ({"at_once": 0}, 1),
        ({"at_once": 48, "runs": SHAPES}, 16),
        ({"gpus": [PLENTY, PLENTY], "at_once": 64}, 32),
        ({"gpus": []}, 1),
        ({"runs": [OWN]}, 1),
        ({"runs": [BASE, run(train__loop="keras")]}, 1),
        ({"gpus": [Gpu("MIG-1", "a MIG slice", None)], "at_once": 64}, 64),
    ],
)
def test_auto_is_a_power_of_two_that_the_trials_of_a_shape_fill(
    given: dict[str, Any], found: int
) -> None:
    assert lanes(**given) == found


@pytest.mark.parametrize("sharing", [1, 2])
def test_all_lanes_of_the_largest_network_fit_into_half_of_the_free_memory(sharing: int) -> None:
    wide = run(model__hidden_units=2048)
    free = Gpu("0", "A card", 2 * 5 * sharing * lane_bytes(wide, MNIST) // 2**20 + 1, 0)
    words = (f"launcher.workers_per_gpu={sharing}",)
    assert lanes(*words, gpus=[free], runs=[BASE, wide], at_once=128) == 4


def test_auto_is_one_where_no_lanes_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lanes("launcher.trainer=os.path.join") == 1
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert lanes() == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"gpus": []}, "there is no GPU, and on a CPU lanes gain nothing"),
        ({"runs": [OWN]}, "what a network of your own takes of a GPU is not known"),
        ({"runs": [run(train__loop="keras")]}, "train.loop=keras trains one network at a time"),
        ({"runs": [SECONDS]}, "objective.cost=train_seconds is of a network alone"),
        (
            {"runs": SHAPES, "at_once": 5},
            "a worker has less than two runs of a shape (at once 5, shapes 3, workers 1)",
        ),
        ({"gpus": [Gpu("0", "Full", 1, 0)]}, "the GPU has not the memory for two"),
    ],
)
def test_auto_says_why_it_is_one(
    given: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lanes(**given) == 1
    assert capsys.readouterr().err == f"launcher.lanes=auto is 1: {why}.\n"


def test_what_auto_came_to_is_left_to_the_launch_where_it_is_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lanes() == 128
    assert lanes("launcher.lanes=1") == 1
    assert capsys.readouterr().err == ""


def test_a_number_that_was_asked_for_stays() -> None:
    assert lanes("launcher.lanes=3", at_once=1) == 3
