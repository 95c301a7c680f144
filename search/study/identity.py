"""What makes the trials of a study comparable, as texts that are compared by value."""

import re
from collections.abc import Mapping

from pipeline.run.custom import source_of
from search.study.space import fixed
from search.study.vocabulary import Study

Identity = Mapping[str, Mapping[str, str]]
"""Texts by setting, in the parts `space`, `fixed` and `data`."""

_SPACE = "study.space."
_SINCE = {
    "data.shuffle": "false",
    "data.split_seed": "null",
    "data scaling": "by all training rows",
    "train.weight_decay": "null",
    "train.schedule": "none",
    "train.warmup_epochs": "0",
    "train.schedule_epochs": "null",
    "objective.cost": "null",
}
"""Settings that older studies don't name, and the value that each of them had then."""

_EQUAL_WIDTHS = re.compile(r"\[(\d+)(?:,\1)*\]")
_EVERY_NUMBER = re.compile(r"(\d+ \.\. \d+) step 1(?![\d.])")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)")


def identity(study: Study) -> Identity:
    """The settings of `study` that its trials share: if any of them changes, it is another study."""
    parameters = fixed(study.base, study.space)
    del parameters["data.path"]  # where the data lies is no part of what it is
    data = {"data digest": study.dataset.digest}
    if study.dataset.scaling:
        data["data scaling"] = study.dataset.scaling
    for digest in source_of(study.base.model).values():
        parameters["model.build, its source"] = digest
    return {
        "space": {f"{_SPACE}{path}": text for path, text in study.space.describe().items()},
        "fixed": parameters,
        "data": data,
    }


def words_of_space(recorded: Identity) -> dict[str, str]:
    """Every dimension as one line of text, in the words of the study's first launch."""
    return {key.removeprefix(_SPACE): text for key, text in recorded["space"].items()}


def difference(recorded: Identity, now: Identity) -> str:
    """One line for each setting whose value differs; nothing where only the spelling does."""
    before = {**_SINCE, **{key: text for part in recorded.values() for key, text in part.items()}}
    after = {**_SINCE, **{key: text for part in now.values() for key, text in part.items()}}
    return "\n".join(
        f"  {key}: {before.get(key, 'not there')} in the study, {after.get(key, 'not there')} now"
        for key in dict.fromkeys([*before, *after])
        if _by_value(before.get(key)) != _by_value(after.get(key))
    )


def _by_value(text: str | None) -> str | None:
    """The same text for the same value: 0 and 0.0, [64,64] and 64, `1 .. 3` and `1 .. 3 step 1`."""
    if text is None:
        return None
    if (widths := _EQUAL_WIDTHS.fullmatch(text)) is not None:  # model.depth says how many
        text = widths[1]
    text = _EVERY_NUMBER.sub(r"\1", text)
    text = _NUMBER.sub(lambda number: repr(float(number[0]) + 0.0), text)
    setting, when, values = text.rpartition(" is ")
    return setting + when + " or ".join(sorted(values.split(" or ")))
