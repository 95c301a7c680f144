"""The commands in the README and at the head of every file in conf/ are real.

Each passes the door that its module has, and those that are quick are run as they stand.
"""

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import replay as replay_of_a_run
from pipeline.command.compose import compose
from pipeline.command.section import validated
from pipeline.run.config import run_config
from pipeline.tracking.config import TrackingConfig
from pipeline.training.forest import ForestConfig
from search import export, replay, report, studies
from search.analysis.plan import FinalistsConfig
from search.comparison.asked import names_of
from search.export import ExportConfig
from search.reading.files import TableConfig
from search.rendering.report import ReportConfig
from search.replication.networks import chosen
from search.scheduling.cron import check
from search.scheduling.request import ScheduleConfig
from search.setup.read import read
from search.setup.replay import ReplayConfig
from search.simulate.methods import SimulateConfig
from search.steering.asked import read as asked
from search.trial_table.storage import StorageConfig
from tests.conftest import RunPython

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
OWN_ARGUMENTS = ("pipeline.predict",)  # no configuration: a model and images
CONF = ROOT / "conf"


def commands_of(file: Path) -> list[str]:
    """The commands in the comments of `file`, those over several lines as one."""
    comments = [line[1:] for line in file.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comments).replace("\\\n", " ")
    return re.findall(r"^ +(python -m .+)$", text, flags=re.MULTILINE)


IN_CONF = {
    f"{file.relative_to(CONF)}: {command}": command
    for file in sorted(CONF.rglob("*.yaml"))
    for command in commands_of(file)
}


def a_study(values: dict[str, Any]) -> None:
    read(values, str)


def a_run(values: dict[str, Any]) -> None:
    run_config(values)
    validated(TrackingConfig, values["tracking"], "tracking")


def a_tracked_run(values: dict[str, Any]) -> None:
    assert values["run"]
    validated(TrackingConfig, values["tracking"], "tracking")


def the_networks(values: dict[str, Any]) -> None:
    networks, forest = chosen(values)
    assert networks or forest
    validated(ForestConfig, values["forest"], "forest")


def a_schedule(values: dict[str, Any]) -> None:
    a_study(values)
    check(values["cron"])
    validated(ScheduleConfig, values["schedule"], "schedule")


def a_named_study(values: dict[str, Any]) -> None:
    assert values["study"]["name"]
    validated(TrackingConfig, values["tracking"], "tracking")
    validated(StorageConfig, values["storage"], "storage")


def a_report(values: dict[str, Any]) -> None:
    config = validated(ReportConfig, values["report"], "report")
    if config.studies is None:
        a_named_study(values)
    else:
        assert names_of(values, config) == config.studies


def finalists(values: dict[str, Any]) -> None:
    a_named_study(values)
    validated(FinalistsConfig, values["finalists"], "finalists")


def a_replay(values: dict[str, Any]) -> None:
    a_named_study(values)
    validated(ReplayConfig, values["replay"], "replay")


def a_table(values: dict[str, Any]) -> None:
    a_named_study(values)
    validated(TableConfig, values["table"], "table")


def the_studies(values: dict[str, Any]) -> None:
    asked(values)


def an_export(values: dict[str, Any]) -> None:
    a_named_study(values)
    validated(ExportConfig, values["export"], "export")


def a_simulation(values: dict[str, Any]) -> None:
    a_study(values)
    validated(SimulateConfig, values["simulate"], "simulate")


DOORS: dict[str, Callable[[dict[str, Any]], None]] = {
    "pipeline.train": a_run,
    "pipeline.replay": a_tracked_run,
    "search.optimize": a_study,
    "search.forecast": a_study,
    "search.replicate": the_networks,
    "search.schedule": a_schedule,
    "search.finalists": finalists,
    "search.replay": a_replay,
    "search.export": an_export,
    "search.report": a_report,
    "search.publish": a_named_study,
    "search.table": a_table,
    "search.studies": the_studies,
    "search.simulate": a_simulation,
}
"""What each command checks before it does anything."""


SPELLED_OUT = {
    "pipeline.replay": replay_of_a_run.spelled_out,
    "search.export": export.spelled_out,
    "search.replay": replay.spelled_out,
    "search.report": report.spelled_out,
    "search.studies": studies.spelled_out,
}


def assert_is_let_in(command: str) -> None:
    _, _, module, *words = shlex.split(os.path.expandvars(command))
    place = ROOT / module.replace(".", "/")
    assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
    if module in OWN_ARGUMENTS or "--help" in words:
        return
    if module in SPELLED_OUT:
        words = SPELLED_OUT[module](words)
    DOORS[module](compose(words))


PAGES = [
    page for folder in (".", "docs", "benchmarks") for page in sorted((ROOT / folder).glob("*.md"))
]


@pytest.mark.parametrize(
    "file",
    [*PAGES, *sorted(CONF.rglob("*.yaml"))],
    ids=lambda file: file.relative_to(ROOT).as_posix(),
)
def test_a_module_that_is_named_is_there(file: Path) -> None:
    """With the function or class that is named in it; a file by its path."""
    text = file.read_text()
    for name in re.findall(r"\b(?:pipeline|search)(?:\.[A-Za-z]\w*)+", text):
        assert is_there(name), name
    for path in re.findall(r"\b(?:conf|docs|pipeline|search|tests|benchmarks)/[\w./-]*\w", text):
        assert (ROOT / path).exists(), path


def is_there(name: str) -> bool:
    """Whether `name` is a module, or a name at the top of one."""
    if any((ROOT / f"{name.replace('.', '/')}{end}").exists() for end in (".py", "/__init__.py")):
        return True
    module = ROOT / f"{name.rpartition('.')[0].replace('.', '/')}.py"
    return module.exists() and any(
        name.rpartition(".")[2] in (getattr(node, "name", None), *_imported(node))
        for node in ast.parse(module.read_text()).body
    )


def _imported(node: ast.stmt) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []


def test_the_first_commands_are_the_two_that_matter() -> None:
    assert COMMANDS[:2] == ["make study", "make ui"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_a_make_command_has_a_target_that_help_lists(command: str) -> None:
    target = command.split()[1]
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert re.search(rf"^  make {target}\s+\S", listed, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python ")])
def test_a_python_command_passes_the_door(command: str) -> None:
    assert_is_let_in(command)


@pytest.mark.parametrize("command", IN_CONF.values(), ids=IN_CONF)
def test_a_command_in_conf_passes_the_door(command: str) -> None:
    assert_is_let_in(command)


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_in_conf_opens_with_a_command(file: Path) -> None:
    head = file.read_text().partition("\n\n")[0]
    assert "#   python -m " in head


STUDIES = sorted(set((CONF / "study").glob("*.yaml")) - {CONF / "study" / "smoke.yaml"})


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_is_a_page_of_a_lab_notebook(file: Path) -> None:
    """Question, command, what varies and what does not, time, and what came out."""
    _, question, command, *rest = file.read_text().partition("\n\n")[0].splitlines()
    assert question.endswith("?")
    assert command == f"#   python -m search.optimize +study={file.stem}"
    text = " ".join(line.removeprefix("# ") for line in rest)
    for heading in ("Varies: ", "Fixed: ", "Time: "):
        assert heading in text
    assert re.search(r"(Result|Verdict) \(.*0\.\d{4}", text, re.DOTALL), "figures, not words"


@pytest.mark.slow
def test_the_commands_for_smoke_are_run_as_they_stand(workdir: Path, run_python: RunPython) -> None:
    smoke = [c for c in COMMANDS if c.startswith("python ") and "smoke" in c]
    assert smoke
    for command in [*smoke, "python -m search.report study.name=smoke"]:
        done = run_python(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    assert (workdir / "smoke.html").stat().st_size > 0


@pytest.mark.slow
def test_a_schedule_is_printed_as_it_stands(run_python: RunPython) -> None:
    (command,) = [c for c in COMMANDS if "search.schedule" in c]
    done = run_python(*shlex.split(command)[1:])
    assert done.returncode == 0
    assert "OnCalendar=*-*-* 02:00:00" in done.stdout
