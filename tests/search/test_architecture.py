"""Who imports whom, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.conftest import ROOT

DOORS = {
    "optuna": {"search/engines/optuna.py", "search/importance.py", "search/trials.py"},
    "sqlalchemy": {"search/trials.py"},
    "mlflow": {"pipeline/tracking.py"},
    "hydra": {"pipeline/compose.py"},
    "omegaconf": {"pipeline/compose.py"},
    "tensorflow": {"pipeline/device.py"},
    "jax": {"pipeline/device.py"},
    "sklearn": {"pipeline/data.py"},
    "keras": {
        "pipeline/device.py",
        "pipeline/evaluate.py",
        "pipeline/model.py",
        "pipeline/run.py",
        "pipeline/training.py",
    },
}
"""Third-party tool -> the only files that may import it, anywhere in them."""

COMMANDS = {"search.optimize", "pipeline.train", "pipeline.cli"}


def modules(*rooms: str) -> dict[str, set[str]]:
    """Every module imported in a file of `rooms`, also inside functions, by the file's path."""
    found = {}
    for room in rooms:
        for file in sorted((ROOT / room).rglob("*.py")):
            found[file.relative_to(ROOT).as_posix()] = set(imports(file))
    assert found, f"no source in {rooms}"
    return found


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(name: str, found: dict[str, set[str]]) -> set[str]:
    """The files that import `name` or something in it."""
    return {
        file
        for file, imported in found.items()
        if any(module == name or module.startswith(f"{name}.") for module in imported)
    }


@pytest.mark.parametrize("tool", DOORS)
def test_a_tool_is_imported_only_at_its_doors(tool: str) -> None:
    assert importers(tool, modules("pipeline", "search")) == DOORS[tool]


def test_a_training_run_knows_nothing_of_search() -> None:
    assert importers("search", modules("pipeline")) == set()


def test_the_package_does_not_import_its_tests() -> None:
    assert importers("tests", modules("pipeline", "search")) == set()


@pytest.mark.parametrize("room", ["search/engines", "search/launchers"])
def test_engines_and_launchers_import_no_commands_and_not_each_other(room: str) -> None:
    others = {"search.engines", "search.launchers"} - {room.replace("/", ".")}
    for name in COMMANDS | others:
        assert importers(name, modules(room)) == set(), name


def test_engines_do_not_import_each_other() -> None:
    for file, imported in modules("search/engines").items():
        assert not [module for module in imported if module.startswith("search.engines")], file


def test_only_the_evaluation_scores_the_test_set() -> None:
    """The arrays of the test set are read in one line of one run, after its value is fixed."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in ("pipeline", "search")
        for path in (ROOT / room).rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr == "test_arrays"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert readers == {"pipeline/run.py"}
