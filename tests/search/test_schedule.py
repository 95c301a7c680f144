"""What search.schedule prints, judged by the schedulers' own parsers where they are installed."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import command
from pipeline.compose import compose
from pipeline.errors import ConfigError
from search.config import Setup, read
from search.cron import check, to_kubernetes, to_systemd
from search.schedule import ScheduleConfig, Target, label, launch, main, render
from search.study import StudyConfig
from tests.faults.world import ROOT, eventually

CONFIG = ScheduleConfig(hours=6.0, grace_seconds=60, gpus=2, image="plumbline:1")
STUDY = StudyConfig(name="full", question=None, trials=40, lock="fail", space={})
GOLDEN = Path(__file__).parent / "golden"
TARGETS: tuple[Target, ...] = ("cron", "systemd", "slurm", "kubernetes")


def rendered(target: Target, cron: str = "30 2 * * 1-5", *overrides: str) -> str:
    words = launch(["+study=full", *overrides], STUDY, CONFIG)
    return render(target, check(cron), CONFIG, "full", words, "/opt/py/python", "/srv/my runs")


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 2 * * *", "*-*-* 02:00:00"),
        ("*/15 * * * *", "*-*-* *:00/15:00"),
        ("0 8-18/2 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 08..18/2:00:00"),
        ("5 4 1,15 * *", "*-*-01,15 04:05:00"),
        ("0 0 * 6 0", "Sun *-06-* 00:00:00"),
        ("0 0 * * 7", "Sun *-*-* 00:00:00"),
    ],
)
def test_systemd_runs_at_the_times_of_cron(cron: str, calendar: str) -> None:
    assert to_systemd(check(cron)) == calendar


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * *", "five fields"),
        ("60 2 * * *", "minute: expected *, numbers from 0 to 59"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day of week"),
        ("0 5-2 * * *", "got '5-2'"),
        ("*/0 * * * *", "got '*/0'"),
        ("5/15 * * * *", "minute: expected *, numbers from 0 to 59"),
        ("0 2 * * 7/2", "day of week: expected *, numbers from 0 to 7"),
        ("0 */24 * * *", "steps */2, 1-5/2 up to 23, got '*/24'"),
        ("0 2 * * mon", "got 'mon'"),
    ],
)
def test_a_bad_cron_expression_names_its_field(cron: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        check(cron)


def test_a_day_or_a_weekday_is_refused_for_systemd_which_means_both() -> None:
    with pytest.raises(ConfigError, match="give one"):
        to_systemd(check("0 0 1 * 1"))


@pytest.mark.parametrize(
    ("cron", "days"), [("0 2 * * 7", "0"), ("0 2 * * 5-7", "0,5,6"), ("0 2 * * 1-5", "1-5")]
)
def test_kubernetes_is_told_of_sunday_by_the_number_that_it_knows(cron: str, days: str) -> None:
    assert to_kubernetes(check(cron)) == f"0 2 * * {days}"


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_printed_is_what_was_looked_at(target: Target) -> None:
    """Golden files; where one changes, somebody reads it again."""
    text = rendered(target, "30 2 * * 1-5", "study.name=nightly_${now:%Y-%m-%d}")
    assert text == (GOLDEN / f"{target}.txt").read_text()


@pytest.mark.parametrize(
    ("study", "overrides", "name"),
    [
        ("full", ["+study=full"], "full"),
        ("mine", ["study.name=mine"], "mine"),
        ("nightly_2026-01-02", ["study.name=nightly_${now:%Y-%m-%d}"], "nightly"),
        ("a_2026_b", ["'study.name=x'", "study.name='a_${now:%Y}_b'"], "a_b"),
        ("2026", ["study.name=${now:%Y}"], "study"),
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
    arguments = ["+study=full", "cron=0 2 * * *", f"target={target}", *words]
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


@pytest.mark.parametrize("target", TARGETS)
def test_a_study_that_was_given_gpus_never_runs_without(target: Target) -> None:
    assert "launcher.require_gpu=true" in rendered(target)
    without = CONFIG.model_copy(update={"gpus": 0})
    words = launch([], STUDY, without)
    text = render(target, check("0 2 * * *"), without, "full", words, "python", "/srv")
    assert "gpu" not in text


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_skips_overlaps_and_passes_the_study_on(target: Target) -> None:
    text = rendered(target, "30 2 * * *", "train.epochs=5")
    assert "study.lock=skip" in text
    assert "+study=full" in text
    assert "train.epochs=5" in text
    assert "75" in text  # stopped but resumable is no error


def test_a_crontab_line_is_one_line_with_its_percent_signs_escaped() -> None:
    text = rendered("cron", "30 2 * * *", "study.name=n%1")
    assert text.count("\n") == 1
    assert text.startswith("30 2 * * * cd '/srv/my runs' && ")
    assert r"n\%1" in text


def test_a_crontab_line_ends_the_study_alone_and_takes_75_for_success(tmp_path: Path) -> None:
    """Its workers get no signal: the study has them finish. `timeout` is told here what time tells it."""
    study = tmp_path / "python"
    study.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, subprocess, sys\n"
        "def end(*_):\n"
        "    ended = signal.sigtimedwait([signal.SIGCHLD], 0.5)\n"
        "    print('told, and its worker', 'too' if ended else 'not', flush=True)\n"
        "    worker.kill()\n"
        "    sys.exit(75)\n"
        "worker = subprocess.Popen(['sleep', '600'])\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print(os.getppid(), flush=True)\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    study.chmod(0o755)
    line = render("cron", check("0 2 * * *"), CONFIG, "full", [], str(study), str(tmp_path))
    shell = subprocess.Popen(["sh", "-c", line.removeprefix("0 2 * * * ").replace(r"\%", "%")])
    log = tmp_path / "full.log"
    eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    timeout = log.read_text()
    os.kill(int(timeout), signal.SIGTERM)
    assert shell.wait(timeout=60) == 0
    assert log.read_text().removeprefix(timeout) == "told, and its worker not\n"


def test_a_systemd_unit_passes_dollars_percents_quotes_and_backslashes_on() -> None:
    text = rendered("systemd", "0 2 * * *", "study.name=n_${now:%Y}", r'a="\d"')
    assert '"study.name=n_$${now:%%Y}"' in text
    assert r'"a=\"\\d\""' in text


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = rendered("systemd", "30 2 * * 1-5", "study.name=n_${now:%Y}")
    service, timer = re.split(r"(?m)^(?=# ~/.*\.timer$)", text)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    service = service.replace("/opt/py/python", str(python))
    for name, text in (("plumbline-full.service", service), ("plumbline-full.timer", timer)):
        (tmp_path / name).write_text(text)
    units = [str(tmp_path / f"plumbline-full.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if "plumbline-full" in line]
    assert not complaints


@pytest.mark.parametrize(("exits", "code"), [(0, 0), (75, 0), (2, 2), (1, 1)])
def test_the_slurm_script_is_bash_that_takes_only_75_for_success(
    tmp_path: Path, exits: int, code: int
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {exits}\n")
    python.chmod(0o755)
    script = rendered("slurm").replace("/opt/py/python", str(python))
    script = script.replace("'/srv/my runs'", str(tmp_path))
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert subprocess.run(["bash"], input=script, text=True).returncode == code
    assert "#SBATCH --gpus=2" in script


def test_a_slurm_script_is_found_and_logs_where_the_folder_has_a_space() -> None:
    lines = rendered("slurm", "0 2 * * *").splitlines()
    (submitted,) = [line for line in lines if " sbatch " in line]
    assert shlex.split(submitted)[-2:] == ["sbatch", "/srv/my runs/plumbline-full.sh"]
    (log,) = [line for line in lines if "--output=" in line]
    assert shlex.split(log)[-1] == "--output=/srv/my runs/plumbline-full-%j.log"


def test_slurm_s_whole_minutes_never_end_a_study_before_its_own_time() -> None:
    odd = CONFIG.model_copy(update={"hours": 2.01})  # 7236 s
    text = render("slurm", check("0 2 * * *"), odd, "full", launch([], STUDY, odd), "python", "/")
    assert "study.max_seconds=7116" in text
    assert "--time=121\n" in text


def assert_told_and_waited_for(folder: Path, script: str) -> None:
    """`script` passes SIGTERM to the study, which is `python` of `folder`, and takes its 75 for success."""
    study = folder / "python"
    study.write_text(
        "#!/usr/bin/env python3\n"
        "import pathlib, signal, sys\n"
        "def end(*_):\n"
        f"    pathlib.Path({str(folder)!r}, 'told').write_text('yes')\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    study.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "SLURM_JOB_NODELIST": "node[1-4]"}
    shell = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True, env=env)
    assert shell.stdout is not None
    assert shell.stdout.readline() == "up\n"
    shell.terminate()
    assert shell.wait(timeout=30) == 0
    assert (folder / "told").read_text() == "yes"
    shell.stdout.close()


def test_the_wrapper_passes_sigterm_to_the_study_and_waits_for_it(tmp_path: Path) -> None:
    script = rendered("slurm").replace("/opt/py/python", str(tmp_path / "python"))
    assert_told_and_waited_for(tmp_path, script.replace("'/srv/my runs'", str(tmp_path)))


def test_so_does_the_script_of_a_study_on_several_nodes(tmp_path: Path) -> None:
    """Where `srun`, as SLURM's, kills what it runs when it gets SIGTERM itself."""
    srun = (
        'while [ "${1#-}" != "$1" ]; do [ "$1" = -w ] && shift; shift; done\n'
        '"$@" &\n'
        "trap 'kill -KILL \"$!\"; exit 143' TERM\n"
        "wait\n"
    )
    for name, script in {"srun": srun, "scontrol": "echo node1\n", "ray": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
        (tmp_path / name).chmod(0o755)
    text = (ROOT / "docs" / "scaling.md").read_text()
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", text, flags=re.DOTALL)
    assert_told_and_waited_for(tmp_path, script)


def test_the_kubernetes_job_forbids_overlap_and_asks_for_its_gpus() -> None:
    job = yaml.safe_load(rendered("kubernetes"))
    assert job["kind"] == "CronJob"
    assert job["spec"]["schedule"] == "30 2 * * 1-5"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] == 120
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    script = container["args"][0]
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0


def test_kubernetes_leaves_dollars_to_the_study() -> None:
    """It reads $$ as $, and $(NAME) as a variable, before the shell sees them."""
    given = "study.on_end='a$$b $$(x) $(PATH) ${now:%Y} $'"
    script = yaml.safe_load(rendered("kubernetes", "0 2 * * *", given))
    (container,) = script["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    told = re.sub(
        r"\$(\$|\(PATH\))", lambda m: "$" if m[1] == "$" else "/bin", container["args"][0]
    )
    assert given in shlex.split(told.splitlines()[0])


def test_kubectl_knows_every_field_of_the_job(tmp_path: Path) -> None:
    """Read into kubectl's own types and written again: what it does not know would be gone."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    job = tmp_path / "job.yaml"
    job.write_text(rendered("kubernetes"))
    command = ["kubectl", "set", "image", "--local", "-f", str(job), "study=other:2", "-o", "yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    changed = rendered("kubernetes").replace("plumbline:1", "other:2")
    assert _missing(yaml.safe_load(changed), yaml.safe_load(done.stdout)) == []


def _missing(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where `theirs` lacks or changes something of `ours`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key, value in ours.items()
            for line in _missing(value, theirs.get(key), f"{place}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line
            for index, value in enumerate(ours)
            for line in _missing(value, theirs[index], f"{place}[{index}]")
        ]
    return [] if ours == theirs else [f"{place}: {ours!r}, {theirs!r}"]


def test_a_kubernetes_name_is_one_that_kubernetes_takes() -> None:
    name = "A.long_name" * 9
    text = render("kubernetes", check("0 2 * * *"), CONFIG, name, [], "python", "/work")
    found = yaml.safe_load(text)["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", found)
