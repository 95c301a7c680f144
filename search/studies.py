"""The studies in a storage, one a line: whether they run, how far they are, what they found.

python -m search.studies
python -m search.studies show dropout
python -m search.studies watch dropout
python -m search.studies stop dropout now=true
python -m search.studies retry dropout
python -m search.studies rename dropout first_try
python -m search.studies delete dropout tracking=true
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.command.cli import command


def main(values: dict[str, Any]) -> int:
    """Do with the studies what was asked; the exit code, which for `watch` is that of what was watched."""
    from search.steering.asked import read

    return read(values).do()


def spelled_out(words: Sequence[str]) -> list[str]:
    """`words` as overrides: bare ones are what to do, with which study, and its new name."""
    from pipeline.command.section import as_override

    bare = iter(("studies.do", "study.name", "studies.to"))
    found = []
    for place, word in enumerate(words):
        is_bare = (
            "=" not in word and word[:1] != "-" and words[place - 1 : place] != ["--config-dir"]
        )
        if word.startswith(("to=", "now=", "yes=")) or word in (
            "tracking=true",
            "tracking=false",
        ):
            found.append(f"studies.{word}")
        elif is_bare and (path := next(bare, None)) is not None:
            found.append(f"{path}={as_override(word)}")
        else:
            found.append(word)
    return found


def _help(_: Path) -> str:
    return (
        "(nothing)         every study: state, trials done and wanted, best value, when it was active\n"
        "show NAME         how it stands: what runs now, how long the rest takes, leaderboard, answer\n"
        "watch NAME        the same, live, until no launch is under way; it ends with its exit code\n"
        "stop NAME         the launch that runs finishes its running trials; now=true: it stops at once\n"
        "retry NAME        the next launch runs the trials that failed again\n"
        "rename NAME NEW   in the trial table, its weights' folder, and MLflow\n"
        "delete NAME       trials and weights; tracking=true: its runs in MLflow too; yes=true: unasked\n\n"
        "Takes the same storage.url, storage.weights and tracking.uri as the studies (docs/studies.md).\n\n"
        "exit codes: 0 done (also where nothing runs that could be stopped), 1 you said no, 2 bad\n"
        "configuration or no such study, 69 a server can't be reached or a launch does not answer,\n"
        "74 input/output, 75 a launch runs that must end first"
    )


if __name__ == "__main__":
    description = "List the studies of a storage; show, watch, stop, retry, rename or delete one."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "search.studies", description, _help))
