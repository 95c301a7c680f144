"""`python -m search.serve`: the champion is there, or one line says which are."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

import search.serve
from pipeline.command.cli import command
from pipeline.tracking.mlflow import MlflowTracker


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which `dropout` has a champion and `depth` has a model without one."""
    file = tmp_path_factory.mktemp("registry") / "mlflow.db"
    uri = f"sqlite:///{file}"
    MlflowTracker(uri)
    client = MlflowClient(uri, uri)
    for name in ("dropout", "depth"):
        client.create_registered_model(name)
        client.create_model_version(name, source=f"/models/{name}")
    client.set_registered_model_alias("dropout", "champion", "1")
    return file


@pytest.fixture
def started(workdir: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command starts: words and environment. The server ends by itself, with 3."""
    shutil.copy(registry, workdir)
    calls: list[Any] = []

    def run(words: list[str], environment: dict[str, str]) -> int:
        calls.append((words[1:], environment))
        return 3

    monkeypatch.setattr(search.serve, "run", run)
    return calls


def serve(*words: str) -> int:
    return command([*words], search.serve.main, "search.serve", "", lambda _: "")


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("words", [["study.name=dropout"], []])
def test_the_champion_is_served(started: list[Any], words: list[str]) -> None:
    assert serve(*words, "serve.port=5077") == 69
    ((called, environment),) = started
    assert " ".join(called) == (
        "-m mlflow models serve -m models:/dropout@champion --env-manager local -p 5077"
    )
    assert environment["MLFLOW_TRACKING_URI"] == "sqlite:///mlflow.db"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["study.name=nope"],
            [
                "study.name: no model of nope is registered",
                "there are: dropout ",
                "python -m search.export study.name=nope registers one",
            ],
        ),
        (["study.name=dropuot"], ["did you mean `dropout`?"]),
        (
            ["study.name=depth"],
            ["depth has a registered model, but none of its versions is champion"],
        ),
        (
            ["study.name=dropout", "tracking.uri=sqlite:///none.db"],
            ["tracking.uri: there is no MLflow database ", "/none.db"],
        ),
        (["study.name=dropout", "tracking=none"], ["tracking: is off"]),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    started: list[Any],
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    parts: list[str],
) -> None:
    assert serve(*words) == 2
    error = capsys.readouterr().err
    for part in parts:
        assert part in error
    assert len(error.splitlines()) == 2  # and where to read on
    assert not started
    assert {file.name for file in workdir.iterdir()} == {"mlflow.db"}


def test_a_port_that_is_taken_is_told(
    started: list[Any], port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve("study.name=dropout", f"serve.port={port}") == 69
    assert f"serve.port: {port} can't be had" in capsys.readouterr().err
    assert not started


def test_a_server_that_is_away_is_told(
    started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve("study.name=dropout", "tracking.uri=http://ann:s3cret@127.0.0.1:9") == 69
    error = capsys.readouterr().err
    assert error.startswith("error: tracking.uri: http://ann:***@127.0.0.1:9: ")
    assert len(error.splitlines()) == 1
    assert not started


_SERVING = """
import sys, search.serve
from pipeline.command.cli import guarded
server = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
sys.exit(guarded(lambda: search.serve.run(server, {}), "search.serve"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_too_and_shows_no_traceback(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command_:
        assert command_.stdout is not None
        server = int(command_.stdout.readline())
        os.killpg(command_.pid, number)  # as a terminal sends it
        _, error = command_.communicate(timeout=60)
    assert command_.returncode == 75
    assert error == f"error: stopped by {number.name}; the same command goes on\n"
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
