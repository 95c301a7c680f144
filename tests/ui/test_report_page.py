"""A report as it is seen, wide and on a phone: what overlaps, is cut off or too small is measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.analysis.facts import Facts
from search.plots.gallery import save_trial
from search.rendering.page import page
from search.study.space import Range, Space
from tests.search import made
from tests.search.studies import CASES
from tests.search.verdicts import compared
from tests.ui.browser import Browser

pytestmark = pytest.mark.slow  # a browser

_DRAWN = (
    "return [...document.querySelectorAll('.js-plotly-plot')].every(p => p.querySelector('svg'))"
)

TROUBLE = """
const trouble = [];
const box = element => element.getBoundingClientRect();
const shown = element => {
  const { width, height } = box(element);
  return width > 0 && height > 0 && getComputedStyle(element).visibility !== 'hidden';
};
const over = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2.5;
const name = element => JSON.stringify(element.textContent.trim().slice(0, 40));

const { clientWidth, scrollWidth } = document.documentElement;
if (scrollWidth > clientWidth) trouble.push('the page moves sideways');
for (const plot of document.querySelectorAll('.js-plotly-plot')) {
  const frame = box(plot);
  const texts = [...plot.querySelectorAll('svg text')].filter(t => t.textContent.trim() && shown(t));
  if (!texts.length) trouble.push(`${plot.id}: nothing is written`);
  texts.forEach((one, index) => {
    const { left, right, top, bottom } = box(one);
    if (left < frame.left - 1 || right > frame.right + 1 || top < frame.top - 1 || bottom > frame.bottom + 1)
      trouble.push(`${plot.id}: ${name(one)} is cut off`);
    for (const other of texts.slice(index + 1))
      if (over(box(one), box(other))) trouble.push(`${plot.id}: ${name(one)} over ${name(other)}`);
  });
}
const parts = '.panels > div, .legend, section > p, section > h2, section .wide';
const panels = [...document.querySelectorAll(parts)];
panels.forEach((one, index) => {
  for (const other of panels.slice(index + 1))
    if (!one.contains(other) && shown(one) && shown(other) && over(box(one), box(other)))
      trouble.push(`${name(one)} over ${name(other)}`);
});
for (const button of document.querySelectorAll('.legend button'))
  if (box(button).right > clientWidth) trouble.push(`${name(button)} is cut off`);
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const small = parseFloat(getComputedStyle(element).fontSize) < 11;
  if (own && small && shown(element) && !element.closest('script, style'))
    trouble.push(`${name(element)} has ${getComputedStyle(element).fontSize}`);
}
for (const cell of document.querySelectorAll('table.facts td'))
  if (box(cell).right > clientWidth) trouble.push(`${name(cell)} is cut off`);
return trouble;
"""


def decades(low: float, high: float) -> Facts:
    """A study of learning rates, and a few networks of other sizes."""
    space = Space({"train.learning_rate": Range(low=low, high=high, log=True)})
    return made.facts(
        [
            made.trial(n, space=space, result=made.result([0.5, 0.9], parameters=10 ** (n + 3)))
            for n in range(4)
        ],
        space,
    )


STUDIES: dict[str, Callable[[], Facts]] = {
    **{name: CASES[name] for name in ("one", "forty", "mixed space", "conditional", "hyperband")},
    "widths": CASES["widths"],
    "a decade": lambda: decades(1e-3, 1e-2),
    "two decades": lambda: decades(2e-4, 2e-2),
    "four decades": lambda: decades(1e-5, 1e-1),
}


def show(window: Browser, html: str, folder: Path, width: int) -> None:
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    size: dict[str, Any] = {
        "width": width,
        "height": 900,
        "deviceScaleFactor": 1,
        "mobile": width < 500,
    }
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    window.open(file.as_uri())
    window.until(lambda: window.js(_DRAWN), "all figures")


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overlaps_is_cut_off_or_too_small(
    window: Browser, tmp_path: Path, width: int, digits: Any
) -> None:
    save_trial(made.trial(0), digits, tmp_path)
    for file in list(tmp_path.glob("*.png")):
        file.rename(tmp_path / f"best_{file.name}")
    finalists = compared()
    pages = {name: page(facts(), tmp_path) for name, facts in STUDIES.items()}
    pages["verdict"] = page(finalists.facts, tmp_path, finalists)
    alone = compared(seeds=1, max_seeds=1, confirm=1)  # "spread not known"
    pages["verdict of a seed"] = page(alone.facts, tmp_path, alone)
    found = {}
    for name, html in pages.items():
        show(window, html, tmp_path, width)
        if trouble := window.js(TROUBLE):
            found[name] = trouble
    assert found == {}


def test_the_measure_sees_what_overlaps(window: Browser, tmp_path: Path) -> None:
    """As panels did when they stood beside each other on any page."""
    show(window, page(CASES["mixed space"](), tmp_path), tmp_path, 400)
    assert window.js(TROUBLE) == []
    window.js("""
        for (const panels of document.querySelectorAll('.panels'))
            panels.style.gridTemplateColumns = 'repeat(3, 1fr)';
        document.querySelectorAll('.js-plotly-plot').forEach(plot => Plotly.Plots.resize(plot));
    """)
    window.until(lambda: window.js(TROUBLE), "an overlap")


def test_a_name_in_a_legend_hides_its_marks_in_all_panels_and_shows_them_again(
    window: Browser, tmp_path: Path
) -> None:
    show(window, page(CASES["mixed space"](), tmp_path), tmp_path, 1280)
    hidden = """
        return [...document.querySelectorAll('[id^=slices]')].map(
            plot => plot.data.filter(trace => trace.name === 'complete')[0].visible);
    """
    button = window.see("section:has(#slices) .legend button", "complete")
    button.click()
    window.until(lambda: window.js(hidden) == [False] * 4, "hidden marks")
    button.click()
    window.until(lambda: window.js(hidden) == [True] * 4, "marks")
