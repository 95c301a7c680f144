"""search.replay suggestions=true: the engine of a study suggests and prunes the same trials again."""

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.cli import command
from pipeline.command.compose import to_yaml
from search.replay import main, spelled_out
from search.setup.read import Setup
from search.trial_table.trials import TrialTable
from tests.search.conftest import setup_of, study_of
from tests.search.engines.test_order import HYPERBAND, OPTUNA, SPACE, study

STEPS = {"model": {"dropout": {"low": 0.0, "high": 0.6, "step": 0.1}, "l2": [0.0, 0.1, 0.2, 0.3]}}
PRUNED = OPTUNA[2:]
FRONT = ("pruner=none", "objective.cost=train_seconds")
ENGINES: dict[str, tuple[str, ...]] = {
    "tpe, median": OPTUNA,
    "tpe, drawn seed": (*OPTUNA, "sampler.seed=null"),
    "random, asha": ("sampler=random", "pruner=asha", "pruner.reduction_factor=2"),
    "random, hyperband": ("sampler=random", "pruner=hyperband", "train.epochs=9"),
    "qmc, percentile": ("sampler=qmc", "pruner=percentile", "pruner.n_startup_trials=2"),
    "cmaes": ("sampler=cmaes", *PRUNED),
    "grid": ("sampler=grid", *PRUNED),
    "nsga2, two objectives": ("sampler=nsga2", "sampler.population_size=4", *FRONT),
    "tpe, two objectives": ("sampler=tpe", "sampler.n_startup_trials=4", *FRONT),
    "random oracle": ("engine=keras_tuner", "oracle=random"),
    "bayesian oracle": ("engine=keras_tuner", "oracle=bayesian", "oracle.num_initial_points=3"),
    "hyperband oracle": HYPERBAND,
    "grid oracle": ("engine=keras_tuner", "oracle=grid"),
}

SLOW = re.compile("^(?!tpe, median|hyperband oracle)")
"""All but one of each engine."""

Replay = Callable[..., tuple[int, str, str]]


def recorded(url: str, *words: str, workers: int = 2, space: Any = SPACE) -> TrialTable:
    """A study of 24 trials whose coordinator is killed now and then, as launches leave it."""
    setup = setup_of(*words, "study.order=fixed", space=space)
    study(setup, url, workers, chance=1, kills=0.02)
    return described(url, setup)


def described(url: str, setup: Setup) -> TrialTable:
    table = TrialTable.open(url, study_of(setup))
    table.describe(study_of(setup).about(to_yaml(setup.values), "python -m x"))
    return table


@pytest.fixture
def run(url: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    """Runs the command in a folder of its own: exit code, output, errors."""
    del workdir

    def replayed(*words: str) -> tuple[int, str, str]:
        given = (f"storage.url={url}", "tracking=none", "trial=none", "suggestions=true")
        code = command(spelled_out([*given, *words]), main, "search.replay", "", lambda _: "")
        said = capsys.readouterr()
        return code, said.out, said.err

    return replayed


def certificate() -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(Path("replay.json").read_text())
    return found[0]


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize(
    "engine",
    [pytest.param(e, marks=[pytest.mark.slow] if SLOW.search(e) else []) for e in ENGINES],
)
def test_every_engine_suggests_and_prunes_the_same_trials_again(
    engine: str, url: str, run: Replay
) -> None:
    table = recorded(url, *ENGINES[engine], space=STEPS if "grid" in engine else SPACE)
    states = [entry.state for entry in table.entries()]
    before = file_of(url).read_bytes()
    code, out, err = run()
    assert (code, err) == (0, ""), out
    pruned = states.count("pruned")
    assert ("oracle" in engine or "two" in engine) == (pruned == 0)
    said = f"identical (24 of 24 trials suggested again; {pruned} of {pruned} prunings)"
    assert f"test, its suggestions: {said}" in out
    assert certificate()["uid"] == table.uid
    assert file_of(url).read_bytes() == before, "the study is only read"


def test_a_study_whose_number_of_workers_changed_is_asked_in_the_order_that_each_trial_had(
    url: str, run: Replay
) -> None:
    setup = setup_of(*OPTUNA, "study.order=fixed", space=SPACE)
    for target, workers in ((8, 3), (16, 1), (24, 2)):
        study(setup, url, workers, target=target)
    described(url, setup)
    code, out, _ = run()
    assert (code, "24 of 24 trials suggested again" in out) == (0, True)


def test_a_parameter_that_is_another_is_named_with_both_values_and_does_not_spread(
    url: str, run: Replay
) -> None:
    table = recorded(url, "sampler=random", *PRUNED)
    value = table.entries()[7].params["model.dropout"]
    database = sqlite3.connect(file_of(url))
    with database:
        database.execute(
            "UPDATE trial_params SET param_value = 0.25 WHERE param_name = 'model.dropout' "
            "AND trial_id = (SELECT trial_id FROM trials WHERE number = 7)"
        )
    database.close()
    code, out, _ = run()
    assert code == 1
    assert "differs (23 of 24 trials suggested again; " in out
    assert f"first trial 7: model.dropout 0.25 recorded, {value!r} now" in out
    assert certificate()["first"] == [
        {"trial": 7, "name": "model.dropout", "recorded": 0.25, "now": value}
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pruner=none",), "0 of {} prunings"),
        (("sampler.seed=1",), "first trial 0: model.dropout "),
        (("sampler=random",), "trials suggested again"),
        (("engine=keras_tuner",), "first trial 0: model.dropout "),
    ],
)
def test_settings_of_a_later_launch_that_decide_otherwise_are_found(
    url: str, run: Replay, words: tuple[str, ...], said: str
) -> None:
    table = recorded(url, *OPTUNA)
    pruned = sum(entry.state == "pruned" for entry in table.entries())
    assert pruned
    kept = OPTUNA if words[0].startswith("sampler.") else ()
    described(url, setup_of(*kept, "study.order=fixed", *words, space=SPACE))
    code, out, _ = run()
    assert code == 1
    assert said.format(pruned) in out
    assert "asked with the settings of the study's latest launch" in out


def test_a_pruning_that_there_was_not_is_named(url: str, run: Replay) -> None:
    recorded(url, *OPTUNA[:2], "pruner=none")
    described(url, setup_of(*OPTUNA, "study.order=fixed", space=SPACE))
    code, out, _ = run()
    assert code == 1
    assert "differs (24 of 24 trials suggested again; 0 of 0 prunings, and " in out
    assert "pruned after epoch None recorded, " in out
    assert certificate()["others"] > 0


def test_trials_that_were_tried_again_are_a_doubt(url: str, run: Replay) -> None:
    table = recorded(url, *OPTUNA)
    failed = [entry for entry in table.entries() if entry.state == "failed"]
    assert table.retry_failed() == [entry.number for entry in failed]
    code, out, _ = run()
    assert ("tried again since" in out) == (code == 1)
    assert certificate()["doubts"]


def test_a_free_order_promises_nothing(url: str, run: Replay) -> None:
    setup = setup_of(*OPTUNA, space=SPACE)
    study(setup, url, 2)
    described(url, setup)
    code, _, err = run()
    assert code == 2
    assert "trial 0 of test was suggested by the results that were there at that moment" in err
    assert "study.order=fixed" in err
    assert not Path("replay.json").exists()


def test_a_setting_that_is_not_on_record_is_named(url: str, run: Replay) -> None:
    table = recorded(url, *OPTUNA)
    about = table.about()
    hidden = about.config.replace("multivariate: null", "multivariate: '***'")
    assert hidden != about.config
    table.describe(replace(about, config=hidden))
    code, _, err = run()
    assert code == 2
    assert "replay.suggestions: sampler.multivariate of test is not on record" in err
    assert not Path("replay.json").exists()


def test_settings_that_can_not_have_led_to_the_trials_are_told_with_the_first_that_differs(
    url: str, run: Replay
) -> None:
    recorded(url, *HYPERBAND)
    described(url, setup_of(*HYPERBAND, "oracle.factor=4", "study.order=fixed", space=SPACE))
    code, out, _ = run()
    assert code == 1
    assert "first trial 0: epochs " in out
    assert "the others can't be asked for: oracle: " in out


def test_a_launch_in_free_order_that_asked_for_nothing_changes_nothing(
    url: str, run: Replay
) -> None:
    recorded(url, *OPTUNA)
    described(url, setup_of(*OPTUNA, "study.order=free", space=SPACE))
    code, out, _ = run()
    assert (code, "24 of 24 trials suggested again" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("suggestions=false",), "replay.trial: none is for the suggestions alone"),
        (("suggestions=maybe",), "replay.suggestions: expected boolean"),
    ],
)
def test_what_asks_for_nothing_is_refused(
    url: str, run: Replay, words: tuple[str, ...], rule: str
) -> None:
    recorded(url, *OPTUNA)
    code, _, err = run(*words)
    assert (code, rule in err) == (2, True), err
