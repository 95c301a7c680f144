"""Print what makes a scheduler run a study; nothing is installed.

python -m search.schedule +study=full cron="0 2 * * *" target=systemd
"""

import math
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.cli import command, listing
from pipeline.compose import CONF
from pipeline.config import Section, validated
from pipeline.errors import ConfigError
from search.cron import check, to_kubernetes, to_systemd
from search.study import StudyConfig


class ScheduleConfig(Section):
    """How a scheduler runs a study.

    `hours`: time limit of a launch; the study is told `grace_seconds` before to end, and the next
    launch goes on. `gpus`: how many to ask for; with one or more the study never runs on the CPU.
    `image`: container with this project, for Kubernetes.
    """

    hours: Annotated[float, Field(gt=0)]
    grace_seconds: Annotated[int, Field(ge=1)]
    gpus: Annotated[int, Field(ge=0)]
    image: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _leaves_time_to_train(self) -> "ScheduleConfig":
        if self.study_seconds <= 0:
            raise ValueError(
                f"schedule.hours: expected more than {2 * self.grace_seconds} s, twice the grace, in "
                f"which a launch ends, got {self.hours:g} ({self.seconds} s) (raise it, or lower "
                "schedule.grace_seconds)"
            )
        return self

    @property
    def seconds(self) -> int:
        """After them the scheduler ends a launch."""
        return round(self.hours * 3600)

    @property
    def study_seconds(self) -> int:
        """What is left of them for the study to train in."""
        return self.seconds - 2 * self.grace_seconds


_KUBERNETES_NAME = 52  # characters of a CronJob's name: its jobs add eleven

Target = Literal["cron", "systemd", "slurm", "kubernetes"]

# A shell that passes SIGTERM on and takes exit code 75, stopped but resumable, as no error.
_WRAPPER = """\
{command} &
child=$!
trap 'kill -TERM "$child"' TERM
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do code=0; wait "$child" || code=$?; done
if [ "$code" -eq 75 ]; then code=0; fi
exit "$code"
"""


def launch(overrides: Sequence[str], study: StudyConfig, config: ScheduleConfig) -> list[str]:
    """What the study is launched with: `overrides`, and what a scheduler needs that they don't say.

    `study`: as they compose it. Raises ConfigError where its own time does not fit the scheduler's.
    """
    given = _keys(overrides)
    if study.lock != "fail":
        given.add("study.lock")
    if study.max_seconds is not None:
        given.add("study.max_seconds")
        if study.max_seconds > config.study_seconds:
            raise ConfigError(
                f"study.max_seconds: expected at most {config.study_seconds} (schedule.hours="
                f"{config.hours:g} less twice the grace of {config.grace_seconds} s), got "
                f"{study.max_seconds:g} (raise schedule.hours, or leave study.max_seconds out)"
            )
    # The study keeps to the limit by itself; the scheduler's own is the second line.
    needed = {
        "study.lock": "skip",
        "study.max_seconds": config.study_seconds,
        "launcher.grace_seconds": config.grace_seconds,
    }
    if config.gpus:
        needed["launcher.require_gpu"] = "true"
    return [*overrides, *(f"{key}={value}" for key, value in needed.items() if key not in given)]


def _keys(overrides: Sequence[str]) -> set[str]:
    return {word.lstrip("+").partition("=")[0] for word in overrides}


def render(
    target: Target,
    fields: Sequence[str],
    config: ScheduleConfig,
    study: str,
    overrides: Sequence[str],
    python: str,
    folder: str,
) -> str:
    """The text for `target`. `fields`: five of cron; `overrides`: what `launch` gave."""
    words = [python, "-m", "search.optimize", *overrides]
    command = shlex.join(words)
    cron = " ".join(fields)
    if target == "cron":
        kill = f"--kill-after={2 * config.grace_seconds}"
        # --foreground: SIGTERM goes to the study alone, not to its workers.
        limited = f"timeout --foreground --preserve-status --signal=TERM {kill} {config.seconds} {command}"
        line = f"cd {shlex.quote(folder)} && {{ {limited} || [ $? -eq 75 ]; }} >> {study}.log 2>&1"
        return f"{cron} {line}".replace("%", r"\%") + "\n"
    if target == "systemd":
        return _systemd(fields, config, study, words, folder)
    if target == "slurm":
        return _slurm(cron, config, study, command, folder)
    return _kubernetes(to_kubernetes(fields), config, study, command)


def label(study: str, overrides: Sequence[str]) -> str:
    """What units and jobs are called: the name of the study, without the date of today if it has one."""
    written = [word.partition("=")[2] for word in overrides if word.startswith("study.name=")]
    if not written or "${" not in written[-1]:
        return study
    plain = re.sub(r"\$\{.*?\}", "", written[-1].strip("'\""))
    return re.sub(r"([._-])[._-]+", r"\1", plain).strip("._-") or "study"


def _systemd(
    fields: Sequence[str],
    config: ScheduleConfig,
    study: str,
    words: Sequence[str],
    folder: str,
) -> str:
    quoted = " ".join(map(_systemd_word, words))
    return f"""\
# ~/.config/systemd/user/plumbline-{study}.service
# A timer does not start a service that is still running, so launches never overlap.
[Unit]
Description=Plumbline study {study}

[Service]
Type=exec
WorkingDirectory={folder.replace("%", "%%")}
ExecStart={quoted}
SuccessExitStatus=75
RuntimeMaxSec={config.seconds}
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={2 * config.grace_seconds}

# ~/.config/systemd/user/plumbline-{study}.timer
# systemctl --user enable --now plumbline-{study}.timer; journalctl --user -u plumbline-{study}
# loginctl enable-linger: without it nothing runs while you are logged out.
[Unit]
Description=Plumbline study {study}

[Timer]
OnCalendar={to_systemd(fields)}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _systemd_word(word: str) -> str:
    r"""`word` in quotes; `\`, `"`, `%` and `$` mean themselves."""
    for special, plain in (("\\", r"\\"), ('"', r"\""), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, plain)
    return f'"{word}"'


def _slurm(cron: str, config: ScheduleConfig, study: str, command: str, folder: str) -> str:
    minutes = math.ceil(config.seconds / 60)  # SIGTERM must not come before study.max_seconds
    gpus = f"#SBATCH --gpus={config.gpus}\n" if config.gpus else ""
    script = shlex.quote(f"{folder}/plumbline-{study}.sh")
    log = shlex.quote(f"{folder.replace('%', '%%')}/plumbline-{study}-%j.log")
    return f"""\
#!/bin/bash
# Save as {script}; then, in `scrontab -e`:
#   {cron} sbatch {script}
#SBATCH --job-name=plumbline-{study}
#SBATCH --dependency=singleton
#SBATCH --nodes=1
#SBATCH --time={minutes}
#SBATCH --signal=B:TERM@{2 * config.grace_seconds}
#SBATCH --output={log}
{gpus}set -u
cd {shlex.quote(folder)} || exit 74
{_WRAPPER.format(command=command)}"""


def _kubernetes(cron: str, config: ScheduleConfig, study: str, command: str) -> str:
    name = "plumbline-" + re.sub(r"[^a-z0-9]+", "-", study.lower())
    name = name[:_KUBERNETES_NAME].rstrip("-")
    command = re.sub(r"\$(?=[$(])", "$$", command)  # $$ and $( are Kubernetes's before the shell's
    script = "".join(
        f"                {line}\n" for line in _WRAPPER.format(command=command).splitlines()
    )
    gpus = f'\n                  nvidia.com/gpu: "{config.gpus}"' if config.gpus else " {}"
    return f"""\
# Save as {name}.yaml; then: kubectl apply -f {name}.yaml; kubectl get jobs; kubectl logs job/NAME
# The claim {name} is yours to make: it keeps mlruns/ and mlflow.db from launch to launch.
# The times are those of the cluster's clock, often UTC; spec.timeZone says otherwise.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
spec:
  schedule: "{cron}"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 3
      activeDeadlineSeconds: {config.seconds}
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: {2 * config.grace_seconds}
          containers:
            - name: study
              image: {config.image}
              workingDir: /work
              command: ["/bin/sh", "-c"]
              args:
              - |
{script}              resources:
                limits:{gpus}
              volumeMounts:
                - {{name: work, mountPath: /work}}
          volumes:
            - name: work
              persistentVolumeClaim: {{claimName: {name}}}
"""


def main(values: dict[str, Any]) -> int:
    """Check study and schedule, and print the text."""
    from search.config import read

    setup = read(values, lambda: listing(CONF, "study"))
    setup.check_oracle()
    if values["cron"] is None:
        raise ConfigError("cron: is missing, for example cron='0 2 * * *' (every night at two)")
    fields = check(str(values["cron"]))
    targets = ("cron", "systemd", "slurm", "kubernetes")
    if values["target"] not in targets:
        raise ConfigError(f"target: expected one of {', '.join(targets)}, got {values['target']}")
    mine = ("cron=", "target=", "schedule.")
    overrides = [word for word in sys.argv[1:] if not word.startswith(mine)]
    section = dict(values["schedule"])
    if "launcher.grace_seconds" in _keys(overrides):
        section["grace_seconds"] = max(1, math.ceil(setup.launcher.grace_seconds))
    config = validated(ScheduleConfig, section, "schedule")
    python, folder = sys.executable, str(Path.cwd())
    if values["target"] == "kubernetes":
        python = "python"
    name = label(setup.study.name, overrides)
    words = launch(overrides, setup.study, config)
    text = render(values["target"], fields, config, name, words, python, folder)
    print(text, end="")
    return 0


def _help(_: Path) -> str:
    return (
        "target=cron|systemd|slurm|kubernetes; schedule.hours, schedule.grace_seconds, schedule.gpus,\n"
        "schedule.image; the rest is the study's. study.lock=skip, study.max_seconds,\n"
        "launcher.grace_seconds and launcher.require_gpu are added where you give none of your own;\n"
        "your launcher.grace_seconds is schedule.grace_seconds too"
    )


if __name__ == "__main__":
    description = "Print what makes a scheduler run a study; nothing is installed."
    sys.exit(command(sys.argv[1:], main, "search.schedule", description, _help))
