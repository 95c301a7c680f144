"""Two trainings of one run compared to the last bit; the certificate says whether they are one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.command import public
from pipeline.command.section import Section
from pipeline.run.digests import history_digest
from pipeline.run.result import EpochMetrics, RunResult

Number = float | int | str | None
"""A value in a record; None where there is none."""

_NOT_DECISIVE = frozenset({"worker", "gpu", "node", "pid", "user"})
"""What a worker says of itself beside what decides its numbers: its place, and who ran it."""

_TOLD = "version.python"  # a worker that tells this tells all that it is


@dataclass(frozen=True)
class Training:
    """A run as it was trained once. `environment`: what trained it; `reason`: why it has no result."""

    environment: Mapping[str, str]
    history: tuple[EpochMetrics, ...]
    result: RunResult | None
    reason: str | None = None


class Side(Section):
    """One of two trainings in a certificate. `value`: the objective.

    `history_digest`: of the history that is there; `weights_digest`: None where none was taken.
    """

    environment: dict[str, str]
    history_digest: str
    weights_digest: str | None
    value: float | None


class Difference(Section):
    """The first number that differs. `epoch`: None for what is measured once, at the end."""

    epoch: int | None
    metric: str
    recorded: Number
    replayed: Number

    def __str__(self) -> str:
        at = "at the end" if self.epoch is None else f"at epoch {self.epoch}"
        return f"{self.metric} {at}: {self.recorded!r} recorded, {self.replayed!r} now"


class Certified(Section):
    """Base of certificates. `name`: the run that one is of, for people; `uid`: for programs."""

    name: str
    uid: str
    replay: Literal["identical", "differs"]

    @property
    def identical(self) -> bool:
        return self.replay == "identical"


class Certificate(Certified):
    """Whether a recorded run gives the same again.

    `compared`: how many numbers. `first`: None where no number differs. `weights`: of the network at the
    objective's epoch. `damaged`: the record's history is not the one that its digest was taken of.
    `changed`: what of the environment, in words. `noise`: standard deviation of the objective over
    seeds, where that was measured. `reason`: why the second training has no result.
    """

    metric: str
    compared: int
    first: Difference | None
    weights: Literal["identical", "differ", "not recorded"]
    damaged: bool
    changed: tuple[str, ...]
    noise: float | None
    reason: str | None
    recorded: Side
    replayed: Side

    def words(self) -> str:
        """The certificate for people, one line where all is well."""
        if self.identical:
            digest = self.recorded.weights_digest
            weights = "no digest of its weights is on record"
            if digest is not None:
                weights = f"weights {digest[:12]}"
            elsewhere = ", in another environment" if self.changed else ""
            return f"{self.name}: identical ({self.compared} numbers, {weights}){elsewhere}"
        lines = [f"{self.name}: differs", *self._differences()]
        if self.changed:
            lines.append(f"what changed since: {'; '.join(self.changed)}")
        else:
            lines.append("nothing that is on record of its environment has changed")
        return "\n  ".join(lines)

    def _differences(self) -> Iterator[str]:
        if self.damaged:
            yield "the record was changed: its history has not the digest that was recorded with it"
        if self.reason is not None:
            yield f"trained again it has no result: {self.reason}"
        if self.first is not None:
            yield f"first {self.first}"
        if self.weights == "differ":
            yield (
                f"weights {self.recorded.weights_digest} recorded, {self.replayed.weights_digest} now"
            )
        then, now = self.recorded.value, self.replayed.value
        if then is not None and now is not None and then != now:
            size = abs(now - then)
            share = (
                f"{size / self.noise:.2g} times the noise of a seed ({self.noise:.2g})"
                if self.noise
                else "no verdict has measured the noise of a seed"
            )
            yield f"{self.metric} of the run: {then!r} recorded, {now!r} now, {size:.2g} apart: {share}"


def compare(
    name: str,
    uid: str,
    metric: str,
    recorded: Training,
    replayed: Training,
    noise: float | None = None,
) -> Certificate:
    """The certificate of two trainings of one run, whose objective is `metric`.

    Every metric of every epoch counts, with the sign of a zero; the objective, its epoch, how the run
    stopped and the test metrics; and the digest of the weights, where the record has one. Times don't.
    """
    before, after = _numbers(recorded), _numbers(replayed)
    # What is measured once comes after all epochs; an epoch that one of them lacks in its place.
    places = sorted({**before, **after}, key=lambda place: (place[0] is None, place[0] or 0))
    first = next((each for each in places if not _same(before.get(each), after.get(each))), None)
    then, now = recorded.result, replayed.result
    digest = None if then is None else then.history_digest
    damaged = digest is not None and digest != history_digest(recorded.history)
    ours, theirs = (None if r is None else r.weights_digest for r in (then, now))
    weights: Literal["identical", "differ", "not recorded"] = "not recorded"
    if ours is not None:
        weights = "identical" if ours == theirs else "differ"
    same = first is None and weights != "differ" and not damaged and replayed.reason is None
    return Certificate(
        name=name,
        uid=uid,
        replay="identical" if same else "differs",
        metric=metric,
        compared=len(places),
        first=None
        if first is None
        else Difference(
            epoch=first[0],
            metric=first[1],
            recorded=before.get(first),
            replayed=after.get(first),
        ),
        weights=weights,
        damaged=damaged,
        changed=changes(recorded.environment, replayed.environment),
        noise=noise,
        reason=None if replayed.reason is None else public.error(replayed.reason),
        recorded=_side(recorded),
        replayed=_side(replayed),
    )


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What of the environment of a run is another now, in words; of what was not recorded, nothing."""
    told_all = _TOLD in then
    names = [name for name in dict.fromkeys([*then, *now]) if name not in _NOT_DECISIVE]
    return tuple(
        _change(name, then.get(name), now.get(name))
        for name in names
        if then.get(name) != now.get(name) and (name in then or told_all)
    )


def _change(name: str, then: str | None, now: str | None) -> str:
    if name == "cpu.instructions" and then is not None and now is not None:
        before, after = set(then.split()), set(now.split())
        lost = [f"without {' '.join(sorted(before - after))}"] if before - after else []
        gained = [f"with {' '.join(sorted(after - before))}"] if after - before else []
        return f"CPU {' and '.join(lost + gained)}"
    return f"{name.removeprefix('version.')} {then or 'none'} -> {now or 'none'}"


def _numbers(training: Training) -> dict[tuple[int | None, str], Number]:
    """Every number of a training by its epoch and name, in their order."""
    found: dict[tuple[int | None, str], Number] = {
        (epoch.epoch, name): value
        for epoch in training.history
        for name, value in sorted(epoch.metrics.items())
    }
    if (result := training.result) is not None:
        once = {"objective": result.value, "best_epoch": result.best_epoch, "stop": result.stop}
        found |= {(None, name): value for name, value in {**once, **result.test}.items()}
    return found


def _same(one: Number, other: Number) -> bool:
    """Whether two values are the same to the last bit."""
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    return one == other


def _side(training: Training) -> Side:
    result = training.result
    return Side(
        environment=dict(training.environment),
        history_digest=history_digest(training.history),
        weights_digest=None if result is None else result.weights_digest,
        value=None if result is None else result.value,
    )
