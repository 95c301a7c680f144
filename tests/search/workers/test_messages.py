"""What a launcher is told, checked before anything is created."""

import sys

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from search.workers.messages import launcher_config


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


def test_a_trainer_is_not_imported_at_the_door() -> None:
    """Its module may take seconds and hundreds of megabytes."""
    sys.modules.pop("xmlrpc.client", None)
    for trainer in ("xmlrpc.client.dumps", "os.path.join"):
        launcher_config(compose([f"launcher.trainer={trainer}"])["launcher"])
    assert "xmlrpc.client" not in sys.modules
