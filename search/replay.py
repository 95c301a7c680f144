"""Train recorded runs again, compare them to the last bit, and certify what came of it.

python -m search.replay study.name=dropout trial=16
python -m search.replay study.name=dropout trial=[3,7]
python -m search.replay study.name=dropout trial=all suggestions=true
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(values: dict[str, Any]) -> int:
    """Replay the runs that were asked for; 0 where all are identical, 1 where one differs."""
    # Only here: --help and a typo answer at once, and the worker processes, which import this module
    # again, stay light.
    from search.setup.replay import replay

    return replay(values)


def spelled_out(overrides: Sequence[str]) -> list[str]:
    """`overrides` with `trial=` and `suggestions=` by their full names."""
    short = ("trial=", "suggestions=")
    return [f"replay.{text}" if text.startswith(short) else text for text in overrides]


def _help(_: Path) -> str:
    return (
        "trial: a number, a list of them, best, all, none, or finalists: the runs of search.finalists\n"
        "suggestions=true: ask the engine again as well, which trains nothing (study.order=fixed)\n"
        "replay.path: where the certificates go, replay.json; MLflow gets them too, with the tag replay\n"
        "Takes the same storage.url, tracking.uri and launcher as the study. A run gets as many threads\n"
        "as it had, and its backend; what else has changed is said before it is trained (docs/replay.md).\n\n"
        "exit codes: 0 all identical, 1 a run differs, or anything else, 2 bad configuration or no such\n"
        "run, 69 data, a GPU or a service can't be had, 74 input/output, 75 stopped"
    )


if __name__ == "__main__":
    from pipeline.command.cli import command

    description = "Train recorded runs again, and compare them to the last bit."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "search.replay", description, _help))
