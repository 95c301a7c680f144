"""How sure a study's answer is by its single runs: what they tell apart, and what they can't.

Two things make a value another one: other validation rows, and another seed. That the rows are the same
for all trials is a help: two networks are compared on them by McNemar's test. What another seed would do,
single runs don't know, so nothing here is called a difference between configurations.
"""

import math
from dataclasses import dataclass

from pipeline.run.config import ObjectiveConfig
from search.analysis.estimates import mcnemar
from search.analysis.facts import Facts
from search.study.ranking import Configuration, Ranking, key_of
from search.study.shown import shown
from search.study.vocabulary import Entry

_TOP = 10
_ALPHA = 0.05  # chance of a wrong claim about any two of a study's trials


@dataclass(frozen=True)
class Rows:
    """Two trials on the same validation rows. `one`, `other`: how many just that one is right on.

    `p`: of McNemar's test, times the number of pairs of trials: the leader was chosen by these very rows.
    """

    one: int
    other: int
    rows: int
    p: float

    @property
    def apart(self) -> bool:
        """Whether the rows tell the two networks apart."""
        return self.p <= _ALPHA


def on_the_same_rows(facts: Facts, one: Entry, other: Entry) -> Rows | None:
    """How two trials compare row by row; None where that was not kept of one of them."""
    ours, theirs = (None if e.result is None else e.result.hits for e in (one, other))
    if ours is None or theirs is None or ours.rows != theirs.rows:
        return None
    only_one = int((ours.right & ~theirs.right).sum())
    only_other = int((theirs.right & ~ours.right).sum())
    p = mcnemar(only_one, only_other) * math.comb(len(facts.ranking), 2)
    return Rows(only_one, only_other, ours.rows, min(p, 1.0))


def standard_error(share: float, rows: int) -> float:
    """The standard error of the fraction `share` of `rows` independent rows (binomial)."""
    return math.sqrt(max(share * (1 - share), 0.0) / rows)


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
    said = [_lead(facts.ranking, facts.objective), *_by_rows(facts)]
    top = [each.value for each in facts.ranking[:_TOP]]
    if len(top) > 1:
        what = "means" if best.repeats else "trials"
        said.append(f"The best {len(top)} {what} lie between {min(top):.4f} and {max(top):.4f}.")
    said.append(_seeds(facts, best))
    if best.tests:
        test, rows = best.tests["test_accuracy"], facts.about.dataset.test_shape[0]
        said.append(
            f"On the test set, which steered nothing, {_named(best)} is right on {test:.2%}: its {rows:,} "
            f"rows alone leave a standard error of {100 * standard_error(test, rows):.2f} points. The best "
            f"of {len(facts.ranking)} validation values is a little flattered by having been chosen; this "
            "one is not."
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


def _by_rows(facts: Facts) -> list[str]:
    """What the validation rows tell of the best trial and the others; of accuracies of single runs only."""
    best = facts.ranking[0]
    if len(facts.ranking) < 2 or best.repeats:
        return []
    if facts.objective.metric != "val_accuracy":
        return [f"Whether that is more than chance can't be told from one {facts.metric} each."]
    one, *others = facts.ranked
    pair = on_the_same_rows(facts, one, others[0])
    if pair is None:
        return [
            "Whether that is more than chance can't be told: on which validation rows a trial was right was "
            "not kept."
        ]
    said = [f"{_uneven(one, others[0], pair)} {_worth(pair)}"]
    found = {each.number: on_the_same_rows(facts, one, each) for each in others}
    near = [e for e in others if (rows := found[e.number]) is not None and not rows.apart]
    known = sum(rows is not None for rows in found.values())
    if near and known > 1:
        said.append(
            f"The rows can't tell trial {one.number} from {len(near)} of the {known} others."
            + _ranges(facts, [one, *near])
        )
    return said


def _uneven(one: Entry, other: Entry, pair: Rows) -> str:
    return (
        f"Of the same {pair.rows:,} validation rows trial {one.number} alone is right on {pair.one}, and "
        f"trial {other.number} alone on {pair.other}:"
    )


def _worth(pair: Rows) -> str:
    test = f"McNemar's exact test, p = {pair.p:.2g}, corrected for all pairs of trials"
    if not pair.apart:
        return f"the rows can't tell these two networks apart ({test})."
    return (
        f"these two networks differ by more than the rows explain ({test}). Whether their configurations "
        "do is another question: what another seed would change was not measured."
    )


def _ranges(facts: Facts, near: list[Entry]) -> str:
    ranges = []
    for axis in facts.axes:
        values = [e.params[axis.path] for e in near if axis.path in e.params]
        if not axis.labels and values:
            low, high = min(values, key=axis.at), max(values, key=axis.at)
            ranges.append(f"{axis.path} goes from {shown(low)} to {shown(high)}")
    return f" Among all of these {', '.join(ranges)}." if ranges else ""


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
