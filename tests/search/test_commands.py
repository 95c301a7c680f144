"""What can be typed is found from what one remembers: the name of the package."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunPython
from tests.search.conftest import ROOT

COMMANDS = [
    *(
        f"{room}.{file.stem}"
        for room in ("search", "pipeline")
        for file in (ROOT / room).glob("[!_]*.py")
    ),
    "search",
    "search.simulate",
    "pipeline.data",
]


@pytest.fixture
def endless_import(tmp_path: Path) -> dict[str, str]:
    """An environment in which what every command imports first says so, and does not come to its end."""
    (tmp_path / "pydantic.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(600)"
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_during_the_imports_shows_no_traceback(
    command: str, endless_import: dict[str, str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", command],
        env=endless_import,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert error == ""
    assert process.returncode == -signal.SIGINT


def test_the_package_lists_its_commands_with_a_line_each(run_python: RunPython) -> None:
    done = run_python("-m", "search")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "python -m search.simulate" in lines
    for room in ("search", "pipeline"):
        for file in (ROOT / room).glob("[!_]*.py"):
            place = lines.index(f"python -m {room}.{file.stem}")
            assert len(lines[place + 1].strip()) > 10
            assert len(lines[place + 1]) <= 110
