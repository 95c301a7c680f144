"""Workers are forked from a process that has imported all, where a fork is as good as a new process."""

import shutil
import sys
from pathlib import Path

import pytest

from search.machine import template
from search.machine.template import can_fork
from tests.conftest import RunPython

FORKED = """
import os, signal, sys
from search.machine.template import start_template, starting

def look(pipe):
    from tensorflow.python.eager import context
    pipe.send(
        {
            "threads": len(os.listdir("/proc/self/task")),
            "device looked at": context.context()._context_handle is not None,
            "imported": "pipeline.training.execute" in sys.modules,
            "held": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),
        }
    )
    import pandas, scipy.stats  # what was left out can be had

    pipe.send(pandas.__name__)

if __name__ == "__main__":
    start_template()
    with starting(True) as context:
        ours, theirs = context.Pipe()
        process = context.Process(target=look, args=(theirs,))
        process.start()
    print(ours.recv())
    print(ours.recv())
    process.join()
    print(process.exitcode)
"""


@pytest.fixture(autouse=True)
def _as_on_linux_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", {}.get)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr("tempfile.tempdir", "/tmp")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_what_is_forked_has_all_imports_one_thread_and_no_device(
    run_python: RunPython, tmp_path: Path
) -> None:
    """TensorFlow may be forked until it first computes; this is what `can_fork` counts on."""
    script = tmp_path / "look.py"
    script.write_text(FORKED)
    done = run_python(str(script))
    assert done.stdout.splitlines() == [
        "{'threads': 1, 'device looked at': False, 'imported': True, 'held': True}",
        "pandas",
        "0",
    ], done.stderr


def test_one_thread_on_linux_with_tensorflow_and_no_gpu_may_be_forked() -> None:
    assert can_fork(1)
    assert not can_fork(2)


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(sys, "platform", "darwin"),
        lambda patch: patch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}"),
        lambda patch: patch.setenv("KERAS_BACKEND", "jax"),
        lambda patch: patch.setattr("tempfile.tempdir", "/" + "t" * 64),
    ],
    ids=["another system", "a GPU", "another backend", "no room for the name of a socket"],
)
def test_elsewhere_a_worker_is_a_new_process(change, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    change(monkeypatch)
    assert not can_fork(1)


@pytest.mark.parametrize(
    ("launcher", "cpus", "begins"),
    [
        ({}, 2, True),
        ({}, 1, False),
        ({"name": "ray"}, 2, False),
        ({"trainer": "my.trainer"}, 2, False),
        ({"threads_per_worker": 2}, 2, False),
        ({"threads_per_worker": "one"}, 2, False),  # which is refused later
    ],
)
def test_it_begins_before_the_configuration_is_checked_where_its_workers_will_be_forked(
    launcher: dict[str, object], cpus: int, begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(template, "start_template", lambda: begun.append("begun"))
    monkeypatch.setattr(template, "usable_cpus", lambda: cpus)
    usual = {"name": "local", "threads_per_worker": 1, "trainer": template.KERAS}
    template.begin_early({"launcher": {**usual, **launcher}})
    template.begin_early({"launcher": None})
    assert begun == ["begun"] * begins
