"""`python -m search.report`, and the process that makes reports while a study runs."""

import dataclasses
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search.export
import search.publish
import search.report
import search.telling.reporter
from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.run.config import DataConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.experiments import experiment_id, run_ids
from pipeline.tracking.mlflow import MlflowTracker
from search.analysis.facts import Source
from search.rendering import report as rendering
from search.report import main
from search.study.endings import MET
from search.study.vocabulary import Attempts, Study, StudyConfig, Suggestion
from search.telling.reporter import Reporter
from search.telling.runs import Records
from search.trial_table.trials import TrialTable
from tests.search import made

pytestmark = pytest.mark.slow  # the default suite stays under three minutes


def recorded(url: str, name: str, trials: int = 3) -> TrialTable:
    """The table of a study with `trials` complete trials and one that failed."""
    config = StudyConfig(name=name, question="How?", trials=4, lock="fail", space={})
    study = Study(config, made.BASE, made.DROPOUT, made.DATA, {"engine": "optuna"})
    table = TrialTable.open(url, study)
    space = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
    table.describe(study.about(made.settings({"space": space}), "python -m search.optimize", {}))
    for number in range(trials + 1):
        trial = table.create(Suggestion({"model.dropout": 0.1 * number}), made.DROPOUT)
        run = made.DROPOUT.apply(made.BASE, trial.params)
        trial = replace(table.start(trial.number, run, Attempts(made=1)), worker={"worker": "0"})
        if number < trials:
            table.complete(trial, made.result([0.8 + number / 10]), {})
        else:
            table.fail(trial, "loss is nan")
    return table


@pytest.fixture
def url(workdir: Path) -> str:
    return f"sqlite:///{workdir / 'studies.db'}"


def values(url: str, *overrides: str) -> dict[str, Any]:
    return compose(["data=digits", "tracking=none", f"storage.url={url}", *overrides])


def test_the_command_writes_one_page(workdir: Path, url: str) -> None:
    recorded(url, "mine")
    assert main(values(url, "study.name=mine", "report.path=out/mine.html")) == 0
    html = (workdir / "out" / "mine.html").read_text()
    assert "1.0000" in html
    assert "loss is nan" in html
    assert "learning_curves" in html


def test_a_write_that_is_interrupted_leaves_the_old_page_whole(
    workdir: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_text

    def full(path: Path, text: str, **how: str) -> int:
        if path.suffix == ".partial":
            whole(path, text[:100], **how)
            raise OSError("no space left on device")
        return whole(path, text, **how)

    recorded(url, "mine")
    assert main(values(url)) == 0
    old = (workdir / "mine.html").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="no space left"):
            main(values(url))
    assert (workdir / "mine.html").read_bytes() == old
    assert main(values(url)) == 0
    assert not list(workdir.glob("*.partial"))


def test_a_storage_with_one_study_needs_no_name(workdir: Path, url: str) -> None:
    recorded(url, "only")
    assert main(values(url)) == 0
    assert "only" in (workdir / "only.html").read_text()


def test_every_study_has_a_page_of_its_own(workdir: Path, url: str) -> None:
    for name in ("one", "v1.2", "größe"):
        recorded(url, name)
        assert main(values(url, f"study.name={name}")) == 0
    assert {file.name for file in workdir.glob("*.html")} == {
        "one.html",
        "v1.2.html",
        "größe.html",
    }


@pytest.mark.parametrize("path", [".", "pages/", "taken"])
def test_a_path_that_is_a_folder_is_refused_before_anything_is_drawn(
    workdir: Path, url: str, path: str
) -> None:
    (workdir / "taken").mkdir()
    with pytest.raises(ConfigError, match=r"report\.path: expected a file, got the folder"):
        main(values(url, f"report.path={path}"))


@pytest.mark.parametrize(
    ("override", "wrong"),
    [([], "is missing"), (["study.name=twi"], r"no study 'twi' \(did you mean `two`\?\)")],
)
def test_a_study_that_is_not_there_is_refused_with_those_that_are(
    url: str, workdir: Path, override: list[str], wrong: str
) -> None:
    recorded(url, "one")
    recorded(url, "two")
    with pytest.raises(ConfigError, match=f"{wrong}.*one, two"):
        main(values(url, *override))
    assert not list(workdir.glob("*.html"))


@pytest.mark.parametrize("module", [search.export, search.publish, search.report])
def test_no_database_is_made_where_there_is_none(url: str, workdir: Path, module: Any) -> None:
    with pytest.raises(ConfigError, match="no study database"):
        module.main(values(url, "study.name=mine"))
    assert list(workdir.iterdir()) == []


def test_a_tracker_that_is_away_costs_the_publication_and_not_the_page(
    workdir: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bool:
        raise ConnectionError("refused")

    monkeypatch.setattr(rendering, "publish", away)
    recorded(url, "mine")
    with pytest.raises(UnavailableError, match=r"mine\.html is written.*refused"):
        main(values(url, "tracking=mlflow", "tracking.uri=http://127.0.0.1:9"))
    assert (workdir / "mine.html").exists()


def test_no_tracking_database_is_made_by_looking(workdir: Path, url: str) -> None:
    recorded(url, "mine")
    assert main(values(url, "tracking=mlflow")) == 0
    assert not (workdir / "mlflow.db").exists()


def test_other_data_than_the_study_had_cost_the_images_only(url: str, tmp_path: Path) -> None:
    table = recorded(url, "mine")
    source = Source(url, "mine", tracking())
    rendered = rendering.render(source, tmp_path, pictures_of_trials=True)
    assert "these are not the data of mine" in rendered.problem
    assert {file.name for file in rendered.folders[f"{table.uid}-2"].iterdir()} == {"confusion.png"}
    page = (tmp_path / "study" / "report.html").read_text()
    assert "The hardest images are not shown: the data are not where they lay" in page
    assert "python -m search.report study.name=mine data.path=FILE" in page


REMEMBERED, SAID = "/was/mnist.npz", "/now/mnist.npz"


@pytest.mark.parametrize(
    ("said", "there", "looked"),
    [
        (None, [REMEMBERED, None], [REMEMBERED]),
        (None, [None], [REMEMBERED, None]),
        (None, [], [REMEMBERED, None]),
        (SAID, [SAID, REMEMBERED], [SAID]),
        (SAID, [REMEMBERED, None], [SAID]),
    ],
    ids=["as they lay", "in the cache by now", "gone", "elsewhere", "not where it was said"],
)
def test_data_are_looked_for_where_they_lay_and_never_downloaded(
    said: str | None,
    there: list[str | None],
    looked: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
    digits: Any,
) -> None:
    """Of MNIST that was found by itself the study's configuration names no path; its record does."""
    found: list[str | None] = []

    def load(config: DataConfig, download: bool) -> Any:
        assert not download
        found.append(config.path)
        if config.path not in there:
            raise UnavailableError(f"no file {config.path}")
        return digits

    monkeypatch.setattr(rendering, "load", load)
    data = DataConfig(name="mnist", path=None, scale=True)
    trial = made.trial(0, run=made.BASE.model_copy(update={"data": data}))
    record = dataclasses.replace(made.DATA, source=REMEMBERED, digest=digits.digest)
    had = rendering._data_of(made.facts([trial], dataset=record), said)
    assert found == looked
    assert had is digits if looked[-1] in there else had == f"no file {looked[0]}"


def test_the_best_trials_get_pictures(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Any
) -> None:
    monkeypatch.setattr(made, "DATA", dataclasses.replace(made.DATA, digest=digits.digest))
    table = recorded(url, "mine")
    source = Source(url, "mine", tracking(keep_models=2))
    rendered = rendering.render(source, tmp_path, pictures_of_trials=True)
    assert rendered.problem == ""
    folders = rendered.folders
    assert set(folders) == {table.uid, f"{table.uid}-2", f"{table.uid}-1"}
    pictures = {file.name for file in folders[f"{table.uid}-2"].iterdir()}
    assert pictures == {"confusion.png", "hardest.png"}
    study = {file.name for file in folders[table.uid].iterdir()}
    assert {"best_confusion.png", "best_hardest.png", "leaderboard.csv", "leaderboard.md"} <= study


def test_the_leaderboard_has_every_digit_as_csv(url: str, tmp_path: Path) -> None:
    recorded(url, "mine")
    rendering.render(Source(url, "mine", tracking()), tmp_path, pictures_of_trials=False)
    lines = (tmp_path / "study" / "leaderboard.csv").read_text().splitlines()
    assert (
        lines[0] == "trial,model.dropout,val_accuracy,test_accuracy,best_epoch,seconds,parameters"
    )
    assert lines[1] == "2,0.2,1.0,0.995,1,2.0,21"
    assert len(lines) == 4


def tracker_here() -> str:
    """By its whole path: MLflow remembers a relative one as that of the first test of the process."""
    return f"sqlite:///{Path('mlflow.db').absolute()}"


def tracking(keep_models: int = 3) -> TrackingConfig:
    return TrackingConfig(
        name="mlflow", uri=tracker_here(), report_seconds=None, keep_models=keep_models
    )


def test_rows_lead_to_their_runs_on_the_server_that_was_said_and_without_its_password(
    workdir: Path, url: str
) -> None:
    table = recorded(url, "mine")
    records = Records(table.about(), table.uid)
    tracker = MlflowTracker(tracker_here())
    tracker.publish(records.of_study(table.entries(), MET))
    for entry in table.entries()[:2]:
        tracker.publish(records.of_trial(entry))
    said = ("tracking=mlflow", f"tracking.uri={tracker_here()}")
    assert main(values(url, *said)) == 0
    assert "/#/experiments/" not in (workdir / "mine.html").read_text(), "no server is known"
    assert main(values(url, *said, "tracking.ui=http://ann:s3cret@here:5000/ml/")) == 0
    html = (workdir / "mine.html").read_text()
    runs = run_ids(tracking(), "mine")
    base = f"http://here:5000/ml/#/experiments/{experiment_id(tracking(), 'mine')}/runs"
    for number in (0, 1):
        assert f'<a href="{base}/{runs[f"{table.uid}-{number}"]}">{number}</a>' in html
    assert html.count("/#/experiments/") == 2, "those that are published"
    assert "s3cret" not in html


def closed(reporter: Reporter, patience: float) -> float:
    """How long it took to close `reporter`."""
    began = time.monotonic()
    reporter.close(patience)
    return time.monotonic() - began


def test_a_report_that_fails_is_told_of_and_nothing_else(url: str) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "not there", tracking()), None, notes.append)
    reporter.trial_ended()
    reporter.tick()
    reporter.close(120)
    (note,) = notes
    assert note.startswith("report: ConfigError: storage.url: there is no study database")
    assert "python -m search.report study.name=not there" in note


def test_a_process_that_dies_is_told_of_and_nothing_else(url: str) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), 1e-9, notes.append)
    reporter.trial_ended()
    reporter.tick()
    assert reporter._process is not None
    reporter._process.kill()
    reporter.close(0.5)
    assert "the process that makes it died" in notes[0]


@pytest.mark.slow
def test_a_last_report_that_gets_no_idle_time_is_made_all_the_same(
    url: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that others keep busy: a process of usual priority takes over."""
    table = recorded(url, "mine")
    MlflowTracker(tracker_here()).publish(
        Records(table.about(), table.uid).of_study(table.entries(), MET)
    )
    monkeypatch.setattr(search.telling.reporter, "_IDLE_SECONDS", 0.0)
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter.trial_ended()
    first = reporter._process
    reporter.close(240)
    assert reporter._process is not first
    assert list(workdir.rglob("report.html")), notes
    (note,) = notes
    assert "its runs are not published yet" in note  # those of its trials


def test_a_study_waits_no_longer_than_it_was_told_to(url: str) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter.trial_ended()
    assert closed(reporter, 0.2) < 5
    assert "not ready within 0.2 s" in notes[0]


def test_without_a_trial_that_ended_no_report_is_made(url: str) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), 0.001, notes.append)
    reporter.tick()
    assert closed(reporter, 60) < 1
    assert notes == []


def test_a_report_is_drawn_ahead_and_its_pictures_of_trials_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Any
) -> None:
    monkeypatch.setattr(made, "DATA", dataclasses.replace(made.DATA, digest=digits.digest))
    table = recorded(url, "mine")
    drawn: list[int] = []
    monkeypatch.setattr(rendering, "save_trial", lambda entry, *_: drawn.append(entry.number))
    maker = rendering.Maker(Source(url, "mine", tracking(keep_models=2)), tmp_path / "made")
    (tmp_path / "made").mkdir()
    assert maker.prepare() == ""
    assert maker.draw().problem == ""
    assert sorted(drawn) == [1, 2]
    folders = {path.name for path in (tmp_path / "made").iterdir()}
    assert folders == {"study", f"{table.uid}-1", f"{table.uid}-2"}


@pytest.mark.slow
def test_a_last_report_whose_drawing_failed_is_drawn_again_and_published(
    url: str, workdir: Path
) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter.trial_ended()
    reporter.draw()
    reporter._hear(120)
    assert "no study database" in notes.pop()
    table = recorded(url, "mine")
    tracker = MlflowTracker(tracker_here())
    records = Records(table.about(), table.uid)
    tracker.publish(records.of_study(table.entries(), MET))
    for entry in table.entries():
        tracker.publish(records.of_trial(entry))
    reporter.close(120)
    (note,) = notes
    assert "no validation images" in note
    assert list(workdir.rglob("report.html"))


def test_a_reporter_asks_for_what_can_be_drawn_ahead_once_for_each_trial(url: str) -> None:
    asked: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, asked.append)
    reporter._start = list  # type: ignore[method-assign,assignment]
    reporter._ask = asked.append  # type: ignore[method-assign]
    reporter.tick(spare=True)
    assert asked == []  # no trial has ended
    for _ in range(2):
        reporter.trial_ended()
        reporter.tick(spare=False)
        reporter.tick(spare=True)
        reporter.tick(spare=True)
    reporter.draw()
    reporter.draw()
    assert asked == ["prepare", "prepare", "draw"]
