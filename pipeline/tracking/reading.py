"""A run read back from MLflow: what it was, what trained it, and the numbers that came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo

from pipeline.command.compose import compose
from pipeline.command.deadline import bounded
from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.command.redact import redact
from pipeline.run.comparison import Training
from pipeline.run.config import METRICS, ModelConfig, RunConfig, as_words, run_config
from pipeline.run.custom import SETTINGS, CustomConfig
from pipeline.run.ending import ending
from pipeline.run.result import EpochMetrics, RunResult, Stop
from pipeline.tracking.database import UID, database_of
from pipeline.tracking.record import metric_name, provenance_of

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

    from pipeline.tracking.mlflow import MlflowTracker

_SECONDS = 120.0  # for all answers together
_NO_SUCH_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_EPOCH = (*METRICS, "epoch_seconds")
_ONCE = ("objective", "best_epoch")
_TEST = ("test_loss", "test_accuracy", "test_precision", "test_recall")


@dataclass(frozen=True)
class Published:
    """A run that ended well, as MLflow has it.

    `run`: without where its data lie, which MLflow is not told. `data_digest`: SHA-256 of these.
    """

    name: str
    uid: str
    experiment: str
    run: RunConfig
    data_digest: str
    training: Training


def published(uri: str, run_id: str, data_path: str | None) -> Published:
    """The run that MLflow calls `run_id`; its data lie at `data_path`, None: in the usual places.

    Nothing is created. Raises ConfigError where there is none, or none that can be trained again, and
    UnavailableError where the tracker gives no answer.
    """
    file = database_of(uri)
    if file is not None and not file.exists():
        raise UnavailableError(
            f"tracking.uri: there is no {file.absolute()} (name the database or the server of the run)"
        )
    from pipeline.tracking.mlflow import MlflowTracker, TrackingError  # it takes seconds to import

    try:
        run, experiment, histories = _asked(MlflowTracker(uri), run_id)
    except TrackingError as error:
        if error.error_code in _NO_SUCH_RUN:
            raise ConfigError(f"run: there is no run {run_id} in {redact(uri)}") from None
        raise UnavailableError(_no_answer(uri, error)) from error
    except OSError as error:
        raise UnavailableError(_no_answer(uri, error)) from error
    _refuse_what_did_not_end_well(run)
    config = _config(run, data_path)
    training = _training(config, run, histories)
    _refuse_what_began_elsewhere(run, experiment, training)
    tags = run.data.tags
    name = f"{experiment}, {run.info.run_name}"
    return Published(name, tags[UID], experiment, config, tags["data.digest"], training)


@bounded(_SECONDS)
def _asked(tracker: "MlflowTracker", run_id: str) -> "tuple[Run, str, Mapping[str, list[Metric]]]":
    """The run, the name of its experiment, and all that was logged of each metric that is compared.

    The summary that comes with the run has the last value only, and MLflow keeps it beside them.
    """
    run = tracker.client.get_run(run_id)
    experiment = tracker.client.get_experiment(run.info.experiment_id)
    names = {name: _named(name, run) for name in (*_EPOCH, *_ONCE, *_TEST)}
    histories = {
        name: tracker.client.get_metric_history(run_id, there)
        for name, there in names.items()
        if there in run.data.metrics
    }
    return run, str(experiment.name), histories


def _named(name: str, run: "Run") -> str:
    """What a metric is called there: versions before had no prefixes."""
    there = metric_name(name)
    return there if there in run.data.metrics else name


def _no_answer(uri: str, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"tracking.uri: {redact(uri)} can't be asked: {redact(reason)}"


def _refuse_what_began_elsewhere(run: "Run", experiment: str, training: Training) -> None:
    """Raise ConfigError where its first epochs are on record with another run only."""
    tags, first = run.data.tags, min((epoch.epoch for epoch in training.history), default=1)
    if "trial.continues" in tags and first > 1:
        raise ConfigError(
            f"run: run {run.info.run_id} went on from another trial: python -m search.replay "
            f"study.name={experiment} trial={tags.get('trial.number')} trains both again"
        )


def _refuse_what_did_not_end_well(run: "Run") -> None:
    """Raise ConfigError where the run has nothing to compare with, or is not one training."""
    tags, known = run.data.tags, f"run {run.info.run_id}"
    if run.info.lifecycle_stage == "deleted":
        raise ConfigError(f"run: {known} is in MLflow's trash (restore it there first)")
    lacking = _lacking(run.data.params)
    lacking += [tag for tag in (UID, "data.digest", "threads") if tag not in tags]
    if lacking:
        raise ConfigError(
            f"run: {known} is no training that Plumbline has on record: it has no {lacking[0]}"
        )
    if run.info.status != "FINISHED":
        reason = tags.get("reason") or tags.get("trial.reason")
        state = "still running" if run.info.status == "RUNNING" else run.info.status
        raise ConfigError(f"run: {known} is {state}{f': {reason}' if reason else ''}")
    if not all(_named(name, run) in run.data.metrics for name in _ONCE):
        raise ConfigError(f"run: {known} has no objective on record")


def _lacking(params: Mapping[str, str]) -> list[str]:
    """The settings that a run of every version has and this one has not, by override path."""
    return [
        path
        for path, field in _fields(params).items()
        if field.is_required() and path not in params and path != SETTINGS
    ]


def _fields(params: Mapping[str, str]) -> dict[str, FieldInfo]:
    """Every setting of a run with the network that `params` name, by override path."""
    model = CustomConfig if "model.build" in params else ModelConfig
    sections: dict[str, Any] = {name: f.annotation for name, f in RunConfig.model_fields.items()}
    return {
        f"{section}.{name}": field
        for section, kind in {**sections, "model": model}.items()
        for name, field in kind.model_fields.items()
    }


def _config(run: "Run", data_path: str | None) -> RunConfig:
    """What was trained. Its parameters are what one would type."""
    known = _fields(run.data.params)
    params = {
        path: text
        for path, text in run.data.params.items()
        if path in known or path.startswith(f"{SETTINGS}.")
    }
    values = compose(as_words({path: text for path, text in params.items() if path != "data.path"}))
    values["data"]["path"] = data_path
    return run_config(values)


def _training(config: RunConfig, run: "Run", histories: "Mapping[str, list[Metric]]") -> Training:
    tags, history = run.data.tags, _history(histories)
    once = {name: histories[name][-1].value for name in (*_ONCE, *_TEST) if name in histories}
    values = {epoch.epoch: epoch.metrics.get(config.objective.metric, 0.0) for epoch in history}
    stop: Stop = "pruned"
    if tags.get("trial.state") != "pruned":
        stop = (ending(config, values) if values else None) or "completed"
    result = RunResult(
        history=history,
        stop=stop,
        value=once["objective"],
        best_epoch=int(once["best_epoch"]),
        test={name: once[name] for name in _TEST if name in once},
        timings={},
        examples_per_second=run.data.metrics.get(_named("examples_per_second", run), 0.0),
        parameters=int(run.data.metrics.get(_named("parameters", run), 0)),
        model_summary="",
        device=tags.get("device", ""),
        loop=tags.get("loop", ""),
        weights_digest=tags.get("digest.weights"),
        history_digest=tags.get("digest.history"),
    )
    return Training(provenance_of(tags), history, result)


def _history(histories: "Mapping[str, list[Metric]]") -> tuple[EpochMetrics, ...]:
    """The epochs in their order; of a metric that was logged twice for one, what was logged last."""
    epochs: dict[int, dict[str, Metric]] = {}
    for name in (name for name in _EPOCH if name in histories):
        for metric in histories[name]:
            epochs.setdefault(metric.step, {})[name] = metric
    return tuple(
        EpochMetrics(
            number,
            {name: float(metric.value) for name, metric in of.items() if name in METRICS},
            seconds=float(of["epoch_seconds"].value) if "epoch_seconds" in of else 0.0,
            finished_at=max(metric.timestamp for metric in of.values()) / 1000,
        )
        for number, of in sorted(epochs.items())
    )
