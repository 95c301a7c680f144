"""One value has one spelling: in the space, the table, the engine's memory, conditions and identity."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optuna
import pytest

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from search.setup.read import Setup
from search.study.dimension import Range
from search.study.parse import parse
from search.study.vocabulary import Suggestion, Suggestions
from search.trial_table.trials import TrialTable
from tests.search.conftest import setup_of, study, study_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TYPED = ["0.1", "0.3", "0.5", "0.7"]
STEPPED: Mapping[str, Any] = {
    "model": {
        "dropout": {"low": 0.1, "high": 0.7, "step": 0.2},
        "l2": {"choices": [1.0e-3, 0.1], "when": {"model.dropout": [0.3, 0.7]}},
    },
    "train": {"momentum": [0, 0.5]},
}
ENGINES = [
    *[(f"sampler={name}",) for name in ("random", "tpe", "qmc", "cmaes")],
    *[("engine=keras_tuner", f"oracle={name}") for name in ("random", "bayesian", "hyperband")],
]


@pytest.fixture
def base(run_config: Callable[..., RunConfig]) -> RunConfig:
    return run_config("train.optimizer=sgd")


@pytest.mark.slow
@pytest.mark.parametrize("overrides", ENGINES, ids=lambda overrides: overrides[-1])
def test_a_stepped_float_is_the_decimal_that_a_person_would_type(
    overrides: tuple[str, ...], url: str
) -> None:
    """And a condition on it counts, for every engine; one made anew remembers the same values."""
    setup = setup_of(*overrides, "train.optimizer=sgd", space=STEPPED)
    table = TrialTable.open(url, study_of(setup))
    engine = setup.make_engine([], workers=1)
    for _ in range(16):
        answer = engine.ask(1)
        if not isinstance(answer, Suggestions):
            break
        (asked,) = answer.trials
        trial = table.create(asked, setup.space)
        assert trial.params == asked.params
        assert repr(asked.params["model.dropout"]) in TYPED
        assert repr(asked.params["train.momentum"]) in ("0.0", "0.5")
        counts = asked.params["model.dropout"] in (0.3, 0.7)
        assert ("model.l2" in asked.params) == counts
    read = TrialTable.open(url, study_of(setup)).entries()
    assert [repr(each.params) for each in read] == [repr(each.params) for each in table.entries()]
    assert {repr(each.params["model.dropout"]) for each in read} == set(TYPED)


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0.1, 0.7, 0.2), (0.0, 0.9, 0.1), (1e-5, 1e-4, 1e-5), (-0.0, 0.3, 0.1), (0, 1, 0.05)],
)
def test_every_step_is_written_in_as_few_digits_as_its_bounds(
    low: float, high: float, step: float
) -> None:
    span = Range(low=low, high=high, step=step)
    values = span.grid()
    assert values is not None
    assert len(values) == span.count
    assert (values[0], values[-1]) == (low, high)
    assert repr(values[0]) == repr(low + 0.0)
    for index, value in enumerate(values):
        assert len(f"{value:g}") <= 6
        assert float(f"{value:g}") == value
        assert span.canonical(low + index * step) == value  # as Optuna has it


@pytest.mark.parametrize(
    ("section", "leaf", "words"),
    [
        ("model.l2", [0, 0.0, 0.5], "got [0,0.0,0.5]: 0 and 0.0 are the same"),
        ("model.l2", [0.0, -0.0], "0.0 and -0.0 are the same"),
        ("model.l2", [0.001, 1e-3], "got [0.001,0.001]"),
        ("train.patience", [None, 2, None], "got [null,2,null]"),
        ("train.batch_size", [64, 64], "got [64,64]"),
        ("train.batch_size", [64, 64.0], "64 and 64.0 are the same"),
        ("train.learning_rate", [None, 1, 1.0], "1 and 1.0 are the same"),
        ("train.optimizer", ["adam", "adam"], "got [adam,adam]"),
        ("model.hidden_units", [64, [64, 64]], "64 and [64,64] are the same"),
        ("model.hidden_units", [[64, 64], 32, 64], "[64,64] and 64 are the same"),
    ],
)
@pytest.mark.parametrize("spelled_out", [False, True])
def test_choices_that_are_one_value_are_refused(
    base: RunConfig, section: str, leaf: list[Any], words: str, spelled_out: bool
) -> None:
    group, name = section.split(".")
    with pytest.raises(ConfigError) as caught:
        parse({group: {name: {"choices": leaf} if spelled_out else leaf}}, base)
    assert str(caught.value).startswith(f"study.space.{section}: expected different choices, ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("parent", "leaf", "when", "found"),
    [
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, 0.3, (0.3,)),
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, 0.1 + 0.2, (0.3,)),
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, [0, 3e-1, 0.3], (0.0, 0.3)),
        ("model.dropout", [0, 0.5], 0, (0.0,)),
        ("model.depth", {"low": 1, "high": 3}, 2.0, (2,)),
        ("model.depth", [1, 2], [2, 2.0], (2,)),
        ("train.patience", [None, 3], None, (None,)),
        ("train.epochs", {"low": 1, "high": 64, "log": True}, [4, 2], (4, 2)),
        ("model.hidden_units", [32, [64, 32]], [[64, 32]], ("[64, 32]",)),
    ],
)
def test_a_condition_asks_for_a_value_however_it_is_written(
    base: RunConfig, parent: str, leaf: Any, when: Any, found: tuple[Any, ...]
) -> None:
    group, name = parent.split(".")
    tree = {"train": {"min_delta": {"choices": [0.1, 0.2], "when": {parent: when}}}}
    tree.setdefault(group, {})[name] = leaf
    space = parse(tree, base)
    condition = space.conditions["train.min_delta"]
    assert list(map(repr, condition.values)) == list(map(repr, found))
    for value in found:
        assert space.is_active("train.min_delta", {parent: value})


@pytest.mark.parametrize(
    ("parent", "leaf", "when"),
    [
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, 0.35),
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, 0.7),
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, float("inf")),
        ("model.dropout", {"low": 0, "high": 0.6, "step": 0.1}, "0.3"),
        ("model.depth", [0, 1], True),
        ("model.depth", {"low": 1, "high": 3}, 1.5),
        ("train.patience", [1, 3], None),
    ],
)
def test_a_condition_on_a_value_that_never_comes_is_refused(
    base: RunConfig, parent: str, leaf: Any, when: Any
) -> None:
    group, name = parent.split(".")
    tree = {"train": {"min_delta": {"choices": [0.1, 0.2], "when": {parent: when}}}}
    tree.setdefault(group, {})[name] = leaf
    with pytest.raises(ConfigError, match=rf"min_delta\.when: {parent} is never "):
        parse(tree, base)


# A space is the same space, however it is written.


def _spellings() -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    yield "bounds", {"low": 0, "high": 0.5}, {"low": 0.0, "high": 0.5}
    yield "step", {"low": 0, "high": 1e-1, "step": 1e-2}, {"low": -0.0, "high": 0.1, "step": 0.01}
    yield "log", {"low": 1e-4, "high": 1e-1, "log": True}, {"low": 0.0001, "high": 0.1, "log": True}
    yield "choices", {"choices": [0, 0.5]}, {"choices": [0.0, 0.5]}


@pytest.mark.parametrize(
    ("one", "other"), [s[1:] for s in _spellings()], ids=[s[0] for s in _spellings()]
)
def test_a_space_written_otherwise_is_the_same_study(
    url: str, one: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
    first, again = (study(space={"model": {"dropout": leaf}}) for leaf in (one, other))
    table = TrialTable.open(url, first)
    table.create(
        Suggestion({"model.dropout": first.space.dimensions["model.dropout"].probes()[0]}),
        first.space,
    )
    table = TrialTable.open(url, again)
    table.create(
        Suggestion({"model.dropout": again.space.dimensions["model.dropout"].probes()[-1]}),
        again.space,
    )
    assert len(TrialTable.open(url, first).entries()) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("model.l2=0", "model.l2=0.0"),
        ("model.l2=-0.0", "model.l2=0"),
        ("train.learning_rate=1e-3", "train.learning_rate=0.001"),
        ("model.hidden_units=[64,64]", "model.hidden_units=64"),
    ],
)
def test_a_fixed_setting_written_otherwise_is_the_same_study(
    url: str, one: str, other: str
) -> None:
    TrialTable.open(url, study(one))
    TrialTable.open(url, study(other))


def test_the_values_of_a_condition_are_a_set(url: str) -> None:
    def asking(when: list[str]) -> Any:
        leaf = {"choices": [0.0, 0.5], "when": {"train.optimizer": when}}
        return study(
            space={"model": {"l1": leaf}, "train": {"optimizer": ["sgd", "adam", "nadam"]}}
        )

    TrialTable.open(url, asking(["sgd", "adam"]))
    TrialTable.open(url, asking(["adam", "sgd"]))
    with pytest.raises(ConfigError, match=r"when train\.optimizer is sgd or adam in the study"):
        TrialTable.open(url, asking(["nadam", "sgd"]))


@pytest.mark.parametrize(("one", "other"), [({}, {"step": 1}), ({"step": 1}, {})])
def test_every_whole_number_of_a_range_is_the_same_space_with_a_step_of_one(
    url: str, one: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
    spans = ({"low": 8, "high": 20, **extra} for extra in (one, other, {"step": 12}))
    first, again, another = (study(space={"train": {"batch_size": span}}) for span in spans)
    TrialTable.open(url, first)
    TrialTable.open(url, again)
    with pytest.raises(ConfigError, match=r"8 \.\. 20 step 12 now"):
        TrialTable.open(url, another)


@pytest.mark.parametrize(
    "space",
    [
        {"low": 0.0, "high": 0.4},
        {"low": 0.1, "high": 0.5},
        {"low": 0.0, "high": 0.5, "step": 0.1},
        [0.0, 0.5],
    ],
)
def test_another_value_is_another_space(url: str, space: Any) -> None:
    TrialTable.open(url, study(space={"model": {"dropout": {"low": 0, "high": 0.5}}}))
    with pytest.raises(
        ConfigError, match=r"study\.space\.model\.dropout: 0\.0 \.\. 0\.5 in the study"
    ):
        TrialTable.open(url, study(space={"model": {"dropout": space}}))


def _recorded_before(url: str, *overrides: str) -> Setup:
    """A study as the version before recorded it: binary steps, whole numbers, texts as they were typed."""
    setup = setup_of(*overrides, "train.optimizer=sgd", space=STEPPED)
    table = TrialTable.open(url, study_of(setup))
    storage, study_id = table._storage, table._study_id
    identity = dict(storage.get_study_user_attrs(study_id)["identity"])
    identity["space"] = identity["space"] | {"study.space.train.momentum": "[0,0.5]"}
    storage.set_study_user_attr(study_id, "identity", identity)
    frozen = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params={"model.dropout": 0.1 + 0.2, "train.momentum": 0, "model.l2": 0.1},
        distributions={
            "model.dropout": optuna.distributions.FloatDistribution(0.1, 0.7, step=0.2),
            "train.momentum": optuna.distributions.CategoricalDistribution([0, 0.5]),
            "model.l2": optuna.distributions.CategoricalDistribution([0.001, 0.1]),
        },
        user_attrs={"plan": {"epochs": None, "continues": None}, "notes": {}},
    )
    storage.create_new_trial(study_id, frozen)
    return setup


@pytest.mark.parametrize("overrides", ENGINES, ids=lambda overrides: overrides[-1])
def test_a_study_that_the_version_before_recorded_goes_on(
    overrides: tuple[str, ...], url: str
) -> None:
    """Its values are read as they are written now: no engine tries a point again for its last digit."""
    setup = _recorded_before(url, *overrides)
    table = TrialTable.open(url, study_of(setup))
    (trial,) = table.interrupted()
    wanted = {"model.dropout": 0.3, "model.l2": 0.1, "train.momentum": 0.0}
    assert repr(dict(sorted(trial.params.items()))) == repr(wanted)
    assert setup.space.apply(setup.run, trial.params).model.dropout == 0.3
    answer = setup.make_engine(table.entries(), workers=1).ask(4)
    assert isinstance(answer, Suggestions)
    assert wanted not in [each.params for each in answer.trials]


def test_a_study_keeps_the_words_of_its_first_launch(url: str) -> None:
    """MLflow refuses a parameter that changes, and the study's run would never be published again."""
    setup = _recorded_before(url)
    table = TrialTable.open(url, study_of(setup))
    table.describe(study_of(setup).about("a: 1\n", "python -m x"))
    assert table.about().space["train.momentum"] == "[0,0.5]"


def test_a_vast_range_is_counted_not_listed(base: RunConfig) -> None:
    tiny = {"low": 0.0, "high": 0.6, "step": 1e-9}
    when = {"choices": [1, 2], "when": {"model.dropout": 0.3}}
    space = parse({"model": {"dropout": tiny}, "train": {"patience": when}}, base)
    assert space.size() == 600_000_000 + 2
    with pytest.raises(
        ConfigError, match=r"a grid of at most 100,000 points, got 600,000,001 \(widen"
    ):
        parse({"model": {"dropout": tiny}}, base).grid()
    with pytest.raises(ConfigError, match="expected layer1 to layer1000000000"):
        parse(
            {"model": {"depth": {"low": 1, "high": 10**9}, "hidden_units": {"layer1": [4]}}}, base
        )


WIDTH = {"low": 4, "high": 8}


@pytest.mark.parametrize(
    ("path", "leaf", "words"),
    [
        ("train.batch_size", [64.0], "expected integer"),
        ("train.batch_size", {"low": 64.0, "high": 128.0}, "expected whole numbers"),
        ("model.dropout", {"low": 0, "high": 10**400}, "expected finite numbers"),
        ("model.l2", [10**400, 1], "expected finite numbers"),
        ("model.dropout", {"low": 0, "high": 0.5, "step": 1e-30}, "expected at most 1e+15 steps"),
        ("model.hidden_units", [[[1]], 64], "expected"),
        ("model.depth", ["a", 1], "expected integer"),
        ("model.depth", [True, 2], "expected integer"),
        ("model.depth", [None], "expected integer"),
    ],
)
@pytest.mark.parametrize("by_layer", [False, True])
def test_a_value_of_another_kind_is_refused_in_its_place(
    base: RunConfig, path: str, leaf: Any, words: str, by_layer: bool
) -> None:
    """Also where widths of single layers are to count up to it."""
    group, name = path.split(".")
    tree: dict[str, Any] = {group: {name: leaf}}
    if by_layer and path == "model.depth":
        tree["model"]["hidden_units"] = {"layer1": WIDTH}
    with pytest.raises(ConfigError, match=rf"^study\.space\.{path}: {re.escape(words)}"):
        parse(tree, base)


def test_a_condition_without_values_is_refused(base: RunConfig) -> None:
    leaf = {"choices": [0.1], "when": {"model.dropout": []}}
    with pytest.raises(ConfigError, match=r"expected at least one value of model\.dropout"):
        parse({"train": {"min_delta": leaf}, "model": {"dropout": [0.1, 0.2]}}, base)
