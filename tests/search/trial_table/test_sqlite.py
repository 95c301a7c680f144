"""The study database as a file: one writer by whatever name, readers without a trace."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.command.errors import StorageError
from search.study.endings import STOPPED
from search.trial_table.lock import LockedError, study_lock
from search.trial_table.storage import errors_named, existing_storage, open_storage
from search.trial_table.trials import TrialTable
from tests.search.conftest import DATASET, study
from tests.search.trial_table.test_storage import held_until_killed


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


def _as_it_is(file: Path) -> Path:
    return file


def _by_a_symbolic_link(file: Path) -> Path:
    link = file.with_name("link.db")
    link.symlink_to(file)
    return link


def _by_a_hard_link(file: Path) -> Path:
    link = file.with_name("hard.db")
    link.hardlink_to(file)
    return link


def _through_a_linked_folder(file: Path) -> Path:
    folder = file.parent.with_name(f"{file.parent.name}-link")
    folder.symlink_to(file.parent, target_is_directory=True)
    return folder / file.name


def _without_the_files_beside_it(file: Path) -> Path:
    for lock in file.parent.glob("*.lock"):
        lock.unlink()
    return file


@pytest.mark.parametrize(
    "other",
    [
        _as_it_is,
        _by_a_symbolic_link,
        _by_a_hard_link,
        _through_a_linked_folder,
        _without_the_files_beside_it,
    ],
)
def test_a_study_has_one_writer_by_whatever_name_its_file_is_opened(
    url: str, other: Callable[[Path], Path]
) -> None:
    with held_until_killed(url):
        same = _url(other(_file(url)))
        with pytest.raises(LockedError), study_lock(same, "test", wait=False):
            pass
        with study_lock(same, "another", wait=False):
            pass
    with study_lock(same, "test", wait=True):
        pass


@pytest.mark.parametrize("link", [_by_a_symbolic_link, _by_a_hard_link])
@pytest.mark.parametrize("older", [True, False])
def test_what_a_killed_launch_wrote_is_there_by_another_name(
    url: str, older: bool, link: Callable[[Path], Path]
) -> None:
    """It stands in a log beside one of the names, which SQLite does not look for under the other."""
    other = link(_file(url))
    first, second = (_file(url), other) if older else (other, _file(url))
    _launched(_url(first))  # its connection is open still, as if it had been killed
    before = {each.name for each in first.parent.glob("*-wal")}
    assert len(before) == 1
    assert TrialTable.load(_url(second), "test").about().dataset == DATASET
    _launched(_url(second)).end(STOPPED)
    assert TrialTable.load(_url(first), "test").ending() == STOPPED
    assert {each.name for each in first.parent.glob("*-wal")} == before


@pytest.mark.parametrize("link", [_by_a_symbolic_link, _by_a_hard_link])
def test_an_empty_file_is_filled_and_keeps_its_names(
    tmp_path: Path, link: Callable[[Path], Path]
) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    other = link(empty)
    open_storage(_url(other)).engine.dispose()
    assert empty.samefile(other)
    assert existing_storage(_url(empty)).get_all_studies() == []
    assert sorted(p.name for p in tmp_path.glob("*.partial*")) == []


def test_a_link_to_a_file_that_is_not_there_yet_makes_that_file(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real.db")
    open_storage(_url(link)).engine.dispose()
    assert link.is_symlink()
    assert existing_storage(_url(tmp_path / "real.db")).get_all_studies() == []


def _launched(url: str) -> TrialTable:
    """A table that is being written to."""
    table = TrialTable.open(url, study())
    table.describe(study().about("a: 1", "the command"))
    return table


def test_a_database_that_is_deleted_while_a_study_runs_is_put_back_and_named(url: str) -> None:
    table = _launched(url)
    file = _file(url)
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()
    with pytest.raises(StorageError, match="was deleted while a study was running; it is put back"):
        table.keep()
    assert TrialTable.load(url, "test").about().dataset == DATASET


def test_a_folder_that_is_deleted_while_a_study_runs_is_put_back(
    empty_table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mlruns"
    folder.mkdir()
    url = _url(Path(shutil.copy(empty_table, folder)))
    table = _launched(url)
    shutil.rmtree(folder)
    with pytest.raises(StorageError, match="it is put back"):
        table.keep()
    assert TrialTable.names(url) == ["test"]


def test_a_database_that_is_moved_or_replaced_while_a_study_runs_is_named_and_left_alone(
    url: str, empty_table: Path
) -> None:
    table = _launched(url)
    file = _file(url)
    moved = file.rename(file.with_name("moved.db"))
    with pytest.raises(StorageError, match="was moved away"):
        table.keep()
    assert not file.exists()
    shutil.copy(empty_table, file)
    before = file.read_bytes()
    with pytest.raises(StorageError, match="was moved away"):
        table.keep()
    assert file.read_bytes() == before
    assert moved.exists()


def _contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file()}


def test_reading_makes_nothing_and_changes_nothing(url: str) -> None:
    table = _launched(url)
    table._storage.engine.dispose()  # type: ignore[attr-defined]  # as at the end of a launch
    folder = _file(url).parent
    for beside in folder.glob("*.lock"):
        beside.unlink()
    before = _contents(folder)
    assert [*before] == ["studies.db"]
    assert TrialTable.load(url, "test").entries() == []
    assert TrialTable.names(url) == ["test"]
    assert _contents(folder) == before


@contextlib.contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    """Nothing in `folder` may be written, by root neither."""
    folder.chmod(0o555)
    for each in folder.iterdir():
        each.chmod(0o444)
    for parent in folder.parents:
        if parent.owner() == "root" and parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)
    nobody = 65534
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(nobody)
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.parametrize("killed", [False, True])
def test_what_can_not_be_written_can_be_read(
    url: str, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what a launch that was killed left in SQLite's log."""
    table = _launched(url)
    folder = _file(url).parent / "copy"
    folder.mkdir()
    if not killed:
        table._storage.engine.dispose()  # type: ignore[attr-defined]
    for each in _file(url).parent.glob("studies.db*"):
        if not each.name.endswith((".lock", "-shm")):
            shutil.copy(each, folder)
    assert (folder / "studies.db-wal").exists() == killed
    monkeypatch.setattr("tempfile.tempdir", "/tmp")  # where anybody may write
    with _unwritable(folder):
        read = TrialTable.load(_url(folder / "studies.db"), "test")
        assert read.about().dataset == DATASET
        read._storage.engine.dispose()  # type: ignore[attr-defined]


def test_a_full_disk_is_no_reason_not_to_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _launched(url)._storage.engine.dispose()  # type: ignore[attr-defined]
    monkeypatch.setattr("search.trial_table.storage._NEEDED_BYTES", 2**70)
    assert TrialTable.names(url) == ["test"]
    with pytest.raises(StorageError, match="a study needs"):
        open_storage(url)


def test_a_writer_makes_no_empty_database_where_its_own_was(url: str) -> None:
    storage = open_storage(url)
    _file(url).unlink()
    with pytest.raises(StorageError, match="unable to open database file"), errors_named(url):
        storage.get_all_studies()
    assert not _file(url).exists()
