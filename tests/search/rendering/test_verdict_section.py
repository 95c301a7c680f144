"""The verdict on the page: in place of single runs where it stands, and never more than it says."""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from search.analysis.finalists import Finalists
from search.analysis.wording import shown, words
from search.rendering.page import page
from tests.search.analysis.test_answer import GOES_ON, OLD, topped_up, unfinished
from tests.search.rendering.test_page import Reader
from tests.search.verdicts import MEANS, by_mean, compared, facts, three, trial

COMMAND = "python -m search.finalists study.name=test"
SINGLE = "trial 2: one run, spread not measured"


def read(finalists: Finalists | None, folder: Path) -> Reader:
    subject = facts(three()) if finalists is None else finalists.facts
    return Reader(page(subject, folder, finalists))


@pytest.mark.parametrize(
    ("finalists", "says", "says_not"),
    [
        (
            lambda: None,
            ["The answer", SINGLE, "not known before its finalists are compared", COMMAND],
            ["The verdict"],
        ),
        (unfinished, ["The answer", SINGLE, GOES_ON, COMMAND], ["The verdict"]),
        (compared, ["The verdict"], ["The answer", SINGLE, "How sure is it?", COMMAND]),
        (
            lambda: topped_up(compared(), trial(3, 0.96, 0.4)),
            ["The verdict", OLD, COMMAND],
            ["The answer", "How sure is it?"],
        ),
        (
            lambda: compared(value=lambda _: None),
            ["The verdict", "there is no answer.", "The answer", SINGLE],
            [COMMAND],
        ),
    ],
    ids=["nobody asked", "unfinished", "stands", "outdated", "all diverged"],
)
def test_the_page_says_what_is_known_and_what_is_not(
    finalists: Callable[[], Finalists | None], says: list[str], says_not: list[str], tmp_path: Path
) -> None:
    text = read(finalists(), tmp_path).text
    for each in says:
        assert each in text
    for each in says_not:
        assert each not in text


def test_it_comes_first_with_every_sentence_and_every_number(tmp_path: Path) -> None:
    finalists = compared()
    text = read(finalists, tmp_path).text
    found = finalists.verdict
    assert found is not None
    assert text.index("The verdict") < text.index("What was asked")
    for sentence in words(found):
        assert sentence in text
    for each in found.standings:
        estimates = (each.mean, each.behind, each.confirmed)
        assert all(shown(e) in text for e in estimates if e is not None)
        assert finalists.words_for(each.name) in text
        assert f"{each.parameters:,}" in text
    assert finalists.answer is not None
    assert f"train.seed={finalists.answer.entry.settings['train.seed']}" in text
    assert "python -m search.export study.name=test" in text


def test_the_row_of_the_answer_stands_out_and_no_trial_does(tmp_path: Path) -> None:
    html = page(facts(three()), tmp_path)
    assert "class=answer" not in html
    html = page(facts(three()), tmp_path, compared())
    (row,) = [line for line in html.split("<tr") if line.startswith(" class=answer")]
    assert "<td>trial 1<small>" in row


def test_the_picture_answers_to_the_mouse_within_the_section(tmp_path: Path) -> None:
    html = page(facts(three()), tmp_path, compared())
    section = html[html.index("<h2>The verdict") : html.index("<h2>What was asked")]
    assert '<div id="verdict" class="plotly-graph-div"' in section
    assert "fresh seeds, seed 1" in section


def test_a_gain_that_may_be_chance_is_not_told_as_one(tmp_path: Path) -> None:
    same = compared(value=by_mean({**MEANS, "default": 0.9501}), confirm=3)
    text = read(same, tmp_path).text
    assert same.verdict is not None
    assert not same.verdict.gained
    assert ("which may be chance" in text) == (same.verdict.answer != "default")
    assert "which may be chance" not in read(compared(), tmp_path).text


def test_nothing_of_it_is_taken_for_html(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    finalists = compared()
    named = replace(finalists.facts.about, name=evil)
    found = replace(finalists, facts=replace(finalists.facts, about=named))
    html = page(found.facts, tmp_path, found)
    assert f"python -m search.export study.name={escape(evil)}" in html
    assert not any("alert" in script for script in Reader(html).scripts if len(script) < 10**6)
