"""The README's commands are real: each composes, and those that are quick are run as they stand."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from pipeline.compose import compose
from tests.conftest import RunPython

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
OWN_ARGUMENTS = ("pipeline.predict",)  # no configuration: a model and images


def test_the_first_commands_are_the_two_that_matter() -> None:
    assert COMMANDS[:2] == ["make study", "make ui"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_a_make_command_has_a_target_that_help_lists(command: str) -> None:
    target = command.split()[1]
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert re.search(rf"^  make {target}\s+\S", listed, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python ")])
def test_a_python_command_composes(command: str) -> None:
    _, _, module, *words = shlex.split(command)
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    if module not in OWN_ARGUMENTS and "--help" not in words:
        compose(words)


@pytest.mark.slow
def test_the_commands_for_smoke_are_run_as_they_stand(workdir: Path, run_python: RunPython) -> None:
    smoke = [c for c in COMMANDS if c.startswith("python ") and "smoke" in c]
    assert smoke
    for command in [*smoke, "python -m search.report study.name=smoke"]:
        done = run_python(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    assert (workdir / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_a_schedule_is_printed_as_it_stands(run_python: RunPython) -> None:
    (command,) = [c for c in COMMANDS if "search.schedule" in c]
    done = run_python(*shlex.split(command)[1:])
    assert done.returncode == 0
    assert "OnCalendar=*-*-* 02:00:00" in done.stdout
