"""The configurations of a study: which trials are one, which are the best, and which it started from."""

from typing import Any

from pipeline.command.section import flatten
from pipeline.run.config import ModelConfig, RunConfig
from pipeline.run.fingerprint import default_rate, fingerprint
from search.analysis.facts import Facts
from search.study.ranking import SEED
from search.study.space import Space, Stored, encode, replaced

DEFAULT = "default"
"""The name of the configuration that a study started from."""

SPLIT = "data.split_seed"
"""The setting that draws the validation rows anew; like the seed it is no part of a configuration."""


def best_of(facts: Facts, top: int) -> dict[str, int]:
    """The trials that stand for the `top` best distinct configurations, by their network.

    Of a study with a cost they are members of its front.
    """
    found: dict[str, int] = {}
    for each in facts.ranking.leaders:
        assert each.entry.run is not None, "it is complete"
        found.setdefault(network_of(each.entry.run), each.entry.number)
        if len(found) == top:
            break
    return found


def network_of(run: RunConfig) -> str:
    """The same for configurations that differ in their seeds alone."""
    return fingerprint(replaced(run, {SEED: 0, SPLIT: None}))


def point_of(base: RunConfig, space: Space) -> dict[str, Stored]:
    """The point of `space` at which `base` stands; its values may lie outside of their dimensions."""
    leaves: dict[str, Any] = dict(flatten(base.model_dump()))
    if base.train.learning_rate is None:
        leaves["train.learning_rate"] = default_rate(base.train.optimizer)
    layers = base.model.layers if isinstance(base.model, ModelConfig) else ()
    if len(widths := set(layers)) == 1:  # however the widths were written
        leaves["model.hidden_units"] = widths.pop()
    leaves |= {f"model.hidden_units.layer{n}": w for n, w in enumerate(layers, 1)}
    point: dict[str, Stored] = {}
    for path in space.dimensions:
        if path != SEED and path in leaves and space.is_active(path, point):
            point[path] = encode(leaves[path])
    return point


def unreachable(base: RunConfig, space: Space) -> str | None:
    """Why no trial of a study could have been its starting point; None: one could."""
    for path, value in point_of(base, space).items():
        if not space.dimensions[path].has(value):
            return f"{path}={value} is not in the space"
    return None
