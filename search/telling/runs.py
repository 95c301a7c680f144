"""From the trial table to records: what the tracker is told of a study and its trials."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.command import public
from pipeline.command.section import as_override
from pipeline.tracking.certificates import FILE, text_of
from pipeline.tracking.record import (
    REPLAY,
    Point,
    RunRecord,
    Status,
    epoch_points,
    final_points,
    final_texts,
    outcome_tags,
    provenance_tags,
    source_tags,
)
from search.analysis.leaderboard import markdown_of, of_front
from search.study.endings import Ending
from search.study.ranking import Ranking
from search.study.rungs import place_of
from search.study.shown import comparison_of, pasted, shown
from search.study.vocabulary import About, Entry, TrialState

_STATUS: dict[TrialState, Status] = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",  # it has results; the tag trial.state tells it from a complete one
    "failed": "FAILED",
}
_NAME_LENGTH = 120


@dataclass(frozen=True)
class Records:
    """Makes the records of one study, from what its trial table says.

    `retried`: when trials failed that were tried again since, in Unix seconds.
    """

    about: About
    uid: str
    retried: Sequence[float] = ()

    def of_trial(self, entry: Entry) -> RunRecord:
        """The record of one trial, running or ended."""
        points = epoch_points(entry.history)
        texts = {}
        if entry.result is not None and entry.ended_at is not None:
            points += final_points(entry.result, entry.ended_at)
            texts = final_texts(entry.result)
            if entry.cost is not None:
                points += (Point("cost", entry.cost, 0, entry.ended_at),)
        tags = {
            **source_tags("search/optimize.py"),
            **self.about.search,
            "data.digest": self.about.dataset.digest,
            **provenance_tags(entry.worker),
            "trial.number": str(entry.number),
            "trial.state": entry.state,
        }
        if entry.result is not None:
            tags |= outcome_tags(entry.result)
        before = entry.extends if entry.continues is None else entry.continues
        if before is not None:
            tags["trial.continues"] = str(before)
        for what, at in place_of(entry)._asdict().items():
            if at is not None:
                tags[f"trial.{what}"] = str(at)
        if entry.same_as is not None:
            tags["trial.same_as"] = str(entry.same_as)
        if entry.prefix_of is not None:
            tags["trial.prefix_of"] = str(entry.prefix_of)
        if entry.certificate is not None:
            tags[REPLAY] = entry.certificate.replay
            texts[FILE] = text_of([entry.certificate])
        if entry.reason is not None:
            tags["trial.reason"] = public.error(entry.reason)
        return RunRecord(
            uid=entry.uid,
            experiment=self.about.name,
            name=trial_name(entry),
            status=_STATUS[entry.state],
            started_at=entry.started_at,
            ended_at=entry.ended_at,
            attempt=entry.attempts.made,
            parent=self.uid,
            params=entry.settings,
            tags=tags,
            points=points,
            texts=texts,
            dataset=self.about.dataset,
        )

    def given_up(self, entry: Entry) -> RunRecord:
        """The record of a trial that was stopped in the middle; its next attempt takes its place."""
        now = time.time()
        record = self.of_trial(entry)
        return replace(
            record,
            status="KILLED",
            ended_at=now,
            tags={**record.tags, "trial.state": "interrupted"},
        )

    def of_study(self, entries: Sequence[Entry], ending: Ending | None) -> RunRecord:
        """The record of the study itself, the parent of its trials': the best value so far, as a curve.

        `ending`: None while it runs.
        """
        ended = sorted(
            (entry for entry in entries if entry.ended_at is not None),
            key=lambda entry: (entry.ended_at, entry.number),
        )
        objective = self.about.objective
        points: list[Point] = []
        ranking = Ranking(objective)
        for index, (at, entry) in enumerate(self._ends(ended), start=1):
            if entry is not None:
                ranking.add(entry)
            if ranking:
                points.append(Point(f"best_{objective.metric}", ranking[0].value, index, at))
        tags = {
            **source_tags("search/optimize.py"),
            **self.about.versions,
            **self.about.search,
            "study.trials": str(self.about.trials),
            "study.ending": "Running" if ending is None else public.error(ending.words),
            "mlflow.note.content": self._note(ended, ranking, ending),
        }
        if ranking:
            tags["study.best_trial"] = str(ranking[0].entry.number)
        if ranking.front:
            tags["study.front"] = " ".join(str(each.entry.number) for each in ranking.front)
        started = min((entry.started_at for entry in entries), default=None)
        return RunRecord(
            uid=self.uid,
            experiment=self.about.name,
            name=self.about.name,
            status="RUNNING" if ending is None else ending.status,
            started_at=started if started is not None else 0.0,
            ended_at=ended[-1].ended_at if ended and ending is not None else None,
            params={**self.about.space, **objective_params(self.about)},
            tags=tags,
            points=tuple(points),
            texts={"config.yaml": public.config(self.about.config)},
            dataset=self.about.dataset,
        )

    def _ends(self, ended: Sequence[Entry]) -> list[tuple[float, Entry | None]]:
        """When trials ended, and which; None for what was tried again since: a curve keeps its points."""
        ends = [(entry.ended_at or 0.0, entry) for entry in ended]
        return sorted([*ends, *((at, None) for at in self.retried)], key=lambda end: end[0])

    def _note(self, ended: Sequence[Entry], ranking: Ranking, ending: Ending | None) -> str:
        about = self.about
        states = [entry.state for entry in ended]
        counts = ", ".join(f"{states.count(s)} {s}" for s in _STATUS if s in states) or "none"
        # MLflow shows three lines, and the rest on a click.
        lines = [f"**{about.question or about.name}**"]
        best, metric = ranking[0] if ranking else None, about.objective.metric
        if ranking.front:
            lines += ["", f"The front of {metric} and {about.objective.cost}, cheapest first:", ""]
            lines += [markdown_of(ranking.front, about.objective), ""]
            lines += ["One of them as files:", "", "```", *of_front(about.name), "```", ""]
        elif best is not None and (test := best.tests.get("test_accuracy")) is not None:
            lines += ["", f"Best: {metric} {best.value:.4f} ({best}), with", ""]
            lines += ["```", pasted(best.params), "```", ""]
            lines += [f"Its accuracy on the test set, which steered nothing: {test:.4f}.", ""]
            lines += [
                "Whether it is better than the others, the run `verdict` says; this makes it:",
                "",
            ]
            lines += ["```", comparison_of(about.name), "```"]
        lines += ["", "Space:", ""]
        lines += [f"- `{path}`: {text}" for path, text in about.space.items()]
        command = public.command(about.command)
        lines += ["", f"Go on, or top up{left_out(command)}:", "", "```", command, "```", ""]
        how = "Running"
        if ending is not None:
            how = f"{public.error(ending.words)} (exit code {ending.exit_code})"
        lines += [f"{how}. {len(ended)} of {about.trials} trials: {counts}."]
        return "\n".join(lines)


def left_out(command: str) -> str:
    """What is to be known of a public command in which something is hidden."""
    return f" ({public.HIDDEN}: yours to fill in)" if public.HIDDEN in command else ""


def objective_params(about: About) -> dict[str, str]:
    """The objective's settings by override path."""
    return {
        f"objective.{name}": as_override(value)
        for name, value in about.objective.model_dump().items()
    }


def trial_name(entry: Entry) -> str:
    """A name that can be told apart where a list has room for its beginning: `7 pruned: 128, 0.37 (...)`.

    How it ended, unless that was well, the trial that it went on from, what was tried, and at last what
    these values are of.
    """
    ended = [entry.state] if entry.state in ("pruned", "failed") else []
    after = [] if entry.continues is None else [f"after {entry.continues}"]
    begin = " ".join([str(entry.number), *ended, *after])
    values = ", ".join(map(shown, entry.params.values()))
    of = ", ".join(path.rpartition(".")[2] for path in entry.params)
    name = f"{begin}: {values} ({of})"
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 3] + "..."
