"""A study at a glance, as a JSON file for scripts: rewritten as it goes, always whole."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.command import public
from pipeline.run.config import ObjectiveConfig
from search.study.endings import Ending
from search.study.ranking import Configuration, Ranking
from search.study.vocabulary import Entry

_HOOK_SECONDS = 60


class SummaryFile:
    """The summary of one launch at `path`."""

    def __init__(self, path: Path, name: str, target: int, objective: ObjectiveConfig) -> None:
        self._path = path
        self._name = name
        self._target = target
        self._objective = objective

    def write(
        self, ending: Ending | None, entries: Sequence[Entry], seconds_left: float | None
    ) -> None:
        """Put the present state in place of the last. `ending`: None while it runs.

        `seconds_left`: estimate until the target, None if unknown.
        """
        ranking, cost = Ranking(self._objective, entries), self._objective.cost
        states = [entry.state for entry in entries]
        summary: dict[str, Any] = {
            "study": self._name,
            "state": "running" if ending is None else ending.state,
            "message": "Running" if ending is None else public.error(ending.words),
            "target": self._target,
            "trials": {name: states.count(name) for name in ("complete", "pruned", "failed")},
            "metric": self._objective.metric,
            "best": [_configuration(each) for each in ranking[:1]],
            "cost": cost,  # null: there is no front
            "front": [
                {**_configuration(each), "cost": each.cost(cost)} for each in ranking.front if cost
            ],
            "seconds_left": seconds_left,
            "written_at": time.time(),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        partial.replace(self._path)

    def call(self, command: str, note: Callable[[str], None]) -> None:
        """Run `command` with the path of the file as its last word; `note` is told what went wrong."""
        words = shlex.split(command)
        # Its words but the first may be secrets, and exceptions repeat them.
        name = "what is an address" if "://" in words[0] else Path(words[0]).name
        try:
            done = subprocess.run([*words, os.fspath(self._path.absolute())], timeout=_HOOK_SECONDS)
        except subprocess.TimeoutExpired:
            note(f"study.on_end: {name} is not done after {_HOOK_SECONDS} s, and was stopped")
        except OSError as error:
            note(f"study.on_end: {name} can't be run: {error.strerror}")
        except ValueError:
            note(f"study.on_end: {name} can't be run: there is a NUL in its words")
        else:
            if done.returncode:
                note(f"study.on_end: exit code {done.returncode}")


def _configuration(each: Configuration) -> dict[str, Any]:
    return {
        "trial": each.entry.number,
        "value": each.value,
        "params": dict(each.params),
        "test": each.tests,
        "seeds": each.seeds,
        "spread": each.spread,  # null: one run, it was not measured
    }
