"""What a person sees of a study: in the real MLflow UI, and in its report without a network."""

from pathlib import Path

import pytest

from search.plots.gallery import FIGURES
from tests.ui.browser import Browser
from tests.ui.site import Site

pytestmark = pytest.mark.slow  # a study, a server and browsers: minutes

RUN = ".ag-cell a"
EXPANDER = ".ag-cell button"

_PLOTS = """
return [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    points: plot.data.map(trace => (trace.y ?? []).length),
}));
"""
_WIDTHS = "return [...document.images].map(image => image.naturalWidth)"
"""Pixels across each picture; none in one that could not be loaded."""


@pytest.fixture
def ui(window: Browser, site: Site) -> Browser:
    """A window in which the UI is set up as a person would have it."""
    site.prepare(window)
    return window


def unfold(ui: Browser, site: Site) -> None:
    """Show the trials under their study in the list of runs."""
    ui.open(site.runs())
    ui.see(RUN, site.name)
    ui.see(EXPANDER).click()
    for name in site.trials:
        ui.see(RUN, name)


def test_the_list_of_runs_has_one_study_with_its_trials_nested_in_it(
    ui: Browser, site: Site
) -> None:
    assert len(site.trials) == 4
    ui.open(site.runs())
    ui.see(RUN, site.name)
    ui.see("body", "5 matching runs")
    shown = ui.text(RUN)
    assert not any(name in shown for name in site.trials)
    unfold(ui, site)


def test_a_chart_compares_the_trials(ui: Browser, site: Site) -> None:
    unfold(ui, site)
    ui.driver.get(site.runs("CHART"))
    ui.see("body", "val_accuracy")

    def compared() -> bool:
        return any(len([n for n in plot["points"] if n]) >= 4 for plot in ui.js(_PLOTS))

    ui.until(compared, "chart with four trials")


def test_a_figure_of_the_report_is_shown_on_the_run_of_the_study(ui: Browser, site: Site) -> None:
    ui.open(site.artifact("report/history.png"))
    ui.until(lambda: 1080 in ui.js(_WIDTHS), "picture with all its pixels")


def test_the_report_is_shown_as_a_page_on_the_run_of_the_study(ui: Browser, site: Site) -> None:
    ui.open(site.artifact("report/report.html"))
    ui.driver.switch_to.frame(ui.see("iframe"))
    ui.see("h1", "Does everything work?")
    ui.see(".js-plotly-plot")


def test_the_registered_model_has_a_champion(ui: Browser, site: Site) -> None:
    ui.open(site.model())
    ui.see("body", "Version 1")
    ui.see("body", "champion")


def test_the_report_opens_offline_whole_and_asks_nobody_for_anything(
    window: Browser, study_folder: Path
) -> None:
    window.driver.execute_cdp_cmd("Network.enable", {})
    window.driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    window.open("about:blank")  # the browser's own first page asks for things, too
    window.logged("performance")
    window.open((study_folder / "smoke.html").as_uri())
    window.see("h1", "Does everything work?")
    figures = {name for name in FIGURES if name not in ("chart", "contour", "importance")}
    panels = len(figures) + 2 + 1  # three slices, and two metrics of the learning curves
    window.until(lambda: len(window.js(_PLOTS)) == panels, "the figures of a small study")
    for figure in figures:
        window.see(f"#{figure} .main-svg")
    pictures = window.js(_WIDTHS)
    assert len(pictures) == 2  # of the best network's mistakes
    assert all(width > 0 for width in pictures)
    assert "How sure is it?" in window.text("h2")
    asked = [
        entry["message"]
        for entry in window.logged("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
        and not any(f'"url":"{kind}' in entry["message"] for kind in ("file:", "data:", "blob:"))
    ]
    assert asked == []
    assert [entry for entry in window.logged("browser") if entry["level"] == "SEVERE"] == []
