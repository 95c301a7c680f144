"""What a run computes on: threads, and the name of the device. All that depends on the backend is here."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pipeline.command.collector import imports_only
from pipeline.command.errors import PlumblineError

_LEFT_OUT: tuple[str, ...] = ("matplotlib", "pandas", "sklearn")
_LEFT_OUT_WITH_TENSORFLOW = ("jax", "scipy")

_OUT_OF_MEMORY = (
    "ResourceExhaustedError",
    "RESOURCE_EXHAUSTED",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN
)


def limit_threads(threads: int) -> None:
    """Let the backend use `threads` CPU threads; call it before Keras is first imported.

    The number of threads decides the order of float additions: results repeat bit for bit only at
    the same number.
    """
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever a file in the home folder says
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # A process takes GPU memory as it needs it, so that several can share a GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if os.environ["KERAS_BACKEND"] == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        single = "true" if threads > 1 else "false"
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen={single}".strip()
        # Whatever that flag says, XLA starts a thread for each CPU.
        os.environ["NPROC"] = str(threads)


@contextmanager
def lean_imports() -> Iterator[None]:
    """Have Keras, first imported in the block, do without the packages that a run needs none of.

    Keras and TensorFlow import them if they are there, for wrappers, plots and converters: half of
    the seconds that their own import takes, and a third of the memory. After the block they can be
    imported as ever. Not while another thread imports: in the block it would miss them, too.
    """
    names = _LEFT_OUT
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        names += _LEFT_OUT_WITH_TENSORFLOW
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    absent = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(absent))  # None: Python's own mark of what can't be imported
    try:
        with imports_only():
            yield
    finally:
        for name in absent:
            del modules[name]


@contextmanager
def tensorflow_on_the_cpu() -> Iterator[None]:
    """Let Keras, imported in the block, compute with TensorFlow on the CPU; the environment is put back.

    What this process starts later, workers for instance, sees the user's backend and GPUs again.
    """
    chosen = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    before = {variable: os.environ.get(variable) for variable in chosen}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for variable, value in before.items():
            del os.environ[variable]
            if value is not None:
                os.environ[variable] = value


@contextmanager
def quietly() -> Iterator[None]:
    """Keep TensorFlow's start-up chatter from the terminal; it is shown if the block fails unexpectedly."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except (PlumblineError, KeyboardInterrupt):
            raise  # it says what went wrong by itself
        except BaseException:
            sys.stderr.flush()
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def device_name() -> str:
    """The first accelerator's name, or `cpu`."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind).lower()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", gpus[0].name))


def forget_peak_memory() -> None:
    """Let `peak_memory` start anew. JAX can't: there it is the peak of the process."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            tf.config.experimental.reset_memory_stats("GPU:0")


def peak_memory() -> dict[str, float]:
    """The most memory in use on the GPU so far, in MiB, as a metric; empty on a CPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        peak = stats.get("peak_bytes_in_use")
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else None
    return {} if peak is None else {"peak_gpu_memory_mib": peak / 2**20}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a backend's way to say that a device has no memory left.

    TensorFlow raises ResourceExhaustedError, XLA under either backend RESOURCE_EXHAUSTED, and CUDA's
    libraries have codes of their own.
    """
    said = f"{type(error).__name__}: {error}"
    return any(words in said for words in _OUT_OF_MEMORY)
