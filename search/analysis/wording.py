"""A verdict in words: short sentences, most telling first."""

import math
from collections.abc import Iterator, Sequence

from search.analysis.estimates import Estimate
from search.analysis.race import Standing
from search.analysis.verdict import Verdict, by_cost


def words(verdict: Verdict) -> list[str]:
    """What can be said of `verdict`; a difference is called one only where it is beyond chance."""
    said = [_outcome(verdict), *_others(verdict)]
    if verdict.answer is not None:
        answer = verdict.of(verdict.answer)
        said += [_mean(verdict, answer), *_gain(verdict, answer), *_curse(verdict, answer)]
        if verdict.test:
            tests = ", ".join(f"{name} {shown(each)}" for name, each in verdict.test.items())
            said.append(f"On the test set, looked at after this stood: {tests}.")
    return said


def shown(estimate: Estimate) -> str:
    """`0.9791 ± 0.0004`: with as many digits as tell of the spread, at least four."""
    half = estimate.half
    if not half:
        return f"{estimate.value:.4f}" + ("" if half == 0 else " (spread not known)")
    digits = max(4, -math.floor(math.log10(half)))
    return f"{estimate.value:.{digits}f} ± {half:.{digits}f}"


HEADS = ("race", "behind", "p", "fresh seeds", "weights")
"""What `cells` stand under."""


def cells(standing: Standing, unraced: str = "") -> list[str]:
    """Where a configuration stands, for a table. `unraced`: for one that had nobody to race with."""
    behind = standing.behind
    without = "diverged" if standing.state == "diverged" else unraced
    return [
        without if standing.mean is None else shown(standing.mean),
        "" if behind is None else shown(behind),
        "" if behind is None or behind.p is None else f"{behind.p:.2g}",
        "" if standing.confirmed is None else shown(standing.confirmed),
        f"{standing.parameters:,}",
    ]


def _outcome(verdict: Verdict) -> str:
    name = verdict.answer
    if name is None:
        return "Every configuration diverged with some seed: there is no answer."
    answer = verdict.of(name)
    if verdict.outcome == "only":
        why = (
            "the only one"
            if len(verdict.standings) == 1
            else "the only one that diverged with no seed"
        )
        return f"{name} is {why}: there is nothing to compare it with."
    if verdict.outcome == "winner":
        beaten = [each for each in verdict.standings if each.state == "dropped"]
        others = beaten[0].name if len(beaten) == 1 else f"the {len(beaten)} others"
        seeds = _count(len(answer.race), "seed")
        return f"{name} is the winner: over {seeds} it is ahead of {others} beyond chance."
    tied = [verdict.of(each) for each in verdict.tie]
    same = by_cost(tied, verdict.plan)[0]
    said = f"{len(tied)} configurations can't be told apart"
    if len(answer.race) < 2:
        said += ", as one seed shows no spread"
    if len(same) == 1:
        cost = f"{answer.parameters:,} parameters, {answer.seconds:.1f} s"
        return f"{said}; of these {name} is the cheapest ({cost})."
    which = f"{len(same)} of these" if len(same) < len(tied) else "all" if len(tied) > 2 else "both"
    return f"{said}; {which} are equally cheap, and {name} has the best mean of them."


def _others(verdict: Verdict) -> Iterator[str]:
    dropped = [each for each in verdict.standings if each.state == "dropped"]
    if dropped and verdict.outcome == "tie":
        yield f"{_names(dropped)} {_are(dropped)} behind beyond chance."
    diverged = [each for each in verdict.standings if each.state == "diverged"]
    if diverged and verdict.answer is not None:
        yield f"{_names(diverged)} diverged with at least one seed, and {_are(diverged)} out."


def _mean(verdict: Verdict, answer: Standing) -> str:
    seeds = len(answer.confirmation)
    if answer.confirmed is None:
        return (
            f"With {answer.confirmation.count(None)} of {_count(seeds, 'seed')} that took no part in the "
            f"choice {answer.name} diverged: the mean of the others would flatter it and is not given."
        )
    level = f" ({1 - verdict.plan.alpha:.0%})" if answer.confirmed.half is not None else ""
    return (
        f"Over {_count(seeds, 'seed')} that took no part in the choice, {answer.name} has "
        f"{verdict.plan.metric} {shown(answer.confirmed)}{level}."
    )


def _gain(verdict: Verdict, answer: Standing) -> Iterator[str]:
    default, gain, margin = verdict.default, verdict.gain, verdict.plan.margin
    if default is None:
        yield "No default was compared: what the search gained is not known."
    elif answer is default:
        yield "This is what the study started from: the search gained nothing."
    elif gain is None:
        if answer.confirmed is not None:
            yield f"As {default.name} diverged, what the search gained over it is not known."
    elif verdict.gained is None:
        yield (
            f"It is {shown(gain)} better than {default.name}: whether that is chance is not known."
        )
    elif verdict.gained:
        beyond = f", more than the margin of {margin:g}" if margin else ""
        yield f"The search gained {shown(gain)} over {default.name}{beyond}."
    elif gain.high is not None and gain.high < -margin:
        yield f"The search lost {shown(_minus(gain))} against {default.name}: the price of the cheaper one."
    else:
        beyond = f"that counts beside the margin of {margin:g}" if margin else ""
        yield (
            f"The search gained nothing {beyond or 'that could be told from chance'}: "
            f"{shown(gain)} over {default.name}."
        )
        if default.state == "dropped":
            yield (
                f"In the race {default.name} was behind beyond chance; the seeds that took no part in it "
                "are too few to show that by themselves."
            )


def _curse(verdict: Verdict, answer: Standing) -> Iterator[str]:
    curse, plan = verdict.curse, verdict.plan
    if curse is None or answer.study is None:
        return
    better = curse if curse.value >= 0 else _minus(curse)
    side = "above" if (curse.value >= 0) == (plan.sign > 0) else "below"
    said = f"The study's own value of it, {answer.study:.4f}, lies {shown(better)} {side} that mean"
    yield said + (": the winner's curse." if curse.low is not None and curse.low > 0 else ".")


def _minus(estimate: Estimate) -> Estimate:
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return estimate.model_copy(update={"value": -estimate.value})
    return estimate.model_copy(update={"value": -estimate.value, "low": -high, "high": -low})


def _names(standings: Sequence[Standing]) -> str:
    *first, last = (each.name for each in standings)
    return f"{', '.join(first)} and {last}" if first else last


def _are(standings: Sequence[Standing]) -> str:
    return "is" if len(standings) == 1 else "are"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
