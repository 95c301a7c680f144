"""Data that make a question meaningless: what is refused, with the remedy, and what is only said."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.command.errors import ConfigError
from pipeline.data import Dataset, Split, check_run, doubts, load, validation_start
from pipeline.data.dataset import bounds, spread_evenly
from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo, dataset_info
from tests.conftest import MakeRunConfig

Labels = NDArray[np.int64]


def noise(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(shape[0]).uniform(size=shape)


def dataset(train: Any, test: Any = None, features: Any = None, tested: Any = None) -> Dataset:
    """Feature rows of noise with the labels `train` and `test`, or `features` and `tested`."""
    labels = np.asarray(train), np.asarray(train if test is None else test)
    rows = noise(len(labels[0]), 3) if features is None else features
    judged = noise(len(labels[1]) + 1, 3)[1:] if tested is None else tested
    low, high = bounds(rows)
    classes = int(max(map(np.max, labels))) + 1
    return Dataset("npz", "", Split(rows, labels[0]), Split(judged, labels[1]), classes, low, high)


EVEN: Labels = np.tile(np.arange(10), 100)


def mixed(*counts: int) -> Labels:
    """So many labels of each class, spread evenly."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return labels[spread_evenly(labels)]


@pytest.fixture(scope="module")
def run(run_config: MakeRunConfig) -> RunConfig:
    return run_config("train.validation_split=0.2", "train.batch_size=32")


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (
            np.sort(EVEN),
            "validation rows have classes 8 and 9, of which no row is left to train on",
        ),
        (np.sort(EVEN)[::-1], "validation rows have classes 0 and 1, of which no row"),
        (np.repeat([0, 1], 50), "no validation row has class 0, which is trained on"),
        (np.repeat([0, 1], [90, 10]), "validation rows have class 1, of which no row"),
        (np.repeat([1, 0], [50, 50]), "no validation row has class 1"),
        (np.repeat(np.arange(100), 10), "have classes 80, 81, 82, 83 and 16 more, of which"),
        (np.r_[mixed(400, 400), 2, 1, 0], "validation rows have class 2, of which no row"),
    ],
)
def test_rows_that_are_sorted_are_refused_with_the_remedy(
    run: RunConfig, labels: Labels, fault: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        check_run(dataset(labels), run)
    assert str(raised.value).startswith(
        "train.validation_split: expected every class on both sides"
    )
    assert fault in str(raised.value)
    assert "set data.shuffle=true, which draws them from every class" in str(raised.value)
    spread = dataset(labels[spread_evenly(labels)])
    check_run(spread, run)  # the remedy is one


@pytest.mark.parametrize(
    "labels", [EVEN, mixed(500, 5), mixed(3, 3, 3), np.random.default_rng(0).permutation(EVEN)]
)
def test_rows_in_a_random_order_are_accepted(run: RunConfig, labels: Labels) -> None:
    check_run(dataset(labels), run)


def test_without_validation_rows_their_order_does_not_matter(run_config: MakeRunConfig) -> None:
    run = run_config("train.validation_split=0.0", "objective.metric=accuracy")
    check_run(dataset(np.sort(EVEN)), run)


def test_where_shuffling_did_not_help_a_smaller_split_is_the_remedy(
    run_config: MakeRunConfig,
) -> None:
    run = run_config("train.validation_split=0.9", "data.shuffle=true")
    with pytest.raises(ConfigError, match=r"\(set a smaller train.validation_split\)"):
        check_run(dataset(np.arange(20)), run)


@pytest.mark.parametrize("split", [0.05, 0.2, 0.5])
def test_a_shuffle_spreads_each_class_evenly_and_keeps_every_row(split: float) -> None:
    labels = np.repeat([0, 1, 2, 5], [600, 300, 40, 1])
    order = spread_evenly(labels)
    assert sorted(order) == list(range(len(labels)))
    np.testing.assert_array_equal(order, spread_evenly(labels))
    kept = round(len(labels) * (1 - split))
    held_out = np.bincount(labels[order[kept:]], minlength=6)
    np.testing.assert_allclose(held_out, np.bincount(labels) * split, atol=2)
    assert held_out[5] == 0, "its only row is one to train on"
    of_first = order[labels[order] == 0]
    assert np.abs(np.corrcoef(of_first, np.arange(600))[0, 1]) < 0.2, "random within a class"


def test_a_shuffle_moves_training_rows_only_and_is_of_the_digest(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    shuffled = load(run_config("data.shuffle=true").data)
    assert shuffled.digest != digits.digest
    np.testing.assert_array_equal(shuffled.test.features, digits.test.features)

    def examples(split: Split) -> list[bytes]:
        return sorted(
            image.tobytes() + bytes([label])
            for image, label in zip(split.features, split.labels, strict=True)
        )

    assert examples(shuffled.train) == examples(digits.train)


@pytest.mark.parametrize("overrides", [(), ("data.test_split=0.25",), ("data.shuffle=true",)])
def test_a_split_seed_draws_other_validation_rows_by_class_and_leaves_the_test_set(
    run_config: MakeRunConfig, overrides: tuple[str, ...]
) -> None:
    plain = load(run_config(*overrides).data)
    one, other, again = (
        load(run_config(*overrides, f"data.split_seed={seed}").data) for seed in (7, 2**32 - 1, 7)
    )
    assert one.digest == again.digest
    assert len({plain.digest, one.digest, other.digest}) == 3
    start = validation_start(len(plain.train), 0.2)
    for each in (one, other):
        np.testing.assert_array_equal(each.test.features, plain.test.features)
        whole = np.bincount(plain.train.labels)
        held_out = np.bincount(each.train.labels[start:])
        np.testing.assert_allclose(held_out, whole * 0.2, atol=2)
        np.testing.assert_array_equal(np.bincount(each.train.labels), whole)


def test_a_shuffled_test_split_has_each_class_in_its_share(run_config: MakeRunConfig) -> None:
    split = load(run_config("data.shuffle=true", "data.test_split=0.25").data)
    counts = [np.bincount(part.labels) for part in (split.train, split.test)]
    np.testing.assert_allclose(counts[0] / 3, counts[1], atol=1.5)


def copied(validation: int, test: int) -> Dataset:
    """Rows of which the last training rows and the first test rows are copies of the first ones."""
    rows, tested = noise(1000, 3), noise(100, 3)
    rows[1000 - validation :] = rows[:validation]
    tested[:test] = rows[:test]
    return dataset(EVEN, EVEN[:100], rows, tested)


def pictures(train: float, test: float) -> Dataset:
    return dataset(EVEN, EVEN, noise(1000, 4, 4) * train, noise(1000, 4, 4)[::-1] * test)


DOUBTS: dict[str, tuple[Callable[[], Dataset], str | None]] = {
    "even": (lambda: dataset(EVEN), None),
    "uneven": (
        lambda: dataset(mixed(950, 50)),
        r"760 of 800 rows .* of class 0 \(95.0%, .* 40 of cl",
    ),
    "mostly one": (lambda: dataset(mixed(170, 30)), "are of class 0 .85.0%"),
    "three to one": (lambda: dataset(mixed(150, 50)), None),
    "one rare": (lambda: dataset(mixed(100, 100, 100, 5)), "uneven: 80 of 244 .* 4 of class 3"),
    "counted from one": (lambda: dataset(EVEN + 1), "no row is of class 0, .* counted from 0"),
    "by tens": (lambda: dataset(EVEN * 10), "classes 1, 2, 3, 4 and 77 more"),
    "only tested": (lambda: dataset(EVEN, [0, 1, 10]), "class 10 in test rows only"),
    "not tested": (lambda: dataset(EVEN, np.tile(np.arange(9), 5)), "class 9 in no test row"),
    "not judged": (
        lambda: dataset(np.r_[2, 2, mixed(249, 249)]),
        "class 2 in no val",
    ),
    "few": (lambda: dataset(mixed(10, 10)), "train.batch_size: 32 is more than the 16 rows to tr"),
    "tested copies": (lambda: copied(0, 30), "x_test: 30 of 100 test rows are rows to train on"),
    "judged copies": (
        lambda: copied(50, 0),
        "x_train: 50 of 200 validation rows are rows to train",
    ),
    "a copy": (lambda: copied(1, 0), None),
    "all the same": (
        lambda: dataset(EVEN, features=np.ones((1000, 3))),
        "all rows to train on are",
    ),
    "one unit": (lambda: pictures(255, 250), None),
    "another unit": (
        lambda: pictures(1, 255),
        "x_test: goes from 0.* to 25.*, x_train from .* to 0.9",
    ),
    "yet another unit": (
        lambda: pictures(255, 1),
        "x_test: goes from .* to 0.9.* same unit",
    ),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_should_be_known_of_data_is_said_and_nothing_else(run: RunConfig, case: str) -> None:
    make, wanted = DOUBTS[case]
    said = doubts(make(), run.train)
    if wanted is None:
        assert said == ()
    else:
        assert any(re.search(wanted, line) for line in said), said
        assert all(len(line.splitlines()) == 1 for line in said)


def test_nothing_is_said_of_the_digits_and_of_mnist(
    run: RunConfig, digits: Dataset, mnist_path: Any
) -> None:
    assert doubts(digits, run.train) == ()
    mnist = load(run.data.model_copy(update={"name": "mnist", "path": str(mnist_path)}))
    assert doubts(mnist, run.train) == ()


@pytest.mark.parametrize(
    ("scale", "part", "message"),
    [
        (False, "x_train", r"\(set data.scale=true\), got up to 1e\+39"),
        (True, "x_test", "once they are"),
    ],
)
def test_numbers_that_would_be_infinite_in_32_bits_are_refused(
    run: RunConfig, scale: bool, part: str, message: str
) -> None:
    rows, tested = noise(1000, 3), noise(1001, 3)[1:]
    (tested if part == "x_test" else rows)[:] *= 1e39
    subject = dataset(EVEN, EVEN, rows, tested)
    if not scale:
        subject = replace(subject, low=np.zeros(()), high=np.ones(()), scaled=False)
    with pytest.raises(
        ConfigError, match=rf"^data: {part}: expected numbers that fit 32 bits.*{message}"
    ):
        check_run(subject, run)


def test_what_is_said_is_on_record_and_read_back(run: RunConfig) -> None:
    info = dataset_info(dataset(mixed(950, 50)), run)
    assert len(info.doubts) == 1
    assert TypeAdapter(DatasetInfo).validate_json(json.dumps(asdict(info))) == info


def test_a_record_of_a_version_that_said_nothing_is_read() -> None:
    tree = asdict(dataset_info(dataset(EVEN)))
    del tree["doubts"], tree["scaling"]
    assert TypeAdapter(DatasetInfo).validate_python(tree).doubts == ()
