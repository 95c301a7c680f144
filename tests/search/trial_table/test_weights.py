"""Weights on disk: those of the best trials, and no others."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.command.errors import StorageError
from pipeline.run.result import State
from search.coordination.coordinator import Coordinator
from search.study.ranking import Ranking
from search.study.space import Choices, Space
from search.study.vocabulary import Curve, Entry, Study, StudyConfig, Suggestion, Suggestions, Told
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Event, Finished, Started, Task
from search.workers.stopping import Stopper
from tests.search import made

VALUES = [0.5, 0.9, 0.7, 0.9, 0.6, 0.8, 0.95, 0.1]


class Instant:
    """A launcher whose trials end at once, trial n with `VALUES[n]` and weights full of n.

    Of several workers the one that began last ends first.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._tasks: deque[Task] = deque()

    def free(self) -> int:
        return self._workers - len(self._tasks)

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def poll(self, timeout: float) -> list[Event]:
        number = self._tasks.pop().number
        result = made.result([VALUES[number]], stop="pruned" if number == 6 else "completed")
        weights = [np.full((2, 3), number), np.full(3, number)]
        return [Started(number, {}), Finished(number, result, weights)]

    def reply(self, number: int, prune: bool) -> None: ...

    def close(self) -> None: ...


class Steady:
    """An engine that asks for dropout 0.1 for ever."""

    continues = False

    def ask(self, count: int) -> Suggestions:
        return Suggestions((Suggestion({"model.dropout": 0.1}),))

    def report(self, number: int, curve: Curve) -> bool:
        return False

    def tell(self, told: Told) -> dict[str, object]:
        return {}


class Silent:
    """A watcher that keeps what was on disk whenever a trial had ended."""

    def __init__(self, store: WeightStore) -> None:
        self._store = store
        self.kept: list[set[int]] = []

    def running(self, trials: object, last: bool) -> None:
        self.kept.append(self._store.kept())

    def ended(self, entry: Entry) -> None: ...


def run(folder: Path, target: int, keep: int = 3, workers: int = 1) -> Silent:
    """One launch of a study up to `target` trials."""
    config = StudyConfig(name="test", question=None, trials=8, lock="fail", space={})
    study = Study(config, made.BASE, made.DROPOUT, made.DATA, {})
    table = TrialTable.open(f"sqlite:///{folder / 'studies.db'}", study)
    store = WeightStore(folder / "weights")
    watcher = Silent(store)
    coordinator = Coordinator(
        study, table, Steady(), Instant(workers), store, 3, watcher, Stopper(0, print), keep
    )
    coordinator.run(target)
    return watcher


def best(count: int, numbers: int) -> set[int]:
    complete = [n for n in range(numbers) if n != 6]
    return set(sorted(complete, key=lambda n: (-VALUES[n], n))[:count])


@pytest.mark.parametrize("keep", [1, 3, 20])
def test_the_weights_of_the_best_trials_are_kept_and_no_others(tmp_path: Path, keep: int) -> None:
    kept = run(tmp_path, len(VALUES), keep).kept
    assert kept == [best(keep, count) for count in range(1, len(VALUES) + 1)]


def test_of_equal_trials_the_earlier_is_kept_though_it_ends_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads the ranking, so its weights are those that an export looks for."""
    monkeypatch.setattr("tests.search.trial_table.test_weights.VALUES", [0.9, 0.9])
    assert run(tmp_path, 2, keep=1, workers=2).kept == [{1}, {0}]


def test_the_weights_of_all_seeds_of_the_best_configuration_are_kept_not_of_the_luckiest_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout 0.1 has the best trial, and the worse mean once its second seed is there."""
    tried = iter([(0.1, 0, 0.99), (0.2, 0, 0.95), (0.2, 1, 0.94), (0.3, 0, 0.5), (0.1, 1, 0.8)])
    values: list[float] = []

    def ask(*_: object) -> Suggestions:
        dropout, seed, value = next(tried)
        values.append(value)
        return Suggestions((Suggestion({"model.dropout": dropout, "train.seed": seed}),))

    seeds = Space({**made.DROPOUT.dimensions, "train.seed": Choices((0, 1))})
    monkeypatch.setattr(Steady, "ask", ask)
    monkeypatch.setattr(made, "DROPOUT", seeds)
    monkeypatch.setattr("tests.search.trial_table.test_weights.VALUES", values)
    assert run(tmp_path, 5, keep=2).kept == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2, 4}]
    entries = TrialTable(open_storage(f"sqlite:///{tmp_path / 'studies.db'}"), "test").entries()
    assert set(Ranking(made.BASE.objective, entries).numbers(1)) == {1, 2}


def test_a_pruned_trial_keeps_no_weights_however_good_it_looked(tmp_path: Path) -> None:
    assert 6 not in run(tmp_path, len(VALUES), keep=20).kept[-1]


def test_the_next_launch_goes_on_with_the_same_best_trials(tmp_path: Path) -> None:
    run(tmp_path, 4)
    store = WeightStore(tmp_path / "weights")
    assert store.kept() == best(3, 4)
    store.save(99, [np.zeros(2)])  # as a launch leaves it that died before the trial was recorded
    assert run(tmp_path, len(VALUES)).kept[-1] == best(3, len(VALUES))


def test_a_launch_that_keeps_fewer_never_loses_the_best(tmp_path: Path) -> None:
    run(tmp_path, 4, keep=3)
    run(tmp_path, 5, keep=1)
    assert WeightStore(tmp_path / "weights").kept() == {1}


def test_kept_weights_are_those_that_the_trial_ended_with(tmp_path: Path) -> None:
    run(tmp_path, 4)
    kernel, bias = WeightStore(tmp_path / "weights").weights(1) or ()
    np.testing.assert_array_equal(kernel, np.full((2, 3), 1))
    np.testing.assert_array_equal(bias, np.full(3, 1))


def test_files_that_a_killed_launch_left_half_written_are_removed(tmp_path: Path) -> None:
    store = WeightStore(tmp_path)
    store.save(5, [np.zeros(3)])
    for name in ("6.partial", "6-state.partial"):
        (tmp_path / name).write_bytes(b"PK")
    store.keep_only([5])
    assert [file.name for file in tmp_path.iterdir()] == ["5.npz"]


def test_states_are_left_alone(tmp_path: Path) -> None:
    store = WeightStore(tmp_path)
    store.save_state(4, State(2, [np.zeros(3)]))
    store.save(5, [np.zeros(3)])
    store.keep_only([])
    assert store.kept() == set()
    assert store.state(4).epoch == 2


def test_weights_that_were_not_kept_are_none(tmp_path: Path) -> None:
    assert WeightStore(tmp_path).weights(7) is None


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-30]),
    "other names": lambda file: np.savez(file, kernel=np.zeros(3)),
    "empty": lambda file: file.write_bytes(b""),
    "a text": lambda file: file.write_text("weights"),
    "objects": lambda file: np.savez(file, np.array([{}], dtype=object), allow_pickle=True),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_arrays_that_can_not_be_read_are_an_error_that_names_the_file(
    tmp_path: Path, damage: str
) -> None:
    store = WeightStore(tmp_path)
    store.save(7, [np.zeros(3)])
    store.save_state(7, State(2, [np.zeros(3)]))
    for name, read in (("7.npz", store.weights), ("7-state.npz", store.state)):
        DAMAGE[damage](tmp_path / name)
        with pytest.raises(
            StorageError, match=f"{name}: these are no weights of a trial|{name}: can't"
        ):
            read(7)
