"""The published networks of conf/experiment: which of them are run, and what their sources report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator

from pipeline.command.compose import compose, conf_folder
from pipeline.command.errors import ConfigError
from pipeline.command.section import Section, did_you_mean, validated
from pipeline.run.config import RunConfig, run_config

FOREST = "random_forest"
"""The row that is no network: scikit-learn's, on the same data."""

_LONG_EPOCHS = 100  # more than these are run only when asked, and with one seed
_SEEDS = (0, 1, 2)
_FREE = ("name", "path", "shuffle")  # of the data, what is no part of a network's description


def _as_names(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class ReplicateConfig(Section):
    """Which rows are measured. `long`: also the networks of 200 epochs and more. `only`: None is all.

    `fresh`: also train again what is on record.
    """

    long: bool
    fresh: bool
    only: Annotated[tuple[str, ...] | None, BeforeValidator(_as_names)]


class Published(Section):
    """What a source reports of its network, by our name for it; None: nothing."""

    test_accuracy: float | None = None
    test_loss: float | None = None
    accuracy: float | None = None
    val_accuracy: float | None = None


@dataclass(frozen=True)
class Network:
    """A network as its source describes it. `published`: the figures that the source gives."""

    name: str
    run: RunConfig
    published: Mapping[str, float]

    @property
    def long(self) -> bool:
        return self.run.train.epochs > _LONG_EPOCHS

    @property
    def seeded(self) -> list[RunConfig]:
        """The runs that measure it: three seeds where it is quick."""
        train = self.run.train
        return [
            self.run.model_copy(update={"train": train.model_copy(update={"seed": seed})})
            for seed in (_SEEDS[:1] if self.long else _SEEDS)
        ]


def experiments() -> list[str]:
    """The names of the published networks."""
    return sorted(file.stem for file in (conf_folder() / "experiment").glob("*.yaml"))


@cache  # Hydra takes a tenth of a second each time
def network(name: str) -> Network:
    """The network of conf/experiment/`name`.yaml."""
    values = compose([f"+experiment={name}"])
    figures = validated(Published, values["published"], "published").model_dump(exclude_none=True)
    return Network(name, run_config(values), figures)


def chosen(values: Mapping[str, Any]) -> tuple[list[Network], bool]:
    """The networks to run, and whether the forest is one of the rows.

    Where the images are read from, and whether they are shuffled, is the configuration's; a network
    is run as it is described.
    Raises ConfigError for a name that there is not, and for any other setting of a run.
    """
    config = validated(ReplicateConfig, values["replicate"], "replicate")
    known = [*experiments(), FOREST]
    for name in config.only or ():
        if name not in known:
            raise ConfigError(
                f"replicate.only: there is no {name!r}, expected some of {', '.join(known)}"
                + did_you_mean(name, known)
            )
    given = run_config(values)
    _refuse_changes(given)
    data = {name: getattr(given.data, name) for name in _FREE}
    found = []
    for name in experiments():
        each = network(name)
        if (name in config.only) if config.only is not None else (config.long or not each.long):
            seen = each.run.data.model_copy(update=data)
            run = each.run.model_copy(update={"data": seen})
            found.append(Network(name, run, each.published))
    return found, config.only is None or FOREST in config.only


def _refuse_changes(given: RunConfig) -> None:
    usual = run_config(compose([])).parameters()
    for path, text in given.parameters().items():
        if path.removeprefix("data.") not in _FREE and text != usual[path]:
            raise ConfigError(
                f"{path}: the published networks are run as they are described (leave it out; "
                f"python -m pipeline.train +experiment=NAME {path}={text} runs a variation)"
            )
