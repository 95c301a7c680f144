"""How a launch of a study can end: what the summary, MLflow, the exit code and the last line say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.command.errors import StoppedError, exit_code
from pipeline.command.redact import redact
from pipeline.tracking.record import Status
from search.study.vocabulary import Entry

State = Literal["met", "used_up", "stopped", "failed"]


@dataclass(frozen=True)
class Ending:
    """A way in which a launch can end.

    `state`: in the summary. `status`: of the study's run in MLflow. `exit_code`: of the command.
    `words`: for people, with the reason where there is one.
    """

    state: State
    status: Status
    exit_code: int
    words: str


MET = Ending("met", "FINISHED", 0, "Finished")
USED_UP = Ending("used_up", "FINISHED", 0, "Finished: there is nothing left to try")
NOTHING = Ending("failed", "FAILED", 1, "Came to nothing: no trial is complete")
STOPPED = Ending("stopped", "KILLED", StoppedError.exit_code, "Stopped before its target")
BUDGET = replace(STOPPED, words=f"{STOPPED.words}: the time of study.max_seconds is up")


def of_finished(entries: Sequence[Entry], target: int) -> Ending:
    """How a study of `target` trials ended that has nothing left to try."""
    if not any(entry.state == "complete" for entry in entries):
        return NOTHING
    return MET if len(entries) >= target else USED_UP


def of_error(error: BaseException) -> Ending:
    """How a launch ended that `error` ended."""
    lines = redact(str(error)).strip().splitlines() or [type(error).__name__]
    # A message that ends with a traceback: what happened, and why.
    reason = f"{lines[0]} {lines[-1].strip()}" if lines[0].endswith(":") else lines[0]
    code = exit_code(error)
    if code == STOPPED.exit_code:
        return replace(STOPPED, words=f"{STOPPED.words}: {reason}")
    return Ending("failed", "FAILED", code, f"Failed: {reason}")
