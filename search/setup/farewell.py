"""The last words of a launch: what came of the study, where it is seen, and how it goes on."""

from rich.console import Console

from pipeline.command.errors import PlumblineError
from pipeline.command.redact import redact
from pipeline.tracking.address import runs_page
from pipeline.tracking.config import missing
from search.analysis.leaderboard import counts, finalists_of, summary
from search.setup.read import Setup
from search.study.address import again
from search.study.endings import NOTHING, STOPPED
from search.study.shown import next_steps
from search.telling.watcher import StudyWatcher
from search.trial_table.trials import TrialTable


def unpublished(setup: Setup, table: TrialTable) -> int:
    """How many runs the tracker lacks, itself asked, of what it should have of the study by now."""
    ended = [entry for entry in table.entries() if entry.state != "running"]
    attempts = {entry.uid: entry.attempts.made for entry in ended}
    return len(missing(setup.tracking, table.name, {table.uid: 1, **attempts}))


def farewell(
    setup: Setup, table: TrialTable, watcher: StudyWatcher, screen: Console, command: str
) -> int:
    """Print what came of the study, and what can be done now; the exit code."""
    name, tracking, ending = setup.study.name, setup.tracking, watcher.ending
    entries = table.entries()
    study = again(name, command)
    told = summary(entries, setup.run.objective, study, finalists_of(table))
    screen.print(told, crop=False)  # to be pasted whole
    said = []
    if tracking.name == "none":
        pass
    elif waiting := watcher.unpublished or unpublished(setup, table):
        said.append(
            f"{waiting} runs are not published yet: python -m search.publish does it later."
        )
    else:
        table.mark_published(str(tracking.uri), ending.status)
        smallest_first = not setup.run.objective.maximizes
        page = runs_page(tracking, name, ascending=smallest_first)
        said.append(f"Compare the trials:{page}")
    if ending.exit_code == STOPPED.exit_code:
        said.append(f"Stopped; the same command goes on:\n  {redact(command)}")
    if ending.exit_code == 0 and not setup.study.finalists:  # else its comparison comes next
        steps = next_steps(study, setup.run.objective.cost is not None)
        said.append("\n".join(["Next:", *(f"  {step}" for step in steps)]))
    for text in said:
        screen.print(f"\n{text}", soft_wrap=True)
    if ending == NOTHING:
        raise PlumblineError(
            f"{name}: no trial is complete: {counts(entries)} (mend what the reasons above say, and try "
            "the failed ones again with study.retry=failed)"
        )
    return ending.exit_code
