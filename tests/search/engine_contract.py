"""What every engine promises the coordinator. A test class inherits it and says how its engine is made."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from search.config import Setup
from search.space import Choices, Range, Space
from search.study import Engine, Entry, Trial
from search.trials import TrialTable
from tests.search.conftest import Copies, setup_of, study_of
from tests.search.fakes import epoch_metrics, run_result

SPACE: Mapping[str, Any] = {
    "model": {
        "dropout": {"low": 0.0, "high": 0.5},
        "l2": {"low": 0.0, "high": 0.4, "step": 0.1},
    },
    "train": {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": {"low": 16, "high": 128, "step": 16},
        "optimizer": ["adam", "sgd"],
        "patience": [None, 2],
    },
}
"""Every kind of dimension. (Values that are lists: a space of their own below.)"""


def objective(trial: Trial) -> float:
    """A value in (0, 1] that any searcher can climb: it only looks at the numbers."""
    numbers = [float(value) for value in trial.params.values() if isinstance(value, float)]
    return 1 / (1 + sum(numbers))


def belongs(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether `params` is a point of `space`."""
    return set(params) == set(space.dimensions) and all(
        _within(dimension, space.decode(path, params[path]))
        for path, dimension in space.dimensions.items()
    )


def _within(dimension: Range | Choices, value: Any) -> bool:
    if isinstance(dimension, Choices):
        return value in dimension.options
    if type(value) is not (int if dimension.integer else float):
        return False
    steps = (value - dimension.low) / dimension.step if dimension.step else 0
    return dimension.low <= value <= dimension.high and math.isclose(
        steps, round(steps), abs_tol=1e-9
    )


class EngineContract:
    """Bounds, repeatability, resumption, failures, trials in flight.

    `overrides` choose the engine; `new_engine` makes one on a table, as the command does.
    """

    overrides: tuple[str, ...] = ()
    space: Mapping[str, Any] = SPACE
    lists: Mapping[str, Any] = {"model": {"hidden_units": [[64, 32], [16, 8]]}}
    trials = 6  # enough for every engine to suggest by what it has seen
    exhaustive = False  # whether every study visits the same points

    def new_engine(self, setup: Setup, table: TrialTable) -> Engine:
        raise NotImplementedError

    # Steps of a study, without coordinator and workers.

    def begin(self, url: str, *overrides: str, space: Mapping[str, Any] | None = None) -> "Session":
        setup = setup_of(*self.overrides, *overrides, space=space or self.space)
        table = TrialTable.open(url, study_of(setup))
        return Session(setup, table, self.new_engine(setup, table))

    def suggestions(self, url: str, *overrides: str, count: int | None = None) -> list[Any]:
        session = self.begin(url, *overrides)
        return [session.trial().params for _ in range(count or self.trials)]

    # The laws.

    def test_suggestions_are_different_points_of_the_space(self, url: str) -> None:
        session = self.begin(url)
        trials = [session.trial() for _ in range(self.trials)]
        assert [trial.number for trial in trials] == list(range(self.trials))
        for trial in trials:
            assert belongs(session.setup.space, trial.params), trial.params
        assert len({repr(trial.params) for trial in trials}) == self.trials

    def test_lists_can_be_suggested(self, url: str) -> None:
        session = self.begin(url, space=self.lists)
        seen = {
            session.setup.space.apply(session.setup.run, session.trial().params).model.hidden_units
            for _ in range(2)
        }
        assert seen <= {(64, 32), (16, 8)}

    def test_a_study_with_a_seed_is_the_same_however_often_it_is_interrupted(
        self, copies: Copies
    ) -> None:
        """Another engine object for every trial suggests what one engine suggests that runs through.

        The seed is 0, which is a seed and not the absence of one.
        """
        uninterrupted = self.suggestions(copies.next(), "sampler.seed=0")
        url = copies.next()
        resumed = [self.begin(url, "sampler.seed=0").trial().params for _ in range(self.trials)]
        assert resumed == uninterrupted

    def test_the_greatest_seed_is_a_seed(self, url: str) -> None:
        assert len(self.suggestions(url, f"sampler.seed={2**32 - 1}", count=2)) == 2

    def test_studies_of_two_seeds_have_no_trial_in_common(self, copies: Copies) -> None:
        one, other = (self.suggestions(copies.next(), f"sampler.seed={n}") for n in (0, 1))
        assert one != other
        assert self.exhaustive or not [point for point in one if point in other]

    def test_without_a_seed_studies_differ(self, copies: Copies) -> None:
        one, other = (
            self.suggestions(copies.next(), "sampler.seed=null", count=2) for _ in range(2)
        )
        assert self.exhaustive or one != other

    def test_failed_and_pruned_trials_are_taken(self, url: str) -> None:
        session = self.begin(url)
        session.table.fail(session.ask(), "loss is nan at epoch 1", ())
        session.table.complete(session.ask(), run_result([0.1], "pruned"), {})
        session.trial()
        session.table.fail(session.ask(), "loss is nan at epoch 1", (epoch_metrics(1, 0.1),))
        for _ in range(2):
            assert belongs(session.setup.space, session.trial().params)
        states = [entry.state for entry in session.table.entries()]
        assert states == ["failed", "pruned", "complete", "failed", "complete", "complete"]

    def test_several_trials_are_in_flight(self, url: str) -> None:
        session = self.begin(url)
        trials = [session.ask() for _ in range(4)]
        assert [trial.number for trial in trials] == [0, 1, 2, 3]
        assert len({tuple(trial.params.values()) for trial in trials}) == 4
        ended = [session.end(trial).number for trial in reversed(trials)]
        assert ended == [3, 2, 1, 0]
        assert session.trial().number == 4

    def test_an_interrupted_trial_is_taken_up_as_it_was(self, url: str) -> None:
        before = self.begin(url)
        before.trial()
        left = [before.ask(), before.ask()]
        after = self.begin(url)
        assert after.table.interrupted() == [1, 2]
        assert [after.engine.resume(number) for number in (1, 2)] == left
        assert [after.end(trial).state for trial in left] == ["complete", "complete"]
        assert after.trial().number == 3


class Session:
    """One coordinator's time with a study."""

    def __init__(self, setup: Setup, table: TrialTable, engine: Engine) -> None:
        self.setup = setup
        self.table = table
        self.engine = engine

    def ask(self) -> Trial:
        """The next trial, started."""
        trial = self.engine.ask()
        assert trial is not None
        trial = dataclasses.replace(trial, attempt=1)
        self.table.start(trial, self.setup.space.apply(self.setup.run, trial.params))
        return trial

    def end(self, trial: Trial, value: float | None = None) -> Entry:
        """`trial` trained for one epoch, to `value`."""
        value = objective(trial) if value is None else value
        self.engine.report(trial, 1, value)
        return self.table.complete(trial, run_result([value]), {})

    def trial(self) -> Trial:
        """A whole trial."""
        trial = self.ask()
        self.end(trial)
        return trial
