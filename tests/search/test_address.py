"""`study.name` follows one rule in every command that takes it, and what can't be one is refused."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.cli import command

COMMANDS: dict[str, list[str]] = {
    "search.optimize": ["+study=smoke"],
    "search.schedule": ["+study=smoke", "cron=@daily"],
    "search.finalists": [],
    "search.replay": [],
    "search.report": [],
    "search.export": [],
    "search.publish": [],
    "search.serve": [],
}


@pytest.fixture
def refusal(workdir: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command says that refuses its words with 2, before anything is created."""

    def run(module: str, *words: str) -> str:
        main: Any = import_module(module).main
        code = command([*COMMANDS[module], *words], main, module, "", lambda _: "")
        error = capsys.readouterr().err
        assert code == 2, error
        assert list(workdir.iterdir()) == []
        return error

    return run


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS)
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("[a,b]", "expected string, got [a,b]"),
        ("{a:1}", "expected string, got "),
        ("''", "expected at least 1 character, got ''"),
        ("../x", "expected letters, digits, '.', '_' and '-', got '../x'"),
        ("x" * 101, "expected at most 100 characters"),
    ],
)
def test_what_is_no_name_is_refused(
    refusal: Callable[..., str], module: str, name: str, rule: str
) -> None:
    assert refusal(module, f"study.name={name}").startswith(f"error: study.name: {rule}")


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS)
@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("~storage", "storage: is missing, and nothing can do without it (leave ~storage out)"),
        ("storage=null", "storage: expected settings below it (storage.NAME=...), got null"),
        ("report=3", "report: expected settings below it (report.NAME=...), got 3"),
        ("~relocate", "relocate: is missing, "),
        ("~tracking", "tracking: is missing, "),
        ("study.lock=maybe", "study.lock: expected 'fail', 'wait' or 'skip', got maybe"),
    ],
)
def test_what_a_command_can_not_do_without_is_named(
    refusal: Callable[..., str], module: str, word: str, rule: str
) -> None:
    assert refusal(module, word).startswith(f"error: {rule}")


@pytest.mark.parametrize(
    ("module", "word", "rule"),
    [
        ("search.schedule", "target=[a]", "target: expected one of cron, "),
        ("search.schedule", "target=nan", "target: expected one of cron, "),
        ("search.schedule", "schedule=null", "schedule: expected settings below it "),
        ("search.optimize", "~launcher.name", "launcher.name: expected 'local' or 'ray', got null"),
        ("search.optimize", "~sampler._target_", "sampler._target_: is missing "),
        ("search.optimize", "~pruner._target_", "pruner._target_: is missing "),
        ("search.serve", "serve.port=0", "serve.port: expected 1 <= port <= 65535, got 0"),
    ],
)
def test_other_settings_that_are_none_are_named(
    refusal: Callable[..., str], module: str, word: str, rule: str
) -> None:
    assert refusal(module, word).startswith(f"error: {rule}")
