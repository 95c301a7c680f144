"""What a study starts from: trials of other studies, which it learns from, and points to be tried first."""

import functools
import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override
from pipeline.run.config import ModelConfig, RunConfig
from pipeline.run.fingerprint import fingerprint
from pipeline.tracking.record import DatasetInfo
from search.engines.points import POINT
from search.setup.read import Setup
from search.study.space import LAYER, Space, Stored, encode
from search.study.untried import Point, Runs
from search.study.vocabulary import Entry, record
from search.trial_table.attributes import Past, WarmStart
from search.trial_table.trials import TrialTable


def warm_start(setup: Setup, dataset: DatasetInfo, table: TrialTable | None) -> WarmStart:
    """What the study of `setup` learns from others; nothing is created. `table`: its own, if it is there.

    A study that has begun keeps to what it learnt then. Raises ConfigError where it is told to learn
    from others, and where one of them is not there, asks for another objective, has other data, or
    none of their trials lies in the space.
    """
    named = tuple(dict.fromkeys(setup.study.warm_start))
    if table is not None and table.entries():
        had = table.warm_start.studies
        if named and named != had:
            raise ConfigError(
                f"study.warm_start: {table.name} has begun with {as_override(list(had))}, got "
                f"{as_override(list(named))} (set it back, or give the new study another study.name)"
            )
        return table.warm_start
    if not named:
        return WarmStart()
    found: list[Past] = []
    left_out: list[str] = []
    rows = setup.training_rows(dataset)
    runs: set[str] = set()
    for name in named:
        other = _other(setup, dataset, name)
        why: Counter[str] = Counter()
        for entry in other.entries():
            reason = _reason(setup, entry, rows, runs)
            told = record(entry, other.about().objective.metric).told
            if isinstance(reason, str) or told is None:
                why[str(reason)] += 1
            else:
                found.append(Past(name, entry.number, reason, told.value, told.cost, told.curve))
        left_out += [f"{count} of {name}: {reason}" for reason, count in why.items()]
    if not found:
        raise ConfigError(
            f"study.warm_start: expected trials to learn from, {', '.join(named)} has none: "
            f"{'; '.join(left_out) or 'no trial ended'}"
        )
    return WarmStart(named, tuple(found), tuple(left_out))


def words(setup: Setup, learnt: WarmStart, entries: Sequence[Entry]) -> Iterator[str]:
    """What a launch says of where the study starts, a line each; `entries`: its trials so far."""
    if learnt.trials:
        names = ", ".join(learnt.studies)
        more = f" (left out: {'; '.join(learnt.left_out)})" if learnt.left_out else ""
        count = len(learnt.trials)
        yield f"Learns from {count} trial{'s' * (count > 1)} of {names}{more}."
    left = untried(setup, entries)
    if room := min(len(left), max(0, setup.study.trials - len(entries))):
        yield f"study.points: {room} to be tried first."
    if len(left) > room:
        yield (
            f"study.points: {len(left) - room} not tried, for want of trials (study.trials="
            f"{len(entries) + len(left)} has room)."
        )


def untried(setup: Setup, entries: Sequence[Entry]) -> list[Point]:
    """The points that no trial had, by choice or by chance."""
    runs = Runs(setup.run, setup.space)
    for entry in entries:
        runs.add(entry.params)
    had = [entry.notes.get(POINT) for entry in entries]
    return [point for point in setup.points if point not in had and runs.untried(0, point)]


def _other(setup: Setup, dataset: DatasetInfo, name: str) -> TrialTable:
    """The table of a study to learn from."""
    if name == setup.study.name:
        raise ConfigError(f"study.warm_start: {name} is this study itself (leave it out)")
    try:
        table = TrialTable.load(setup.storage.url, name)
    except ConfigError as error:
        raise ConfigError(str(error).replace("study.name", "study.warm_start", 1)) from None
    about = table.about()
    if about.objective != setup.run.objective:
        asked = about.objective.model_dump(), setup.run.objective.model_dump()
        pairs = zip(*(each.items() for each in asked), strict=True)
        there, here = next(pair for pair in pairs if pair[0] != pair[1])
        raise ConfigError(
            f"study.warm_start: {name} has objective.{there[0]}={there[1]}, this study {here[1]} (leave it "
            "out)"
        )
    there, here = ((each.digest, each.scaling) for each in (about.dataset, dataset))
    if there != here:
        raise ConfigError(f"study.warm_start: {name} has other data than this study (leave it out)")
    return table


def _reason(setup: Setup, entry: Entry, rows: int, runs: set[str]) -> Mapping[str, Stored] | str:
    """The point of a trial in the space; or why it is none, which is then not learnt from."""
    if entry.run is None or entry.result is None:
        return entry.state
    point = _point_of(entry.run, setup.space)
    if isinstance(point, str):
        return point
    try:
        here = setup.space.apply(setup.run, point)
    except ConfigError:
        return "this study refuses its configuration"
    run = fingerprint(entry.run, rows)
    if run != fingerprint(here, rows):
        there, now = entry.run.parameters(), here.parameters()
        path = next(path for path in there if path != "data.path" and there[path] != now[path])
        return f"{path} is {there[path]} there, {now[path]} here"
    if run in runs:
        return "the same run is there"
    runs.add(run)
    return point


def _point_of(run: RunConfig, space: Space) -> Point | str:
    """Where `run` lies in `space`; or in which dimension it does not."""
    tree = run.model_dump()
    point: Point = {}
    for path, dimension in space.dimensions.items():
        if not space.is_active(path, point):
            continue
        if layer := LAYER.fullmatch(path):
            assert isinstance(run.model, ModelConfig), "no other has layers"
            value: object = run.model.layers[int(layer[1]) - 1]
        else:
            value = functools.reduce(operator.getitem, path.split("."), tree)
        if not dimension.has(encode(value)):
            return f"{path} is {as_override(value)} there"
        point[path] = space.canonical(path, encode(value))
    return point
