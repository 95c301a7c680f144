"""Cron expressions: checked, and in systemd's words."""

import re
from collections.abc import Sequence

from pipeline.errors import ConfigError

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# A step goes with * or a range: of 7/2 cron makes 7, Kubernetes and systemd 7 and on.
_PART = re.compile(r"(?:\*|(\d+)-(\d+))(?:/(\d+))?|(\d+)")


def check(expression: str) -> tuple[str, ...]:
    """The five fields of `expression`. Raises ConfigError naming the field, its range and the value."""
    fields = tuple(expression.split())
    if len(fields) != len(_FIELDS):
        raise ConfigError(
            f"cron: expected five fields (minute hour day month weekday), got {expression!r}"
        )
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            match = _PART.fullmatch(part)
            first, last, step, alone = match.groups() if match else (None,) * 4
            bounds = [int(number) for number in (first, last, alone) if number]
            outside = any(not low <= bound <= high for bound in bounds)
            # A longer step leads nowhere, and systemd takes none.
            strays = step is not None and not 1 <= int(step) <= high - low
            if match is None or outside or bounds != sorted(bounds) or strays:
                raise ConfigError(
                    f"cron: {name}: expected *, numbers from {low} to {high}, ranges 1-5, lists 1,2 "
                    f"or, of * and ranges, steps */2, 1-5/2 up to {high - low}, got {part!r}"
                )
    return fields


def to_systemd(fields: Sequence[str]) -> str:
    """The OnCalendar= of the same times.

    Raises ConfigError where day of month and weekday are both given: cron then takes either, systemd
    both.
    """
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ConfigError(
            "cron: systemd can't run on a day of the month or a weekday, whichever comes; give one"
        )
    days = "" if weekday == "*" else _weekdays(weekday) + " "
    return f"{days}*-{_calendar(month, 1)}-{_calendar(day, 1)} {_calendar(hour)}:{_calendar(minute)}:00"


def to_kubernetes(fields: Sequence[str]) -> str:
    """The expression as Kubernetes takes it, which knows no day 7."""
    *others, weekday = fields
    if "7" in weekday:
        names = _weekdays(weekday).split(",")
        weekday = ",".join(sorted(str(_DAYS.index(name)) for name in names))
    return " ".join([*others, weekday])


def _calendar(text: str, first: int = 0) -> str:
    parts = []
    for part in text.split(","):
        body, _, step = part.partition("/")
        low, _, high = body.partition("-")
        if body == "*":
            parts.append(f"{first:02d}/{step}" if step else "*")
        elif high:
            parts.append(f"{int(low):02d}..{int(high):02d}" + (f"/{step}" if step else ""))
        else:
            parts.append(f"{int(low):02d}")
    return ",".join(parts)


def _weekdays(text: str) -> str:
    days: list[str] = []
    for part in text.split(","):
        body, _, step = part.partition("/")
        low, _, high = body.partition("-")
        first, last = (0, 6) if body == "*" else (int(low), int(high or low))
        days += [_DAYS[day] for day in range(first, last + 1, int(step or 1))]
    return ",".join(dict.fromkeys(days))
