"""What goes with ARGS is typed once and shown never: it may hold a password."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECRET = "apple"


@pytest.mark.parametrize("target", ["study", "forecast", "export", "serve", "replicate", "bench"])
def test_make_runs_the_command_with_args_and_shows_none_of_them(
    tmp_path: Path, target: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >> {tmp_path}/words\n')
    python.chmod(0o700)
    (tmp_path / "ready").touch()
    done = subprocess.run(
        [
            *("make", "--no-print-directory", target, "DATA=digits", f"BIN={tmp_path}"),
            *(f"READY={tmp_path}/ready", "MAKE=true"),
            f'ARGS=storage.url=postgresql://ann:{SECRET}@host/db study.on_end="curl {SECRET}"',
        ],
        cwd=ROOT,
        env={**os.environ, "MNIST_PATH": "x.npz"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "words").read_text().splitlines()
    assert f"storage.url=postgresql://ann:{SECRET}@host/db" in words
    assert f"study.on_end=curl {SECRET}" in words
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("taken", [True, False])
def test_the_ui_on_a_taken_port_names_the_way_out(tmp_path: Path, taken: bool) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o700)
    (tmp_path / "ready").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not taken:
            server.close()
        words = [f"PORT={port}", f"BIN={tmp_path}", f"READY={tmp_path}/ready"]
        done = subprocess.run(
            ["make", "ui", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert (done.returncode != 0) == taken
    assert (f"make ui PORT={port + 1}" in done.stderr) == taken
    assert (f"-m mlflow ui --workers 1 --port {port}" in done.stdout) == (not taken)
