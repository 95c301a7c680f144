"""`python -m search.serve`: the champion is there, or one line says which are."""

import os
import shutil
import socket
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


class Became(Exception):
    """The process would be another one from here on."""


@pytest.fixture
def started(workdir: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command becomes: words and environment."""
    shutil.copy(registry, workdir)
    calls: list[Any] = []

    def become(_: str, words: list[str], environment: dict[str, str]) -> None:
        calls.append((words[1:], environment))
        raise Became

    monkeypatch.setattr(os, "execve", become)
    return calls


def serve(*words: str) -> int:
    return command([*words], search.serve.main, "search.serve", "", lambda _: "")


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("words", [["study.name=dropout"], []])
def test_the_champion_is_served(started: list[Any], words: list[str]) -> None:
    serve(*words, "serve.port=5077")
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
