"""A worker of a Ray cluster: an actor, called by the driver, with a thread that trains."""

import os
import queue
import shutil
import socket
import tempfile
import threading
import traceback
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pipeline.data import Dataset
from pipeline.run.config import DataConfig, RunConfig
from search.workers.messages import Broken, Event, RayConfig, Task
from search.workers.worker import Data, MakeTrainer, described, lacks_gpu, run_task, use_folder


class Worker:
    """An actor: a trainer, and the thread in which it trains."""

    def __init__(
        self, config: RayConfig, data: DataConfig, dataset: Dataset, environment: dict[str, str]
    ) -> None:
        os.environ.update(environment)
        self._config = config
        self._data = Data(data, dataset)
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def prepare(self) -> dict[str, str] | Broken:
        """Make the trainer; what it says of itself."""
        self._folder = Path(tempfile.mkdtemp(prefix="plumbline-"))
        use_folder(self._folder)
        try:
            make_trainer: MakeTrainer = resolve_name(self._config.trainer)
            self._made = make_trainer(self._data, self._config.threads_per_worker)
        except Exception:  # noqa: BLE001  # a trainer may be anybody's; the coordinator reports it
            return Broken(traceback.format_exc())
        if self._config.require_gpu and (refusal := lacks_gpu(self._made)) is not None:
            return refusal
        threading.Thread(target=self._train, daemon=True).start()
        return {**self._made.about, "node": socket.gethostname()}

    def ping(self) -> None:
        """Show that this worker lives."""

    def describe(self, run: RunConfig) -> dict[str, str] | Broken:
        """What is on record of this worker where it trains `run`, beside its node."""
        return described(run, self._made)

    def leave(self) -> None:
        """Remove what this worker made: it is about to be ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def advance(self, message: Task | bool) -> Event:
        """Take a trial up, or go on after its epoch (True: pruned); what comes of it next."""
        self._heard.put(message)
        event: Event = self._said.get()
        return event

    def _train(self) -> None:
        try:
            while True:
                task = self.recv()
                use_folder(self._folder)
                self.send(run_task(task, self._made, self))
        finally:
            os._exit(1)  # nobody would answer any more

    def send(self, obj: Any, /) -> None:
        self._said.put(obj)

    def recv(self) -> Any:
        return self._heard.get()
