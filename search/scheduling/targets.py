"""The text that makes a scheduler run a study: a template, filled with quoted values."""

import json
import math
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.command.errors import ConfigError
from pipeline.command.section import did_you_mean
from search.scheduling.cron import to_crontab, to_systemd
from search.scheduling.request import ScheduleConfig

_FOLDER = Path(__file__).parent / "templates"
TEMPLATES = {
    "cron": _FOLDER / "cron.crontab",
    "systemd": _FOLDER / "systemd.units",
    "slurm": _FOLDER / "slurm.sh",
    "kubernetes": _FOLDER / "kubernetes.yaml",
}
"""What can run a study, and the file that is filled for it."""

_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")
_KUBERNETES_NAME = 52  # characters of a CronJob's name: its jobs add eleven


def render(
    target: str,
    fields: Sequence[str],
    config: ScheduleConfig,
    study: str,
    overrides: Sequence[str],
    python: str,
    folder: str,
) -> str:
    """The text for `target`: its template, or the one of `config`, with every value in its place.

    `fields`: five of cron, as `check` gives them; `study`: letters, digits, '.', '_' and '-';
    `overrides`: what `launch` gave. Raises ConfigError on a value that the target can't hold, and on a
    template that can't be read or filled.
    """
    for word in overrides:
        _check_one_line(word.partition("=")[0] if "=" in word else "an argument", word)
    _check_one_line("the path of Python", python)
    _check_one_line("the working folder", folder)
    values = {
        "when": to_systemd(fields) if target == "systemd" else to_crontab(fields),
        "study": study,
        "seconds": str(config.seconds),
        "minutes": str(math.ceil(config.seconds / 60)),  # never before study.max_seconds
        "stop_seconds": str(2 * config.grace_seconds),
        "gpus": str(config.gpus or ""),
    }
    words = [python, "-m", "search.optimize", *overrides]
    if target == "cron":
        values["command"] = " ".join(map(_crontab_word, words))
        values["folder"] = _crontab_word(folder)
    elif target == "systemd":
        if any(special in python for special in "\"'\\"):
            raise ConfigError(
                "the path of Python: systemd starts no program with a quote or a \\ in its path, "
                f"got {python}"
            )
        program, *arguments = map(_systemd_word, words)
        # Variables are looked for in what follows the program.
        values["command"] = " ".join([program, *(word.replace("$", "$$") for word in arguments)])
        # It is read to the end of the line, without quotes: a \\ there would go on in the next one.
        values["folder"] = folder.replace("%", "%%") + ("/" if folder.endswith((" ", "\\")) else "")
    elif target == "slurm":
        values["command"] = shlex.join(words)
        values["folder"] = shlex.quote(folder)
        if "\\" in folder:
            raise ConfigError(
                rf"the working folder: SLURM takes no \ in a log's path, got {folder}"
            )
        values["log_folder"] = shlex.quote(folder.replace("%", "%%"))
    else:
        # $$ and $( are Kubernetes's before the shell's.
        values["command"] = re.sub(r"\$(?=[$(])", "$$", shlex.join(words))
        values["image"] = json.dumps(config.image)
        name = "plumbline-" + re.sub(r"[^a-z0-9]+", "-", study.lower())
        values["name"] = name[:_KUBERNETES_NAME].rstrip("-")
    return _filled(Path(config.template or TEMPLATES[target]), values)


def _check_one_line(place: str, value: str) -> None:
    """Raise ConfigError where `value` would end a line, or can't be written at all."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ConfigError(
            f"{place}: expected UTF-8 without line breaks and other control characters, got {value!r} "
            "(take them out; a study's own file may hold such a value)"
        )


def _crontab_word(word: str) -> str:
    """`word` for a shell that cron starts: cron takes a bare % for a line break.

    The backslash stands outside of quotes: some crons take it away, some leave it to the shell.
    """
    quoted = shlex.quote(word)
    return quoted.replace("%", r"'\%'" if quoted.startswith("'") else r"\%")


def _systemd_word(word: str) -> str:
    r"""`word` in quotes; `\`, `"` and `%` mean themselves."""
    for special, plain in (("\\", r"\\"), ('"', r"\""), ("%", "%%")):
        word = word.replace(special, plain)
    return f'"{word}"'


def _filled(template: Path, values: Mapping[str, str]) -> str:
    """The text of `template` with `values` for {{their names}}; a line with an empty one is left out."""
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"schedule.template: {template} can't be read: {error}") from None
    names = set(_PLACEHOLDER.findall(text))
    if wrong := sorted(names - set(values)):
        raise ConfigError(
            f"schedule.template: {template}: expected {', '.join(sorted(values))} between {{{{ and "
            f"}}}}, got {wrong[0]}" + did_you_mean(wrong[0], values)
        )
    if "command" not in names:
        raise ConfigError(f"schedule.template: {template}: {{{{command}}}}, the study, is missing")
    return "".join(
        _PLACEHOLDER.sub(lambda match: values[match[1]], line)
        for line in text.splitlines(keepends=True)
        if all(values[name] for name in _PLACEHOLDER.findall(line))
    )
