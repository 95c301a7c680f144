"""What one training run is: frozen, validated, and complete enough to run it again.

The field names are the override paths of the command line and the parameter names in MLflow:
`RunConfig.model.dropout` is `model.dropout` everywhere.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from pipeline.command.section import (
    PositiveInt,
    Section,
    as_override,
    did_you_mean,
    flatten,
    validated,
)
from pipeline.run.custom import CustomConfig

Activation = Literal["relu", "sigmoid", "tanh", "elu", "selu", "gelu", "silu", "leaky_relu"]
# fmt: off
OptimizerName = Literal[  # listed, as the coordinator never imports Keras; a test compares them
    "sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad", "adadelta", "adamax", "adafactor", "ftrl",
    "lion", "lamb", "muon", "schedulefreeadamw",
]
# fmt: on
Schedule = Literal["none", "cosine", "step"]
Loss = Literal["categorical_crossentropy", "binary_crossentropy", "mse"]
Metric = Literal["loss", "accuracy", "val_loss", "val_accuracy"]
Direction = Literal["maximize", "minimize"]
Cost = Literal["parameters", "train_seconds", "multiply_adds"]

METRICS: tuple[str, ...] = get_args(Metric)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


HiddenUnits = Annotated[PositiveInt | tuple[PositiveInt, ...], BeforeValidator(_as_tuple)]


class DataConfig(Section):
    """Which data set, and where.

    `path`: a Keras-layout `.npz`, or for `mnist` also a folder of the four IDX files; None looks in
    the usual places (see `pipeline.data`). `scale`: bring features to [0, 1]. `test_split`: None takes
    the data set's own test set; a fraction in (0, 1) splits the training rows at random instead, and
    that part is the test set. `shuffle`: put the training rows into a random order first, in which
    each class is spread evenly, so that validation rows have each class in its share. `split_seed`: draw
    the order of the training rows, and so the validation rows, anew by this seed, in the same way, and
    leave the test set as it is; None: as they come.
    """

    name: Literal["mnist", "digits", "npz"]
    path: Annotated[str, Field(min_length=1)] | None
    scale: bool
    test_split: Annotated[float, Field(gt=0, lt=1)] | None = None
    shuffle: bool = False
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    @model_validator(mode="after")
    def _path_fits(self) -> "DataConfig":
        if self.name == "npz" and self.path is None:
            raise ValueError(
                "data=npz needs data.path=FILE.npz with x_train, y_train, x_test, y_test"
            )
        if self.name == "digits" and self.path is not None:
            raise ValueError("data=digits is bundled and takes no data.path")
        return self

    def at(self, path: object) -> "DataConfig":
        """The same data, which lie at `path`; where that is None, where these do. Raises ConfigError."""
        if path is None:
            return self
        return validated(DataConfig, {**self.model_dump(), "path": path}, "data")


class ModelConfig(Section):
    """A multilayer perceptron.

    `hidden_units`: units of every hidden layer, or one number per layer. `depth`: hidden layers; 0 is
    softmax regression. `dropout`: fraction of units dropped after each hidden layer, in [0, 1)
    (Srivastava et al. 2014). `l1`, `l2`: penalty on every kernel, >= 0.
    """

    hidden_units: HiddenUnits
    depth: Annotated[int, Field(ge=0, le=64)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    activation: Activation
    l1: Annotated[float, Field(ge=0)]
    l2: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_width_per_layer(self) -> "ModelConfig":
        if isinstance(self.hidden_units, tuple) and len(self.hidden_units) != self.depth:
            raise ValueError(
                f"model.hidden_units: a list has one number per layer, got {len(self.hidden_units)} "
                f"with model.depth={self.depth} (set model.depth={len(self.hidden_units)})"
            )
        return self

    @property
    def layers(self) -> tuple[int, ...]:
        """Units of each hidden layer, from input to output."""
        if isinstance(self.hidden_units, tuple):
            return self.hidden_units
        return (self.hidden_units,) * self.depth


class TrainConfig(Section):
    """How the network is trained.

    `optimizer`: the class in `keras.optimizers`, in lower case. `learning_rate`: > 0; None is Keras's
    own default for the optimizer. `momentum`: in [0, 1), for sgd and rmsprop; the others keep the one
    that Keras gives them. `validation_split`: the last fraction of the training rows, in [0, 1), held
    out before any shuffling, as Keras does. `patience`: epochs without an improvement of more than
    `min_delta` in the objective's metric before training stops; None never stops early. `seed`:
    initial weights, shuffling and dropout. `precision`: Keras's dtype policy. `loop`: `auto` compiles an
    epoch as one program where the backend allows it, `keras` is `model.fit`.
    `weight_decay`: the share of every weight that each step takes away, times the learning rate, >= 0;
    None is Keras's own default for the optimizer, which adamw and muon have. `schedule`: how the
    learning rate falls (see `pipeline.network.optimizer`) over `schedule_epochs`, None: all `epochs`;
    `warmup_epochs`: in which it rises from 0 first.
    """

    optimizer: OptimizerName
    learning_rate: Annotated[float, Field(gt=0)] | None
    momentum: Annotated[float, Field(ge=0, lt=1)]
    batch_size: PositiveInt
    epochs: PositiveInt
    validation_split: Annotated[float, Field(ge=0, lt=1)]
    loss: Loss
    patience: PositiveInt | None
    min_delta: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    precision: Literal["float32", "mixed_bfloat16"]
    loop: Literal["auto", "keras"]
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    schedule: Schedule = "none"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    schedule_epochs: PositiveInt | None = None

    @model_validator(mode="after")
    def _momentum_fits(self) -> "TrainConfig":
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(
                f"train.momentum: only sgd and rmsprop take one, got {self.momentum} with "
                f"train.optimizer={self.optimizer} (set train.momentum=0.0)"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> "TrainConfig":
        if (length := self.schedule_length) is None:
            return self
        if self.epochs > length:
            raise ValueError(
                f"train.schedule_epochs: expected no fewer than train.epochs={self.epochs}, got {length}"
            )
        if self.warmup_epochs >= length:
            raise ValueError(
                f"train.warmup_epochs: expected fewer than the {length} epochs of the schedule, got "
                f"{self.warmup_epochs}"
            )
        return self

    @property
    def schedule_length(self) -> int | None:
        """Over how many epochs the learning rate changes; None: it stays as it is."""
        if self.schedule == "none" and not self.warmup_epochs:
            return None
        return self.schedule_epochs or self.epochs

    @property
    def plans_ahead(self) -> bool:
        """Whether an epoch depends on how many there are: a shorter run is no beginning of a longer one."""
        return self.schedule_length is not None and self.schedule_epochs is None


class ObjectiveConfig(Section):
    """What a run is judged by, and so which epoch's weights it ends with.

    `select`: `best` keeps the epoch where `metric` is best (the first of equals), `last` the last.
    `cost`: what a study makes small beside it, so that it has a front in place of a best trial; None: it
    looks at the metric alone. It changes no number of a run.
    The test set can't be an objective: it would no longer measure anything.
    """

    metric: Annotated[str, Field(min_length=1)]
    direction: Direction
    select: Literal["best", "last"]
    cost: Cost | None = None

    @model_validator(mode="after")
    def _names_a_metric_that_may_steer(self) -> "ObjectiveConfig":
        if self.metric.startswith("test_"):
            raise ValueError(
                f"objective.metric: the test set must not steer the search, got {self.metric} "
                f"(use val_{self.metric.removeprefix('test_')})"
            )
        if self.metric not in METRICS:
            raise ValueError(
                f"objective.metric: expected one of {', '.join(METRICS)}, got {self.metric}"
                + did_you_mean(self.metric, METRICS)
            )
        if self.direction != (right := "minimize" if "loss" in self.metric else "maximize"):
            raise ValueError(
                f"objective.direction: {self.direction} would look for the worst {self.metric} "
                f"(set objective.direction={right})"
            )
        return self

    @property
    def maximizes(self) -> bool:
        return self.direction == "maximize"

    def better(self, value: float, than: float | None, by: float = 0.0) -> bool:
        """Whether `value` improves on `than` by more than `by`; anything improves on None."""
        if than is None:
            return True
        return value > than + by if self.maximizes else value < than - by

    def select_epoch(self, values: Mapping[int, float]) -> int:
        """The epoch that `select` chooses among `values` (epoch -> value of `metric`)."""
        if self.select == "last":
            return max(values)
        sign = -1 if self.maximizes else 1
        return min(values, key=lambda epoch: (sign * values[epoch], epoch))


def _kind(model: Any) -> str:
    """Which kind of network `model` describes; the words are no part of a setting's path."""
    if isinstance(model, Mapping):
        return "model=custom" if "build" in model else "model=mlp"
    return "model=custom" if isinstance(model, CustomConfig) else "model=mlp"


class RunConfig(Section):
    """Everything that decides the numbers of one run, given the data, the threads and the code."""

    data: DataConfig
    model: Annotated[
        Annotated[ModelConfig, Tag("model=mlp")] | Annotated[CustomConfig, Tag("model=custom")],
        Discriminator(_kind),
    ]
    train: TrainConfig
    objective: ObjectiveConfig

    @model_validator(mode="after")
    def _objective_can_be_measured(self) -> "RunConfig":
        if self.objective.metric.startswith("val_") and self.train.validation_split == 0:
            raise ValueError(
                f"objective.metric: {self.objective.metric} needs validation rows, but "
                "train.validation_split is 0 (raise it, or set objective.metric=accuracy)"
            )
        return self

    def parameters(self) -> dict[str, str]:
        """Every field under its override path, as text that Hydra reads back: `model.dropout` -> `0.3`."""
        return {path: as_override(value) for path, value in flatten(self.model_dump())}


def as_words(parameters: Mapping[str, str]) -> list[str]:
    """Overrides that compose the run with these `parameters`."""
    options = ["model=custom"] if "model.build" in parameters else []
    return options + [f"{path}={text}" for path, text in parameters.items()]


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """The part of a composed configuration that decides the numbers of a run."""
    return validated(RunConfig, {name: values[name] for name in RunConfig.model_fields})
