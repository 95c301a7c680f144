"""What every engine promises the coordinator. A test class inherits it and says how its engine is made."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.run.fingerprint import fingerprint
from pipeline.run.result import EpochMetrics
from search.setup.read import Setup
from search.study.space import Choices, Range, Space
from search.study.vocabulary import (
    Attempts,
    Engine,
    Entry,
    Exhausted,
    Suggestion,
    Suggestions,
    TrialState,
    Wait,
    curve,
    record,
)
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.search.conftest import Copies, setup_of, study_of
from tests.search.fakes import epoch_metrics, run_result
from tests.search.play import Play, height

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

ALIKE: Mapping[str, Any] = {
    "model": {
        "depth": [0, 1],
        "hidden_units": [8, 16],
        "dropout": {"low": 0.0, "high": 0.2, "step": 0.1},
    },
    "train": {"learning_rate": [None, 0.001]},
}
"""24 points, but seven runs: width and dropout have no say at depth 0, and 0.001 is Adam's own rate."""

ENDS: Sequence[TrialState] = (
    *("complete", "pruned", "failed", "complete", "running", "complete"),
    *("complete", "failed", "complete", "complete"),
)
"""How the trials of a study end that has all that a study can have, some left running."""


PRUNES = ("pruner=median", "pruner.n_startup_trials=2", "pruner.n_warmup_steps=1", "train.epochs=5")


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

    def suggestion(self) -> Suggestion | Wait | Exhausted:
        """What the engine says next."""
        answer = self.engine.ask(1)
        return answer.trials[0] if isinstance(answer, Suggestions) else answer

    def ask(self) -> Entry:
        """The next trial, started."""
        suggestion = self.suggestion()
        assert isinstance(suggestion, Suggestion), suggestion
        return self.start(self.table.create(suggestion, self.setup.space))

    def start(self, trial: Entry) -> Entry:
        """One more attempt at `trial`."""
        run = self.setup.space.apply(self.setup.run, trial.params, trial.epochs)
        return self.table.start(trial.number, run, Attempts(trial.attempts.made + 1))

    def end(
        self,
        trial: Entry,
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
        metric = self.setup.run.objective.metric
        history: list[EpochMetrics] = []
        for epoch in range(first, last + 1):
            seconds = height(trial.params)
            reached = epoch_metrics(epoch, value * (1 - 0.5**epoch))
            history.append(dataclasses.replace(reached, seconds=seconds))
            if epoch == last and state != "pruned":
                break
            if self.engine.report(trial.number, curve(history, metric)) and state == "complete":
                state = "pruned"
                break
        assert state != "running"
        stop = "pruned" if state == "pruned" else "completed"
        result = run_result([value], stop, history=tuple(history), value=value)
        met = dataclasses.replace(trial, state=state, history=tuple(history), value=value)
        met = met if state == "failed" else dataclasses.replace(met, result=result)
        told = record(met, metric).told
        assert told is not None
        notes = self.engine.tell(told)
        if state == "failed":
            met = dataclasses.replace(trial, history=tuple(history))
            entry = self.table.fail(met, "loss is nan", notes)
        else:
            entry = self.table.complete(trial, result, notes)
        assert entry.state == state

    def trial(self) -> Entry:
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
    ordered = 24  # the same, with several workers in order
    prunes: tuple[str, ...] = PRUNES
    ends: Sequence[TrialState] = ENDS
    uncountable: Mapping[str, Any] | None = None  # of one run, for engines that need a finite one
    promotes = False  # whether a trial may go on from another, with its parameters

    # Steps of a study.

    def begin(
        self,
        url: str,
        *overrides: str,
        space: Mapping[str, Any] | None = None,
        workers: int = 1,
    ) -> Session:
        """A launch: the table opened, the engine made from what it has."""
        setup = setup_of(*self.overrides, *overrides, space=space or self.space)
        table = TrialTable.open(url, study_of(setup))
        return Session(setup, table, setup.make_engine(table.entries(), workers))

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
        for state in self.ends:
            stored = TrialTable(storage, whole.table.name).entries()
            assert stored == whole.table.entries()
            suggestion = whole.suggestion()
            anew = setup_of(*self.overrides, *seed, space=self.space).make_engine(stored, 1)
            assert anew.ask(1) == Suggestions((suggestion,))
            assert isinstance(suggestion, Suggestion)
            trial = whole.start(whole.table.create(suggestion, whole.setup.space))
            if state != "running":
                whole.end(trial, state)
        assert {entry.state for entry in whole.table.entries()} == set(self.ends)

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
        running: list[Entry] = []
        for _ in range(100):
            asked = session.suggestion()
            if isinstance(asked, Suggestion):
                running.append(session.start(session.table.create(asked, session.setup.space)))
                points.add(repr(asked.params))
            elif isinstance(asked, Exhausted):
                break
            if len(running) == 3 or isinstance(asked, Wait):
                trial = running.pop(0)
                session.end(trial, "failed" if trial.number == 0 else "complete")
        assert asked == Exhausted()
        assert len(points) == 4
        assert self.begin(url, space=FINITE).engine.ask(1) == Exhausted()

    def test_what_is_the_same_run_is_not_suggested_twice(self) -> None:
        """Every run of a space is, and then it is used up; trials that go on from others come on top."""
        setup = setup_of(*self.overrides, *self.prunes, space=ALIKE)
        trials = Play(setup, workers=2).run(100)
        new = [suggestion for suggestion, _ in trials if suggestion.continues is None]
        runs = {fingerprint(setup.space.apply(setup.run, each.params)) for each in new}
        assert len(new) == len(runs) == 7

    def test_a_space_of_one_run_is_used_up_with_it_however_many_points_it_has(self) -> None:
        """Infinitely many here: the dropout of a network without hidden layers."""
        space = {"model": {"depth": [0], "dropout": {"low": 0.0, "high": 0.5}}}
        setup = setup_of(*self.overrides, space=self.uncountable or space)
        assert len(Play(setup).run(3)) == 1

    @pytest.mark.parametrize("workers", [1, 3])
    def test_in_fixed_order_timing_has_no_say(self, workers: int) -> None:
        """Nor have workers that die, nor coordinators; with one worker it is the study in free order."""
        setup = setup_of(*self.overrides, *self.prunes, "study.order=fixed", space=self.space)
        quiet = Play(setup, workers).run(self.ordered)
        assert len(quiet) == self.ordered
        for chance in (1, 2):
            play = Play(setup, workers, chance, deaths=0.03, restarts=0.03)
            assert play.run(self.ordered) == quiet
        if workers == 1:
            free = setup_of(*self.overrides, *self.prunes, "study.order=free", space=self.space)
            assert Play(free, chance=3, deaths=0.1, restarts=0.1).run(self.ordered) == quiet

    def test_a_seed_that_was_not_given_is_drawn_once(self) -> None:
        """A launch goes on with the one of the launch before."""
        setup = setup_of(*self.overrides, *self.seeded("null"), space=self.space)
        play = Play(setup, restarts=0.3)
        trials = play.run(self.trials)
        seeds = {each.suggestion.notes.get("seed") for each in play.records()}
        assert len(seeds) == 1
        given = setup_of(*self.overrides, *self.seeded(str(seeds.pop())), space=self.space)
        assert Play(given).run(self.trials) == trials

    def test_several_trials_are_suggested_at_once(self) -> None:
        setup = setup_of(*self.overrides, space=self.space)
        one, other = setup.engine_from((), 1), setup.engine_from((), 1)
        singly = [one.ask(1) for _ in range(3)]
        together = other.ask(3)
        assert isinstance(together, Suggestions)
        assert [Suggestions((each,)) for each in together.trials] == singly

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
        assert [entry.attempts.made for entry in after.table.entries()] == [1, 2, 2, 1]
