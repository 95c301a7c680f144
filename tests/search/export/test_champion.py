"""The exported champion: what its folder holds, what the registry has of it, and what it answers."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.artifact.formats import NAMES, read
from pipeline.artifact.manifest import Manifest, Standing
from pipeline.data import Dataset
from pipeline.pictures.typical import Typical
from pipeline.run.comparable import measure
from pipeline.training.score import judge
from tests.conftest import RunPython
from tests.search.export.study import BEST, NAME, WORSE, Place, contents

pytestmark = pytest.mark.slow  # every format loaded again in processes of its own


@pytest.fixture(scope="module")
def exported(place: Place) -> Path:
    """The best trial in three formats, registered."""
    assert place.export() == 0
    return place.folder / "exports" / NAME


# Its folder.


def test_the_exported_network_gives_the_recorded_accuracy_on_raw_pixels(
    place: Place, exported: Path, digits: Dataset
) -> None:
    result = place.entries[BEST].result
    assert result is not None
    raw = digits.test.features.astype(np.float32)
    probabilities = []
    for kind in ("keras", "saved_model", "litert"):
        judged = judge(read(exported / NAMES[kind]), raw, digits.test)  # type: ignore[index]
        assert judged.right == round(result.test["test_accuracy"] * len(raw))
        np.testing.assert_allclose(judged.probabilities.sum(axis=1), 1, atol=1e-5)
        probabilities.append(judged.probabilities)
    np.testing.assert_allclose(probabilities[1], probabilities[0], atol=1e-5)
    np.testing.assert_allclose(probabilities[2], probabilities[0], atol=1e-5)


def test_the_manifest_has_the_right_sum_of_every_file(exported: Path) -> None:
    tree = json.loads((exported / "manifest.json").read_text())
    found = {
        file.relative_to(exported).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in exported.rglob("*")
        if file.is_file() and file.name != "manifest.json"
    }
    assert {name: file["sha256"] for name, file in tree["files"].items()} == found
    assert {"model.keras", "model.tflite", "saved_model/saved_model.pb", "MODEL_CARD.md"} < set(
        found
    )


def test_an_export_says_what_is_typical_of_its_training_images(
    exported: Path, digits: Dataset
) -> None:
    known = Typical.read(exported, (8, 8), 10)
    test = (digits.test.features / 16).astype(np.float32)
    assert known.unlike(test, digits.test.labels).mean() < 0.04
    assert known.unlike(1 - test, digits.test.labels).mean() > 0.99


def test_manifest_and_card_say_what_the_model_is(
    place: Place, exported: Path, digits: Dataset
) -> None:
    entry, manifest = place.entries[BEST], Manifest.read(exported)
    assert entry.result is not None
    assert manifest.labels == tuple("0123456789")
    assert (manifest.inputs.shape, manifest.inputs.low, manifest.inputs.high) == ((8, 8), 0, 16)
    settings = measure(entry.settings, "val_accuracy")
    assert manifest.standing == Standing(
        "val_accuracy", "maximize", manifest.validation["val_accuracy"], digits.digest, settings
    )
    assert manifest.validation["val_accuracy"] == entry.value
    assert manifest.test == entry.result.test
    assert manifest.run["model.hidden_units"] == "64"
    assert set(manifest.versions) >= {"keras", "tensorflow", "numpy"}
    assert set(manifest.verified) == {"keras", "saved_model", "litert"}
    card = (exported / "MODEL_CARD.md").read_text()
    for fact in (
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "N x 8 x 8 `float32`, pixels from 0 to 16",
        digits.digest,
        f"| test_accuracy | {entry.result.test['test_accuracy']:.6g} |",
        f"trial={BEST}",
        "model.hidden_units=64",
    ):
        assert fact in card


def test_the_command_in_the_card_gives_the_recorded_numbers(
    exported: Path, run_python: RunPython
) -> None:
    manifest = Manifest.read(exported)
    arguments = manifest.retrain.split()[1:]
    done = run_python(*arguments, "tracking=none")
    assert done.returncode == 0, done.stderr
    # The line of the outcome: those of the epochs hold every value that there was.
    (outcome,) = re.findall(r"^epoch \d+: (.*)$", done.stdout, re.MULTILINE)
    assert outcome == f"val_accuracy {manifest.standing.value:.4f}"
    assert f"test_accuracy {manifest.test['test_accuracy']:.4f}" in done.stdout


def test_exporting_again_with_nothing_new_changes_nothing(
    place: Place, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, versions = contents(exported), place.versions()
    assert place.export() == 0
    assert place.export("force=true") == 0
    assert contents(exported) == before
    assert place.versions() == versions
    assert "Nothing new" in capsys.readouterr().out


# The registry.


def test_the_version_leads_to_the_run_of_its_trial_and_holds_the_verified_file(
    place: Place, exported: Path
) -> None:
    champion = place.alias("champion")
    run = place.client.get_run(champion.run_id)
    assert run.data.tags["uid"] == place.entries[BEST].uid
    assert run.info.status == "FINISHED"
    (model,) = place.client.search_logged_models([run.info.experiment_id])
    assert (model.model_id, model.source_run_id) == (champion.source.split("/")[1], run.info.run_id)
    stored = Path(model.artifact_location.removeprefix("file://"))
    sums = Manifest.read(exported).files
    for name in ("data/model.keras", "MODEL_CARD.md"):
        digest = hashlib.sha256((stored / name).read_bytes()).hexdigest()
        assert digest == sums[Path(name).name]["sha256"]
    described = (stored / "MLmodel").read_text()
    assert re.search(r"-1,\s+8,\s+8", described)
    assert "input_example.json" in described


@pytest.mark.usefixtures("exported", "in_this_process")
def test_a_worse_trial_replaces_no_champion_unless_forced(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = "export.formats=[keras]"
    best = place.alias("champion").version
    assert place.export(f"trial={WORSE}", quick) == 0
    assert place.alias("champion").version == best
    assert place.versions() == {str(best): BEST}
    assert "stays champion, as its val_accuracy is" in capsys.readouterr().out
    assert (place.folder / "exports" / f"{NAME}-{WORSE}" / "model.keras").exists()

    assert place.export(f"trial={WORSE}", quick, "force=true") == 0
    worse = place.alias("champion").version
    assert place.versions() == {str(best): BEST, str(worse): WORSE}
    assert place.alias("previous").version == best

    assert place.export() == 0
    assert place.alias("champion").version == best
    assert place.alias("previous").version == worse
    assert len(place.versions()) == 2


@pytest.mark.usefixtures("in_this_process")
def test_a_trial_that_is_not_published_yet_is_exported_and_can_be_registered_later(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = f"tracking.uri=sqlite:///{tmp_path / 'empty.db'}"
    overrides = [f"export.path={tmp_path / 'mine'}", "export.formats=[keras]", empty]
    assert place.export(*overrides) == 69
    assert f"python -m search.publish study.name={NAME}" in capsys.readouterr().err
    assert Manifest.read(tmp_path / "mine").damage(tmp_path / "mine") is None


@pytest.fixture
def served(place: Place, exported: Path, tmp_path: Path) -> Iterator[Callable[[object], Any]]:
    """`mlflow models serve` on the champion; a call posts inputs and returns predictions."""
    assert exported.exists()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scripts = Path(sys.executable).parent
    log = (tmp_path / "serve.log").open("w")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"),
            *("--env-manager", "local", "-p", str(port)),
        ],
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{place.folder / 'mlflow.db'}",
        },
        stdout=log,
        stderr=log,
        start_new_session=True,
    )

    def call(path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
            return content

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                call("/ping")
                break
            except (urllib.error.URLError, ConnectionError):
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((tmp_path / "serve.log").read_text()[-3000:])
                time.sleep(0.2)
        yield lambda inputs: json.loads(call("/invocations", {"inputs": inputs}))["predictions"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        log.close()


def test_the_champion_answers_over_http_on_raw_pixels(
    exported: Path, digits: Dataset, served: Callable[[object], Any]
) -> None:
    raw = digits.test.features[:50]  # whole numbers, as they come from an image
    answer = np.asarray(served(raw.tolist()))
    expected = read(exported / NAMES["keras"])(raw.astype(np.float32))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    example = json.loads((exported / "example.json").read_text())
    assert np.asarray(served(example["inputs"])).shape == (1, 10)
