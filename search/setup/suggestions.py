"""The engine of a recorded study, made from what is on record of its configuration, and asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.command.errors import ConfigError
from pipeline.command.public import HIDDEN
from pipeline.command.section import flatten
from pipeline.run.comparison import changes
from pipeline.tracking.record import environment_tags
from search.analysis.facts import Facts
from search.coordination.suggestions import Asked, ask_again
from search.engines.order import drawn_seed, workers_of
from search.engines.points import OnRecord
from search.setup.read import Setup, read
from search.study.vocabulary import Engine, Record, record
from search.trial_table.trials import TrialTable

_SEARCH = ("data", "model", "train", "objective", "study", "engine", "sampler", "pruner", "oracle")
"""What of a study's configuration decides what is suggested and pruned."""


def engine_on_record(values: Mapping[str, Any], facts: Facts) -> Setup:
    """What a study's engine is made from, as its latest launch had it. `values`: this command's.

    Raises ConfigError where it can't be asked again: when it heard of results is not on record, or a
    setting of its own.
    """
    name = facts.about.name
    if not facts.entries:
        raise ConfigError(f"{name}: no trial of this study was suggested yet")
    free = next((entry for entry in facts.entries if workers_of(entry.notes) is None), None)
    if free is not None:
        raise ConfigError(
            f"replay.suggestions: trial {free.number} of {name} was suggested by the results that were there "
            "at that moment, and which these were is not on record (a study with study.order=fixed "
            "suggests the same trials again)"
        )
    on_record = {part: facts.config[part] for part in _SEARCH if part in facts.config}
    for part in ("sampler", "pruner", "oracle"):
        for path, value in flatten({part: on_record.get(part, {})}):
            if value == HIDDEN:
                raise ConfigError(
                    f"replay.suggestions: {path} of {name} is not on record, as a text may be secret"
                )
    # The trials had a fixed order, whatever the latest launch would have given to others.
    on_record["study"] = {**on_record["study"], "order": "fixed"}
    setup = read({**values, **on_record}, str)
    setup.check_oracle()
    if setup.seed is None:
        records = [record(entry, facts.objective.metric) for entry in facts.entries]
        setup = replace(setup, seed=drawn_seed(records))
    return setup


def suggestions_again(setup: Setup, table: TrialTable, facts: Facts) -> Asked:
    """Ask the engine of the study in `table` for all its trials again."""
    rows = setup.training_rows(facts.about.dataset)
    past = table.warm_start.trials
    notes = [entry.notes for entry in facts.entries]

    def make(records: Sequence[Record], workers: int) -> Engine:
        return setup.engine_from(records, workers, rows, past, OnRecord(notes))

    again = (
        "trials that had failed were tried again since: what was suggested in between went by that"
    )
    return ask_again(
        f"{facts.about.name}, its suggestions",
        table.uid,
        facts.entries,
        setup.space,
        facts.objective.metric,
        make,
        [again] if table.retried else [],
        changes(facts.about.versions, environment_tags()),
    )
