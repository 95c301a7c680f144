"""The verdict that an exported model is the answer of: as a chapter of its card, and as tags."""

import json

from pipeline.artifact.manifest import Manifest
from search.analysis.verdict import Verdict
from search.analysis.wording import HEADS, cells, words
from search.study.shown import comparison_of, markdown_table

PREFIX = "verdict."
"""What the names of its tags begin with."""


def verdict_of(manifest: Manifest) -> Verdict | None:
    """The verdict in `manifest`; None where the model is no answer of one."""
    if manifest.verdict is None:
        return None
    return Verdict.model_validate_json(json.dumps(manifest.verdict))


def tags_of(manifest: Manifest) -> dict[str, str]:
    """The verdict's outcome, the mean of its answer and the gain, with the ends of their intervals.

    What is not known is left out; all of it where the model is no answer of a verdict.
    """
    verdict = verdict_of(manifest)
    if verdict is None or verdict.answer is None:
        return {}
    found = {
        "outcome": verdict.outcome,
        "answer": verdict.answer,
        "tie": ", ".join(verdict.tie),
        "runs": str(verdict.runs),
    }
    estimates = {"mean": verdict.of(verdict.answer).confirmed, "gain": verdict.gain}
    for name, estimate in estimates.items():
        if estimate is not None:
            found |= {key: repr(value) for key, value in estimate.metrics(name).items()}
    if verdict.gained is not None:
        found["gained"] = str(verdict.gained).lower()
    return {f"{PREFIX}{name}": text for name, text in found.items()}


def chapter(manifest: Manifest) -> list[str]:
    """What the card says of the verdict; where there is none, that the spread was not measured."""
    standing, metric = manifest.standing, manifest.standing.metric
    verdict = verdict_of(manifest)
    if verdict is None:
        if standing.spread is None:
            said = f"{metric} {standing.value:.6g} is of one run, spread not measured"
        else:
            said = (
                f"Over {standing.seeds} seeds its configuration has {metric} {standing.value:.6g}, standard "
                f"deviation {standing.spread:.2g}; unless another one was asked for, this is the seed "
                "nearest to that mean"
            )
        return [
            f"{said}. Whether a configuration of the study is better than the others, "
            f"`{comparison_of(manifest.study)}` tells, over fresh seeds."
        ]
    rows = [
        [
            f"**{each.name}**" if each.name == verdict.answer else each.name,
            *cells(each, unraced="in"),
        ]
        for each in verdict.standings
    ]
    value = manifest.validation.get(metric)
    own = "" if value is None else f": its {metric} is {value:.6g}"
    return [
        "\n".join(f"- {sentence}" for sentence in words(verdict)),
        markdown_table(["configuration", *HEADS], rows),
        f"Of the runs over fresh seeds this network is the one nearest to their mean{own}. All other numbers "
        "here are its own.",
    ]
