"""The GPUs of this machine, asked of the driver: nothing that trains is imported."""

import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A visible GPU. `index` is what CUDA_VISIBLE_DEVICES takes; memory is in MiB."""

    index: str
    name: str
    free_mib: int


def visible_gpus() -> list[Gpu]:
    """The NVIDIA GPUs that this process may use, in the order of CUDA_VISIBLE_DEVICES.

    Empty where there is no driver.
    """
    command = [
        "nvidia-smi",
        "--query-gpu=index,uuid,name,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    found: dict[str, Gpu] = {}
    for line in done.stdout.strip().splitlines():
        index, uuid, name, free = (part.strip() for part in line.split(","))
        found[index] = found[uuid] = Gpu(index, name, int(free))
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return list({gpu.index: gpu for gpu in found.values()}.values())
    gpus = []
    for name in chosen.split(","):
        if name.strip() not in found:  # CUDA, too, ends the list at the first that it does not know
            break
        gpus.append(found[name.strip()])
    return gpus
