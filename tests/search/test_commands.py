"""What can be typed is found from what one remembers: the name of the package."""

from tests.conftest import RunPython
from tests.search.conftest import ROOT


def test_the_package_lists_its_commands_with_a_line_each(run_python: RunPython) -> None:
    done = run_python("-m", "search")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for room in ("search", "pipeline"):
        for file in (ROOT / room).glob("[!_]*.py"):
            place = lines.index(f"python -m {room}.{file.stem}")
            assert len(lines[place + 1].strip()) > 10
            assert len(lines[place + 1]) <= 110
