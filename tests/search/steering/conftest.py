"""A storage with two studies, made once: `a` was stopped, with trials of every state, `b` has its target."""

import shutil
from pathlib import Path

import pytest

from tests.search import made
from tests.search.steering.on_record import a_study, mixed


@pytest.fixture(scope="session")
def two_studies(empty_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = Path(shutil.copy(empty_table, tmp_path_factory.mktemp("studies") / "studies.db"))
    a_study(f"sqlite:///{file}", "a", mixed())
    a_study(f"sqlite:///{file}", "b", made.many(3), target=3)
    return file


@pytest.fixture
def url(two_studies: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(two_studies, tmp_path / 'studies.db')}"


@pytest.fixture
def empty_url(empty_table: Path, tmp_path: Path) -> str:
    """A storage without studies."""
    return f"sqlite:///{shutil.copy(empty_table, tmp_path / 'empty.db')}"
