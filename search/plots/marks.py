"""What a figure shows, as data: panels of marks. `png` and `interactive` draw it, and nothing else does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Points = Sequence[tuple[float, float]]
Symbol = Literal["o", "v", "X", "*"]
Dash = Literal["-", "--", ":"]
Hatch = Literal["", "//", "xx"]


@dataclass(frozen=True)
class Side:
    """An axis has a label and goes from one of its `limits` to the other; None: what is drawn decides.

    `ticks`: texts by place; without any the library chooses. `whole`: only whole numbers have ticks.
    """

    label: str
    limits: tuple[float, float] | None = None
    log: bool = False
    whole: bool = False
    ticks: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dots:
    """Dots have one `colour`, or each a number on the plot's colours.

    `tips`: what the mouse shows of each. `size`: points across.
    """

    points: Points
    colour: str | Sequence[float]
    symbol: Symbol = "o"
    name: str = ""
    tips: Sequence[str] = ()
    size: float = 6.5
    edge: str = "white"


@dataclass(frozen=True)
class Line:
    """A line joins points. `tip`: what the mouse shows. `stepped`: it holds each y up to the next x."""

    points: Points
    colour: str
    width: float = 2.0
    name: str = ""
    tip: str = ""
    dash: Dash = "-"
    stepped: bool = False
    arrow: bool = False


@dataclass(frozen=True)
class Bars:
    """Horizontal bars lie in `lanes`, from a start to a stop. `texts`: what each holds, given room."""

    lanes: Sequence[float]
    spans: Sequence[tuple[float, float]]
    colour: str
    hatch: Hatch = ""
    name: str = ""
    tips: Sequence[str] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Words:
    """Short texts stand right of points, left of them, or above."""

    points: Points
    texts: Sequence[str]
    place: Literal["right", "left", "above"]
    colour: str
    name = ""


@dataclass(frozen=True)
class Surface:
    """A surface has `values_YxX` at every `x` and `y`, on the plot's colours; NaN where nothing is known."""

    x: NDArray[Any]
    y: NDArray[Any]
    values_YxX: NDArray[Any]  # noqa: N815  # shapes stand in names
    name = ""


Mark = Dots | Line | Bars | Words | Surface


@dataclass(frozen=True)
class Panel:
    """A panel has two sides, and marks of which the later lie over the earlier."""

    across: Side
    up: Side
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates lead each of `rows`, best first, through its place on each of `sides`.

    The last side is the value, by which a row has its place on the plot's colours.
    """

    sides: Sequence[Side]
    rows: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Colours:
    """Colours for numbers from `low` to `high`, in even steps. `label`: of the bar that explains them."""

    steps: Sequence[str]
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """A figure has a title, says how to read it, and has panels, row by row; without any it says `empty`.

    `width`, `height`: inches of its picture. `shared`: the panels of a row have one upward side. `legend`:
    the title of a legend beside the panels; without one it stands above. `hint`: what a mouse can do in it.
    """

    title: str
    about: str
    panels: Sequence[Panel | Parallel] = ()
    empty: str = ""
    width: float = 9.0
    height: float = 5.2
    columns: int = 4
    colours: Colours | None = None
    shared: bool = False
    legend: str = ""
    hint: str = ""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        columns = min(self.columns, len(self.panels))
        return -(-len(self.panels) // columns), columns

    @property
    def named(self) -> list[Mark]:
        """What its legend explains: of the marks that have a name the first of each, in all panels."""
        found: dict[str, Mark] = {}
        for panel in self.panels:
            for mark in panel.marks if isinstance(panel, Panel) else ():
                if mark.name:
                    found.setdefault(mark.name, mark)
        return list(found.values())
