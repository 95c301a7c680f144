"""The laws of the loops on JAX, in a process of its own: Keras has one backend for life."""

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import RunPython

# These are about code that is the same on every backend, and slow to compile there.
ELSEWHERE = "not optimizer_is_the_named and not plain_loop_goes_on"


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_the_laws_of_the_loops_hold_on_jax(run_python: RunPython) -> None:
    done = run_python(
        *("-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider"),
        *("-W", "ignore", "-k", ELSEWHERE, str(Path(__file__).with_name("test_loops.py"))),
        KERAS_BACKEND="jax",
        # Programs this small take longer to optimize than to run.
        XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    )
    assert done.returncode == 0, f"\n{done.stdout}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout
