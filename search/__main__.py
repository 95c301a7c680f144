"""List the commands, with a line each.

python -m search
"""

import ast
import sys
from pathlib import Path

from pipeline.command.cli import guarded

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print what can be typed. Nothing is imported for it: a command says what it does in its first line."""
    for room in ("search", "pipeline"):
        for file in sorted((_ROOT / room).glob("[!_]*.py")):
            said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            print(f"python -m {room}.{file.stem}\n    {said.splitlines()[0]}")
    print("\nEach takes settings as KEY=VALUE, and --help.")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main, "search"))
