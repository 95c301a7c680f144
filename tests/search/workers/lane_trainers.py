"""Trainers for worker processes with several lanes: what a trial does, its epochs say."""

import os
import signal
import sys
import threading
from dataclasses import replace

from pipeline.run.config import RunConfig
from pipeline.run.result import OnEpoch, Outcome, State
from search.workers.worker import Data, Trainer
from tests.search.fakes import ResourceExhaustedError, curve_trainer, epoch_metrics, outcome

QUIET, WAITS, DIES, STARVES, LEAVES = range(1, 6)
"""Epochs of a trial that: ends, waits for ever, is killed, has no memory, ends its process."""

_together = threading.Barrier(3, timeout=120)


def meeting_trainer(data: Data, threads: int) -> Trainer:
    """Three trials must be there at once before one of them goes on."""
    plain = curve_trainer(data, threads)

    def train(run: RunConfig, on_epoch: OnEpoch, start: State | None, *_: object) -> Outcome:
        _together.wait()
        return plain.train(run, on_epoch, start, ())

    return replace(plain, train=train, share=lambda _: None)


def mixed_trainer(data: Data, threads: int) -> Trainer:
    """Tells of an epoch; what then comes of a trial, its number of epochs says."""

    def train(run: RunConfig, on_epoch: OnEpoch, *_: object) -> Outcome:
        on_epoch(epoch_metrics(1, 0.5))
        if run.train.epochs == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if run.train.epochs == STARVES:
            raise ResourceExhaustedError("RESOURCE_EXHAUSTED: no memory left")
        if run.train.epochs == LEAVES:
            sys.exit("somebody's code leaves")
        if run.train.epochs == WAITS:
            threading.Event().wait()
        return outcome([0.5])

    return replace(curve_trainer(data, threads), train=train, share=lambda _: None)
