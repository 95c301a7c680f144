"""One real study with its MLflow UI for all tests, and a window of its own for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.browser import Browser, browser, missing
from tests.ui.site import Site, make_study, site_of


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of four trials on the digits, its report and its export."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("seen")
    make_study(
        folder,
        *("+study=smoke", "study.trials=4", "train.epochs=3", "pruner=none", "launcher.workers=2"),
    )
    return folder


@pytest.fixture(scope="session")
def site(study_folder: Path) -> Iterator[Site]:
    """The study in `mlflow ui`."""
    with site_of(study_folder, "smoke") as site:
        yield site


@pytest.fixture
def window() -> Iterator[Browser]:
    """A fresh browser."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with browser() as window:
        yield window
