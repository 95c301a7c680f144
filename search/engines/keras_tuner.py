"""KerasTuner as an engine: its oracles suggest; the trial table remembers for them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from search.study.space import Space, Stored
from search.study.untried import Runs
from search.study.vocabulary import Curve, Exhausted, Suggestion, Told, Wait
from search.trial_table.attributes import Past

if TYPE_CHECKING:
    from search.engines.oracles.base import Oracle


class KerasTunerAlgorithm:
    """Asks an oracle that is told of trials as they were on record. Nothing of KerasTuner's is on disk."""

    def __init__(
        self,
        direction: Literal["maximize", "minimize"],
        space: Space,
        runs: Runs,
        oracle: "Oracle",
        seed: int,
        past: Sequence[Past] = (),
    ) -> None:
        self._oracle = oracle
        oracle.begin(direction, space, runs, seed)
        oracle.learn(past)
        self.continues = oracle.continues
        self._asked = 0

    def add(self, suggestion: Suggestion) -> None:
        self._oracle.add(self._asked, suggestion.params)
        self._oracle.place(self._asked, suggestion.notes, suggestion.continues)
        self._asked += 1

    def suggest(
        self, at: Mapping[str, Stored] = MappingProxyType({})
    ) -> Suggestion | Wait | Exhausted:
        values = self._oracle.suggest(self._asked, at)
        if isinstance(values, Wait | Exhausted):
            return values
        params = self._oracle.point(values)
        notes = {name: value for name, value in values.items() if name.startswith("tuner/")}
        past = notes.pop("tuner/trial_id", None)
        continues = None if past is None else int(past)
        self._oracle.add(self._asked, params)
        self._asked += 1
        return Suggestion(params, notes.get("tuner/epochs"), continues, notes)

    def prunes(self, number: int, curve: Curve, known: int | None) -> bool:
        """Never: Hyperband stops a trial by not promoting it."""
        return False

    def notes(self, told: Told) -> Mapping[str, Any]:
        """Nothing beyond what was suggested."""
        return {}

    def tell(self, told: Told) -> None:
        self._oracle.end(told.number, told.value if told.state == "complete" else None)
