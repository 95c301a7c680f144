"""Certificates of replayed runs: in a file, and in MLflow beside the runs that they are of."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.command.errors import StorageError
from pipeline.command.redact import redact
from pipeline.run.comparison import Certified
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.record import REPLAY

FILE = "replay.json"
"""What a certificate is called among the artifacts of its run."""


def text_of(certificates: Sequence[Certified]) -> str:
    """The file's text: a list, one certificate for each run."""
    tree = [certificate.model_dump(mode="json") for certificate in certificates]
    return json.dumps(tree, indent=1) + "\n"


def write(file: Path, certificates: Sequence[Certified]) -> None:
    """Have `file` hold these, whole at any moment. Raises StorageError where it can't be written."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text_of(certificates), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"replay.path: {file} can't be written: {error.strerror}") from None


def log(tracking: TrackingConfig, experiment: str, certificates: Sequence[Certified]) -> None:
    """Tag the runs in the tracker, and leave them their certificates; say where that can't be done."""
    if tracking.name == "none" or not certificates:
        return
    from pipeline.tracking.mlflow import MlflowTracker, TrackingError  # it takes seconds to import

    try:
        tracker = MlflowTracker(str(tracking.uri))
        lacking = [each for each in certificates if not _logged(tracker, experiment, each)]
    except (TrackingError, StorageError, OSError) as error:
        reason = redact((str(error).splitlines() or [""])[0])
        print(
            f"tracking: the certificates could not be logged: {reason} (the same command logs them later)",
            file=sys.stderr,
        )
        return
    if lacking:
        print(
            f"{len(lacking)} of the runs are not published, and have no tag (python -m search.publish "
            "publishes them, with it)",
            file=sys.stderr,
        )


def _logged(tracker: Any, experiment: str, certificate: Certified) -> bool:
    """Whether the run of `certificate` is there, and has it now."""
    with tempfile.TemporaryDirectory(prefix="plumbline-") as folder:
        write(Path(folder) / FILE, [certificate])
        if not tracker.log_files(experiment, certificate.uid, Path(folder), None):
            return False
    there: bool = tracker.tag(experiment, certificate.uid, {REPLAY: certificate.replay})
    return there
