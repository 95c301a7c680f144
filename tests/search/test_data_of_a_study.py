"""What a study says of its data, and which data let it go on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.command.errors import ConfigError
from pipeline.data import Dataset, Split
from search.plots import trial
from search.rendering.page import page
from search.trial_table.trials import TrialTable
from tests.pipeline.datasets import save
from tests.search import made
from tests.search.conftest import Run, study

DOUBT = "labels: classes are <uneven>"


def recorded_before(url: str) -> None:
    """A study as it was recorded before `data.shuffle` and a scaling without validation rows."""
    table = TrialTable.open(url, study())
    storage, study_id = table._storage, table._study_id
    identity = storage.get_study_user_attrs(study_id)["identity"]
    del identity["fixed"]["data.shuffle"]
    storage.set_study_user_attr(study_id, "identity", identity)


def test_a_study_from_before_goes_on_where_nothing_differs(url: str) -> None:
    recorded_before(url)
    TrialTable.open(url, study())


def test_a_study_from_before_is_refused_another_order_of_its_rows(url: str) -> None:
    recorded_before(url)
    with pytest.raises(ConfigError, match=r"\n  data\.shuffle: false in the study, true now\n"):
        TrialTable.open(url, study("data.shuffle=true"))


def test_a_study_from_before_is_refused_another_scaling(url: str) -> None:
    recorded_before(url)
    now = study()
    scaling = "by the training rows without those for validation"
    rows = replace(now, dataset=replace(now.dataset, scaling=scaling))
    with pytest.raises(
        ConfigError, match=rf"scaling: by all training rows in the study, {scaling} now"
    ):
        TrialTable.open(url, rows)


def test_the_page_shows_what_should_be_known_of_the_data(tmp_path: Path) -> None:
    doubted = made.facts(made.many(3), dataset=replace(made.DATA, doubts=(DOUBT,)))
    title = "What to know of the data"
    assert f"{title}</h2><ul><li>labels: classes are &lt;uneven&gt;</li>" in page(doubted, tmp_path)
    assert title not in page(made.facts(made.many(3)), tmp_path)


def arrays(labels: object) -> dict[str, np.ndarray]:
    """Feature rows of noise, a hundred to train with and ten to test with."""
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.uniform(size=(100, 4)),
        "y_train": np.asarray(labels),
        "x_test": generator.uniform(size=(10, 4)),
        "y_test": np.arange(10) % 2,
    }


def test_a_study_of_sorted_rows_is_refused_and_creates_nothing(python: Run, tmp_path: Path) -> None:
    path = save(tmp_path, arrays(np.arange(100) // 50))
    done = python("-m", "search.optimize", "+study=smoke", "data=npz", f"data.path={path}")
    assert done.returncode == 2
    assert "are they sorted by label? (set data.shuffle=true" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_replication_on_sorted_rows_is_refused_and_creates_nothing(
    python: Run, tmp_path: Path
) -> None:
    path = save(tmp_path, arrays(np.arange(100) // 50))
    only = "replicate.only=[two_hidden128_sgd]"
    done = python("-m", "search.replicate", only, "data=npz", f"data.path={path}")
    assert done.returncode == 2
    assert "are they sorted by label? (set data.shuffle=true" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def images(*shape: int) -> Dataset:
    """Training images whose pixels count from -1 to 1, as many as the hardest examples need."""
    rows = Split(np.random.default_rng(0).uniform(-1, 1, (1400, *shape)), np.arange(1400) % 2)
    return Dataset("npz", "", rows, rows, 2, np.array(-1.0), np.array(1.0))


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((4, 6), (4, 6)), ((4, 6, 1), (4, 6)), ((1, 4, 6), (4, 6)), ((4, 1), (4, 1)),
     ((4, 6, 3), (4, 6, 3)), ((4, 6, 2), None), ((24,), None)],
)  # fmt: skip
def test_images_with_a_channel_are_shown_as_images(
    shape: tuple[int, ...], drawn: tuple[int, ...] | None
) -> None:
    dataset = images(*shape)
    assert trial.pictured(dataset.shape) == (drawn is not None)
    if drawn is not None:
        (axes,) = trial.hardest(made.trial(0), dataset).axes
        shown = axes.images[0].get_array()
        row = made.HARDEST[0].row
        pixels = dataset.train.features[row].reshape(drawn)
        np.testing.assert_allclose(shown, (pixels - pixels.min()) / np.ptp(pixels))


@pytest.mark.slow
def test_a_study_says_what_should_be_known_of_its_data_in_terminal_and_report(
    python: Run, tmp_path: Path
) -> None:
    path = save(tmp_path, arrays(np.arange(100) // 50))
    few = ("study.trials=1", "train.epochs=1", "tracking=none", "launcher.workers=1")
    choice = ("data=npz", f"data.path={path}", "data.shuffle=true", "train.batch_size=128")
    done = python("-m", "search.optimize", "+study=smoke", *choice, *few)
    assert done.returncode == 0, done.stderr
    line = "train.batch_size: 128 is more than the 80 rows to train on: an epoch is a single step"
    assert f"warning: {line}\n" in done.stderr
    assert python("-m", "search.report", "study.name=smoke").returncode == 0
    assert line in (tmp_path / "smoke.html").read_text()
