"""A finished study of three trials, exported by the command in this process."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from pipeline.command.cli import command
from search.export import main, spelled_out
from search.study.vocabulary import Entry
from search.trial_table.weights import WeightStore

NAME = "smoke"
BEST, WORSE, UNKEPT = 0, 1, 2
"""The trials: the best one, a worse one, and one in between whose weights were not kept."""
UNITS = {BEST: 64, WORSE: 4, UNKEPT: 16}


@dataclass(frozen=True)
class Place:
    """A folder with a finished study, published to MLflow."""

    folder: Path
    entries: list[Entry]

    @property
    def overrides(self) -> list[str]:
        return [
            f"study.name={NAME}",
            f"storage.url=sqlite:///{self.folder / 'studies.db'}",
            f"storage.weights={self.folder / 'weights'}",
            f"tracking.uri=sqlite:///{self.folder / 'mlflow.db'}",
        ]

    def export(self, *overrides: str) -> int:
        return command(
            spelled_out([*self.overrides, *overrides]), main, "search.export", "", lambda _: ""
        )

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def versions(self) -> dict[str, int]:
        """The trial behind each version of the study's model."""
        found = self.client.search_model_versions(f"name = '{NAME}'")
        return {str(version.version): int(version.tags["trial.number"]) for version in found}

    def alias(self, alias: str) -> ModelVersion:
        return self.client.get_model_version_by_alias(NAME, alias)


def store(root: Path, uid: str) -> WeightStore:
    """The kept weights of the study of `uid`."""
    return WeightStore.of(str(root), NAME, uid)


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Sum and time of every file."""
    return {
        str(file.relative_to(folder)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
