"""What was typed, word by word: which setting each word is for, and what it says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from pipeline.command import refused
from pipeline.command.errors import ConfigError

_TEXTS = {
    *(
        "study.name",
        "study.question",
        "study.summary",
        "study.on_end",
        "report.studies",
        "study.warm_start",
        "run",
        "cron",
    ),
    *("data.path", "export.path", "replay.path", "report.path", "storage.weights"),
    "table.path",
    *("schedule.image", "schedule.template"),
}
"""Settings that are a text whatever it looks like: 20261127, nan and größe are names."""

_NAMES = {"study.warm_start", "report.studies"}
"""Settings that are a list of such texts, or one."""

SPACE = "study.space"
"""What a study varies: a tree whose branches are the user's."""

_LIST = re.compile(r"\s*\[(.*)\]\s*")
_SIGN = re.compile(r"~|\+*")
_KEY = re.compile(r"[A-Za-z_$][\w$-]*([./][\w$-]+)*", re.ASCII)


@dataclass(frozen=True)
class Word:
    """An override. `text`: as Hydra takes it; `sign`: `+`, `++`, `~` or nothing before its `key`.

    `value`: None also where there is none.
    """

    text: str
    sign: str
    key: str
    value: Any

    @property
    def is_of_space(self) -> bool:
        """Whether it is for the space of a study, or for something in it."""
        return self.key == SPACE or self.key.startswith(f"{SPACE}.")

    def changed(self, space: Any) -> Any:
        """`space`, a tree, as this word wants it: what it gives takes the place of what is there.

        A `+` adds to what is there, a `~` takes it out. Raises ConfigError where that can't be done.
        """
        node, place, rest = {SPACE: deepcopy(space)}, SPACE, self.key.split(".")[2:]
        whole, name = node, place
        while rest:
            if node.get(name) is None:
                node[name] = {}
            inside = node[name]
            if not isinstance(inside, dict):
                raise ConfigError(refused.below_a_leaf(self.key, place, inside, rest))
            # A file may have written `model.dropout:` as one key.
            count = next((n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in inside), 1)
            node, name, rest = inside, ".".join(rest[:count]), rest[count:]
            place = f"{place}.{name}"
        there = node.get(name)
        if self.sign == "~":
            if name not in node or self.value not in (None, there):
                raise ConfigError(refused.not_in_space(self.key, self.value, there, space))
            del node[name]
        elif self.sign and isinstance(self.value, dict) and isinstance(there, dict):
            node[name] = _merged(there, self.value)
        else:
            node[name] = self.value
        return whole.get(SPACE, {})


def _merged(there: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: (there[key], more[key]) for key in there.keys() & more.keys()}
    inner = {
        key: _merged(*pair) for key, pair in both.items() if all(isinstance(x, dict) for x in pair)
    }
    return {**there, **more, **inner}


def key(override: str) -> str:
    """The setting that `override` is for: `study.lock` of `++study.lock=skip`, `sampler` of `~sampler`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def is_typed(values: Mapping[str, Any], setting: str) -> bool:
    """Whether `setting` was typed: `values` of a command line know their words, others have none."""
    return any(key(word) == setting for word in getattr(values, "typed", ()))


def files_elsewhere(typed: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[Path]]:
    """`typed` with each option that is a file, `+study=FOLDER/study/NAME.yaml`, by its name, and these files.

    Raises ConfigError where there is no such file, or its folder is not called as its group.
    """
    words, files = [], []
    for text in typed:
        group, _, value = text.partition("=")
        if key(text) not in groups or not re.search(r"/.*\.yaml$", value):
            words.append(text)
            continue
        file = Path(value).absolute()
        if not file.is_file():
            raise ConfigError(f"{key(text)}: there is no file {value}")
        if file.parent.name != key(text):
            raise ConfigError(
                f"{key(text)}: expected a file in a folder that is called {key(text)}, got {value}"
            )
        words.append(f"{group}={file.stem}")
        files.append(file)
    return words, files


def places(files: Sequence[Path]) -> list[str]:
    """What has Hydra look for options beside `files`, too."""
    folders = dict.fromkeys(QuotedString(f"file://{f.parents[1]}", Quote.single) for f in files)
    return [f"hydra.searchpath=[{','.join(each.with_quotes() for each in folders)}]"] * bool(files)


def read_words(
    typed: Sequence[str], options: Mapping[str, Sequence[str]], usual: refused.Usual
) -> list[Word]:
    """What was `typed`, in its order. `options`: of every configuration group.

    Raises ConfigError with one line for each word that can't be read.
    """
    words, faults = [], []
    for text in _as_meant(typed):
        try:
            words.append(_word(text, options, usual))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return words


def _as_meant(typed: Sequence[str]) -> Iterator[str]:
    """The words. Raises ConfigError where spaces made the shell take one for several."""
    rest = list(typed)
    while rest:
        parts = [rest.pop(0)]
        if "=" not in parts[0]:
            while rest and rest[0][:1] == "=":
                parts.append(rest.pop(0))  # "=" or "=5"
        if (
            len(parts) == 1
            and rest
            and _KEY.fullmatch(parts[0])
            and "." in parts[0]
            and "=" not in rest[0]
        ):
            whole = f"{parts[0]} {rest[0]}"  # --study.trials 5, without the dashes
            raise ConfigError(f"{whole}: expected KEY=VALUE ({parts[0]}={rest[0]})")
        if rest and parts[-1][-1:] == "=" and not _is_pair(rest[0]):
            parts.append(rest.pop(0))
        if len(parts) > 1:
            raise ConfigError(
                f"{' '.join(parts)}: expected KEY=VALUE, without spaces around the = ({''.join(parts)})"
            )
        while rest and refused.is_left_open(" ".join(parts)) and not _is_pair(rest[0]):
            parts.append(rest.pop(0))
        if len(parts) > 1:
            whole = " ".join(parts)
            raise ConfigError(
                f"{key(whole)}: the shell took {whole} for {len(parts)} words (put it in quotes: '{whole}')"
            )
        yield parts[0]


def _is_pair(text: str) -> bool:
    name, equals, _ = text.partition("=")
    return bool(equals and _KEY.fullmatch(_SIGN.sub("", name, count=1))) or text[:1] == "~"


def _word(text: str, options: Mapping[str, Sequence[str]], usual: refused.Usual) -> Word:
    name, equals, value = text.partition("=")
    sign = _SIGN.match(name)[0]  # type: ignore[index]  # it may be empty, but it is there
    setting = name.removeprefix(sign)
    if not setting or not (equals or sign == "~"):
        raise ConfigError(refused.bare(text, options, usual))
    if re.match(r"hydra([./@]|$)", setting):
        raise ConfigError(refused.of_hydra(setting))
    if not _KEY.fullmatch(setting):
        raise ConfigError(refused.key(text, setting, usual))
    read = _read(f"{name}{equals}", value)
    is_tree = read is not None and isinstance(read.value(), dict)
    if setting in options and not is_tree:
        if (wrong := refused.option(setting, sign, value, options[setting])) is not None:
            raise ConfigError(wrong)
    is_text = read is not None and isinstance(read.value(), str | None)
    if setting in _TEXTS and not is_text and refused.is_plain(value):
        quoted = QuotedString(value.strip(), Quote.single).with_quotes()
        read = _read(f"{name}=", str(quoted))
    if setting in _NAMES and (listed := _LIST.fullmatch(value)):
        read = _read(f"{name}=", _quoted(listed[1])) or read
    if read is None:
        raise ConfigError(refused.value(setting, value))
    if read.is_sweep_override():
        raise ConfigError(refused.sweep(setting, value))
    word = Word(str(read.input_line), sign, setting, read.value())
    if setting == "study" and is_tree and "space" in word.value:
        raise ConfigError("study.space: expected in a word of its own ('study.space={...}')")
    if word.is_of_space and re.fullmatch(r"(low|high|step|log|choices|when):.*", str(word.value)):
        raise ConfigError(refused.split(setting))
    return word


def _quoted(names: str) -> str:
    """A list of `names`, each a text whatever it looks like; one that is quoted already stays as it is."""
    each = [name.strip() for name in names.split(",")]
    plain = [refused.is_plain(name) and bool(name) for name in each]
    quoted = [
        QuotedString(name, Quote.single).with_quotes() if is_plain else name
        for name, is_plain in zip(each, plain, strict=True)
    ]
    return f"[{','.join(quoted)}]"


def _read(name: str, value: str) -> Override | None:
    """What Hydra reads; None: it can't."""
    try:
        return OverridesParser.create().parse_overrides([name + value])[0]
    except HydraException:
        return None
