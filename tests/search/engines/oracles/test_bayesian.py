"""Bayesian search: bounds, results, trials in flight."""

from typing import Any

import pytest

from search.study.vocabulary import Entry
from tests.search.conftest import DROPOUT
from tests.search.engines.oracles.session import Session, height, setup_of


def test_bayesian_search_stays_within_logarithmic_bounds() -> None:
    """Its optimum often lies on the edge of the space, where KerasTuner's integers go one beyond."""
    space = {"train": {"batch_size": {"low": 16, "high": 128, "log": True}}}
    session = Session(setup_of("bayesian", space, "oracle.num_initial_points=3"))
    for _ in range(8):
        entry = session.ask()
        assert isinstance(entry, Entry)
        size = entry.params["train.batch_size"]
        assert isinstance(size, int)
        assert 16 <= size <= 128
        session.end(entry.number, float(size))
    sizes = [entry.params["train.batch_size"] for entry in session.entries]
    assert 128 in sizes
    assert len(set(sizes)) == 8


def test_bayesian_search_learns_from_what_it_is_told() -> None:
    setup = setup_of("bayesian", DROPOUT, "oracle.num_initial_points=4")
    one, other = Session(setup), Session(setup)
    for _ in range(8):
        for session, sign in ((one, 1), (other, -1)):
            entry = session.ask()
            assert isinstance(entry, Entry)
            session.end(entry.number, sign * float(entry.params["model.dropout"] or 0))
    params = [[entry.params for entry in session.entries] for session in (one, other)]
    assert params[0][:4] == params[1][:4]
    assert params[0][4:] != params[1][4:]


def test_running_trials_count_as_the_process_expects_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the search would repeat them, or flee from them."""
    from search.engines.oracles.bayesian import BayesianOracle

    costs: list[Any] = []
    original = BayesianOracle._vectorize_trials

    def spy(oracle: Any) -> Any:
        points, values = original(oracle)
        costs.append(values)
        return points, values

    monkeypatch.setattr(BayesianOracle, "_vectorize_trials", spy)
    session = Session(setup_of("bayesian", DROPOUT, "oracle.num_initial_points=4"))
    for _ in range(4):
        entry = session.ask()
        assert isinstance(entry, Entry)
        session.end(entry.number, 100 + height(entry.params))
    session.ask()
    session.ask()
    assert len(costs[-1]) == 5
    assert all(-102 < cost < -99 for cost in costs[-1])
