"""The report of a study with two objectives: its front, and the hypervolume as its progress."""

from pathlib import Path

import pytest

from search.analysis.facts import Facts
from search.plots.course import front_so_far, history
from search.plots.gallery import FRONTS, of_study
from search.plots.marks import Line, Panel
from search.plots.png import draw
from search.rendering.page import page
from search.study.front import Corner
from tests.search import made
from tests.search.rendering.test_page import Reader
from tests.search.study.test_front import ACCURACY, LOSS, OBJECTIVES, trial
from tests.search.telling.test_front import OBJECTIVE, SPACE, study


def facts(objective: object = OBJECTIVE) -> Facts:
    return made.facts(study(objective), SPACE, objective=objective)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(page(facts(), tmp_path_factory.mktemp("pictures")))


@pytest.mark.slow
def test_the_page_begins_with_the_front_and_says_how_to_take_one_of_it(reader: Reader) -> None:
    text = reader.text
    assert text.index("The front") < text.index("The best of the front") < text.index("How sure")
    assert "configurations that none beats in both" in text
    assert "validation accuracy, 100 parameters" in text
    assert "validation accuracy, 9,000 parameters" in text
    assert "export.prefer=smallest export.within=0.002" in text
    assert "highest validation accuracy for a given cost in parameters?" in text
    assert "The answer" not in text
    assert (
        "objective.cost=parameters"
        not in text[text.index("To train this") : text.index("How sure")]
    )


@pytest.mark.slow
def test_the_page_of_a_study_without_a_complete_trial_says_so(tmp_path: Path) -> None:
    empty = made.facts([made.failed(0)], SPACE, objective=OBJECTIVE)
    assert "No trial is complete yet: there is no answer." in Reader(page(empty, tmp_path)).text


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_figure_of_the_cost_comes_first(objective: object) -> None:
    found = facts(objective)
    cost = found.objective.cost
    assert cost is not None
    assert next(iter(of_study(found))) == FRONTS[cost]
    one = made.facts(study(objective)[:1], SPACE, objective=objective)
    assert next(iter(of_study(one))) == FRONTS[cost], "also of one size alone"
    assert of_study(made.facts([], SPACE, objective=objective))[FRONTS[cost]].empty


def curve(found: Facts) -> list[tuple[float, float]]:
    plot = history(found)
    panel = plot.panels[-1]
    assert isinstance(panel, Panel)
    assert panel.up.label == "hypervolume of the front"
    (line,) = panel.marks
    assert isinstance(line, Line)
    return list(line.points)


def test_progress_is_the_hypervolume_and_its_reference_point_is_said() -> None:
    found = facts()
    plot = history(found)
    assert "Hypervolume from val_accuracy 0.8000, 9,000 parameters" in plot.about
    assert len(plot.panels) == 2
    points = curve(found)
    assert [at for at, _ in points] == [0, 1, 2, 3, 4], "one that failed changes nothing"
    heights = [height for _, height in points]
    assert heights == sorted(heights)
    assert heights[1] == heights[2], "trial 2 is beaten by trial 1"
    assert 0 <= heights[0] < heights[1] < 1
    assert draw(plot).axes


def test_progress_does_not_depend_on_the_order_in_which_trials_ended() -> None:
    reference = Corner(0.0, 10_000)
    one, other = study(), study()[::-1]
    last = [
        front_so_far(made.facts(each, SPACE, objective=OBJECTIVE), "parameters", reference)[-1][1]
        for each in (one, other)
    ]
    assert last[0] == last[1] > 0


@pytest.mark.parametrize("objective", [ACCURACY, LOSS], ids=["maximize", "minimize"])
def test_trials_that_are_all_alike_make_no_progress(objective: object) -> None:
    alike = [trial(number, 0.5, 7, objective) for number in range(3)]  # type: ignore[arg-type]
    points = curve(made.facts(alike, SPACE, objective=objective))
    assert {height for _, height in points} == {0.0}
