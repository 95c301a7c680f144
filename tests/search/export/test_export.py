"""An export is written whole or not at all, and replaces only what it may."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import search.artifacts.bundle
import search.export
from pipeline import predict
from pipeline.artifact.manifest import Manifest
from pipeline.command.cli import command
from tests.search.export.study import BEST, WORSE, Place, contents

pytestmark = pytest.mark.slow  # every format loaded again in processes of its own


def test_a_worse_trial_takes_no_folder_of_a_better_one_unless_forced(
    place: Place, keras_only: list[str], tmp_path: Path
) -> None:
    assert place.export(*keras_only) == 0
    before = contents(tmp_path / "mine")
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    assert contents(tmp_path / "mine") == before
    assert place.export(*keras_only, f"trial={WORSE}", "force=true") == 0
    assert Manifest.read(tmp_path / "mine").trial == WORSE


def test_a_damaged_export_is_not_replaced_by_a_worse_trial_unless_forced(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    (folder / "model.keras").unlink()
    before = contents(folder)
    assert place.export(*keras_only, f"trial={WORSE}") == 1
    told = capsys.readouterr().err
    assert "model.keras is missing" in told
    assert f"trial={BEST} export.path={folder} makes it again, force=true replaces it" in told
    assert contents(folder) == before
    assert place.export(*keras_only, f"trial={BEST}") == 0
    assert Manifest.read(folder).damage(folder) is None


@pytest.mark.parametrize("moment", ["MODEL_CARD.md", "the swap"])
def test_a_crash_leaves_the_old_export_whole(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    before = contents(folder)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    if moment == "the swap":
        monkeypatch.setattr(search.export, "_swap", crash)
    else:
        monkeypatch.setattr(search.artifacts.bundle.card, "model_card", crash)
    assert place.export(*keras_only) == 75
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_an_export_killed_at_any_moment_is_cleared_up_by_the_next_one(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    before = contents(folder)
    folder.rename(tmp_path / ".mine.old")  # killed between the two renames
    (tmp_path / ".mine.partial").mkdir()
    (tmp_path / ".mine.partial" / "model.keras").write_bytes(b"half")
    assert place.export(*keras_only) == 0
    assert contents(folder) == before
    assert "Nothing new" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_a_damaged_export_is_not_predicted_with_and_is_made_again(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert place.export(*keras_only) == 0
    image = np.zeros((90, 60), np.uint8)
    image[10:80, 25:35] = 200
    Image.fromarray(image).save(tmp_path / "one.png")
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 0
    damaged = bytearray((folder / "model.keras").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / "model.keras").write_bytes(damaged)
    capsys.readouterr()
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 69
    assert "model.keras has changed since it was exported" in capsys.readouterr().err
    assert place.export(*keras_only) == 0
    assert Manifest.read(folder).damage(folder) is None
    assert predict.main([str(folder), str(tmp_path / "one.png")]) == 0


def test_a_folder_that_is_no_export_is_left_as_it_is(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert place.export(*keras_only) == 2
    assert "is there and is no export" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["study.name=smook"], "there is no study 'smook' (did you mean `smoke`?); in sqlite:"),
        (["storage.url=sqlite:///nowhere/studies.db"], "there is no study database"),
        (["trial=99"], "smoke has the trials 0 to 2, got 99"),
        (["trial=-1"], "export.trial: expected >= 0, got -1"),
        (["export.formats=[litert]"], "keras must be among them"),
        (["export.formats=[keras,pickle]"], "got pickle"),
        (["tryal=1"], "tryal: no such setting"),
        (["export.prefer=smallest"], "export.within: is missing"),
        (["export.prefer=cheap"], "export.prefer: expected"),
        (["export.within=0.002"], "add export.prefer=smallest"),
        (["export.prefer=smallest", "export.within=-1"], "export.within: expected"),
        (["export.prefer=smallest", "export.within=0.1", "trial=1"], "leave one of them out"),
    ],
)
def test_a_wrong_word_exits_2_and_creates_nothing(
    place: Place,
    tmp_path: Path,
    overrides: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert place.export(f"export.path={tmp_path / 'mine'}", *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    assert not (place.folder / "nowhere").exists()


def test_only_this_command_takes_the_short_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["trial=1"], lambda _: 0, "search.optimize", "", lambda _: "") == 2
    assert "trial: no such setting" in capsys.readouterr().err
