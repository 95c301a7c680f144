"""What is told of a study with two objectives: a front, and no single best."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.command.errors import ConfigError
from pipeline.run.config import Cost
from search.analysis.configurations import best_of
from search.analysis.front import as_csv as front_csv
from search.analysis.leaderboard import as_csv, as_markdown, summary
from search.artifacts.candidate import candidate
from search.export import ExportConfig
from search.study.endings import MET
from search.study.shown import in_units
from search.study.space import Choices, Space
from search.study.vocabulary import Entry
from search.telling.progress import Progress
from search.telling.runs import Records
from search.telling.summary import SummaryFile
from tests.search import made
from tests.search.analysis.test_leaderboard import printed
from tests.search.study.test_front import ACCURACY, WORK, trial

SPACE = Space({"model.hidden_units": Choices((8, 16, 32, 64))})
OBJECTIVE = ACCURACY


def study(objective: object = OBJECTIVE) -> list[Entry]:
    """Trials 3, 1 and 0 are the front, cheapest first; 2 is beaten by 1; 4 has failed."""
    rows = [(0.95, 9_000), (0.94, 500), (0.93, 700), (0.80, 100)]
    entries = [trial(n, *row, objective) for n, row in enumerate(rows)]  # type: ignore[arg-type]
    units = (64, 16, 32, 8)
    found = [replace(e, params={"model.hidden_units": units[e.number]}) for e in entries]
    return [*found, made.failed(4)]


def test_a_line_of_progress_has_the_cost_and_how_large_the_front_is() -> None:
    file = io.StringIO()
    progress = Progress(Console(file=file, width=80), "front", 5, 1, OBJECTIVE, [])
    for entry in study():
        progress.ended(entry)
    lines = file.getvalue().splitlines()
    assert "val_accuracy 0.9500 9,000 parameters" in lines[0]
    assert "front of 1, best 0.9500 (trial 0)" in lines[0]
    assert "front of 3, best 0.9500 (trial 0)" in lines[-1]
    assert "parameters  " not in lines[-1], "a trial that failed has no cost"


@pytest.mark.parametrize(
    ("cost", "value", "said"),
    [
        ("parameters", 26506.0, "26,506 parameters"),
        ("train_seconds", 1.234, "1.2 train seconds"),
        ("multiply_adds", 26506.0, "26,506 multiply adds"),
    ],
)
def test_a_cost_has_its_unit(cost: Cost, value: float, said: str) -> None:
    assert in_units(cost, value) == said


def test_the_end_shows_the_front_cheapest_first_in_80_columns() -> None:
    lines = printed(summary(study(), OBJECTIVE, "mine"))
    rows = [line.split() for line in lines if "hidden_units=" in line]
    assert [(row[0], row[3], row[-1]) for row in rows] == [
        ("3", "100", "hidden_units=8"),
        ("1", "500", "hidden_units=16"),
        ("0", "9,000", "hidden_units=64"),
    ]
    text = " ".join(lines)
    assert "cheapest first: of 4 none beats these 3 in both." in text
    assert "export.prefer=smallest export.within=0.002" in text
    assert "Best parameters" not in text
    assert "whether the best of them can be told apart is not known" in text
    commands = [line for line in lines if line.startswith("  ")]
    assert all(len(line) <= 80 for line in lines if line not in commands)


def test_parameters_of_many_dimensions_are_whole_in_80_columns() -> None:
    params = {"model.hidden_units": 512, "train.learning_rate": 0.001234, "train.optimizer": "sgd"}
    entries = [replace(entry, params=params) for entry in study()[:2]]
    text = " ".join(" ".join(printed(summary(entries, OBJECTIVE, "mine"))).split())
    assert all(word in text for word in ("hidden_units=512", "learning_rate=0.001234"))


def test_the_summary_for_scripts_has_the_front(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    SummaryFile(file, "test", 5, OBJECTIVE).write(MET, study(), None)
    said = json.loads(file.read_text())
    assert said["cost"] == "parameters"
    assert [(each["trial"], each["cost"]) for each in said["front"]] == [
        (3, 100),
        (1, 500),
        (0, 9000),
    ]
    assert [each["trial"] for each in said["best"]] == [0]
    plain = OBJECTIVE.model_copy(update={"cost": None})
    SummaryFile(file, "test", 5, plain).write(MET, study(), None)
    said = json.loads(file.read_text())
    assert (said["cost"], said["front"]) == (None, [])


def test_mlflow_has_objective_and_cost_of_a_run_and_the_front_of_the_study() -> None:
    about = made.about(SPACE, objective=OBJECTIVE)
    subject, entries = Records(about, "s1"), study()
    points = {point.metric: point.value for point in subject.of_trial(entries[0]).points}
    assert (points["objective"], points["cost"]) == (0.95, 9_000)
    failed = subject.of_trial(entries[4])
    assert "cost" not in {point.metric for point in failed.points}
    record = subject.of_study(entries, MET)
    assert record.tags["study.front"] == "3 1 0"
    assert record.tags["study.best_trial"] == "0"
    note = record.tags["mlflow.note.content"]
    assert "The front of val_accuracy and parameters, cheapest first:" in note
    assert "Best:" not in note
    assert record.params["objective.cost"] == "parameters"


def test_a_study_without_a_cost_has_no_front_anywhere() -> None:
    entries = [made.trial(n) for n in range(3)]
    record = Records(made.about(), "s1").of_study(entries, MET)
    assert "study.front" not in record.tags
    assert "front" not in as_csv(entries, made.BASE.objective).splitlines()[0].split(",")


def test_the_tables_for_machines_have_every_trial_and_the_front_of_the_cost_first() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(study(), OBJECTIVE))))
    assert [(row["trial"], row["front"]) for row in rows] == [
        ("0", "yes"), ("1", "yes"), ("2", "no"), ("3", "yes"),
    ]  # fmt: skip
    text = front_csv(made.facts(study(WORK), SPACE, objective=WORK))
    fronts = [row["front"] for row in csv.DictReader(io.StringIO(text))]
    assert list(dict.fromkeys(fronts)) == ["multiply_adds", "parameters", "train_seconds"]
    assert "| multiply_adds |" in as_markdown(study(WORK), WORK)


def test_finalists_are_members_of_the_front_the_best_first() -> None:
    facts = made.facts(study(), SPACE, objective=OBJECTIVE)
    runs = [SPACE.apply(made.BASE, e.params) if e.params else e.run for e in facts.entries[:4]]
    named = [replace(e, run=r) for e, r in zip(facts.entries[:4], runs, strict=True)]
    assert list(best_of(made.facts(named, SPACE, objective=OBJECTIVE), 5).values()) == [0, 1, 3]


@pytest.mark.parametrize(("within", "number"), [(0.0, 0), (0.011, 1), (0.02, 1), (0.5, 3)])
def test_the_smallest_that_is_near_enough_is_exported(within: float, number: int) -> None:
    about = made.about(SPACE, objective=OBJECTIVE)
    assert candidate(about, study(), None, within=within).trial == number


def test_of_networks_of_one_size_the_one_on_the_front_is_exported() -> None:
    """Not a quicker one that is beaten."""
    slow, quick = trial(0, 0.95, 500), trial(1, 0.949, 500)
    quick = replace(quick, history=made.history([0.949], seconds=0.1))
    about = made.about(SPACE, objective=OBJECTIVE)
    assert candidate(about, [slow, quick], None, within=0.01).trial == 0


def test_within_needs_the_smallest() -> None:
    given = {"trial": None, "within": 0.1, "formats": ["keras"], "path": None, "force": False}
    for prefer in ("best", None):
        with pytest.raises(ValueError, match=r"add export\.prefer=smallest"):
            ExportConfig.model_validate({**given, "prefer": prefer, "register": True})
    with pytest.raises(ConfigError):
        candidate(made.about(SPACE, objective=OBJECTIVE), [], None, within=0.1)
