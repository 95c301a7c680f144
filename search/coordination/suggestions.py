"""A study's engine asked again, in the order on record: whether it suggests and prunes the same trials."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.command.errors import ConfigError
from pipeline.command.section import Section
from pipeline.run.comparison import Certified
from pipeline.run.ending import ending
from search.engines.order import workers_of
from search.study.space import Space, Stored
from search.study.vocabulary import Engine, Entry, Record, Suggestion, Suggestions, record

MakeEngine = Callable[[Sequence[Record], int], Engine]
"""The study's engine, made from the trials before the next one, for so many workers."""

_PRUNED = "pruned after epoch"


class Deviation(Section):
    """What of one trial is another now. `name`: a parameter's path, or what the engine decides beside them.

    None: there is none.
    """

    trial: int
    name: str
    recorded: Stored
    now: Stored

    def __str__(self) -> str:
        return f"{self.name} {self.recorded!r} recorded, {self.now!r} now"


class Asked(Certified):
    """Whether a study's engine suggests the same trials again, and prunes the same ones.

    `suggested`: how many of the `trials` it does; `prunings`: how many of the `pruned` ones are pruned after
    the same epoch, `others`: how many are pruned that were not. `first`: all that differs in the first
    trial in which something does. `refused`: why the engine can't go on from the record after that.
    `doubts`: why it may differ without a fault. `changed`: what of the software, in words.
    """

    trials: int
    suggested: int
    pruned: int
    prunings: int
    others: int
    first: tuple[Deviation, ...]
    refused: str | None
    doubts: tuple[str, ...]
    changed: tuple[str, ...]

    def words(self) -> str:
        """The certificate for people, one line where all is well."""
        counts = (
            f"{self.suggested} of {self.trials} trials suggested again; {self.prunings} of {self.pruned} "
            f"prunings{f', and {self.others} others' if self.others else ''}"
        )
        if self.identical:
            return f"{self.name}: identical ({counts})"
        lines = [f"{self.name}: differs ({counts})"]
        if self.first:
            lines.append(f"first trial {self.first[0].trial}: {'; '.join(map(str, self.first))}")
        if self.refused:
            lines.append(f"the others can't be asked for: {self.refused}")
        lines.append(
            "it was asked with the settings of the study's latest launch, which alone are on record"
        )
        lines += self.doubts
        if self.changed:
            lines.append(f"what changed since: {'; '.join(self.changed)}")
        return "\n  ".join(lines)


@dataclass
class _Count:
    suggested: int = 0
    pruned: int = 0
    prunings: int = 0
    others: int = 0
    first: tuple[Deviation, ...] = ()
    refused: str | None = None


def ask_again(
    name: str,
    uid: str,
    entries: Sequence[Entry],
    space: Space,
    metric: str,
    make: MakeEngine,
    doubts: Sequence[str] = (),
    changed: Sequence[str] = (),
) -> Asked:
    """Ask for all trials of a study, which were suggested in a fixed order, one after the other.

    The engine hears of each how it ended before it is asked for the next, and counts it as running until
    its turn comes, as it did then. Where it deviates it goes on from the record, so that one deviation
    does not bring all that follow. Nothing is recorded.
    """
    records = [record(entry, metric) for entry in entries]
    count = _Count()
    engine: Engine | None = None
    workers: int | None = None
    for entry, known in zip(entries, records, strict=True):
        if engine is None or workers_of(entry.notes) != workers:
            workers = workers_of(entry.notes)
            assert workers is not None, "its order is fixed"
            try:
                engine = make(records[: entry.number], workers)
            except ConfigError as error:  # settings under which no such trial can be on record
                count.refused = str(error)
                break
        answer = engine.ask(1)
        now = answer.trials[0] if isinstance(answer, Suggestions) else None
        deviations = list(_deviations(entry, now, space))
        count.suggested += not deviations
        if not deviations:
            deviations = list(_pruning(entry, engine, count))
        if deviations:
            count.first = count.first or tuple(deviations)
            engine = None
        elif known.told is not None:
            engine.tell(known.told)
    same = not count.first and count.refused is None
    return Asked(
        name=name,
        uid=uid,
        replay="identical" if same else "differs",
        trials=len(entries),
        suggested=count.suggested,
        pruned=sum(entry.state == "pruned" for entry in entries),
        prunings=count.prunings,
        others=count.others,
        first=count.first,
        refused=count.refused,
        doubts=tuple(doubts),
        changed=tuple(changed),
    )


def _deviations(entry: Entry, now: Suggestion | None, space: Space) -> Iterator[Deviation]:
    """What of a trial is suggested otherwise now; None: nothing is suggested."""
    if now is None:
        yield Deviation(trial=entry.number, name="suggested", recorded="a trial", now=None)
        return
    after = {path: space.canonical(path, value) for path, value in now.params.items()}
    plan = {"epochs": (entry.epochs, now.epochs), "goes on from": (entry.continues, now.continues)}
    paths = dict.fromkeys([*entry.params, *after])
    pairs = {path: (entry.params.get(path), after.get(path)) for path in paths} | plan
    for name, (then, value) in pairs.items():
        there = name in plan or (name in entry.params) == (name in after)
        if not there or type(then) is not type(value) or then != value:
            yield Deviation(trial=entry.number, name=name, recorded=then, now=value)


def _pruning(entry: Entry, engine: Engine, count: _Count) -> Iterator[Deviation]:
    """Have `engine` hear the epochs of a trial; how it ends it otherwise than it was."""
    now = next(
        (epoch for epoch, curve in _heard(entry) if engine.report(entry.number, curve)), None
    )
    if entry.result is None:  # it failed, or runs: there is nothing to compare with
        return
    then = entry.history[-1].epoch if entry.state == "pruned" else None
    if then is None:
        count.others += now is not None
    else:
        count.prunings += now == then
    if now != then:
        yield Deviation(trial=entry.number, name=_PRUNED, recorded=then, now=now)


def _heard(entry: Entry) -> Iterator[tuple[int, Mapping[int, float]]]:
    """The epochs after which the engine was asked, each with the curve up to it."""
    curve: dict[int, float] = {}
    for epoch, value in entry.curve.items():
        curve[epoch] = value
        if entry.run is not None and ending(entry.run, curve) is None:
            yield epoch, dict(curve)
