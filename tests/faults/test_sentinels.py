"""A secret in every place where a person can put text: none is in any file that was made, or in MLflow."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.search.conftest import ROOT

pytestmark = pytest.mark.slow  # real training, a real tracking server, every command

SENTINEL = "s3nt1nel"


def secret(place: str) -> str:
    """A secret of its own for each place."""
    return f"{SENTINEL}-{place}"


class Project:
    """A folder of a person's own, with a secret wherever text goes in. `conf`, `data`: not made by us."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.conf = folder / secret("conf") / "conf"
        self.data = folder / secret("data") / "mine.npz"
        shutil.copytree(ROOT / "conf", self.conf)
        images, labels = load_digits(return_X_y=True)
        self.data.parent.mkdir()
        np.savez(
            self.data,
            x_train=images[:600].reshape(-1, 8, 8),
            y_train=labels[:600],
            x_test=images[600:800].reshape(-1, 8, 8),
            y_test=labels[600:800],
        )
        self.git = folder / ".git"
        remote = f"https://{secret('remote')}@host/repository.git"
        for words in (["init", "--quiet"], ["remote", "add", "origin", remote]):
            subprocess.run(["git", *words], cwd=folder, check=True)
        self.database = folder / secret("database") / "studies.db"
        self.where = [
            *("--config-dir", str(self.conf), "study.name=mine"),
            f"storage.url=sqlite:///{self.database}",
            f"storage.weights={secret('weights')}",
            f"tracking.uri=http://{secret('token')}@127.0.0.1:{port}",
        ]

    def run(self, module: str, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *self.where, *words],
            cwd=self.folder,
            env={
                **{key: text for key, text in os.environ.items() if "MLFLOW" not in key},
                "PYTHONPATH": str(ROOT),
                "MY_TOKEN": secret("environment"),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def made(self) -> Iterator[Path]:
        given = (self.conf, self.data, self.git)
        for file in self.folder.rglob("*"):
            if file.is_file() and not any(file.is_relative_to(each) for each in given):
                yield file


def told(file: Path) -> str:
    """All text in a file; of a database, all that stands in its tables."""
    if file.suffix != ".db":
        return file.read_bytes().decode("utf-8", "replace")
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


@pytest.fixture(scope="module")
def project(
    tracking_server: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Path, str]:
    """What all commands left, the server's folder, and what they said."""
    port, server = tracking_server
    project = Project(tmp_path_factory.mktemp("project"), port)
    header = f"--header 'Authorization: Bearer {secret('bearer')}'"
    study = [
        *("+study=smoke", "study.trials=3", "train.epochs=2", "data=npz"),
        f"data.path={project.data}",
        f"study.summary={secret('summary')}/mine.json",
        f'study.on_end="/bin/false {header} https://hooks/{secret("hook")}"',
    ]
    said = [
        project.run("search.optimize", *study),
        project.run("search.optimize", *study, "study.trials=9", "study.max_seconds=1", status=75),
        project.run("search.publish"),
        project.run("search.report"),
        project.run("search.finalists", *FEW),
        project.run("search.export", "export.formats=[keras]"),
        project.run("pipeline.train", "train.epochs=1", "data=npz", f"data.path={project.data}"),
    ]
    return project, server, "".join(said)


FEW = ("finalists.top=1", "finalists.seeds=2", "finalists.max_seeds=2", "finalists.confirm=2")


def test_no_secret_is_in_any_file_that_was_made_or_in_mlflow(
    project: tuple[Project, Path, str],
) -> None:
    """But where the data lie: the trial table needs that to train again, and is the study's own."""
    mine, server, _ = project
    files = [*mine.made(), *(file for file in server.rglob("*") if file.is_file())]
    assert len(files) > 30
    for file in files:
        text = told(file)
        if file.name.startswith(mine.database.name):  # and its log
            text = text.replace(str(mine.data), "")
        where = text.find(SENTINEL)
        assert where < 0, f"{file}: {text[max(0, where - 200) : where + 100]}"


def test_what_is_published_still_says_what_decides_the_numbers(
    project: tuple[Project, Path, str],
) -> None:
    _, server, _ = project
    pages = [file.read_text() for file in server.rglob("config.yaml")]
    assert any("path: mine.npz" in page and "epochs: 2" in page for page in pages)
    with closing(sqlite3.connect(server / "mlflow.db")) as connection:
        (note,) = connection.execute(
            "SELECT value FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id) "
            "WHERE key = 'mlflow.note.content' AND experiments.name = 'mine' AND value LIKE '%Go on%'"
        ).fetchone()
    assert "python -m search.optimize" in note
    assert "data.path=mine.npz" in note
    assert "'storage.url=***'" in note
    assert "(***: yours to fill in)" in note


def test_the_terminal_shows_what_was_typed_without_passwords(
    project: tuple[Project, Path, str],
) -> None:
    _, _, said = project
    assert "the same command goes on" in said
    assert f"study.summary={secret('summary')}/mine.json" in said
    assert "http://***@127.0.0.1" in said
    for place in ("token", "bearer", "environment", "remote"):
        assert secret(place) not in said
