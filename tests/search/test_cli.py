"""The command: what it says without doing anything, what it refuses, and what it never imports."""

from pathlib import Path

import pytest

from pipeline.command.cli import command
from pipeline.command.compose import CONF
from search.optimize import main
from tests.search.conftest import Run

HEAVY = ["tensorflow", "keras", "mlflow", "optuna", "sqlalchemy", "sklearn", "jax"]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and error of the command, run in this process."""
    code = command(arguments, main, "search.optimize", "", lambda _: "")
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MNIST_PATH", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_help_lists_the_studies_with_their_questions_and_imports_nothing_slow(
    python: Run, tmp_path: Path
) -> None:
    done = python("-X", "importtime", "-m", "search.optimize", "--help")
    assert done.returncode == 0
    for file in (CONF / "study").glob("*.yaml"):
        question = file.read_text().splitlines()[1].removeprefix("# ")
        assert any(
            line.split() == [file.stem, *question.split()] for line in done.stdout.split("\n")
        )
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert imported.isdisjoint(HEAVY)
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_the_exit_code_of_its_error(python: Run, tmp_path: Path) -> None:
    done = python("-X", "importtime", "-m", "search.optimize", "+study=smoke", "model.dropuot=0.1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "model.dropuot: no such setting (did you mean `model.dropout`?)" in done.stderr
    assert "Traceback" not in done.stderr
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert imported.isdisjoint(HEAVY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "study.name: is missing; choose a study with +study=NAME", id="no study"),
        pytest.param(
            ["+study=dropuot"],
            "study: there is no 'dropuot', expected one of ",
            id="unknown study",
        ),
        pytest.param(
            ["+study=smoke", "sampler=tpee"],
            "sampler: there is no 'tpee', expected one of ",
            id="unknown sampler",
        ),
        pytest.param(
            ["+study=smoke", "study.trials=0"],
            "study.trials: expected 1 <= trials, got 0",
            id="no trials",
        ),
        pytest.param(
            ["+study=smoke", "study.name=../x"],
            "study.name: expected letters, digits",
            id="name that leaves its place",
        ),
        pytest.param(
            ["+study=smoke", "study.space.model.dropout.high=1.0"],
            "study.space.model.dropout: expected 0 <= dropout < 1, got 1.0",
            id="bound that the field refuses",
        ),
        pytest.param(
            ["+study=smoke", "sampler=grid"],
            "study.space.model.dropout: a grid needs a step or a list of choices",
            id="grid without end",
        ),
        pytest.param(
            ["+study=smoke", "+sampler.warmup=1"], "sampler: ", id="sampler's unknown argument"
        ),
        pytest.param(
            ["+study=smoke", "launcher.workers=0"],
            "launcher.workers: expected >= 1, got 0",
            id="no workers",
        ),
        pytest.param(
            ["+study=smoke", "objective.metric=test_accuracy"],
            "objective.metric: the test set must not steer the search, got test_accuracy",
            id="the test set as objective",
        ),
        pytest.param(
            ["+study=smoke", "+train.epoch=3"],
            "train.epoch: no such setting (did you mean `train.epochs`?)",
            id="added key",
        ),
        pytest.param(
            ["+study=smoke", "train.validation_split=0.9999"],
            "train.validation_split: 0.9999 of 1437 rows leaves 0 to train on",
            id="split that leaves no rows",
        ),
    ],
)
def test_a_wrong_configuration_ends_with_2_and_creates_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, error = refusal(arguments, capsys)
    assert code == 2
    assert error.startswith(f"error: {message}")
    assert "--help" in error.splitlines()[-1]
    assert list(here.iterdir()) == []


def test_without_a_study_the_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    _, error = refusal([], capsys)
    for file in (CONF / "study").glob("*.yaml"):
        assert f"\n  {file.stem} " in error


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("nowhere.npz", None, "data.path: there is no file or folder"),
        ("text.npz", b"hello, this is text", "this is not an .npz file"),
        ("cut.npz", b"PK\x03\x04 cut short", "cut.npz: "),
    ],
)
def test_data_that_cannot_be_read_ends_with_69_and_creates_nothing(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    content: bytes | None,
    message: str,
) -> None:
    if content is not None:
        (here / place).write_bytes(content)
    before = sorted(here.iterdir())
    code, error = refusal(["+study=smoke", "data=npz", f"data.path={place}"], capsys)
    assert code == 69
    assert error.startswith("error: ")
    assert message in error
    assert sorted(here.iterdir()) == before


def test_a_composed_configuration_can_be_looked_at(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["+study=smoke", "model.l2=0.5", "--cfg"]
    assert command(arguments, main, "search.optimize", "", lambda _: "") == 0
    printed = capsys.readouterr().out
    assert "  l2: 0.5\n" in printed
    assert "  name: smoke\n" in printed
    assert list(here.iterdir()) == []
