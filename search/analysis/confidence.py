"""How sure a study's answer is: what its best trial's lead is worth."""

import math

from pipeline.data import validation_start
from pipeline.run.config import ObjectiveConfig
from search.analysis.facts import Facts
from search.study.ranking import Configuration, Ranking, key_of
from search.study.shown import shown
from search.study.vocabulary import Entry

_TOP = 10


def validation_rows(facts: Facts, entry: Entry) -> int:
    """How many rows the objective of a trial was measured on."""
    rows = facts.about.dataset.train_shape[0]
    return rows - validation_start(rows, float(entry.settings["train.validation_split"]))


def standard_error(share: float, rows: int) -> float:
    """The standard error of the fraction `share` of `rows` independent rows (binomial)."""
    return math.sqrt(max(share * (1 - share), 0.0) / rows)


def tied(facts: Facts) -> list[Entry]:
    """The trials within one standard error of the best, that one first; accuracies only.

    Where the seed varies, those that stand for the configurations whose means are that close.
    """
    best = facts.ranking[0]
    rows = validation_rows(facts, best.entry)
    if facts.objective.metric != "val_accuracy" or not rows:
        return [best.entry]
    error = standard_error(best.value, rows)
    return [each.entry for each in facts.ranking if best.value - each.value <= error]


def sentences(facts: Facts) -> list[str]:
    """What can be said of the best trial's lead, most telling first; nothing without a complete trial."""
    if not facts.ranking:
        return []
    if facts.apart:
        return [
            f"Nothing: {path} differs from trial to trial, and {reason}. Their {facts.metric} can't be "
            "compared, and the order in which they are shown means nothing."
            for path, reason in facts.apart.items()
        ]
    best = facts.ranking[0]
    said = [_lead(facts.ranking, facts.objective)]
    rows = validation_rows(facts, best.entry)
    if facts.objective.metric == "val_accuracy" and rows:
        said.append(_ties(facts, best.value, rows))
    top = [each.value for each in facts.ranking[:_TOP]]
    if len(top) > 1:
        what = "means" if best.repeats else "trials"
        said.append(f"The best {len(top)} {what} lie between {min(top):.4f} and {max(top):.4f}.")
    said.append(_seeds(facts, best))
    if best.tests:
        test = best.tests["test_accuracy"]
        error = standard_error(test, facts.about.dataset.test_shape[0])
        said.append(
            f"On the test set, which steered nothing, {_named(best)} is right on {test:.2%} "
            f"(standard error {100 * error:.2f} points). The best of {len(facts.ranking)} validation "
            "values is a little flattered by having been chosen; this one is not."
        )
    return said


def _named(best: Configuration) -> str:
    number = best.entry.number
    return f"the configuration of trial {number}" if best.repeats else f"trial {number}"


def _lead(ranking: Ranking, objective: ObjectiveConfig) -> str:
    if len(ranking) < 2:
        what = "configuration" if ranking[0].repeats else "trial"
        return f"Only one {what} is complete: there is nothing to compare it with."
    best, second = ranking[:2]
    one, other = best.entry.number, second.entry.number
    lead = abs(best.value - second.value)
    if best.repeats:
        if not lead:
            return f"The configurations of trials {one} and {other} have the same mean."
        return (
            f"The mean of the configuration of trial {one} leads the second, that of trial {other}, "
            f"by {lead:.4f}."
        )
    if not lead:
        return f"Trials {one} and {other} have the same {objective.metric}."
    return f"Trial {one} leads the second, trial {other}, by {lead:.4f}."


def _seeds(facts: Facts, best: Configuration) -> str:
    """How often the best was measured, and whether a mean leaves out what went badly."""
    if not best.repeats:
        return (
            f"Every trial was trained once, with the seed {best.entry.settings['train.seed']}: how much "
            "another seed would change a value was not measured."
        )
    if best.spread is None:
        said = "The best was trained with one seed: its spread was not measured."
    else:
        said = (
            f"The best was trained with {best.seeds} seeds, standard deviation {best.spread:.4f}; the "
            "seed nearest to the mean stands for it, not the luckiest."
        )
    lost = [
        entry
        for entry in facts.entries
        if entry.state in ("pruned", "failed") and key_of(entry) == key_of(best.entry)
    ]
    if lost:
        many = "seeds were" if len(lost) > 1 else "seed was"
        said += f" {len(lost)} more {many} stopped early or failed: the mean is flattered by that."
    return said


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
