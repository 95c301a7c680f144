"""Output that nobody reads, that can't be written or encoded, and streams that a shell closed."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.command.cli import command

ROOT = Path(__file__).parents[3]

LINES = "[print('x' * 999, flush=True) for _ in range(999)]"
EARLY = f"{LINES}; print('not reached', file=__import__('sys').stderr)"
AT_THE_END = "print('one line')"  # which Python holds back as long as it can
UNREAD = f"import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); {AT_THE_END}"
QUIETLY = "import sys; print('gr\\u00fc\\udcff'); print('\\u03b5', file=sys.stderr)"
OPENED = "import os; print(os.open('mine', os.O_CREAT | os.O_RDWR) > 2)"


@dataclass(frozen=True)
class Case:
    """What `python -c` of a guarded `body` does, with the shell's `redirections`."""

    body: str
    redirections: str
    code: int
    error: str = ""
    output: str = ""


FULL = "error: standard output: can't be written: No space left on device\n"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(EARLY, "| true", 75), id="nobody reads it"),
        pytest.param(Case(UNREAD, "", 75), id="nobody reads the end"),
        pytest.param(Case(EARLY, "> /dev/full", 74, FULL), id="disk full"),
        pytest.param(Case(AT_THE_END, "> /dev/full", 74, FULL), id="disk full at the end"),
        pytest.param(Case(EARLY, ">&-", 0, "not reached\n"), id="stdout closed"),
        pytest.param(Case(QUIETLY, "2>&-", 0, output="gr??\n"), id="stderr closed"),
        pytest.param(Case(QUIETLY, "2> /dev/full", 0, output="gr??\n"), id="stderr full"),
        pytest.param(Case(QUIETLY, "", 0, "?\n", "gr??\n"), id="unencodable"),
        pytest.param(Case(OPENED, "<&- 2>&-", 0, output="True\n"), id="their numbers stay theirs"),
    ],
)
def test_output_is_never_in_the_way(case: Case, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pipeline.command.cli import guarded\n"
        f"def run():\n    {case.body}\n    return 0\n"
        "sys.exit(guarded(run, 'test'))\n"
    )
    shell = f'( {sys.executable} -c "$PROGRAM"; echo $? > code ) {case.redirections}'
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii:strict", "PROGRAM": program},
        capture_output=True,
        text=True,
    )
    assert (int((tmp_path / "code").read_text()), done.stderr) == (case.code, case.error)
    assert done.stdout == case.output


def run(_: object) -> int:
    pytest.fail("it was let in")


@pytest.mark.parametrize("argv", [["data.path=\udcff.npz"], ["study.question='\udcc3\udcbc'"]])
def test_what_is_no_text_is_refused(
    argv: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow and the trial table could not keep it."""
    assert command(argv, run, "search.optimize", "", lambda _: "") == 2
    assert "expected UTF-8 text" in capsys.readouterr().err


def test_a_folder_whose_name_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "w\udcff"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert command([], run, "search.optimize", "", lambda _: "") == 2
    assert "the working folder: expected UTF-8 text, got" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert command([], run, "search.optimize", "", lambda _: "") == 74
    assert "the working folder is gone" in capsys.readouterr().err
