"""TPE weighs a bounded part of a large study: asking stays quick, and what is asked for the same."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from pipeline.run.config import Direction
from search.engines import weighed
from search.engines.weighed import Weighed, weighs
from search.study.vocabulary import Record, Suggestion, Suggestions, Told
from tests.search.conftest import setup_of

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # group

CONDITIONAL = {
    "model": {
        "depth": {"low": 0, "high": 2},
        "dropout": {"low": 0.0, "high": 0.5},
    },
    "train": {
        "optimizer": ["adam", "sgd"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": ["sgd"]}},
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    },
}


def trial(
    number: int,
    *values: float,
    state: TrialState = TrialState.COMPLETE,
    curve: Mapping[int, float] | None = None,
) -> FrozenTrial:
    made = optuna.trial.create_trial(state=state, values=values or None, intermediate_values=curve)
    made.number = number
    return made


def after(directions: tuple[Direction, ...], *trials: FrozenTrial, most: int = 3) -> list[int]:
    subject = Weighed(directions, most)
    for each in trials:
        subject.runs(each.number)
    for each in trials:
        if each.state != TrialState.RUNNING:
            subject.ended(each)
    return subject.numbers() or []


def test_the_best_are_weighed_however_old_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighed, "BEST", 2)
    grows = [trial(number, value) for number, value in enumerate((0.1, 0.9, 0.8, 0.2, 0.3, 0.4))]
    assert after(("maximize",), *grows) == [1, 2, 3, 4, 5]
    assert after(("minimize",), *grows) == [0, 3, 4, 5]


def test_what_was_pruned_is_best_where_little_else_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The later the better, and of two that ended together the one that stood better; as TPE has it."""
    monkeypatch.setattr(weighed, "BEST", 2)
    curves = ({1: 0.9}, {1: 0.1, 2: 0.2}, {1: 0.1, 2: 0.1}, {1: float("nan")}, {}, {1: 0.8})
    pruned = [
        trial(number, state=TrialState.PRUNED, curve=curve) for number, curve in enumerate(curves)
    ]
    assert after(("maximize",), *pruned) == [1, 2, 3, 4, 5]
    assert after(("maximize",), *pruned, trial(6, 0.0)) == [1, 4, 5, 6]


def test_of_two_objectives_the_front_is_weighed() -> None:
    points = [(0.9, 5.0), (0.8, 4.0), (0.8, 6.0), (0.5, 1.0), (0.1, 9.0), (0.1, 9.0), (0.1, 9.0)]
    trials = [trial(number, *point) for number, point in enumerate(points)]
    assert after(("maximize", "minimize"), *trials) == [0, 1, 3, 4, 5, 6]


def test_of_those_that_run_the_newest_are_weighed() -> None:
    running = [trial(number, state=TrialState.RUNNING) for number in range(5)]
    assert after(("maximize",), *running, trial(5, 0.5)) == [2, 3, 4, 5]


def test_a_study_that_is_not_larger_is_weighed_whole() -> None:
    assert Weighed(("maximize",), 3).numbers() is None
    assert not after(("maximize",), *(trial(number, 0.5) for number in range(3)))
    assert not after(("maximize",), *(trial(number, 0.5) for number in range(9)), most=9)


def test_trials_that_are_to_be_drawn_at_random_are_not_cut_off() -> None:
    assert weighs("TPESampler", {"n_startup_trials": 10}) == weighed.WEIGHED
    assert weighs("TPESampler", {"n_startup_trials": 2 * weighed.WEIGHED}) == 2 * weighed.WEIGHED
    assert weighs("CmaEsSampler", {}) is None


class Asked:
    """A study of which `running` trials run at a time, asked and told by an engine that may be made anew."""

    def __init__(self, *overrides: str, running: int = 3) -> None:
        words = ("sampler=tpe", "sampler.n_startup_trials=4", *overrides)
        self._setup = setup_of(*words, space=CONDITIONAL)
        self._running = running
        self._suggested: list[Suggestion] = []
        self._told: list[Told] = []

    def until(self, trials: int) -> list[Mapping[str, Any]]:
        """The points of so many trials; their engine is made from the record of those before."""
        told = [*self._told, *[None] * self._running]
        records = list(map(Record, self._suggested, told))
        engine = self._setup.engine_from(records, 1, rows=1000)
        while len(self._suggested) < trials:
            answer = engine.ask(1)
            assert isinstance(answer, Suggestions)
            self._suggested += answer.trials
            if (number := len(self._suggested) - self._running) >= 0:
                value = 1 - abs(self._suggested[number].params["train.learning_rate"] - 0.01)
                self._told.append(Told(number, "complete", value, {1: value}))
                engine.tell(self._told[-1])
        return [each.params for each in self._suggested]


def test_a_large_study_that_is_resumed_asks_for_what_it_would_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weighed, "WEIGHED", 5)
    monkeypatch.setattr(weighed, "BEST", 2)
    whole, resumed = Asked(), Asked()
    resumed.until(13)
    assert resumed.until(20) == whole.until(20)


@pytest.mark.parametrize("liar", ["true", "false"])
def test_no_more_is_handed_to_the_sampler(liar: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest that ended, the best of those before, and those that run."""
    monkeypatch.setattr(weighed, "WEIGHED", 5)
    monkeypatch.setattr(weighed, "BEST", 2)
    seen: list[int] = []
    sample = optuna.samplers.TPESampler.sample_relative

    def noted(self: Any, study: optuna.Study, *rest: Any) -> Any:
        seen.append(len(study.get_trials(deepcopy=False)))
        return sample(self, study, *rest)

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_relative", noted)
    Asked(f"sampler.constant_liar={liar}").until(20)
    assert max(seen) == 5 + 2 + 2


@pytest.mark.parametrize("group", ["false", "true"])
def test_what_trials_share_is_told_from_one_of_each_kind(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (f"sampler.group={group}", "sampler.multivariate=true")
    found = Asked(*words).until(16)
    monkeypatch.setattr(Weighed, "kinds", lambda _: None)  # all trials
    assert found == Asked(*words).until(16)
