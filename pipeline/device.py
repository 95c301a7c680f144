"""What a run computes on: threads, and the name of the device. All that depends on the backend is here."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from pipeline.errors import PlumblineError


def limit_threads(threads: int) -> None:
    """Let the backend use `threads` CPU threads; call it before Keras is first imported.

    The number of threads decides the order of float additions: results repeat bit for bit only at
    the same number.
    """
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # A process takes GPU memory as it needs it, so that several can share a GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        single = "true" if threads > 1 else "false"
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen={single}".strip()


@contextmanager
def quietly() -> Iterator[None]:
    """Keep TensorFlow's start-up chatter from the terminal; it is shown if the block fails unexpectedly."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except PlumblineError:
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


def backend_versions() -> dict[str, str]:
    """The backend, and the versions of what computes the numbers of a run."""
    import keras

    backend = keras.backend.backend()
    return {
        "backend": backend,
        **{f"version.{name}": version(name) for name in ("keras", backend, "numpy")},
    }
