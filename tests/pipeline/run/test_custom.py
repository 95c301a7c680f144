"""A network of one's own, as it is described: what can be told of it without importing it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.run.comparable import spoils
from pipeline.run.config import RunConfig, as_words, run_config
from pipeline.run.custom import SOURCE, CustomConfig, source_of
from pipeline.run.fingerprint import fingerprint
from search.study.parse import parse
from search.trial_table.rows import _run

CUSTOM = ("data=digits", "model=custom", "model.build=mine.network:build")
SETTINGS = (
    "model.settings.filters=16", "model.settings.deep={rate: 0.5, name: relu, on: true, of: null}",
    "model.settings.widths=[3,5]",
)  # fmt: skip


def custom(*words: str) -> RunConfig:
    return run_config(compose([*CUSTOM, *words]))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`mine/network.py`, which can't be imported: nor can the package around it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    file = tmp_path / "mine" / "network.py"
    file.write_text("raise RuntimeError('imported')\n\ndef build(settings, shape, classes): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    return file


def test_settings_are_a_tree_that_can_be_typed_and_comes_back() -> None:
    run = custom(*SETTINGS)
    assert isinstance(run.model, CustomConfig)
    assert run.model.settings == {
        "filters": 16,
        "deep": {"rate": 0.5, "name": "relu", "on": True, "of": None},
        "widths": [3, 5],
    }
    words = as_words(run.parameters())
    assert "model.settings.deep.rate=0.5" in words
    assert run_config(compose(words)) == run
    assert _run(run.model_dump(mode="json")) == run, "as a row has it"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["model.build=null"], "model.build: is missing (model.build=package.module:function)"),
        (["model.build=mine.network"], "package.module:function, got mine.network"),
        (["model.build=7"], "got 7"),
        (["model.build='/tmp/x.py:build'"], "got /tmp/x.py:build"),
        (["model.settings=3"], "model.settings: expected settings below it"),
        (["model.settings={a b: 3}"], "expected names of letters, digits and _, got 'a b'"),
        (["model.settings={a: [{b: 3}]}"], "model.settings.a: expected a list of plain values"),
        (["model.settings.rate=nan"], "model.settings.rate: expected a finite number, got nan"),
        (["model.dropout=0.5"], "model.dropout: no such setting"),
        (["+model.dropout=0.5"], "model.dropout: no such setting"),
    ],
)
def test_what_describes_no_network_is_refused_in_one_line(words: list[str], rule: str) -> None:
    with pytest.raises(ConfigError) as raised:
        custom(*words)
    message = str(raised.value)
    assert rule in message
    assert len(message.splitlines()) == 1
    assert "did you mean `model.dropout`" not in message


def test_an_mlp_has_no_settings_of_ones_own() -> None:
    with pytest.raises(ConfigError, match=r"model\.settings: no such setting"):
        run_config(compose(["data=digits", "model.settings.filters=3"]))


def test_the_source_is_read_and_not_imported(module: Path) -> None:
    before = source_of(custom().model)
    assert list(before) == [SOURCE]
    module.write_text(module.read_text() + "# changed\n")
    assert source_of(custom().model) != before
    assert source_of(run_config(compose(["data=digits"])).model) == {}, "of the house"


@pytest.mark.parametrize(
    ("build", "text", "rule"),
    [
        ("mine.other:build", None, "there is no module mine.other here"),
        ("nowhere:build", None, "there is no module nowhere here"),
        ("nowhere.at.all:build", None, "there is no module nowhere.at.all here"),
        ("mine.network.more:build", None, "there is no module mine.network.more here"),
        ("mine.network:bild", None, "mine.network has no bild (did you mean `build`?)"),
        ("mine.network:build", "def build(:\n", "mine.network, line 1: "),
        ("math:build", None, "math is no Python file"),
    ],
)
def test_what_is_not_there_is_told_without_importing_it(
    module: Path, build: str, text: str | None, rule: str
) -> None:
    if text is not None:
        module.write_text(text)
    with pytest.raises(ConfigError) as raised:
        source_of(CustomConfig(build=build, settings={}))
    assert str(raised.value).startswith("model.build: ")
    assert rule in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["build = lambda *_: None", "from other import build", "from other import *", "class build: ..."],
)  # fmt: skip
def test_a_name_may_be_defined_in_any_way(module: Path, text: str) -> None:
    module.write_text(f"{text}\n")
    assert source_of(custom().model)


def test_runs_differ_in_every_setting() -> None:
    texts = {fingerprint(custom(*words)) for words in ([], SETTINGS[:1], SETTINGS[:2])}
    assert len(texts) == 3
    assert fingerprint(custom("model.build=mine.network:other")) not in texts


def test_a_setting_may_be_a_penalty_or_a_dropout_for_all_one_knows() -> None:
    spoiled = {
        metric: spoils("model.settings.deep.rate", metric) is not None
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy")
    }
    assert spoiled == {"loss": True, "accuracy": True, "val_loss": True, "val_accuracy": False}


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        ({"low": 8, "high": 32, "step": 8}, "8 .. 32 step 8"),
        ({"low": 1, "high": 64, "log": True}, "1 .. 64 log"),
        ({"low": 0, "high": 0.5}, "0.0 .. 0.5"),
        ([8, 16], "[8,16]"),
        ([0, 0.5], "[0.0,0.5]"),
        (["relu", "tanh"], "[relu,tanh]"),
        ([True, False], "[true,false]"),
        ([[8, 8], [8, 16], 8], "[[8,8],[8,16],8]"),
        ([None, 3], "[null,3]"),
    ],
)
def test_a_setting_varies_over_what_it_is_given(leaf: Any, text: str) -> None:
    run = custom(*SETTINGS)
    space = parse({"model": {"settings": {"filters": leaf}}}, run)
    assert space.describe() == {"model.settings.filters": text}
    dimension = space.dimensions["model.settings.filters"]
    for value in dimension.probes():
        found = space.apply(run, {"model.settings.filters": dimension.canonical(_stored(value))})
        assert isinstance(found.model, CustomConfig)
        assert found.model.settings["filters"] == (
            list(value) if isinstance(value, tuple) else value
        )
        assert found.model.settings["deep"] == {"rate": 0.5, "name": "relu", "on": True, "of": None}


def _stored(value: Any) -> Any:
    from search.study.space import encode

    return encode(value)


@pytest.mark.parametrize(
    ("tree", "rule"),
    [
        ({"model": {"settings": {"filter": [1, 2]}}}, "no value to start from (set model.settings"),
        ({"model": {"dropout": [0.1, 0.2]}}, "study.space.model.dropout: no such setting to vary"),
        ({"model": {"hidden_units": {"layer1": [8]}}}, "layer1: no such setting to vary"),
        ({"model": {"build": ["a:b"]}}, "study.space.model.build: no such setting to vary"),
        ({"model": {"settings": {"filters": {"low": "a", "high": 3}}}}, "not a range"),
    ],
)
def test_a_space_of_what_the_network_does_not_have_is_refused(
    tree: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(tree, custom(*SETTINGS))
    assert rule in str(raised.value)
