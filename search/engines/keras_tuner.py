"""KerasTuner as an engine: its oracles suggest; the trial table remembers for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from search.oracles.axis import axis
from search.space import Space, Stored
from search.study import Entry, Suggestion

if TYPE_CHECKING:
    from search.oracles.base import Oracle

MakeOracle = Callable[[], "Oracle"]


class KerasTunerEngine:
    """Asks an oracle that was told of every trial in the table. Nothing of KerasTuner's is on disk."""

    def __init__(
        self,
        direction: Literal["maximize", "minimize"],
        space: Space,
        make_oracle: MakeOracle,
        entries: Sequence[Entry],
    ) -> None:
        self._axes = {path: axis(dimension) for path, dimension in space.dimensions.items()}
        self._oracle = make_oracle()
        self._oracle.begin(direction, self._axes)
        self.continues = self._oracle.continues
        self._asked = 0
        for entry in entries:
            self._add(entry.params)
            self._oracle.place(entry.number, entry.notes, entry.continues)
            if entry.state != "running":
                self.tell(entry)

    def ask(self) -> Suggestion | Literal["wait", "exhausted"]:
        values = self._oracle.suggest(self._asked)
        if isinstance(values, str):
            return values
        params = {path: each.stored(values.pop(path)) for path, each in self._axes.items()}
        self._add(params)
        past = values.pop("tuner/trial_id", None)
        continues = None if past is None else int(past)
        return Suggestion(params, values.get("tuner/epochs"), continues, notes=values)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Never prunes: Hyperband stops a trial by not promoting it."""
        return False

    def notes(self, number: int) -> Mapping[str, Any]:
        """Nothing beyond what was suggested."""
        return {}

    def tell(self, entry: Entry) -> None:
        self._oracle.end(entry.number, entry.value if entry.state == "complete" else None)

    def _add(self, params: Mapping[str, Stored]) -> None:
        self._oracle.add(
            self._asked, {path: each.told(params[path]) for path, each in self._axes.items()}
        )
        self._asked += 1
