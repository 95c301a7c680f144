"""A network of one's own: which function makes it, from which settings, and in which source that stands.

Nothing is imported here: a module that makes a network imports Keras, which takes seconds.
"""

import ast
import hashlib
import importlib
import math
import re
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from typing import Any

from pydantic import field_validator

from pipeline.command.errors import ConfigError
from pipeline.command.section import Section, as_override, did_you_mean

SETTINGS = "model.settings"
"""Below it stand the settings of a network of one's own, by override path."""

SOURCE = "code.network"
"""The name of the source's SHA-256 in the record of a run."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_BUILD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_EXAMPLE = "model.build=package.module:function"


class CustomConfig(Section):
    """A network that a function of one's own makes.

    `build`: `package.module:function`; it is called with `settings`, the shape of a row and the number
    of classes, and returns a keras.Model. `settings`: a tree of numbers, texts, true, false and null, and
    lists of them.
    """

    build: str
    settings: Mapping[str, Any]

    @field_validator("build", mode="before")
    @classmethod
    def _names_a_function(cls, build: object) -> object:
        if build is None:
            raise ValueError(f"model.build: is missing ({_EXAMPLE})")
        if not isinstance(build, str) or not _BUILD.fullmatch(build):
            raise ValueError(
                f"model.build: expected a module and its function, {_EXAMPLE.partition('=')[2]}, got "
                f"{as_override(build)}"
            )
        return build

    @field_validator("settings", mode="before")
    @classmethod
    def _is_a_tree(cls, settings: object) -> object:
        if not isinstance(settings, Mapping):
            raise ValueError(
                f"{SETTINGS}: expected settings below it ({SETTINGS}.NAME=...), got {as_override(settings)}"
            )
        return _plain(settings, SETTINGS)

    @property
    def module(self) -> str:
        return self.build.partition(":")[0]

    @property
    def function(self) -> str:
        return self.build.partition(":")[2]


def _plain(value: Any, place: str) -> Any:
    """`value` with lists for tuples. Raises ValueError where something in it is no plain value."""
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(
                    f"{place}: expected names of letters, digits and _, got {as_override(name)}"
                )
        return {name: _plain(each, f"{place}.{name}") for name, each in value.items()}
    if isinstance(value, list | tuple):
        if any(isinstance(each, Mapping) for each in value):
            raise ValueError(f"{place}: expected a list of plain values, got a tree in it")
        return [_plain(each, place) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place}: expected a finite number, got {value}")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"{place}: expected a number, a text, true, false or null, got {type(value).__name__}"
        )
    return value


def source_of(model: object) -> dict[str, str]:
    """The SHA-256 of the source that makes the network `model`, by name, for a record.

    Empty for a network of the house. Raises ConfigError where there is no such module or function, as
    far as that can be told without importing it.
    """
    if not isinstance(model, CustomConfig):
        return {}
    text = _source(model.module)
    _check_is_defined(model, text)
    return {SOURCE: hashlib.sha256(text).hexdigest()}


def _source(module: str) -> bytes:
    spec = _spec(module)
    get_data = getattr(spec.loader, "get_data", None)
    if spec.origin is None or get_data is None or not spec.origin.endswith(".py"):
        raise ConfigError(f"model.build: {module} is no Python file ({_EXAMPLE})")
    data: bytes = get_data(spec.origin)
    return data


def _spec(module: str) -> ModuleSpec:
    """Where `module` lies. The packages around it are not imported: they may bring Keras."""
    importlib.invalidate_caches()  # the file may be a second old
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # a module that was made by hand
        spec = None
    for word in rest:
        within = None if spec is None else spec.submodule_search_locations
        # By its last name alone: of a whole one the folders around would have to be imported.
        spec = None if within is None else PathFinder.find_spec(word, list(within))
    if spec is None:
        raise ConfigError(
            f"model.build: there is no module {module} here (its folder must be the working folder, or "
            "stand in PYTHONPATH, also where workers run)"
        )
    return spec


def _check_is_defined(model: CustomConfig, text: bytes) -> None:
    """Raise ConfigError where the source can't be read, or has no such name at its top."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigError(f"model.build: {model.module}{line}: {reason}") from None
    names: set[str] = set()
    for node in ast.walk(tree):  # a name may be bound within an `if` or a `try`
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    if model.function not in names and "*" not in names:
        raise ConfigError(
            f"model.build: {model.module} has no {model.function}"
            + did_you_mean(model.function, sorted(names))
        )
