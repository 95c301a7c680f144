"""What was measured on a machine, kept in a file for the next forecast."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from pipeline.command.section import Section
from pipeline.network.environment import cpu
from pipeline.run.config import RunConfig
from search.forecasting.cost import Size, Work
from search.forecasting.samples import Sample
from search.machine.cpus import usable_cpus
from search.machine.template import backend_of_workers
from search.study.space import Space

_MOST = 64
"""The most runs that are kept of a machine: the latest."""

_LOCKED_SECONDS = 10.0


class Measured(Section):
    """What a machine was measured to do, all its workers busy.

    `spaces`: for which, by `digest_of`. `worker`: what they said of themselves. `start_seconds`: until they
    can train. `memory_mib`: what one had at its height, None where it can't be told.
    """

    worker: Mapping[str, str] = Field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    spaces: tuple[str, ...] = ()
    start_seconds: float = 0.0
    memory_mib: float | None = None

    def joined(self, later: "Measured | None", space: str) -> "Measured":
        """What both say; None: nothing had to be measured for `space`.

        Of the times that workers took to start the shorter one counts: other programs only make it longer.
        """
        spaces = (*self.spaces, space)[-_MOST:]
        if later is None:
            return self.model_copy(update={"spaces": spaces})
        starts = [s for s in (self.start_seconds, later.start_seconds) if s]
        memory = [m for m in (self.memory_mib, later.memory_mib) if m is not None]
        return Measured(
            worker=later.worker,
            samples=(*self.samples, *later.samples)[-_MOST:],
            spaces=spaces,
            start_seconds=min(starts, default=0.0),
            memory_mib=max(memory, default=None),
        )


_MACHINES = TypeAdapter(dict[str, Measured])


def digest_of(base: RunConfig, space: Space, size: Size) -> str:
    """Text that differs for spaces whose runs make a worker do other things."""
    told = json.dumps([Work(base, size).shape, space.describe(), repr(size)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def key_of_machine(place: str, workers: int, threads: int) -> str:
    """Text that is equal where trials take as long: cores, processor, backend and versions, and workers.

    `place`: where they are: the GPUs by name, or a cluster's address.
    """
    versions = {}
    for package in ("keras", "tensorflow", "jax"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    found = {
        "place": place,
        "cores": usable_cpus(),
        **cpu(),
        "backend": backend_of_workers(),
        **versions,
        "workers": workers,
        "threads": threads,
    }
    return json.dumps(found, sort_keys=True)


class Kept:
    """The file at `path`, for all machines that share the folder. It is never needed: it spares time.

    `problem`: why it could not be read or written, for people; empty where it could.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""

    def of(self, key: str) -> Measured:
        """What is kept of a machine."""
        return self._read().get(key, Measured())

    def put(self, key: str, measured: Measured) -> None:
        """Keep what was measured on a machine, beside what others keep of other machines."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=_LOCKED_SECONDS):
                kept = self._read()
                kept[key] = measured
                partial = self._path.with_suffix(".partial")
                partial.write_bytes(_MACHINES.dump_json(kept))
                partial.replace(self._path)
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.problem = (
                f"{self._path} can't be written: {reason} (it is measured again next time)"
            )

    def _read(self) -> dict[str, Measured]:
        try:
            return _MACHINES.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.problem = f"{self._path} can't be read: {error.strerror}"
        except ValidationError:
            self.problem = f"{self._path} is damaged, or of another version: it is measured anew"
        return {}
