"""The published networks: which are run, what their table says, and that they still reach their figures."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from pipeline.data import Dataset, load
from pipeline.run.result import EpochMetrics
from pipeline.training.execute import execute
from pipeline.training.forest import ForestConfig, fit
from search.replication.comparison import Compared, as_json, as_markdown, as_text
from search.replication.networks import FOREST, chosen, experiments, network
from tests.conftest import RunPython

LONG = {"softmax_sgd", "two_hidden128_dropout_adam_200", "two_hidden128_dropout_sgd_250"}

TOLERANCE = 0.003
"""Seeds of most networks differ by about 0.001, and rounding on another machine by less."""

MEASURED = {
    # It has the published loss after 5 of its 20 epochs: the source seems to have trained less.
    "softmax_rmsprop": (0.9271, TOLERANCE),
    "hidden512_dropout": (0.9841, TOLERANCE),
    # It passes the published pair after 13 of its 20 epochs and goes on learning.
    "sigmoid128_raw_pixels": (0.9364, TOLERANCE),
    # It has the published pair after 10 of its 20 epochs and goes on learning.
    "two_hidden512_dropout": (0.9847, TOLERANCE),
    # 0.9799 is published. Seeds differ by 0.0015, and seed 0 has the least of five.
    "hidden512_rmsprop": (0.9790, TOLERANCE),
    # 0.977 is published. Seeds differ by 0.0038: the last epoch is luck. Twice that is allowed.
    "pyramid_512_256_128": (0.9789, 0.0076),
}
"""Mean test accuracy over seeds on MNIST, and how far seed 0 may be from it, of the networks that are not
held to what is published (one thread, TensorFlow, float32)."""


def never(_: EpochMetrics) -> bool:
    return False


def names(*overrides: str) -> tuple[list[str], bool]:
    networks, forest = chosen(compose(overrides))
    return [each.name for each in networks], forest


def test_all_that_is_quick_is_run_with_three_seeds() -> None:
    networks, forest = chosen(compose([]))
    assert [each.name for each in networks] == sorted(set(experiments()) - LONG)
    assert forest
    for each in networks:
        assert [run.train.seed for run in each.seeded] == [0, 1, 2]


def test_what_is_long_is_run_when_asked_and_once() -> None:
    networks, _ = chosen(compose(["replicate.long=true"]))
    assert [each.name for each in networks] == experiments()
    assert {each.name for each in networks if len(each.seeded) == 1} == LONG


def test_what_is_named_is_run_and_nothing_else() -> None:
    assert names("replicate.only=[softmax_rmsprop]") == (["softmax_rmsprop"], False)
    assert names("replicate.only=[softmax_sgd]") == (["softmax_sgd"], False), "long, but named"
    assert names(f"replicate.only=[{FOREST}]") == ([], True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("replicate.only=[softmax_rsmprop]", "did you mean `softmax_rmsprop`"),
        ("replicate.only=[forest]", "replicate.only: there is no 'forest'"),
        ("replicate.only=softmax_sgd", "replicate.only: expected"),
        ("replicate.long=1", "replicate.long: expected"),
        ("+replicate.longer=true", "replicate.longer: no such setting"),
        ("train.epochs=2", "train.epochs: the published networks are run as they are described"),
        ("data.scale=false", "data.scale: the published networks are run as they are described"),
    ],
)
def test_what_it_can_not_do_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(compose([override]))


def test_an_unknown_name_exits_2_and_creates_nothing(workdir: Path, run_python: RunPython) -> None:
    done = run_python("-m", "search.replicate", "replicate.only=[softmax]")
    assert done.returncode == 2
    assert done.stderr.startswith("error: replicate.only: there is no 'softmax'")
    assert list(workdir.iterdir()) == []


def test_images_may_lie_elsewhere_and_the_networks_keep_their_own_split() -> None:
    given = "replicate.only=[sigmoid128_raw_pixels]"
    (each,), _ = chosen(compose([given, "data.path=my.npz", "data.shuffle=true"]))
    assert each.run.data.path == "my.npz"
    assert (each.run.data.scale, each.run.data.test_split) == (False, 0.25)


COMPARED = [
    Compared(
        "two_hidden128_dropout_sgd_250",
        {"test_accuracy": 0.977, "test_loss": 0.08},
        [
            {"test_accuracy": 0.97, "test_loss": 0.1, "loss": 0.3},
            {"test_accuracy": 0.98, "test_loss": 0.2, "loss": 0.4},
        ],
        [10.0, 11.2],
    ),
    Compared("random_forest", {}, [{"test_accuracy": 0.9705}], [30.0]),
]


def test_the_table_sets_the_mean_and_its_spread_beside_the_published_figure() -> None:
    lines = as_text(COMPARED).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "network",
        "two_hidden128_dropout_sgd_250",
        "",
        "random_forest",
    ]
    cells = [" ".join(line.split()) for line in lines]
    assert cells[1].endswith(" test accuracy 0.9770 0.9750 ± 0.0071 -0.0020 11")
    assert cells[2] == "test loss 0.0800 0.1500 ± 0.0707 +0.0700"
    assert cells[3] == "random_forest test accuracy - 0.9705 - 30"
    assert max(map(len, lines)) <= 100


def test_the_markdown_table_has_the_same_cells() -> None:
    lines = as_markdown(COMPARED).splitlines()
    assert {line.count("|") for line in lines} == {7}
    assert lines[2] == (
        "| `two_hidden128_dropout_sgd_250` | test accuracy | 0.9770 | 0.9750 ± 0.0071 | -0.0020 | 11 |"
    )
    assert [line.strip("|").split("|")[0].strip() for line in lines[3:]] == ["", "`random_forest`"]


def test_the_json_holds_every_digit_and_every_seed() -> None:
    first, second = json.loads(as_json(COMPARED))
    assert first["measured"]["test_loss"] == [0.1, 0.2]
    assert first["measured"]["loss"] == [0.3, 0.4]
    assert first["difference"]["test_accuracy"] == pytest.approx(-0.002)
    assert second == {
        "name": "random_forest",
        "published": {},
        "difference": {},
        "measured": {"test_accuracy": [0.9705]},
        "seconds": [30.0],
    }


def forest_config(**changes: Any) -> ForestConfig:
    values = {**compose([])["forest"], "n_estimators": 20, **changes}
    return validated(ForestConfig, values, "forest")


def test_a_forest_is_scikit_learns_on_all_training_rows(digits: Dataset) -> None:
    found = fit(forest_config(), digits, 1)
    expected = RandomForestClassifier(20, random_state=0).fit(
        digits.train.features.reshape(len(digits.train), -1) / 16, digits.train.labels
    )
    right = expected.predict(digits.test.features.reshape(len(digits.test), -1) / 16)
    accuracy = (right == digits.test.labels).mean()
    assert found.test.metrics["test_accuracy"] == pytest.approx(accuracy)
    assert set(found.test.metrics) == {"test_accuracy", "test_precision", "test_recall"}
    assert np.array(found.test.confusion).sum() == len(digits.test)
    assert found.final_metrics()["nodes"] > 20


def test_a_forests_settings_count_and_the_number_of_threads_does_not(digits: Dataset) -> None:
    one, two = (fit(forest_config(), digits, threads) for threads in (1, 2))
    assert one.test == two.test
    shallow = fit(forest_config(max_depth=2), digits, 1)
    assert shallow.nodes <= 20 * 7
    assert fit(forest_config(seed=1), digits, 1).test != one.test


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_estimators": 0}, "forest.n_estimators: expected 1 <="),
        ({"max_features": "all"}, "forest.max_features: expected 'sqrt' or 'log2', got all"),
        ({"n_estimator": 3}, "did you mean `forest.n_estimators`"),
    ],
)
def test_a_wrong_setting_of_the_forest_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        forest_config(**setting)


@pytest.mark.slow
def test_the_command_prints_and_logs_one_table(workdir: Path, run_python: RunPython) -> None:
    only = f"replicate.only=[softmax_rmsprop,sigmoid128_raw_pixels,{FOREST}]"
    done = run_python("-m", "search.replicate", "data=digits", "forest.n_estimators=20", only)
    assert done.returncode == 0, done.stdout + done.stderr
    with sqlite3.connect(workdir / "mlflow.db") as database:
        rows = database.execute("SELECT name, status, artifact_uri FROM runs").fetchall()
    assert {status for _, status, _ in rows} == {"FINISHED"}
    found = {name: Path(uri) for name, _, uri in rows}
    seeds = {
        f"{n} seed={s}" for n in ("softmax_rmsprop", "sigmoid128_raw_pixels") for s in range(3)
    }
    assert set(found) == {*seeds, FOREST, "comparison"}
    tree = json.loads((found["comparison"] / "comparison.json").read_text())
    assert [each["name"] for each in tree] == ["sigmoid128_raw_pixels", "softmax_rmsprop", FOREST]
    assert [len(each["measured"]["test_precision"]) for each in tree] == [3, 3, 1]
    assert (found["comparison"] / "comparison.md").read_text().startswith("| network | metric |")
    for name, folder in found.items():
        if name != "comparison":
            matrix = json.loads((folder / "confusion_test.json").read_text())["matrix"]
            assert sum(map(sum, matrix)) == 360, name
    assert "random_forest" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(experiments()) - LONG))
def test_a_quick_network_still_reaches_its_accuracy(name: str, mnist_path: Path) -> None:
    each = network(name)
    expected, tolerance = MEASURED.get(name, (each.published["test_accuracy"], TOLERANCE))
    run = each.run
    data = run.data.model_copy(update={"path": str(mnist_path)})
    run = run.model_copy(update={"data": data})
    result = execute(run, load(data), never).result
    assert result.test["test_accuracy"] == pytest.approx(expected, abs=tolerance)
