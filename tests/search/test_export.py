"""Export: what is shipped does what the trial did, whole or not at all, and the champion is the best."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from PIL import Image

import search.artifacts.bundle
import search.artifacts.verify
import search.export
from pipeline import predict
from pipeline.artifact.formats import NAMES, read, write
from pipeline.artifact.manifest import Manifest, Standing
from pipeline.command.cli import command
from pipeline.command.compose import compose
from pipeline.command.errors import PlumblineError
from pipeline.data import Dataset
from pipeline.pictures.typical import Typical
from pipeline.run.comparable import measure
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import dataset_info
from pipeline.training.execute import execute
from pipeline.training.score import judge
from search.coordination.retrain import retrain
from search.export import main, spelled_out
from search.setup.read import read as read_setup
from search.study.endings import MET
from search.study.vocabulary import Attempts, Entry, Study, Suggestion
from search.table.trials import TrialTable
from search.table.weights import WeightStore
from search.telling.runs import Records
from tests.conftest import RunPython

pytestmark = pytest.mark.slow  # every format loaded again in processes of its own

NAME = "smoke"
BEST, WORSE, UNKEPT = 0, 1, 2
"""The trials: the best one, a worse one, and one in between whose weights were not kept."""
UNITS = {BEST: 64, WORSE: 4, UNKEPT: 16}


@dataclass(frozen=True)
class Place:
    """A folder with a finished study, published to MLflow."""

    folder: Path
    entries: list[Entry]

    @property
    def overrides(self) -> list[str]:
        return [
            f"study.name={NAME}",
            f"storage.url=sqlite:///{self.folder / 'studies.db'}",
            f"storage.weights={self.folder / 'weights'}",
            f"tracking.uri=sqlite:///{self.folder / 'mlflow.db'}",
        ]

    def export(self, *overrides: str) -> int:
        return command(
            spelled_out([*self.overrides, *overrides]), main, "search.export", "", lambda _: ""
        )

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def versions(self) -> dict[str, int]:
        """The trial behind each version of the study's model."""
        found = self.client.search_model_versions(f"name = '{NAME}'")
        return {str(version.version): int(version.tags["trial.number"]) for version in found}

    def alias(self, alias: str) -> ModelVersion:
        return self.client.get_model_version_by_alias(NAME, alias)


def store(root: Path, uid: str) -> WeightStore:
    """The kept weights of the study of `uid`."""
    return WeightStore.of(str(root), NAME, uid)


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Sum and time of every file."""
    return {
        str(file.relative_to(folder)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        overrides = ["+study=smoke", "train.epochs=3", *Place(folder, []).overrides]
        setup = read_setup(compose(overrides), lambda: "")
        study = Study(setup.study, setup.run, setup.space, dataset_info(digits), setup.search)
        table = TrialTable.open(setup.storage.url, study)
        table.describe(study.about("", "python -m search.optimize +study=smoke"))
        for number, units in UNITS.items():
            params = {"model.hidden_units": 32, "model.dropout": 0.1, "train.learning_rate": 0.003}
            trial = table.create(Suggestion(params), study.space)
            model = setup.run.model.model_copy(update={"hidden_units": units})
            run = study.space.apply(setup.run, params).model_copy(update={"model": model})
            began = replace(
                table.start(trial.number, run, Attempts(1)),
                worker={"device": "cpu", "threads": "1"},
            )
            outcome = execute(run, digits, lambda _: False)
            table.complete(began, outcome.result, {})
            if number != UNKEPT:
                store(folder / "weights", table.uid).save(number, outcome.weights)
        entries = table.entries()
        tracker = MlflowTracker(str(setup.tracking.uri))
        records = Records(table.about(), table.uid)
        tracker.publish(records.of_study(entries, MET))
        for entry in entries:
            tracker.publish(records.of_trial(entry))
        values = [entry.value or 0.0 for entry in entries]
        assert values[BEST] > values[UNKEPT] > values[WORSE]
        yield Place(folder, entries)


@pytest.fixture(scope="module")
def exported(place: Place) -> Path:
    """The best trial in three formats, registered."""
    assert place.export() == 0
    return place.folder / "exports" / NAME


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are checked in this process: a fresh one takes seconds to start."""
    monkeypatch.setattr(
        search.artifacts.verify, "predict_apart", lambda path, inputs: read(path)(inputs)
    )


@pytest.fixture
def keras_only(
    in_this_process: None,  # noqa: ARG001  # for what it does
    tmp_path: Path,
) -> list[str]:
    """An export of the test's own, quick and not registered."""
    path = tmp_path / "mine"
    return [f"export.path={path}", "export.formats=[keras]", "export.register=false"]


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


@pytest.mark.slow
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


def test_a_worse_trial_takes_no_folder_of_a_better_one_unless_forced(
    place: Place, keras_only: list[str], tmp_path: Path
) -> None:
    assert place.export(*keras_only) == 0
    before = contents(tmp_path / "mine")
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    assert contents(tmp_path / "mine") == before
    assert place.export(*keras_only, f"trial={WORSE}", "force=true") == 0
    assert Manifest.read(tmp_path / "mine").trial == WORSE


def test_a_damaged_export_is_not_replaced_by_a_worse_trial_unless_forced(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    (folder / "model.keras").unlink()
    before = contents(folder)
    assert place.export(*keras_only, f"trial={WORSE}") == 1
    told = capsys.readouterr().err
    assert "model.keras is missing" in told
    assert f"trial={BEST} export.path={folder} makes it again, force=true replaces it" in told
    assert contents(folder) == before
    assert place.export(*keras_only, f"trial={BEST}") == 0
    assert Manifest.read(folder).damage(folder) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"value": 0.95}, None),
        ({"value": 0.85}, "its val_accuracy is 0.9, the new one's 0.85"),
        ({"metric": "accuracy", "value": 1.0}, "it was chosen by val_accuracy"),
        ({"data": "beef" * 16, "value": 1.0}, "it knows other data"),
    ],
)
def test_models_compare_only_by_the_same_measure_on_the_same_data(
    change: dict[str, Any], words: str | None
) -> None:
    present = Standing("val_accuracy", "maximize", 0.9, "cafe" * 16)
    reason = present.reason_to_stay(replace(present, **change))
    assert reason is None if words is None else words in str(reason)


def test_a_lower_loss_is_better() -> None:
    present = Standing("val_loss", "minimize", 0.3, "cafe" * 16)
    assert present.reason_to_stay(replace(present, value=0.2)) is None
    assert present.reason_to_stay(replace(present, value=0.4)) is not None


def test_a_file_that_differs_from_the_trial_is_refused_with_the_numbers(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    before = contents(tmp_path / "mine")

    def write_damaged(model: keras.Model, kind: Any, folder: Path) -> Path:
        *others, bias = model.get_weights()
        model.set_weights([*others, bias + np.linspace(0, 0.01, len(bias), dtype=np.float32)])
        return write(model, kind, folder)

    monkeypatch.setattr(search.artifacts.bundle, "write", write_damaged)
    assert place.export(*keras_only) == 1
    assert re.search(
        r"keras: (a probability differs by 0\.00\d+ from .* 1e-05 is allowed|log loss|test_accuracy)",
        capsys.readouterr().err,
    )
    assert contents(tmp_path / "mine") == before
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_weights_with_another_loss_are_refused_though_they_are_as_often_right(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice as sure of everything: the same classes, another test_loss."""
    uid = place.entries[BEST].uid
    *hidden, kernel, bias = store(place.folder / "weights", uid).weights(BEST) or []
    store(tmp_path / "weights", uid).save(BEST, [*hidden, 2 * kernel, 2 * bias])
    assert place.export(*keras_only, f"storage.weights={tmp_path / 'weights'}") == 1
    recorded = place.entries[BEST].result.test["test_loss"]  # type: ignore[union-attr]
    error = capsys.readouterr().err
    assert "the network: test_loss is" in error
    assert f"the trial's is {recorded:.6g}" in error
    assert not (tmp_path / "mine").exists()


def test_weights_of_another_trial_are_refused(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = place.entries[BEST].uid
    best = store(place.folder / "weights", uid).weights(BEST) or []
    store(tmp_path / "weights", uid).save(BEST, [-array for array in best])
    store(tmp_path / "weights", uid).save(WORSE, best)
    elsewhere = f"storage.weights={tmp_path / 'weights'}"
    assert place.export(*keras_only, elsewhere, f"trial={WORSE}") == 1
    assert "its weights don't fit it" in capsys.readouterr().err
    assert place.export(*keras_only, elsewhere) == 1
    recorded = place.entries[BEST].result.test["test_accuracy"]  # type: ignore[union-attr]
    error = capsys.readouterr().err
    assert "the network: test_accuracy is" in error
    assert f"recorded is {recorded:.6f}" in error
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("moment", ["MODEL_CARD.md", "the swap"])
def test_a_crash_leaves_the_old_export_whole(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    before = contents(folder)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    if moment == "the swap":
        monkeypatch.setattr(search.export, "_swap", crash)
    else:
        monkeypatch.setattr(search.artifacts.bundle.card, "model_card", crash)
    assert place.export(*keras_only) == 75
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_an_export_killed_at_any_moment_is_cleared_up_by_the_next_one(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    before = contents(folder)
    folder.rename(tmp_path / ".mine.old")  # killed between the two renames
    (tmp_path / ".mine.partial").mkdir()
    (tmp_path / ".mine.partial" / "model.keras").write_bytes(b"half")
    assert place.export(*keras_only) == 0
    assert contents(folder) == before
    assert "Nothing new" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_a_damaged_export_is_not_predicted_with_and_is_made_again(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    image = np.zeros((90, 60), np.uint8)
    image[10:80, 25:35] = 200
    Image.fromarray(image).save(tmp_path / "one.png")
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 0
    damaged = bytearray((folder / "model.keras").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / "model.keras").write_bytes(damaged)
    capsys.readouterr()
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 69
    assert "model.keras has changed since it was exported" in capsys.readouterr().err
    assert place.export(*keras_only) == 0
    assert Manifest.read(folder).damage(folder) is None
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 0


def test_a_folder_that_is_no_export_is_left_as_it_is(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert place.export(*keras_only) == 2
    assert "is there and is no export" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_weights_that_were_not_kept_are_trained_again_to_the_same_numbers(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.export(*keras_only, f"trial={UNKEPT}") == 0
    assert "Trained again, with the recorded numbers" in capsys.readouterr().out
    manifest = Manifest.read(tmp_path / "mine")
    assert manifest.standing.value == place.entries[UNKEPT].value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ({"device": "cpu", "threads": "1"}, "on the same device, with the same threads"),
        ({"device": "a gpu", "threads": "1"}, "device a gpu then, cpu now"),
        ({"threads": "1", "version.keras": "3.1"}, "version.keras 3.1 then, "),
    ],
)
def test_other_numbers_are_refused_with_both_of_them_and_with_what_changed(
    place: Place, worker: dict[str, str], reason: str
) -> None:
    entry = place.entries[UNKEPT]
    wrong = replace(entry, value=0.5, worker=worker)
    data = compose(["data=digits"])["data"]
    with pytest.raises(PlumblineError) as error:
        retrain(wrong, place.entries, search.artifacts.bundle.DataConfig(**data))
    assert repr(entry.value) in str(error.value)
    assert "0.5 is recorded" in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["study.name=smook"], "there is no study 'smook' (did you mean `smoke`?); in sqlite:"),
        (["storage.url=sqlite:///nowhere/studies.db"], "there is no study database"),
        (["trial=99"], "smoke has the trials 0 to 2, got 99"),
        (["trial=-1"], "export.trial: expected >= 0, got -1"),
        (["export.formats=[litert]"], "keras must be among them"),
        (["export.formats=[keras,pickle]"], "got pickle"),
        (["tryal=1"], "tryal: no such setting"),
    ],
)
def test_a_wrong_word_exits_2_and_creates_nothing(
    place: Place,
    tmp_path: Path,
    overrides: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert place.export(f"export.path={tmp_path / 'mine'}", *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    assert not (place.folder / "nowhere").exists()


def test_only_this_command_takes_the_short_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["trial=1"], lambda _: 0, "search.optimize", "", lambda _: "") == 2
    assert "trial: no such setting" in capsys.readouterr().err


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


@pytest.mark.slow
def test_the_champion_answers_over_http_on_raw_pixels(
    exported: Path, digits: Dataset, served: Callable[[object], Any]
) -> None:
    raw = digits.test.features[:50]  # whole numbers, as they come from an image
    answer = np.asarray(served(raw.tolist()))
    expected = read(exported / NAMES["keras"])(raw.astype(np.float32))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    example = json.loads((exported / "example.json").read_text())
    assert np.asarray(served(example["inputs"])).shape == (1, 10)
