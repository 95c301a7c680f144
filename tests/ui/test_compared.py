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

pytestmark = pytest.mark.slow  # a browser

_SIZE = "Emulation.setDeviceMetricsOverride"
_FIGURES = """
return [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    id: plot.id,
    colours: [...new Set(plot.data.map(trace => trace.line?.color ?? trace.marker.color))],
    width: plot.getBoundingClientRect().width,
}));
"""
_LEGEND = """
return Object.fromEntries([...document.querySelectorAll('section:nth-of-type(2) .beside th')].slice(1)
    .map(head => [head.innerText.trim(), getComputedStyle(head.querySelector('i')).backgroundColor]));
"""
_OVERLAPS = """
const all = (css, within = document) => [...within.querySelectorAll(css)];
const groups = [all('main > *'), all('.panels > div')];
for (const each of all('.legend, tr')) groups.push([...each.children]);
for (const plot of all('.js-plotly-plot'))
    groups.push(all('.xtick text, .xtitle', plot), all('.ytick text, .ytitle', plot));
const found = [];
for (const group of groups)
    for (const [place, one] of group.entries())
        for (const other of group.slice(place + 1)) {
            const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
            const beside = a.right <= b.left + 1 || b.right <= a.left + 1;
            if (!beside && a.bottom > b.top + 1 && b.bottom > a.top + 1)
                found.push([one, other].map(each => each.textContent.slice(0, 30)));
        }
return found;
"""
_OUTSIDE = """
return [...document.querySelectorAll('section, .legend button')]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.className);
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    path = tmp_path_factory.mktemp("compared") / "page.html"
    path.write_text(page(beside(*studies)), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_overlaps_and_nothing_lies_outside(window: Browser, file: Path, width: int) -> None:
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    window.driver.execute_cdp_cmd(_SIZE, size)
    window.open(file.as_uri())
    window.see("h1", "größe")
    window.until(
        lambda: all(figure["width"] > 200 for figure in window.js(_FIGURES)),
        "figures that are drawn",
    )
    assert window.js(_OVERLAPS) == []
    assert window.js(_OUTSIDE) == []
    assert [entry for entry in window.logged("browser") if entry["level"] == "SEVERE"] == []


def test_the_colours_of_every_figure_are_those_of_the_legend(window: Browser, file: Path) -> None:
    window.open(file.as_uri())
    window.see("h1", "größe")
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
