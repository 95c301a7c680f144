"""What of a configuration may be told to the world: by a list of what is public, not by a pattern of secrets.

Public are the settings that decide numbers. Commands and addresses, which may hold a secret anywhere, are
not: `***` stands for them.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from pipeline.command.compose import from_yaml, to_yaml
from pipeline.command.overrides import key
from pipeline.command.redact import redact

HIDDEN = "***"

_TREES = ("model", "train", "objective", "study.space", "study.points")
"""Below them all texts are public: they are checked, and mean nothing but numbers."""

_TEXTS = {
    *("data.name", "engine.name", "launcher.name", "tracking.name", "launcher.trainer"),
    *(
        "study.name",
        "study.question",
        "study.lock",
        "study.order",
        "study.retry",
        "study.warm_start",
    ),
    *("sampler._target_", "pruner._target_", "oracle._target_", "sampler.qmc_type"),
    *("export.formats", "forest.max_features", "replicate.only"),
}
"""Other settings whose texts are public. Numbers, true, false and null are so everywhere."""

_DATA = "data.path"  # of a path the file's name, which tells people what it is

_GROUPS = {
    *("study", "experiment", "data", "model", "train", "engine", "sampler", "pruner", "oracle"),
    *("launcher", "tracking", "export"),
}
_OPTION = re.compile(r"[\w-]+")
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?|true|false|null", re.IGNORECASE)
_COMMAND = 3  # words: python -m search.optimize
_ADDRESS = re.compile(r"(\w[\w+.-]*://)[^\s'\"()]+")


@lru_cache(maxsize=2)  # a study tells of it with each trial, and to read it takes 0.02 s
def config(text: str) -> str:
    """A configuration, as YAML, with `***` in place of texts that are not public."""
    return to_yaml({name: part(name, value) for name, value in from_yaml(text).items()})


def part(path: str, value: Any) -> Any:
    """What of the configuration lies below `path`, the same way."""
    if isinstance(value, Mapping):
        return {name: part(f"{path}.{name}", each) for name, each in value.items()}
    if not isinstance(value, str):
        if isinstance(value, Sequence):
            return [part(path, each) for each in value]
        return value
    if path == _DATA:
        return file_name(value)
    return redact(value) if _is_public(path) else HIDDEN


def error(text: str) -> str:
    """The words of an error, without passwords, and without what follows the scheme of a URL."""
    return _ADDRESS.sub(rf"\1{HIDDEN}", redact(text))


def command(text: str) -> str:
    """The words of a shell's command, `python -m MODULE` and what was typed, the same way."""
    words = shlex.split(text)
    shown = list(map(word, words))
    shown[:_COMMAND] = words[:_COMMAND]
    for place in range(_COMMAND, len(words)):
        if words[place - 1] == "--config-dir":
            shown[place] = HIDDEN
    return shlex.join(shown)


def word(typed: str) -> str:
    """One word that was typed, `KEY=VALUE`."""
    name, equals, value = typed.partition("=")
    path = key(typed)
    if not equals:
        return typed if typed[:1] in "~-" else HIDDEN
    if path == _DATA or (path in _GROUPS and value.endswith(".yaml")):
        return f"{name}={file_name(value)}"
    plain = (path in _GROUPS and _OPTION.fullmatch(value)) or _NUMBER.fullmatch(value)
    return redact(typed) if plain or _is_public(path) else f"{name}={HIDDEN}"


def is_private(typed: str) -> bool:
    """Whether a word that was typed is a command, or an address with a password in it."""
    return word(typed) != typed and (key(typed) == "study.on_end" or redact(typed) != typed)


def file_name(path: str) -> str:
    """Of a path, the name of the file."""
    return PurePath(path).name


def parameter(name: str, text: str) -> str:
    """A run's parameter."""
    return file_name(text) if name == _DATA else text


def _is_public(path: str) -> bool:
    return path in _TEXTS or any(path == tree or path.startswith(f"{tree}.") for tree in _TREES)
