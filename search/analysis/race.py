"""Which configurations are worse than the leader beyond chance, look by look, and which go on.

The race is the model confidence set of Hansen, Lunde and Nason (Econometrica 79, 2011) at a few looks:
docs/verdict.md has the formulae, what they promise, and how that was measured.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.command.section import Section
from search.analysis.estimates import Difference, Estimate, Rows, chances, estimates, less
from search.analysis.plan import Contender, Plan, Run, complete, first, lacking

State = Literal["in", "dropped", "diverged"]


class Standing(Section):
    """Where a configuration stands in the race.

    `state`: `in` where it can't be told from the best, `dropped` where it is worse than the leader beyond
    chance, `diverged` where a seed gave no value. `race`: its values, as far as they counted. `mean`:
    theirs; the leader's is flattered by having been chosen. `behind`: the leader's lead over it, more than
    0 where the leader is better; None for the leader. Its interval lies beyond the margin where it
    dropped out. `confirmation`, `confirmed`: the same over seeds that chose nothing, where it has them.
    """

    name: str
    parameters: int
    seconds: float
    default: bool
    study: float | None
    state: State
    race: tuple[float | None, ...] = ()
    mean: Estimate | None = None
    behind: Difference | None = None
    confirmation: tuple[float | None, ...] = ()
    confirmed: Estimate | None = None


@dataclass(frozen=True)
class Race:
    """How the race stands after its last look.

    `standings`: of all, in the order given. `leader`: None where all diverged, or nothing was raced.
    `missing`: runs before the next look; empty when the race is over.
    """

    standings: tuple[Standing, ...]
    leader: str | None
    missing: tuple[Run, ...]


def race(contenders: Sequence[Contender], plan: Plan) -> Race:
    """Look at the values as often as there are enough of them; a lone configuration is not raced."""
    _check(contenders)
    found = {each.name: _standing(each, 0) for each in contenders}
    running, leader = list(contenders), None
    for look in plan.looks:
        if len(running) < 2:
            break
        if missing := lacking(running, "race", look):
            return Race(tuple(found.values()), leader, missing)
        found |= _look(running, look, plan)
        running = [each for each in running if found[each.name].state == "in"]
        leader = next((each.name for each in running if found[each.name].behind is None), None)
    return Race(tuple(found.values()), leader, ())


def _look(running: Sequence[Contender], look: int, plan: Plan) -> dict[str, Standing]:
    """Where all who run stand after `look` seeds."""
    found, values = {}, dict[str, Rows]()
    for each in running:
        sample = complete(first(each.race, look))
        if sample is None:
            found[each.name] = _standing(each, look, state="diverged")
        else:
            values[each.name] = np.asarray(sample)
    raced = [each for each in running if each.name in values]
    if not raced:
        return found
    spread = estimates(np.array(list(values.values())), 1 - plan.alpha)
    means = dict(zip(values, spread, strict=True))
    order = sorted(raced, key=lambda e: (-plan.sign * means[e.name].value, e.parameters, e.seconds))
    found[order[0].name] = _standing(order[0], look, mean=means[order[0].name])
    for each, behind in _step_down(order, values, look, plan):
        state: State = "dropped" if behind.p is not None and behind.p <= plan.alpha else "in"
        found[each.name] = _standing(each, look, state, means[each.name], behind)
    return found


def _step_down(
    order: Sequence[Contender], values: Mapping[str, Rows], look: int, plan: Plan
) -> Iterator[tuple[Contender, Difference]]:
    """How far each is behind the first of `order`, least probable first.

    Each is compared as strictly as all pairs of those who are still in then ask for, not only those with
    the leader: any of them could have led.
    """
    leader, *others = order
    if not others:
        return
    leads = np.array([plan.sign * less(values[leader.name], values[e.name]) for e in others])
    tests = zip(others, leads, chances(leads, plan.margin), strict=True)
    ordered = sorted(tests, key=_by_chance)
    alive, worst = len(order), 0.0
    weights, corrected = list[float](), list[float | None]()
    for _, _, chance in ordered:
        weights.append(math.comb(alive, 2) / plan.share(look))
        corrected.append(None if chance is None else max(worst, min(1.0, chance * weights[-1])))
        worst = 1.0 if corrected[-1] is None else corrected[-1]
        alive -= worst <= plan.alpha
    leads = np.array([lead for _, lead, _ in ordered])
    intervals = estimates(leads, 1 - plan.alpha / np.array(weights))
    for (each, _, _), interval, p in zip(ordered, intervals, corrected, strict=True):
        yield each, Difference(**interval.model_dump(), to=leader.name, p=p)


def _by_chance(test: tuple[Contender, Rows, float | None]) -> tuple[float, float]:
    """Least probable first, of equals the larger lead."""
    _, lead, chance = test
    return 1.0 if chance is None else chance, -float(lead.mean())


def _standing(
    contender: Contender,
    look: int,
    state: State = "in",
    mean: Estimate | None = None,
    behind: Difference | None = None,
) -> Standing:
    return Standing(
        **contender.model_dump(exclude={"race", "confirmation"}),
        state=state,
        race=first(contender.race, look),
        mean=mean,
        behind=behind,
    )


def _check(contenders: Sequence[Contender]) -> None:
    names = [each.name for each in contenders]
    if len(set(names)) < len(names):
        raise ValueError(f"contenders: expected names that differ, got {', '.join(names)}")
    if sum(each.default for each in contenders) > 1:
        raise ValueError("contenders: expected at most one default")
