"""The data of a worker: loaded once, and drawn anew for runs on another split."""

import numpy as np
import pytest

from pipeline.data import Dataset, load
from pipeline.run.config import DataConfig
from search.workers import worker
from search.workers.worker import Data
from tests.conftest import MakeRunConfig


@pytest.mark.parametrize("sent", [False, True])
def test_a_run_on_another_split_gets_the_rows_that_loading_it_gives(
    run_config: MakeRunConfig, digits: Dataset, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    """Without reading the files again, nor at all where the data was sent along."""
    read: list[DataConfig] = []
    monkeypatch.setattr(worker, "_load", lambda config: read.append(config) or digits)
    config = run_config().data
    data = Data(config, digits if sent else None)
    for seed in (3, 4, 3):
        asked = run_config(f"data.split_seed={seed}").data
        got = data.get(asked)
        np.testing.assert_array_equal(got.train.features, load(asked).train.features)
        assert data.get(asked) is got, "it serves several runs in a row"
    assert data.get(config) is digits
    assert set(read) == (set() if sent else {config})
