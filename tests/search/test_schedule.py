"""What search.schedule prints, judged by the schedulers' own parsers where they are installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ConfigError
from search.cron import check, to_systemd
from search.schedule import ScheduleConfig, Target, render

CONFIG = ScheduleConfig(hours=6.0, grace_seconds=60, gpus=2, image="plumbline:1")
TARGETS: tuple[Target, ...] = ("cron", "systemd", "slurm", "kubernetes")


def rendered(target: Target, cron: str = "30 2 * * 1-5", *overrides: str) -> str:
    words = ["+study=full", *overrides]
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
        ("0 2 * * mon", "got 'mon'"),
    ],
)
def test_a_bad_cron_expression_names_its_field(cron: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        check(cron)


def test_a_day_or_a_weekday_is_refused_for_systemd_which_means_both() -> None:
    with pytest.raises(ConfigError, match="give one"):
        to_systemd(check("0 0 1 * 1"))


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


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    service, timer = re.split(r"(?m)^(?=# ~/.*\.timer$)", rendered("systemd"))
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


def test_the_wrapper_passes_sigterm_to_the_study_and_waits_for_it(tmp_path: Path) -> None:
    study = tmp_path / "python"
    study.write_text(
        "#!/usr/bin/env python3\n"
        "import pathlib, signal, sys\n"
        "def end(*_):\n"
        f"    pathlib.Path({str(tmp_path)!r}, 'told').write_text('yes')\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    study.chmod(0o755)
    script = rendered("slurm").replace("/opt/py/python", str(study))
    script = script.replace("'/srv/my runs'", str(tmp_path))
    shell = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    assert shell.stdout.readline() == "up\n"
    shell.terminate()
    assert shell.wait(timeout=30) == 0
    assert (tmp_path / "told").read_text() == "yes"
    shell.stdout.close()


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
