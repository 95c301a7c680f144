"""KerasTuner as an engine: its oracles suggest; the trial table remembers for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

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
        self._oracle = make_oracle()
        self._oracle.begin(direction, space)
        self._axes = self._oracle.axes
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
        active = [path for path in self._axes if path in values]
        params = {path: self._axes[path].stored(values.pop(path)) for path in active}
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
        values = {path: self._axes[path].told(value) for path, value in params.items()}
        self._oracle.add(self._asked, values)
        self._asked += 1
