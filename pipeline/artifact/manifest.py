"""The manifest of an exported model: one frozen record beside its files, with the sum of each."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.command.errors import StorageError
from pipeline.run.comparable import apart, measure

FILE = "manifest.json"
_SCHEMA = 1
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_MOST_SIDE = 1_000_000  # columns of feature rows, too


@dataclass(frozen=True)
class Inputs:
    """A model takes N x `shape` of `dtype`, as they were read: pixels from `low` to `high`.

    For feature rows, where each column has a range of its own, the two are None.
    """

    shape: tuple[int, ...]
    dtype: str
    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        """Raise ValueError where no image can be drawn so."""
        sides = all(isinstance(side, int) and 0 < side <= _MOST_SIDE for side in self.shape)
        if not sides or not self.shape:
            raise ValueError(
                f"inputs.shape: expected lengths of 1 to {_MOST_SIDE}, got {self.shape}"
            )
        if self.low is None or self.high is None:
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(
                f"inputs.low, inputs.high: expected a range, got {self.low}, {self.high}"
            )


@dataclass(frozen=True)
class Standing:
    """How good a model is, and by what measure: models compare only where measure and data agree.

    `value`: the mean over the `seeds` of its configuration, and `spread` their standard deviation; None:
    one seed, so it was not measured. `fresh`: whether these seeds took no part in any choice; else it was
    chosen by this very value, which flatters it. `settings`: those that decide what `metric` means, by
    override path.
    """

    metric: str
    direction: str
    value: float
    data: str
    settings: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1
    spread: float | None = None
    fresh: bool = False

    def reason_to_stay(self, challenger: "Standing") -> str | None:
        """Why a model of this standing is not replaced by `challenger`; None: it is."""
        if (self.metric, self.direction) != (challenger.metric, challenger.direction):
            return f"it was chosen by {self.metric}, the new one by {challenger.metric}"
        if self.data != challenger.data:
            return f"it knows other data ({self.data[:12]}, now {challenger.data[:12]})"
        for path, reason in apart([self.settings, challenger.settings], self.metric).items():
            return (
                f"its {self.metric} is of {path}={self.settings[path]}, the new one's of "
                f"{challenger.settings[path]}, and {reason}"
            )
        if self.fresh and not challenger.fresh:
            return (
                f"its {self.metric} is a mean over {self.seeds} fresh seeds, and the new one was chosen by "
                "its own value, which flatters it"
            )
        if challenger.fresh and not self.fresh:
            return None
        sign = 1 if self.direction == "maximize" else -1
        if sign * challenger.value < sign * self.value:
            return f"its {self.metric} is {self.value:.6g}, the new one's {challenger.value:.6g}"
        return None


def called(trial: int | None, verdict: Mapping[str, Any] | None) -> str:
    """What to call a run that is exported: a trial of its study, or the answer of a verdict, as JSON."""
    return f"trial {trial}" if verdict is None else f"the verdict's answer, {verdict['answer']}"


@dataclass(frozen=True)
class Manifest:
    """An exported run. `run`: its RunConfig by override path; `files`: SHA-256 and bytes by path.

    `trained_on`: what trained it, `digests`: SHA-256 of its weights and of its curves, where its row has
    them: with `run` and `data` all that a training again is compared with. `verified`: for each format,
    what its file gave in a fresh process. `verdict`: the one whose answer it is, as
    `search.analysis.verdict` has it; None: it is a trial. `trial`: its number, or that of the trial with
    the same configuration; None: the study has none.
    """

    study: str
    trial: int | None
    uid: str
    attempt: int
    labels: tuple[str, ...]
    inputs: Inputs
    standing: Standing
    epoch: int
    validation: Mapping[str, float]
    test: Mapping[str, float]
    data: Mapping[str, Any]
    run: Mapping[str, str]
    trained_on: Mapping[str, str]
    versions: Mapping[str, str]
    git_commit: str | None
    retrain: str
    export: str
    exported_at: str
    verified: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, Any]]
    digests: Mapping[str, str] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return called(self.trial, self.verdict)

    def with_files(self, files: Mapping[str, Mapping[str, Any]]) -> "Manifest":
        """A copy that names `files`, with their sums."""
        return replace(self, files=files)

    def write(self, folder: Path) -> None:
        """Write it into `folder`, beside the files that it names."""
        text = json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=2)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest in `folder`. Raises StorageError where it is not one."""
        file = folder / FILE
        try:
            tree = json.loads(file.read_text(encoding="utf-8"))
            if tree.pop("schema") != _SCHEMA:
                raise ValueError("it is of another version of Plumbline")
            inputs = {**tree["inputs"], "shape": tuple(tree["inputs"]["shape"])}
            standing = standing_from(tree["standing"], tree["run"])
            parts = {"inputs": Inputs(**inputs), "standing": standing}
            if not all(isinstance(label, str) for label in tree["labels"]):
                raise ValueError("labels: expected texts")
            if tree.get("verdict") is not None and not isinstance(tree["verdict"]["answer"], str):
                raise ValueError("verdict: expected one with an answer")
            if not all(isinstance(about["sha256"], str) for about in tree["files"].values()):
                raise ValueError("files: expected a SHA-256 sum for each")
            return cls(**{**tree, **parts, "labels": tuple(tree["labels"])})
        except _DAMAGES as error:
            raise StorageError(
                f"{file}: this is no manifest of an exported model: {error}"
            ) from None

    def damage(self, folder: Path) -> str | None:
        """What has become of its first damaged file in `folder`; None: all are whole."""
        found = sums(folder)
        for name in self.files:
            if name not in found:
                return f"{name} is missing"
            if found[name]["sha256"] != self.files[name]["sha256"]:
                return f"{name} has changed since it was exported"
        return None


def standing_from(tree: Mapping[str, Any], run: Mapping[str, str]) -> Standing:
    """Read a standing from JSON; the version before kept its settings in the `run` alone."""
    return Standing(**{"settings": measure(run, tree["metric"]), **tree})


def sums(folder: Path) -> dict[str, dict[str, Any]]:
    """SHA-256 and size of every file under `folder` but the manifest, by path."""
    return {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / FILE
    }
