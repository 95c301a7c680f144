"""What a launcher is told, checked before anything is created."""

import re
import sys

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from search.workers.messages import launcher_config, workforce


@pytest.mark.parametrize(
    ("trainer", "place"),
    [
        ("search.worker.keras_trainer", "search.worker"),  # its name in the version before
        ("nowhere.make", "nowhere"),
        ("pipeline.run.nowhere.make", "pipeline.run.nowhere"),
    ],
)
def test_a_trainer_whose_module_is_not_there_is_refused(trainer: str, place: str) -> None:
    values = compose([f"launcher.trainer={trainer}"])["launcher"]
    with pytest.raises(ConfigError, match=rf"^launcher\.trainer: there is no {place} here, got"):
        launcher_config(values)


@pytest.mark.parametrize(
    ("words", "backend", "why"),
    [
        ((), "tensorflow", "expected 1 with tensorflow, got 4"),
        (("launcher.trainer=os.path.join",), "jax", "expected 1 with a trainer of your own, got 4"),
        (("launcher.lanes=0",), "jax", "expected >= 1 or 'auto', got 0"),
        (("launcher.lanes=2.5",), "jax", "expected integer or 'auto', got 2.5"),
    ],
)
def test_lanes_that_there_can_t_be_are_refused(
    words: tuple[str, ...], backend: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(ConfigError, match=rf"^launcher\.lanes: {re.escape(why)}"):
        launcher_config(compose(["launcher.lanes=4", *words])["launcher"])


@pytest.mark.parametrize(
    ("lanes", "trials", "said"),
    [
        (1, 1, "1 worker"),
        (1, 3, "3 workers"),
        (4, 3, "1 worker of 4 lanes"),
        (4, 5, "2 workers of 4 lanes"),
    ],
)
def test_workers_are_told_with_their_lanes(lanes: int, trials: int, said: str) -> None:
    config = launcher_config(compose([])["launcher"]).model_copy(update={"lanes": lanes})
    assert workforce(config, trials) == said


def test_a_trainer_is_not_imported_at_the_door() -> None:
    """Its module may take seconds and hundreds of megabytes."""
    sys.modules.pop("xmlrpc.client", None)
    for trainer in ("xmlrpc.client.dumps", "os.path.join"):
        launcher_config(compose([f"launcher.trainer={trainer}"])["launcher"])
    assert "xmlrpc.client" not in sys.modules
