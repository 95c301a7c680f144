"""The table of `benchmarks.lanes`, from studies that were never run."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks import lanes
from benchmarks.lanes import Found, Way, arguments, difference, found, main, row
from search.study.vocabulary import Entry
from tests.conftest import MakeRunConfig
from tests.search.fakes import run_result

FIGURES = Found(rate=100.0, alone=200.0, compiling=2.5, busy=None, values={0: 0.95, 1: 0.97})


def ended(run_config: MakeRunConfig, at: Sequence[float]) -> list[Entry]:
    """Trials of two epochs of 0.1 and 0.2 s, a seed each, that ended `at` these times."""
    result = run_result([0.5, 0.6])
    result = replace(result, timings={"compile_seconds": 3.0})
    run = run_config()
    return [
        Entry(
            *(seed, str(seed), "complete", {}, 0.0),
            run=run.model_copy(update={"train": run.train.model_copy(update={"seed": seed})}),
            ended_at=end,
            value=0.6,
            result=result,
        )
        for seed, end in enumerate(at)
    ]


def test_trials_are_counted_from_when_every_place_has_had_its_first(
    run_config: MakeRunConfig,
) -> None:
    """Two at a time: the first two end at ten seconds, by which their program was compiled."""
    figures = found(ended(run_config, [10, 10, 12, 12, 14, 14]), places=2)
    assert figures.rate == 3600 * 4 / 4
    assert figures.alone == 3600 * 2 / (2 * 0.2)
    assert figures.compiling == 3.0
    assert figures.values == dict.fromkeys(range(6), 0.6)


@pytest.mark.parametrize(("count", "lost"), [(2, 0), (4, 1)])
def test_a_study_that_can_tell_nothing_is_no_figure(
    run_config: MakeRunConfig, count: int, lost: int
) -> None:
    entries = ended(run_config, range(count))
    entries[:lost] = [replace(entry, result=None) for entry in entries[:lost]]
    with pytest.raises(RuntimeError, match="more than 2 trials, all complete"):
        found(entries, places=2)


def test_a_row_compares_the_seeds_that_both_have() -> None:
    other = replace(FIGURES, rate=250.0, busy=41.2, values={0: 0.94, 1: 0.98, 7: 0.1})
    cells = [cell.strip() for cell in row("8 lanes", FIGURES, other, seeds=2).split("|")[1:-1]]
    assert cells[:7] == ["8 lanes", "250", "2.50", "200", "2.5", "41 %", "0.9600 ± 0.0283"]
    assert cells[7].startswith("+0.00000 (")
    assert len(cells) == lanes.HEAD.splitlines()[0].count("|") - 1
    assert row("one", FIGURES, FIGURES, seeds=2).endswith("|  |")


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ([0.1, 0.2, 0.3], "none, to the last bit"),
        ([0.11, 0.19, 0.33], "+0.01000 (-0.03968 to +0.05968), p = 0.48"),
        ([0.21, 0.3, 0.41], "p = 0.00098"),
    ],
)
def test_a_difference_has_its_interval(theirs: list[float], said: str) -> None:
    assert said in difference([0.1, 0.2, 0.3], theirs)


@pytest.mark.parametrize(
    ("words", "data", "overrides"),
    [
        (["--small"], ["data=digits"], []),
        (["--small", "tracking=none"], ["data=digits"], ["tracking=none"]),
        (["/a.npz", "tracking=none"], ['data.path="/a.npz"'], ["tracking=none"]),
        ([], ['data.path="/mnist.npz"'], []),
    ],
)
def test_data_are_where_the_command_or_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, words: list[str], data: list[str], overrides: list[str]
) -> None:
    monkeypatch.setenv("MNIST_PATH", "/mnist.npz")
    asked = arguments(words)
    assert (asked.data, asked.overrides) == (data, overrides)


def test_what_the_time_does_not_suffice_for_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run_config: MakeRunConfig
) -> None:
    """Nothing is compared where one trial at a time could not be measured."""

    def study(way: Way, *_: object) -> list[Entry] | None:
        return None if way.lanes == 4 else ended(run_config, range(2 * way.places + 2))

    monkeypatch.setattr(lanes, "study", study)
    main(arguments(["--small"]))
    out = capsys.readouterr().out
    assert out.rstrip().endswith("Not measured within 480 s: 4 lanes at 2 x 32.")
    assert "| two processes | " in out
    main(arguments(["--small", "--seconds", "5"]))
    out = capsys.readouterr().out
    assert "one trial at a time at 2 x 32, 2 lanes at 2 x 32" in out
