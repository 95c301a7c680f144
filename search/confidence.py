"""How sure a study's answer is: what its best trial's lead is worth."""

import math

from pipeline.config import ObjectiveConfig
from pipeline.data import validation_start
from search.facts import Facts
from search.records import shown
from search.study import Entry

_TOP = 10


def validation_rows(facts: Facts, entry: Entry) -> int:
    """How many rows the objective of a trial was measured on."""
    rows = facts.about.dataset.train_shape[0]
    return rows - validation_start(rows, float(entry.run["train.validation_split"]))


def standard_error(share: float, rows: int) -> float:
    """Of a fraction of `rows` independent rows (binomial)."""
    return math.sqrt(max(share * (1 - share), 0.0) / rows)


def tied(facts: Facts) -> list[Entry]:
    """The complete trials within one standard error of the best, that one first; accuracies only."""
    best = facts.ranked[0]
    rows = validation_rows(facts, best)
    if facts.objective.metric != "val_accuracy" or best.value is None or not rows:
        return [best]
    error = standard_error(best.value, rows)
    return [entry for entry in facts.ranked if best.value - (entry.value or 0.0) <= error]


def sentences(facts: Facts) -> list[str]:
    """What can be said of the best trial's lead, most telling first; nothing without a complete trial."""
    if not facts.ranked or facts.ranked[0].value is None:
        return []
    best, value = facts.ranked[0], facts.ranked[0].value
    said = [_lead(facts.ranked, facts.objective)]
    rows = validation_rows(facts, best)
    if facts.objective.metric == "val_accuracy" and rows:
        said.append(_ties(facts, value, rows))
    top = [entry.value or 0.0 for entry in facts.ranked[:_TOP]]
    if len(top) > 1:
        said.append(f"The best {len(top)} trials lie between {min(top):.4f} and {max(top):.4f}.")
    seeds = {entry.run["train.seed"] for entry in facts.ranked}
    if len(seeds) == 1:
        said.append(
            f"Every trial was trained once, with the seed {seeds.pop()}: how much another seed would "
            "change a value was not measured."
        )
    if best.result is not None:
        test = best.result.test["test_accuracy"]
        error = standard_error(test, facts.about.dataset.test_shape[0])
        said.append(
            f"On the test set, which steered nothing, trial {best.number} is right on {test:.2%} "
            f"(standard error {100 * error:.2f} points). The best of {len(facts.ranked)} validation "
            "values is a little flattered by having been chosen; this one is not."
        )
    return said


def _lead(ranked: list[Entry], objective: ObjectiveConfig) -> str:
    if len(ranked) < 2:
        return "Only one trial is complete: there is nothing to compare it with."
    best, second = ranked[:2]
    lead = abs((best.value or 0.0) - (second.value or 0.0))
    if not lead:
        return f"Trials {best.number} and {second.number} have the same {objective.metric}."
    return f"Trial {best.number} leads the second, trial {second.number}, by {lead:.4f}."


def _ties(facts: Facts, value: float, rows: int) -> str:
    error = standard_error(value, rows)
    others = tied(facts)[1:]
    text = f"A {facts.metric} over {rows:,} rows has a standard error of about {error:.4f}: "
    if not others:
        return text + "no other trial comes that close."
    text += f"{len(others)} other {'trial is' if len(others) == 1 else 'trials are'} that close, "
    text += "and may be as good in truth."
    ranges = []
    for axis in facts.axes:
        values = [e.params[axis.path] for e in tied(facts) if axis.path in e.params]
        if not axis.labels and values:
            low, high = min(values, key=axis.at), max(values, key=axis.at)
            ranges.append(f"{axis.path} goes from {shown(low)} to {shown(high)}")
    return f"{text} Among all of these {', '.join(ranges)}." if ranges else text
