"""Run the published networks of conf/experiment and compare with what their sources report.

python -m search.replicate
python -m search.replicate replicate.long=true
"""

import shlex
import sys
from pathlib import Path
from typing import Any

from pipeline.command.cli import command

# What is slow to import is imported where it is used: --help and a typo answer at once, and the
# worker processes, which import this module again, stay light.


def main(values: dict[str, Any]) -> int:
    """Measure the published networks; 0, or 1 where one failed, or 75: the same command goes on."""
    from search.replication.measure import measure

    return measure(values, shlex.join(["python", "-m", "search.replicate", *sys.argv[1:]]))


def _help(_: Path) -> str:
    from search.replication.networks import FOREST, experiments

    names = "\n".join(f"  {name}" for name in [*experiments(), FOREST])
    return (
        "replicate.long=true also runs the networks of 200 epochs and more, with one seed;\n"
        "replicate.fresh=true trains again what is on record;\n"
        f"replicate.only=[NAME,...] runs just these, of\n{names}\n\n"
        "exit codes: 0 all measured, 2 bad configuration, 69 data or a GPU can't be had, 74 input/output,\n"
        "75 stopped (the same command goes on), 1 a network failed, or anything else"
    )


if __name__ == "__main__":
    description = "Run the published networks and compare."
    sys.exit(command(sys.argv[1:], main, "search.replicate", description, _help))
