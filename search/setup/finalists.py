"""The comparison of a study's finalists, from its configuration to its exit code."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.command.errors import PlumblineError, StoppedError
from pipeline.command.redact import redact
from pipeline.command.section import validated
from pipeline.run.config import run_config
from pipeline.tracking.address import run_page
from pipeline.tracking.config import TrackingConfig, missing, open_publisher
from search.analysis.facts import Facts, Source
from search.analysis.finalists import Finalists, asked_of
from search.analysis.plan import FinalistsConfig
from search.analysis.wording import words
from search.coordination.lanes import settled
from search.coordination.repeats import Repeats, Wanted
from search.forecasting.cost import Size
from search.forecasting.estimator import Estimator
from search.forecasting.samples import samples
from search.setup.means import (
    check_loops,
    data_of,
    gpus_of,
    launcher_for,
    number_of_workers,
    our_turn,
    trained_so,
)
from search.steering.launches import announce
from search.study.address import again, named
from search.study.shown import next_steps
from search.study.vocabulary import Lock, Study, StudyConfig
from search.telling.progress import Progress
from search.telling.verdict import VerdictRecords, as_table
from search.trial_table.storage import StorageConfig, check_writable, errors_named
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.trial_table.writing import Storage
from search.workers.messages import LocalConfig, RayConfig, launcher_config, workforce
from search.workers.pool import Pool
from search.workers.stopping import Stopper

_PUBLISH_SECONDS = 10.0  # how long the end waits for a tracker that does not answer


@dataclass(frozen=True)
class _Settings:
    """What the command was given, checked. `path`: where the data lies now, if that was said."""

    finalists: FinalistsConfig
    launcher: LocalConfig | RayConfig
    tracking: TrackingConfig
    storage: StorageConfig
    name: str | None
    lock: Lock
    path: str | None


def compare(values: Mapping[str, Any], command: str) -> int:
    """Train a study's finalists over fresh seeds until the verdict stands, and tell of it.

    What is on record is not trained again. `command`: what to type to go on. Returns 0; 1 where there is
    no answer, as all diverged; 75 where it was stopped. Raises PlumblineError where a run failed that
    has not diverged.
    """
    settings = _read(values)
    screen = Console(highlight=False, markup=False, soft_wrap=True)
    url = settings.storage.url
    with errors_named(url), ExitStack() as stack:
        name = TrialTable.load(url, settings.name).name
        if (storage := our_turn(url, name, settings.lock, stack)) is None:
            return 0
        table = TrialTable(storage, name)
        facts = Facts.recorded(table)
        before = asked_of(facts, table)
        finalists = Finalists.chosen(facts, table.uid, settings.finalists).asked_after(before)
        changed = finalists.asked != before
        table.ask_finalists(finalists.asked.model_dump(mode="json"))
        rows = _rows(storage, finalists)
        finalists = finalists.with_rows(rows.entries())
        if finalists.missing:
            finalists, changed = _train(settings, finalists, rows, screen, storage), True
        source = Source(url, name, settings.tracking, settings.path)
        unpublished = _publish(source, finalists, changed, screen)
    return _farewell(settings, finalists, unpublished, screen, command)


def _read(values: Mapping[str, Any]) -> _Settings:
    return _Settings(
        finalists=validated(FinalistsConfig, values["finalists"], "finalists"),
        launcher=launcher_config(values["launcher"]),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        name=named(values),
        lock=values["study"]["lock"],
        path=values["data"]["path"],
    )


def _rows(storage: Storage, finalists: Finalists) -> TrialTable:
    """The table of their runs, made if need be."""
    about = finalists.facts.about
    config = StudyConfig(
        name=finalists.table_name, question=None, trials=1, lock="fail", space={"train": {}}
    )
    base = run_config(finalists.facts.config)
    return TrialTable.open(storage, Study(config, base, finalists.space, about.dataset, {}))


def _train(
    settings: _Settings,
    finalists: Finalists,
    rows: TrialTable,
    screen: Console,
    storage: Storage,
) -> Finalists:
    """The finalists with the runs that the verdict needs; fewer where it was stopped.

    The weights of those that may be exported are kept, and once it stands those of its answer alone.
    """
    facts, gpus = finalists.facts, gpus_of(settings.launcher)
    data = data_of(facts.about, facts.data, settings.path)
    missing = [finalists.run_of(run) for run in finalists.missing]
    size = Size.of(facts.about.dataset)
    config = settled(settings.launcher, gpus, size, lambda: missing, len(missing))
    check_loops(config, {run.train.loop for run in missing})
    workers = number_of_workers(config, gpus)
    check_writable(Path(settings.storage.weights))
    weights = WeightStore.of(settings.storage.weights, facts.about.name, rows.uid)
    estimator = _estimator(finalists, rows, config)
    for line in _what_is_to_come(finalists, workers, workforce(config, workers), estimator):
        screen.print(line)
    asked = announce(storage, facts.about.name, workers)
    stopper = Stopper(config.grace_seconds, screen.print, asked=asked)
    with stopper.listening(), closing(launcher_for(config, data, workers, gpus)) as launcher:
        pool = Pool(launcher, config.attempts, stopper)
        while wanted := _wanted(finalists, rows, weights):
            ended = [row for row in rows.entries() if row.state != "running"]
            target = len(ended) + len(wanted)
            name, objective = facts.about.name, facts.objective
            progress = Progress(screen, name, target, workers, objective, ended, "run", estimator)
            repeats = Repeats(wanted)
            with progress:
                repeats.train(pool, progress.ended, progress.update)
            finalists = finalists.with_rows(rows.entries())
            if repeats.missing:
                break
            _check(finalists, rows, len(ended))
    if finalists.verdict is not None:
        answer = finalists.answer
        weights.keep_only(() if answer is None else (answer.entry.number,))
    return finalists


def _estimator(
    finalists: Finalists, rows: TrialTable, config: LocalConfig | RayConfig
) -> Estimator:
    """That of runs trained to their end, by those on record and the study's trials on such workers."""
    size, runs = Size.of(finalists.facts.about.dataset), [x.run for x in finalists.all.values()]
    alike = trained_so(finalists.facts.entries, config)
    return Estimator(size, lambda _: runs, rows.entries(), samples(alike, size))


def _wanted(finalists: Finalists, rows: TrialTable, weights: WeightStore) -> list[Wanted]:
    return [
        Wanted(
            rows,
            finalists.space,
            finalists.params_of(run),
            finalists.run_of(run),
            weights if run.part == "confirmation" else None,
        )
        for run in finalists.missing
    ]


def _what_is_to_come(
    finalists: Finalists, workers: int, words: str, estimator: Estimator
) -> list[str]:
    """Who is compared, and what that costs."""
    plan, about = finalists.asked.plan, finalists.facts.about
    fewest, most = plan.runs(len(finalists.all))
    said = [f"{about.name}: {len(finalists.all)} configurations over fresh seeds."]
    if finalists.asked.left_out is not None:
        said.append(f"The study's starting point is left out: {finalists.asked.left_out}.")
    usual = estimator.usual
    time = "how long is not known,"
    if usual is not None:
        low, high = ((count - len(finalists.rows)) * usual / workers for count in (fewest, most))
        time = f"{_minutes(max(low, 0))} to {_minutes(high)}"
    cost = f"{fewest} to {most} runs, of which {len(finalists.rows)} are on record"
    return [*said, f"{cost}; {time} with {words}."]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _check(finalists: Finalists, rows: TrialTable, before: int) -> None:
    """Raise PlumblineError where one of the latest runs failed for another reason than its numbers."""
    for row in rows.entries()[before:]:
        if row.state == "failed" and not row.diverged:
            raise PlumblineError(
                f"{finalists.facts.about.name}: run {row.number} failed: {row.reason} (mend that; the same "
                "command tries it again)"
            )


def _publish(source: Source, finalists: Finalists, changed: bool, screen: Console) -> int:
    """How many runs of the comparison the tracker still has not; what it has is not told again.

    Once it has all of them, and the verdict stands, the study's report is made anew. `changed`: whether
    this launch changed anything of the comparison.
    """
    tracking = source.tracking
    if tracking.name == "none":
        return 0
    found = VerdictRecords(finalists).all()
    lacking = missing(tracking, source.name, {record.uid: record.attempt for record in found})
    if finalists.verdict is not None and not lacking and not changed:
        return 0
    publisher = open_publisher(tracking, screen.print)
    assert publisher is not None
    for record in found:
        publisher.update(record)
    waiting = publisher.close(_PUBLISH_SECONDS, hurry=False)
    if finalists.verdict is not None and not waiting and tracking.report:
        _report(source, screen)
    return waiting


def _report(source: Source, screen: Console) -> None:
    """Publish the study's report with the verdict in it; that it can't be is no fault of the verdict."""
    from pipeline.tracking.mlflow import TrackingError
    from search.rendering.report import render_and_publish  # it takes a second to import

    try:
        problem = render_and_publish(source)
    except (TrackingError, OSError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0]
    if problem:
        told = (
            f"report: {redact(problem)} (python -m search.report study.name={source.name} makes it)"
        )
        screen.print(told)


def _farewell(
    settings: _Settings, finalists: Finalists, unpublished: int, screen: Console, command: str
) -> int:
    """Print the verdict, or what is left to do; the exit code."""
    name, verdict = finalists.facts.about.name, finalists.verdict
    if verdict is not None:
        screen.print(as_table(finalists, verdict), soft_wrap=False)
        for sentence in words(verdict):
            screen.print(sentence, soft_wrap=False)
    if unpublished:
        screen.print(f"\n{unpublished} runs are not published yet: the same command does it later.")
    elif settings.tracking.name != "none":
        page = run_page(settings.tracking, name, VerdictRecords(finalists).uid)
        screen.print(f"\nThe run `verdict`:{page}")
    if verdict is not None and verdict.answer is not None:
        screen.print(
            "\n".join(["\nNext:", *(f"  {step}" for step in next_steps(again(name, command)))])
        )
    if verdict is None:
        screen.print(f"\nStopped; the same command goes on:\n  {redact(command)}")
        return StoppedError.exit_code
    return 0 if verdict.answer is not None else 1
