"""Say what a study will take before it starts: time, trials per hour, memory, disk, launches.

python -m search.forecast +study=full
"""

import sys
from pathlib import Path
from typing import Any

from pipeline.command.cli import command, listing
from pipeline.command.compose import conf_folder


def main(values: dict[str, Any]) -> int:
    """Print the forecast of what is left of the study. Returns 0."""
    from search.setup.forecast import foretold
    from search.setup.read import read

    setup = read(values, lambda: listing(conf_folder(), "study"))
    for line in foretold(setup, values):
        print(line)
    return 0


def _help(config_dir: Path) -> str:
    return (
        f"studies (+study=NAME):\n{listing(config_dir, 'study')}\n\n"
        "It measures a few runs of the study's space once, for up to half a minute, and keeps what they\n"
        "took in forecast.measured. Nothing else is created."
    )


if __name__ == "__main__":
    description = "Say what a study will take before it starts."
    sys.exit(command(sys.argv[1:], main, "search.forecast", description, _help))
