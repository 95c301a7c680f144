"""Sections of a configuration: frozen and validated, their errors with place, rule, value and remedy."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Tag, ValidationError

from pipeline.command.errors import ConfigError
from pipeline.command.redact import is_ambiguous


def unambiguous(place: str) -> BeforeValidator:
    """Refuses a URL whose password should have been encoded, without showing it."""

    def check(url: object) -> object:
        if isinstance(url, str) and is_ambiguous(url):
            raise ValueError(
                f"{place}: it can't be told where the password ends; percent-encode what is special "
                "in the user name and the password (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A, "
                "% as %25, a space as %20)"
            )
        return url

    return BeforeValidator(check)


PositiveInt = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of every configuration object: frozen, no unknown keys, no silent conversion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


S = TypeVar("S", bound=Section)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings as (dotted path, value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def as_override(value: object) -> str:
    """`value` as it is typed on Hydra's command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(as_override(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_override(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and not _reads_back(value):
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)


def _reads_back(text: str) -> bool:
    """Whether Hydra reads `text` without quotes as that very text."""
    if not re.fullmatch(r"[\w/.][\w/.:+%@-]*", text, re.ASCII):
        return False
    if text.lower() in {"null", "true", "false"}:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def did_you_mean(word: str, known: object) -> str:
    """` (did you mean `x`?)` for the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)  # type: ignore[call-overload]
    return f" (did you mean `{near[0]}`?)" if near else ""


def validated(section: type[S], values: Mapping[str, Any], place: str = "") -> S:
    """A `section` of `values`, or a `ConfigError` with one line for each broken rule.

    `place`: dotted path of `values` in the configuration, put before each name.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(section, error, place))) from None


def _explain(section: type[Section], error: ValidationError, place: str) -> list[str]:
    lines: dict[str, str] = {}
    for item in error.errors():
        words = [str(part) for part in item["loc"] if not _is_union_branch(part)]
        path = ".".join(([place] if place else []) + words)
        if item["type"] == "extra_forbidden":
            known = [name for name, _ in _leaves(section, place, item["loc"])]
            lines[path] = f"{path}: no such setting" + did_you_mean(path, known)
        elif item["type"] == "missing":
            lines[path] = f"{path}: is missing"
        elif item["type"] == "value_error":
            lines[path] = str(item["ctx"]["error"])
        else:
            kind = re.sub(r"^(Input|String) should (be |have )(a valid )?", "", item["msg"])
            rule = _range(section, item["loc"])
            if rule and not item["type"].startswith(("greater_than", "less_than")):
                rule = f"{kind} with {rule}"
            rule = rule or kind
            rule = rule.replace("greater than or equal to", ">=").replace(
                "less than or equal to", "<="
            )
            rule = (
                rule.replace("greater than", ">").replace("less than", "<").replace("tuple", "list")
            )
            if path in lines:  # another member of a union
                lines[path] = lines[path].replace(", got ", f" or {rule}, got ", 1)
            else:
                given = as_override(item["input"])
                if item["type"] == "string_type" and isinstance(item["input"], int | float):
                    rule += f" ({path}='\"{given}\"' is one)"
                lines[path] = f"{path}: expected {rule}, got {given}"
                if path.startswith(("model.", "train.")) and isinstance(
                    item["input"], list | Mapping
                ):
                    lines[path] += (
                        f" (to vary it, put it in the space: 'study.space.{path}={given}')"
                    )
                if item["type"] == "literal_error":
                    choices = re.findall(r"'(\w+)'", item["ctx"]["expected"])
                    lines[path] += did_you_mean(str(item["input"]).lower(), choices)
    return list(lines.values())


def _range(section: type[Section], loc: tuple[int | str, ...]) -> str:
    """`0 <= dropout < 1` for the field at `loc`, or nothing where it has no bounds of its own."""
    *sections, name = loc
    fields = section.model_fields
    for step in sections:
        if str(step) not in fields and _is_union_branch(step):  # taken with the step before
            continue
        kind = _section_in(fields[str(step)].annotation, loc) if str(step) in fields else None
        if kind is None:
            return ""
        fields = kind.model_fields
    low = high = ""
    for bound in fields[str(name)].metadata if str(name) in fields else []:
        for sign, attribute in (("<=", "ge"), ("<", "gt")):
            if (value := getattr(bound, attribute, None)) is not None:
                low = f"{value} {sign} "
        for sign, attribute in (("<=", "le"), ("<", "lt")):
            if (value := getattr(bound, attribute, None)) is not None:
                high = f" {sign} {value}"
    return f"{low}{name}{high}" if low or high else ""


def _is_union_branch(part: object) -> bool:
    """Pydantic puts the tried member of a union into the path of an error; it is not a key."""
    return (
        isinstance(part, int)
        or not str(part).isidentifier()
        or str(part) in {"int", "float", "str"}
    )


def _leaves(
    section: type[Section], place: str, loc: tuple[int | str, ...]
) -> Iterator[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        path = f"{place}.{name}" if place else name
        kind = _section_in(field.annotation, loc)
        if kind is None:
            yield path, field.annotation
        else:
            yield from _leaves(kind, path, loc)


def _section_in(annotation: Any, loc: tuple[int | str, ...]) -> type[Section] | None:
    """The section that a field holds: of several, the one whose tag is in `loc`, or else the first."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Section) else None
    tagged = {
        mark.tag: member.__origin__
        for member in get_args(annotation)
        for mark in getattr(member, "__metadata__", ())
        if isinstance(mark, Tag)
    }
    return next((tagged[tag] for tag in loc if tag in tagged), next(iter(tagged.values()), None))
