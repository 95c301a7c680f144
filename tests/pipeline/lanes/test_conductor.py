"""Who is done together, in which order, and that nobody waits for ever. No network, no clock."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.lanes.conductor import Conductor, Timetable, Wish


def wish(lane: str, kind: str = "epoch", group: str = "2 x 128", since: float = 0.0) -> Wish:
    return Wish(group, kind, lane, lane, list, since)


def table(width: int = 4, waiting: Sequence[Wish] = (), lanes: str = "") -> Timetable:
    """A timetable of one group, whose `lanes` have a letter each."""
    found = Timetable(width)
    for each in waiting:
        found.waiting.append(each)
        found.lanes[each.group].add(each.lane)
    found.lanes["2 x 128"] |= set(lanes)
    return found


def names(wishes: Sequence[Wish]) -> str:
    return "".join(str(each.lane) for each in wishes)


WAITING = {
    # who waits, who else has a lane, the time -> who is next
    "all are there": ([wish("a"), wish("b")], "ab", 0.0, "ab"),
    "one is missing": ([wish("a"), wish("b")], "abc", 0.0, ""),
    "it was waited for long enough": ([wish("a"), wish("b")], "abc", 0.2, "ab"),
    "nobody else has a lane": ([wish("a")], "a", 0.0, "a"),
    "more than a round has room for": ([wish(each) for each in "abcde"], "abcde", 0.0, "abcd"),
    "the kind of the oldest": (
        [wish("a", "evaluate"), wish("b"), wish("c", "evaluate")],
        "abc",
        0.0,
        "ac",
    ),
    "another group, while the first waits": (
        [wish("a"), wish("x", group="1 x 32", since=0.1)],
        "ab",
        0.1,
        "x",
    ),
    "the oldest of two groups that are due": (
        [wish("a"), wish("x", group="1 x 32", since=0.1)],
        "ab",
        0.3,
        "a",
    ),
}


@pytest.mark.parametrize("case", WAITING)
def test_a_round_begins_when_all_lanes_of_its_group_wait_or_one_has_waited_long_enough(
    case: str,
) -> None:
    waiting, lanes, now, expected = WAITING[case]
    assert names(table(4, waiting, lanes).due(now)) == expected


@pytest.mark.parametrize(
    ("rounds", "patience"), [((9.0,), 0.2), ((9.0, 3.0, 4.0), 3.0), ((9.0, 0.001), 0.02)]
)
def test_others_are_waited_for_as_long_as_a_round_takes_the_one_that_compiles_apart(
    rounds: Sequence[float], patience: float
) -> None:
    timetable = table(4, [wish("a")], "ab")
    for seconds in rounds:
        timetable.took([wish("a")], seconds)
    assert timetable.seconds_left(0.0) == pytest.approx(patience)
    assert not timetable.due(patience - 0.001)
    assert names(timetable.due(patience)) == "a"


def test_a_lane_that_leaves_is_not_waited_for() -> None:
    timetable = table(4, [wish("a")], "ab")
    assert not timetable.due(0.0)
    timetable.leave("2 x 128", "b")
    assert names(timetable.due(0.0)) == "a"


def test_no_group_starves_beside_one_that_never_rests() -> None:
    timetable = table(4, [wish("x", group="1 x 32")], "")
    timetable.lanes["1 x 32"].add("y")  # which never comes
    served = []
    for now in (0.0, 0.1, 0.2, 0.3):
        if "a" not in names(timetable.waiting):
            timetable.waiting.append(wish("a", since=now))
        timetable.lanes["2 x 128"].add("a")
        (first,) = timetable.due(now)
        timetable.waiting.remove(first)
        served.append(first.lane)
    assert served == ["a", "a", "x", "a"]


def rides(
    conductor: Conductor, lanes: Sequence[str], round_of: Callable[[Sequence[Any]], Sequence[Any]]
) -> dict[str, Any]:
    """What each lane, in a thread of its own, gets for its letter, or the error that it gets."""
    for lane in lanes:
        conductor.join("group", lane)

    def ride(lane: str) -> Any:
        try:
            return conductor.ask("group", "epoch", lane, lane, round_of)
        except ArithmeticError as error:
            return error
        finally:
            conductor.leave("group", lane)

    with ThreadPoolExecutor(len(lanes)) as threads:
        return dict(zip(lanes, threads.map(ride, lanes), strict=True))


def never() -> float:
    return 0.0  # a clock that stands: nobody has waited long enough


def test_lanes_that_ask_at_once_are_answered_by_one_round() -> None:
    rounds = []

    def upper(letters: Sequence[str]) -> Sequence[str]:
        rounds.append(sorted(letters))
        return [letter.upper() for letter in letters]

    assert rides(Conductor(4, never), "abcd", upper) == {"a": "A", "b": "B", "c": "C", "d": "D"}
    assert rounds == [["a", "b", "c", "d"]]


def test_a_round_that_fails_fails_for_each_lane_in_it_and_for_no_later_one() -> None:
    def fails(_: Sequence[str]) -> Sequence[str]:
        raise ArithmeticError("no memory left")

    conductor = Conductor(4, never)
    assert {str(each) for each in rides(conductor, "abc", fails).values()} == {"no memory left"}
    assert rides(conductor, "d", list) == {"d": "d"}


def test_one_that_is_waited_for_and_leaves_lets_the_others_go() -> None:
    conductor = Conductor(4, never)
    conductor.join("group", "late")
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(conductor.ask("group", "epoch", "a", 1, list)), daemon=True
    )
    thread.start()
    conductor.leave("group", "late")
    thread.join(30)
    assert answers == [1]
