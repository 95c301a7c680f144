"""Compare a study's best configurations, and the one it started from, over fresh seeds: is the winner one?

python -m search.finalists study.name=dropout
python -m search.finalists study.name=dropout finalists.top=10 finalists.max_seeds=25
"""

import shlex
import sys
from pathlib import Path
from typing import Any


def main(values: dict[str, Any]) -> int:
    """Bring the comparison to its verdict; 0, or 75: it was stopped, and the same command goes on."""
    # Only here: --help and a typo answer at once, and the worker processes, which import this module
    # again, stay light.
    from search.machine.template import begin_early

    begin_early(values)
    from search.setup.finalists import compare

    return compare(values, shlex.join(["python", "-m", "search.finalists", *sys.argv[1:]]))


def _help(_: Path) -> str:
    return (
        "Takes the same storage.url, tracking.uri and launcher as the study. finalists.top: how many of its\n"
        "best configurations; finalists.seeds and max_seeds: over how many seeds (docs/verdict.md).\n"
        "What is on record is not trained again: more seeds or a larger top go on from there.\n\n"
        "exit codes: 0 the verdict stands, 2 bad configuration or no such study, 69 data, a GPU or a\n"
        "service can't be had, 74 input/output, 75 stopped and resumable, 1 no answer, or anything else"
    )


if __name__ == "__main__":
    from pipeline.command.cli import command

    description = "Compare a study's best configurations over fresh seeds."
    sys.exit(command(sys.argv[1:], main, "search.finalists", description, _help))
