"""What a person sees of studies that are compared: at a desk and on a telephone, without a network."""

from dataclasses import replace
from pathlib import Path

import pytest

from search.comparison.page import page
from tests.search import made
from tests.search.comparison.beside import beside, judged, study
from tests.search.telling.test_front import OBJECTIVE, SPACE
from tests.search.telling.test_front import study as front_study
from tests.ui.browser import Browser
from tests.ui.test_report_page import TROUBLE, show

pytestmark = pytest.mark.slow  # a browser

_FIGURES = """
return [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    id: plot.id,
    colours: [...new Set(plot.data.map(trace => trace.line?.color ?? trace.marker.color))],
}));
"""
_LEGEND = """
return Object.fromEntries([...document.querySelectorAll('section:nth-of-type(2) .beside th')].slice(1)
    .map(head => [head.innerText.trim(), getComputedStyle(head.querySelector('i')).backgroundColor]));
"""


@pytest.fixture(scope="module")
def compared() -> str:
    """A page of seven studies: two with a verdict, one of a front, one that can't be compared, long names."""
    mixed = [*made.many(12, made.MIXED), made.pruned(12, space=made.MIXED)]
    studies = [
        judged("tpe"),
        judged("random"),
        study("front", front_study(), SPACE, objective=OBJECTIVE),
        study(
            "a_study_of_which_the_name_is_long_as_people_make_them_2026-11-28", mixed, made.MIXED
        ),
        study("größe", mixed, made.MIXED),
        study("other_rows", made.many(3), dataset=replace(made.DATA, digest="d2" * 32)),
        study("nothing_yet"),
    ]
    return page(beside(*studies))


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overlaps_is_cut_off_or_too_small(
    window: Browser, compared: str, tmp_path: Path, width: int
) -> None:
    show(window, compared, tmp_path, width)
    assert window.js(TROUBLE) == []
    assert [entry for entry in window.logged("browser") if entry["level"] == "SEVERE"] == []


def test_the_colours_of_every_figure_are_those_of_the_legend(
    window: Browser, compared: str, tmp_path: Path
) -> None:
    show(window, compared, tmp_path, 1280)
    legend = window.js(_LEGEND)
    assert len(legend) == len(set(legend.values())) == 7
    figures = window.js(_FIGURES)
    assert {
        "best_so_far_0",
        "answers_0",
        "front_parameters_0-2",
        "searched_0_2-4",
        "best_so_far_1-2",
    } <= {figure["id"] for figure in figures}
    for figure in figures:
        drawn = {tuple(bytes.fromhex(colour[1:])) for colour in figure["colours"]}
        assert drawn <= {tuple(map(int, text[4:-1].split(","))) for text in legend.values()}
