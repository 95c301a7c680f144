"""The plan of the house, read from the source: rooms, their order, their doors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = (
    "search",
    "search.simulate",
    "search.setup",
    "search.comparison",
    "search.steering",
    "search.reading",
    "search.replication",
    "search.artifacts",
    "search.telling",
    "search.rendering",
    "search.plots",
    "search.analysis",
    "search.scheduling",
    "search.coordination",
    "search.forecasting",
    "search.workers",
    "search.machine",
    "search.engines",
    "search.engines.oracles",
    "search.trial_table",
    "search.study",
    "pipeline",
    "pipeline.artifact",
    "pipeline.pictures",
    "pipeline.tracking",
    "pipeline.training",
    "pipeline.lanes",
    "pipeline.network",
    "pipeline.data",
    "pipeline.run",
    "pipeline.command",
)
"""From the roof to the ground: a room knows those below it, and none above."""

DOORS = {
    "optuna": ["search/engines/", "search/analysis/importance.py", "search/trial_table/"],
    "keras_tuner": ["search/engines/oracles/library.py"],
    "sqlalchemy": ["search/trial_table/", "pipeline/tracking/"],
    "mlflow": [
        "pipeline/tracking/mlflow.py",
        "pipeline/tracking/reading.py",
        "search/artifacts/champion.py",
        "search/artifacts/registry.py",
        "search/machine/gpu_meter.py",
    ],
    "hydra": ["pipeline/command/compose.py", "pipeline/command/overrides.py"],
    "omegaconf": ["pipeline/command/compose.py"],
    "tensorflow": ["pipeline/artifact/formats.py", "pipeline/network/"],
    "jax": ["pipeline/lanes/seat.py", "pipeline/network/"],
    "keras": ["pipeline/artifact/", "pipeline/lanes/", "pipeline/network/"],
    "ray": ["search/workers/driver.py"],
    "pandas": ["search/reading/opened.py"],
    "matplotlib": ["search/plots/"],
    "plotly": ["search/rendering/document.py"],
    "sklearn": [
        "pipeline/data/source.py",
        "pipeline/training/forest.py",
        "search/simulate/surrogate.py",
    ],
}
"""Third-party tool -> the files and rooms that may import it, anywhere in them. All of them do."""


README = (ROOT / "README.md").read_text(encoding="utf-8")


def _files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def _imports(file: Path) -> Iterator[str]:
    """Every module or name imported in `file`, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(file): file for file in _files("pipeline", "search")}


def _room(module: str) -> str:
    """The room of a module: the folder that it lies in."""
    file = MODULES[module]
    return ".".join(file.parent.relative_to(ROOT).parts)


def _imported(file: Path) -> set[str]:
    """The modules of the house that `file` imports."""
    found = set()
    for name in _imports(file):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name and name not in ("pipeline", "search"):
            found.add(name)
    return found


def test_the_rooms_are_those_of_the_list() -> None:
    assert {_room(module) for module in MODULES} == set(ROOMS)


def _says(room: str) -> str:
    """What a room says that it is for."""
    return ast.get_docstring(ast.parse(MODULES[room].read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_and_is_not_overfull(room: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.", _says(room)), "one line, a sentence"
    own = ("__init__.py", "__main__.py")  # the room itself
    files = [file for file in MODULES[room].parent.glob("*.py") if file.name not in own]
    assert 1 <= len(files) <= 12


def test_the_map_in_the_readme_has_every_room_with_what_it_says_of_itself() -> None:
    rows = re.findall(r"^\| `((?:pipeline|search)[a-z_.]*)` \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(room, _says(room)) for room in ROOMS]


def _told(heading: str, mark: str) -> list[str]:
    """The paragraphs of the README between `heading` and the next chapter that begin with `mark`."""
    chapter = README.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return re.split(f"^{mark} ", chapter, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize(
    "behaviour",
    _told("What sets it apart:", "-") + _told("## What it is for", "###"),
    ids=lambda text: text.splitlines()[0],
)
def test_a_behaviour_that_the_readme_tells_of_names_its_rooms(behaviour: str) -> None:
    named = set(re.findall(r"`([a-z_.]+)`", behaviour))
    assert named & set(ROOMS) or "(#architecture)" in behaviour


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    place = ROOMS.index(room)
    up = [
        f"{module} -> {other}"
        for module, file in MODULES.items()
        if _room(module) == room
        for other in _imported(file)
        if _room(other) != room and ROOMS.index(_room(other)) < place
    ]
    assert up == []


def test_nobody_imports_a_command() -> None:
    commands = {module for module in MODULES if _room(module) in ("pipeline", "search")}
    users = [
        f"{module} -> {other}"
        for module, file in MODULES.items()
        for other in _imported(file) & commands
        if other != module
    ]
    assert users == []


def test_files_import_each_other_in_no_circle() -> None:
    below = {module: _imported(file) - {module} for module, file in MODULES.items()}
    while leaves := [module for module, others in below.items() if not others & below.keys()]:
        for module in leaves:
            del below[module]
    assert below == {}


@pytest.mark.parametrize(
    "file",
    [f for r in ("pipeline", "search") for f in (ROOT / r).glob("*.py") if f.name[0] != "_"],
    ids=lambda file: file.relative_to(ROOT).as_posix(),
)
def test_what_stands_at_the_root_is_a_command(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    assert f"\npython -m {_module(file)}" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("tool", DOORS)
def test_a_tool_is_imported_only_at_its_doors(tool: str) -> None:
    files = {
        file.relative_to(ROOT).as_posix()
        for file in MODULES.values()
        if any(name == tool or name.startswith(f"{tool}.") for name in _imports(file))
    }
    doors = {door: {file for file in files if file.startswith(door)} for door in DOORS[tool]}
    assert files == set().union(*doors.values())
    assert all(doors.values()), "a door that nobody uses"


@pytest.mark.parametrize(
    "file",
    [
        *_files("search/coordination"),
        *(ROOT / "search/workers" / name for name in ("pool.py", "stopping.py", "usage.py")),
        ROOT / "search/forecasting/estimator.py",
        ROOT / "search/trial_table/trials.py",
    ],
    ids=lambda file: file.relative_to(ROOT).as_posix(),
)
def test_what_a_study_does_it_does_by_a_clock_that_it_is_given(file: Path) -> None:
    """So that studies can be simulated: what is named as a default may be another clock."""
    called = [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert not {"time.time", "time.monotonic", "time.perf_counter"} & set(called)


def test_only_a_run_reads_the_test_set() -> None:
    """After its value is fixed; the forest, which has none; and the export, which must reproduce
    what the run recorded."""
    readers = [
        file.relative_to(ROOT).as_posix()
        for file in _files("pipeline", "search")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "test_arrays"
    ]
    assert readers == [
        "pipeline/training/execute.py",
        "pipeline/training/forest.py",
        "search/artifacts/verify.py",
    ]


@pytest.mark.parametrize(
    ("folders", "most"), [(("pipeline", "search", "conf", "benchmarks"), 300), (("tests",), 400)]
)
def test_a_file_can_be_read_at_a_sitting(folders: tuple[str, ...], most: int) -> None:
    lines = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".yaml", ".css", ".js")
    }
    assert {Path(name).parts[0] for name in lines} == set(folders)
    assert {name: count for name, count in lines.items() if count > most} == {}


BROKEN = re.compile(
    r"^ *[)\]}]+[,:]?  # (?!fmt: skip)"  # behind what closes
    r"|[(\[{]\n +[^\n#]*[^\s#,]  # [^\n]*\n *[)\]}]",  # behind the only line in brackets
    re.MULTILINE,
)


def test_a_comment_at_the_end_of_a_line_does_not_break_it() -> None:
    """The formatter makes room for it by taking an expression apart: such a comment stands above."""
    broken = [
        f"{file.relative_to(ROOT).as_posix()}:{text.count(chr(10), 0, found.start()) + 1}"
        for file in _files("pipeline", "search", "benchmarks", "tests")
        for text in [file.read_text(encoding="utf-8")]
        for found in BROKEN.finditer(text)
    ]
    assert broken == []
