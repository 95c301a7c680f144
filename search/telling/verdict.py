"""What is told of a verdict: a table for the terminal, and runs for the tracker."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.tracking.record import Point, RunRecord, Status, source_tags
from search.analysis.estimates import Estimate
from search.analysis.finalists import Finalists
from search.analysis.plan import Run
from search.analysis.race import Standing
from search.analysis.verdict import Verdict
from search.analysis.wording import HEADS, cells, words
from search.study.vocabulary import Entry
from search.telling.runs import Records

VERDICT = "verdict"


def as_table(finalists: Finalists, verdict: Verdict) -> Group:
    """One row for each configuration, best first, the answer marked; then what each of them is."""
    table = Table(box=None, pad_edge=False)
    for head in ("", *HEADS):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for each in verdict.standings:
        table.add_row(f"{'*' if each.name == verdict.answer else ' '} {each.name}", *cells(each))
    lines = [Text(f"  {name}: {finalists.words_for(name)}") for name in finalists.all]
    return Group(table, Text(), *lines, Text())


@dataclass(frozen=True)
class VerdictRecords:
    """The records of a comparison: the run `verdict`, below it configurations, below those their seeds.

    They stand in the study's experiment, beside the study's own run.
    """

    finalists: Finalists

    def all(self) -> list[RunRecord]:
        """Parents first; of runs over seeds, those that ended."""
        verdict = self.finalists.verdict
        standings = {} if verdict is None else {each.name: each for each in verdict.standings}
        found = [self._of_verdict(verdict)]
        for name in self.finalists.all:
            found.append(self._of_configuration(name, standings.get(name)))
        return [*found, *(self._of_seed(row) for row in self._rows)]

    def _uid_of(self, name: str) -> str:
        return f"{self.uid}-{name.replace(' ', '-')}"

    @property
    def uid(self) -> str:
        """Of the run `verdict`."""
        return f"{self.finalists.uid}-{VERDICT}"

    @cached_property
    def _owners(self) -> dict[str, Run]:
        """What was asked for, by the uid of the row that came of it."""
        found: dict[str, Run] = {}
        for each in self.finalists.contenders:
            runs = [Run(each.name, "race", place) for place in each.race]
            runs += [Run(each.name, "confirmation", place) for place in each.confirmation]
            for run in runs:
                row = self.finalists.row_of(run)
                assert row is not None, "its value is of it"
                found[row.uid] = run
        return found

    @cached_property
    def _rows(self) -> list[Entry]:
        """The runs that ended, of those that were asked for."""
        return [row for row in self.finalists.rows if row.uid in self._owners]

    def _record(self, uid: str, name: str, status: Status, **rest: Any) -> RunRecord:
        facts = self.finalists.facts
        whole: dict[str, Any] = {
            "started_at": min((row.started_at for row in self._rows), default=0.0),
            "ended_at": self._at if self._rows else None,
            "dataset": facts.about.dataset,
            "attempt": self.finalists.asked.times,
            **rest,
        }
        whole["tags"] = {**source_tags("search/finalists.py"), **whole["tags"]}
        return RunRecord(uid=uid, experiment=facts.about.name, name=name, status=status, **whole)

    def _of_verdict(self, verdict: Verdict | None) -> RunRecord:
        tags = {"study.uid": self.finalists.uid}
        if verdict is None:
            return self._record(self.uid, VERDICT, "KILLED", tags=tags, ended_at=None)
        said = words(verdict)
        answer = verdict.answer
        entry = None if answer is None else self.finalists.all[answer].entry
        tags |= {
            "verdict.outcome": verdict.outcome,
            "verdict.answer": "none" if answer is None else answer,
            "verdict.trial": "none" if entry is None else str(entry.number),
            "verdict.tie": ", ".join(verdict.tie),
            "verdict.gained": str(verdict.gained).lower(),
            "mlflow.note.content": "\n\n".join(said),
        }
        if answer is not None:
            tags["verdict.parameters"] = self.finalists.words_for(answer)
        found = {"gain": verdict.gain, "winners_curse": verdict.curse, **verdict.test}
        if answer is not None:
            found[verdict.plan.metric] = verdict.of(answer).confirmed
        return self._record(
            self.uid,
            VERDICT,
            "FINISHED" if answer is not None else "FAILED",
            tags=tags,
            points=self._points(found),
            texts={"verdict.json": verdict.model_dump_json(indent=1) + "\n"},
        )

    def _of_configuration(self, name: str, standing: Standing | None) -> RunRecord:
        run = self.finalists.all[name].run
        tags = {"finalist": name}
        points: tuple[Point, ...] = ()
        if standing is not None:
            tags |= {
                "finalist.state": standing.state,
                "finalist.answer": str(self._is_answer(name)).lower(),
            }
            behind = standing.behind
            found = {"race": standing.mean, "behind": behind, "confirmed": standing.confirmed}
            points = self._points(found)
            if behind is not None and behind.p is not None:
                points += (Point("p", behind.p, 0, self._at),)
        params = {
            path: text
            for path, text in run.parameters().items()
            if path not in ("train.seed", "data.split_seed")
        }
        status: Status = "KILLED" if standing is None else "FINISHED"
        return self._record(
            self._uid_of(name),
            name,
            status,
            tags=tags,
            params=params,
            points=points,
            parent=self.uid,
        )

    def _is_answer(self, name: str) -> bool:
        verdict = self.finalists.verdict
        return verdict is not None and verdict.answer == name

    def _of_seed(self, row: Entry) -> RunRecord:
        name, part, place = self._owners[row.uid]
        record = Records(self.finalists.facts.about, self.uid).of_trial(row)
        about = {"finalist": name, "finalist.part": part, "finalist.seed": str(place)}
        return replace(
            record,
            name=f"{name}, {part} seed {place + 1}",
            parent=self._uid_of(name),
            tags={key: text for key, text in record.tags.items() if key != "trial.number"}
            | source_tags("search/finalists.py")
            | about,
        )

    @cached_property
    def _at(self) -> float:
        return max((row.ended_at for row in self._rows if row.ended_at is not None), default=0.0)

    def _points(self, found: "dict[str, Estimate | None]") -> tuple[Point, ...]:
        """Each estimate, and the ends of its interval, as metrics."""
        return tuple(
            Point(key, value, 0, self._at)
            for name, estimate in found.items()
            if estimate is not None
            for key, value in estimate.metrics(name).items()
        )
