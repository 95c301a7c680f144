"""Write a study's best model to files that anyone can use, check them, and register the model in MLflow.

python -m search.export study=dropout
python -m search.export study.name=dropout trial=17 export.formats=[keras,saved_model,litert,onnx]
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from pipeline.artifact.formats import Format, check_writable
from pipeline.command.cli import command
from pipeline.command.errors import ConfigError, PlumblineError, StoppedError
from pipeline.command.section import Section, validated
from pipeline.data import grey_size
from pipeline.run.config import DataConfig, RunConfig
from pipeline.tracking.config import TrackingConfig
from search.artifacts import card
from search.table.storage import StorageConfig

if TYPE_CHECKING:
    from pipeline.artifact.manifest import Manifest, Standing
    from search.study.ranking import Ranking
    from search.study.vocabulary import About, Entry

_SHORT = ("trial", "force")  # may be typed without `export.` before them


class ExportConfig(Section):
    """What is exported where. `trial`: its number; None is the best one by the objective.

    `path`: the folder; None is `exports/<study>`, with `-<trial>` behind it for a trial that was named.
    `force`: replace an export or a champion that is better. `register`: in MLflow's registry.
    """

    trial: Annotated[int, Field(ge=0)] | None
    formats: Annotated[tuple[Format, ...], BeforeValidator(tuple)]
    path: Annotated[str, Field(min_length=1)] | None
    force: bool
    register_: Annotated[bool, Field(alias="register")]

    @field_validator("formats")
    @classmethod
    def _with_keras(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        if "keras" not in formats:
            raise ValueError("export.formats: keras must be among them: it is what is registered")
        return tuple(dict.fromkeys(formats))


def main(values: dict[str, Any]) -> int:
    """Export a trial and register it; 0, also where there is nothing new or the present one is better."""
    from search.artifacts.bundle import standing_of
    from search.study.address import named
    from search.study.ranking import Ranking

    config = validated(ExportConfig, values["export"], "export")
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    storage = validated(StorageConfig, values["storage"], "storage")
    for kind in config.formats:
        check_writable(kind)
    about, entries = _load(storage.url, named(values))
    ranking = Ranking(about.objective, entries)
    entry = _choose(about, entries, ranking, config.trial)
    chosen = ranking.of(entry)
    print(f"{about.name}: trial {entry.number}, {about.objective.metric} {entry.value:.4f}")
    if chosen.repeats:
        print(f"Its configuration has {chosen.value:.4f} ({chosen}).")
    # As the table has them now: a mean changes with each seed, also that of a model exported earlier.
    trials = [(trial.uid, each) for each in (*ranking, chosen) for trial in each.trials]
    standings = {uid: standing_of(about, each) for uid, each in trials}
    suffix = "" if config.trial is None else f"-{entry.number}"
    folder = Path(config.path or f"exports/{about.name}{suffix}")
    with _alone(folder):
        manifest = _export(config, about, entries, entry, standings, folder, values, storage)
        if manifest is None:
            return 0
        if config.register_ and tracking.name == "mlflow":
            from search.artifacts.registry import Registry

            print(Registry(str(tracking.uri)).register(folder, manifest, config.force, standings))
    print(f"\nHow to use it: {folder}/{card.FILE}")
    if grey_size(manifest.inputs.shape) is not None:
        print(f"Try it:\n  python -m pipeline.predict {folder} image.png")
    return 0


def _load(url: str, name: str | None) -> "tuple[About, list[Entry]]":
    from search.table.storage import errors_named
    from search.table.trials import TrialTable

    with errors_named(url):
        table = TrialTable.load(url, name)
        return table.about(), table.entries()


def _choose(
    about: "About", entries: "Sequence[Entry]", ranking: "Ranking", number: int | None
) -> "Entry":
    from pipeline.run.comparable import apart

    if number is None:
        if not ranking:
            raise ConfigError(f"{about.name}: no trial of this study is complete yet")
        runs = [entry.settings for each in ranking for entry in each.trials]
        for path, reason in apart(runs, about.objective.metric).items():
            raise ConfigError(
                f"export.trial: the trials of {about.name} can't be compared by "
                f"{about.objective.metric}, as they differ in {path}, and {reason} "
                "(name the one to export: trial=NUMBER)"
            )
        return ranking[0].entry
    if number >= len(entries):
        raise ConfigError(
            f"export.trial: {about.name} has the trials 0 to {len(entries) - 1}, got {number}"
        )
    if entries[number].result is None:
        raise ConfigError(
            f"export.trial: trial {number} of {about.name} is {entries[number].state}"
        )
    return entries[number]


def _export(
    config: ExportConfig,
    about: "About",
    entries: "Sequence[Entry]",
    entry: "Entry",
    standings: "Mapping[str, Standing]",
    folder: Path,
    values: Mapping[str, Any],
    storage: StorageConfig,
) -> "Manifest | None":
    """The manifest of `entry` in `folder`, exported now where it isn't yet; None: a better one stays."""
    from pipeline.artifact.manifest import FILE, Manifest
    from search.artifacts.bundle import write_bundle

    if (folder / FILE).exists():
        present = Manifest.read(folder)
        if present.study != about.name:
            raise ConfigError(
                f"export.path: {folder} has an export of {present.study}, left as it is"
            )
        damage = present.damage(folder)
        same = (present.uid, present.attempt) == (entry.uid, entry.attempts.made)
        if same and not damage and set(config.formats) <= set(present.verified):
            print(f"Nothing new: {folder} has this trial, and its files are whole.")
            return present
        if not same and not config.force:
            standing = standings.get(present.uid, present.standing)
            if reason := standing.reason_to_stay(standings[entry.uid]):
                if damage:
                    raise PlumblineError(
                        f"{folder}: {damage}; left as it is, as trial {entry.number} is no better: "
                        f"{reason} (trial={present.trial} export.path={folder} makes it again, "
                        "force=true replaces it)"
                    )
                print(
                    f"Not exported: trial {present.trial} stays in {folder}, as {reason} "
                    "(force=true replaces it)."
                )
                return None
        if damage:
            print(f"{folder}: {damage}: exporting it again.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"export.path: {folder} is there and is no export, left as it is")

    run, data = _recorded(entry, values["data"])
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        partial.mkdir()
        manifest = write_bundle(
            partial, config.formats, about, entries, entry, run, data, storage.weights
        )
        _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(file["bytes"] for file in manifest.files.values())
    print(f"Exported: {folder} ({size / 1e6:.1f} MB)")
    return manifest


def _recorded(entry: "Entry", here: Mapping[str, Any]) -> tuple[RunConfig, DataConfig]:
    """The recorded run of `entry`, and its data, whose path the command line may replace."""
    run = entry.run
    assert run is not None, "it has a result"
    return run, run.data.at(here["path"])


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold `folder` for one export, and clear up what one that was killed left behind."""
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0):
            shutil.rmtree(folder.with_name(f".{folder.name}.partial"), ignore_errors=True)
            old = folder.with_name(f".{folder.name}.old")
            if old.exists() and not folder.exists():  # killed between the two renames of _swap
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
            yield
    except Timeout:
        raise StoppedError(f"{folder}: another export is writing there, try again later") from None


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`. Each of the two is whole at any moment, under some name."""
    old = folder.with_name(f".{folder.name}.old")
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:  # a signal's too
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _help(config_dir: Path) -> str:
    defaults = (config_dir / "export" / "default.yaml").read_text(encoding="utf-8")
    return (
        f"export settings, and what they are by default:\n\n{defaults}\n"
        "exit codes: 0 exported, nothing new, or the present one is better and stays; 1 a file does not\n"
        "do what the trial did; 2 bad configuration; 69 data or MLflow can't be reached; 74 input/output;\n"
        "75 another export is writing there"
    )


def spelled_out(overrides: Sequence[str]) -> list[str]:
    """`overrides` with `trial=` and `force=` by their full names."""
    return [f"export.{text}" if text.partition("=")[0] in _SHORT else text for text in overrides]


if __name__ == "__main__":
    description = "Export a study's best model, check it, and register it in MLflow."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "search.export", description, _help))
