"""No test metric reaches an engine: what it is handed has no place for one."""

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from pipeline.command.section import Section
from pipeline.run.result import EpochMetrics, Outcome, RunResult
from search.coordination.coordinator import Watcher
from search.engines.keras_tuner import KerasTunerAlgorithm
from search.engines.optuna import OptunaAlgorithm
from search.engines.order import Algorithm, OrderedEngine
from search.study.vocabulary import Engine, Entry, Told
from search.trial_table.trials import TrialTable

SEALED = {RunResult, EpochMetrics, Outcome, Entry, TrialTable}
"""What holds test metrics, or a way to them."""

OURS = ("pipeline.", "search.")


def hints(thing: type) -> Iterator[Any]:
    """The types of a record's fields; of anything else, what its public methods take and give."""
    if dataclasses.is_dataclass(thing) or issubclass(thing, Section):
        yield from get_type_hints(thing).values()
        return
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if name == "__init__" or not name.startswith("_"):
            # KerasTuner's oracles are imported late; what they are handed are numbers and points.
            yield from get_type_hints(method, localns={"Oracle": Any}).values()


def reachable(*roots: type) -> set[type]:
    """All classes of this project that the types of `roots` lead to."""
    found: set[type] = set()
    left: list[Any] = list(roots)
    while left:
        hint = left.pop()
        left += [part for part in get_args(hint) if not isinstance(part, str)]
        if isinstance(origin := get_origin(hint), type):
            left.append(origin)
        if not isinstance(hint, type) or hint in found:
            continue
        if hint.__module__.startswith(OURS):
            found.add(hint)
            left += hints(hint)
    return found


@pytest.mark.parametrize(
    "engine", [Engine, Algorithm, OrderedEngine, OptunaAlgorithm, KerasTunerAlgorithm]
)
def test_the_types_that_an_engine_is_handed_lead_to_no_test_metric(engine: type) -> None:
    found = reachable(engine)
    assert Told in found
    assert not found & SEALED


def test_the_way_would_be_found_where_there_is_one() -> None:
    assert {Entry, RunResult, EpochMetrics} <= reachable(Watcher)


def test_what_an_engine_is_told_of_a_trial_is_five_things() -> None:
    """The cost is that of `objective.cost`: of a study without one it is told none."""
    fields = get_type_hints(Told)
    assert list(fields) == ["number", "state", "value", "curve", "cost"]
    leaves = [leaf for hint in fields.values() for leaf in (get_args(hint) or (hint,))]
    plain = {int, float, type(None), "complete", "pruned", "failed"}
    assert set(leaves) <= plain
    assert Told.__dataclass_params__.frozen  # type: ignore[attr-defined]
