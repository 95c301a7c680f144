"""Methods, each chosen by words, played on a record: by several processes, to the same results."""

import functools
import shlex
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pipeline.command.cli import listing
from pipeline.command.compose import CONF, compose, conf_folder
from pipeline.command.errors import ConfigError
from pipeline.command.overrides import key
from pipeline.command.section import Section, validated
from pipeline.command.signals import ignore_signals
from pipeline.run.config import run_config
from search.analysis.facts import Facts
from search.machine.cpus import usable_cpus
from search.setup.means import number_of_workers
from search.setup.read import Setup, read
from search.simulate.compare import Method
from search.simulate.play import Course, play, settings
from search.simulate.record import Record
from search.simulate.surrogate import Surrogate
from search.simulate.within import narrowed
from search.study.untried import Runs
from search.trial_table.storage import errors_named
from search.trial_table.trials import TrialTable

RECORD = CONF.parent / "benchmarks" / "space.npz"

_PARTS = ("engine", "sampler", "pruner", "oracle")
_DRAWN = 20_000
"""So many networks are looked at for the best one, and for what a trial takes."""


class SimulateConfig(Section):
    """`record`: a finished study in the storage, None for the one of MNIST that comes with the project.

    `methods`: overrides that choose what suggests and prunes. `repeats`: studies of each, with other
    seeds. `seconds`: that each study has, simulated; None: what `study.trials` take that train to the
    end. `within`: of the best counts as found. `path`: the picture that is written.
    """

    record: Annotated[str, Field(min_length=1)] | None
    methods: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    repeats: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)] | None
    within: Annotated[float, Field(gt=0)]
    path: Annotated[str, Field(min_length=1, pattern=r"\.png$")]


@dataclass(frozen=True)
class Task:
    """All that a process needs for a method. `words`: the configuration; `url`: of a record's study."""

    words: tuple[str, ...]
    folder: Path
    record: str | None


@dataclass(frozen=True)
class Ground:
    """What all methods share. `narrowed`: what of the study the record has not, in words.

    `best`: the metric of the best network of the space. `seconds`: that a study has.
    """

    config: SimulateConfig
    record: Record
    surrogate: Surrogate
    setup: Setup
    workers: int
    narrowed: tuple[str, ...]
    best: float
    seconds: float


def ground(typed: Sequence[str], values: dict[str, Any]) -> Ground:
    """What `values` ask for, checked: all methods too."""
    config = validated(SimulateConfig, values["simulate"], "simulate")
    for word in typed:
        if key(word).partition(".")[0] in _PARTS:
            raise ConfigError(
                f"{word}: simulate.methods says what suggests and prunes (leave it out, or set "
                f"'simulate.methods=[\"{word}\"]')"
            )
    _check(config.methods)
    task = _task(typed, config)
    setup, record, surrogate, said = _ready(task)
    for method in config.methods:
        found, *_ = _ready(_with(task, method))
        found.check_oracle()
    rng, runs = np.random.default_rng(0), Runs(setup.run, setup.space)
    paths = record.space.dimensions
    shown = surrogate.show([settings(setup.run, paths, runs.draw(rng)) for _ in range(_DRAWN)])
    curves = shown.curves[:, : setup.run.train.epochs]
    objective = setup.run.objective
    if objective.select == "last":
        curves = curves[:, -1:]
    workers = number_of_workers(setup.launcher, ())
    usual = float(np.mean(shown.begin + setup.run.train.epochs * shown.epoch))
    return Ground(
        config,
        record,
        surrogate,
        setup,
        workers,
        tuple(said),
        float(curves.max() if objective.maximizes else curves.min()),
        config.seconds or setup.study.trials * usual / workers,
    )


def played(found: Ground, typed: Sequence[str]) -> Iterator[Method]:
    """Every method with its courses, in the order of `simulate.methods`, as soon as it is done."""
    config, done = found.config, dict[str, dict[int, Course]]()
    task = _task(typed, config)
    left = list(config.methods)
    # What stops this process is for it alone to tell, and to pass on.
    with ProcessPoolExecutor(usable_cpus(), get_context("spawn"), ignore_signals) as processes:
        try:
            futures = [
                processes.submit(
                    _courses, _with(task, method), method, seeds, found.workers, found.seconds
                )
                for method in config.methods
                for seeds in _parts(config.repeats)
            ]
            for future in as_completed(futures):
                method, courses = future.result()
                done.setdefault(method, {}).update(courses)
                while left and len(done.get(left[0], ())) == config.repeats:
                    method = left.pop(0)
                    yield Method(called(method), tuple(c for _, c in sorted(done[method].items())))
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.kill()
            raise


def _check(methods: Sequence[str]) -> None:
    """Raise ConfigError where a method is no list of words, does more than choose, or comes twice."""
    for method in methods:
        try:
            words = shlex.split(method)
        except ValueError as error:
            raise ConfigError(f"simulate.methods: {method!r}: {error}") from None
        for path in map(key, words):
            if path.partition(".")[0] not in _PARTS and not path.startswith("study.space."):
                raise ConfigError(
                    f"simulate.methods: {method!r}: expected {', '.join(_PARTS)} or study.space, got "
                    f"{path} (it goes beside simulate.methods, for all of them)"
                )
    if len(set(map(called, methods))) < len(methods):
        raise ConfigError("simulate.methods: expected each method once")


def _task(typed: Sequence[str], config: SimulateConfig) -> Task:
    words = tuple(word for word in typed if key(word).partition(".")[0] != "simulate")
    return Task(words, conf_folder(), config.record)


def called(method: str) -> str:
    """A method as it is called in tables: its options by name, and settings as they are."""
    words = shlex.split(method)
    options = {path: value for path, _, value in (word.partition("=") for word in words)}
    if options.get("engine") == "keras_tuner":
        name = f"keras_tuner {options.get('oracle', 'random')}"
    elif "sampler" in options:
        name = options["sampler"]
    else:  # that of the study
        return method
    pruner = options.get("pruner", "none")
    settings = (word.partition("=")[0] for word in words)
    rest = [word for word, path in zip(words, settings, strict=True) if path not in _PARTS]
    return " ".join([name, *([] if pruner == "none" else ["+", pruner]), *rest])


def _parts(repeats: int) -> list[range]:
    """The seeds in parts of ten."""
    return [range(first, min(first + 10, repeats)) for first in range(0, repeats, 10)]


def _courses(
    task: Task, method: str, seeds: Sequence[int], workers: int, seconds: float
) -> tuple[str, dict[int, Course]]:
    setup, record, surrogate, _ = _ready(task)
    return method, {seed: play(setup, record, surrogate, workers, seconds, seed) for seed in seeds}


def _with(task: Task, method: str) -> Task:
    chosen = {key(word) for word in shlex.split(method)}
    rest = [word for word in task.words if key(word) not in chosen]
    return Task((*rest, *shlex.split(method)), task.folder, task.record)


@functools.cache
def _ready(task: Task) -> tuple[Setup, Record, Surrogate, list[str]]:
    """The study within the record, and the record."""
    warnings.filterwarnings("ignore", message="QMCSampler is experimental")  # a launch says so
    values: dict[str, Any] = compose(task.words, task.folder)
    record = _record(task.record, url := values["storage"]["url"])
    asked = values["train"]["epochs"]
    if asked > record.epochs:
        rest = [word for word in task.words if key(word) != "train.epochs"]
        values = compose([*rest, f"train.epochs={record.epochs}"], task.folder)
    setup = read(values, lambda: listing(task.folder, "study"))
    values["study"]["space"], said = narrowed(setup, record)
    if asked > record.epochs:
        said.append(f"train.epochs is {record.epochs} (the study has {asked})")
    setup = read(values, lambda: "")
    return setup, record, _surrogate(task.record, url, setup.run.objective.metric), said


@functools.cache
def _record(name: str | None, url: str) -> Record:
    if name is None:
        return Record.load(RECORD)
    with errors_named(url):
        facts = Facts.recorded(TrialTable.load(url, name))
    return Record.of_study(facts.about, facts.entries, run_config(facts.config), facts.space)


@functools.cache
def _surrogate(name: str | None, url: str, metric: str) -> Surrogate:
    return Surrogate(_record(name, url), metric)
