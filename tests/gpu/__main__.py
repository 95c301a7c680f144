"""Run docs/gpu.md on a real GPU, command after command, and say what was seen.

    make test-gpu
    python -m tests.gpu --seconds 480
    KERAS_BACKEND=jax python -m tests.gpu train.epochs=4

OVERRIDES go with each study. The backend is KERAS_BACKEND's, or else TensorFlow, or where that is not
installed JAX. Prints a table in Markdown. Exit code 0: all that this machine can show was as the page
says; 1: something wasn't, or the time ran out; 69: there is no GPU, or the backend sees none.
"""

import argparse
import os
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipeline.command.errors import UnavailableError
from search.machine.gpus import visible_gpus
from tests.gpu.checks import CHECKS, NEEDS
from tests.gpu.place import ROOT, Broken, Place, Ran, Skipped, sections

PAGE = ROOT / "docs" / "gpu.md"
SECONDS = 480.0
_LEAST = 20.0  # seconds without which no section is begun


def main(seconds: float, overrides: list[str]) -> int:
    """Run the page; the exit code."""
    until = time.monotonic() + seconds
    try:
        gpus = visible_gpus(required=True)
    except UnavailableError as error:
        print(f"test-gpu: {str(error).splitlines()[0]}", file=sys.stderr)
        return 69
    backend = os.environ.get("KERAS_BACKEND") or (
        "tensorflow" if find_spec("tensorflow") else "jax"
    )
    folder = Path(tempfile.mkdtemp(prefix="plumbline-gpu-"))
    place = Place(folder, gpus, backend, overrides, until)
    names = ", ".join(gpu.name for gpu in gpus)
    print(f"{names}; {backend} {version(backend)}, Keras {version('keras')}\n")
    print("| | seconds | |\n|---|---|---|", flush=True)
    counts = dict.fromkeys(("ok", "skipped", "broken", "left out"), 0)
    for heading, commands in sections(PAGE.read_text(encoding="utf-8")).items():
        if heading not in CHECKS:
            continue
        began = time.monotonic()
        ran: list[Ran] = []
        how, said = _seen(place, heading, commands, ran)
        if heading == "Install" and ran and ran[0].code == 69:
            print(f"test-gpu: {said}", file=sys.stderr)
            return 69
        counts[how] += 1
        words = said if how == "ok" else f"**{how}**: {said}"
        print(f"| {heading} | {time.monotonic() - began:.0f} | {words} |", flush=True)
    print("\n" + ", ".join(f"{count} {how}" for how, count in counts.items()))
    if counts["broken"] + counts["left out"]:
        print(f"What there is lies in {folder}.")
        return 1
    place.close()
    return 0


def _seen(place: Place, heading: str, commands: list[str], ran: list[Ran]) -> tuple[str, str]:
    """How a section went, and a line about it; `ran` takes what its commands did."""
    if place.left() < _LEAST:
        return "left out", "there was no time left"
    try:
        if heading in NEEDS:
            NEEDS[heading](place)
        for command in commands:
            ran.append(place.study(command))
        return "ok", _line(CHECKS[heading](place, ran))
    except Skipped as reason:
        return "skipped", _line(str(reason))
    except Broken as reason:
        return "broken", _line(str(reason))
    except Exception as error:  # noqa: BLE001  # the other sections are run all the same
        return "broken", _line(f"{type(error).__name__}: {error}")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    arguments = parser.parse_args()
    looking = ["launcher.trainer=tests.gpu.looking.trainer"]
    sys.exit(main(arguments.seconds, [*looking, *arguments.overrides]))
