"""A forecast for people to read."""

import textwrap
from collections.abc import Iterable

from pipeline.run.config import RunConfig
from pipeline.run.custom import CustomConfig
from search.forecasting.forecast import Forecast, Span, TrialForecast

_COLUMN = 17


def words(
    name: str, found: Forecast, base: RunConfig, measured: int, rows: int, prunes: bool
) -> list[str]:
    """Line by line. `measured`, `rows`: how many runs, and trials on record, it goes by."""
    means = found.means
    usual = base.parameters()
    facts = [
        ("wall time", _span(found.wall)),
        ("a typical trial", _trial(found.typical, usual)),
        ("the cheapest", _trial(found.cheapest, usual)),
        ("the dearest", _trial(found.dearest, usual)),
        ("trials per hour", f"{found.per_hour:.0f}"),
        ("memory", _memory(found)),
        ("disk", _disk(found)),
        ("launches", _launches(found)),
    ]
    by_workers = [
        (_counted(count, "worker"), _span(span)) for count, span in found.by_workers.items()
    ]
    who = f"{_counted(found.trials, 'trial')} to come, with {_counted(means.workers, 'worker')}"
    lines = [f"{name}: {who}."]
    lines += [wrapped(f"  {what:<{_COLUMN}}{said}") for what, said in (*facts, *by_workers)]
    lines.append("Assumed:")
    lines += [wrapped(f"  - {said}", 4) for said in _assumed(found, base, prunes)]
    known = (
        f"By {measured} measured runs and {rows} trials on record of this machine; what a trial takes is "
        f"known to within {found.spread:.0%}."
    )
    return [*lines, wrapped(known, 0)]


def wrapped(line: str, indent: int = _COLUMN + 2) -> str:
    """`line` for a terminal of 80 columns, what does not fit below it."""
    return textwrap.fill(
        line, 80, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def duration(seconds: float) -> str:
    """`seconds` as one says them."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def seconds_in(number: str, unit: str) -> float:
    """What `duration` said, in seconds."""
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _span(span: Span) -> str:
    return f"{duration(span.median)} (80 %: {duration(span.low)} to {duration(span.high)})"


def _trial(trial: TrialForecast, usual: dict[str, str]) -> str:
    own = trial.run.parameters()
    changed = [f"{path}={_short(text)}" for path, text in own.items() if usual[path] != text]
    return " ".join([f"{duration(trial.seconds):<9}", *changed]).rstrip()


def _short(text: str) -> str:
    try:
        return f"{float(text):.3g}" if "." in text or "e" in text else text
    except ValueError:
        return text


def _memory(found: Forecast) -> str:
    each = found.means.memory_mib
    if each is None:
        return "not measured (forecast.fresh=true does that)"
    workers = found.means.workers
    return f"{each / 1024:.1f} GiB a worker, {workers * each / 1024:.1f} GiB in all"


def _disk(found: Forecast) -> str:
    records = f"{found.records_bytes / 2**20:.1f} MiB of table and artifacts"
    if found.weights_bytes is None:
        return f"{records}; weights of a network of one's own are not counted"
    return f"{found.weights_bytes / 2**20:.1f} MiB of weights, {records}"


def _launches(found: Forecast) -> str:
    means = found.means
    limit = f"{duration(means.launch_seconds)} ({means.limit})"
    if found.launches is None:
        return f"no trial can end in one of {limit}"
    return f"{found.launches} of {limit}"


def _assumed(found: Forecast, base: RunConfig, prunes: bool) -> Iterable[str]:
    if isinstance(base.model, CustomConfig):
        yield (
            f"{base.model.build} takes what its measured runs took, whatever its settings: what is in "
            "it is not known here"
        )
    if prunes:
        yield (
            "trials are pruned by curves that are made up, in which a larger network is more often the "
            f"better one: {found.share:.0%} of all epochs are trained"
        )
    elif found.share < 1:
        yield f"{found.share:.0%} of all epochs are trained, the others end before or go on"
    else:
        yield "every trial trains all its epochs"
    yield "what the sampler suggests depends on results: here on made-up ones"
    workers, cores = found.means.workers, found.means.cores
    if cores is None:
        yield "each worker has a core of its own"
    else:
        yield (
            f"a trial takes as long as with {_counted(workers, 'worker')}; more than the {cores} that "
            "there is room for share it"
        )
