"""The page of several studies: whole, honest, and without anything to fetch."""

import re
from dataclasses import replace

import pytest

from search.comparison.compared import Compared
from search.comparison.page import page
from search.steering.launches import Launch
from tests.search import made
from tests.search.comparison.beside import beside, judged, study
from tests.search.comparison.test_compared import LOSS, trained
from tests.search.rendering.test_page import Reader
from tests.search.telling.test_front import OBJECTIVE, SPACE
from tests.search.telling.test_front import study as front_study

pytestmark = pytest.mark.slow  # a page takes a quarter of a second


def read(*studies: Compared) -> Reader:
    return Reader(page(beside(*studies)))


def figures_of(reader: Reader) -> list[str]:
    """The ids of what is drawn."""
    return re.findall(
        r'Plotly\.newPlot\(\s*"([\w-]+)"', "".join(s for s in reader.scripts if len(s) < 10**6)
    )


def test_studies_that_can_be_compared_share_their_figures() -> None:
    reader = read(study("one", made.many(4)), study("two", made.many(3)))
    assert "All of them: by validation accuracy, on the same rows of digits." in reader.text
    assert figures_of(reader) == ["best_so_far_0", "best_so_far_0-2", "searched_0_0"]
    assert reader.references == [], "nothing is fetched"
    assert sum(len(script) > 1_000_000 for script in reader.scripts) == 1


def test_what_can_not_be_compared_is_drawn_apart_and_the_page_says_why() -> None:
    lost = [
        replace(e, run=e.run and e.run.model_copy(update={"objective": LOSS})) for e in made.many(2)
    ]
    reader = read(
        study("one", made.many(2)),
        study("loss", lost, objective=LOSS),
        study("other", made.many(2), dataset=replace(made.DATA, digest="d2" * 32)),
    )
    assert "Not all of them; those that can't be are drawn apart." in reader.text
    assert (
        "loss and one differ in objective.metric (it is what trials are ranked by)" in reader.text
    )
    assert "other and one differ in data digest (other data are another question)" in reader.text
    for name in ("one", "loss", "other"):
        assert f"Best so far: {name}" in reader.text
    assert not [name for name in figures_of(reader) if name.startswith("searched")]
    assert "lowest validation loss" in reader.text


def test_a_best_of_single_runs_says_that_it_has_no_spread_and_a_verdict_has_one() -> None:
    single, sure = study("single", made.many(3)), judged("sure")
    assert sure.confirmed is not None
    text = read(single, sure).text
    found = text[text.index("What each found") : text.index("Best so far")]
    assert "0.9040trial 2: one run, spread not measured" in found
    assert re.search(r"0\.\d{4} ± 0\.\d{4}4 fresh seeds", found)
    verdicts = text[text.index("The verdicts") : text.index("What differs")]
    assert "no verdict" in verdicts
    assert "python -m search.finalists study.name=single" in verdicts
    assert "study.name=sure" not in verdicts
    assert "can't be told apart" in verdicts


def test_the_test_set_orders_nothing() -> None:
    def entries(best: float, other: float) -> list[object]:
        tested = [made.result([0.9], test={"test_accuracy": best, "test_loss": 0.1})]
        tested += [made.result([0.8], test={"test_accuracy": other, "test_loss": 0.1})]
        return [made.trial(n, result=result) for n, result in enumerate(tested)]

    for one, other in ((0.5, 0.99), (0.99, 0.5)):
        text = read(study("a", entries(one, other)), study("b", made.many(2))).text  # type: ignore[arg-type]
        leaders = text[text.index("The best trials") : text.index("The verdicts")]
        assert leaders.index(f"accuracy {one:.4f}") < leaders.index(f"accuracy {other:.4f}")


@pytest.mark.parametrize(
    "entries", [[], [made.running(0)], [made.failed(0), made.pruned(1)]], ids=str
)
def test_studies_without_a_complete_trial_have_a_page(entries: list[made.Entry]) -> None:
    reader = read(study("one", entries), study("two"))
    assert "no trial is complete yet" in reader.text
    assert not [name for name in figures_of(reader) if name.startswith("best_so_far")]
    assert "No trial is complete yet." in reader.text


def test_a_page_on_which_nothing_is_drawn_needs_no_plotly() -> None:
    assert len(page(beside(study("one"), study("two")))) < 100_000


def test_how_each_study_stands_is_told() -> None:
    launch = Launch(id="x", host="there", at=1.7e9, workers=2)
    runs = study("runs", [made.trial(0), made.running(1)], held=True, launch=launch)
    mixed = [made.trial(0), made.pruned(1), made.failed(2)]
    text = read(runs, study("met", mixed), study("half", mixed, half="delete")).text
    assert "staterunningmethalf deleted" in re.sub(r"\s", "", text).replace(
        "halfdeleted", "half deleted"
    )
    assert "1 complete, 1 running" in text
    assert "3 of 40" in text
    assert "1 complete, 1 pruned, 1 failed" in text


def test_what_differs_is_told_apart_from_what_is_the_same() -> None:
    text = read(
        study("one", made.many(2)),
        study("two", made.many(2, made.MIXED), made.MIXED, trials=7),
    ).text
    differ, _, same = text[text.index("What differs") :].partition("The same in all")
    assert re.search(r"model\.dropoutvaries: 0\.0 \.\. 0\.6varies: 0\.0 \.\. 0\.5", differ)
    assert "study.trials407" in differ
    assert "train.epochs" not in differ
    assert "train.epochs" in same
    assert "data.path" not in text


def test_studies_of_other_spaces_are_not_drawn_where_they_searched() -> None:
    reader = read(study("one", made.many(2)), study("two", made.many(2, made.MIXED), made.MIXED))
    assert figures_of(reader) == ["best_so_far_0", "best_so_far_0-2"]


def test_a_study_whose_own_trials_can_not_be_compared_is_drawn_nowhere() -> None:
    mixed = study("mixed", [made.trial(0), trained(1, "data", shuffle=True)])
    reader = read(mixed, study("one", made.many(2)))
    assert figures_of(reader) == ["best_so_far_1", "best_so_far_1-2"]
    assert "its own trials can't be compared" in reader.text
    assert "one and mixed differ in data.shuffle" in reader.text


def test_a_front_has_its_cost_and_its_figure() -> None:
    front = study("front", front_study(), SPACE, objective=OBJECTIVE)
    reader = read(front, study("one", made.many(2)))
    assert "highest validation accuracy for its parameters: a front" in reader.text
    assert "9,000 parameters" in reader.text
    assert {"front_parameters_0", "front_parameters_0-2"} <= set(figures_of(reader))


def test_a_study_has_one_colour_wherever_it_is_named_or_drawn() -> None:
    studies = beside(study("one", made.many(3)), study("two", made.many(3)))
    html = page(studies)
    drawn = "".join(s for s in Reader(html).scripts if len(s) < 10**6)
    for each in studies:
        swatches = re.findall(rf'<i style="background:(#\w+)"></i>{each.name}', html)
        assert set(swatches) == {each.colour}
        assert each.colour in drawn


def test_what_people_write_is_shown_and_never_run() -> None:
    evil = "<script>alert('x')</script><img src=http://evil/x.png>"
    reader = read(study("one", made.many(2), question=evil), study("two", made.many(2)))
    assert "<script>alert('x')</script>" in reader.text
    assert reader.references == []
    assert not any("alert" in script for script in reader.scripts if len(script) < 1_000_000)
