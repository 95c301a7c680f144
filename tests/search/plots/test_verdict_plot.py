"""The picture of a verdict shows every seed, every interval, who is the answer and where the default is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.analysis.finalists import Finalists
from search.plots.gallery import VERDICT, of_study, save_study
from search.plots.marks import Dots, Line, Panel, Plot, Words
from search.plots.style import GREEN, INK, YELLOW
from search.plots.verdict import verdict
from tests.search.plots.test_drawing import (
    Seen,
    described,
    drawn_by_matplotlib,
    drawn_by_plotly,
    legend_of_matplotlib,
    legend_of_page,
)
from tests.search.plots.test_plots import marks, panels
from tests.search.verdicts import MEANS, asked, by_mean, compared, facts, rows_of, three

pytestmark = pytest.mark.slow  # each test weighs finalists and draws them: a third of a second


def one_diverged() -> Finalists:
    values = by_mean(MEANS)
    return compared(value=lambda run: None if run[:1] == ("trial 2",) else values(run))


def far_away() -> Finalists:
    """One seed of many that is far from all others."""
    values = by_mean({**MEANS, "default": 0.949})
    return compared(value=lambda run: 0.2 if run == ("default", "race", 2) else values(run))


CASES: dict[str, Callable[[], Finalists]] = {
    "a tie": compared,
    "a winner": lambda: compared(value=by_mean({**MEANS, "trial 2": 0.97})),
    "one diverged": one_diverged,
    "one far away": far_away,
    "two": lambda: compared(facts(three()[2:]), resplit=False),
    "one seed": lambda: compared(seeds=1, max_seeds=1, confirm=1),
}


@pytest.mark.parametrize("draw", [drawn_by_matplotlib, drawn_by_plotly])
@pytest.mark.parametrize("case", CASES)
def test_it_is_drawn_as_it_is_described(case: str, draw: Callable[[Plot], Seen]) -> None:
    plot = verdict(CASES[case]())
    assert draw(plot) == described(plot)


@pytest.mark.parametrize("case", CASES)
def test_every_seed_and_every_mean_is_shown_and_says_what_it_is(case: str) -> None:
    finalists = CASES[case]()
    (panel,) = panels(verdict(finalists))
    found = finalists.verdict
    assert found is not None
    tips = [tip for group in marks(Dots, panel) for tip in group.tips]
    assert len(tips) == sum(len(group.points) for group in marks(Dots, panel))
    for each in found.standings:
        for part, values in (("race", each.race), ("fresh seeds", each.confirmation)):
            for seed, value in enumerate(values, 1):
                said = f"{each.name}\n{part}, seed {seed}: "
                assert sum(tip.startswith(said) for tip in tips) == (value is not None)
                assert value is None or f"{said}{value:.4f}" in tips
        for mean in (each.mean, each.confirmed):
            assert mean is None or any(f"{mean.value:.4f}" in tip for tip in tips)


def intervals(panel: Panel) -> list[tuple[float, float]]:
    lines = [line for line in marks(Line, panel) if not line.name]
    return sorted((line.points[0][0], line.points[1][0]) for line in lines)


def test_each_interval_is_as_wide_as_the_verdict_says() -> None:
    finalists = compared()
    found = finalists.verdict
    assert found is not None
    estimates = [
        e for each in found.standings for e in (each.mean, each.confirmed) if e is not None
    ]
    (panel,) = panels(verdict(finalists))
    assert intervals(panel) == sorted((e.low, e.high) for e in estimates)


def test_what_has_no_spread_has_no_interval() -> None:
    (panel,) = panels(verdict(CASES["one seed"]()))
    assert intervals(panel) == []


@pytest.mark.parametrize(
    ("case", "name"),
    [("a tie", "the cheapest of the tie"), ("a winner", "the answer"), ("two", None)],
)
def test_the_answer_has_a_star_and_the_default_a_line_through_all_rows(
    case: str, name: str | None
) -> None:
    finalists = CASES[case]()
    found = finalists.verdict
    assert found is not None
    assert found.answer is not None
    (panel,) = panels(verdict(finalists))
    (star,) = [group for group in marks(Dots, panel) if group.colour == YELLOW]
    confirmed = found.of(found.answer).confirmed
    assert confirmed is not None
    assert star.points[0][0] == confirmed.value
    lane = [each.name for each in found.standings].index(found.answer)
    assert abs(star.points[0][1] - lane) < 0.5
    assert finalists.words_for(found.answer) in star.tips[0]
    assert name is None or star.name == name
    (line,) = marks(Line, panel, "default")
    assert found.default is not None
    assert found.default.confirmed is not None
    at = found.default.confirmed.value
    assert list(line.points) == [(at, -0.5), (at, len(found.standings) - 0.5)]
    assert line.colour == INK


@pytest.mark.parametrize("names", [legend_of_matplotlib, legend_of_page])
def test_the_legend_names_star_and_line(names: Callable[[Plot], list[str]]) -> None:
    assert names(verdict(compared())) == ["default", "the cheapest of the tie"]


def test_rows_stand_in_the_order_of_the_verdict_under_their_names() -> None:
    finalists = compared()
    (panel,) = panels(verdict(finalists))
    assert finalists.verdict is not None
    names = [each.name for each in finalists.verdict.standings]
    assert dict(panel.up.ticks) == dict(enumerate(names))
    assert panel.up.limits == (2.5, -0.5), "the best on top"


def test_one_that_diverged_keeps_the_seeds_that_did_not_and_says_so() -> None:
    values = by_mean(MEANS)
    lost = compared(value=lambda r: None if r[:3] == ("trial 2", "race", 1) else values(r))
    (panel,) = panels(verdict(lost))
    (words,) = marks(Words, panel)
    assert list(words.texts) == ["diverged"]
    assert lost.verdict is not None
    assert [each.name for each in lost.verdict.standings][int(words.points[0][1])] == "trial 2"


def test_a_seed_far_from_all_others_is_moved_to_the_edge_and_told_of() -> None:
    plot = verdict(far_away())
    assert "1 seed lies outside, drawn at the edge" in plot.about
    (panel,) = panels(plot)
    low, high = panel.across.limits or (0, 0)
    assert low > 0.5
    assert all(low <= x <= high for group in marks(Dots, panel) for x, _ in group.points)
    assert all(low <= x <= high for line in marks(Line, panel) for x, _ in line.points)


def test_seeds_that_chose_nothing_are_told_from_the_race_by_their_colour() -> None:
    (panel,) = panels(verdict(compared()))
    groups = [group for group in marks(Dots, panel) if "fresh seeds" in group.tips[0]]
    others = [group for group in marks(Dots, panel) if "race" in group.tips[0]]
    assert GREEN in {group.colour for group in groups}
    assert not {g.colour for g in groups if g.colour != YELLOW} & {g.colour for g in others}


def test_without_a_verdict_there_is_no_picture() -> None:
    finalists = asked(facts(three()))
    begun = finalists.with_rows(rows_of(finalists, by_mean(MEANS), most=3))
    for each in (None, finalists, begun):
        assert VERDICT not in of_study(finalists.facts, each)
    assert next(iter(of_study(finalists.facts, compared()))) == VERDICT
    assert verdict(begun).empty
    assert verdict(compared(value=lambda _: None)).empty


def test_it_lies_among_the_pictures_of_the_study(tmp_path: Path) -> None:
    finalists = compared()
    save_study(finalists.facts, tmp_path, finalists)
    assert (tmp_path / "verdict.png").read_bytes()[:4] == b"\x89PNG"
