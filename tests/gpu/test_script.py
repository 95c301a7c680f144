"""The script that runs docs/gpu.md on a GPU, as far as it can be seen without one."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.network import loop
from search.study.vocabulary import Attempts, Entry
from search.workers.worker import Data
from tests.conftest import MakeRunConfig
from tests.gpu import fakes, looking
from tests.gpu.__main__ import PAGE, main
from tests.gpu.checks import CHECKS, NEEDS
from tests.gpu.looking import COPIES, RESIDENT, SEES
from tests.gpu.place import Broken, Ran, sections
from tests.search.fakes import epoch_metrics

COMMANDS = sections(PAGE.read_text(encoding="utf-8"))


def test_every_section_of_the_page_with_a_command_is_looked_at() -> None:
    with_commands = {heading for heading, commands in COMMANDS.items() if commands}
    assert with_commands <= set(CHECKS) <= set(COMMANDS)
    assert set(NEEDS) <= set(CHECKS)


def test_without_a_gpu_one_line_says_so_and_nothing_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(480, []) == 69
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"test-gpu: .*there is no nvidia-smi in PATH.*\n", err)


def trial(number: int, start: float, end: float, **changes: Any) -> Entry:
    """A trial that went well on GPU 0."""
    about = {"device": "a gpu", "gpu": "0", SEES: "1", COPIES: "3", RESIDENT: "cuda:0"}
    worker = about | changes.pop("worker", {})
    history = (epoch_metrics(1, 0.5), epoch_metrics(2, 0.6))
    entry = Entry(number, str(number), "complete", {}, start, ended_at=end, history=history)
    return replace(entry, worker=worker, **changes)


TWO = [trial(0, 0, 2), trial(1, 1, 3)]
UUID = [trial(0, 0, 2, worker={"gpu": "GPU-aaaa"})]
FITS = trial(0, 0, 1, params={"model.depth": 1})
REASON = "out of memory, also alone on its GPU: RESOURCE_EXHAUSTED"
LARGE = trial(1, 0, 1, params={"model.depth": 64}, state="failed", reason=REASON)
TWICE = replace(LARGE, attempts=Attempts(made=2, excused=1))


def lane(number: int, worker: str, start: float) -> Entry:
    """A trial of two seconds in a lane of four."""
    return trial(number, start, start + 2, worker={"worker": worker, "lanes": "4"})


LANES = [lane(0, "0.0", 0), lane(1, "0.1", 1)]


class Tables:
    """A place with these trials, by study."""

    gpus = ()

    def __init__(self, **tables: Sequence[Entry]) -> None:
        self._tables = tables

    def trials(self, name: str) -> list[Entry]:
        return list(self._tables.get(name, []))


@pytest.mark.parametrize(
    ("heading", "tables", "wrong"),
    [
        ("Install", {"gpu_install": TWO}, None),
        ("Install", {}, "has no trials"),
        ("Install", {"gpu_install": [trial(0, 0, 1, worker={"device": "cpu"})]}, "on the CPU"),
        ("Install", {"gpu_install": [LARGE]}, "trial 1 is failed"),
        ("Pinning", {"gpu_pinned": TWO, "gpu_by_uuid": UUID}, None),
        ("Pinning", {"gpu_pinned": UUID, "gpu_by_uuid": UUID}, "expected GPU 0"),
        ("Pinning", {"gpu_pinned": TWO, "gpu_by_uuid": TWO}, "by its UUID"),
        ("Pinning", {"gpu_pinned": TWO + UUID, "gpu_by_uuid": UUID}, "expected one GPU"),
        ("Pinning", {"gpu_pinned": [trial(0, 0, 1, worker={SEES: "2"})]}, "see 2 GPUs"),
        ("Packing", {"gpu_packed": TWO, "gpu_install": TWO}, None),
        ("Packing", {"gpu_packed": [trial(0, 0, 1), trial(1, 1, 2)]}, "at the same time"),
        ("Packing", {"gpu_packed": [TWO[0], UUID[0]]}, "at the same time"),
        ("Out of memory", {"gpu_large": [FITS, TWICE]}, None),
        ("Out of memory", {"gpu_large": [FITS, LARGE]}, "two attempts, got 0"),
        ("Out of memory", {"gpu_large": [FITS, replace(FITS, params=LARGE.params)]}, "complete"),
        ("Out of memory", {"gpu_large": [replace(FITS, state="failed"), TWICE]}, "small trial"),
        ("Out of memory", {"gpu_large": [FITS, replace(TWICE, reason="a bug")]}, "a bug"),
        ("MIG", {"gpu_mig": TWO}, "expected a slice"),
        ("Lanes", {"gpu_lanes": LANES}, None),
        ("Lanes", {"gpu_lanes": TWO}, "four lanes, got {None}"),
        ("Lanes", {"gpu_lanes": [LANES[0], lane(1, "1.0", 1)]}, "in one process"),
        ("Lanes", {"gpu_lanes": [LANES[0], lane(1, "0.1", 5)]}, "in one process"),
        ("Data", {"gpu_install": TWO}, None),
        ("Data", {"gpu_install": TWO[:1]}, "no worker had a second trial"),
        ("Data", {"gpu_install": [*TWO, trial(2, 3, 4, worker={COPIES: "6"})]}, "copied again"),
        ("Data", {"gpu_install": [*TWO[:1], trial(1, 3, 4, worker={RESIDENT: "cpu"})]}, "lie on"),
    ],
)
def test_what_is_not_as_the_page_says_is_seen(
    heading: str, tables: dict[str, list[Entry]], wrong: str | None
) -> None:
    place: Any = Tables(**tables)
    ran = [Ran(command, 0, "") for command in COMMANDS[heading]]
    if wrong is None:
        assert CHECKS[heading](place, ran)
    else:
        with pytest.raises(Broken, match=wrong):
            CHECKS[heading](place, ran)


@pytest.mark.parametrize(
    ("code", "said", "wrong"),
    [
        (69, "launcher.require_gpu: expected a visible NVIDIA GPU, but", None),
        (0, "launcher.require_gpu: ", "expected exit code 69, got 0"),
        (69, "Traceback", "no reason"),
    ],
)
def test_a_preflight_without_its_exit_code_or_its_reason_is_seen(
    code: int, said: str, wrong: str | None
) -> None:
    place: Any = Tables()
    ran = [Ran("", code, said)]
    if wrong is None:
        assert CHECKS["Preflight"](place, ran)
    else:
        with pytest.raises(Broken, match=wrong):
            CHECKS["Preflight"](place, ran)


@pytest.mark.slow
def test_a_worker_has_on_record_how_often_it_copied_rows(
    run_config: MakeRunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a process that has trained nothing.
    monkeypatch.setattr(loop, "_on_device", OrderedDict())
    run = run_config("model.depth=1", "train.epochs=1")
    trainer = looking.trainer(Data(run.data), 1)
    assert trainer.about[SEES] == "0"
    for _ in range(2):
        trainer.train(run, lambda _: False, None, ())
        assert trainer.about[COPIES] == "3"  # what trains, validates and tests
        assert "cpu" in trainer.about[RESIDENT].lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainer", "code"),
    [("tests.gpu.fakes.trainer", 0), ("tests.search.fakes.cpu_trainer", 69)],
)
def test_the_script_runs_whole_where_a_gpu_is_played(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trainer: str,
    code: int,
) -> None:
    fakes.install(tmp_path, monkeypatch)
    overrides = [f"launcher.trainer={trainer}", "tracking.report=false", "study.finalists=false"]
    assert main(480, overrides) == code, capsys.readouterr()
    out, err = capsys.readouterr()
    rows = re.findall(r"^\| ([A-Z][^|]*) \| \d+ \| (.*) \|$", out, flags=re.MULTILINE)
    if code:
        assert rows == []
        assert "sees none" in err
        return
    assert [heading for heading, _ in rows] == [h for h in COMMANDS if h in CHECKS]
    skipped = {heading for heading, said in rows if said.startswith("**skipped**")}
    assert skipped == {"MIG", "Lanes"}  # its JAX sees no GPU
    assert "NVIDIA T4; " in out
