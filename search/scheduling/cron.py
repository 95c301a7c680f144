"""Cron expressions: checked, written with numbers, and said in each scheduler's own words."""

import re
from calendar import monthrange
from collections.abc import Sequence

from pipeline.command.errors import ConfigError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# A step goes with * or a range: of 7/2 cron makes 7, Kubernetes and systemd 7 and on.
_PART = re.compile(r"(?:\*|([0-9]{1,2})-([0-9]{1,2}))(?:/([0-9]{1,2}))?|([0-9]{1,2})")


def check(expression: str) -> tuple[str, ...]:
    """The five fields of `expression`, with numbers for names and for @daily and its like.

    Raises ConfigError naming the field, its range and the value; also for a day that never comes.
    """
    written = expression.strip(" ").lower()
    texts = re.split(r"[ \t]+", _NICKNAMES.get(written, written))
    if len(texts) != len(_FIELDS):
        raise ConfigError(
            "cron: expected five fields (minute hour day month weekday) or one of "
            f"{', '.join(_NICKNAMES)}, got {expression!r}"
        )
    fields = tuple(
        ",".join(_in_numbers(part, *field) for part in text.split(","))
        for text, field in zip(texts, _FIELDS, strict=True)
    )
    _, _, day, month, weekday = fields
    if day != "*" and weekday != "*" and "*" in day + weekday:
        raise ConfigError(
            f"cron: of day of month {day} and day of week {weekday} some schedulers want both, some "
            "either; give one, or the step with a range, which is either (1-31/2)"
        )
    longest = max(monthrange(2024, number)[1] for number in _numbers(month, 1, 12))  # a leap year
    if weekday == "*" and min(_numbers(day, 1, 31)) > longest:
        raise ConfigError(f"cron: day of month {day} never comes in month {month}; give another")
    return fields


def _in_numbers(part: str, name: str, low: int, high: int, names: Sequence[str]) -> str:
    """`part` of a field, with numbers for its `names`."""
    numbers = {word: str(low + place) for place, word in enumerate(names)}
    text = re.sub("[a-z]+", lambda word: numbers.get(word[0], word[0]), part)
    if names is _DAYS:
        text = re.sub(r"([1-6])-0", r"\1-7", text)  # FRI-SUN
    match = _PART.fullmatch(text)
    first, last, step, alone = match.groups() if match else (None,) * 4
    bounds = [int(number) for number in (first, last, alone) if number]
    outside = any(not low <= bound <= high for bound in bounds)
    # A longer step leads nowhere, and systemd takes none.
    strays = step is not None and not 1 <= int(step) <= high - low
    if match is None or outside or bounds != sorted(bounds) or strays:
        named = f", {names[0].upper()} to {names[-1].upper()}" if names else ""
        raise ConfigError(
            f"cron: {name}: expected *, numbers from {low} to {high}{named}, ranges 1-5, lists 1,2 "
            f"or, of * and ranges, steps */2, 1-5/2 up to {high - low}, got {part!r}"
        )
    return text


def _numbers(text: str, low: int, high: int) -> list[int]:
    """All numbers that a checked field stands for, where * is `low` to `high`."""
    found: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        begin, end = (low, high) if body == "*" else (int(first), int(last or first))
        found.update(range(begin, end + 1, int(step or 1)))
    return sorted(found)


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
    days = (
        "" if weekday == "*" else ",".join(_DAYS[day].title() for day in _weekdays(weekday)) + " "
    )
    return f"{days}*-{_calendar(month, 1)}-{_calendar(day, 1)} {_calendar(hour)}:{_calendar(minute)}:00"


def to_crontab(fields: Sequence[str]) -> str:
    """The expression as cron, Kubernetes and scrontab read it alike.

    Kubernetes knows no day 7; scrontab counts steps from the field's beginning, not the range's.
    """
    *others, weekday = fields
    for place, text in enumerate(others):
        if "/" in text and not re.fullmatch(r"\*/[0-9]+", text):
            _, low, high, _ = _FIELDS[place]
            others[place] = ",".join(map(str, _numbers(text, low, high)))
    if "7" in weekday or "/" in weekday:
        weekday = ",".join(map(str, _weekdays(weekday)))
    return " ".join([*others, weekday])


def _calendar(text: str, first: int = 0) -> str:
    """A field as OnCalendar= has it: `00/15` for `*/15`, `08..18` for `8-18`."""
    text = text.replace("*/", f"{first}/").replace("-", "..")
    return re.sub(r"(?<![/0-9])[0-9](?![0-9])", r"0\g<0>", text)


def _weekdays(text: str) -> list[int]:
    return sorted({number % 7 for number in _numbers(text, 0, 6)})
