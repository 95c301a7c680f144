"""What chaos did to a study: what of it was lost, what is there twice, what was left running."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.study.vocabulary import Entry
from tests.faults.tracked import TrackedRun
from tests.faults.world import outcomes


@dataclass
class Tally:
    """Each one in words. `odd`: whatever else was not as it should be, exit codes for instance."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    left_running: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.left_running += other.left_running
        self.odd += other.odd

    @property
    def clean(self) -> bool:
        return not self.all

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.duplicated, *self.left_running, *self.odd]

    def __str__(self) -> str:
        return (
            f"lost {len(self.lost)}, duplicated {len(self.duplicated)}, "
            f"left running {len(self.left_running)}"
            + (f", odd {len(self.odd)}" if self.odd else "")
        )


def of_table(entries: Sequence[Entry], target: int, seen: Mapping[int, object]) -> Tally:
    """`entries`: the table at the end. `seen`: outcomes of trials that were once on record as ended."""
    tally = Tally()
    now = outcomes(list(entries))
    numbers = Counter(entry.number for entry in entries)
    tally.lost += [f"trial {n}: not there" for n in range(target) if n not in numbers]
    tally.lost += [f"trial {n}: another end" for n in seen if n in now and now[n] != seen[n]]
    tally.duplicated += [f"trial {n}: {count} times" for n, count in numbers.items() if count > 1]
    ended = [entry for entry in entries if entry.state != "running"]
    tally.left_running += [f"trial {e.number}: running" for e in entries if e not in ended]
    for entry in ended:
        epochs = [epoch.epoch for epoch in entry.history]
        tally.duplicated += [
            f"trial {entry.number}: epoch {e} twice" for e, n in Counter(epochs).items() if n > 1
        ]
        if epochs != sorted(epochs):
            tally.odd.append(f"trial {entry.number}: epochs in no order")
        if entry.state == "failed":
            tally.odd.append(f"trial {entry.number}: failed: {entry.reason}")
    return tally


def of_tracker(runs: Sequence[TrackedRun], entries: Sequence[Entry], uid: str) -> Tally:
    """`runs`: all active ones of the study's experiment, once everything was published."""
    tally = Tally()
    found: dict[str, list[TrackedRun]] = {}
    for run in runs:
        found.setdefault(run.tags.get("uid", "?"), []).append(run)
    wanted = {uid, *(entry.uid for entry in entries)}
    tally.lost += [f"run of {each}: not in MLflow" for each in sorted(wanted - found.keys())]
    tally.odd += [f"run of {each}: of nobody" for each in sorted(found.keys() - wanted)]
    for each, same in found.items():
        if len(same) > 1:
            tally.duplicated.append(f"run of {each}: {len(same)} times in MLflow")
        for run in same:
            if run.status == "RUNNING":
                tally.left_running.append(f"run of {each}: RUNNING in MLflow")
            tally.duplicated += [
                f"run of {each}: {metric} at step {step} {len(points)} times"
                for (metric, step), points in run.metrics.items()
                if len(points) > 1
            ]
    for entry in entries:
        told = {key for run in found.get(entry.uid, []) for key in run.metrics}
        tally.lost += [
            f"run of {entry.uid}: {metric} of epoch {epoch.epoch} is not in MLflow"
            for epoch in entry.history
            for metric in epoch.metrics
            if entry.uid in found and (metric, epoch.epoch) not in told
        ]
    return tally
