"""Comparisons of finalists made by hand, for whoever reads a verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.command.compose import compose
from pipeline.command.section import validated
from search.analysis.configurations import DEFAULT
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.plan import FinalistsConfig, Run
from search.setup.finalists import _rows
from search.study.space import Space, replaced
from search.study.vocabulary import Attempts, Entry, Suggestion
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.search import made

UID = "0123456789abcdef"
SHORT = {"top": 2, "seeds": 4, "step": 4, "max_seeds": 4, "confirm": 4}
MEANS = {"trial 2": 0.95, "trial 1": 0.9502, "trial 0": 0.91, DEFAULT: 0.90}
"""A tie of two, of which trial 1 has fewer parameters, and the default behind."""

Value = Callable[[Run], float | None]


def trial(number: int, value: float, dropout: float, **changes: Any) -> Entry:
    """A complete trial of a study of dropout, the smaller the earlier."""
    outcome = made.result([value], parameters=1000 + number, **changes)
    params = {"model.dropout": dropout}
    return made.trial(
        number,
        params=params,
        run=replaced(made.BASE, params),
        result=outcome,
        value=value,
        history=outcome.history,
    )


def three() -> list[Entry]:
    """Three trials, the better the later; none is the default."""
    return [trial(n, 0.93 + n / 100, 0.1 + n / 10) for n in range(3)]


def facts(entries: Sequence[Entry], space: Space = made.DROPOUT, **changes: Any) -> Facts:
    """A study of `entries`, whose configuration has its space, too."""
    tree = {"space": {"model": {"dropout": {"low": 0.0, "high": 0.6}}}}
    return made.facts(entries, space, **{"config": made.settings(tree), **changes})


def by_mean(means: Mapping[str, float]) -> Value:
    """Seeds that scatter around `means`, all alike but for a trifle of each one's own."""

    def value(run: Run) -> float:
        shared = np.random.default_rng([run.seed, len(run.part)]).normal(0, 0.002)
        own = np.random.default_rng([run.seed, *f"{run.part} {run.contender}".encode()])
        return round(means[run.contender] + float(shared + own.normal(0, 0.0004)), 6)

    return value


def asked(study: Facts, **changes: Any) -> Finalists:
    """The finalists of `study`, of whom nothing is on record."""
    config = {**compose([])["finalists"], **SHORT, **changes}
    return Finalists.chosen(study, UID, validated(FinalistsConfig, config, "finalists"))


def rows_of(finalists: Finalists, value: Value, most: int | None = None) -> list[Entry]:
    """The rows of the runs that the verdict needs, `most` of them; a value of None has diverged."""
    rows: list[Entry] = []
    while missing := finalists.with_rows(rows).missing:
        for run in missing:
            if most is not None and len(rows) >= most:
                return rows
            rows.append(row(finalists, run, len(rows), value(run)))
    return rows


def row(finalists: Finalists, run: Run, number: int, value: float | None) -> Entry:
    """The row of one run."""
    known = {
        "uid": f"f1-{number}",
        "run": finalists.run_of(run),
        "params": finalists.params_of(run),
    }
    if value is None:
        return replace(made.failed(number, "loss is nan at epoch 2"), diverged=True, **known)
    finalist = finalists.all[run.contender].entry
    size = 900 if finalist is None or finalist.result is None else finalist.result.parameters
    outcome = made.result([value], parameters=size)
    found = {"result": outcome, "value": value, "history": outcome.history}
    return made.trial(number, **{**known, **found})


def compared(study: Facts | None = None, value: Value | None = None, **changes: Any) -> Finalists:
    """Finalists whose verdict stands; those of `three` and `MEANS` if nothing else is said."""
    finalists = asked(facts(three()) if study is None else study, **changes)
    return finalists.with_rows(rows_of(finalists, value or by_mean(MEANS)))


def record(url: str, value: Value, most: int | None = None, **changes: Any) -> Finalists:
    """Have the only study at `url` asked for its finalists, with `most` of their runs on record."""
    storage = open_storage(url)
    table = TrialTable(storage, TrialTable.load(url, None).name)
    study = Facts.of(table.about(), table.entries())
    config = validated(
        FinalistsConfig, {**compose([])["finalists"], **SHORT, **changes}, "finalists"
    )
    finalists = Finalists.chosen(study, table.uid, config)
    table.ask_finalists(finalists.asked.model_dump(mode="json"))
    rows = _rows(storage, finalists)
    for each in rows_of(finalists, value, most):
        assert each.run is not None
        created = rows.create(Suggestion(each.params), finalists.space)
        began = rows.start(created.number, each.run, Attempts(1))
        if each.result is None:
            rows.fail(replace(began, diverged=each.diverged), each.reason or "")
        else:
            rows.complete(began, each.result, {})
    storage.engine.dispose()
    return finalists.with_rows(rows.entries())
