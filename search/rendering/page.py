"""The report as one HTML page that fetches nothing: for people who never saw the project."""

import shlex
import time
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from itertools import starmap
from pathlib import Path
from types import MappingProxyType

from pipeline.command import public
from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.run.config import as_words, run_config
from search.analysis.confidence import sentences as said
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.front import front, priced
from search.analysis.leaderboard import cause, columns, counts, doubt, of_front, row
from search.plots.gallery import FRONTS, VERDICT, of_study
from search.plots.marks import Plot
from search.plots.trial import pictured
from search.rendering.document import document, figure
from search.rendering.elements import (
    command,
    link,
    listed,
    parameters,
    picture,
    section,
    table,
    tiles,
)
from search.rendering.verdict import of_verdict
from search.study.shown import comparison_of, in_units, pasted, trained_again
from search.study.space import fixed
from search.study.vocabulary import Entry
from search.trial_table.lineage import whole_run

_ROWS = 20
_ORIGINS = {"mlflow.user": "run by", "mlflow.source.git.commit": "git commit"}


def page(
    facts: Facts,
    pictures: Path,
    finalists: Finalists | None = None,
    runs: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole report. `pictures`: folder of the PNGs of the best trial, if there are any.

    `finalists`: what is on record of their comparison; None where nobody asked for one. `runs`: addresses of
    the trials' runs in MLflow, by uid, as far as they are known.
    """
    figures = of_study(facts, finalists)
    drawn = any(plot.panels for plot in figures.values())
    verdict = _verdict(finalists, figures.pop(VERDICT, None), runs)
    cost = facts.objective.cost
    of_the_front = "" if cost is None else figure(FRONTS[cost], figures.pop(FRONTS[cost]))
    title = facts.about.question or facts.about.name
    parts = [
        f"<header><p>Hyperparameter study <b>{escape(facts.about.name)}</b></p><h1>{escape(title)}</h1>",
        f"<p>{_when(facts)}</p></header>",
        verdict,
        _front(facts, finalists, of_the_front, runs),
        "" if finalists is not None and finalists.answered else _single(facts, finalists),
        _doubted(facts),
        _asked(facts),
        _leaders(facts, runs),
        *starmap(_figure, figures.items()),
        _mistakes(facts, pictures),
        _failed(facts, runs),
        _origin(facts),
    ]
    return document(title, parts, drawn)


def command_for(entry: Entry, study: str, trial: int | None) -> str:
    """The command that trains `trial` of `study` again: every setting of `entry` that is not the default.

    None: it is a run of its finalists. For a lane it is the replay.
    """
    usual = usual_settings()
    differing = {
        path: public.parameter(path, text)
        for path, text in whole_run(entry).items()
        if usual.get(path) != text and path != "objective.cost"  # it is a study's
    }
    words = shlex.join(["python", "-m", "pipeline.train", *as_words(differing)])
    return trained_again(words, entry.worker, study, trial)


@cache
def usual_settings() -> Mapping[str, str]:
    """What a run is without overrides; nothing where the folder of defaults is not here."""
    try:
        return run_config(compose([])).parameters()
    except ConfigError:
        return {}


def _verdict(finalists: Finalists | None, plot: Plot | None, runs: Mapping[str, str]) -> str:
    """The verdict, where one stands."""
    if finalists is None or finalists.verdict is None or plot is None:
        return ""
    answer = finalists.answer
    again = "" if answer is None else command_for(answer.entry, finalists.facts.about.name, None)
    return of_verdict(finalists, finalists.verdict, figure(VERDICT, plot), again, runs)


def _front(facts: Facts, finalists: Finalists | None, drawn: str, runs: Mapping[str, str]) -> str:
    """The front of a study that searched one, cheapest first, and how one of its members is taken."""
    cost, objective = facts.objective.cost, facts.objective
    if cost is None or not facts.ranking:
        return ""
    members = front(facts, priced(facts, finalists), cost)
    best = [each.configuration for each in members]
    heads = columns(best, objective)
    rows = [row(each, heads, objective) for each in best]
    for cells, each in zip(rows, members, strict=True):
        if each.low is not None and each.high is not None:
            cells[heads.index(objective.metric)] = (
                f"{each.value:.4f} ({each.low:.4f} to {each.high:.4f})"
            )
    linked = [_linked(cells, each.entry, runs) for cells, each in zip(rows, members, strict=True)]
    names = [escape(head.rpartition(".")[2].replace("_", " ")) for head in heads]
    numbers = [
        (str(len(members)), "configurations that none beats in both"),
        (f"{members[0].value:.4f}", f"{facts.metric}, {in_units(cost, members[0].cost(cost))}"),
        (f"{members[-1].value:.4f}", f"{facts.metric}, {in_units(cost, members[-1].cost(cost))}"),
    ]
    return section(
        "The front",
        f"{tiles(numbers)}{drawn}{table(names, linked, kind='numbers')}"
        f"<p>One of them as files:</p>{''.join(map(command, of_front(facts.about.name)))}",
    )


def _single(facts: Facts, finalists: Finalists | None) -> str:
    """What single runs say: the best of them, and how little is sure of it."""
    if not facts.ranked:
        return section("The answer", "<p>No trial is complete yet: there is no answer.</p>")
    if facts.apart:
        return section("The answer", "<p>Its trials can't be compared: there is no answer.</p>")
    leader = facts.ranking[0]
    best = leader.entry
    numbers = [(f"{leader.value:.4f}", f"{facts.metric}, {leader}")]
    if best.result is not None:
        numbers.append((f"{leader.tests['test_accuracy']:.4f}", "accuracy on the test set"))
        before = "" if best.continues is None else f", after trial {best.continues}"
        numbers.append((f"{best.train_seconds:.1f} s", f"of training{before}"))
    numbers.append((str(len(facts.state("complete"))), "complete trials"))
    why = doubt(finalists, facts.objective.cost is not None)
    unsure = (
        "" if why is None else f"<p>{escape(why)}:</p>{command(comparison_of(facts.about.name))}"
    )
    again = command_for(best, facts.about.name, best.number)
    title = "The answer" if facts.objective.cost is None else "The best of the front"
    return section(
        title,
        f"{tiles(numbers)}<p>The best of what was tried: {parameters(pasted(leader.params))}</p>"
        f"{unsure}<p>To train this network again:</p>{command(again)}",
    ) + section("How sure is it?", listed(map(escape, said(facts))))


def _doubted(facts: Facts) -> str:
    return section("What to know of the data", listed(map(escape, facts.about.dataset.doubts)))


def _asked(facts: Facts) -> str:
    about = facts.about
    space = [[f"<code>{escape(path)}</code>", escape(text)] for path, text in about.space.items()]
    same = fixed(run_config(facts.config), facts.space)
    held = " ".join(f"<code>{escape(path)}={escape(text)}</code>" for path, text in same.items())
    ended = [entry for entry in facts.entries if entry.state != "running"]
    goal = "highest" if facts.objective.maximizes else "lowest"
    cost = facts.objective.cost
    beside = "" if cost is None else f" for a given cost in {cost.replace('_', ' ')}"
    how = ", ".join(f"{escape(kind)} {escape(name)}" for kind, name in about.search.items())
    return section(
        "What was asked",
        f"<p>Which values give the {goal} {escape(facts.metric)}{beside}? "
        f"{len(ended)} of {about.trials} trials have ended: {escape(counts(facts.entries))}. "
        f"{'There are no others to try. ' if facts.used_up else ''}({how})</p>"
        f"{table(['varied', 'over'], space, kind='facts')}"
        f"<details><summary>Held fixed</summary><p>{held}</p></details>",
    )


def _leaders(facts: Facts, runs: Mapping[str, str]) -> str:
    best = facts.ranking[:_ROWS]
    if not best:
        return ""
    heads = columns(best, facts.objective)
    rows = [_linked(row(each, heads, facts.objective), each.entry, runs) for each in best]
    names = [escape(head.rpartition(".")[2].replace("_", " ")) for head in heads]
    return section("The best trials", table(names, rows, kind="numbers"))


def _linked(cells: Sequence[str], entry: Entry, runs: Mapping[str, str]) -> list[str]:
    """A row of texts as HTML, whose first one, the trial's number, leads to its run."""
    number, *others = map(escape, cells)
    return [link(number, runs.get(entry.uid)), *others]


def _figure(name: str, plot: Plot) -> str:
    return section(plot.title, figure(name, plot))


def _mistakes(facts: Facts, pictures: Path) -> str:
    confusion, hardest = (pictures / f"best_{name}.png" for name in ("confusion", "hardest"))
    inside = "".join(
        picture(file, "what the best network gets wrong")
        for file in (confusion, hardest)
        if file.exists()
    )
    shape = facts.about.dataset.train_shape[1:]
    if confusion.exists() and not hardest.exists() and pictured(tuple(shape)):
        inside += (
            "<p>The hardest images are not shown: the data are not where they lay when the study ran, or are "
            "others by now. This says where they are:</p>"
            + command(f"python -m search.report study.name={facts.about.name} data.path=FILE")
        )
    return section("What the best network still gets wrong", inside)


def _failed(facts: Facts, runs: Mapping[str, str]) -> str:
    failed = facts.state("failed")
    pruned = facts.state("pruned")
    parts = []
    if pruned:
        parts.append(
            f"<p>{len(pruned)} {'trial was' if len(pruned) == 1 else 'trials were'} stopped early (pruned), "
            f"having fallen behind: "
            f"{', '.join(link(str(e.number), runs.get(e.uid)) for e in pruned)}.</p>"
        )
    if failed:
        rows = [
            [
                link(str(e.number), runs.get(e.uid)),
                f"<code>{escape(pasted(e.params))}</code>",
                escape(public.error(cause(e))),
            ]
            for e in failed
        ]
        parts.append(table(["trial", "tried", "why it failed"], rows, kind="facts"))
    else:
        parts.append("<p>No trial failed.</p>")
    return section("What failed, and why", "".join(parts))


def _origin(facts: Facts) -> str:
    about = facts.about
    data = about.dataset
    rows = [
        ["data", f"{escape(data.name)}: {data.train_shape[0]:,} training rows, "
                 f"{data.test_shape[0]:,} test rows, each {' x '.join(map(str, data.train_shape[1:]))}"],
        ["SHA-256 of the data", f"<code>{escape(data.digest)}</code>"],
        *([escape(_ORIGINS.get(name, name.removeprefix("version."))), escape(text)]
          for name, text in about.versions.items()),
        ["to go on, or top up", f"<code>{escape(public.command(about.command))}</code>"],
    ]  # fmt: skip
    yaml = escape(public.config(about.config))
    config = (
        f"<details><summary>The configuration; {public.HIDDEN} stands for commands and addresses</summary>"
        f"<pre>{yaml}</pre></details>"
    )
    return section("Where it comes from", table(["", ""], rows, kind="facts") + config)


def _when(facts: Facts) -> str:
    times = [entry.ended_at for entry in facts.entries if entry.ended_at is not None]
    if not times:
        return "No trial has ended yet."
    day = "%d %B %Y, %H:%M"
    begun = min(entry.started_at for entry in facts.entries)
    return f"{time.strftime(day, time.localtime(begun))} to {time.strftime(day, time.localtime(max(times)))}"
