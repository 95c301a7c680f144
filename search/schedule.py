"""Print what makes a scheduler run a study; nothing is installed.

python -m search.schedule +study=full cron="0 2 * * *" target=systemd
"""

import math
import os
import re
import sys
from pathlib import Path
from typing import Any

from pipeline.command import public
from pipeline.command.cli import command, listing
from pipeline.command.compose import conf_folder
from pipeline.command.errors import ConfigError
from pipeline.command.overrides import key
from pipeline.command.section import as_override, validated
from pipeline.run.config import RunConfig
from pipeline.run.custom import CustomConfig, source_of
from search.scheduling.cron import check
from search.scheduling.request import ScheduleConfig, label, launch
from search.scheduling.targets import TEMPLATES, render

_VARIABLES = {"KERAS_BACKEND": "tensorflow", "MLFLOW_TRACKING_URI": "", "RAY_ADDRESS": ""}
"""Variables that decide what a study does, and where, each with what it is unless it is set."""


def main(values: dict[str, Any]) -> int:
    """Check study and schedule, and print the text."""
    from search.setup.forecast import told_to_schedule
    from search.setup.read import read

    setup = read(values, lambda: listing(conf_folder(), "study"))
    setup.check_oracle()
    source_of(setup.run.model)  # it is there
    if values["cron"] is None:
        raise ConfigError("cron: is missing, for example cron='0 2 * * *' (every night at two)")
    fields = check(str(values["cron"]))
    target = values["target"]
    if not isinstance(target, str) or target not in TEMPLATES:
        raise ConfigError(f"target: expected one of {', '.join(TEMPLATES)}, got {target}")
    mine = ("cron=", "target=", "schedule.")
    overrides = [word for word in sys.argv[1:] if not word.lstrip("+").startswith(mine)]
    section = dict(values["schedule"])
    if "launcher.grace_seconds" in map(key, overrides):
        section["grace_seconds"] = max(1, math.ceil(setup.launcher.grace_seconds))
    config = validated(ScheduleConfig, section, "schedule")
    python = "python" if target == "kubernetes" else sys.executable
    name = label(setup.study.name, overrides)
    overrides += _where_the_data_lie(setup.run, target)
    words = launch(overrides, setup.study, config)
    text = render(target, fields, config, name, words, python, str(Path.cwd()))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")  # as all targets read it, whatever the terminal
    print(text, end="")
    seconds = setup.study.max_seconds or config.study_seconds
    if not config.gpus and (told := told_to_schedule(setup, seconds)):
        print(told, file=sys.stderr)
    if private := [key(word) for word in overrides if public.is_private(word)]:
        variable = re.sub(r"\W", "_", private[0]).upper()
        print(
            f"warning: {', '.join(private)} may hold a secret, and stands in this text: keep that to "
            f"yourself, or have it read from a variable of the scheduler's, {private[0]}="
            f"'${{oc.env:{variable}}}'",
            file=sys.stderr,
        )
    return 0


def _where_the_data_lie(run: RunConfig, target: str) -> list[str]:
    """What a job must be told of its data, as it has not this shell's variables.

    Said on stderr is what only people can see to: variables that decide, and what is in a container.
    """
    decisive = _VARIABLES | ({"PYTHONPATH": ""} if isinstance(run.model, CustomConfig) else {})
    if lacking := [n for n, usual in decisive.items() if os.environ.get(n, "") not in ("", usual)]:
        print(
            f"warning: {', '.join(lacking)}: set here, and the job may not have it (set it there, too)",
            file=sys.stderr,
        )
    data, variable = run.data, os.environ.get("MNIST_PATH")
    if target == "kubernetes" and data.name != "digits":
        where = "must be its path there" if data.path else "names it there"
        print(
            "warning: the container needs the data, in its image or in its volume /work: "
            f"data.path=... {where}",
            file=sys.stderr,
        )
        return []
    if data.name != "mnist" or data.path is not None or not variable:
        return []
    return [f"data.path={as_override(str(Path(variable).absolute()))}"]


def _help(_: Path) -> str:
    return (
        "cron=EXPRESSION: five fields, with names (MON-FRI) if you like, or @daily and its like;\n"
        "target=cron|systemd|slurm|kubernetes; schedule.hours, schedule.grace_seconds, schedule.gpus,\n"
        "schedule.image; the rest is the study's. study.lock=skip, study.max_seconds,\n"
        "launcher.grace_seconds and launcher.require_gpu are added where you give none of your own;\n"
        "your launcher.grace_seconds is schedule.grace_seconds too.\n"
        "schedule.template=FILE fills a file of your own in place of the target's:\n"
        + "\n".join(f"  {target:<12} {template}" for target, template in TEMPLATES.items())
    )


if __name__ == "__main__":
    description = "Print what makes a scheduler run a study; nothing is installed."
    sys.exit(command(sys.argv[1:], main, "search.schedule", description, _help))
