"""Compare samplers, pruners and engines in seconds: simulated studies, on networks that were trained once.

python -m search.simulate +study=full
"""

import sys
from pathlib import Path
from typing import Any

from pipeline.command.cli import command, listing


def main(values: dict[str, Any]) -> int:
    """Print the table and write the picture. Returns 0."""
    import numpy as np
    from rich.console import Console

    from search.plots import gallery, png
    from search.simulate import words
    from search.simulate.compare import best_of, ranks
    from search.simulate.methods import ground, played
    from search.simulate.picture import plot
    from search.trial_table.storage import check_writable

    typed: tuple[str, ...] = getattr(values, "typed", ())
    found = ground(typed, values)
    file = Path(found.config.path)
    check_writable(file.parent)
    screen = Console(highlight=False, markup=False)
    for line in words.head(found):
        screen.print(line)
    methods = []
    for method in played(found, typed):
        methods.append(method)
        print(f"{len(methods)} of {len(found.config.methods)}: {method.name}", file=sys.stderr)
    best = best_of(methods, found.best, found.setup.run.objective.maximizes)
    ranked = ranks(np.array([method.regret(best, found.seconds) for method in methods]))
    screen.print(words.table(found, methods, best, ranked))
    for line in words.tail(found, methods, ranked):
        screen.print(line)
    gallery.save(png.draw(plot(found, methods, best)), file)
    screen.print(f"{file}: the same as a picture")
    return 0


def _help(config_dir: Path) -> str:
    return (
        f"studies (+study=NAME):\n{listing(config_dir, 'study')}\n\n"
        "simulate.methods: the words that choose each method; simulate.record: a finished study in\n"
        "place of the networks on MNIST that come with the project. Nothing is trained, no study is\n"
        "created.\n"
        "exit codes: 0 compared, 2 bad configuration, 74 input/output, 1 anything else"
    )


if __name__ == "__main__":
    description = "Compare samplers, pruners and engines in simulated studies."
    sys.exit(command(sys.argv[1:], main, "search.simulate", description, _help))
