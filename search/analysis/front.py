"""What accuracy costs: the configurations than which none is both cheaper and better."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.run.config import Cost
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.study.front import unbeaten
from search.study.ranking import Configuration
from search.study.space import Stored
from search.study.vocabulary import Entry

COSTS: tuple[Cost, ...] = ("parameters", "train_seconds")
"""By which every study has a front."""


@dataclass(frozen=True)
class Priced:
    """A configuration with what it costs. `seconds`: of training, the mean over its trials.

    `value`: the objective, the mean over fresh seeds where a verdict has one, with the ends of its
    interval; else the study's own mean, whose spread is not known where the seed doesn't vary.
    """

    configuration: Configuration
    value: float
    low: float | None
    high: float | None
    seconds: float

    @property
    def entry(self) -> Entry:
        """The trial that stands for it."""
        return self.configuration.entry

    @property
    def params(self) -> Mapping[str, Stored]:
        """The parameters that its trials share."""
        return self.configuration.params

    def cost(self, name: Cost) -> float:
        """One of its costs."""
        return self.seconds if name == "train_seconds" else self.configuration.cost(name)


def priced(facts: Facts, finalists: Finalists | None = None) -> list[Priced]:
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
        seconds = statistics.fmean(facts.train_seconds(entry) for entry in each.trials)
        found.append(Priced(each, value, low, high, seconds))
    sign = -1 if facts.objective.maximizes else 1
    return sorted(found, key=lambda each: (sign * each.value, each.entry.number))


def front(facts: Facts, configurations: Sequence[Priced], cost: Cost) -> list[Priced]:
    """Those of `configurations`, which come best first, that none beats in both, cheapest first."""
    return unbeaten(configurations, cost, facts.objective)


def costs_of(facts: Facts) -> tuple[Cost, ...]:
    """By which a study has a front, the one that it searched first."""
    asked = facts.objective.cost
    return COSTS if asked is None else tuple(dict.fromkeys((asked, *COSTS)))


def as_csv(facts: Facts, finalists: Finalists | None = None) -> str:
    """The fronts of a study, cheapest first, with all digits; `front` names the cost that each row is for."""
    configurations, metric = priced(facts, finalists), facts.objective.metric
    params = list(dict.fromkeys(path for each in configurations for path in each.params))
    ends = [f"{metric}_low", f"{metric}_high"]
    costs = list(dict.fromkeys(n for each in configurations for n in each.entry.result.costs))  # type: ignore[union-attr]
    text = io.StringIO()
    heads = ["front", "trial", *params, metric, *ends, *COSTS, *costs]
    writer = csv.DictWriter(text, heads, restval="", lineterminator="\n")
    writer.writeheader()
    for cost in costs_of(facts):
        for each in front(facts, configurations, cost):
            cells: dict[str, object] = {"front": cost, "trial": each.entry.number, **each.params}
            known = {metric: each.value, ends[0]: each.low, ends[1]: each.high}
            cells |= {name: value for name, value in known.items() if value is not None}
            cells |= {"parameters": int(each.cost("parameters"))}
            cells |= {"train_seconds": f"{each.seconds:.3f}"}
            cells |= dict(each.entry.result.costs) if each.entry.result else {}
            writer.writerow(cells)
    return text.getvalue()
