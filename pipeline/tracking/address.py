"""Where people see runs in MLflow: the address of a page, and what opens the UI there."""

import shlex
from contextlib import suppress

from pipeline.command.errors import UnavailableError
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import database_of
from pipeline.tracking.experiments import experiment_id, run_ids

_HERE = "http://127.0.0.1:5000"  # where `mlflow ui` is unless it is told otherwise
_USUAL = "sqlite:///mlflow.db"


def runs_page(
    tracking: TrackingConfig, experiment: str, metric: str = "objective", ascending: bool = False
) -> str:
    """How the runs of `experiment` are seen, the best by `metric` first: the end of a sentence.

    It names what opens the UI, where that is not a server's, and the address.
    """
    order = f"orderByKey=metrics.%60{metric}%60&orderByAsc={str(ascending).lower()}"
    return _seen(tracking, experiment, f"?workflowType=machine_learning&{order}")


def run_page(tracking: TrackingConfig, experiment: str, uid: str) -> str:
    """The same for the run of `uid` alone."""
    run = None
    with suppress(UnavailableError):
        run = run_ids(tracking, experiment).get(uid)
    return _seen(tracking, experiment, "" if run is None else f"/{run}")


def _seen(tracking: TrackingConfig, experiment: str, page: str) -> str:
    uri, base, how = str(tracking.uri), tracking.server, ""
    if base is None and database_of(uri) is not None:
        backend = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
        base, how = _HERE, f" {'make ui' if uri == _USUAL else backend}, then"
    known = None
    if base is not None:
        with suppress(UnavailableError):  # it is told by its name
            known = experiment_id(tracking, experiment)
    if known is None:
        return f"{how} experiment {experiment!r} in MLflow"
    return f"{how}\n  {base}/#/experiments/{known}/runs{page}"
