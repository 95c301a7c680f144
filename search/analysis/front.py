"""What accuracy costs: the configurations than which none is both cheaper and better."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from search.analysis.facts import Facts
from search.study.space import Stored
from search.study.vocabulary import Entry

if TYPE_CHECKING:  # it brings scipy
    from search.analysis.finalists import Finalists

Cost = Literal["parameters", "train_seconds"]
COSTS: tuple[Cost, ...] = ("parameters", "train_seconds")


@dataclass(frozen=True)
class Priced:
    """A configuration with what it costs. `entry`: the trial that stands for it.

    `value`: the objective, the mean over fresh seeds where a verdict has one, with the ends of its
    interval; else the study's own mean, whose spread is not known where the seed doesn't vary.
    """

    entry: Entry
    params: Mapping[str, Stored]
    value: float
    low: float | None
    high: float | None
    seconds: float

    def cost(self, name: Cost) -> float:
        """Its weights, or the seconds of its training."""
        if name == "train_seconds":
            return self.seconds
        assert self.entry.result is not None, "it is complete"
        return float(self.entry.result.parameters)


def priced(facts: Facts, finalists: "Finalists | None" = None) -> list[Priced]:
    """The configurations of a study that ended with a value, best first."""
    verdict = None if finalists is None else finalists.verdict
    measured = {}
    if finalists is not None and verdict is not None:
        for standing in verdict.standings:
            entry = finalists.all[standing.name].entry
            if entry is not None and standing.mean is not None:
                measured[facts.ranking.of(entry).entry.number] = standing.mean
    found = []
    for each in facts.ranking:
        if each.entry.result is None:
            continue
        mean = measured.get(each.entry.number)
        value, low, high = (
            (each.value, None, None) if mean is None else (mean.value, mean.low, mean.high)
        )
        seconds = facts.train_seconds(each.entry)
        found.append(Priced(each.entry, each.params, value, low, high, seconds))
    sign = -1 if facts.objective.maximizes else 1
    return sorted(found, key=lambda each: (sign * each.value, each.entry.number))


def front(facts: Facts, configurations: Sequence[Priced], cost: Cost) -> list[Priced]:
    """Those of `configurations` that none is both cheaper and better than, cheapest first.

    They come best first.
    """
    found: list[Priced] = []
    # Of equals the better comes first.
    for each in sorted(configurations, key=lambda each: each.cost(cost)):
        if facts.objective.better(each.value, found[-1].value if found else None):
            found.append(each)
    return found


def as_csv(facts: Facts, finalists: "Finalists | None" = None) -> str:
    """The fronts of a study, cheapest first, with all digits; `front` names the cost that each row is for."""
    configurations, metric = priced(facts, finalists), facts.objective.metric
    params = list(dict.fromkeys(path for each in configurations for path in each.params))
    ends = [f"{metric}_low", f"{metric}_high"]
    costs = list(dict.fromkeys(n for each in configurations for n in each.entry.result.costs))  # type: ignore[union-attr]
    text = io.StringIO()
    heads = ["front", "trial", *params, metric, *ends, *COSTS, *costs]
    writer = csv.DictWriter(text, heads, restval="", lineterminator="\n")
    writer.writeheader()
    for cost in COSTS:
        for each in front(facts, configurations, cost):
            cells: dict[str, object] = {"front": cost, "trial": each.entry.number, **each.params}
            known = {metric: each.value, ends[0]: each.low, ends[1]: each.high}
            cells |= {name: value for name, value in known.items() if value is not None}
            cells |= {"parameters": int(each.cost("parameters"))}
            cells |= {"train_seconds": f"{each.seconds:.3f}"}
            cells |= dict(each.entry.result.costs) if each.entry.result else {}
            writer.writerow(cells)
    return text.getvalue()
