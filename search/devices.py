"""The GPUs of this machine, asked of the driver: nothing that trains is imported."""

import os
import subprocess
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Gpu:
    """A visible GPU. `index` is what CUDA_VISIBLE_DEVICES takes, a UUID too; memory is in MiB.

    `free_mib`: None where the GPU shares the memory of the machine.
    """

    index: str
    name: str
    free_mib: int | None


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
        found[index] = found[uuid] = Gpu(index, name, int(free) if free.isdigit() else None)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return list({gpu.index: gpu for gpu in found.values()}.values())
    gpus = []
    for name in chosen.split(","):
        if name.strip() not in found:  # CUDA, too, ends the list at the first that it does not know
            break
        # By the name it was given: CUDA may number GPUs in another order than the driver.
        gpus.append(replace(found[name.strip()], index=name.strip()))
    return gpus
