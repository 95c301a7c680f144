"""The whole table of a study: every trial, with the numbers that everything else tells of it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from search.analysis.facts import Facts
from search.analysis.leaderboard import as_csv
from search.reading.files import TableConfig, write
from search.reading.rows import epochs, trials
from tests.search import made, studies


def everything() -> Facts:
    """Trials of every state and lineage, and one that the configuration refused."""
    refused = made.failed(4, "refused: no such thing")
    return made.facts(
        [
            made.trial(0),
            made.pruned(1),
            made.failed(2),
            made.running(3),
            replace(refused, run=None, history=()),
            made.trial(5, same_as=0),
            made.trial(6, prefix_of=0, extends=None),
            made.trial(7, extends=0),
        ]
    )


@pytest.mark.parametrize("name", studies.CASES)
def test_every_trial_whatever_its_state_has_one_row_with_what_was_tried(name: str) -> None:
    facts = studies.CASES[name]()
    table = trials(facts, {})
    assert [row["trial"] for row in table.rows] == [entry.number for entry in facts.entries]
    assert {"trial", "state", *facts.space.dimensions} <= set(table.heads)
    for row, entry in zip(table.rows, facts.entries, strict=True):
        assert row["state"] == entry.state
        assert {path: row[path] for path in entry.params} == entry.params
        assert set(row) <= set(table.heads)


def test_the_leaderboard_has_the_same_numbers() -> None:
    facts = made.facts([*made.many(5), made.pruned(5), made.failed(6)])
    rows = {str(row["trial"]): row for row in trials(facts, {}).rows}
    best = list(csv.DictReader(io.StringIO(as_csv(facts.entries, facts.objective))))
    assert len(best) == 5
    for leader in best:
        row = {**rows[leader["trial"]]}
        row["val_accuracy"], row["seconds"] = row["objective"], f"{row['seconds']:.1f}"
        assert {head: str(row[head]) for head in leader} == leader


def test_a_row_tells_how_its_trial_went() -> None:
    """Result, costs, attempts, lineage and run of each; of a field that is added, too."""
    facts = everything()
    table = trials(facts, {"s1-0": "run of 0"})
    rows = {row["trial"]: row for row in table.rows}
    complete, entry = rows[0], facts.entries[0]
    assert entry.result is not None
    assert entry.run is not None
    assert entry.result.final_metrics().items() <= complete.items()
    settings = entry.run.parameters().keys()
    assert settings <= set(table.heads)
    assert complete["run_id"] == "run of 0"
    assert [rows[number]["run_id"] for number in (1, 2, 3)] == [None] * 3
    assert rows[2]["reason"] == "loss is nan at epoch 2"
    assert (rows[2]["epochs"], rows[2].get("objective")) == (1, None)
    assert rows[3]["ended_at"] is None
    assert rows[4]["reason"] == "refused: no such thing"
    lineage = {
        number: {h: rows[number][h] for h in ("same_as", "prefix_of", "extends")}
        for number in (5, 6, 7)
    }
    assert lineage == {
        5: {"same_as": 0, "prefix_of": None, "extends": None},
        6: {"same_as": None, "prefix_of": 0, "extends": None},
        7: {"same_as": None, "prefix_of": None, "extends": 0},
    }


def test_a_curve_is_that_of_the_network_through_all_its_trials() -> None:
    facts = studies.hyperband()
    rows = epochs(facts).rows
    assert [row["epoch"] for row in rows if row["trial"] == 6] == [1, 2, 3, 4, 5]
    first = [row["val_accuracy"] for row in rows if row["trial"] == 6]
    assert first == [epoch.metrics["val_accuracy"] for epoch in facts.curve(facts.entries[6])]


def test_csv_and_json_say_the_same_with_all_digits(tmp_path: Path) -> None:
    facts = everything()
    table = trials(facts, {})
    write(table, str(tmp_path / "sub" / "a.csv"))
    write(table, str(tmp_path / "sub" / "a.JSON"))
    with (tmp_path / "sub" / "a.csv").open(newline="") as opened:
        of_csv = list(csv.DictReader(opened))
    of_json: list[dict[str, Any]] = json.loads((tmp_path / "sub" / "a.JSON").read_text())
    assert [list(row) for row in (of_csv[0], of_json[0])] == [list(table.heads)] * 2
    assert of_csv == [
        {head: "" if cell is None else str(cell) for head, cell in row.items()} for row in of_json
    ]
    assert of_json[0]["objective"] == facts.entries[0].value
    assert {file.name for file in (tmp_path / "sub").iterdir()} == {"a.csv", "a.JSON"}


def test_a_study_without_trials_is_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    write(trials(made.facts([]), {}), "-")
    assert capsys.readouterr().out == "trial,state,model.dropout\n"


@pytest.mark.parametrize("path", ["", "table", "a.txt", "a.csv.gz", "folder/", ".csv", "--"])
def test_a_path_without_a_format_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"table\.path: .*(\.parquet|at least 1)"):
        validated(TableConfig, {"path": path}, "table")


def test_the_path_is_standard_output_where_none_is_given() -> None:
    assert validated(TableConfig, compose([])["table"], "table").path == "-"


def test_a_write_that_fails_leaves_the_old_table_whole(tmp_path: Path) -> None:
    table = trials(everything(), {})
    file = tmp_path / "a.json"
    write(table, str(file))
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write(replace(table, rows=({"trial": object()},)), str(file))  # type: ignore[dict-item]
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
