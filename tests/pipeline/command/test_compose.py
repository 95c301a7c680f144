"""The configuration files, and what Hydra refuses, in words that help."""

from pathlib import Path

import pytest

from pipeline.command.compose import CONF, build, compose, maker, to_yaml
from pipeline.command.errors import ConfigError
from pipeline.run.config import run_config as read_run_config

FILES = sorted(CONF.rglob("*.yaml"))
OPTIONS = [file.relative_to(CONF).with_suffix("").as_posix() for file in FILES]
OPTIONS.remove("config")
STUDIES = [option for option in OPTIONS if option.startswith("study/")]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_validates(option: str) -> None:
    group, name = option.split("/")
    overrides = [f"{group}={name}"]
    if option == "data/npz":
        overrides.append("data.path=mine.npz")
    if option == "model/custom":
        overrides.append("model.build=mine.network:build")
    if option == "sampler/grid":
        overrides.append("study=dropout")
    values = compose(overrides)
    read_run_config(values)
    if group in {"engine", "launcher", "tracking", "data"}:
        assert values[group]["name"] == name
    if group == "pruner":
        build(values["pruner"], "pruner")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_every_file_opens_with_its_purpose_and_its_command(file: Path) -> None:
    lines = file.read_text().splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    comments = [line for line in lines[:end] if not line.startswith("# @package")]
    assert len(comments) >= 2
    assert "python -m" not in comments[0], "the first line says what it is"
    assert any("python -m" in line for line in comments[1:])


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_file_asks_a_question(study: str) -> None:
    values = compose([study.replace("/", "=")])["study"]
    assert values["question"].endswith("?")
    assert values["name"] == study.removeprefix("study/")
    assert values["space"]
    assert values["question"] in (CONF / f"{study}.yaml").read_text().splitlines()[1]


def test_there_are_studies_to_choose_from() -> None:
    assert "study/dropout" in STUDIES
    assert "study/smoke" in STUDIES


def test_a_study_is_chosen_with_and_without_a_plus() -> None:
    values = compose(["study=dropout"])
    assert values["study"]["name"] == "dropout"
    assert values == compose(["+study=dropout"])


def test_overrides_win_over_the_study_file() -> None:
    values = compose(["study=smoke", "train.epochs=3", "study.trials=2", "model.depth=4"])
    assert (values["train"]["epochs"], values["study"]["trials"]) == (3, 2)
    assert values["model"]["depth"] == 4
    assert values["data"]["name"] == "digits"


def test_interpolations_are_resolved() -> None:
    assert compose(["pruner=hyperband", "train.epochs=7"])["pruner"]["max_resource"] == 7


def test_the_tracking_uri_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert compose([])["tracking"]["uri"] == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert compose([])["tracking"]["uri"] == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("data=digit", ["data: ", "'digit'", "digits, mnist, npz", "did you mean `digits`?"]),
        ("study=dropot", ["study: ", "'dropot'", "did you mean `dropout`?"]),
        ("sampler=tpee", ["sampler: ", "'tpee'", "did you mean `tpe`?"]),
        ("model.droput=0.1", ["model.droput: no such setting", "did you mean `model.dropout`?"]),
        ("modle.dropout=0.1", ["modle.dropout: ", "did you mean `model.dropout`?"]),
        ("+modle.dropout=0.1", ["modle: no such setting", "did you mean `model`?"]),
        ("+anything=1", ["anything: no such setting"]),
        ("experiment=anything", ["experiment"]),
        ("model.dropout", ["model.dropout", "expected KEY=VALUE"]),
        ("model=null", ["model: expected one of custom, mlp, got null"]),
        ("model.dropout=???", ["model.dropout"]),
    ],
)
def test_a_refused_override_is_one_clear_error(override: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        compose([override])
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize("option", ["oracle=grid", "engine=keras_tuner oracle=grid", "+study=grid"])
def test_a_setting_that_another_option_has_is_not_suggested_again(
    tmp_path: Path, option: str
) -> None:
    conf = _copy_of_conf(tmp_path)
    chosen = "# @package _global_\ndefaults: [{override /oracle: grid}]\n"
    (conf / "study" / "grid.yaml").write_text(chosen)
    with pytest.raises(ConfigError) as raised:
        compose([*option.split(), "train.epochs=3", "oracle.seed=0"], conf)
    assert str(raised.value) == f"oracle.seed: no such setting with {option}"


def test_a_key_that_the_run_does_not_know_is_refused_even_with_a_plus() -> None:
    with pytest.raises(ConfigError, match=r"train.epoch: no such setting .*`train.epochs`"):
        read_run_config(compose(["+train.epoch=3"]))


def test_a_study_file_with_an_unknown_section_is_refused(tmp_path: Path) -> None:
    conf = _copy_of_conf(tmp_path)
    (conf / "study" / "typo.yaml").write_text("# @package _global_\nmodle: {depth: 1}\n")
    with pytest.raises(ConfigError, match=r"modle: no such setting .*`model`"):
        compose(["study=typo"], conf)


def test_a_file_that_is_no_yaml_is_one_clear_error(tmp_path: Path) -> None:
    conf = _copy_of_conf(tmp_path)
    (conf / "study" / "torn.yaml").write_text("# @package _global_\nmodel: [1\n")
    with pytest.raises(ConfigError, match=r"torn.yaml.*line"):
        compose(["study=torn"], conf)


def test_a_constructor_refusal_is_a_configuration_error_in_its_own_words() -> None:
    spec = {"_target_": "optuna.pruners.PercentilePruner", "percentile": 250}
    with pytest.raises(ConfigError, match=r"pruner: optuna.pruners.PercentilePruner: .*250"):
        build(spec, "pruner")


def test_what_lies_within_what_is_made_is_shared_by_no_two() -> None:
    """It may be an object with a random state. Where all is plain, the class is looked up once."""
    plain = {"_target_": "types.SimpleNamespace", "seed": 0}
    for inner in (plain, [plain]):
        make = maker({**plain, "inner": inner}, "sampler")
        one, other = make(seed=1), make(seed=2)
        assert (one.seed, other.seed) == (1, 2)
        assert one.inner is not other.inner
    assert vars(maker(plain, "sampler")(seed=1)) == {"seed": 1}


def test_printed_configuration_composes_to_the_same_values(tmp_path: Path) -> None:
    values = compose(["study=smoke", "model.hidden_units=[3,4]"])
    (tmp_path / "config.yaml").write_text("# printed\n" + to_yaml(values))
    assert compose([], tmp_path) == values


def _copy_of_conf(folder: Path) -> Path:
    for file in FILES:
        copy = folder / "conf" / file.relative_to(CONF)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    return folder / "conf"


def test_a_home_that_hydra_can_not_read_is_told_in_the_shells_words() -> None:
    with pytest.raises(ConfigError, match=r"write data\.path=\$HOME/mnist\.npz$"):
        compose(["data.path=~/mnist.npz"])


@pytest.mark.parametrize(
    "override",
    ["objective.metric=Größe?", "tracking.name=a{b", "model.hidden_units=[1,", "train.epochs"],
)
def test_what_hydra_can_not_read_is_named_with_what_to_write(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    told = str(caught.value)
    assert "Exception" not in told
    assert override.partition("=")[2] in told
    assert "quoted twice" in told or "expected KEY=VALUE" in told
