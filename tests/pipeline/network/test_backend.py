"""What a run computes on, and what of its noise is seen."""

import os
import sys

import pytest

from pipeline.network.backend import (
    device_name,
    forget_peak_memory,
    is_out_of_memory,
    lean_imports,
    limit_threads,
    peak_memory,
    tensorflow_on_the_cpu,
)
from tests.conftest import RunPython

NOISY = """
import os, sys
from pipeline.network.backend import quietly
print("before", file=sys.stderr)
with quietly():
    print("chatter from Python", file=sys.stderr)
    os.write(2, b"chatter from C\\n")
    print("output")
    {last}
print("after", file=sys.stderr)
"""


def test_chatter_is_hidden_when_all_goes_well(run_python: RunPython) -> None:
    done = run_python("-c", NOISY.format(last="pass"))
    assert done.returncode == 0
    assert done.stderr == "before\nafter\n"
    assert done.stdout == "output\n"


@pytest.mark.parametrize("last", ["raise ValueError('broken')", "sys.exit(7)"])
def test_chatter_is_shown_when_the_block_raises(run_python: RunPython, last: str) -> None:
    done = run_python("-c", NOISY.format(last=last))
    assert done.returncode == (7 if "exit" in last else 1)
    assert done.stderr.startswith("before\nchatter from Python\nchatter from C\n")
    assert "after" not in done.stderr
    assert ("ValueError: broken" in done.stderr) == ("ValueError" in last)


def test_threads_are_limited_for_every_library_that_starts_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    for variable in variables:
        monkeypatch.setenv(variable, "1")
    limit_threads(3)
    assert [os.environ[variable] for variable in variables] == ["3", "3", "3"]


@pytest.mark.parametrize(("threads", "flag"), [(1, "false"), (2, "true")])
def test_jax_is_limited_by_its_own_flag_beside_those_already_set(
    monkeypatch: pytest.MonkeyPatch, threads: int, flag: str
) -> None:
    variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
    for variable in variables:
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--other=1")
    limit_threads(threads)
    assert os.environ["XLA_FLAGS"] == f"--other=1 --xla_cpu_multi_thread_eigen={flag}"
    assert os.environ["NPROC"] == str(threads)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_jax_starts_as_many_threads_as_it_may_use(run_python: RunPython, threads: int) -> None:
    script = (
        "import os\n"
        "os.environ['KERAS_BACKEND'] = 'jax'\n"
        "from pipeline.network.backend import limit_threads\n"
        f"limit_threads({threads})\n"
        "import jax.numpy as jnp\n"
        "jnp.ones((256, 256)).dot(jnp.ones((256, 256))).block_until_ready()\n"
        "from pathlib import Path\n"
        "names = [file.read_text() for file in Path('/proc/self/task').glob('*/comm')]\n"
        "print(sum('XLAEigen' in name for name in names))"
    )
    done = run_python("-c", script)
    assert done.stdout.split() == [str(threads)], done.stdout + done.stderr


def test_the_device_is_the_first_gpu_or_the_cpu() -> None:
    import tensorflow as tf

    assert (device_name() == "cpu") == (not tf.config.list_physical_devices("GPU"))


def test_the_peak_of_memory_is_that_of_the_first_gpu_since_it_was_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    peaks = {"GPU:0": 9 * 2**20}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(
        tf.config.experimental, "reset_memory_stats", lambda name: peaks.update({name: 2**20})
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"peak": peaks[name]}
    )
    assert peak_memory() == {"peak_gpu_memory_mib": 9}
    forget_peak_memory()
    assert peak_memory() == {"peak_gpu_memory_mib": 1}


def test_on_a_cpu_there_is_no_peak_of_gpu_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    forget_peak_memory()
    assert peak_memory() == {}


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (type("ResourceExhaustedError", (Exception,), {})("failed to allocate memory"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes"), True),
        (RuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (RuntimeError("INTERNAL: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (ValueError("a bug"), False),
    ],
)
def test_a_device_without_memory_is_told_from_a_bug(error: Exception, out: bool) -> None:
    assert is_out_of_memory(error) is out


def test_tensorflow_on_the_cpu_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers that a command starts after an export inherit it: they train on the user's GPUs."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    before = dict(os.environ)
    with tensorflow_on_the_cpu():
        assert os.environ["KERAS_BACKEND"] == "tensorflow"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert os.environ == before


LEAN = """
import sys
from pipeline.network.backend import lean_imports, limit_threads
limit_threads(1)
with lean_imports():
    import keras
print(sorted({"jax", "matplotlib", "pandas", "scipy", "sklearn"} & sys.modules.keys()))
import pandas, scipy
print(keras.backend.backend())
"""


@pytest.mark.slow
def test_keras_is_imported_without_what_a_run_needs_none_of_and_that_can_be_had_later(
    run_python: RunPython,
) -> None:
    done = run_python("-c", LEAN)
    assert done.stdout.splitlines() == ["[]", "tensorflow"], done.stderr


def test_what_is_there_already_stays_there_and_an_error_puts_all_back() -> None:
    import pandas  # noqa: F401

    def block() -> None:
        with lean_imports():
            assert sys.modules["pandas"] is not None
            raise ValueError("broken")

    before = set(sys.modules)
    with pytest.raises(ValueError, match="broken"):
        block()
    assert {name for name, module in sys.modules.items() if module is None} <= before


def test_the_backend_is_tensorflow_unless_the_environment_says_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a file in the home folder says: a run's numbers must not hang on it."""
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.delenv("KERAS_BACKEND")
    limit_threads(1)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
