"""Certificates of replayed runs, each in the row of its run."""

import json
from collections.abc import Sequence

from pipeline.run.comparison import Certificate
from search.trial_table.postgres import Storage
from search.trial_table.rows import REPLAY
from search.trial_table.storage import attach, damage_named


def certify(storage: Storage, study: str, certificates: Sequence[Certificate]) -> None:
    """Have the rows of `study` keep these, in place of older ones. Its lock must be held.

    A row that is another run's by now, as the study was made anew meanwhile, keeps what it has.
    """
    with damage_named(storage.url, f"the study {study!r}"):
        study_id = storage.get_study_id_from_name(study)
        uid = storage.get_study_user_attrs(study_id)["uid"]
        trials = {
            f"{uid}-{trial.number}": trial._trial_id
            for trial in storage.get_all_trials(study_id, deepcopy=False)
            if trial.state.is_finished()
        }
    texts = {trials[each.uid]: _text(each) for each in certificates if each.uid in trials}
    attach(storage, REPLAY, texts)


def _text(certificate: Certificate) -> str:
    return json.dumps(certificate.model_dump(mode="json"))
