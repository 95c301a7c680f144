"""One comparison: what it calls identical is so to the last bit, and of what differs it says where."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.run.comparison import Certificate, Training, changes, compare
from pipeline.run.digests import history_digest
from pipeline.run.result import EpochMetrics, RunResult
from tests.search.fakes import run_result

WORKER = {
    "device": "cpu",
    "threads": "1",
    "version.python": "3.11.7",
    "version.tensorflow": "2.21.0",
    "cpu.instructions": "avx avx2 avx512f",
    "code.commit": "a" * 40,
    "worker": "0",
    "user": "ada",
}


def result(*values: float) -> RunResult:
    found = run_result([0.5, 0.75, 0.625, *values], weights_digest="w" * 64)
    return replace(found, history_digest=history_digest(found.history))


def training(found: RunResult | None = None, **worker: str) -> Training:
    found = found or result()
    return Training({**WORKER, **worker}, found.history, found)


def certified(one: Training, other: Training, noise: float | None = None) -> Certificate:
    return compare("dropout, trial 16", "u-16", "val_accuracy", one, other, noise)


def test_the_same_numbers_are_identical_whenever_they_were_made() -> None:
    found = result()
    later = tuple(EpochMetrics(e.epoch, e.metrics, 9.0, 99.0) for e in found.history)
    other = replace(found, history=later, timings={}, examples_per_second=1.0)
    certificate = certified(training(found), Training(WORKER, later, other))
    assert (certificate.identical, certificate.first) == (True, None)
    assert certificate.compared == 3 * 4 + 3 + len(found.test)
    assert certificate.words().startswith("dropout, trial 16: identical (17 numbers, weights wwww")


def last_bit(found: RunResult, epoch: int, metric: str) -> RunResult:
    changed = [
        replace(each, metrics={**each.metrics, metric: math.nextafter(each.metrics[metric], 2.0)})
        if each.epoch == epoch
        else each
        for each in found.history
    ]
    return replace(found, history=tuple(changed), history_digest=history_digest(changed))


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("metric", ["loss", "accuracy", "val_loss", "val_accuracy"])
def test_one_bit_of_one_metric_of_one_epoch_is_found(epoch: int, metric: str) -> None:
    found = result()
    certificate = certified(training(found), training(last_bit(found, epoch, metric)))
    assert not certificate.identical
    assert certificate.first is not None
    assert (certificate.first.epoch, certificate.first.metric) == (epoch, metric)
    assert certificate.first.recorded != certificate.first.replayed
    for value in (certificate.first.recorded, certificate.first.replayed):
        assert repr(value) in certificate.words()


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        (lambda r: replace(r, value=0.7), "objective"),
        (lambda r: replace(r, best_epoch=3), "best_epoch"),
        (lambda r: replace(r, stop="pruned"), "stop"),
        (lambda r: replace(r, test={**r.test, "test_loss": 0.3}), "test_loss"),
        (lambda r: replace(r, weights_digest="x" * 64), None),
    ],
)
def test_what_a_run_ends_with_counts(
    change: Callable[[RunResult], RunResult], metric: str | None
) -> None:
    certificate = certified(training(), training(change(result())))
    assert not certificate.identical
    assert (certificate.first and certificate.first.metric) == metric
    assert (certificate.first and certificate.first.epoch) is None


def test_a_run_of_another_length_differs_where_one_has_no_epoch() -> None:
    for one, other in [(result(), result(0.5)), (result(0.5), result())]:
        certificate = certified(training(one), training(other))
        assert certificate.first is not None
        assert certificate.first.epoch == 4
        assert None in (certificate.first.recorded, certificate.first.replayed)


def test_the_sign_of_a_zero_is_a_bit() -> None:
    plus, minus = (
        Training({}, (EpochMetrics(1, {"loss": zero}, 0.0, 0.0),), None) for zero in (0.0, -0.0)
    )
    assert certified(plus, plus).identical
    assert not certified(plus, minus).identical


def test_a_record_whose_history_was_changed_is_found_though_both_agree() -> None:
    found = result()
    forged = replace(last_bit(found, 2, "val_loss"), history_digest=found.history_digest)
    certificate = certified(training(forged), training(last_bit(found, 2, "val_loss")))
    assert (certificate.damaged, certificate.identical) == (True, False)
    assert "the record was changed" in certificate.words()


def test_a_record_of_a_version_without_digests_is_compared_by_its_numbers() -> None:
    old = replace(result(), weights_digest=None, history_digest=None)
    certificate = certified(Training({"device": "cpu"}, old.history, old), training())
    assert certificate.identical
    assert certificate.weights == "not recorded"
    assert certificate.changed == ()
    assert "no digest of its weights is on record" in certificate.words()


def test_a_run_that_can_not_be_trained_again_differs_with_the_reason() -> None:
    certificate = certified(training(), Training(WORKER, (), None, "loss is nan at epoch 1"))
    assert not certificate.identical
    assert "loss is nan at epoch 1" in certificate.words()


def test_an_address_in_the_reason_is_in_no_certificate() -> None:
    """Certificates are published."""
    reason = "HTTPError: 500 for https://hooks.example.org/T0/hush (try later), token=hush"
    certificate = certified(training(), Training(WORKER, (), None, reason))
    assert certificate.reason is not None
    assert certificate.reason.startswith("HTTPError: 500 for https://***")
    assert "hush" not in certificate.model_dump_json()


def test_a_difference_is_told_in_units_of_seed_noise_where_that_is_known() -> None:
    other = replace(result(), value=0.7)
    assert "0.05 apart: 5 times the noise of a seed (0.01)" in certified(
        training(), training(other), noise=0.01
    ).words().replace("0.050", "0.05")
    assert "no verdict has measured" in certified(training(), training(other)).words()


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({}, ()),
        ({"worker": "1", "user": "bob", "gpu": "3", "node": "n"}, ()),
        ({"version.tensorflow": "2.22.0"}, ("tensorflow 2.21.0 -> 2.22.0",)),
        ({"cpu.instructions": "avx avx2"}, ("CPU without avx512f",)),
        ({"cpu.instructions": "avx avx2 avx512f fma"}, ("CPU with fma",)),
        ({"cpu.instructions": "avx fma"}, ("CPU without avx2 avx512f and with fma",)),
        ({"code.commit": "b" * 40}, (f"code.commit {'a' * 40} -> {'b' * 40}",)),
        ({"code.dirty": "true"}, ("code.dirty none -> true",)),
        ({"env.XLA_FLAGS": "--x"}, ("env.XLA_FLAGS none -> --x",)),
    ],
)
def test_what_changed_of_an_environment_is_named(now: dict[str, str], words: tuple[str]) -> None:
    assert changes(WORKER, {**WORKER, **now}) == words


def test_what_is_gone_is_named_and_what_an_old_row_never_said_is_not() -> None:
    without = {name: text for name, text in WORKER.items() if name != "code.commit"}
    assert changes(WORKER, without) == (f"code.commit {'a' * 40} -> none",)
    assert changes({"device": "cpu", "threads": "1"}, WORKER) == ()
    assert changes({"device": "a gpu", "threads": "1"}, WORKER) == ("device a gpu -> cpu",)


def test_the_environment_alone_makes_no_difference() -> None:
    certificate = certified(training(), training(**{"code.commit": "b" * 40}))
    assert certificate.identical
    assert certificate.changed == (f"code.commit {'a' * 40} -> {'b' * 40}",)
    assert certificate.words().endswith(", in another environment")


def test_a_certificate_survives_json() -> None:
    certificate = certified(training(), training(last_bit(result(), 1, "loss")), noise=0.1)
    assert Certificate.model_validate_json(certificate.model_dump_json()) == certificate
