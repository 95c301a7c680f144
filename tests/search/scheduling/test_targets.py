"""What is printed for each scheduler, judged by its own parsers where they are installed."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.command.errors import ConfigError
from search.scheduling.cron import check
from search.scheduling.request import launch
from search.scheduling.targets import TEMPLATES, render
from tests.faults.launch import ROOT, eventually
from tests.search.scheduling.printed import CONFIG, STUDY, rendered

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("target", TEMPLATES)
def test_what_is_printed_is_what_was_looked_at(target: str) -> None:
    """Golden files; where one changes, somebody reads it again."""
    text = rendered(target, "30 2 * * 1-5", "study.name=nightly_${now:%Y-%m-%d}")
    assert text == (GOLDEN / f"{target}.txt").read_text()


def pod_of(text: str) -> dict[str, Any]:
    """The pod of a printed CronJob."""
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


@pytest.mark.parametrize("target", TEMPLATES)
def test_a_study_that_was_given_gpus_never_runs_without(target: str) -> None:
    assert "launcher.require_gpu=true" in rendered(target)
    without = CONFIG.model_copy(update={"gpus": 0})
    words = launch([], STUDY, without)
    text = render(target, check("0 2 * * *"), without, "full", words, "python", "/srv")
    assert "gpu" not in text
    if target == "kubernetes":
        (container,) = pod_of(text)["containers"]
        assert not container["resources"]["limits"]


@pytest.mark.parametrize("target", TEMPLATES)
def test_every_target_skips_overlaps_and_passes_the_study_on(target: str) -> None:
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


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    text = rendered("systemd", "30 2 * * 1-5", "study.name=n_${now:%Y}", python=str(python))
    service, timer = re.split(r"(?m)^(?=# ~/.*\.timer$)", text)
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
    script = rendered("slurm", python=str(python), folder=str(tmp_path))
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
    script = rendered("slurm", python=str(tmp_path / "python"), folder=str(tmp_path))
    assert_told_and_waited_for(tmp_path, script)


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
    pod = pod_of(rendered("kubernetes"))
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] == 120
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    script = container["args"][0]
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0


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


@pytest.mark.parametrize("target", TEMPLATES)
def test_a_template_of_your_own_gets_the_same_values(target: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(f"# ü: mine\n{TEMPLATES[target].read_text()}# {{{{ seconds }}}} s\n")
    config = CONFIG.model_copy(update={"template": str(own)})
    assert rendered(target, config=config) == f"# ü: mine\n{rendered(target)}# 21600 s\n"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (None, "can't be read: "),
        (b"\xff{{command}}", "can't be read: "),
        (b"{{command}} {{comand}}", "got comand (did you mean `command`?)"),
        (
            b"{{command}} {{image}}",
            "expected command, folder, gpus, minutes, seconds, stop_seconds, ",
        ),
        (b"{command} {{when}}", "{{command}}, the study, is missing"),
    ],
)
def test_a_template_that_can_not_be_filled_is_refused_with_its_place(
    content: bytes | None, refusal: str, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(refusal)) as refused:
        rendered("cron", config=CONFIG.model_copy(update={"template": str(own)}))
    assert str(refused.value).startswith(f"schedule.template: {own}")


def test_the_templates_are_installed_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    globs = project["tool"]["setuptools"]["package-data"]["search.scheduling"]
    folder = ROOT / "search" / "scheduling"
    assert {file for glob in globs for file in folder.glob(glob)} == set(TEMPLATES.values())
