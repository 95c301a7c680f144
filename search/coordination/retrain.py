"""The weights of a recorded trial that were not kept, trained again from its recorded configuration."""

from collections.abc import Sequence
from contextlib import closing

from pipeline.command.compose import compose
from pipeline.command.errors import PlumblineError
from pipeline.command.section import validated
from pipeline.run.comparison import compare
from pipeline.run.config import DataConfig
from pipeline.run.result import Weights
from search.coordination.replay import Replayed, Replays, backend_of, lanes_of, recorded, threads_of
from search.study.vocabulary import Entry
from search.workers.local import LocalLauncher
from search.workers.messages import LocalConfig
from search.workers.pool import Pool
from search.workers.stopping import Stopper


def retrain(entry: Entry, entries: Sequence[Entry], data: DataConfig, name: str) -> Weights:
    """The weights of `entry`, trained again on a worker like the one that trained it first.

    A trial that went on from another is trained from the beginning, by way of that one. `name`: what to
    call it.
    Raises PlumblineError, with what differs, where the network is not the recorded one.
    """
    values = compose(["launcher=local"])["launcher"]
    like = {"threads_per_worker": threads_of(entry.worker), "lanes": lanes_of(entry.worker)}
    config = validated(LocalConfig, {**values, **like}, "launcher")
    found: list[Replayed] = []
    with backend_of(entry.worker), closing(LocalLauncher(config, data, 1)) as launcher:
        pool = Pool(launcher, config.attempts, Stopper(grace_seconds=0, note=print))
        try:
            Replays([entry], entries).train(pool, lambda _, replayed: found.append(replayed))
        except PlumblineError as error:
            raise PlumblineError(f"{name}: training it again failed: {error}") from None
    assert entry.run is not None, "it has a result"
    metric = entry.run.objective.metric
    unkept = f"{name}, whose weights are not kept"
    certificate = compare(unkept, entry.uid, metric, recorded(entry), found[0].training)
    weights = found[0].weights
    if weights is None or not certificate.identical:
        raise PlumblineError(f"{certificate.words()}\nnot exported")
    return weights
