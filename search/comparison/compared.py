"""The studies that are compared, and which of them can be: by the same objective on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.command.errors import ConfigError
from pipeline.run.comparable import apart, measure
from pipeline.run.config import run_config
from search.analysis.estimates import Estimate
from search.analysis.facts import Axis, Facts
from search.analysis.finalists import Finalists
from search.analysis.race import Standing as Finalist
from search.analysis.verdict import Verdict
from search.plots.style import BLUE, GREEN, INK, ORANGE, RED
from search.steering.standing import Standing, standing
from search.trial_table.storage import chosen_in, reading
from search.trial_table.writing import Storage

COLOURS = (
    *(BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", INK),  # Okabe and Ito 2008
    *("#332288", "#999933", "#882255", "#ddcc77", "#44aa99"),  # Tol's muted ones
)
"""One for each study; more could not be told apart."""


@dataclass(frozen=True)
class Compared:
    """A study as it stood when it was read, with the colour that means it on the page."""

    standing: Standing
    facts: Facts
    colour: str

    @property
    def name(self) -> str:
        return self.facts.about.name

    @property
    def finalists(self) -> Finalists | None:
        return self.standing.finalists

    @property
    def verdict(self) -> Verdict | None:
        """Whether its best is better than the others; None: that was not asked, or is not decided."""
        return None if self.finalists is None else self.finalists.verdict

    @property
    def answer(self) -> Finalist | None:
        """How its verdict's answer did; None where there is none."""
        name = None if self.verdict is None else self.verdict.answer
        return None if self.verdict is None or name is None else self.verdict.of(name)

    @property
    def confirmed(self) -> Estimate | None:
        """The mean of that over seeds that chose nothing; None where one of them diverged, too."""
        return None if self.answer is None else self.answer.confirmed

    @cached_property
    def measures(self) -> list[dict[str, str]]:
        """What decides the meaning of its trials' objective, each once; without one, of its base."""
        runs = [entry.settings for entry in self.facts.state("complete")]
        runs = runs or [run_config(self.facts.config).parameters()]
        found = (measure(run, self.facts.objective.metric) for run in runs)
        return [dict(each) for each in {tuple(sorted(each.items())) for each in found}]

    def apart_from(self, other: "Compared") -> Mapping[str, str]:
        """Why the two can't be compared, by what they differ in; nothing: they can.

        A study whose own trials differ in it can be compared with none.
        """
        both = [*self.measures, *other.measures]
        found = dict(apart(both, self.facts.objective.metric))
        found.pop("objective.direction", None)  # the metric says it
        if self.facts.about.dataset.digest != other.facts.about.dataset.digest:
            found["data digest"] = "other data are another question"
        return found


def read(url: str, names: Sequence[str]) -> list[Compared]:
    """The studies `names` in the storage at `url`, in this order. Nothing is written.

    Raises ConfigError where there is no such study, with a line for each; StorageError where one is damaged.
    """
    with reading(url) as storage:
        if unknown := list(filter(None, (_unknown(storage, name) for name in names))):
            raise ConfigError("\n".join(unknown))
        found = [standing(storage, name) for name in names]
    return [
        Compared(each, Facts.of(each.about, each.entries), colour)
        for each, colour in zip(found, COLOURS, strict=False)
    ]


def groups(studies: Sequence[Compared]) -> list[list[Compared]]:
    """Those that can be compared together, each study in one group."""
    found: list[list[Compared]] = []
    for study in studies:
        fits = (g for g in found if not any(each.apart_from(study) for each in g))
        if (group := next(fits, None)) is not None:
            group.append(study)
        else:
            found.append([study])
    return found


def of_one_space(group: Sequence[Compared]) -> list[list[Compared]]:
    """Those of `group` that vary the same settings in the same way, if over other bounds, together."""
    found: dict[frozenset[tuple[str, bool]], list[Compared]] = {}
    for study in group:
        key = frozenset((axis.path, bool(axis.labels)) for axis in study.facts.axes)
        found.setdefault(key, []).append(study)
    return list(found.values())


def joined(studies: Sequence[Compared]) -> list[Axis]:
    """The axes of studies of one space, wide enough for all of them."""
    own = [{axis.path: axis for axis in study.facts.axes} for study in studies]
    return [_joined([axes[path] for axes in own]) for path in own[0]]


def _joined(axes: Sequence[Axis]) -> Axis:
    first = axes[0]
    if first.labels:
        pairs = (zip(axis.labels, axis.stored, strict=True) for axis in axes)
        stored = dict(choice for pair in pairs for choice in pair)
        return replace(
            first, high=len(stored) - 0.5, labels=tuple(stored), stored=tuple(stored.values())
        )
    return replace(
        first,
        low=min(axis.low for axis in axes),
        high=max(axis.high for axis in axes),
        log=all(axis.log for axis in axes),
        integer=all(axis.integer for axis in axes),
    )


def _unknown(storage: Storage, name: str) -> str | None:
    """Why there is no study `name` in `storage`; None: there is one."""
    try:
        chosen_in(storage, name)
    except ConfigError as error:
        return str(error).replace("study.name:", "report.studies:")
    return None
