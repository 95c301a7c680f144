"""What decides the numbers of a run beside its configuration and its data: machine, libraries, code."""

import getpass
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pipeline.network.backend import device_name
from pipeline.run.code import code_of

_SETTINGS = (
    "CUBLAS_WORKSPACE_CONFIG", "DNNL_", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DISABLE_JIT",
    "JAX_ENABLE_X64", "NVIDIA_TF32_OVERRIDE", "ONEDNN_", "TF_CUDNN_", "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS",
)  # fmt: skip
"""Environment variables, or how their names begin, that choose kernels, precision or determinism."""

_INSTRUCTIONS = (
    "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512", "amx_",  # x86
    "asimd", "sve", "bf16", "i8mm",  # ARM
)  # fmt: skip
"""Instruction sets, or how their names begin, that the backends' kernels are chosen by."""

_CPU = Path("/proc/cpuinfo")
_DRIVER = Path("/proc/driver/nvidia/version")


def environment(threads: int) -> dict[str, str]:
    """What this process computes with, as texts by name, for the record of its runs.

    Device, threads, backend and versions; the CPU with its instruction sets, driver and CUDA of a GPU;
    `env.NAME`, the variables that choose kernels or determinism, where they are set; the code; the user.
    What can't be found out is left out.
    """
    device = device_name()
    found = {
        "device": device,
        "threads": str(threads),
        **_libraries(),
        **cpu(),
        **({} if device == "cpu" else _gpu()),
        **_settings(os.environ),
        **code_of(),
    }
    with suppress(KeyError, OSError):  # a container's user may have no name
        found["user"] = getpass.getuser()
    return found


def _libraries() -> dict[str, str]:
    """The backend, and the versions of what computes the numbers."""
    import keras

    backend = keras.backend.backend()
    packages = ("keras", backend, *(("jaxlib",) if backend == "jax" else ()), "numpy")
    versions = {f"version.{name}": version(name) for name in packages}
    return {"backend": backend, **versions, "version.python": platform.python_version()}


def cpu() -> dict[str, str]:
    """The model of the CPU, and what of its instruction sets decides how numbers are added."""
    try:
        text = _CPU.read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        return {"cpu": platform.processor() or platform.machine()}
    first = text.partition("\n\n")[0]
    facts = {name.strip(): value.strip() for name, _, value in _pairs(first)}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    used = sorted({flag for flag in flags if flag.startswith(_INSTRUCTIONS)})
    known = {"cpu": facts.get("model name", platform.machine()), "cpu.instructions": " ".join(used)}
    return {name: value for name, value in known.items() if value}


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in text.splitlines()]


def _gpu() -> dict[str, str]:
    """The driver of the GPU, and the CUDA that the backend was built with or has loaded."""
    import keras

    found = {}
    with suppress(OSError):  # no NVIDIA driver, or not to be seen in this container
        first = _DRIVER.read_text(encoding="utf-8", errors="replace").splitlines()[0]
        found["gpu.driver"] = first.partition(":")[2].strip()
    if keras.backend.backend() == "jax":
        import jax

        found["gpu.cuda"] = " ".join(str(jax.devices()[0].client.platform_version).split())
    else:
        import tensorflow as tf

        built = tf.sysconfig.get_build_info()
        parts = {"gpu.cuda": "cuda_version", "gpu.cudnn": "cudnn_version"}
        found |= {name: str(built[key]) for name, key in parts.items() if key in built}
    return found


def _settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of `variables` that count, less what names files: that decides nothing, and is private."""
    chosen = {name: text for name, text in sorted(variables.items()) if name.startswith(_SETTINGS)}
    words = {
        name: [word for word in text.split() if "/" not in word] for name, text in chosen.items()
    }
    return {f"env.{name}": " ".join(kept) for name, kept in words.items() if kept}
