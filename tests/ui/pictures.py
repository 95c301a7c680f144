"""Make the README's pictures from the real MLflow UI and a real study's report (make pictures).

python -m tests.ui.pictures FOLDER [OVERRIDE ...]

OVERRIDES are of the study that MLflow is shown with; the first picture and the report are of
`+study=dropout` and its verdict. FOLDER keeps both: the same command goes on with them, and takes the
pictures again.
"""

import sys
from pathlib import Path

from PIL import Image

from tests.ui.browser import Browser, browser, missing
from tests.ui.site import ROOT, Site, command, make_study, site_of

IMAGES = ROOT / "docs" / "images"

_COLOURS = 200  # as a palette a picture takes a third of its size


_COLUMNS = (
    *("metrics.`objective`", "metrics.`test_accuracy`"),
    *("params.`model.depth`", "params.`model.dropout`", "params.`model.hidden_units`"),
    *("params.`train.learning_rate`", "params.`train.optimizer`"),
)
_BEST_FIRST = "&orderByKey=metrics.%60objective%60&orderByAsc=false"
_CHOOSE = """
const key = `MLflowLocalStorage-1.1-ExperimentPage-["${arguments[0]}"]-ReactComponentState`;
const state = JSON.parse(localStorage.getItem(key));
localStorage.setItem(key, JSON.stringify({...state, ...arguments[1]}));
"""
_TIDY = """
const style = document.createElement('style');
style.textContent = '.modebar-container {display: none !important}';  // shown where there is no mouse
document.head.append(style);
document.activeElement?.blur();
for (const button of document.querySelectorAll('button'))
    if (button.textContent === 'MLflow Assistant') button.style.display = 'none';
"""
_DRAWN = """
const traces = [...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.data.length);
return traces.length === 3 && traces.filter(count => count >= 10).length === 2;
"""


def main(folder: Path, overrides: list[str]) -> None:
    """Run the studies, and write `dropout.png`, `runs.png`, `chart.png` and `report.png`."""
    if (reason := missing()) is not None:
        sys.exit(f"pictures: {reason}")
    first = folder / "dropout"
    first.mkdir(parents=True, exist_ok=True)
    make_study(first, "+study=dropout")
    command(first, "search.finalists")
    command(first, "search.report")
    dropout(first)
    make_study(folder, *overrides)
    with site_of(folder, "full") as site, browser(1400, 850) as window:
        site.prepare(window)
        runs(window, site)
        chart(window, site)
        report(window, first)


def dropout(folder: Path) -> None:
    """Accuracy against dropout, as the study's report has it."""
    (drawn,) = folder.glob("mlruns/*/*/artifacts/report/chart.png")
    write(drawn, IMAGES / "dropout.png")


def runs(window: Browser, site: Site) -> None:
    """The list of runs, the best trials first, with what varied beside what it led to."""
    window.open(site.runs())
    window.see(".ag-cell a", site.name)
    window.js(_CHOOSE, site.experiment, {"selectedColumns": _COLUMNS})
    window.open(site.runs() + _BEST_FIRST)
    window.see("[aria-label='Toggle sidebar']").click()
    window.see(".ag-header-cell", "objective")
    window.see(".ag-cell a")
    save(window, "runs")


def chart(window: Browser, site: Site) -> None:
    """What the ten best trials did, epoch by epoch."""
    window.open(site.runs("CHART") + _BEST_FIRST)
    window.see("input[placeholder*='metric charts']").send_keys("accuracy")
    window.until(
        lambda: window.js(_DRAWN), "three charts, two of them with the curves of ten trials"
    )
    save(window, "chart")


def report(window: Browser, folder: Path) -> None:
    """The top of a report with a verdict, as it opens."""
    window.open((folder / "dropout.html").as_uri())
    window.driver.set_window_size(1150, 1250)
    window.see("#verdict .main-svg")
    window.js("scrollTo(0, 0)")
    save(window, "report")


def save(window: Browser, name: str) -> None:
    """What the window shows as `name`.png."""
    window.js(_TIDY)
    file = IMAGES / f"{name}.png"
    window.driver.save_screenshot(str(file))
    write(file, file)


def write(source: Path, file: Path) -> None:
    """The picture in `source` as a small `file`."""
    with Image.open(source) as picture:
        small = picture.convert("RGB").quantize(_COLOURS)
    small.save(file, optimize=True)
    print(
        f"{file.relative_to(ROOT)}: {small.width} x {small.height}, {file.stat().st_size / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
