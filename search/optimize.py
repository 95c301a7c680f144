"""Run a study, or go on with it, until it has its target number of trials.

python -m search.optimize +study=dropout
"""

import shlex
import sys
from pathlib import Path
from typing import Any


def main(values: dict[str, Any]) -> int:
    """Bring the study to its target, and where `study.finalists` says so on to its verdict.

    0: met or used up; 75: stopped before, the same command goes on.
    """
    # Only here: --help and a typo answer at once, and the worker processes, which import this module
    # again, stay light.
    from search.machine.template import begin_early

    begin_early(values)
    from search.setup.finalists import compare
    from search.setup.launch import launch

    command = shlex.join(["python", "-m", "search.optimize", *sys.argv[1:]])
    code = launch(values, command)
    return compare(values, command) if code == 0 and values["study"]["finalists"] else code


def _help(config_dir: Path) -> str:
    from pipeline.command.cli import listing

    return (
        f"studies (+study=NAME):\n{listing(config_dir, 'study')}\n\n"
        "exit codes: 0 target met or nothing left to try, 2 bad configuration, 69 data, a GPU or a service\n"
        "can't be had, 74 input/output, 75 stopped and resumable, 1 anything else"
    )


if __name__ == "__main__":
    from pipeline.command.cli import command

    description = "Run a study, or go on with it, until it has its target number of trials."
    sys.exit(command(sys.argv[1:], main, "search.optimize", description, _help))
