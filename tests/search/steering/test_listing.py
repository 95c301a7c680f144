"""What a terminal is told of the studies on record, and whether one is under way."""

import re
import sqlite3
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from search.steering.launches import announce
from search.steering.listing import all_of, as_lines, headline, one_of, seconds_left
from search.studies import main, spelled_out
from search.study.endings import STOPPED
from search.trial_table.lock import is_held, study_lock
from search.trial_table.storage import reading
from tests.search.conftest import composed
from tests.search.steering.on_record import a_study
from tests.search.verdicts import MEANS, by_mean, record, three

pytestmark = pytest.mark.slow  # a study database is opened a tenth of a second long


def values(url: str, *words: str) -> dict[str, Any]:
    """What the command gets that is typed so."""
    given = composed()
    given["storage"] = {**given["storage"], "url": url}
    for word in spelled_out(words):
        path, _, text = word.partition("=")
        section, _, name = path.partition(".")
        given[section][name] = {"true": True, "false": False}.get(text, text.strip("'"))
    if not any(word[:1] != "-" and "=" not in word for word in words[1:]):
        given["study"]["name"] = None
    return given


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        (
            ["shwo", "a"],
            r"studies.do: expected one of list, .*, got shwo \(did you mean `show`\?\)",
        ),
        (["a"], r"studies.do: .*got a \(show a shows the study of that name\)"),
        (["stop", "a", "to=b"], "studies.to: is for rename, not for stop"),
        (["show", "a", "now=true"], "studies.now: is for stop, not for show"),
        (["retry", "a", "yes=true"], "studies.yes: is for delete, not for retry"),
        (["rename", "a"], "studies.to: is missing"),
        (["rename", "a", "../b"], "studies.to: expected letters"),
        (["rename", "a", "a"], "studies.to: expected another name"),
        (["rename", "a", "b"], "studies.to: there is a study 'b' already"),
        (["rename", "c", "d"], r"there is no study 'c'.*there are: a, b"),
        (["delete", "a", "tracking=true"], "studies.tracking: MLflow is off"),
        (["delete", "a"], "studies.yes: nobody can be asked here"),
        (["delete"], r"study.name: is missing \(search.studies delete NAME\)"),
        (["show"], "study.name: is missing; in .* there are: a, b"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(
    url: str, typed: list[str], wrong: str
) -> None:
    with pytest.raises(ConfigError, match=wrong) as refused:
        main(values(url, *typed))
    assert len(str(refused.value).splitlines()) == 1
    assert [each.state for each in all_of(url)[0]] == ["stopped", "met"]


def without_age(line: str) -> str:
    """The line without the seconds since its study was active: they go on between two looks."""
    return re.sub(r" +\d+ s ago", " ago", line)


def test_a_storage_without_studies_says_so(
    empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(values(empty_url)) == 0
    assert "no study yet" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="there is no study database"):
        main(values(f"{empty_url}.not-there"))


def test_every_study_is_a_line_and_a_narrow_terminal_breaks_none(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_study(url, "a_longer-name.of-a-study")
    found, damage = all_of(url)
    assert damage == []
    piped = as_lines(found, None)
    assert [line.split()[:3] for line in piped] == [
        ["study", "state", "trials"],
        ["a", "stopped", "3/4"],
        ["a_longer-name.of-a-study", "stopped", "0/4"],
        ["b", "met", "3/3"],
    ]
    assert piped[1].endswith("  What of a?")
    assert "0.9040" in piped[3]
    narrow = as_lines(found, 80)
    assert all(len(line) <= 80 for line in narrow)
    assert [line.strip() for line in narrow[2::2]] == [
        "What of a?",
        "What of a_longer-name.of-a-study?",
        "What of b?",
    ]
    assert main(values(url)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert list(map(without_age, printed)) == list(map(without_age, piped))


def test_the_best_value_is_the_answers_with_its_spread_where_a_verdict_stands(
    empty_url: str,
) -> None:
    url = empty_url
    a_study(url, "a", three(), target=3)
    assert one_of(url, "a").best == "0.9500"
    finalists = record(url, by_mean(MEANS))
    assert finalists.verdict is not None
    answer = finalists.verdict.of(str(finalists.verdict.answer))
    assert answer.confirmed is not None
    best = one_of(url, "a").best
    assert best == f"{answer.confirmed.value:.4f} ± {answer.confirmed.half:.4f}"
    assert [each.about.name for each in all_of(url)[0]] == ["a"], "not the rows of its finalists"


def test_it_runs_while_its_lock_is_held_and_no_longer(url: str) -> None:
    def state() -> str:
        return one_of(url, "a").state

    assert state() == "stopped"
    with study_lock(url, "a", wait=False) as storage:
        assert state() == "running"
        announce(storage, "a", workers=3)
        study = one_of(url, "a")
        assert study.launch is not None
        assert study.launch.workers == 3
        assert (len(study.ended), len(study.running)) == (3, 1)
        assert seconds_left(study) is not None
        assert headline(study).startswith("a: is running on ")
    assert state() == "stopped"  # it said nothing at its end, as one that was killed


def test_asking_takes_no_lock_and_leaves_other_studies_alone(url: str) -> None:
    with reading(url) as storage, ExitStack() as stack:
        assert not is_held(storage, "a")
        stack.enter_context(study_lock(url, "a", wait=False))
        assert [is_held(storage, name) for name in ("a", "b", "c")] == [True, False, False]
        assert is_held(storage, "a")
        stack.enter_context(study_lock(url, "b", wait=False))
    with reading(url) as storage:
        assert [is_held(storage, name) for name in "ab"] == [False, False]


def test_a_study_that_is_damaged_costs_the_others_nothing(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_study(url, "c")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute(
            "UPDATE trial_user_attributes SET value_json = '{}' WHERE key = 'end' AND trial_id IN "
            "(SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = 'b')"
        )
    database.close()
    assert main(values(url)) == 74
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()] == ["study", "a", "c"]
    assert told.err.startswith("error: study database ")
    assert "of 'b' can't be read" in told.err


def test_a_study_is_shown_with_what_runs_and_its_leaderboard(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with study_lock(url, "a", wait=False) as storage:
        announce(storage, "a", workers=1)
        assert main(values(url, "show", "a")) == 0
    told = capsys.readouterr().out
    assert "3 of 4 trials (1 complete, 1 pruned, 1 failed)" in told
    assert "trial 3 runs for " in told
    assert "trial 2 failed: loss is nan at epoch 2" in told
    assert "Best parameters (trial 0: one run, spread not measured)" in told
    assert main(values(url, "show", "a")) == 0
    told = capsys.readouterr().out
    assert "trial 3 is to run again" in told
    assert "To go on:\n  python -m search.optimize +study=dropout study.name=a" in told


def test_a_study_that_nobody_runs_is_watched_to_the_end_it_had(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(values(url, "watch", "b")) == 0
    assert main(values(url, "watch", "a")) == STOPPED.exit_code
    assert capsys.readouterr().out.startswith("b: Finished. 3 of 3 trials (3 complete)\n")
