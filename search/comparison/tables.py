"""What is told of studies beside each other: a column for each of them."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import zip_longest

from pipeline.command import public
from pipeline.command.section import as_override, flatten
from pipeline.run.config import run_config
from search.analysis.leaderboard import counts, doubt
from search.analysis.wording import shown as estimated
from search.analysis.wording import words
from search.comparison.compared import Compared
from search.plots.timeline import clock_of
from search.rendering.elements import command, parameters, table
from search.study.ranking import Configuration
from search.study.shown import comparison_of, in_units, pasted, shown
from search.study.space import fixed

_ROWS = 10
_NONE = "-"

_SUGGEST = {"optuna": ("sampler", "pruner"), "keras_tuner": ("oracle",)}
"""The sections of a configuration that say how an engine suggests."""

Row = tuple[str, Callable[[Compared], str]]
"""The head of a row, and its cell for a study. Both are HTML."""


def found(studies: Sequence[Compared]) -> str:
    """How each study stands, what it is about, the best of it, and what it took."""
    rows: list[Row] = [
        ("question", lambda each: escape(each.facts.about.question or _NONE)),
        ("state", lambda each: escape(each.standing.state)),
        ("trials", _trials),
        ("objective", _objective),
        ("best", _best),
        ("searched by", lambda each: escape(", ".join(each.facts.about.search.values()))),
        ("seconds since its first trial began", _seconds),
        ("seconds of its trials, all workers", lambda each: f"{each.standing.seconds:,.0f}"),
    ]
    return _beside(studies, rows)


def leaders(studies: Sequence[Compared]) -> str:
    """The best of each study by its own objective; of a study with a cost, of its front."""
    best = [() if each.facts.apart else each.facts.ranking.leaders[:_ROWS] for each in studies]
    if not any(best):
        return "<p>No trial is complete yet.</p>"
    rows = [
        [str(place), *(_leader(*pair) for pair in zip(studies, cells, strict=True))]
        for place, cells in enumerate(zip_longest(*best), 1)
    ]
    about = "Each study by its own objective. The test set takes no part in the order."
    return f"<p>{about}</p>{table(_heads(studies), rows, kind='beside')}"


def verdicts(studies: Sequence[Compared]) -> str:
    """The answers over fresh seeds, or how one comes to them."""
    rows: list[Row] = [
        ("answer", _answer),
        ("what it is", _settings),
        ("over fresh seeds", _confirmed),
        ("better than the default", _gain),
        ("test accuracy", _test),
        ("in words", _words),
        ("not known yet", _doubt),
    ]
    return _beside(studies, rows)


def differing(studies: Sequence[Compared]) -> str:
    """What varies otherwise, or is fixed at another value; under a fold what is the same in all."""
    columns = [_configured(each) for each in studies]
    paths = dict.fromkeys(path for column in columns for path in column)
    rows = {path: [column.get(path, _NONE) for column in columns] for path in paths}
    differ = [
        [f"<code>{escape(path)}</code>", *cells]
        for path, cells in rows.items()
        if len(set(cells)) > 1
    ]
    same = "".join(
        f"<li><code>{escape(path)}</code> {cells[0]}</li>"
        for path, cells in rows.items()
        if len(set(cells)) == 1
    )
    shown_rows = (
        table(_heads(studies), differ, kind="beside")
        if differ
        else "<p>Nothing: they were asked the same.</p>"
    )
    return f"{shown_rows}<details><summary>The same in all</summary><ul>{same}</ul></details>"


def _heads(studies: Sequence[Compared]) -> list[str]:
    return ["", *(f"{_swatch(each)}{escape(each.name)}" for each in studies)]


def _swatch(study: Compared) -> str:
    return f'<i style="background:{study.colour}"></i>'


def _beside(studies: Sequence[Compared], rows: Sequence[Row]) -> str:
    """The rows that say something of one of the studies."""
    cells = [[head, *(of(study) for study in studies)] for head, of in rows]
    kept = [row for row in cells if set(row[1:]) != {_NONE}]
    return table(_heads(studies), kept, kind="beside")


def _trials(study: Compared) -> str:
    about, facts = study.facts.about, study.facts
    return f"{len(facts.ended)} of {about.trials}<small>{escape(counts(facts.entries))}</small>"


def _objective(study: Compared) -> str:
    objective = study.facts.objective
    goal = "highest" if objective.maximizes else "lowest"
    cost = "" if objective.cost is None else f" for its {objective.cost.replace('_', ' ')}: a front"
    return escape(f"{goal} {study.facts.metric}{cost}")


def _best(study: Compared) -> str:
    """The mean of the verdict's answer with its interval; else the best trial."""
    if study.confirmed is not None:
        return _confirmed(study)
    if study.facts.apart:
        return f"{_NONE}<small>its own trials can't be compared</small>"
    if not study.facts.ranking:
        return f"{_NONE}<small>no trial is complete yet</small>"
    return _value(study, study.facts.ranking.leaders[0])


def _value(study: Compared, best: Configuration, more: str = "") -> str:
    cost = study.facts.objective.cost
    costs = "" if cost is None else f", {in_units(cost, best.cost(cost))}"
    return f"<b>{best.value:.4f}</b>{costs}<small>{best}{more}</small>"


def _seconds(study: Compared) -> str:
    ended = [entry for entry in study.facts.ended if entry.ended_at is not None]
    if not ended:
        return _NONE
    return f"{clock_of(ended)(max(entry.ended_at or 0.0 for entry in ended)):,.0f}"


def _leader(study: Compared, best: Configuration | None) -> str:
    if best is None:
        return ""
    test = best.tests.get("test_accuracy")
    tested = "" if test is None else f", test accuracy {test:.4f}"
    params = " ".join(
        f"{path.rpartition('.')[2]}={shown(value)}" for path, value in best.params.items()
    )
    return f"{_value(study, best, tested)}<small>{escape(params)}</small>"


def _answer(study: Compared) -> str:
    if study.verdict is None:
        return "no verdict"
    return escape(study.verdict.answer or "none: all diverged")


def _settings(study: Compared) -> str:
    if study.finalists is None or study.verdict is None or study.verdict.answer is None:
        return _NONE
    return parameters(pasted(study.finalists.all[study.verdict.answer].params))


def _confirmed(study: Compared) -> str:
    mean = study.confirmed
    return (
        _NONE
        if mean is None
        else f"<b>{estimated(mean)}</b><small>{mean.seeds} fresh seeds</small>"
    )


def _gain(study: Compared) -> str:
    verdict = study.verdict
    if verdict is None or verdict.gain is None:
        return _NONE
    if verdict.answer == verdict.gain.to:
        return "it is the default"
    chance = "" if verdict.gained else "<small>may be chance</small>"
    return f"{estimated(verdict.gain)}{chance}"


def _test(study: Compared) -> str:
    test = None if study.verdict is None else study.verdict.test.get("test_accuracy")
    return _NONE if test is None else estimated(test)


def _words(study: Compared) -> str:
    return _NONE if study.verdict is None else escape(words(study.verdict)[0])


def _doubt(study: Compared) -> str:
    why = doubt(study.finalists, study.facts.objective.cost is not None)
    if why is None or not study.facts.ranking:
        return _NONE
    return f"{escape(why)}:{command(comparison_of(study.name))}"


def _configured(study: Compared) -> dict[str, str]:
    """Every setting that may tell on the outcome: over what it varies, or what it is; and the versions."""
    facts, about = study.facts, study.facts.about
    held = fixed(run_config(facts.config), facts.space)
    found = {path: f"varies: {text}" for path, text in about.space.items()}
    found |= {path: public.parameter(path, text) for path, text in held.items()}
    found["data digest"] = about.dataset.digest[:12]
    for section in ("engine", *_SUGGEST[facts.config["engine"]["name"]]):
        tree = flatten(facts.config[section], f"{section}.")
        found |= {path: as_override(value) for path, value in tree}
    found |= {"study.trials": str(about.trials), **about.versions}
    return {path: escape(text) for path, text in found.items() if path != "data.path"}
