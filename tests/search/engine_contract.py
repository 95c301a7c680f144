"""What every engine promises the coordinator. A test class inherits it and says how its engine is made."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.result import EpochMetrics
from search.config import Setup
from search.space import Choices, Range, Space
from search.storage import open_storage
from search.study import Engine, Suggestion, Trial, TrialState
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

FINITE: Mapping[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.3, "step": 0.3}},
    "train": {"patience": [None, 2]},
}
"""Four points."""

ENDS: Sequence[TrialState] = (
    *("complete", "pruned", "failed", "complete", "running", "complete"),
    *("complete", "failed", "complete", "complete"),
)
"""How the trials of a study end that has all that a study can have, some left running."""


def objective(params: Mapping[str, Any]) -> float:
    """A value in (0, 1] that any searcher can climb: it only looks at the numbers."""
    return 1 / (1 + sum(value for value in params.values() if isinstance(value, float)))


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


class Session:
    """One coordinator's time with a study, without workers: what it does to engine and table."""

    def __init__(self, setup: Setup, table: TrialTable, engine: Engine) -> None:
        self.setup = setup
        self.table = table
        self.engine = engine

    def ask(self) -> Trial:
        """The next trial, started."""
        suggestion = self.engine.ask()
        assert isinstance(suggestion, Suggestion), suggestion
        return self.start(self.table.create(suggestion, self.setup.space))

    def start(self, trial: Trial) -> Trial:
        """One more attempt at `trial`."""
        trial = dataclasses.replace(trial, attempt=trial.attempt + 1)
        run = self.setup.space.apply(self.setup.run, trial.params, trial.epochs)
        self.table.start(trial, run)
        return trial

    def end(
        self,
        trial: Trial,
        state: TrialState = "complete",
        value: float | None = None,
        epochs: int = 1,
    ) -> None:
        """`trial` trained towards `value`: to its end if the pruner lets it, or failed after `epochs`."""
        value = objective(trial.params) if value is None else value
        first = 1 if trial.continues is None else self._trained(trial.continues) + 1
        last = trial.epochs or self.setup.run.train.epochs
        if state != "complete":
            last = first + epochs - 1
        history: list[EpochMetrics] = []
        for epoch in range(first, last + 1):
            history.append(epoch_metrics(epoch, value * (1 - 0.5**epoch)))
            metric = history[-1].metrics[self.setup.run.objective.metric]
            if self.engine.report(trial.number, epoch, metric) and state == "complete":
                state = "pruned"
                break
        notes = self.engine.notes(trial.number)
        if state == "failed":
            entry = self.table.fail(trial, "loss is nan", history, notes)
        else:
            stop = "pruned" if state == "pruned" else "completed"
            result = run_result([value], stop, history=tuple(history), value=value)
            entry = self.table.complete(trial, result, {}, notes)
        assert entry.state == state
        self.engine.tell(entry)

    def trial(self) -> Trial:
        """A whole trial."""
        trial = self.ask()
        self.end(trial)
        return trial

    def _trained(self, number: int) -> int:
        return self.table.entries()[number].history[-1].epoch


class EngineContract:
    """Bounds, repeatability, restarts, failures, trials in flight.

    `overrides` choose the engine, `seed` is the name of its seed, or None where nothing is random.
    """

    overrides: tuple[str, ...] = ()
    seed: str | None = "sampler.seed"
    space: Mapping[str, Any] = SPACE
    lists: Mapping[str, Any] = {"model": {"hidden_units": [[64, 32], [16, 8]]}}
    trials = 6  # enough for every engine to suggest by what it has seen
    exhaustive = False  # whether every study visits the same points
    promotes = False  # whether a trial may go on from another, with its parameters

    # Steps of a study.

    def begin(self, url: str, *overrides: str, space: Mapping[str, Any] | None = None) -> Session:
        """A launch: the table opened, the engine made from what it has."""
        setup = setup_of(*self.overrides, *overrides, space=space or self.space)
        table = TrialTable.open(url, study_of(setup))
        return Session(setup, table, setup.make_engine(table.entries()))

    def seeded(self, seed: str) -> tuple[str, ...]:
        """The override that makes `seed` the engine's, if it takes one."""
        return () if self.seed is None else (f"{self.seed}={seed}",)

    def suggestions(self, url: str, *overrides: str, count: int | None = None) -> list[Any]:
        session = self.begin(url, *overrides)
        return [session.trial().params for _ in range(count or self.trials)]

    # The laws.

    def test_suggestions_are_different_points_of_the_space(self, url: str) -> None:
        session = self.begin(url)
        trials = [session.trial() for _ in range(self.trials)]
        for trial in trials:
            assert belongs(session.setup.space, trial.params), trial.params
        new = [repr(trial.params) for trial in trials if trial.continues is None]
        assert len(set(new)) == len(new)
        assert (len(new) < self.trials) == self.promotes

    def test_lists_can_be_suggested(self, url: str) -> None:
        session = self.begin(url, space=self.lists)
        run = session.setup.space.apply(session.setup.run, session.trial().params)
        assert run.model.hidden_units in {(64, 32), (16, 8)}

    def test_an_engine_made_anew_goes_on_like_one_that_was_never_interrupted(
        self, url: str
    ) -> None:
        """Whatever the table has: whole trials, pruned, failed and running ones.

        After each trial one more engine is made, from what the database gives back, and must suggest
        and note what the first one does. The seed is 0, a seed and not the absence of one.
        """
        seed = self.seeded("0")
        whole = self.begin(url, *seed)
        storage = open_storage(url)
        for state in ENDS:
            stored = TrialTable(storage, whole.table.name).entries()
            assert stored == whole.table.entries()
            suggestion = whole.engine.ask()
            anew = setup_of(*self.overrides, *seed, space=self.space).make_engine(stored)
            assert anew.ask() == suggestion
            assert isinstance(suggestion, Suggestion)
            trial = whole.start(whole.table.create(suggestion, whole.setup.space))
            if state != "running":
                whole.end(trial, state)
        assert {entry.state for entry in whole.table.entries()} == set(ENDS)

    def test_studies_of_two_seeds_have_no_trial_in_common(self, copies: Copies) -> None:
        """Not of the greatest seed either: it is not cut down to another."""
        seeds = ("0", "1", str(2**32 - 1))
        studies = [self.suggestions(copies.next(), *self.seeded(n), count=3) for n in seeds]
        for one, other in itertools.combinations(studies, 2):
            assert (one != other) == (self.seed is not None)
            assert self.exhaustive or not [point for point in one if point in other]

    def test_without_a_seed_studies_differ(self, copies: Copies) -> None:
        one, other = (
            self.suggestions(copies.next(), *self.seeded("null"), count=2) for _ in range(2)
        )
        assert self.exhaustive or one != other

    def test_a_finite_space_ends_the_study(self, url: str) -> None:
        """When every point was tried or runs, and not before; failed ones are not tried again."""
        session = self.begin(url, space=FINITE)
        points: set[str] = set()
        running: list[Trial] = []
        for _ in range(100):
            asked = session.engine.ask()
            if isinstance(asked, Suggestion):
                running.append(session.start(session.table.create(asked, session.setup.space)))
                points.add(repr(asked.params))
            elif asked == "exhausted":
                break
            if len(running) == 3 or asked == "wait":
                trial = running.pop(0)
                session.end(trial, "failed" if trial.number == 0 else "complete")
        assert asked == "exhausted"
        assert len(points) == 4
        assert self.begin(url, space=FINITE).engine.ask() == "exhausted"

    def test_a_point_that_failed_is_not_suggested_again(self, url: str) -> None:
        session = self.begin(url)
        trials = []
        for _ in range(4):
            trials.append(session.ask())
            session.end(trials[-1], "failed")
        assert len({repr(trial.params) for trial in trials}) == 4

    def test_several_trials_are_in_flight_and_end_in_any_order(self, url: str) -> None:
        session = self.begin(url)
        trials = [session.ask() for _ in range(4)]
        assert len({repr(trial.params) for trial in trials}) == 4
        for trial in reversed(trials):
            session.end(trial)
        assert session.trial().number == 4

    def test_trials_that_were_left_running_can_be_ended(self, url: str) -> None:
        before = self.begin(url)
        before.trial()
        left = [before.ask(), before.ask()]
        after = self.begin(url)
        assert after.table.interrupted() == left
        for trial in left:
            after.end(after.start(trial))
        assert after.trial().number == 3
        assert [entry.attempt for entry in after.table.entries()] == [1, 2, 2, 1]
