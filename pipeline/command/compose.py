"""Hydra at the door: command-line overrides in, plain mappings out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, did_you_mean, flatten

CONF = Path(__file__).parents[2] / "conf"

_DELTAS = ("study", "experiment")  # groups absent from the defaults list: Hydra wants a `+`
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
    overrides = [
        f"+{override}" if override.split("=")[0] in _DELTAS else override for override in overrides
    ]
    with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
        try:
            composed = hydra_compose("config", overrides)
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            sections = _sections(config_dir)
        except MissingConfigException as error:
            raise ConfigError(_missing_option(error)) from None
        except (HydraException, OmegaConfBaseException) as error:
            known = [path for path, _ in flatten(_defaults())]
            raise ConfigError(_refused_override(error, known, overrides)) from None
        except ValueError as error:  # `group=null`
            raise ConfigError(f"{' '.join(overrides)}: {error}") from None
        except YAMLError as error:
            raise ConfigError(str(error)) from None
    assert isinstance(values, dict)
    _check_sections(values, sections)
    return Composed({str(key): value for key, value in values.items()})


def build(spec: Mapping[str, Any], place: str, **arguments: Any) -> Any:
    """The object that `spec` names by its `_target_`, made with its other keys and `arguments`.

    Raises ConfigError with the constructor's own words where it refuses them.
    """
    if "_target_" not in spec:
        raise ConfigError(f"{place}._target_: is missing (leave ~{place}._target_ out)")
    try:
        return instantiate(dict(spec), **arguments)
    except HydraException as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{place}: {spec['_target_']}: {cause}") from None


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


def _defaults() -> dict[str, Any]:
    return OmegaConf.to_container(hydra_compose("config"), resolve=False)  # type: ignore[return-value]


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not options:
        return str(error)
    return f"{group}: there is no {option!r}, expected one of {', '.join(options)}" + did_you_mean(
        option, options
    )


def _refused_override(error: Exception, known: list[str], overrides: Sequence[str]) -> str:
    first_line = str(error).splitlines()[0]
    if match := re.match(r"Could not override '(.+)'", first_line):
        if match[1] in known:  # a setting of the usual option, which is not the chosen one
            options = [text for text in overrides if "." not in text.partition("=")[0]]
            return f"{match[1]}: no such setting with {' '.join(options)}"
        return f"{match[1]}: no such setting" + did_you_mean(match[1], known)
    if isinstance(error, OverrideParseException) and "://" in error.override:
        # Hydra shows what it can't read, which may be a password or a part of one.
        return (
            f"{error.override.partition('=')[0]}: Hydra can't read this URL; percent-encode what is "
            "special in it (a quote as %27, # as %23, { as %7B)"
        )
    if isinstance(error, OverrideParseException) and not error.override.isprintable():
        name, _, value = error.override.partition("=")
        return f"{name}: expected a line break or another control character in quotes only, got {value!r}"
    if isinstance(error, OverrideParseException) and "=~" in error.override:
        path, _, value = error.override.partition("=")
        return f"{path}: Hydra can't read a ~ at the beginning, write {path}=$HOME{value[1:]}"
    if isinstance(error, OverrideParseException):
        path, equals, value = error.override.partition("=")
        if not path or not equals:
            return f"expected KEY=VALUE, got {error.override!r}"
        return (
            f"{path}: Hydra can't read the value {value!r}; text with special characters is quoted twice, "
            f"as in '{path}=\"...\"', and a bracket or a quote that opens is closed"
        )
    return " ".join(str(error).splitlines()[:2])
