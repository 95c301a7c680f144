"""Print the data set that can be had here: `mnist`, or else `digits`.

python -m pipeline.data
"""

import sys

from pipeline.command.cli import guarded
from pipeline.command.errors import UnavailableError
from pipeline.data.source import load
from pipeline.run.config import DataConfig


def main() -> int:
    """Print the name for a script, and the place or the reason for people; 0."""
    try:
        found = load(DataConfig(name="mnist", path=None, scale=True))
    except UnavailableError as error:
        print(f"{error}\nUsing the bundled digits instead.", file=sys.stderr)
        print("digits")
    else:
        print(f"Using MNIST, found at {found.source}.", file=sys.stderr)
        print("mnist")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main, "pipeline.data"))
