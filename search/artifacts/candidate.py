"""Which run of a study is exported: the answer of its verdict, or a trial, and how good it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.artifact.manifest import Manifest, Standing, called
from pipeline.command.errors import ConfigError
from pipeline.run.comparable import apart, measure
from pipeline.run.config import RunConfig
from search.analysis.estimates import less
from search.analysis.finalists import Finalists
from search.analysis.leaderboard import doubt
from search.study.ranking import Configuration, Ranking
from search.study.shown import comparison_of
from search.study.vocabulary import About, Entry


@dataclass(frozen=True)
class Candidate:
    """A run that may be exported. `entry`: its row, one of `entries`, which are those of its table.

    `base`: the study's own run of the same configuration, with its seed and its validation rows. `trial`:
    the study's trial that stands for it; None: the study never trained it. `verdict`: whose answer it is,
    as JSON; None: it is a trial. `standings`: of whatever of the study may have been exported before.
    """

    entry: Entry
    entries: Sequence[Entry]
    base: RunConfig
    trial: int | None
    standing: Standing
    standings: Mapping[str, Standing] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return called(self.trial, self.verdict)

    def is_in(self, manifest: Manifest) -> bool:
        """Whether `manifest` is of this very run, and of the same verdict."""
        run = (manifest.uid, manifest.attempt) == (self.entry.uid, self.entry.attempts.made)
        return run and manifest.verdict == self.verdict


def standing_of(about: About, configuration: Configuration) -> Standing:
    """How good `configuration` is, by the objective of its study."""
    objective = about.objective
    return Standing(
        metric=objective.metric,
        direction=objective.direction,
        value=configuration.value,
        data=about.dataset.digest,
        settings=measure(configuration.entry.settings, objective.metric),
        seeds=configuration.seeds,
        spread=configuration.spread,
    )


def candidate(
    about: About,
    entries: Sequence[Entry],
    finalists: Finalists | None,
    number: int | None = None,
    within: float | None = None,
) -> Candidate:
    """The answer of the study's verdict; where none stands the best trial; with a `number` that trial.

    `within`: the smallest network instead whose objective is that near to the best one's. Raises
    ConfigError where there is no such trial, or none is the best.
    """
    if within is not None:
        number = _smallest(about, entries, finalists, within)
    ranking = Ranking(about.objective, entries)
    # As the table has them now: a mean changes with each seed, also that of a model exported earlier.
    standings = {trial.uid: standing_of(about, each) for each in ranking for trial in each.trials}
    answer = None
    if finalists is not None and finalists.answered:
        answer = _answer(about, finalists)
        # The verdict before may have had another run for its answer, which is none by now.
        standings |= {row.uid: replace(answer.standing, fresh=False) for row in finalists.rows}
        standings[answer.entry.uid] = answer.standing
        if number is None:
            return replace(answer, standings=standings)
    entry = _best(about, ranking) if number is None else _trial(about, entries, number)
    assert entry.run is not None, "it has a result"
    standing = standing_of(about, ranking.of(entry))
    known = {**standings, entry.uid: standing}
    return Candidate(entry, entries, entry.run, entry.number, standing, known)


def _smallest(
    about: About, entries: Sequence[Entry], finalists: Finalists | None, within: float
) -> int:
    """The trial with the fewest weights, of equals the quickest, no further than `within` from the best.

    By the means over fresh seeds where a verdict has them, of those that it compared.
    """
    verdict = None if finalists is None else finalists.verdict
    ranking, found = Ranking(about.objective, entries), dict[int, float]()
    _best(about, ranking)  # there is one
    if finalists is not None and verdict is not None:
        for each in verdict.standings:
            trial = finalists.all[each.name].entry
            if trial is not None and each.mean is not None:
                found[trial.number] = each.mean.value
    found = found or {each.entry.number: each.value for each in ranking.leaders}
    best = (max if about.objective.maximizes else min)(found.values())
    behind = np.abs(less(list(found.values()), [best] * len(found)))
    near = [entries[number] for number, far in zip(found, behind, strict=True) if far <= within]

    def cost(entry: Entry) -> tuple[int, float]:
        return (0 if entry.result is None else entry.result.parameters, entry.train_seconds)

    return min(near, key=cost).number


def _answer(about: About, finalists: Finalists) -> Candidate:
    verdict, answer = finalists.verdict, finalists.answer
    assert verdict is not None
    assert verdict.answer is not None
    if answer is None:
        raise ConfigError(
            f"export.trial: {verdict.answer} of {about.name}, its verdict's answer, diverged with every "
            "seed that took no part in the choice (name the one to export: trial=NUMBER)"
        )
    finalist = finalists.all[verdict.answer]
    metric = about.objective.metric
    standing = replace(
        standing_of(about, answer),
        # Its seeds draw their validation rows anew, so that the spread has that in it.
        settings=measure(finalist.run.parameters(), metric),
        fresh=verdict.of(verdict.answer).confirmed is not None,
    )
    number = None if finalist.entry is None else finalist.entry.number
    tree = verdict.model_dump(mode="json")
    return Candidate(answer.entry, finalists.rows, finalist.run, number, standing, verdict=tree)


def _best(about: About, ranking: Ranking) -> Entry:
    if not ranking:
        raise ConfigError(f"{about.name}: no trial of this study is complete yet")
    runs = [entry.settings for each in ranking for entry in each.trials]
    for path, reason in apart(runs, about.objective.metric).items():
        raise ConfigError(
            f"export.trial: the trials of {about.name} can't be compared by "
            f"{about.objective.metric}, as they differ in {path}, and {reason} "
            "(name the one to export: trial=NUMBER)"
        )
    return ranking[0].entry


def _trial(about: About, entries: Sequence[Entry], number: int) -> Entry:
    if number >= len(entries):
        raise ConfigError(
            f"export.trial: {about.name} has the trials 0 to {len(entries) - 1}, got {number}"
        )
    if entries[number].result is None:
        raise ConfigError(
            f"export.trial: trial {number} of {about.name} is {entries[number].state}"
        )
    return entries[number]


def introduced(about: About, chosen: Candidate, finalists: Finalists | None) -> list[str]:
    """What is exported, why, and how sure that is."""
    metric, standing = about.objective.metric, chosen.standing
    value = f"{metric} {chosen.entry.value:.4f}"
    why = doubt(finalists)
    unsure = [] if why is None else [f"{why}:", f"  {comparison_of(about.name)}"]
    if chosen.verdict is not None:
        return [
            f"{about.name}: {chosen.name}, {_mean(standing)}.",
            f"Of these runs the one nearest to the mean is exported, with {value}.",
            *unsure,
        ]
    said = f"{about.name}: {chosen.name}, {value}"
    if standing.spread is not None:
        said += f"; its configuration has {_mean(standing)}"
    else:
        said += ": one run, spread not measured"
    verdict = None if finalists is None else finalists.verdict
    if verdict is None:
        return [f"{said}.", *unsure]
    if verdict.answer is None:
        return [
            f"{said}.",
            "The verdict has no answer: every configuration diverged with some seed.",
        ]
    return [f"{said}.", f"This overrules the verdict, whose answer is {verdict.answer}."]


def _mean(standing: Standing) -> str:
    fresh = "fresh seeds" if standing.fresh else "seeds"
    spread = "" if standing.spread is None else f", standard deviation {standing.spread:.4f}"
    return f"{standing.metric} {standing.value:.4f} over {standing.seeds} {fresh}{spread}"
