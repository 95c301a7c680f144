"""Studies in a trial table, made by hand."""

from collections.abc import Sequence
from dataclasses import replace

from search.study.vocabulary import Attempts, Entry, Study, StudyConfig, Suggestion
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.search import made

TREE = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
COMMAND = "python -m search.optimize +study=dropout study.name=a train.epochs=3"


def a_study(url: str, name: str, entries: Sequence[Entry] = (), target: int = 4) -> str:
    """The uid of a study with such trials."""
    storage = open_storage(url)
    config = StudyConfig(
        name=name, question=f"What of {name}?", trials=target, lock="fail", space={}
    )
    study = Study(config, made.BASE, made.DROPOUT, made.DATA, {"engine": "optuna"})
    table = TrialTable.open(storage, study)
    tree = {"name": name, "space": TREE}
    table.describe(study.about(made.settings(tree), COMMAND.replace("=a ", f"={name} "), {}))
    for entry in entries:
        began = table.create(Suggestion(entry.params), made.DROPOUT)
        assert entry.run is not None
        began = replace(table.start(began.number, entry.run, Attempts(1)), worker={"worker": "0"})
        if entry.result is not None:
            table.complete(began, entry.result, {})
        elif entry.state == "failed":
            table.fail(replace(began, history=entry.history), str(entry.reason))
    storage.engine.dispose()
    return table.uid


def mixed() -> list[Entry]:
    """Trials of every state."""
    return [made.trial(0), made.pruned(1), made.failed(2), made.running(3)]
