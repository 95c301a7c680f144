"""A study is narrowed to its record in the open, or refused with a remedy."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from search.simulate.play import settings
from search.simulate.record import Record
from search.simulate.within import narrowed
from search.study.parse import parse
from tests.search.conftest import setup_of
from tests.search.simulate.records import record

RATE = {"low": 1e-4, "high": 1e-2, "log": True}


def space_of(dropout: Any, **train: Any) -> dict[str, Any]:
    return {"model": {"dropout": dropout}, "train": {"learning_rate": RATE, **train}}


@pytest.mark.parametrize(
    ("dropout", "kept"),
    [
        ({"low": 0.1, "high": 0.3}, {"low": 0.1, "high": 0.3}),
        ({"low": 0.1, "high": 0.9}, {"low": 0.1, "high": 0.6}),
        ({"low": 0.0, "high": 0.9, "step": 0.25}, None),
        ({"low": 0.0, "high": 0.75, "step": 0.25}, {"low": 0.0, "high": 0.5, "step": 0.25}),
        ([0.1, 0.5, 0.7], [0.1, 0.5]),
    ],
)
def test_what_the_record_has_not_is_left_out_and_said(dropout: Any, kept: Any) -> None:
    if kept is None:
        with pytest.raises(ConfigError, match="step"):
            setup_of(space=space_of(dropout))
        return
    space, said = narrowed(setup_of(space=space_of(dropout)), record())
    assert space["model"]["dropout"] == kept
    assert bool(said) == (kept != dropout)
    assert all("model.dropout is" in text for text in said)
    assert space["train"]["learning_rate"] == RATE


@pytest.mark.parametrize(
    ("overrides", "space", "word"),
    [
        ((), space_of([0.7, 0.8]), "study.space.model.dropout: the record made has 0.0 .. 0.6"),
        ((), space_of([0.1], batch_size=[64, 128]), "study.space.train.batch_size"),
        (
            ("train.batch_size=64",),
            space_of([0.1, 0.2]),
            "train.batch_size: the record made has 128",
        ),
        (
            ("model.dropout=0.9",),
            {"train": {"learning_rate": RATE}},
            "model.dropout: the record made has 0.0 .. 0.6",
        ),
        (
            ("train.learning_rate=null", "train.optimizer=schedulefreeadamw"),
            {"model": {"dropout": [0.1]}},
            "train.optimizer: the record",
        ),
        (
            ("train.learning_rate=0.02",),
            {"model": {"dropout": [0.1]}},
            "train.learning_rate: the record",
        ),
        (
            ("objective.cost=parameters", "sampler=nsga2", "pruner=none"),
            space_of([0.1, 0.2]),
            "objective.cost",
        ),
        (
            ("objective.metric=val_loss", "objective.direction=minimize"),
            space_of([0.1, 0.2]),
            "objective.metric",
        ),
        (("study.warm_start=[other]",), space_of([0.1, 0.2]), "study.warm_start"),
        (
            (),
            space_of(
                [0.1],
                momentum={"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
                optimizer=["sgd", "adam"],
            ),
            "study.space.",
        ),
    ],
)
def test_what_no_record_can_say_is_refused(
    overrides: tuple[str, ...], space: Any, word: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        narrowed(setup_of(*overrides, space=space), record())
    assert word in str(refused.value)


def test_one_number_that_is_fixed_is_a_place_in_the_record() -> None:
    space, said = narrowed(
        setup_of("model.dropout=0.25", space={"train": {"learning_rate": RATE}}), record()
    )
    assert (space, said) == ({"train": {"learning_rate": RATE}}, [])


def of_optimizers(high: float) -> Record:
    """The record, had it several optimizers, and rates up to `high`."""
    rate = {"low": 1e-4, "high": high, "log": True}
    space = {"train": {"learning_rate": rate, "optimizer": ["adam", "sgd"]}}
    return replace(record(), space=parse(space, record().base))


def test_a_rate_of_null_is_that_of_each_optimizer() -> None:
    study = setup_of("train.learning_rate=null", space={"train": {"optimizer": ["adam", "sgd"]}})
    space, said = narrowed(study, of_optimizers(high=0.01))
    assert (space, said) == ({"train": {"optimizer": ["adam", "sgd"]}}, [])
    paths = ("train.learning_rate", "train.optimizer")
    for optimizer, rate in (("adam", 0.001), ("sgd", 0.01)):
        found = settings(study.run, paths, {"train.optimizer": optimizer, "train.seed": 3})
        assert found == {"train.learning_rate": rate, "train.optimizer": optimizer}
    with pytest.raises(ConfigError, match=r"got null \(0.01 with sgd\)"):
        narrowed(study, of_optimizers(high=0.005))


def test_an_optimizer_that_the_record_has_not_asks_for_no_rate() -> None:
    study = setup_of("train.learning_rate=null", space={"train": {"optimizer": ["adam", "lion"]}})
    space, said = narrowed(study, of_optimizers(high=0.005))
    assert space == {"train": {"optimizer": ["adam"]}}
    assert len(said) == 1


def test_seeds_are_kept_though_no_record_varies_them() -> None:
    space, said = narrowed(setup_of(space=space_of([0.1], seed=[0, 1, 2])), record())
    assert (space["train"]["seed"], said) == ([0, 1, 2], [])
