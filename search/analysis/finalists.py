"""The finalists of a study: who they are, the fresh seeds they are trained with, and what came of that."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig, run_config
from pipeline.run.fingerprint import fingerprint
from search.analysis.configurations import (
    DEFAULT,
    SPLIT,
    best_of,
    network_of,
    point_of,
    unreachable,
)
from search.analysis.facts import Facts
from search.analysis.plan import Asked, Contender, FinalistsConfig, Part, Run
from search.analysis.verdict import Verdict, judge, needed, unsealed
from search.study.address import of_finalists
from search.study.ranking import SEED, Configuration
from search.study.shown import shown
from search.study.space import Range, Space, Stored, replaced
from search.study.vocabulary import Entry
from search.trial_table.storage import damage_named
from search.trial_table.trials import TrialTable

_SEEDS = Range(low=0, high=2**32 - 1, integer=True)


@dataclass(frozen=True)
class Finalist:
    """A configuration to be compared. `entry`: the study's trial that stands for it, if it has one.

    `params`: its values of the study's space.
    """

    name: str
    run: RunConfig
    params: Mapping[str, Stored]
    entry: Entry | None


@dataclass(frozen=True)
class Finalists:
    """Those who are compared, and the rows of their runs over fresh seeds, in a table of their own."""

    facts: Facts
    uid: str
    asked: Asked
    rows: Sequence[Entry] = field(default=())

    @classmethod
    def chosen(cls, facts: Facts, uid: str, config: FinalistsConfig) -> "Finalists":
        """The best distinct configurations of a study, and what it started from.

        Raises ConfigError where there is none, or its trials can't be compared.
        """
        name, objective = facts.about.name, facts.objective
        if not facts.ranking:
            raise ConfigError(f"{name}: no trial of this study is complete yet")
        for path, reason in facts.apart.items():
            raise ConfigError(
                f"{name}: its trials can't be compared by {objective.metric}, as they differ in {path}, "
                f"and {reason}"
            )
        base = run_config(facts.config)
        resplit = base.train.validation_split > 0 if config.resplit is None else config.resplit
        if resplit and base.train.validation_split == 0:
            raise ConfigError("finalists.resplit: there are no validation rows to be drawn anew")
        asked = Asked(
            plan=config.plan(objective.metric, objective.direction),
            resplit=resplit,
            trials=tuple(best_of(facts, config.top).values()),
            left_out=unreachable(base, facts.space),
            top=config.top,
            ended=len(facts.ended),
        )
        return cls(facts, uid, asked)

    @classmethod
    def recorded(cls, facts: Facts, table: TrialTable) -> "Finalists | None":
        """Those of whom the study's table knows; None where nobody asked for them.

        Raises StorageError where what it knows is damaged.
        """
        if (asked := asked_of(facts, table)) is None:
            return None
        found = cls(facts, table.uid, asked)
        beside = table.beside(found.table_name)
        return found if beside is None else found.with_rows(beside.entries())

    def asked_after(self, before: Asked | None) -> "Finalists":
        """The same, as what is asked after `before`."""
        return Finalists(self.facts, self.uid, self.asked.after(before), self.rows)

    def with_rows(self, rows: Sequence[Entry]) -> "Finalists":
        """The same with these rows."""
        return Finalists(self.facts, self.uid, self.asked, rows)

    @property
    def table_name(self) -> str:
        """The study that keeps their rows: they count for no target, engine or ranking of another."""
        return of_finalists(self.uid)

    @cached_property
    def space(self) -> Space:
        """The study's space, with any seed."""
        return Space(
            {**self.facts.space.dimensions, SEED: _SEEDS}, dict(self.facts.space.conditions)
        )

    @cached_property
    def all(self) -> Mapping[str, Finalist]:
        """By name: the best first, and the starting point where it is compared."""
        found: dict[str, Finalist] = {}
        base = run_config(self.facts.config)
        default = None if self.asked.left_out else network_of(base)
        for number in self.asked.trials:
            entry = self.facts.by_number[number]
            assert entry.run is not None
            name = DEFAULT if network_of(entry.run) == default else f"trial {number}"
            params = {path: value for path, value in entry.params.items() if path != SEED}
            found[name] = Finalist(name, entry.run, params, entry)
        if default is not None and DEFAULT not in found:
            known = (
                e for e in self.facts.state("complete") if e.run and network_of(e.run) == default
            )
            params = point_of(base, self.facts.space)
            found[DEFAULT] = Finalist(DEFAULT, base, params, next(known, None))
        return found

    def run_of(self, run: Run) -> RunConfig:
        """The configuration of one of their runs."""
        seed = self.seed(run.part, run.seed)
        again = {SEED: seed, **({SPLIT: seed} if self.asked.resplit else {})}
        return replaced(self.all[run.contender].run, again)

    def params_of(self, run: Run) -> dict[str, Stored]:
        """What names one of their runs in their table."""
        return {**self.all[run.contender].params, SEED: self.seed(run.part, run.seed)}

    def seed(self, part: Part, place: int) -> int:
        """The seed at a place of the list of `part`; no trial of the study had it."""
        again = 0
        while (seed := _drawn(f"{self.uid} {part} {place} {again}")) in self._used:
            again += 1
        return seed

    @cached_property
    def _used(self) -> set[int]:
        return {entry.run.train.seed for entry in self.facts.entries if entry.run is not None}

    @cached_property
    def _by_run(self) -> Mapping[str, Entry]:
        """The last row of each run that ended, by its fingerprint."""
        ended = (row for row in self.rows if row.state != "running" and row.run is not None)
        return {fingerprint(row.run): row for row in ended if row.run is not None}

    def row_of(self, run: Run) -> Entry | None:
        """The row of one of their runs, where it ended."""
        return self._by_run.get(fingerprint(self.run_of(run)))

    @cached_property
    def contenders(self) -> tuple[Contender, ...]:
        """What is on record of each."""
        return tuple(self._contender(each) for each in self.all.values())

    def _contender(self, finalist: Finalist) -> Contender:
        plan = self.asked.plan
        race = dict(self._values(finalist.name, "race", plan.max_seeds))
        again = dict(self._values(finalist.name, "confirmation", plan.confirm))
        known = finalist.entry or self.row_of(Run(finalist.name, "race", 0))
        result = None if known is None else known.result
        return Contender(
            name=finalist.name,
            parameters=0 if result is None else result.parameters,
            seconds=0.0 if known is None else known.train_seconds,
            default=finalist.name == DEFAULT,
            study=None if finalist.entry is None else self.facts.ranking.of(finalist.entry).value,
            race=race,
            confirmation=again,
        )

    def _values(self, name: str, part: Part, seeds: int) -> Iterator[tuple[int, float | None]]:
        for place in range(seeds):
            row = self.row_of(Run(name, part, place))
            if row is not None and (row.value is not None or row.diverged):
                yield place, row.value

    @cached_property
    def missing(self) -> tuple[Run, ...]:
        """The runs without which the next decision can't be made; none once the verdict stands."""
        return needed(self.contenders, self.asked.plan)

    @cached_property
    def verdict(self) -> Verdict | None:
        """The verdict, with the test metrics of its answer; None while runs are missing."""
        if self.missing:
            return None
        verdict = judge(self.contenders, self.asked.plan)
        return verdict if verdict.answer is None else unsealed(verdict, self._tests(verdict.answer))

    def _tests(self, name: str) -> dict[str, dict[int, float | None]]:
        """The test metrics of one of them, by seed that took no part in the choice; None: it diverged."""
        results = [None if row is None else row.result for row in self._confirmation(name)]
        names = dict.fromkeys(name for result in results if result for name in result.test)
        return {
            name: {place: r.test[name] if r else None for place, r in enumerate(results)}
            for name in names
        }

    @cached_property
    def outdated(self) -> bool:
        """Whether others would be compared by now, as the study went on."""
        runs = [self.facts.by_number[number].run for number in self.asked.trials]
        top = self.asked.top or len(runs)
        return best_of(self.facts, top).keys() != {network_of(run) for run in runs if run}

    @property
    def answered(self) -> bool:
        """Whether a verdict stands, and names an answer."""
        return self.verdict is not None and self.verdict.answer is not None

    @cached_property
    def answer(self) -> Configuration | None:
        """The verdict's answer, measured by the seeds that chose nothing; None where there is none.

        The run nearest to their mean stands for it. Seeds that diverged are left out.
        """
        if self.verdict is None or self.verdict.answer is None:
            return None
        rows = self._confirmation(self.verdict.answer)
        valued = tuple(row for row in rows if row is not None and row.value is not None)
        return Configuration(valued) if valued else None

    def _confirmation(self, name: str) -> list[Entry | None]:
        """The rows of one of them over the seeds that took no part in the choice, by seed."""
        places = range(self.asked.plan.confirm)
        return [self.row_of(Run(name, "confirmation", place)) for place in places]

    def words_for(self, name: str) -> str:
        """The parameters of one of them, for people."""
        params = dict(self.all[name].params)
        if len({each.run.train.epochs for each in self.all.values()}) > 1:
            params["train.epochs"] = self.all[name].run.train.epochs
        return " ".join(f"{path}={shown(value)}" for path, value in params.items())


def asked_of(facts: Facts, table: TrialTable) -> Asked | None:
    """What was last asked of the finalists of a study; None: nothing.

    Raises StorageError where it is damaged.
    """
    if table.finalists is None:
        return None
    with damage_named(table.url, f"what is asked of the finalists of {table.name!r}"):
        asked = Asked.model_validate_json(json.dumps(table.finalists))
        complete = {entry.number for entry in facts.state("complete")}
        if unknown := set(asked.trials) - complete:
            raise ValueError(f"trials: {min(unknown)} is not among the complete ones")
    return asked


def _drawn(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
