"""Whether a study's winner is one: what its finalists' values over fresh seeds say, as data.

The client trains what `needed` asks for until it asks for nothing, then has it judged, and only then
hands over the test metrics:

    while runs := needed(contenders, plan):
        contenders = ...  # with the values of `runs`
    verdict = unsealed(judge(contenders, plan), {"test_accuracy": {seed: value, ...}})

Every decision is a function of the values by seed: a study that was killed gets the same verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from pipeline.command.section import Section
from search.analysis.estimates import Difference, Estimate, chances, estimate, less
from search.analysis.plan import Contender, Plan, Run, complete, first, lacking
from search.analysis.race import Race, Standing, race

SAME_SECONDS = 0.1
"""Times of training that differ by no more than this share are the same: a machine isn't steadier."""

Outcome = Literal["winner", "tie", "only", "none"]


class Verdict(Section):
    """What the finalists of a study showed.

    `outcome`: a `winner`, better than all others beyond chance; a `tie`; the `only` one that could be
    judged; `none` where all diverged. `standings`: of all, best first, those who are still in before
    those who aren't. `tie`: those who can't be told from the best, cheapest first. `answer`: the first of
    these.

    From the confirmation's seeds, which chose nothing: `gain`, how much better the answer is than the
    default, 0 where it is the default, None where there is none to compare with; `gained`, whether that
    is beyond chance and the margin; `curse`, how much the study's own value of the answer flattered it.

    `runs`: how many trainings it stands on. `test`: the test metrics of the answer.
    """

    plan: Plan
    outcome: Outcome
    standings: tuple[Standing, ...]
    leader: str | None
    tie: tuple[str, ...]
    answer: str | None
    gain: Difference | None
    gained: bool | None
    curse: Estimate | None
    runs: int
    test: dict[str, Estimate] = Field(default_factory=dict)

    def of(self, name: str) -> Standing:
        """The configuration of that name."""
        return next(each for each in self.standings if each.name == name)

    @property
    def default(self) -> Standing | None:
        """The study's starting point, where it was compared."""
        return next((each for each in self.standings if each.default), None)


@dataclass(frozen=True)
class _Decision:
    """What the race decided. `tie`: cheapest first. `again`: who is confirmed. `missing`: what it lacks."""

    race: Race
    tie: tuple[str, ...]
    again: Mapping[str, Contender]
    missing: tuple[Run, ...]


def needed(contenders: Sequence[Contender], plan: Plan) -> tuple[Run, ...]:
    """The runs without which the next decision can't be made; empty once the verdict stands."""
    return _decide(contenders, plan).missing


def judge(contenders: Sequence[Contender], plan: Plan) -> Verdict:
    """The verdict on values that are complete; values that no decision needed change nothing."""
    decision = _decide(contenders, plan)
    if lacks := decision.missing:
        raise ValueError(f"no verdict before {len(lacks)} more runs, the first of them {lacks[0]}")
    again = decision.again
    standings = [
        _confirmed(each, again[each.name], plan) if each.name in again else each
        for each in decision.race.standings
    ]
    standings.sort(key=lambda each: _place(each, plan))
    answer = next((each for each in standings if decision.tie[:1] == (each.name,)), None)
    default = next((each for each in standings if each.default), None)
    gain = _gain(answer, default, plan)
    return Verdict(
        plan=plan,
        outcome=_outcome(standings),
        standings=tuple(standings),
        leader=decision.race.leader,
        tie=decision.tie,
        answer=answer.name if answer else None,
        gain=gain,
        gained=None if gain is None or gain.p is None else gain.p <= plan.alpha,
        curse=_curse(answer, plan),
        runs=sum(len(each.race) + len(each.confirmation) for each in standings),
    )


def unsealed(verdict: Verdict, metrics: Mapping[str, Mapping[int, float | None]]) -> Verdict:
    """The verdict with the test metrics of its answer, by name and by seed of the confirmation.

    A metric is left out where a seed diverged.
    """
    plan, found = verdict.plan, {}
    for name, values in metrics.items():
        if sorted(values) != list(range(plan.confirm)):
            raise ValueError(f"{name}: expected the {plan.confirm} seeds of the confirmation")
        if (sample := complete(first(values, plan.confirm))) is not None:
            found[name] = estimate(sample, 1 - plan.alpha)
    return verdict.model_copy(update={"test": found})


def by_cost(standings: Sequence[Standing], plan: Plan) -> list[list[Standing]]:
    """Those that cost the same together: by parameters, then by training time; best mean first."""
    groups: list[list[Standing]] = []
    rest = list(standings)
    while rest:
        small = min(each.parameters for each in rest)
        quick = min(each.seconds for each in rest if each.parameters == small)
        limit = quick * (1 + SAME_SECONDS)
        same = [e for e in rest if e.parameters == small and e.seconds <= limit]
        groups.append(sorted(same, key=lambda each: _place(each, plan)))
        rest = [each for each in rest if each not in same]
    return groups


def _decide(contenders: Sequence[Contender], plan: Plan) -> _Decision:
    raced = race(contenders, plan)
    if raced.missing:
        return _Decision(raced, (), {}, raced.missing)
    alive = [each for each in raced.standings if each.state == "in"]
    tie = tuple(each.name for group in by_cost(alive, plan) for each in group)
    fit = {each.name for each in raced.standings if each.state != "diverged"}
    again = {
        each.name: each
        for each in contenders
        if each.name in tie[:1] or (tie and each.default and each.name in fit)
    }
    missing = lacking(list(again.values()), "confirmation", plan.confirm)
    return _Decision(raced, tie, again, missing)


def _place(standing: Standing, plan: Plan) -> tuple[int, int, float, bool]:
    """Who is in, then who raced longest, then the best mean, of equals the default."""
    state = ("in", "dropped", "diverged").index(standing.state)
    mean = 0.0 if standing.mean is None else plan.sign * standing.mean.value
    return state, -len(standing.race), -mean, not standing.default


def _outcome(standings: Sequence[Standing]) -> Outcome:
    states = [each.state for each in standings]
    if states.count("in") != 1:
        return "tie" if "in" in states else "none"
    return "winner" if "dropped" in states else "only"


def _confirmed(standing: Standing, contender: Contender, plan: Plan) -> Standing:
    values = first(contender.confirmation, plan.confirm)
    sample = complete(values)
    mean = None if sample is None else estimate(sample, 1 - plan.alpha)
    return standing.model_copy(update={"confirmation": values, "confirmed": mean})


def _gain(answer: Standing | None, default: Standing | None, plan: Plan) -> Difference | None:
    if answer is None or default is None:
        return None
    if answer is default:
        seeds = plan.confirm
        return Difference(value=0.0, low=0.0, high=0.0, seeds=seeds, to=default.name, p=1.0)
    ours, theirs = complete(answer.confirmation), complete(default.confirmation)
    if not ours or not theirs:
        return None
    gains = plan.sign * less(ours, theirs)
    (p,) = chances(gains[None], plan.margin)
    return Difference(**estimate(gains, 1 - plan.alpha).model_dump(), to=default.name, p=p)


def _curse(answer: Standing | None, plan: Plan) -> Estimate | None:
    if answer is None or answer.study is None or answer.confirmed is None:
        return None
    sample = complete(answer.confirmation)
    assert sample is not None
    return estimate(plan.sign * less([answer.study] * len(sample), sample), 1 - plan.alpha)
