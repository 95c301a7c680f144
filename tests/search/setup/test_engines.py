"""An engine takes no setting of another engine's: who types one is told, a study's file may have it."""

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from search.setup.read import Setup, read

BY_ORACLE = (
    "it suggests by oracle=bayesian, grid, hyperband, random (leave it out, or set engine=optuna)"
)
BY_SAMPLER = (
    "it suggests by sampler=cmaes, grid, nsga2, qmc, random, tpe (leave it out, or set "
    "engine=keras_tuner)"
)


def setup(*words: str) -> Setup:
    """As a command reads what was typed."""
    values = compose(["+study=smoke", *words])
    values.typed = words
    return read(values, lambda: "")


@pytest.mark.parametrize("word", ["sampler=random", "sampler.seed=1", "++sampler.seed=1"])
def test_keras_tuner_takes_no_sampler(word: str) -> None:
    with pytest.raises(ConfigError) as raised:
        setup("engine=keras_tuner", word)
    assert str(raised.value) == f"{word}: engine=keras_tuner takes no sampler, {BY_ORACLE}"


@pytest.mark.parametrize("word", ["pruner=none", "pruner=hyperband", "~pruner.n_warmup_steps"])
def test_keras_tuner_takes_no_pruner(word: str) -> None:
    with pytest.raises(ConfigError) as raised:
        setup("engine=keras_tuner", word)
    assert str(raised.value) == f"{word}: engine=keras_tuner takes no pruner, {BY_ORACLE}"


@pytest.mark.parametrize("word", ["oracle=random", "oracle=grid", "oracle.seed=3", "~oracle.seed"])
def test_optuna_takes_no_oracle(word: str) -> None:
    """Be it the one that would be taken anyhow: it is not."""
    with pytest.raises(ConfigError) as raised:
        setup(word)
    assert str(raised.value) == f"{word}: engine=optuna takes no oracle, {BY_SAMPLER}"


def test_the_order_of_the_words_does_not_matter() -> None:
    with pytest.raises(ConfigError, match="takes no sampler"):
        setup("sampler=tpe", "engine=keras_tuner")


def test_a_study_whose_file_has_a_sampler_goes_with_keras_tuner_which_says_so() -> None:
    values = compose(["+study=dropout", "engine=keras_tuner", "oracle=bayesian"])
    assert read(values, lambda: "").words_on_engine() == (
        "engine=keras_tuner: the study's own GridSampler has no say, BayesianOracle suggests "
        "(oracle=NAME chooses another)."
    )


@pytest.mark.parametrize("words", [["engine=keras_tuner"], ["sampler=random"], []])
def test_of_a_sampler_that_has_a_say_or_is_nobodys_nothing_is_said(words: list[str]) -> None:
    assert setup(*words).words_on_engine() is None
