"""Answer over HTTP with a study's champion: MLflow's own server, once there is something to serve.

python -m search.serve study.name=dropout
python -m search.serve study.name=dropout serve.port=8080
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.command.cli import command
from pipeline.command.section import Section


class ServeConfig(Section):
    """`port`: where on this machine."""

    port: Annotated[int, Field(ge=1, le=65535)]


def main(values: dict[str, Any]) -> int:
    """Run `mlflow models serve` with the champion until a signal ends it: 75, as for every command."""
    from pipeline.command.errors import ConfigError, UnavailableError
    from pipeline.command.overrides import is_typed
    from pipeline.command.section import validated
    from pipeline.tracking.config import TrackingConfig
    from search.study.address import named

    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    port = validated(ServeConfig, values["serve"], "serve").port
    name = named(values)
    if is_typed(values, "export.path"):
        raise ConfigError(
            "export.path: search.serve answers with what search.export has registered (study.name=NAME); "
            "the model in a folder is asked with python -m pipeline.predict FOLDER image.png"
        )
    if tracking.name == "none":
        raise ConfigError("tracking: is off (choose tracking=mlflow)")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnavailableError(
                f"serve.port: {port} can't be had: {error.strerror} (serve.port=NUMBER takes another)"
            ) from None

    from search.artifacts.champion import served

    model = served(str(tracking.uri), name)
    words = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local", "-p", str(port)]
    scripts = Path(sys.executable).parent  # of this environment, where MLflow looks for its server
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": str(tracking.uri),
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    print(f"{model} answers on http://127.0.0.1:{port}/invocations", flush=True)
    code = run([sys.executable, "-m", *words], environment)
    raise UnavailableError(f"MLflow's server ended by itself, with {code}: its reason stands above")


def run(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code of the process `words`, which ends with this one, whatever ends it."""
    # In a group of its own: Ctrl-C is for this process, MLflow would show the traceback of its own.
    server = subprocess.Popen(words, env=environment, process_group=0)
    try:
        return server.wait()
    finally:
        server.terminate()
        server.wait()


def _help(_: Path) -> str:
    return (
        "serve.port: where on this machine (5001). Takes the same tracking.uri as the study.\n"
        "exit codes: 2 there is no such champion, 69 MLflow or the port can't be had, 75 stopped"
    )


if __name__ == "__main__":
    description = "Answer over HTTP with a study's champion."
    sys.exit(command(sys.argv[1:], main, "search.serve", description, _help))
