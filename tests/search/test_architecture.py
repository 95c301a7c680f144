"""Who imports whom, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.conftest import ROOT

DOORS = {
    "optuna": [
        "search/engines/",
        "search/importance.py",
        "search/server.py",
        "search/storage.py",
        "search/trials.py",
    ],
    "keras_tuner": ["search/oracles/library.py"],
    "sqlalchemy": ["search/server.py", "search/sqlite.py", "search/storage.py"],
    "mlflow": ["pipeline/tracking.py", "search/registry.py", "search/system.py"],
    "hydra": ["pipeline/compose.py"],
    "omegaconf": ["pipeline/compose.py"],
    "tensorflow": ["pipeline/artifact.py", "pipeline/device.py", "pipeline/loops/"],
    "jax": ["pipeline/device.py", "pipeline/loops/"],
    "keras": ["pipeline/"],
    "ray": ["search/launchers/driver.py"],
    "matplotlib": ["search/plots/"],
    "plotly": ["search/page.py", "search/plots/interactive.py"],
    "sklearn": ["pipeline/data/source.py", "pipeline/forest.py"],
}
"""Third-party tool -> the files and folders that may import it, anywhere in them. All of them do."""

COMMANDS = ("search.optimize", "search.publish", "pipeline.train", "pipeline.cli")


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


def importers(name: str, *rooms: str) -> set[str]:
    """The files in `rooms` that import `name` or something in it."""
    return {
        file
        for file, imported in modules(*rooms).items()
        if any(module == name or module.startswith(f"{name}.") for module in imported)
    }


@pytest.mark.parametrize("tool", DOORS)
def test_a_tool_is_imported_only_at_its_doors(tool: str) -> None:
    files = importers(tool, "pipeline", "search")
    doors = {door: {file for file in files if file.startswith(door)} for door in DOORS[tool]}
    assert files == set().union(*doors.values())
    assert all(doors.values()), "a door that nobody uses"


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("search", "pipeline"),
        ("tests", "pipeline"),
        ("tests", "search"),
        ("search.engines", "search/oracles"),
        ("search.engines", "search/launchers"),
        ("search.launchers", "search/engines"),
        *((name, room) for name in COMMANDS for room in ("search/engines", "search/launchers")),
    ],
)
def test_a_room_knows_nothing_of_the_rooms_above_and_beside_it(name: str, room: str) -> None:
    assert importers(name, room) == set()


def test_the_reporter_knows_what_makes_a_report_by_its_name_only() -> None:
    """It runs beside the study, where what draws would cost seconds and memory."""
    assert "search/reporter.py" not in importers("search.rendering", "search")
    assert "search/rendering.py" not in importers("search.reporter", "search")


def test_only_a_run_reads_the_test_set() -> None:
    """After its value is fixed; the forest, which has none; and the export, which must reproduce
    what the run recorded."""
    readers = [
        path.relative_to(ROOT).as_posix()
        for room in ("pipeline", "search")
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "test_arrays"
    ]
    assert readers == ["pipeline/forest.py", "pipeline/run.py", "search/verify.py"]
