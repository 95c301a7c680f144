"""Which code computed a run: its own checkout says, and no repository around it."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from pipeline.run.code import ROOT, code_of


def git(folder: Path, *words: str) -> bytes:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "code.py").write_text("a = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "a")
    return folder


def test_a_clean_checkout_names_its_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD").decode().strip()
    assert code_of(checkout) == {"code.commit": commit, "code.dirty": "false"}


def test_a_changed_checkout_says_so_with_the_digest_of_what_git_diff_prints(checkout: Path) -> None:
    (checkout / "code.py").write_text("a = 2\n")
    code = code_of(checkout)
    assert code["code.dirty"] == "true"
    assert code["code.diff"] == hashlib.sha256(git(checkout, "diff", "HEAD")).hexdigest()
    (checkout / "code.py").write_text("a = 3\n")
    assert code_of(checkout)["code.diff"] != code["code.diff"]
    git(checkout, "add", ".")  # staged is changed, too
    assert code_of(checkout)["code.dirty"] == "true"


def test_settings_of_a_user_change_no_digest(checkout: Path) -> None:
    (checkout / "code.py").write_text("a = 2\n")
    before = code_of(checkout)
    git(checkout, "config", "color.ui", "always")
    git(checkout, "config", "diff.external", "true")
    assert code_of(checkout) == before


def test_a_repository_around_the_project_says_nothing(checkout: Path) -> None:
    installed = checkout / "lib" / "site-packages"
    installed.mkdir(parents=True)
    assert code_of(installed) == {}


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE"])
def test_the_repository_of_a_hook_is_not_asked(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    expected = code_of(checkout)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv(variable, str(other / ".git" if variable == "GIT_DIR" else other))
    assert code_of(checkout) == expected


def test_without_git_or_a_commit_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_of(tmp_path) == {}
    git(tmp_path, "init", "--quiet")
    assert code_of(tmp_path) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_of(ROOT) == {}


def test_a_work_tree_of_its_own_is_a_checkout(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "beside"))
    assert code_of(tmp_path / "beside") == code_of(checkout)
