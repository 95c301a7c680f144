"""Lanes on JAX, in a process of its own: Keras has one backend for life."""

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow  # a process with the other backend


def test_the_laws_of_lanes_hold(run_python: RunPython) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    laws = Path(__file__).with_name("laws_on_jax.py")
    flags = ("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore")
    done = run_python(
        "-m", "pytest", *flags, "-o", "python_files=*.py", str(laws), KERAS_BACKEND="jax"
    )
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"
    assert " passed" in done.stdout
