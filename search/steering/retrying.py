"""Trials that failed are to be run again, under their numbers, with their parameters."""

from search.steering.moving import whole
from search.trial_table.trials import TrialTable


def reopened(table: TrialTable) -> str:
    """Have the trials of `table` that failed run again, by this launch or the next; which ones, in words."""
    numbers = table.retry_failed()
    which = ", ".join(map(str, numbers))
    again = f"trials {which} are" if len(numbers) > 1 else f"trial {which} is"
    return f"{again} tried again" if numbers else "no trial failed"


def retry(url: str, name: str) -> str:
    """Have the next launch of the study `name` run its failed trials again; what to type for that.

    The target is unchanged. Raises StoppedError while a launch runs.
    """
    with whole(url, name) as storage:
        table = TrialTable(storage, name)
        told = reopened(table)
        if not table.interrupted():
            return f"{name}: {told}."
        return f"{name}: {told} by the next launch:\n  {table.about().command}"
