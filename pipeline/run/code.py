"""Which code computes: the commit of the project, and what of it was changed since."""

import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SECONDS = 10.0  # for git on a slow file system


def code_of(root: Path = ROOT) -> dict[str, str]:
    """The commit of the git checkout at `root`, by name, for a record; empty where it is none.

    `code.dirty`: whether tracked files differ from the commit, and `code.diff` then the SHA-256 of what
    `git diff HEAD` prints. A repository that surrounds `root`, as one around site-packages does, is not
    the project's and says nothing.
    """
    found = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if found is None:
        return {}
    top, commit = os.fsdecode(found).splitlines()
    if not Path(top).samefile(root):
        return {}
    diff = _git(root, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
    if diff is None:  # a repository that lacks objects: whether it was changed is not known
        return {"code.commit": commit}
    code = {"code.commit": commit, "code.dirty": str(bool(diff)).lower()}
    return {**code, "code.diff": hashlib.sha256(diff).hexdigest()} if diff else code


def _git(root: Path, *words: str) -> bytes | None:
    """What git prints; None where it is not there, or refuses."""
    # GIT_DIR and its like, which a hook of another repository sets, would speak of that one.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            timeout=_SECONDS,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
