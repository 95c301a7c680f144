"""Print what makes a scheduler run a study; nothing is installed.

python -m search.schedule +study=full cron="0 2 * * *" target=systemd
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.cli import command, listing
from pipeline.compose import CONF
from pipeline.config import Section, validated
from pipeline.errors import ConfigError
from search.cron import check, to_kubernetes, to_systemd


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


def render(
    target: Target,
    fields: Sequence[str],
    config: ScheduleConfig,
    study: str,
    overrides: Sequence[str],
    python: str,
    folder: str,
) -> str:
    """The text for `target`. `fields`: five of cron; `overrides`: what the study is launched with."""
    words = [python, "-m", "search.optimize", *overrides, "study.lock=skip"]
    seconds = round(config.hours * 3600)
    # The study keeps to the limit by itself; the scheduler's own is the second line.
    words.append(f"study.max_seconds={max(1, seconds - 2 * config.grace_seconds)}")
    words.append(f"launcher.grace_seconds={config.grace_seconds}")
    if config.gpus:
        words.append("launcher.require_gpu=true")
    launch = shlex.join(words)
    cron = " ".join(fields)
    if target == "cron":
        kill = f"--kill-after={2 * config.grace_seconds}"
        # --foreground: SIGTERM goes to the study alone, not to its workers.
        limited = f"timeout --foreground --preserve-status --signal=TERM {kill} {seconds} {launch}"
        line = f"cd {shlex.quote(folder)} && {{ {limited} || [ $? -eq 75 ]; }} >> {study}.log 2>&1"
        return f"{cron} {line}".replace("%", r"\%") + "\n"
    if target == "systemd":
        return _systemd(fields, config, study, words, folder, seconds)
    if target == "slurm":
        return _slurm(cron, config, study, launch, folder, seconds)
    return _kubernetes(to_kubernetes(fields), config, study, launch, seconds)


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
    seconds: int,
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
RuntimeMaxSec={seconds}
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={2 * config.grace_seconds}

# ~/.config/systemd/user/plumbline-{study}.timer
# systemctl --user enable --now plumbline-{study}.timer; journalctl --user -u plumbline-{study}
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


def _slurm(
    cron: str, config: ScheduleConfig, study: str, launch: str, folder: str, seconds: int
) -> str:
    minutes = max(1, seconds // 60)
    gpus = f"#SBATCH --gpus={config.gpus}\n" if config.gpus else ""
    return f"""\
#!/bin/bash
# Save as plumbline-{study}.sh; then, in `scrontab -e`:
#   {cron} sbatch {folder}/plumbline-{study}.sh
#SBATCH --job-name=plumbline-{study}
#SBATCH --dependency=singleton
#SBATCH --time={minutes}
#SBATCH --signal=B:TERM@{2 * config.grace_seconds}
#SBATCH --output=plumbline-{study}-%j.log
{gpus}set -u
cd {shlex.quote(folder)} || exit 74
{_WRAPPER.format(command=launch)}"""


def _kubernetes(cron: str, config: ScheduleConfig, study: str, launch: str, seconds: int) -> str:
    name = "plumbline-" + re.sub(r"[^a-z0-9]+", "-", study.lower())
    name = name[:_KUBERNETES_NAME].rstrip("-")
    script = "".join(
        f"                {line}\n" for line in _WRAPPER.format(command=launch).splitlines()
    )
    gpus = f'\n                  nvidia.com/gpu: "{config.gpus}"' if config.gpus else " {}"
    return f"""\
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
      activeDeadlineSeconds: {seconds}
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
    config = validated(ScheduleConfig, values["schedule"], "schedule")
    mine = ("cron=", "target=", "schedule.")
    overrides = [word for word in sys.argv[1:] if not word.startswith(mine)]
    python, folder = sys.executable, str(Path.cwd())
    if values["target"] == "kubernetes":
        python = "python"
    name = label(setup.study.name, overrides)
    text = render(values["target"], fields, config, name, overrides, python, folder)
    print(text, end="")
    return 0


def _help(_: Path) -> str:
    return "target=cron|systemd|slurm|kubernetes; schedule.hours, schedule.gpus, schedule.image"


if __name__ == "__main__":
    description = "Print what makes a scheduler run a study; nothing is installed."
    sys.exit(command(sys.argv[1:], main, "search.schedule", description, _help))
