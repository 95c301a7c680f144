"""The laws of the loops on JAX, in a process of its own that runs beside the other tests."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# These are about code that is the same on every backend, and slow to compile there.
_ELSEWHERE = "not optimizer_is_the_named and not plain_loop_goes_on"
_MORE = (
    "test_schedules.py::test_a_loop_used_before_has_the_schedule_and_the_decay_of_the_next_run",
    "test_schedules.py::test_a_compiled_loop_gives_the_numbers_of_model_fit[adam-train.schedule=step "
    "train.warmup_epochs=1 train.weight_decay=0.1]",
)
_MORE += (
    "test_custom.py::test_a_compiled_loop_trains_it_as_model_fit_does[()]",
    "test_custom.py::test_weights_come_with_the_statistics_of_their_epoch[auto]",
)
# Programs this small take longer to optimize than to run.
_UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


class Report(NamedTuple):
    """A pytest process and the file of all that it says."""

    process: "subprocess.Popen[bytes]"
    file: Path


@pytest.fixture(scope="session")
def laws_on_jax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """`test_loops` on JAX."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    laws = Path(__file__).parent / "network" / "test_loops.py"
    more = [laws.with_name(each) for each in _MORE]
    file = tmp_path_factory.mktemp("jax") / "report.txt"
    flags = ("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore")
    with file.open("w") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *flags, "-k", _ELSEWHERE, laws, *more],
            env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": _UNOPTIMIZED},
            cwd=laws.parents[3],
            stdout=opened,
            stderr=subprocess.STDOUT,
        )
    yield Report(process, file)
    process.kill()
    process.wait()


@pytest.fixture(scope="session", autouse=True)
def _begin_with_jax(request: pytest.FixtureRequest) -> None:
    """Start the laws on JAX before the first test, where they are asked for and can be had."""
    asked = any("laws_on_jax" in getattr(i, "fixturenames", ()) for i in request.session.items)
    if asked and importlib.util.find_spec("jax") is not None:
        request.getfixturevalue("laws_on_jax")
