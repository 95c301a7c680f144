"""The answer of a verdict as a model: its files, its place in the registry, and what came before it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import search.artifacts.bundle
from pipeline.artifact.manifest import Manifest
from pipeline.command.compose import compose, to_yaml
from pipeline.data import Dataset
from pipeline.run.config import RunConfig
from pipeline.run.result import Outcome
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import dataset_info
from pipeline.training.execute import execute
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.setup.finalists import _rows
from search.setup.read import read as read_setup
from search.study.endings import MET
from search.study.vocabulary import Attempts, Study, Suggestion
from search.telling.runs import Records
from search.telling.verdict import VerdictRecords
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from tests.search.export.study import NAME, Place, contents, store
from tests.search.verdicts import asked

pytestmark = pytest.mark.slow  # networks are trained

WORKER = {"device": "cpu", "threads": "1"}
SMALLER, LARGER = 32, 256  # than the default, which has 128


@dataclass(frozen=True)
class Compared:
    """A study of one trial in `place`, and the verdict on it and its default; nothing was told to MLflow."""

    place: Place
    finalists: Finalists
    weights: WeightStore

    @property
    def answer(self) -> Any:
        assert self.finalists.answer is not None
        return self.finalists.answer.entry

    def publish(self) -> None:
        about = self.finalists.facts.about
        tracker = MlflowTracker(f"sqlite:///{self.place.folder / 'mlflow.db'}")
        records = Records(about, self.finalists.uid)
        tracker.publish(records.of_study(self.place.entries, MET))
        tracker.publish(records.of_trial(self.place.entries[0]))
        for record in VerdictRecords(self.finalists).all():
            tracker.publish(record)


def trained(run: RunConfig, digits: Dataset) -> Outcome:
    seed = run.data.split_seed
    return execute(run, digits if seed is None else digits.resplit(seed), lambda _: False)


@pytest.fixture(params=[SMALLER, LARGER], ids=["a trial", "the default"], scope="module")
def compared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits: Dataset
) -> Iterator[Compared]:
    """With one seed all are a tie: the answer is the trial where it is the cheaper one."""
    folder = tmp_path_factory.mktemp("compared")
    place = Place(folder, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        values = compose(["+study=smoke", "train.epochs=3", *place.overrides])
        setup = read_setup(values, lambda: "")
        study = Study(setup.study, setup.run, setup.space, dataset_info(digits), setup.search)
        storage = open_storage(setup.storage.url)
        table = TrialTable.open(storage, study)
        table.describe(study.about(to_yaml(values), "python -m search.optimize +study=smoke"))
        params = {"model.hidden_units": 32, "model.dropout": 0.1, "train.learning_rate": 0.003}
        trial = table.create(Suggestion(params), study.space)
        model = setup.run.model.model_copy(update={"hidden_units": request.param})
        run = study.space.apply(setup.run, params).model_copy(update={"model": model})
        began = replace(table.start(0, run, Attempts(1)), worker=WORKER)
        outcome = trained(run, digits)
        store(folder / "weights", table.uid).save(trial.number, outcome.weights)
        table.complete(began, outcome.result, {})
        facts = Facts.of(table.about(), table.entries())
        config = {"top": 1, "seeds": 1, "max_seeds": 1, "confirm": 2}
        chosen = replace(asked(facts, **config), uid=table.uid)
        table.ask_finalists(chosen.asked.model_dump(mode="json"))
        rows = _rows(storage, chosen)
        weights = store(folder / "weights", rows.uid)
        finalists = chosen
        while finalists.missing:
            for missing in finalists.missing:
                row = rows.create(Suggestion(finalists.params_of(missing)), finalists.space)
                began = rows.start(row.number, finalists.run_of(missing), Attempts(1))
                assert began.run is not None
                outcome = trained(began.run, digits)
                weights.save(row.number, outcome.weights)
                rows.complete(replace(began, worker=WORKER), outcome.result, {})
            finalists = finalists.with_rows(rows.entries())
        assert finalists.answer is not None
        weights.keep_only([finalists.answer.entry.number])
        storage.engine.dispose()
        found = Compared(Place(folder, table.entries()), finalists, weights)
        found.publish()
        yield found


def export(compared: Compared, *overrides: str) -> int:
    return compared.place.export("export.formats=[keras]", *overrides)


@pytest.mark.usefixtures("in_this_process")
def test_the_answer_is_exported_and_becomes_the_champion_and_nothing_is_done_twice(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def retrain(*_: object) -> None:
        raise AssertionError("its weights are kept")

    monkeypatch.setattr(search.artifacts.bundle, "retrain", retrain)
    place, folder = compared.place, compared.place.folder / "exports" / NAME
    assert export(compared) == 0
    told = capsys.readouterr().out
    verdict = compared.finalists.verdict
    assert verdict is not None
    assert f"the verdict's answer, {verdict.answer}" in told
    found = Manifest.read(folder)
    result = compared.answer.result
    assert found.uid == compared.answer.uid
    assert found.trial == (0 if verdict.answer == "trial 0" else None)
    assert found.test == result.test
    assert found.validation["val_accuracy"] == result.value
    assert found.standing.value == verdict.of(str(verdict.answer)).confirmed.value  # type: ignore[union-attr]
    assert found.verdict == verdict.model_dump(mode="json")
    assert "## The verdict" in (folder / "MODEL_CARD.md").read_text()

    champion = place.alias("champion")
    run = place.client.get_run(champion.run_id)
    assert run.data.tags["uid"] == compared.answer.uid
    assert run.data.tags["finalist"] == verdict.answer
    assert champion.tags["verdict.answer"] == verdict.answer
    assert champion.tags["verdict.outcome"] == "tie"
    assert float(champion.tags["verdict.mean"]) == found.standing.value

    before = contents(folder)
    assert export(compared) == 0
    assert "Nothing new" in capsys.readouterr().out
    assert contents(folder) == before
    assert export(compared, "trial=0") == 0
    assert (
        "stays champion, as its val_accuracy is a mean over 2 fresh seeds"
        in capsys.readouterr().out
    )
    assert place.alias("champion").version == champion.version
    assert export(compared, "trial=0", "force=true") == 0
    forced = place.alias("champion")
    assert forced.tags["trial.number"] == "0"
    assert not [tag for tag in forced.tags if tag.startswith("verdict.")]
    assert export(compared) == 0
    assert place.alias("champion").version == champion.version, "the answer is back"


@pytest.mark.usefixtures("in_this_process")
def test_the_tags_of_the_champion_follow_the_verdict(compared: Compared) -> None:
    assert export(compared) == 0
    place = compared.place
    version = place.alias("champion").version
    for key, text in (("verdict.mean", "0.5"), ("verdict.gain_low", "0.4"), ("mine", "kept")):
        place.client.set_model_version_tag(NAME, version, key, text)
    assert export(compared) == 0
    tags = place.alias("champion").tags
    standing = Manifest.read(place.folder / "exports" / NAME).standing
    assert float(tags["verdict.mean"]) == standing.value
    assert tags.get("verdict.gain_low") != "0.4"
    assert tags["mine"] == "kept"


@pytest.mark.usefixtures("in_this_process")
def test_an_answer_whose_weights_are_not_kept_is_trained_again_to_the_same_numbers(
    compared: Compared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = f"storage.weights={tmp_path / 'weights'}"
    overrides = ("export.register=false", f"export.path={tmp_path / 'mine'}", elsewhere)
    assert export(compared, *overrides) == 0
    assert "Trained again, with the recorded numbers" in capsys.readouterr().out
    assert Manifest.read(tmp_path / "mine").test == compared.answer.result.test
