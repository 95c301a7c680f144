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
        commands = {file.stem: file for file in (_ROOT / room).glob("[!_]*.py")}
        if room == "search":  # a room may be a command; that of the data takes no settings
            commands |= {file.parent.name: file for file in (_ROOT / room).glob("*/__main__.py")}
        for name, file in sorted(commands.items()):
            said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            print(f"python -m {room}.{name}\n    {said.splitlines()[0]}")
    print("\nEach takes settings as KEY=VALUE, and --help.")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main, "search"))
