"""How sure a verdict is: 2,000 studies and more of each kind are judged, whose truth is known.

    python -m benchmarks.verdict                 # a few minutes
    python -m benchmarks.verdict --studies 200

No network is trained. A value is the truth of its configuration, noise of its seed and noise of the
validation rows, which a seed shares among the configurations. Seeds' standard deviations are those
measured on MNIST, 0.0004 to 0.0010, another one for each configuration; differences are told in their
mean, 0.0007. Rows vary by 0.0010. All configurations cost the same, so that the answer to a tie is the one
with the best mean: the choice that flatters most. The study's own values are as those of the best of 30.

`wrong`: a winner that isn't one. `claims`: anything called worse than what it is as good as. `found`: the
truly best is the winner. `tie`: how many can't be told apart. `saved`: runs of the race against all seeds for
all. `mean`, `gain`: how often the 95 % interval contains the truth; in brackets, what it would be over the
seeds of the race. `±`: half the interval of the gain. `study`, `race`, `confirmation`: how far these values
of the answer lie above the truth, in standard deviations of a seed. The exit code is 1 where a bound breaks.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from search.analysis.estimates import Estimate, estimate, less
from search.analysis.plan import Contender, Plan
from search.analysis.verdict import Verdict, judge

SEED_SD = 0.0007
LOW_SD, HIGH_SD = 0.0004, 0.0010
ROW_SD = 0.0010
TRIALS = 30
COVERED = (0.93, 0.97)
PLAN = Plan(metric="val_accuracy", direction="maximize")


class Case(NamedTuple):
    """`truths`: of the configurations, in standard deviations of a seed; the last is the default.

    `times`: as many studies, where a rate is so near its bound that chance could break it.
    """

    name: str
    truths: tuple[float, ...]
    plan: Plan = PLAN
    heavy: bool = False
    times: int = 1


CASES = (
    Case("2 equal", (0, 0), times=5),
    Case("6 equal", (0,) * 6),
    Case("11 equal", (0,) * 11),
    Case("6 equal, noise with heavy tails (t, 4 df)", (0,) * 6, heavy=True),
    Case("2 equal, 4 far behind", (0, 0, -9, -9, -9, -9), times=5),
    Case("3 equal, 3 behind by 1.5", (0, 0, 0, -1.5, -1.5, -1.5)),
    Case("1 of 6 better by 0.5", (0.5, 0, 0, 0, 0, 0)),
    Case("1 of 6 better by 1", (1, 0, 0, 0, 0, 0)),
    Case("1 of 6 better by 2", (2, 0, 0, 0, 0, 0)),
    Case("1 of 6 better by 4", (4, 0, 0, 0, 0, 0)),
    Case("5 equal, default behind by 2", (0, 0, 0, 0, 0, -2)),
    Case("a ladder of 0.5", (0, -0.5, -1, -1.5, -2, -2.5)),
    Case(
        "1 of 2 better by 1, which is the margin",
        (1, 0),
        PLAN.model_copy(update={"margin": SEED_SD}),
    ),
)


class Outcome(NamedTuple):
    """Of one study; None where it has no such number."""

    wrong: bool
    claims: bool
    found: bool
    tie: int
    raced: int
    mean: bool
    mean_raced: bool
    gain: bool | None
    gain_raced: bool | None
    half: float | None
    study: float
    race: float
    confirmation: float


def contenders(case: Case, rng: np.random.Generator) -> list[Contender]:
    """A study's finalists, with all their values."""
    plan, count = case.plan, len(case.truths)
    seeds = plan.max_seeds + plan.confirm
    spread = rng.uniform(LOW_SD, HIGH_SD, count)
    noise = rng.standard_t(4, (count, seeds)) / np.sqrt(2) if case.heavy else None
    noise = rng.standard_normal((count, seeds)) if noise is None else noise
    rows = ROW_SD * rng.standard_normal(seeds)
    truths = 0.978 + SEED_SD * np.array(case.truths)
    values = truths[:, None] + spread[:, None] * noise + rows
    luck = np.sort(rng.standard_normal(max(TRIALS, count)))[::-1][:count]
    studies = truths + spread * rng.permutation(luck)
    return [
        Contender(
            name=str(place),
            parameters=118_282,
            seconds=8.0,
            default=place == count - 1,
            study=float(studies[place]),
            race=dict(enumerate(values[place, : plan.max_seeds].tolist())),
            confirmation=dict(enumerate(values[place, plan.max_seeds :].tolist())),
        )
        for place in range(count)
    ]


def study(case: Case, number: int) -> Outcome:
    """Judge study `number` of `case`, and compare with the truth."""
    rng = np.random.default_rng([*case.name.encode(), number])
    verdict = judge(contenders(case, rng), case.plan)
    truth = {str(place): 0.978 + SEED_SD * each for place, each in enumerate(case.truths)}
    assert verdict.answer is not None
    answer, default = verdict.of(verdict.answer), verdict.default
    assert answer.confirmed is not None
    assert answer.mean is not None
    assert answer.study is not None
    assert default is not None
    ours = truth[answer.name]
    better = ours - max(value for name, value in truth.items() if name != answer.name)
    gain = raced = None
    if answer is not default and verdict.gain is not None:
        seeds = min(len(answer.race), len(default.race))
        gains = less(answer.race[:seeds], default.race[:seeds])
        gain = covers(verdict.gain, ours - truth[default.name])
        raced = covers(estimate(gains, 1 - case.plan.alpha), ours - truth[default.name])
    return Outcome(
        wrong=verdict.outcome == "winner" and better <= case.plan.margin + 1e-9,
        claims=claims_too_much(verdict, truth),
        found=verdict.outcome == "winner" and better > case.plan.margin + 1e-9,
        tie=len(verdict.tie),
        raced=sum(len(each.race) for each in verdict.standings),
        mean=covers(answer.confirmed, ours),
        mean_raced=covers(answer.mean, ours),
        gain=gain,
        gain_raced=raced,
        half=None if gain is None or verdict.gain is None else verdict.gain.half,
        study=(answer.study - ours) / SEED_SD,
        race=(answer.mean.value - ours) / SEED_SD,
        confirmation=(answer.confirmed.value - ours) / SEED_SD,
    )


def claims_too_much(verdict: Verdict, truth: dict[str, float]) -> bool:
    """Whether a configuration dropped out that is as good as the one that it was compared with."""
    return any(
        truth[each.behind.to] - truth[each.name] <= verdict.plan.margin + 1e-9
        for each in verdict.standings
        if each.state == "dropped" and each.behind is not None
    )


def covers(interval: Estimate, truth: float) -> bool:
    """Whether the truth lies in the interval."""
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= truth <= interval.high


def rate(outcomes: Sequence[Outcome], name: str) -> float:
    """The mean of one number over the studies that have it."""
    found = [getattr(each, name) for each in outcomes if getattr(each, name) is not None]
    return float(np.mean(found))


def broken(case: Case, outcomes: Sequence[Outcome]) -> list[str]:
    """The bounds that these studies break."""
    low, high = COVERED
    alpha = case.plan.alpha
    found = {name: rate(outcomes, name) for name in ("wrong", "claims", "mean", "gain")}
    return [
        *(f"{case.name}: {n} {found[n]:.1%}" for n in ("wrong", "claims") if found[n] > alpha),
        *(
            f"{case.name}: {n} {found[n]:.1%}"
            for n in ("mean", "gain")
            if not low <= found[n] <= high
        ),
    ]


def line(case: Case, outcomes: Sequence[Outcome]) -> str:
    """A row of the table."""
    of = {name: rate(outcomes, name) for name in Outcome._fields}
    saved = 1 - of["raced"] / (len(case.truths) * case.plan.max_seeds)
    best = max(case.truths)
    unique = case.truths.count(best) == 1 and case.plan.margin == 0
    found = f"{of['found']:.1%}" if unique else ""
    return (
        f"| {case.name} | {of['wrong']:.1%} | {of['claims']:.1%} | {found} | {of['tie']:.1f} | {saved:.0%} "
        f"| {of['mean']:.1%} ({of['mean_raced']:.1%}) | {of['gain']:.1%} ({of['gain_raced']:.1%}) "
        f"| {of['half']:.4f} | {of['study']:+.2f} | {of['race']:+.2f} | {of['confirmation']:+.2f} |"
    )


def main() -> None:
    """Print a row for each kind of study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2000)
    arguments = parser.parse_args()
    print(
        "| truth | wrong | claims | found | tie | saved | mean | gain | ± | study | race | confirmation |"
    )
    print("|---|" + "---:|" * 11)
    failures: list[str] = []
    with ProcessPoolExecutor() as pool:
        for case in CASES:
            numbers = range(arguments.studies * case.times)
            outcomes = list(pool.map(partial(study, case), numbers, chunksize=50))
            print(line(case, outcomes), flush=True)
            failures += broken(case, outcomes)
    sys.exit("\n".join(failures) or 0)


if __name__ == "__main__":
    main()
