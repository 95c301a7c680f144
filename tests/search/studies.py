"""Studies of every kind, for what is drawn of them."""

from collections.abc import Callable
from dataclasses import replace

from search.analysis.facts import Facts
from search.study.space import Choices, Condition, Range, Space
from tests.search import made

CONDITIONAL = Space(
    {
        "train.optimizer": Choices(("adam", "sgd")),
        "train.learning_rate": Range(low=1e-3, high=1.0, log=True),
    },
    {"train.learning_rate": Condition("train.optimizer", ("sgd",))},
)


def conditional() -> Facts:
    entries = [
        replace(e, params={"train.optimizer": "adam"}) if e.number % 2 else e
        for e in (made.trial(n, 0.8 + n / 100, CONDITIONAL) for n in range(12))
    ]
    entries = [
        replace(e, params={**e.params, "train.optimizer": "sgd"}) if len(e.params) == 2 else e
        for e in entries
    ]
    return made.facts(entries, CONDITIONAL)


def hyperband() -> Facts:
    """As KerasTuner's Hyperband leaves a study: short trials, some gone on with by later ones."""
    short = [
        made.trial(n, 0.8 + n / 100, made.MIXED, epochs=3, notes={"tuner/round": 0})
        for n in range(6)
    ]
    longer = made.result([0.9, 0.92], first=4)
    last = made.trial(6, 0.92, made.MIXED, result=longer, history=longer.history, continues=5)
    return made.facts([*short, replace(last, worker={})], made.MIXED)


CASES: dict[str, Callable[[], Facts]] = {
    "none": lambda: made.facts([]),
    "one": lambda: made.facts(made.many(1)),
    "two": lambda: made.facts(made.many(2)),
    "forty": lambda: made.facts(made.many(40)),
    "only running": lambda: made.facts([made.running(0)]),
    "only pruned": lambda: made.facts([made.pruned(n) for n in range(3)]),
    "only failed": lambda: made.facts([made.failed(n) for n in range(3)]),
    "all alike": lambda: made.facts([made.trial(n, 0.9) for n in range(12)]),
    "mixed space": lambda: made.facts(
        [*made.many(12, made.MIXED), made.pruned(12, space=made.MIXED), made.failed(13)],
        made.MIXED,
    ),
    "conditional": conditional,
    "hyperband": hyperband,
    "widths": lambda: widths(),
}


WIDTHS = Space({"model.hidden_units": Choices((32, 128)), "train.seed": Choices((0, 1))})


def widths() -> Facts:
    """Two trials of each of two widths."""
    entries = []
    for number, (units, seed) in enumerate([(128, 0), (32, 0), (128, 1), (32, 1)]):
        reached = 0.9 + units / 2000 + seed / 100
        entries.append(
            made.trial(
                number,
                space=WIDTHS,
                params={"model.hidden_units": units, "train.seed": seed},
                result=made.result([0.5, reached, reached - 0.1], parameters=1000 * units),
            )
        )
    return made.facts([*entries, made.failed(4, space=WIDTHS)], WIDTHS)
