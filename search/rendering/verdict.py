"""The verdict's section of the page: what can be said, a picture, and every configuration in a table."""

from collections.abc import Mapping
from html import escape

from search.analysis.facts import in_words
from search.analysis.finalists import Finalists
from search.analysis.leaderboard import doubt
from search.analysis.race import Standing
from search.analysis.verdict import Verdict
from search.analysis.wording import HEADS, cells, shown, words
from search.rendering.elements import command, link, listed, parameters, section, table, tiles
from search.study.shown import comparison_of, pasted

_HEADS = ("configuration", *HEADS, "seconds")


def of_verdict(
    finalists: Finalists, verdict: Verdict, figure: str, again: str, runs: Mapping[str, str]
) -> str:
    """The section. `figure`: HTML; `again`: the command that trains the answer's network, or nothing.

    `runs`: addresses of the trials' runs in MLflow, by uid.
    """
    study = finalists.facts.about.name
    first, *others = words(verdict)
    parts = []
    if (why := doubt(finalists)) is not None:
        parts.append(f"<p><b>{escape(why)}:</b></p>{command(comparison_of(study))}")
    if verdict.answer is not None:
        parts.append(tiles(_numbers(verdict, verdict.of(verdict.answer))))
    parts += [f"<p class=lead>{escape(first)}</p>", listed(map(escape, others)), figure]
    parts.append(_configurations(finalists, verdict, runs))
    if verdict.answer is not None:
        settings = parameters(pasted(finalists.all[verdict.answer].params))
        parts.append(f"<p>What {escape(verdict.answer)} is: {settings}</p>")
        parts.append(
            f"<p>To export it:</p>{command(f'python -m search.export study.name={study}')}"
        )
        if again:
            parts.append(f"<p>To train the network that is exported again:</p>{command(again)}")
    parts.append("<p>How a verdict is reached, and what it promises: docs/verdict.md.</p>")
    return section("The verdict", "".join(parts))


def _numbers(verdict: Verdict, answer: Standing) -> list[tuple[str, str]]:
    """What is known of the answer by seeds that took no part in the choice, and what that took."""
    found = []
    metric = in_words(verdict.plan.metric)
    if answer.confirmed is not None:
        seeds = answer.confirmed.seeds
        found.append((shown(answer.confirmed), f"{metric} of {answer.name}, {seeds} fresh seeds"))
    if verdict.gain is not None and verdict.default is not answer:
        doubted = "" if verdict.gained else ", which may be chance"
        found.append((shown(verdict.gain), f"better than {verdict.gain.to}{doubted}"))
    if (test := verdict.test.get("test_accuracy")) is not None:
        found.append((shown(test), "accuracy on the test set"))
    return [*found, (str(verdict.runs), "runs over fresh seeds")]


def _configurations(finalists: Finalists, verdict: Verdict, runs: Mapping[str, str]) -> str:
    answer = [each.name for each in verdict.standings].index
    return table(
        _HEADS,
        [_cells(finalists, each, runs) for each in verdict.standings],
        kind="numbers named",
        answer=None if verdict.answer is None else answer(verdict.answer),
    )


def _cells(finalists: Finalists, standing: Standing, runs: Mapping[str, str]) -> list[str]:
    entry = finalists.all[standing.name].entry
    name = link(escape(standing.name), None if entry is None else runs.get(entry.uid))
    return [
        f"{name}<small>{escape(finalists.words_for(standing.name))}</small>",
        *cells(standing),
        f"{standing.seconds:.1f}",
    ]
