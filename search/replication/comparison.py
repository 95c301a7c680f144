"""Published figures beside measured ones: as text of 93 columns, as markdown, as JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HEADS = ("network", "metric", "published", "measured", "difference", "seconds")


@dataclass(frozen=True)
class Compared:
    """A network or the forest: what its source reports, and what was measured, seed by seed."""

    name: str
    published: Mapping[str, float]
    measured: Sequence[Mapping[str, float]]
    seconds: Sequence[float]

    def values(self, metric: str) -> list[float]:
        """`metric`, seed by seed."""
        return [each[metric] for each in self.measured]

    def difference(self, metric: str) -> float | None:
        """The mean less the published figure; None where nothing is published."""
        published = self.published.get(metric)
        return None if published is None else statistics.fmean(self.values(metric)) - published

    def rows(self) -> list[tuple[str, ...]]:
        """One row of cells for the test accuracy and for every other published metric."""
        metrics = dict.fromkeys(["test_accuracy", *self.published])
        return [
            (
                self.name if index == 0 else "",
                metric.replace("_", " "),
                _number(self.published.get(metric)),
                _with_spread(self.values(metric)),
                _number(self.difference(metric), "+"),
                f"{statistics.fmean(self.seconds):.0f}" if index == 0 else "",
            )
            for index, metric in enumerate(metrics)
        ]


def as_text(compared: Sequence[Compared]) -> str:
    """A table for the terminal."""
    table = [_HEADS, *(row for each in compared for row in each.rows())]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def as_markdown(compared: Sequence[Compared]) -> str:
    """A table for a page."""
    rows: list[tuple[str, ...]] = [_HEADS, ("---", "---", "---:", "---:", "---:", "---:")]
    for each in compared:
        rows += [(f"`{row[0]}`" if row[0] else "", *row[1:]) for row in each.rows()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(compared: Sequence[Compared]) -> str:
    """All digits of what was measured."""
    tree = [
        {
            "name": each.name,
            "published": dict(each.published),
            "difference": {metric: each.difference(metric) for metric in each.published},
            "measured": {metric: each.values(metric) for metric in each.measured[0]},
            "seconds": list(each.seconds),
        }
        for each in compared
    ]
    return json.dumps(tree, indent=1)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"


def _with_spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{spread}"
