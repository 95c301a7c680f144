"""Who leads: the complete trials, best first, for the terminal, for tables and as Markdown.

Where the seed varies a row is a configuration, with means over its seeds.
"""

import csv
import hashlib
import io
import statistics
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.run.config import ObjectiveConfig
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.wording import words
from search.study.ranking import SEED, Configuration, Ranking
from search.study.shown import comparison_of, pasted, shown
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable

_COLUMNS = 4  # parameters beside each other in 80 columns
_WIDTH = 28  # of a front's parameters, which share a column: at least
_COLUMNS_REPEATED = 2  # the same beside a spread and a number of seeds


def counts(entries: Sequence[Entry]) -> str:
    """How the trials ended: `28 complete, 2 failed`."""
    states = [entry.state for entry in entries]
    known = ("complete", "pruned", "failed", "running")
    return ", ".join(f"{states.count(state)} {state}" for state in known if state in states)


def cause(entry: Entry) -> str:
    """Why a trial failed, in one line."""
    return next(iter((entry.reason or "").strip().splitlines()), "no reason was recorded")


def columns(best: Sequence[Configuration], objective: ObjectiveConfig) -> list[str]:
    """The heads of a leaderboard: the parameters that vary stand after the trial's number."""
    repeats = ["spread", "seeds"] if any(each.repeats for each in best) else []
    sizes = {each.entry.result.parameters for each in best if each.entry.result}
    sized = len(sizes) > 1 or objective.cost == "parameters"
    costs = ["weights", "seconds"] if sized else ["seconds"]
    costs = ["multiply_adds", *costs] if objective.cost == "multiply_adds" else costs
    rest = [objective.metric, *repeats, "test_accuracy", "best_epoch", *costs]
    return ["trial", *_params(best), *rest]


def _params(best: Sequence[Configuration]) -> list[str]:
    return list(dict.fromkeys(path for each in best for path in each.params))


def row(
    configuration: Configuration, heads: Sequence[str], objective: ObjectiveConfig
) -> list[str]:
    """The cells of `configuration` under `heads`."""
    entry, spread = configuration.entry, configuration.spread
    facts = {path: shown(value) for path, value in configuration.params.items()}
    facts["trial"] = str(entry.number)
    if entry.result is not None:
        seconds = [each.train_seconds for each in configuration.trials]
        facts[objective.metric] = f"{configuration.value:.4f}"
        facts["spread"] = "not measured" if spread is None else f"{spread:.4f}"
        facts["seeds"] = str(configuration.seeds)
        facts["test_accuracy"] = f"{configuration.tests['test_accuracy']:.4f}"
        facts["best_epoch"] = str(entry.result.best_epoch)
        facts["weights"] = f"{entry.result.parameters:,}"
        facts["seconds"] = f"{statistics.fmean(seconds):.1f}"
        facts |= {name: f"{cost:,}" for name, cost in entry.result.costs.items()}
    return [facts.get(head, "") for head in heads]


def leaderboard(entries: Sequence[Entry], objective: ObjectiveConfig, rows: int = 10) -> Table:
    """The best `rows` trials with their parameters, objective, test metrics and seconds; or the front."""
    table = Table(box=None, pad_edge=False)
    best = _leaders(Ranking(objective, entries), rows)
    heads, params = columns(best, objective), _params(best)
    many = len(params) > (_COLUMNS_REPEATED if "seeds" in heads else _COLUMNS)
    # Beside single columns for the parameters there is no room for the weights.
    hidden = params if many else ["weights"]
    if objective.cost is not None:
        many, hidden = True, [*params, "best_epoch"]
    shown_heads = [head for head in heads if head not in hidden]
    for head in shown_heads:  # in words, so that a narrow table can break them
        table.add_column(head.rpartition(".")[2].replace("_", " "), justify="right")
    if many:  # then they share one, the last
        table.add_column("parameters", min_width=None if objective.cost is None else _WIDTH)
    for each in best:
        cells = dict(zip(heads, row(each, heads, objective), strict=True))
        together = " ".join(
            f"{path.rpartition('.')[2]}={shown(value)}" for path, value in each.params.items()
        )
        table.add_row(*(cells[head] for head in shown_heads), *([together] if many else []))
    return table


def _leaders(ranking: Ranking, rows: int) -> Sequence[Configuration]:
    """The best `rows`; of a study with a cost all of the front, cheapest first."""
    return ranking.front or ranking[:rows]


def as_csv(entries: Sequence[Entry], objective: ObjectiveConfig) -> str:
    """All complete trials, the best configuration first, with all digits of what was measured.

    Where the seed varies, `mean`, `spread` and `seeds` are of the configuration, all else of the trial.
    `front`: of a study with a cost, whether its configuration is a member.
    """
    ranking = Ranking(objective, entries)
    trials = [(each, entry) for each in ranking for entry in each.trials]
    params = list(dict.fromkeys(path for _, entry in trials for path in entry.params))
    repeats = ["mean", "spread", "seeds"] if SEED in params else []
    costs = list(dict.fromkeys(n for _, e in trials for n in (e.result.costs if e.result else ())))
    heads = ["trial", *params, objective.metric, *repeats, "test_accuracy", "best_epoch", "seconds"]
    heads += ["parameters", *costs, *([] if objective.cost is None else ["front"])]
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for each, entry in trials:
        cells: dict[str, object] = {"trial": entry.number, **entry.params}
        cells |= {"mean": each.value, "seeds": each.seeds}
        cells["front"] = "yes" if each in ranking.front else "no"
        cells["spread"] = "" if each.spread is None else each.spread
        if entry.result is not None:
            cells[objective.metric] = entry.result.value
            cells["test_accuracy"] = entry.result.test["test_accuracy"]
            cells["best_epoch"] = entry.result.best_epoch
            cells["seconds"] = f"{entry.train_seconds:.1f}"
            cells |= {"parameters": entry.result.parameters, **entry.result.costs}
        writer.writerow({head: str(value) for head, value in cells.items()})
    return text.getvalue()


def as_markdown(entries: Sequence[Entry], objective: ObjectiveConfig, rows: int = 20) -> str:
    """The best `rows` trials, or the front, as a Markdown table."""
    table = markdown_of(_leaders(Ranking(objective, entries), rows), objective)
    return f"{len(entries)} trials: {counts(entries)}\n\n{table}\n"


def markdown_of(best: Sequence[Configuration], objective: ObjectiveConfig) -> str:
    """`best` as the rows of a Markdown table."""
    heads = columns(best, objective)
    lines = [heads, ["---:"] * len(heads), *(row(each, heads, objective) for each in best)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def finalists_of(table: TrialTable) -> Finalists | None:
    """What is on record of the comparison of a study's finalists; None where nobody asked for one.

    Raises StorageError where it is damaged.
    """
    if table.finalists is None:
        return None
    return Finalists.recorded(Facts.recorded(table), table)


def doubt(finalists: Finalists | None, front: bool = False) -> str | None:
    """Why a study's answer may be none, or no longer; what dispels it is `comparison_of` the study.

    `front`: whether it has a front in place of a best one.
    """
    if finalists is None and front:
        return (
            "Each is one run: whether the best of them can be told apart is not known before they are "
            "compared over fresh seeds"
        )
    if finalists is None:
        return (
            "Whether it is better than the others is not known before its finalists are compared over "
            "fresh seeds"
        )
    if finalists.verdict is None:
        runs = len(finalists.rows)
        return (
            f"The comparison of its finalists is not finished ({runs} runs on record); this goes on"
        )
    if finalists.outdated:
        then = finalists.asked.ended
        trials = "fewer trials" if then is None else f"{then} trials"
        return (
            f"This verdict was made when the study had {trials}; its finalists have changed since, and "
            "this goes on with them"
        )
    return None


def made_of(entries: Sequence[Entry], finalists: Finalists | None) -> str:
    """What a report is made of, in one line: another one where it would say something else."""
    found = counts(entries)
    if finalists is None:
        return found
    if finalists.verdict is None:
        return f"{found}; {len(finalists.rows)} runs of finalists"
    digest = hashlib.sha256(finalists.verdict.model_dump_json().encode()).hexdigest()
    return f"{found}; verdict {digest[:12]}"


def summary(
    entries: Sequence[Entry],
    objective: ObjectiveConfig,
    study: str,
    finalists: Finalists | None = None,
) -> RenderableType:
    """The leaderboard, how the trials ended, and the study's answer with parameters to paste back.

    The answer is its verdict's; where none stands, the best trial, and how to find out whether it is.
    """
    ranking = Ranking(objective, entries)
    parts: list[RenderableType] = [Text(f"{len(entries)} trials: {counts(entries)}")]
    for entry in entries:
        if entry.state == "failed":
            parts.append(Text(f"  trial {entry.number} failed: {cause(entry)}", style="red"))
    if ranking:
        parts += [Text(), leaderboard(entries, objective), Text()]
        parts += _front(ranking, objective, study) if ranking.front else []
        parts += _answer(ranking, finalists)
        if (why := doubt(finalists, bool(ranking.front))) is not None:
            parts += [Text(f"\n{why}:"), _pasted(comparison_of(study))]
    return Group(*parts)


def _front(ranking: Ranking, objective: ObjectiveConfig, study: str) -> list[Text]:
    """What the table of a front shows, and how one of its members is taken."""
    these = f"these {len(ranking.front)}" if len(ranking.front) > 1 else "this one"
    members = f"of {len(ranking)} none beats {these} in both"
    about = f"The front of {objective.metric} and {objective.cost}, cheapest first: {members}."
    return [Text(about), Text("One of them as files:"), *map(_pasted, of_front(study))]


def of_front(study: str) -> list[str]:
    """The commands that export a member of a study's front."""
    return [
        f"python -m search.export study.name={study} export.prefer=smallest export.within=0.002",
        f"python -m search.export study.name={study} trial=NUMBER",
    ]


def _answer(ranking: Ranking, finalists: Finalists | None) -> list[Text]:
    """The verdict with the parameters of its answer; where there is none, the best of the trials.

    Of a front none is the best.
    """
    said: list[Text] = []
    verdict = None if finalists is None else finalists.verdict
    if finalists is not None and verdict is not None:
        said += [Text("\nThe verdict:" if ranking.front else "The verdict:")]
        said += [*map(Text, words(verdict)), Text()]
        if verdict.answer is not None:
            params = finalists.all[verdict.answer].params
            return [*said, Text(f"Its parameters ({verdict.answer}):"), _pasted(pasted(params))]
    if ranking.front:
        return said
    best = ranking[0]
    return [*said, _line(f"Best parameters ({best}):"), _pasted(pasted(best.params))]


def _pasted(text: str) -> Text:
    """What is to be pasted: no terminal breaks it."""
    return _line(f"  {text}", "bold")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ignore")
