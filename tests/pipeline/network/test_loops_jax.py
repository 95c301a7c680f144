"""The loops on JAX: what `test_loops` says holds there too. Keras has one backend for life."""

import pytest

from tests.pipeline.conftest import Report

pytestmark = pytest.mark.slow  # a process of its own with the other backend


def test_the_laws_of_the_loops_hold_on_jax(laws_on_jax: Report) -> None:
    status = laws_on_jax.process.wait(timeout=300)
    report = laws_on_jax.file.read_text()
    assert status == 0, f"\n{report}"
    assert " passed" in report
