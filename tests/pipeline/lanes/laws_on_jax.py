"""What holds in a lane: the numbers of a run are its own, whoever sits beside it. On JAX, by `test_lanes`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from pipeline.data import Arrays, Dataset
from pipeline.lanes.choice import use_lanes
from pipeline.run.config import RunConfig
from pipeline.run.result import DivergedError, OnEpoch
from pipeline.training.execute import execute
from pipeline.training.fit import Trained, train
from tests.conftest import MakeRunConfig
from tests.pipeline.network.test_custom import SMALL as OWN
from tests.pipeline.training.test_fit import never

WIDTH = 4
# 100 rows for training, 50 for validation: batches of 32, 32, 32 and 4.
SMALL = (
    *("model.hidden_units=16", "model.depth=1", "model.activation=tanh", "train.batch_size=32"),
    *("model.dropout=0.25", "model.l1=0.001", "model.l2=0.002", "train.epochs=4"),
    "train.validation_split=0.3333",
)
OTHERS = tuple(
    (*SMALL, f"train.seed={seed}", f"model.dropout=0.{seed}", f"train.learning_rate=0.0{seed}")
    for seed in (1, 2, 3)
)


@pytest.fixture(scope="module")
def rows(digits: Dataset) -> Arrays:
    return digits.train_arrays.part(0, 150)


@pytest.fixture
def lanes() -> Iterator[None]:
    use_lanes(WIDTH)
    yield
    use_lanes(1)


def pruned_after(epoch: int) -> OnEpoch:
    return lambda metrics: metrics.epoch == epoch


def together(
    rows: Arrays, *runs: RunConfig, prune: Sequence[OnEpoch] = (), **how: Any
) -> list[Trained | DivergedError]:
    """All `runs` at once, each in a thread of its own; `how` the first of them begins."""

    def one(place: int) -> Trained | DivergedError:
        on_epoch = prune[place] if place < len(prune) else never
        try:
            *_, done = train(runs[place], rows, on_epoch, **(how if place == 0 else {}))
        except DivergedError as error:
            return error
        return done

    with ThreadPoolExecutor(len(runs)) as threads:
        return list(threads.map(one, range(len(runs))))


def numbers(trained: Any) -> tuple[Any, ...]:
    """Every number of a training, and every byte of its end."""
    assert isinstance(trained, Trained), trained
    curve = [(each.epoch, *each.metrics.items()) for each in trained.history]
    state = [(each.dtype.str, each.shape, each.tobytes()) for each in trained.state.arrays]
    weights = [each.tobytes() for each in trained.loop.weights()]
    return trained.stop, trained.best_epoch, curve, state, weights


SHAPES = {
    "adam": (),
    "sgd with momentum": ("train.optimizer=sgd", "train.momentum=0.9"),
    "a schedule": ("train.schedule=cosine", "train.warmup_epochs=1", "train.weight_decay=0.01"),
    "no penalty": ("model.l1=0", "model.l2=0", "model.dropout=0"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_epoch_of_a_lane_is_that_of_a_run_with_its_own_program(
    shape: str, run_config: MakeRunConfig, rows: Arrays
) -> None:
    runs = [run_config(*each, *SHAPES[shape]) for each in (SMALL, *OTHERS)]
    alone = [numbers(next(iter(train(run, rows, never)))) for run in runs]
    use_lanes(WIDTH)
    try:
        in_lanes = [numbers(each) for each in together(rows, *runs)]
    finally:
        use_lanes(1)
    assert len({str(each[2]) for each in in_lanes}) == len(runs), "each has numbers of its own"
    for one, other in zip(alone, in_lanes, strict=True):
        first, same = ([*dict(each[2][0][1:]).values()] for each in (one, other))
        assert first == pytest.approx(same, rel=1e-5)
        last, near = ([*dict(each[2][-1][1:]).values()] for each in (one, other))
        assert last == pytest.approx(near, rel=1e-3, abs=0.02)


Company = Callable[..., list[Trained | DivergedError]]

COMPANY: dict[str, Company] = {
    # the run, the rows, three others -> all of them, the run first
    "two others": lambda rows, run, a, b, _: together(rows, run, a, b),
    "three others": lambda rows, run, a, b, c: together(rows, run, a, b, c),
    "three that came first": lambda rows, run, a, b, c: together(rows, a, b, c, run)[::-1],
    "more than have a lane": lambda rows, run, a, b, c: together(rows, a, b, c, a, b, run)[::-1],
    "others that are pruned": lambda rows, run, a, b, c: together(
        rows, run, a, b, c, prune=[never, pruned_after(1), pruned_after(2)]
    ),
    "one that diverges": lambda rows, run, a, b, _: together(rows, run, diverging(a), b),
}


def diverging(run: RunConfig) -> RunConfig:
    train = run.train.model_copy(update={"learning_rate": 1e30})
    return run.model_copy(update={"train": train})


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("company", COMPANY)
def test_no_bit_of_a_run_depends_on_who_sits_beside_it(
    company: str, run_config: MakeRunConfig, rows: Arrays
) -> None:
    run, *others = (run_config(*each) for each in (SMALL, *OTHERS))
    (alone,) = together(rows, run)
    assert numbers(COMPANY[company](rows, run, *others)[0]) == numbers(alone)


@pytest.mark.usefixtures("lanes")
def test_a_lane_that_diverges_fails_alone(run_config: MakeRunConfig, rows: Arrays) -> None:
    run, other, *_ = (run_config(*each) for each in (SMALL, *OTHERS))
    error, one, another = together(rows, diverging(run), run, other)
    assert isinstance(error, DivergedError)
    assert [len(numbers(each)[2]) for each in (one, another)] == [4, 4]


ENDINGS = {
    "the last epoch": ("objective.select=last",),
    "the best epoch": ("objective.select=best",),
    "patience": ("objective.select=best", "train.patience=1", "train.epochs=30"),
}


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_goes_on_and_is_cut_in_company_as_it_is_trained_alone(
    ending: str, run_config: MakeRunConfig, rows: Arrays
) -> None:
    run = run_config(*SMALL, "train.learning_rate=0.05", *ENDINGS[ending])
    others = [run_config(*each) for each in OTHERS]
    whole = numbers(together(rows, run)[0])
    half = run.model_copy(update={"train": run.train.model_copy(update={"epochs": 2})})
    begun = together(rows, half, *others)[0]
    assert isinstance(begun, Trained)
    for arrays in (begun.state.arrays, []):  # the last ones were not kept: trained up to there
        start = replace(begun.state, arrays=arrays, history=begun.history)
        assert numbers(together(rows, run, *others, start=start)[0]) == whole
    assert numbers(together(rows, run, *others, milestones=(1, 2, 3))[0]) == whole


@pytest.mark.usefixtures("lanes")
def test_a_network_of_ones_own_keeps_its_statistics_in_a_lane(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    runs = [run_config(*OWN, f"train.seed={seed}") for seed in range(3)]
    alone = together(rows, runs[0])[0]
    assert numbers(together(rows, *runs)[0]) == numbers(alone)
    use_lanes(1)
    single = next(iter(train(runs[0], rows, never)))
    one, other = (dict(each.history[0].metrics) for each in (single, alone))  # type: ignore[union-attr]
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.usefixtures("lanes")
def test_runs_at_once_have_the_results_that_each_has_by_itself(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    runs = [run_config(*each, "train.validation_split=0.2") for each in (SMALL, *OTHERS)]
    alone = [execute(run, digits, never).result for run in runs]
    with ThreadPoolExecutor(len(runs)) as threads:
        found = list(threads.map(lambda run: execute(run, digits, never).result, runs))
    for one, other in zip(alone, found, strict=True):
        assert (one.weights_digest, one.history_digest) == (
            other.weights_digest,
            other.history_digest,
        )
        assert (one.test, one.hits, one.value) == (other.test, other.hits, other.value)
