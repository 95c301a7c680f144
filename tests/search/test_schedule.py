"""What search.schedule is told, adds and refuses."""

import shlex
import sys
from datetime import date
from pathlib import Path

import pytest

from pipeline.command.cli import command
from pipeline.command.compose import CONF, compose
from search.schedule import main
from search.scheduling.request import label, launch
from search.setup.read import Setup, read
from tests.conftest import RunPython
from tests.search.scheduling.printed import CONFIG, STUDY


@pytest.mark.parametrize(
    ("study", "overrides", "name"),
    [
        ("full", ["+study=full"], "full"),
        ("mine", ["study.name=mine"], "mine"),
        ("größe", ["study.name=größe"], "groe"),
        ("研究", ["study.name=研究"], "study"),
        ("nightly_2026-01-02", ["study.name=nightly_${now:%Y-%m-%d}"], "nightly"),
        ("a_2026_b", ["'study.name=x'", "study.name='a_${now:%Y}_b'"], "a_b"),
        ("2026", ["study.name=${now:%Y}"], "study"),
        ("a_2026", ["++study.name=a_${now:%Y}"], "a"),
        ("a_ann", ["study.name='a_${oc.env:U,${now:%Y}}'"], "a"),
    ],
)
def test_a_job_is_not_named_after_the_day_on_which_it_was_printed(
    study: str, overrides: list[str], name: str
) -> None:
    assert label(study, overrides) == name


def schedule(
    target: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """Exit code and all that the command says, run in this process."""
    timed = any(word.lstrip("+").startswith("cron=") for word in words)
    always = ["+study=full", f"target={target}", *(() if timed else ["cron=0 2 * * *"])]
    arguments = [*always, *words]
    monkeypatch.setattr(sys, "argv", ["schedule", *arguments])
    code = command(arguments, main, "search.schedule", "", lambda _: "")
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def launched(crontab: str) -> Setup:
    """What the study is launched with, composed of the printed line."""
    words = shlex.split(crontab.replace(r"\%", "%"))
    overrides = words[words.index("search.optimize") + 1 : words.index("||")]
    return read(compose(overrides), lambda: "")


def test_a_study_gets_what_a_scheduler_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = schedule("cron", ["schedule.gpus=1"], monkeypatch, capsys)
    setup = launched(text)
    assert (setup.study.lock, setup.study.max_seconds) == ("skip", 21480)
    assert (setup.launcher.grace_seconds, setup.launcher.require_gpu) == (60, True)
    _, text = schedule("cron", ["schedule.grace_seconds=10"], monkeypatch, capsys)
    assert launched(text).launcher.grace_seconds == 10


def test_what_the_user_gives_a_scheduled_study_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["study.lock=wait", "++study.max_seconds=1800", "launcher.grace_seconds=299.5"]
    words += ["schedule.gpus=1", "launcher.require_gpu=false"]
    _, text = schedule("cron", words, monkeypatch, capsys)
    setup = launched(text)
    assert (setup.study.lock, setup.study.max_seconds) == ("wait", 1800)
    assert (setup.launcher.grace_seconds, setup.launcher.require_gpu) == (299.5, False)
    assert "--kill-after=600 21600 " in text


def test_what_a_study_file_gives_a_scheduled_study_stands() -> None:
    own = STUDY.model_copy(update={"lock": "wait", "max_seconds": 1800.0})
    assert launch(["+study=mine"], own, CONFIG.model_copy(update={"gpus": 0})) == [
        "+study=mine",
        "launcher.grace_seconds=60",
    ]


@pytest.mark.parametrize(
    ("target", "waits"),
    [
        ("cron", "--kill-after=600 21600 "),
        ("systemd", "TimeoutStopSec=600\n"),
        ("slurm", "--signal=B:TERM@600\n"),
        ("kubernetes", "terminationGracePeriodSeconds: 600\n"),
    ],
)
def test_a_scheduler_waits_for_the_grace_that_the_study_has(
    target: str, waits: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = schedule(target, ["launcher.grace_seconds=300"], monkeypatch, capsys)
    assert waits in text
    assert "study.max_seconds=21000" in text


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (
            ["schedule.hours=1", "schedule.grace_seconds=1800"],
            "schedule.hours: expected more than 3600 s, twice the grace, in which a launch ends, "
            "got 1 (3600 s) (raise it",
        ),
        (["schedule.hours=1", "launcher.grace_seconds=1800"], "schedule.hours: expected more than"),
        (
            ["study.max_seconds=21481"],
            "study.max_seconds: expected at most 21480 (schedule.hours=6",
        ),
    ],
)
def test_a_launch_that_has_no_time_or_too_much_is_refused(
    words: list[str],
    refusal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, text = schedule("systemd", words, monkeypatch, capsys)
    assert code == 2
    assert text.startswith(f"error: {refusal}")


def test_a_study_with_a_date_in_its_name_is_a_new_one_every_day(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = schedule("cron", ["study.name='nightly_${now:%Y-%m-%d}'"], monkeypatch, capsys)
    before = date.today()
    name = launched(text).study.name
    assert name in {f"nightly_{day}" for day in (before, date.today())}  # midnight may pass
    assert text.endswith(">> nightly.log 2>&1\n")


@pytest.mark.parametrize(
    ("cron", "line"),
    [
        ("@daily", "0 0 * * * cd "),
        ("0 2 * * MON,WED", "0 2 * * 1,3 cd "),
        ("5 4 1,15 * *", "5 4 1,15 * * cd "),
        ("'5 4 1,15 * *'", "5 4 1,15 * * cd "),
    ],
)
def test_an_expression_is_read_as_it_is_typed(
    cron: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Hydra would take its commas for a list of values."""
    code, text = schedule("cron", [f"cron={cron}"], monkeypatch, capsys)
    assert (code, text[: len(line)]) == (0, line), text
    assert "cron=" not in text


@pytest.mark.parametrize(
    ("target", "word", "place"),
    [
        (
            "cron",
            "study.on_end='a\n* * * * * id'",
            "study.on_end: expected UTF-8 without line breaks",
        ),
        (
            "systemd",
            "study.on_end='a\nExecStartPre=id'",
            "study.on_end: expected UTF-8 without line",
        ),
        (
            "kubernetes",
            "schedule.image='x\nhostNetwork: true'",
            "schedule.image: expected [HOST/]NAME",
        ),
        ("kubernetes", "schedule.image=x y", "schedule.image: expected [HOST/]NAME"),
        ("cron", "cron='0 2 * * *\n* * * * * id'", "cron: "),
        ("slurm", "cron=0 2 * * *\n", "cron: "),
        ("slurm", "train.epochs=5\n", "train.epochs: expected a line break"),
        ("systemd", "study.name='a\nb'", "study.name: expected "),
    ],
)
def test_a_line_break_is_no_second_job(
    target: str,
    word: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, text = schedule(target, [word], monkeypatch, capsys)
    assert code == 2
    assert text.startswith(f"error: {place}")


def test_nor_is_one_in_a_folder_s_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "a\n* * * * * id"
    folder.mkdir()
    monkeypatch.chdir(folder)
    code, text = schedule("cron", [], monkeypatch, capsys)
    assert code == 2
    assert text.startswith("error: the working folder: expected UTF-8 without line breaks")


def test_the_command_itself_takes_a_list_and_prints_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_python: RunPython
) -> None:
    """On a terminal of ASCII too: a ? in a path would be another one, found out at night."""
    folder = tmp_path / "häuser"
    folder.mkdir()
    monkeypatch.chdir(folder)
    words = ["+study=full", "cron=0 2 * * MON,WED", "target=cron"]
    done = run_python("-m", "search.schedule", *words, PYTHONIOENCODING="ascii:replace")
    assert done.stdout.startswith(f"0 2 * * 1,3 cd {shlex.quote(str(folder))} && "), done.stderr


def test_the_study_finds_the_configuration_that_its_schedule_was_made_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words that are added stand behind an option, where argparse reads no more of them by itself."""
    _, text = schedule("cron", ["--config-dir", str(CONF)], monkeypatch, capsys)
    words = shlex.split(text)
    arguments = words[words.index("search.optimize") + 1 : words.index("||")]
    assert "--config-dir" in arguments
    assert command([*arguments, "--cfg"], main, "search.optimize", "", lambda _: "") == 0
    assert "lock: skip" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["cron", "systemd", "slurm", "kubernetes"])
def test_a_secret_that_stands_in_a_schedule_is_pointed_out(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It must stand there for the study to run; a variable can take its place."""
    url = "postgresql+psycopg://ann:apple@host/db"
    warning = "warning: storage.url may hold a secret, and stands in this text: "
    code, text = schedule(target, [f"storage.url={url}"], monkeypatch, capsys)
    assert code == 0
    assert warning in text
    assert "storage.url='${oc.env:STORAGE_URL}'" in text
    monkeypatch.setenv("STORAGE_URL", url)
    variable = "storage.url='${oc.env:STORAGE_URL}'"
    code, text = schedule(target, [variable], monkeypatch, capsys)
    assert code == 0
    assert "may hold a secret" not in text
    assert "apple" not in text
    assert "oc.env:STORAGE_URL" in text


@pytest.mark.parametrize("target", ["cron", "systemd", "slurm", "kubernetes"])
@pytest.mark.parametrize(
    ("words", "printed", "warned"),
    [
        ([], True, True),
        (["data.path=other.npz"], False, True),
        (["data=digits"], False, False),
    ],
)
def test_a_job_is_told_where_the_data_lie_or_people_are(
    target: str,
    words: list[str],
    printed: bool,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MNIST_PATH", f"{tmp_path}/my mnist.npz")
    _, text = schedule(target, words, monkeypatch, capsys)
    in_container = target == "kubernetes"
    assert (f"{tmp_path}/my mnist.npz" in text) == (printed and not in_container)
    assert ("the container needs the data" in text) == (warned and in_container)
    if printed and target == "cron":
        assert launched(text).run.data.path == f"{tmp_path}/my mnist.npz"


def test_variables_that_decide_are_named_and_what_they_hold_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://u:secret@host")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    _, text = schedule("cron", ["data=digits", "tracking=none"], monkeypatch, capsys)
    assert "warning: KERAS_BACKEND, MLFLOW_TRACKING_URI: set here" in text
    assert "secret" not in text
