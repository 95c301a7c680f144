"""What a trial that was pruned, or went on from another, is as one run."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.artifact.manifest import Inputs
from pipeline.command.compose import compose
from pipeline.data import Dataset
from pipeline.run.config import run_config as read_run_config
from pipeline.training.execute import execute
from search.artifacts import bundle
from search.artifacts.candidate import candidate
from search.rendering.page import command_for
from search.trial_table.lineage import whole_run
from tests.conftest import MakeRunConfig
from tests.search import made

# At 0.1 the loss falls for three epochs; at 0.3 the second is worse than the first, the fourth better.
SMALL = (
    "model.hidden_units=16",
    "train.epochs=6",
    "train.patience=1",
    "objective.metric=val_loss",
    "objective.direction=minimize",
)


@pytest.mark.parametrize(
    ("start", "rate", "schedule"), [(0, 0.1, "none"), (3, 0.3, "none"), (0, 0.1, "cosine")]
)
@pytest.mark.slow
def test_a_whole_run_ends_with_the_network_of_a_trial(
    run_config: MakeRunConfig, digits: Dataset, start: int, rate: float, schedule: str
) -> None:
    """Pruned after its second epoch, or gone on from the third of another, past where patience was out."""
    run = run_config(*SMALL, f"train.learning_rate={rate}", f"train.schedule={schedule}")
    train = run.train.model_copy(update={"epochs": start, "patience": None})
    if start:
        before = execute(run.model_copy(update={"train": train}), digits, lambda _: False)
        outcome = execute(run, digits, lambda _: False, before.state)
    else:
        outcome = execute(run, digits, lambda epoch: epoch.epoch == 2)
    continues = 7 if start else None
    entry = made.trial(0, result=outcome.result, run=run, continues=continues)
    settings = (whole_run(entry), entry.settings)
    again, configured = (
        execute(
            read_run_config(compose([f"{path}={text}" for path, text in each.items()])),
            digits,
            lambda _: False,
        )
        for each in settings
    )
    assert again.result.value == outcome.result.value != configured.result.value
    assert again.result.test == outcome.result.test
    for one, other in zip(again.weights, outcome.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_card_of_a_network_from_a_lane_names_what_trains_it_in_one(digits: Dataset) -> None:
    worker = {"backend": "jax", "lanes": "4"}
    entries = [replace(entry, worker={**entry.worker, **worker}) for entry in made.many(3)]
    chosen = candidate(made.about(), entries, None, 1)
    inputs = Inputs((8, 8), "float32", 0, 16)
    manifest = bundle._manifest(made.about(), chosen, digits, inputs, [])
    name = made.about().name
    assert manifest.retrain == f"python -m search.replay study.name={name} replay.trial=1"


def test_page_and_card_tell_how_to_train_that_network_again(digits: Dataset) -> None:
    entry = made.pruned(3)
    inputs = Inputs((8, 8), "float32", 0, 16)
    about = made.about()
    chosen = candidate(about, [*made.many(3), entry], None, entry.number)
    manifest = bundle._manifest(about, chosen, digits, inputs, [])
    for command in (command_for(entry, about.name, 3), manifest.retrain):
        assert "train.epochs=2" in command
        assert "objective.select=last" in command
    on_jax = replace(entry, worker={**entry.worker, "backend": "jax"})
    usual = command_for(entry, about.name, 3)
    assert command_for(on_jax, about.name, 3) == f"KERAS_BACKEND=jax {usual}"
    in_lane = replace(entry, worker={**on_jax.worker, "lanes": "4"})
    replayed = f"python -m search.replay study.name={about.name} replay.trial="
    assert command_for(in_lane, about.name, 3) == f"{replayed}3"
    assert command_for(in_lane, about.name, None) == f"{replayed}finalists"
    whole = replace(entry, result=made.result([0.4, 0.5]))
    assert "objective.select=last" not in command_for(whole, about.name, 3)
