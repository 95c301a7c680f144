"""What was typed, word by word: which setting each word is for."""

from collections.abc import Mapping
from typing import Any


def key(override: str) -> str:
    """The setting that `override` is for: `study.lock` of `++study.lock=skip`, `sampler` of `~sampler`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def is_typed(values: Mapping[str, Any], setting: str) -> bool:
    """Whether `setting` was typed: `values` of a command line know their words, others have none."""
    return any(key(word) == setting for word in getattr(values, "typed", ()))
