"""Installed without its checkout: what the package holds, and what is said of conf/, which it doesn't."""

import fnmatch
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # the default suite stays under three minutes

ROOT = Path(__file__).parents[2]


def test_all_that_the_code_reads_beside_it_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packaged = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
    ]
    others = [
        file.relative_to(ROOT).as_posix()
        for folder in ("pipeline", "search")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    ]
    assert others
    for file in others:
        assert any(fnmatch.fnmatch(file, pattern) for pattern in packaged), file


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as an installation leaves them: no conf/ beside them."""
    folder = tmp_path_factory.mktemp("site-packages")
    for package in ("pipeline", "search"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


def run(installed: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=installed.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "words", ["search.optimize +study=smoke", "search.export", "search.report"]
)
def test_without_conf_a_command_says_so(installed: Path, words: str) -> None:
    done = run(installed, *words.split())
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: --config-dir: is missing, as Plumbline was installed without its conf/ "
        f"(none in {installed}); name that of a checkout, --config-dir CHECKOUT/conf, "
    )
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("module", ["search.optimize", "search.export"])
def test_without_conf_the_help_still_helps(installed: Path, module: str) -> None:
    done = run(installed, module, "--help")
    assert done.returncode == 0
    assert "--config-dir CHECKOUT/conf" in done.stdout


def test_a_folder_without_a_configuration_is_named(installed: Path) -> None:
    done = run(installed, "search.optimize", "+study=smoke", "--config-dir", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --config-dir: there is no config.yaml in ")


def test_with_the_conf_of_a_checkout_all_is_there(installed: Path) -> None:
    """What is composed later in the same command is found there, too."""
    conf = ["--config-dir", str(ROOT / "conf")]
    done = run(installed, "search.schedule", *conf, "+study=smoke", "cron=@daily")
    assert done.returncode == 0, done.stderr
    done = run(installed, "search.optimize", *conf)
    assert "study.name: is missing" in done.stderr
    assert "\n  dropout " in done.stderr
    done = run(installed, "search.replicate", *conf, "replicate.only=[nobody]")
    assert "expected some of hidden512_dropout, " in done.stderr
