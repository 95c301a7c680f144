"""What is typed: texts as they are meant, the space in the user's words, and what can't be taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.cli import command
from pipeline.command.compose import Composed, compose, from_yaml, to_yaml
from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from pipeline.run.config import TrainConfig

SMOKE = "study=smoke"
DROPOUT = "study.space.model.dropout"
UNITS = "study.space.model.hidden_units"
FILES = {
    "config.yaml": """
defaults: [_self_, model: mlp, train: default, sampler: tpe]
objective: {metric: val_accuracy}
study: {name: null, question: null, trials: 20, on_end: null, warm_start: [], space: {},
  summary: "mlruns/${study.name}.json"}
data: {path: null}
report: {path: null, studies: null}
export: {formats: [keras]}
cron: null
run: null
""",
    "model/mlp.yaml": "{hidden_units: 128, depth: 2, dropout: 0.0, activation: relu, l2: 0.0}",
    "train/default.yaml": "{optimizer: adam, epochs: 20, learning_rate: null, patience: null}",
    "sampler/tpe.yaml": "{name: tpe}",
    "sampler/random.yaml": "{name: random}",
    "sampler/grid.yaml": "{name: grid}",
    "study/dropout.yaml": "# @package _global_\nstudy: {name: dropout}",
    "experiment/softmax_sgd.yaml": "# @package _global_\nmodel: {depth: 0}",
    "study/smoke.yaml": """# @package _global_
train: {epochs: 8}
study:
  name: smoke
  space:
    model: {hidden_units: [32, 64, 128], dropout: {low: 0.0, high: 0.5}}
    train: {learning_rate: {low: 0.0001, high: 0.01, log: true}}
""",
}
"""A configuration with the names of conf/, and little enough to be composed a hundred times."""


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _composed_from(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.command.compose._folder", conf)


def composed(words: Sequence[str]) -> Composed:
    return compose([SMOKE, *words])


def space_of(*words: str) -> dict[str, Any]:
    space: dict[str, Any] = composed(words)["study"]["space"]
    return space


@pytest.mark.parametrize(
    "name", ["20261127", "nan", "1_1", "true", "größe", "1e3", "0x10", "2026-11-27", "inf", "007"]
)
def test_a_name_is_the_text_that_was_typed_whatever_it_looks_like(name: str) -> None:
    values = composed([f"study.name={name}"])
    assert values["study"]["name"] == name
    assert values["study"]["summary"] == f"mlruns/{name}.json"
    assert from_yaml(to_yaml(values))["study"]["name"] == name


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("study.question=Größe: this (or that), what's better?", None),
        ("study.question=ends with a \\", None),
        ('study.question="a, b"', "a, b"),
        ("data.path=/tmp/MNIST (1).npz", None),
        ("study.on_end=echo a, b", None),
        ("cron=0 6 * * 1,5", None),
        ("run=1e9", None),
        ("report.path=2026", None),
        ("study.warm_start=20261127", None),
        ("study.question=${study.name}, again?", "smoke, again?"),
    ],
)
def test_a_text_needs_no_quotes_beside_the_shells(word: str, text: str | None) -> None:
    path, _, typed = word.partition("=")
    value: Any = composed([word])
    for name in path.split("."):
        value = value[name]
    assert value == (typed if text is None else text)


@pytest.mark.parametrize("setting", ["study.warm_start", "report.studies"])
@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("[20261127,nan]", ["20261127", "nan"]),
        ("[007, 1_1 ,true,größe]", ["007", "1_1", "true", "größe"]),
        ("['a',\"b\",null]", ["a", "b", "null"]),
        ("[]", []),
        ("[a]", ["a"]),
    ],
)
def test_names_in_a_list_are_texts_too(setting: str, typed: str, names: list[str]) -> None:
    section, _, name = setting.partition(".")
    assert composed([f"{setting}={typed}"])[section][name] == names


def test_null_is_no_name() -> None:
    assert composed(["study.name=null"])["study"]["name"] is None


@pytest.mark.parametrize(
    ("word", "leaf"),
    [
        (f"{DROPOUT}=[0.1,0.2]", [0.1, 0.2]),
        (f"{DROPOUT}={{low: 0, high: 0.3, step: 0.1}}", {"low": 0, "high": 0.3, "step": 0.1}),
        (f"+{DROPOUT}=[0.1]", [0.1]),
        (f"{DROPOUT}.high=0.3", {"low": 0.0, "high": 0.3}),
        (f"+{DROPOUT}.step=0.1", {"low": 0.0, "high": 0.5, "step": 0.1}),
        (f"++{DROPOUT}={{step: 0.1}}", {"low": 0.0, "high": 0.5, "step": 0.1}),
        (f"{DROPOUT}=[0.1,${{model.dropout}}]", [0.1, 0.0]),
    ],
)
def test_what_is_typed_of_a_dimension_takes_its_place(word: str, leaf: object) -> None:
    assert space_of(word)["model"] == {"hidden_units": [32, 64, 128], "dropout": leaf}


def test_a_list_becomes_a_range() -> None:
    assert space_of(f"{UNITS}={{low: 8, high: 64}}")["model"]["hidden_units"] == {
        "low": 8,
        "high": 64,
    }


def test_a_space_that_is_typed_takes_the_place_of_the_studys() -> None:
    assert space_of("study.space={train: {epochs: [1, 2]}}") == {"train": {"epochs": [1, 2]}}
    more = space_of("+study.space={train: {epochs: [1, 2]}, model: {dropout: {high: 0.3}}}")
    assert set(more["train"]) == {"learning_rate", "epochs"}
    assert more["model"]["dropout"] == {"low": 0.0, "high": 0.3}


def test_a_dimension_is_added_without_a_plus_and_taken_out_with_a_tilde() -> None:
    assert space_of("study.space.model.l2=[0.0,0.1]")["model"]["l2"] == [0.0, 0.1]
    assert "dropout" not in space_of(f"~{DROPOUT}")["model"]
    assert space_of(f"~{DROPOUT}", f"+{DROPOUT}=[0.1]")["model"]["dropout"] == [0.1]
    assert space_of("~study.space", f"{DROPOUT}=[0.1]") == {"model": {"dropout": [0.1]}}


def test_a_key_with_dots_in_a_file_is_the_same_dimension() -> None:
    words = ["study.space={model.dropout: {low: 0, high: 0.5}}", f"{DROPOUT}.high=0.3"]
    assert space_of(*words) == {"model.dropout": {"low": 0, "high": 0.3}}


def test_the_last_word_for_a_setting_counts() -> None:
    assert compose(["train.epochs=1", "train.epochs=2"])["train"]["epochs"] == 2
    assert compose(["sampler=grid", "sampler=random"])["sampler"]["name"] == "random"


@pytest.mark.parametrize("words", [["+sampler=random"], ["++sampler=random"], ["sampler=random"]])
def test_an_option_is_chosen_with_any_plus(words: list[str]) -> None:
    assert compose(words)["sampler"]["name"] == "random"


REFUSED = [
    # the space
    (f"{UNITS}.low=32", f"lists choices, [32,64,128], nothing is below them ('{UNITS}={{low: ..., high"),
    (f"{UNITS}.0=32", f"{UNITS}.0: {UNITS} lists choices"),
    (f"{DROPOUT}=0.1,0.2", f"('{DROPOUT}=[0.1,0.2]')"),
    (f"{DROPOUT}=[0.1, | 0.2]", f"put it in quotes: '{DROPOUT}=[0.1, 0.2]'"),
    (f"{DROPOUT}=low:0 | {DROPOUT}=high:1", f"'{DROPOUT}={{low: ..., high: ...}}'"),
    (f"{DROPOUT}={{low=0,high=0.3}}", "a colon and a space for each ="),
    (f"~{UNITS[:-1]}", f"did you mean `{UNITS}`?"),
    (f"~{DROPOUT}.low=7", f"{DROPOUT}.low: is 0.0, not 7"),
    ("study.sapce.model.l2=[0.1]", "study.sapce.model.l2: no such setting (did you mean `study.space`?)"),
    ("study={space: {}}", "study.space: expected in a word of its own"),
    # more than one value
    ("train.optimizer=sgd,adam", "'study.space.train.optimizer=[sgd,adam]'"),
    ("train.optimizer=choice(sgd,adam)", "'study.space.train.optimizer=[sgd,adam]'"),
    ("model.dropout=interval(0,0.5)", "'study.space.model.dropout={low: 0, high: 0.5}'"),
    ("train.epochs=range(1,9,2)", "'study.space.train.epochs={low: 1, high: 9, step: 2}'"),
    ("study.trials=5,10", "run the command once for each"),
    ("export.formats=keras,onnx", "'export.formats=[keras,onnx]'"),
    ("sampler=tpe,grid", "run the command once for each"),
    # what the shell, or another tool's habit, makes of a word
    ("dropout", "study=dropout asks the question of that file, study.name=dropout"),
    ("tpe", "tpe: expected KEY=VALUE (sampler=tpe)"),
    ("dropuot", "did you mean `study=dropout`?"),
    ("study.trials | 5", "(study.trials=5)"),
    ("study.trials | = | 5", "(study.trials=5)"),
    ("study.trials= | 5", "(study.trials=5)"),
    ("study.trials | =5", "(study.trials=5)"),
    ("study.trials==5", "(study.trials=5)"),
    ("study.trials:5", "(study.trials=5)"),
    ("", "expected KEY=VALUE, got ''"),
    ("=5", "=5: expected KEY=VALUE"),
    ("model.hidden_units={64,32}", "'model.hidden_units=[64,32]'"),
    ("model.dropout=foo(1)", "Hydra can't call foo(...)"),
    ("model.dropout=[0.1", "the [ is not closed"),
    ("model.dropout=0.1]", "a ] closes what is not open"),
    ('model.activation="relu', 'the " is not closed'),
    ("mödel.dropout=1", "did you mean `model.dropout`?"),
    ("model..dropout=1", "did you mean `model.dropout`?"),
    # groups
    ("model=5", "model: expected one of mlp, got 5"),
    ("study=dropout", "study: expected one, got smoke and dropout"),
    ("experiment=softmax_sgd.yaml", "did you mean `softmax_sgd`?"),
    ("model@train=mlp", "(model=...)"),
    ("~sampler=grid", "(leave =grid out)"),
    # settings
    ("+study.trials=5", "study.trials: is there already, and a + only adds what is not (leave the + out"),
    ("model.dropout.x=1", "model.dropout.x: model.dropout is 0.0, nothing is below it"),
    ("~train.epoch", "did you mean `train.epochs`?"),
    ("~train.epochs=3", "train.epochs: is 8, not 3"),
    ("model={deph: 3}", "model.deph: no such setting (did you mean `model.depth`?)"),
    ("objective=[1]", "objective: expected settings below it (objective.NAME=...), got [1]"),
    ("train.epochs=${model.deph}", "train.epochs: expected a setting between ${ and }, got model.deph"),
    ("train.epochs=${oc.env:NOPE}", "train.epochs: the environment has no NOPE"),
    ("train.epochs=${nope:1}", "train.epochs: can't be worked out: Unsupported interpolation type"),
    ("train.epochs=${train.epochs}", "train.epochs: can't be worked out: Recursive"),
    ('train.epochs="${model.depth"', "train.epochs: expected the name of a setting between ${ and }"),
    ("export.formats={keras: 1}", "expected a list, got {keras: 1} ('export.formats=[{keras: 1}]')"),
    ("model.dropout=???", "model.dropout: is missing"),
    # Hydra's own
    ("hydra.run.dir=/tmp/x", "hydra.run.dir: Hydra only composes the configuration here"),
    ("hydra/launcher=basic", "hydra/launcher: Hydra only composes"),
    ("+hydra.verbose=true", "hydra.verbose: Hydra only composes"),
    ("hydra.searchpath=[/tmp]", "--config-dir FOLDER"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "told"), REFUSED)
def test_a_refused_word_is_named_with_the_rule_and_the_remedy(typed: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(typed.split(" | "))
    message = str(caught.value)
    assert told in message
    assert not any(word in message for word in ("Error merging", "Exception", "full_key", "viable"))


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--trials 5", "study.trials=5"),
        ("--trials=5", "study.trials=5"),
        ("--study.trials=5", "study.trials=5"),
        ("--study dropout", "study=dropout"),
        ("--learning-rate 0.1", "train.learning_rate=0.1"),
        ("--epoch 3", "train.epochs=3"),
        ("-n 5", "KEY=VALUE"),
        ("-m train.optimizer=sgd,adam", "put it in the space: 'study.space.train.optimizer=[sgd,adam]'"),
        ("--multirun", "put it in the space"),
        ("--config-name x", "study=NAME"),
        ("-cd x", "--config-dir FOLDER"),
        ("--conf-dir x", "did you mean `--config-dir`?"),
        ("--config-dir", "expected a folder"),
        ("--resolve", "--cfg prints the configuration"),
    ],
)  # fmt: skip
def test_an_option_that_there_is_not_is_answered_with_the_override_for_it(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(values: dict[str, Any]) -> int:
        raise AssertionError(values)

    assert command([SMOKE, *typed.split()], never, "search.optimize", "", lambda _: "") == 2
    assert told in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize("given", ["[sgd,adam]", "{low: 0, high: 1}"])
def test_a_list_for_one_value_is_sent_to_the_space(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validated(TrainConfig, composed([f"train.patience={given}"])["train"], "train")
    assert f"'study.space.train.patience={given}'" in str(caught.value)


def test_a_study_may_stand_in_any_folder_of_that_name(workdir: Path) -> None:
    (workdir / "my own" / "study").mkdir(parents=True)
    file = workdir / "my own" / "study" / "mine.yaml"
    file.write_text("# @package _global_\nstudy: {name: mine}\n")
    for word in (f"+study={file.relative_to(workdir)}", f"study={file}"):
        assert compose([word])["study"]["name"] == "mine"
    with pytest.raises(ConfigError, match=r"study: there is no file my/study/other\.yaml"):
        compose(["+study=my/study/other.yaml"])
    elsewhere = file.rename(workdir / "mine.yaml")
    with pytest.raises(ConfigError, match="a folder that is called study"):
        compose([f"+study=./{elsewhere.name}"])
