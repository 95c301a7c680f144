"""The page of a study: whole, honest, and without anything to fetch."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.command.compose import compose, to_yaml
from pipeline.data import Dataset
from pipeline.run.config import DataConfig
from search.analysis.confidence import sentences
from search.analysis.facts import Facts
from search.plots.gallery import of_study, save_trial
from search.rendering.page import command_for, page
from tests.search import made


class Reader(HTMLParser):
    """The text of a page outside of scripts and styles, and all that it refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        fetching = ("src", "href", "srcset", "action", "data", "poster", "background")
        self.references += [str(value) for name, value in attrs if name in fetching]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.text += data


ENDED = [*made.many(6), made.pruned(6), made.failed(7, "its worker was ended by SIGKILL\nmore")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """Those of the best trial, as a report has them."""
    folder = tmp_path_factory.mktemp("pictures")
    save_trial(ENDED[5], digits, folder)
    for file in folder.iterdir():
        file.rename(folder / f"best_{file.name}")
    return folder


def read(facts: Facts, pictures: Path) -> Reader:
    return Reader(page(facts, pictures))


def test_the_page_fetches_nothing(pictures: Path) -> None:
    html = page(made.facts(ENDED), pictures)
    reader = Reader(html)
    assert reader.references
    assert all(reference.startswith("data:image/png;base64,") for reference in reader.references)
    assert not {"link", "iframe", "object", "embed", "base"} & set(reader.tags)
    assert "@import" not in html[: html.index("<script")]
    assert "url(" not in html[: html.index("<script")]


def test_plotly_is_there_once_whatever_the_number_of_figures(pictures: Path) -> None:
    reader = read(made.facts(ENDED), pictures)
    assert sum(len(script) > 1_000_000 for script in reader.scripts) == 1
    assert sum("Plotly.newPlot" in script for script in reader.scripts) >= 4


def test_a_study_of_which_nothing_is_drawn_needs_no_plotly(tmp_path: Path) -> None:
    html = page(made.facts([made.running(0)]), tmp_path)
    assert len(html) < 100_000
    assert Reader(html).text.count("No trial has ended yet.") >= 4


def test_every_figure_of_the_study_is_on_the_page_under_its_title(pictures: Path) -> None:
    facts = made.facts(ENDED)
    reader = read(facts, pictures)
    for name, plot in of_study(facts).items():
        assert plot.title in reader.text
        assert any(f'Plotly.newPlot("{name}"' in re.sub(r"\s+", "", script).replace("\'", '"')
                   for script in reader.scripts) == bool(plot.panels)  # fmt: skip
        assert plot.empty in reader.text


def test_the_page_answers_the_question_of_the_study(pictures: Path) -> None:
    text = read(made.facts(ENDED), pictures).text
    assert "How much dropout?" in text
    assert "0.9100" in text  # the best value
    assert "0.9050" in text  # its test accuracy
    assert f"model.dropout={ENDED[5].params['model.dropout']}" in text
    assert "8 of 40 trials have ended: 6 complete, 1 pruned, 1 failed" in text
    assert "0.0 .. 0.6" in text


def test_the_page_tells_what_failed_and_why_in_one_line(pictures: Path) -> None:
    text = read(made.facts(ENDED), pictures).text
    assert "its worker was ended by SIGKILL" in text
    assert "SIGKILL\nmore" not in text
    assert "1 trial was stopped early (pruned)" in text


def test_the_page_says_where_the_numbers_come_from(pictures: Path) -> None:
    text = read(made.facts(ENDED), pictures).text
    for fact in (made.DATA.digest, "1,437 training rows", "3.15.1", "abc123", "+study=test"):
        assert fact in text


def test_what_people_write_is_shown_and_never_run(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script><img src=http://evil/x.png>"
    facts = made.facts(
        [made.trial(0), made.failed(1, evil)], question=evil, name=evil, command=evil
    )
    reader = read(facts, tmp_path)
    assert reader.text.count("<script>alert('x')</script>") >= 4
    assert reader.references == []
    assert not any("alert" in script for script in reader.scripts if len(script) < 1_000_000)


def test_an_address_in_the_reason_of_a_failure_is_not_published(tmp_path: Path) -> None:
    """A trainer's error may name any; one of a webhook is a secret."""
    reason = "HTTPError: 500 for https://hooks.example.org/T0/hush (try later)"
    text = read(made.facts([made.trial(0), made.failed(1, reason)]), tmp_path).text
    assert "HTTPError: 500 for https://***" in text
    assert "hush" not in text


def test_a_study_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    text = read(made.facts([made.running(0)]), tmp_path).text
    assert "there is no answer" in text
    assert "0 of 40 trials have ended: 1 running" in text


def test_the_command_for_a_trial_names_what_is_not_the_default() -> None:
    (network,) = [made.trial(1, 0.9, made.MIXED)]
    command = command_for(network, "s1", 1)
    assert command.startswith("python -m pipeline.train data.name=digits ")
    assert f"model.dropout={network.settings['model.dropout']}" in command
    assert "train.epochs" not in command
    # 128 is the default.
    width = re.search(r"model\.hidden_units=(32|'?\[64,32\]'?)", command)
    assert width or "hidden_units" not in command


def test_how_sure_names_lead_spread_seed_and_test_set() -> None:
    said = " ".join(sentences(made.facts(made.many(6))))
    assert "Trial 5 leads the second, trial 4, by 0.0020." in said
    assert "The best 6 trials lie between 0.9000 and 0.9100." in said
    assert "with the seed 0" in said
    assert "90.50%" in said


def test_nothing_is_claimed_without_a_complete_trial() -> None:
    assert sentences(made.facts([made.pruned(0), made.failed(1)])) == []


def test_the_space_is_read_from_the_configuration_that_the_study_keeps() -> None:
    space = {
        "model": {"dropout": {"low": 0.0, "high": 0.6}},
        "train": {"optimizer": ["adam", "sgd"]},
    }
    about = made.about(config=made.settings({"space": space}))
    axes = Facts.of(about, []).axes
    assert [(axis.path, axis.labels) for axis in axes] == [
        ("model.dropout", ()),
        ("train.optimizer", ("adam", "sgd")),
    ]


def test_each_row_of_a_trial_leads_to_its_run_where_that_is_known(tmp_path: Path) -> None:
    runs = {f"s1-{n}": f"http://here/#/experiments/1/runs/{n}&" for n in (0, 5, 6, 7)}
    reader = Reader(page(made.facts(ENDED), tmp_path, runs=runs))
    assert [each.rpartition("/")[2] for each in reader.references] == ["5&", "0&", "6&", "7&"]
    assert Reader(page(made.facts(ENDED), tmp_path)).references == []


def test_commands_and_addresses_are_not_on_the_page(tmp_path: Path) -> None:
    """Neither those that a version before kept, nor the folder of the data."""
    config = to_yaml(compose(["data=digits", "study.on_end=curl pl4ce", "report.path=pl4ce"]))
    command = "python -m search.optimize storage.url=postgresql://pl4ce/db train.epochs=5"
    run = made.BASE.model_copy(
        update={"data": DataConfig(name="npz", path="/pl4ce/my.npz", scale=True)}
    )
    trials = [replace(each, run=run) for each in made.many(3)]
    html = page(made.facts(trials, config=config, command=command), tmp_path)
    assert "pl4ce" not in html
    assert "data.path=my.npz" in html
    assert "storage.url=***" in html
    assert "train.epochs=5" in html
