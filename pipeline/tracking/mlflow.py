"""MLflow's only door: brings a run in MLflow to the state of a record, as often as it is asked to."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.command import public
from pipeline.command.deadline import bounded
from pipeline.tracking.database import ATTEMPT, UID, create_database, database_of
from pipeline.tracking.known import NAME, Known, ended_at, milliseconds
from pipeline.tracking.publisher import Change
from pipeline.tracking.record import DatasetInfo, RunRecord
from pipeline.tracking.relocation import check_place, local_folder, location

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Links to runs on the screen would show the password of the server.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# The publisher above has its own patience, and looks before it tries again: a request repeated blindly
# after an answer of 500 makes a run twice.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

import mlflow.entities as entities
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

for _name in ("alembic", "mlflow"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # errors are raised as well

TrackingError = MlflowException
"""What this module raises where MLflow can't be reached or refuses."""

_PARENT = "mlflow.parentRunId"
_ANSWER_SECONDS = 120.0  # in all, for what is done while somebody waits
_METRICS_PER_BATCH = 800  # MLflow's limits: 1000 things in a batch, and of these
_PARAMS_PER_BATCH = 100
_TAGS_PER_BATCH = 100


class MlflowTracker:
    """Publishes records. `publish` is idempotent: runs are found again by their uid tag.

    Used from one thread. After an error nothing is assumed: the next call looks again.
    """

    def __init__(self, uri: str) -> None:
        self._database = database_of(uri)
        if self._database is not None:
            create_database(
                self._database, lambda uri: MlflowClient(uri).search_experiments(max_results=1)
            )
        self.client = MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, dict[str, Known]] = {}
        self._restored: set[str] = set()  # experiments that were in the trash

    def publish(self, record: RunRecord) -> Change:
        """Bring the run of `record.uid` to the state of `record`.

        Times and values are the record's, so publishing it again makes no duplicates. A run that was
        put into MLflow's trash comes back; one of an earlier attempt that was cut short goes there.
        """
        try:
            return self._publish(record)
        except Exception:
            self._experiments.clear()
            self._runs.clear()
            raise

    @bounded(_ANSWER_SECONDS)
    def log_files(self, experiment: str, uid: str, folder: Path, under: str | None) -> bool:
        """Make the files in `folder` artifacts of the run of `uid`, `under` that path, over older ones.

        False where the run is not published. Nothing else of it changes.
        """
        run = self._run(experiment, uid)
        if run is None:
            return False
        self.client.log_artifacts(run.info.run_id, str(folder), under)
        return True

    @bounded(_ANSWER_SECONDS)
    def tag(self, experiment: str, uid: str, tags: Mapping[str, str]) -> bool:
        """Set `tags` on the run of `uid`; False where it is not published."""
        run = self._run(experiment, uid)
        if run is None:
            return False
        named = [entities.RunTag(key, value) for key, value in tags.items()]
        self.client.log_batch(run.info.run_id, tags=named)
        return True

    @bounded(_ANSWER_SECONDS)
    def tags(self, experiment: str, uid: str) -> Mapping[str, str]:
        """The tags of the run of `uid`; none where it is not published."""
        run = self._run(experiment, uid)
        return {} if run is None else run.data.tags

    @bounded(_ANSWER_SECONDS)
    def has(self, experiment: str, uid: str, path: str) -> bool:
        """Whether the artifact `path` of the run of `uid` is there; on a server it is taken to be."""
        run = None if self._database is None else self._run(experiment, uid)
        folder = None if run is None else local_folder(run.info.artifact_uri)
        return folder is None or (folder / path).exists()

    @bounded(_ANSWER_SECONDS)
    def ended(self, experiment: str) -> set[tuple[str, int]]:
        """The uids and attempts of all runs in `experiment` that ended and are not in the trash."""
        found = self.client.get_experiment_by_name(experiment)
        if found is None or found.lifecycle_stage == "deleted":
            return set()
        runs = self.runs_of(found.experiment_id)
        return {
            (run.data.tags[UID], int(run.data.tags.get(ATTEMPT, 1)))
            for run in runs
            if run.info.status != "RUNNING" and UID in run.data.tags
        }

    def _run(self, experiment: str, uid: str) -> entities.Run | None:
        """The run of `uid` in MLflow, if it is published."""
        found = self.client.get_experiment_by_name(experiment)
        if found is None or found.lifecycle_stage == "deleted":
            return None
        check_place(self._database, found.name, found.artifact_location)
        query = f"tags.{UID} = '{uid}'"
        runs = self.client.search_runs([found.experiment_id], query, max_results=1)
        return runs[0] if runs else None

    def _publish(self, record: RunRecord) -> Change:
        runs = self._known_runs(record.experiment)
        run = runs.get(record.uid)
        if run is not None and run.attempt != record.attempt:
            self._throw_away(run, runs)
            run = None
        change = Change.PUBLISHED
        if run is None:
            run = runs[record.uid] = self._create(record)
        else:
            if run.deleted:
                self.client.restore_run(run.run_id)
            if run.deleted or run.back:
                run.deleted = run.back = False
                change = Change.RESTORED
            nested = self._nest(run, record)
            if run.shows(record):
                return change if nested or change == Change.RESTORED else Change.NOTHING
            if run.ended and not record.ended:
                self.client.update_run(run.run_id, status="RUNNING")
                run.status = "RUNNING"
        self._log(run, record)
        if record.ended:
            self._end(run, record)
        return change

    def _throw_away(self, run: Known, runs: Mapping[str, Known]) -> None:
        """Put a run into MLflow's trash, and all that is nested in it: what is still told of comes back."""
        for nested in runs.values():
            if nested.tags.get(_PARENT) == run.run_id and not nested.deleted:
                self._throw_away(nested, runs)
        if not run.deleted:
            self.client.delete_run(run.run_id)
            run.deleted = True

    def _nest(self, run: Known, record: RunRecord) -> bool:
        """Have a run stand below its parent, which may be another by now; whether it did not."""
        tags = self._nesting(record)
        if tags.items() <= run.tags.items():
            return False
        self.client.set_tag(run.run_id, _PARENT, tags[_PARENT])
        run.tags = {**run.tags, **tags}
        return True

    def _nesting(self, record: RunRecord) -> dict[str, str]:
        if record.parent is None:
            return {}
        return {_PARENT: self._known_runs(record.experiment)[record.parent].run_id}

    def _known_runs(self, experiment: str) -> dict[str, Known]:
        if experiment not in self._runs:
            experiment_id = self._experiment_id(experiment)
            found: dict[str, Known] = {}
            self._runs[experiment] = found
            for run in self.runs_of(experiment_id, trash=True):
                if (uid := run.data.tags.get(UID)) is None:
                    continue
                here, back = self._database is not None, experiment in self._restored
                this = Known.found(run, here, back)
                found[uid] = self._only(found[uid], this) if uid in found else this
        return self._runs[experiment]

    def runs_of(self, experiment_id: str, trash: bool = False) -> Iterator[entities.Run]:
        """All runs of an experiment, from the first on; those in the `trash` only where asked for."""
        view = entities.ViewType.ALL if trash else entities.ViewType.ACTIVE_ONLY
        token = None
        while True:
            page = self.client.search_runs(
                [experiment_id],
                run_view_type=view,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _only(self, first: Known, second: Known) -> Known:
        """The one of two runs of one uid that counts; the other goes to MLflow's trash.

        A slow server may have made a run long after it was given up, and so after another was made.
        """
        other, kept = sorted(
            (second, first), key=lambda run: (run.attempt, not run.deleted, run.ended)
        )
        if not other.deleted:
            self.client.delete_run(other.run_id)
        return kept

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                place = None if self._database is None else location(Path("mlruns") / name)
                self._experiments[name] = self.client.create_experiment(name, place)
            else:
                check_place(self._database, found.name, found.artifact_location)
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)  # and all its runs
                    self._restored.add(name)
                self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def _create(self, record: RunRecord) -> Known:
        tags = {**record.tags, UID: record.uid, ATTEMPT: str(record.attempt)}
        tags |= {**self._nesting(record), NAME: record.name}
        run_id = self.client.create_run(
            self._experiment_id(record.experiment),
            start_time=milliseconds(record.started_at),
            tags=tags,
        ).info.run_id
        return Known(run_id, record.attempt, "RUNNING", None, deleted=False, tags=tags, params={})

    def _log(self, run: Known, record: RunRecord) -> None:
        """Log what is not known to be there, in few requests; the same again would change nothing."""
        params: list[entities.Param] = []
        tags: list[entities.RunTag] = []
        if not run.described:
            new = record.params.keys() - run.params.keys()  # MLflow takes no other value for one
            shown = {key: public.parameter(key, record.params[key]) for key in sorted(new)}
            params = [entities.Param(key, text) for key, text in shown.items()]
        if record.ended:
            changed = record.tags.items() - run.tags.items()
            tags = [entities.RunTag(key, value) for key, value in sorted(changed)]
        metrics = [
            entities.Metric(point.metric, point.value, milliseconds(point.at), point.step)
            for point in record.points[run.points :]
        ]
        logged = 0
        while metrics[logged:] or params or tags:
            batch = metrics[logged : logged + _METRICS_PER_BATCH]
            self.client.log_batch(
                run.run_id, batch, params[:_PARAMS_PER_BATCH], tags[:_TAGS_PER_BATCH]
            )
            logged += len(batch)
            del params[:_PARAMS_PER_BATCH], tags[:_TAGS_PER_BATCH]
        if not run.described and record.dataset is not None:
            self.client.log_inputs(run.run_id, datasets=[_dataset_input(record.dataset)])
        run.logged(record)

    def _end(self, run: Known, record: RunRecord) -> None:
        if record.texts:
            # All at once: MLflow looks the run up for each call.
            with tempfile.TemporaryDirectory(prefix="plumbline-") as folder:
                for path, text in record.texts.items():
                    file = Path(folder) / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text, encoding="utf-8")
                self.client.log_artifacts(run.run_id, folder)
        if run.tags.get(NAME) != record.name:  # how it ended is a part of it
            self.client.set_tag(run.run_id, NAME, record.name)
        self.client.set_terminated(run.run_id, record.status, ended_at(record))
        run.end(record)


def _dataset_input(info: DatasetInfo) -> entities.DatasetInput:
    shapes = {"train": list(info.train_shape), "test": list(info.test_shape)}
    dataset = entities.Dataset(
        name=info.name,
        digest=info.digest[:32],
        source_type="local",
        source=json.dumps({"uri": public.file_name(info.source)}),
        profile=json.dumps({"shapes": shapes, "sha256": info.digest}),
    )
    context = entities.InputTag("mlflow.data.context", "training")
    return entities.DatasetInput(dataset=dataset, tags=[context])
