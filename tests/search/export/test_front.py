"""A front has no member that is exported by default: one must be named, or a way to choose."""

from pathlib import Path

import pytest

from pipeline.command.compose import to_yaml
from pipeline.command.errors import ConfigError
from search.export import main
from search.trial_table.trials import TrialTable
from tests.search.conftest import composed, setup_of, study_of
from tests.search.fakes import run_result
from tests.search.trial_table.test_trials import asked


def test_without_a_word_on_which_member_of_a_front_nothing_is_exported(
    url: str, workdir: Path
) -> None:
    space = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
    setup = setup_of("objective.cost=train_seconds", "pruner=none", space=space)
    table = TrialTable.open(url, study_of(setup))
    table.describe(study_of(setup).about(to_yaml(setup.values), "python -m x"))
    table.complete(asked(table), run_result([0.5]), {})
    values = composed()
    values["storage"]["url"] = url
    with pytest.raises(ConfigError) as caught:
        main(values)
    said = str(caught.value)
    assert said.startswith("export.prefer: test has a front of val_accuracy and train_seconds, and")
    assert all(f"export.prefer={word}" in said for word in ("smallest", "best"))
    assert "trial=NUMBER" in said
    assert not (workdir / "exports").exists()
