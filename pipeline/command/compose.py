"""Hydra at the door: command-line overrides in, plain mappings out."""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from pipeline.command import refused
from pipeline.command.errors import ConfigError
from pipeline.command.overrides import SPACE, Word, files_elsewhere, places, read_words
from pipeline.command.section import as_override, did_you_mean, flatten

CONF = Path(__file__).parents[2] / "conf"

_REFUSALS = (HydraException, OmegaConfBaseException, ValueError, YAMLError)
_DELTAS = ("study", "experiment")  # groups absent from the defaults list: Hydra wants a `+`
_OWN = "model.settings"  # of a network of one's own: which there are, only its function knows
_folder = CONF


class Composed(dict[str, Any]):
    """A configuration as nested plain values. `typed`: what of it a person typed, word by word."""

    typed: tuple[str, ...] = ()


def conf_folder() -> Path:
    """Where the configuration of this command lies: conf/, or what --config-dir names."""
    return _folder


@contextmanager
def configured_from(config_dir: Path) -> Iterator[None]:
    """Within the block, compose from `config_dir` where no other folder is given."""
    global _folder
    before, _folder = _folder, config_dir
    try:
        yield
    finally:
        _folder = before


def nothing_in(config_dir: Path) -> str | None:
    """Why there is no configuration in `config_dir`, with the remedy; None: there is one."""
    if (config_dir / "config.yaml").is_file():
        return None
    if config_dir != CONF:
        return f"--config-dir: there is no config.yaml in {config_dir.absolute()}"
    return (
        f"--config-dir: is missing, as Plumbline was installed without its conf/ (none in {CONF.parent}); "
        "name that of a checkout, --config-dir CHECKOUT/conf, or install it with pip install --editable"
    )


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Composed:
    """The configuration in `config_dir` (None: this command's), with interpolations resolved.

    Raises ConfigError on an override that Hydra refuses, with the nearest key or option, and on a
    file that is no YAML or has a section that nothing reads.
    """
    config_dir = config_dir or _folder
    if (wrong := nothing_in(config_dir)) is not None:
        raise ConfigError(wrong)
    try:
        sections, groups = _sections(config_dir), _groups(config_dir)
    except YAMLError as error:
        raise ConfigError(str(error)) from None
    overrides, files = files_elsewhere(overrides, _DELTAS)
    for file in files:
        groups[file.parent.name] = [*groups.get(file.parent.name, ()), file.stem]
    with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
        words = read_words(overrides, groups, _usual)
        _check_once(words)
        for_hydra = [
            _in_its_group(word, groups, sections) for word in words if not word.is_of_space
        ]
        try:
            composed = hydra_compose("config", [*places(files), *(w.text for w in for_hydra)])
        except _REFUSALS:
            raise ConfigError(_refusal(for_hydra, groups, places(files))) from None
        for word in words:
            if word.is_of_space:
                _change_space(composed, word)
        try:
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise ConfigError(_unresolved(error)) from None
    assert isinstance(values, dict)
    _check_sections(values, sections)
    return Composed({str(key): value for key, value in values.items()})


def usual() -> dict[str, Any]:
    """Every setting by its path, with its usual value; interpolations as they stand."""
    if nothing_in(_folder) is not None:
        return {}
    with initialize_config_dir(str(_folder.absolute()), version_base="1.3"):
        return _usual()


def build(spec: Mapping[str, Any], place: str, **arguments: Any) -> Any:
    """The object that `spec` names by its `_target_`, made with its other keys and `arguments`.

    Raises ConfigError with the constructor's own words where it refuses them.
    """
    if "_target_" not in spec:
        raise ConfigError(f"{place}._target_: is missing (leave ~{place}._target_ out)")
    try:
        return instantiate(dict(spec), **arguments)
    except HydraException as error:
        cause = " ".join(str(error.__cause__ or error).splitlines())
        raise ConfigError(f"{place}: {spec['_target_']}: {cause}") from None


def maker(spec: Mapping[str, Any], place: str) -> Callable[..., Any]:
    """What makes, with further arguments, what `build` would: many of them, each in a fraction of its time.

    What lies within `spec` is made anew for each, as it may be an object, and no two may share that.
    """
    make = partial(build, spec, place)
    is_flat = not any(isinstance(value, Mapping | list) for value in spec.values())
    return make(_partial_=True) if is_flat else make


def to_yaml(values: Mapping[str, Any]) -> str:
    """`values` as YAML, keys in their order."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(values)))


def from_yaml(text: str) -> dict[str, Any]:
    """Read back what `to_yaml` wrote."""
    values = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _check_sections(values: Mapping[Any, Any], sections: Mapping[str, bool]) -> None:
    """Raise ConfigError where a section is not known (`+`, @package _global_), missing (`~`) or a value."""
    wrong = [
        f"{name}: no such setting" + did_you_mean(str(name), sections)
        for name in values
        if name not in sections
    ]
    for name, is_tree in sections.items():
        if name not in values:
            wrong.append(f"{name}: is missing, and nothing can do without it (leave ~{name} out)")
        elif is_tree and not isinstance(values[name], Mapping):
            given = as_override(values[name])
            wrong.append(f"{name}: expected settings below it ({name}.NAME=...), got {given}")
    if wrong:
        raise ConfigError("\n".join(wrong))


def _sections(config_dir: Path) -> dict[str, bool]:
    """What the configuration has at its top, and whether it is a tree.

    Composing it once more would take a tenth of a second.
    """
    top: Any = OmegaConf.to_container(OmegaConf.load(config_dir / "config.yaml"))
    groups = [group for item in top.pop("defaults", []) if item != "_self_" for group in item]
    return {
        **{name: isinstance(each, dict) for name, each in top.items()},
        **dict.fromkeys(groups, True),
    }


def _groups(config_dir: Path) -> dict[str, list[str]]:
    """The options of every configuration group."""
    found = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(config_dir.iterdir())
        if folder.is_dir()
    }
    return {group: options for group, options in found.items() if options}


def _usual() -> dict[str, Any]:
    """Every setting with its usual value, interpolations as they stand."""
    return {**dict(flatten(_plain(hydra_compose("config")))), SPACE: {}}


def _plain(composed: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(composed, resolve=False)
    return values  # type: ignore[no-any-return]


def _check_once(words: Sequence[Word]) -> None:
    """Raise ConfigError where two studies are chosen: of other words for one setting the last one counts."""
    for group in _DELTAS:
        chosen = [word.value for word in words if word.key == group and isinstance(word.value, str)]
        if len(chosen) > 1:
            raise ConfigError(f"{group}: expected one, got {' and '.join(chosen)} (leave one out)")


def _in_its_group(word: Word, groups: Container[str], sections: Container[str]) -> Word:
    """`word` with the sign that Hydra wants before an option: a `+` where no defaults list has the group.

    A setting of a network of one's own is there or not as its function wants it.
    """
    if not word.sign and (word.key == _OWN or word.key.startswith(f"{_OWN}.")):
        return replace(word, text=f"++{word.text}", sign="++")
    if word.key not in groups or word.sign == "~" or isinstance(word.value, dict):
        return word
    sign = "+" if word.key in _DELTAS or word.key not in sections else ""
    return replace(word, text=sign + word.text.removeprefix(word.sign), sign=sign)


def _change_space(composed: DictConfig, word: Word) -> None:
    """Have the space as `word` wants it, which Hydra would only merge with what is there."""
    if not isinstance(OmegaConf.select(composed, "study"), DictConfig):
        return  # somebody left it out, and is told so
    space = OmegaConf.to_container(composed.study, resolve=False).get("space")  # type: ignore[union-attr]
    try:
        OmegaConf.update(composed, SPACE, word.changed(space), merge=False, force_add=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{word.text}: {_told(error)}") from None


def _refusal(words: Sequence[Word], groups: Container[str], always: Sequence[str]) -> str:
    """Why Hydra refuses `words`: because of the last one of the shortest beginning that it refuses.

    It takes options first, then settings in their order.
    """
    before: list[Word] = []
    there: dict[str, Any] = {}
    for word in [None, *sorted(words, key=lambda word: word.key not in groups)]:
        try:
            texts = [each.text for each in [*before, word] if each]
            there = _plain(hydra_compose("config", [*always, *texts]))
        except _REFUSALS as error:
            if word is None:
                return _told(error)
            usual = _usual()
            if word.key in usual and word.sign != "~" and word.key not in dict(flatten(there)):
                options = " ".join(each.text for each in before if each.key in groups)
                return f"{word.key}: no such setting with {options}"
            why = None
            if word.key not in groups or isinstance(word.value, dict):
                why = refused.setting(word.sign, word.key, word.value, there, usual)
            return why or f"{word.text}: {_told(error)}"
        before += [word] if word else []
    raise AssertionError("together they are taken")


def _told(error: Exception) -> str:
    """The words of an error of Hydra's, or of what it wraps; of a missing option, those that there are."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        options = sorted(error.options)
        among = f"expected one of {', '.join(options)}"
        return f"{group}: there is no {option!r}, {among}" + did_you_mean(option, options)
    if isinstance(error, YAMLError):
        return str(error)
    return " ".join(str(error.__cause__ or error).splitlines()[:2])


def _unresolved(error: OmegaConfBaseException) -> str:
    """Why a value can't be had: an interpolation, or `???`, which stands for a value to be given."""
    place = error.full_key
    if isinstance(error, MissingMandatoryValue):
        return f"{place}: is missing ({place}=...)"
    why = str(error.msg or error).splitlines()[0]
    if key := re.search("Interpolation key '(.+)' not found", why):
        usual = _usual()
        return f"{place}: expected a setting between ${{ and }}, got {key[1]}{did_you_mean(key[1], usual)}"
    if name := re.search("Environment variable '(.+?)' not found", why):
        return (
            f"{place}: the environment has no {name[1]} (export it, or ${{oc.env:{name[1]},VALUE}})"
        )
    return f"{place}: can't be worked out: {why}"
