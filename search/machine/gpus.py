"""The GPUs of this machine, asked of the driver: nothing that trains is imported."""

import os
import subprocess
from dataclasses import dataclass, replace

from pipeline.command.errors import UnavailableError

_QUERY_SECONDS = 30  # a driver that wakes up a machine's GPUs takes a few


@dataclass(frozen=True)
class Gpu:
    """A visible GPU. `index` is what CUDA_VISIBLE_DEVICES takes, a UUID too; memory is in MiB.

    `free_mib`: None where the GPU shares the memory of the machine. `number`: the driver's; None for
    a slice of a GPU.
    """

    index: str
    name: str
    free_mib: int | None
    number: int | None = None

    def __str__(self) -> str:
        free = "" if self.free_mib is None else f", {self.free_mib:,} MiB free"
        return f"GPU {self.index}: {self.name}{free}"


def visible_gpus(required: bool = False) -> list[Gpu]:
    """The NVIDIA GPUs that this process may use, in the order of CUDA_VISIBLE_DEVICES.

    Empty where there is none; if one is `required` (launcher.require_gpu), UnavailableError then
    says what was looked for.
    """
    try:
        listed = _listed()
        if not listed:
            raise _NoneError("nvidia-smi lists no device (is the driver loaded, the GPU lent out?)")
        return _chosen(listed, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except _NoneError as reason:
        if not required:
            return []
        raise UnavailableError(
            f"launcher.require_gpu: expected a visible NVIDIA GPU, but {reason}\n"
            "(mend that, or let trials run on the CPU with launcher.require_gpu=false)"
        ) from None


class _NoneError(Exception):
    """Says why there is no GPU."""


def _listed() -> dict[str, Gpu]:
    """What the driver lists, by number and by UUID."""
    command = [
        "nvidia-smi",
        "--query-gpu=index,uuid,name,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUERY_SECONDS)
    except FileNotFoundError:
        raise _NoneError(
            "there is no nvidia-smi in PATH (install NVIDIA's driver, or in a container its runtime)"
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _NoneError(f"nvidia-smi can't be run: {error}") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise _NoneError(f"nvidia-smi ended with exit code {done.returncode}: {said[0]}")
    found: dict[str, Gpu] = {}
    for line in done.stdout.strip().splitlines():
        index, uuid, name, free = (part.strip() for part in line.split(","))
        gpu = Gpu(index, name, int(free) if free.isdigit() else None, int(index))
        found[index] = found[uuid] = gpu
    return found


def _chosen(found: dict[str, Gpu], chosen: str | None) -> list[Gpu]:
    if chosen is None:
        return list({gpu.index: gpu for gpu in found.values()}.values())
    gpus = []
    for name in (part.strip() for part in chosen.split(",")):
        if name.startswith("MIG-"):  # the query lists whole GPUs only
            gpus.append(Gpu(name, "a MIG slice", None))
        elif name in found:
            # By the name it was given: CUDA may number GPUs in another order than the driver.
            gpus.append(replace(found[name], index=name))
        else:  # CUDA, too, ends the list at the first that it does not know
            break
    if not gpus:
        there = ", ".join(sorted({str(gpu.number) for gpu in found.values()}))
        raise _NoneError(
            f"CUDA_VISIBLE_DEVICES={chosen!r} hides every one of those that nvidia-smi lists ({there})"
        )
    return gpus
