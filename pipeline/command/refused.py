"""Why a word that was typed can't be taken, and what to type: the setting, the rule, the remedy."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pipeline.command.section import as_override, did_you_mean, flatten

Usual = Callable[[], Mapping[str, Any]]
"""Gives every setting with its usual value: composed when asked for, as that takes a tenth of a second."""

_VARIED = ("model.", "train.")  # what a space may hold
_SPACE = "study.space"
_CLOSES = {"[": "]", "{": "}", "(": ")"}
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_SWEEPER = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag)\((.*)\)")

_HYDRAS_OPTIONS = {
    **dict.fromkeys(
        ("-m", "--multirun"),
        "one command is one study; to vary a setting, put it in the space: "
        "'study.space.train.optimizer=[sgd,adam]'",
    ),
    **dict.fromkeys(
        ("-cn", "--config-name"),
        "the configuration is config.yaml; study=NAME or experiment=NAME chooses what differs from it",
    ),
    **dict.fromkeys(
        ("-cp", "--config-path", "-cd"), "another folder than conf/ is --config-dir FOLDER"
    ),
    **dict.fromkeys(
        ("-c", "--resolve", "-p", "--package", "-i", "--info"), "--cfg prints the configuration"
    ),
}


def bare(text: str, options: Mapping[str, Sequence[str]], usual: Usual) -> str:
    """Of a word without `=`: an option's name, a setting's, or neither."""
    rule = f"{text}: expected KEY=VALUE"
    word = text.lstrip("+-~")
    if ":" in word and (guess := word.replace(":", "=", 1)).partition("=")[0] in usual():
        return f"{rule} ({guess.replace('= ', '=')})"
    groups = [group for group, names in options.items() if word in names]
    if groups == ["study"]:
        return (
            f"{rule}: study={word} asks the question of that file, study.name={word} takes a study that "
            "is on record"
        )
    if groups:
        return f"{rule} ({' or '.join(f'{group}={word}' for group in groups)})"
    found = [path for path in usual() if word and f".{path}".endswith(f".{word}")]
    if found:
        return f"{rule} ({' or '.join(f'{path}=...' for path in found[:3])})"
    everything = {name: f"{group}={name}" for group, names in options.items() for name in names}
    everything |= {path: f"{path}=..." for path in usual()}
    near = did_you_mean(word, everything)
    for name in re.findall(r"`(.+)`", near):
        near = near.replace(name, everything[name])
    if not near and re.fullmatch(r"[^\W_][\w.-]*", word):
        near = f" (a study that is on record is study.name={word})"
    return f"{rule}, got {text!r}{near}"


def split(key: str) -> str:
    """Of a range that the shell took apart at its comma: `{low:0,high:1}` without quotes."""
    return f"{key}: the shell took the braces apart (put the word in quotes: '{key}={{low: ..., high: ...}}')"


def dashed(argument: str, following: str | None, usual: Usual) -> str:
    """Of an option with a dash that no command has. `following`: the word after it."""
    name, equals, value = argument.partition("=")
    if name in _HYDRAS_OPTIONS:
        return f"{name}: no such option, {_HYDRAS_OPTIONS[name]}"
    if near := difflib.get_close_matches(name, ("--cfg", "--config-dir", "--help"), 1, 0.7):
        return f"{argument}: no such option (did you mean `{near[0]}`?)"
    if not equals and following is not None and "=" not in following and following[:1] != "-":
        value = following
    word = name.lstrip("-").replace("-", "_")
    known = {**usual(), "study": None, "experiment": None}
    near = difflib.get_close_matches(word, [path.rpartition(".")[2] for path in known], n=1)
    found = [path for path in known if f".{path}".endswith((f".{word}", *(f".{n}" for n in near)))]
    hint = " or ".join(f"{path}={value or 'VALUE'}" for path in found[:3]) or "KEY=VALUE"
    return f"{name}: no such option, settings are typed without dashes: {hint}"


def key(text: str, setting: str, usual: Usual) -> str:
    """Of a word whose key is none."""
    if "@" in setting:
        return f"{text}: nothing can be put elsewhere with an @ ({setting.partition('@')[0]}=...)"
    return f"{text}: expected KEY=VALUE, and a key of names with dots between, got {setting!r}" + (
        did_you_mean(setting, usual())
    )


def of_hydra(setting: str) -> str:
    """Of one of Hydra's own settings."""
    if setting == "hydra.searchpath":
        return (
            f"{setting}: can't be set (--config-dir FOLDER composes from another folder than conf/)"
        )
    if re.match(r"hydra[./](run|sweep|output_subdir|job)", setting):
        return (
            f"{setting}: Hydra only composes the configuration here, and makes no folder (storage.url, "
            "storage.weights, study.summary, report.path, export.path say what is written where)"
        )
    return f"{setting}: Hydra only composes the configuration here, and has no say otherwise (leave it out)"


def option(group: str, sign: str, value: str, options: Sequence[str]) -> str | None:
    """Of a word that chooses an option of a group; None: it is one."""
    if sign == "~" and value:
        return f"{group}: ~{group} takes no value (leave ={value} out)"
    if value in options or sign == "~":
        return None
    among = f"expected one of {', '.join(options)}"
    if "," in value or _SWEEPER.fullmatch(value):
        return f"{group}: {among}, got {value} (run the command once for each)"
    stem = PurePath(value).stem
    hint = f" (did you mean `{stem}`?)" if stem in options else did_you_mean(value, options)
    if not re.fullmatch(r"\d*[A-Za-z_][\w./-]*", value) or value == "null":
        return f"{group}: {among}, got {value or 'nothing'}{hint}"
    return f"{group}: there is no {value!r}, {among}{hint}"


def sweep(setting: str, given: str) -> str:
    """Of several values where one is expected: a sweep, as Hydra calls it."""
    call = _SWEEPER.fullmatch(given)
    name, inner = (call[1], call[2]) if call else ("choice", given)
    numbers = [number.strip() for number in inner.split(",")]
    leaf = f"[{inner}]"
    if name == "interval" and len(numbers) == 2:
        leaf = f"{{low: {numbers[0]}, high: {numbers[1]}}}"
    elif name == "range" and 2 <= len(numbers) <= 3:
        step = f", step: {numbers[2]}" if len(numbers) == 3 else ""
        leaf = f"{{low: {numbers[0]}, high: {numbers[1]}{step}}}"
    if setting.startswith(f"{_SPACE}."):
        return f"{setting}: expected a list of choices or a range, got {given} ('{setting}={leaf}')"
    if setting.startswith(_VARIED):
        return (
            f"{setting}: expected one value, got {given} (to vary it, put it in the space: "
            f"'{_SPACE}.{setting}={leaf}')"
        )
    return (
        f"{setting}: expected one value, got {given} (a list stands in brackets, '{setting}={leaf}'; text "
        f"with commas is quoted twice, '{setting}=\"...\"'; otherwise run the command once for each)"
    )


def value(setting: str, given: str) -> str:
    """Of a value that Hydra can't read."""
    if "://" in given:  # it may be a password or a part of one: it isn't shown
        return (
            f"{setting}: Hydra can't read this URL; percent-encode what is special in it (a quote as "
            "%27, # as %23, { as %7B)"
        )
    if not given.isprintable():
        return f"{setting}: expected a line break or another control character in quotes only, got {given!r}"
    if given[:1] == "~":
        return f"{setting}: Hydra can't read a ~ at the beginning, write {setting}=$HOME{given[1:]}"
    quoted = f"text with special characters is quoted twice, as in '{setting}=\"...\"'"
    rest = _QUOTED.sub("", given)
    if (wrong := _unbalanced(rest)) is not None:
        return f"{setting}: in {given!r} {wrong} ({quoted})"
    if given[:1] == "=":
        return f"{setting}: expected one =, got {setting}={given} ({setting}={given.lstrip('=')})"
    if given[:1] == "{" and ":" not in rest:
        listed = given.replace("{", "[").replace("}", "]")
        remedy = f"a list stands in brackets: '{setting}={listed}'"
        if "=" in rest:
            remedy = "a colon and a space for each ="
        return f"{setting}: expected NAME: VALUE between braces, got {given} ({remedy})"
    if call := re.search(r"([A-Za-z_]\w*)\s*\(", rest):
        return f"{setting}: Hydra can't call {call[1]}(...) as in {given!r} ({quoted})"
    if not given.strip():
        return f"{setting}: expected a value, got spaces"
    return f"{setting}: Hydra can't read the value {given!r}; {quoted}"


def is_plain(given: str) -> bool:
    """Whether a text means itself: no quotes or brackets, no control characters, no home, no URL."""
    return given.isprintable() and given[:1] not in ("'", '"', "~", "[", "{") and "://" not in given


def is_left_open(text: str) -> bool:
    """Whether a bracket or a brace in the value of `text` waits for its end."""
    return (_unbalanced(_QUOTED.sub("", text.partition("=")[2])) or "").endswith("is not closed")


def _unbalanced(text: str) -> str | None:
    waiting: list[str] = []
    for sign in text:
        if sign in _CLOSES:
            waiting.append(sign)
        elif sign in _CLOSES.values() and (not waiting or _CLOSES[waiting.pop()] != sign):
            return f"a {sign} closes what is not open"
    if waiting:
        return f"the {waiting[-1]} is not closed"
    return next((f"the {sign} is not closed" for sign in "\"'" if text.count(sign) % 2), None)


def setting(
    sign: str, path: str, given: Any, there: Mapping[str, Any], usual: Mapping[str, Any]
) -> str | None:
    """Of a word that can't be put into the configuration that is `there`; None: why isn't known."""
    names = path.split(".")
    node: Any = there
    for place, name in enumerate(names):
        above = ".".join(names[:place])
        if not isinstance(node, Mapping):
            shown = as_override(node)
            return f"{path}: {above} is {shown}, nothing is below it (leave it out, or set {above}=...)"
        if name not in node:
            if sign == "~":
                return _nothing_there(path, usual)
            near = [_nearest(above, name, node), did_you_mean(path, usual)]
            return f"{path}: no such setting" + (near[not above] or near[bool(above)])
        node = node[name]
    if sign == "~":
        return _another(path, given, node)
    if isinstance(given, Mapping) and isinstance(node, Mapping):
        each = (
            setting(sign, f"{path}.{name}", below, there, usual) for name, below in given.items()
        )
        return next(filter(None, each), None)
    if isinstance(node, list) and isinstance(given, Mapping):
        return (
            f"{path}: expected a list, got {as_override(given)} ('{path}=[{as_override(given)}]')"
        )
    if isinstance(node, Mapping):
        return f"{path}: expected settings below it ({path}.NAME=...), got {as_override(given)}"
    if isinstance(given, str) and "${" in given:
        return f"{path}: expected the name of a setting between ${{ and }}, got {given}"
    if sign == "+":
        remedy = f"leave the + out: {path}={as_override(given)}"
        return f"{path}: is there already, and a + only adds what is not ({remedy})"
    return None


def below_a_leaf(path: str, leaf: str, there: Any, below: Sequence[str]) -> str:
    """Of a word for what is `below` a list of choices in the space."""
    anew = f"'~{leaf}' takes them out"
    if below[0] in ("low", "high", "step", "log"):
        anew = f"'{leaf}={{low: ..., high: ...}}' makes it a range"
    return f"{path}: {leaf} lists choices, {as_override(there)}, nothing is below them ({anew})"


def not_in_space(path: str, given: Any, there: Any, space: Any) -> str:
    """Of a word that would take something out of the space."""
    if there is not None:
        return _another(path, given, there)
    return _nothing_there(path, [f"{_SPACE}.{name}" for name, _ in flatten(space or {})])


def _another(path: str, given: Any, there: Any) -> str:
    remedy = f"'~{path}' takes it out whatever it is"
    return f"{path}: is {as_override(there)}, not {as_override(given)} ({remedy})"


def _nothing_there(path: str, known: Iterable[str]) -> str:
    hint = did_you_mean(path, known) or f" (leave '~{path}' out)"
    return f"{path}: is not there, so nothing can be taken out{hint}"


def _nearest(above: str, name: str, node: Mapping[str, Any]) -> str:
    paths = [f"{above}.{each}" if above else str(each) for each in node]
    return did_you_mean(f"{above}.{name}" if above else name, paths)
