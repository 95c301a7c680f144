"""A study of a network of one's own, from the launch to a prediction, and what keeps networks apart."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.errors import ConfigError, PlumblineError
from pipeline.network import custom
from pipeline.run.config import RunConfig
from pipeline.run.custom import SOURCE
from search.setup.preflight import check_network
from search.study.identity import difference, identity
from search.workers.messages import Broken
from search.workers.worker import Trainer, described
from tests.conftest import MakeRunConfig, RunPython
from tests.search.conftest import setup_of, study_of

NETWORK = """
import keras
from keras import layers

def build(settings, shape, classes):
    if settings["filters"] > 90:
        raise ValueError("too many")
    inputs = keras.Input(shape)
    features = layers.Conv2D(settings["filters"], 3, activation="relu")(layers.Reshape((*shape, 1))(inputs))
    features = layers.Flatten()(layers.BatchNormalization(momentum=0.6)(features))
    return keras.Model(inputs, layers.Dense(classes, "softmax")(features))
"""
WORDS = ("model=custom", "model.build=mine.network:build", "model.settings.filters=4")
SPACE = {"model": {"settings": {"filters": [4, 6]}}}


@pytest.fixture
def module(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`mine/network.py` in the working folder, which this process forgets afterwards."""
    (workdir / "mine").mkdir()
    file = workdir / "mine" / "network.py"
    file.write_text(NETWORK)
    monkeypatch.syspath_prepend(workdir)
    yield file
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]
    custom._made.cache_clear()


def test_a_study_whose_network_has_changed_is_another(module: Path) -> None:
    study = study_of(setup_of(*WORDS, space=SPACE))
    before = identity(study)
    assert difference(before, identity(study)) == ""
    module.write_text(NETWORK + "# changed\n")
    assert "model.build, its source: " in difference(before, identity(study))


@pytest.mark.usefixtures("module")
def test_a_worker_that_does_not_have_the_network_says_so_before_it_takes_a_trial_up(
    run_config: MakeRunConfig,
) -> None:
    worker = Trainer(lambda *_: pytest.fail("trains"), {"device": "cpu"})
    told = described(run_config(*WORDS), worker)
    assert isinstance(told, dict)
    assert (told["device"], len(told[SOURCE])) == ("cpu", 64)
    elsewhere = run_config(*WORDS, "model.build=mine.elsewhere:build")
    broken = described(elsewhere, worker)
    assert isinstance(broken, Broken)
    assert broken.reason.startswith("model.build: there is no module mine.elsewhere here")
    assert described(run_config(), worker) is worker.about


@pytest.mark.usefixtures("module")
def test_the_launch_names_what_is_missing_without_starting_anything(
    run_config: MakeRunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("starts a process"))
    setup = setup_of(*WORDS, "model.build=mine.network:bild", space=SPACE)
    with pytest.raises(ConfigError, match=r"mine\.network has no bild"):
        check_network(setup.run, setup.space, _data(), 60)
    house: RunConfig = run_config()
    check_network(house, setup.space, _data(), 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "text", "rule"),
    [
        (SPACE, NETWORK, None),
        ({"model": {"settings": {"filters": [4, 91]}}}, NETWORK, "filters=91: model.build: mine.ne"),
        (SPACE, NETWORK.replace('"softmax"', "None"), "expected probabilities"),
        (SPACE, "import nothing_like_it\nbuild = 3\n", "can't be imported: ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_the_network_is_made_once_at_every_bound_before_anything_is_created(
    module: Path, space: dict[str, Any], text: str, rule: str | None
) -> None:
    module.write_text(text)
    setup = setup_of(*WORDS, space=space)
    if rule is None:
        check_network(setup.run, setup.space, _data(), 120)
        return
    with pytest.raises(ConfigError) as raised:
        check_network(setup.run, setup.space, _data(), 120)
    assert rule in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(PlumblineError, match="not made within"):
        check_network(setup.run, setup.space, _data(), 0.01)


def _data() -> Any:
    from pipeline.command.compose import compose
    from pipeline.data import load
    from pipeline.run.config import run_config

    return load(run_config(compose(["data=digits"])).data)


@pytest.mark.slow
def test_a_network_of_ones_own_goes_the_whole_way(
    module: Path, workdir: Path, run_python: RunPython
) -> None:
    """Searched, replayed, exported, trained again by its card's command; then its file changes."""

    def command(*words: str, code: int = 0) -> str:
        done = run_python("-m", *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    launch = (
        *("search.optimize", "data=digits", *WORDS, "study.name=own", "study.trials=2"),
        *("train.epochs=2", "tracking=none", "launcher.workers=1", "sampler=grid"),
        *("study.space={model: {settings: {filters: [4, 6]}}}", "pruner=none"),
    )
    command(*launch)
    assert "identical" in command("search.replay", "study.name=own", "trial=best", "tracking=none")
    command("search.export", "study.name=own", "tracking=none")
    card = (workdir / "exports" / "own" / "MODEL_CARD.md").read_text()
    manifest = json.loads((workdir / "exports" / "own" / "manifest.json").read_text())
    assert "The network of `mine.network:build`" in card
    assert len(manifest["trained_on"][SOURCE]) == 64
    again = manifest["retrain"].split()[2:]
    said = command(*again, "tracking=none")
    assert f"test_accuracy {manifest['test']['test_accuracy']:.4f}" in said
    module.write_text(NETWORK.replace('"relu"', '"tanh"'))
    assert "model.build, its source" in command(
        *launch[:-1], "study.trials=3", "pruner=none", code=2
    )
    said = command("search.replay", "study.name=own", "trial=0", "tracking=none", code=1)
    assert f"what changed since: {SOURCE} {manifest['trained_on'][SOURCE]} -> " in said
    module.unlink()
    assert "there is no module mine.network here" in command(*again, "tracking=none", code=2)
