"""A launch is told to stop from elsewhere: that one, and no other."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from pipeline.command.errors import StoppedError, UnavailableError
from search.steering import stopping
from search.steering.launches import announce, latest
from search.steering.retrying import retry
from search.steering.stopping import stop
from search.trial_table.lock import study_lock
from search.trial_table.trials import TrialTable
from search.workers.stopping import Wish
from tests.search import made
from tests.search.steering.on_record import a_study, mixed

pytestmark = pytest.mark.slow  # a study database is opened a tenth of a second long


@dataclass
class Meanwhile:
    """What happens while `stop` waits for an answer: one thing at each pause."""

    steps: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, _: float) -> None:
        self.steps.pop(0)()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    found = Meanwhile()
    monkeypatch.setattr(stopping.time, "sleep", found.sleep)
    return found


@pytest.mark.parametrize("wish", ["finish", "now"])
def test_the_launch_that_runs_hears_it_and_says_so(
    url: str, wish: Wish, meanwhile: Meanwhile
) -> None:
    with study_lock(url, "a", wait=False) as storage:
        asked = announce(storage, "a", workers=2)
        assert asked() is None
        heard: list[Wish | None] = []
        meanwhile.steps = [lambda: None, lambda: heard.append(asked())]
        assert stop(url, "a", wish).endswith({"finish": "and stops.", "now": "at once."}[wish])
        assert heard == [wish]
        launch = latest(storage, "a")
        assert launch is not None
        assert launch.heard == wish


def test_where_nothing_runs_it_says_so_and_asks_nobody(url: str) -> None:
    assert stop(url, "a", "now") == "a: no launch is running."
    with study_lock(url, "a", wait=False) as storage:
        assert announce(storage, "a", workers=1)() is None


def test_the_next_launch_never_hears_what_the_last_one_was_asked(
    url: str, meanwhile: Meanwhile
) -> None:
    """Neither one that begins later, nor one that took its place while it was being asked."""
    with ExitStack() as first, ExitStack() as second:
        storage = first.enter_context(study_lock(url, "a", wait=False))
        announce(storage, "a", workers=1)
        heard = []

        def another() -> None:
            first.close()
            again = second.enter_context(study_lock(url, "a", wait=False))
            heard.append(announce(again, "a", workers=1))

        meanwhile.steps = [another]
        assert "another one has begun since" in stop(url, "a", "now")
        assert heard[0]() is None


def test_a_launch_that_ends_before_it_hears_it_has_stopped(url: str, meanwhile: Meanwhile) -> None:
    with ExitStack() as stack:
        storage = stack.enter_context(study_lock(url, "a", wait=False))
        announce(storage, "a", workers=1)
        meanwhile.steps = [stack.close]
        assert stop(url, "a", "finish") == "a: the launch that was running has ended."


@pytest.mark.parametrize("announced", [True, False])
def test_a_launch_that_does_not_answer_is_told_of(
    url: str, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs, or of a version that does not say that it runs."""
    monkeypatch.setattr(stopping, "_ANSWER_SECONDS", 0.15)
    with study_lock(url, "a", wait=False) as storage:
        if announced:
            announce(storage, "a", workers=1)
        with pytest.raises(
            UnavailableError, match=r"a: the launch .* has not answered within 0.15 s"
        ):
            stop(url, "a", "finish")


def test_failed_trials_are_run_again_by_the_next_launch_with_their_parameters(url: str) -> None:
    a_study(url, "c", [*mixed(), made.failed(4)], target=5)
    before = {e.number: e for e in TrialTable.load(url, "c").entries()}
    told = retry(url, "c")
    assert told.startswith(
        "c: trials 2, 4 are tried again by the next launch:\n  python -m search."
    )
    table = TrialTable.load(url, "c")
    assert [entry.number for entry in table.interrupted()] == [2, 3, 4]
    assert table.about().trials == 5
    assert all(entry.params == before[entry.number].params for entry in table.entries())
    assert retry(url, "b") == "b: no trial failed."


def test_nothing_is_retried_while_a_launch_runs(url: str) -> None:
    with (
        study_lock(url, "a", wait=False),
        pytest.raises(StoppedError, match=r"a launch of this study is running .*stop a ends it"),
    ):
        retry(url, "a")
    assert [e.state for e in TrialTable.load(url, "a").entries()].count("failed") == 1
