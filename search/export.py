"""Write a study's answer to files that anyone can use, check them, and register the model in MLflow.

python -m search.export study=dropout
python -m search.export study.name=dropout trial=17 export.formats=[keras,saved_model,litert,onnx]
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline.artifact.formats import Format, check_writable
from pipeline.command.cli import command
from pipeline.command.errors import ConfigError, PlumblineError, StoppedError
from pipeline.command.section import Section, validated
from pipeline.data import grey_size
from pipeline.tracking.config import TrackingConfig
from search.artifacts import card
from search.study.shown import comparison_of
from search.trial_table.storage import StorageConfig

if TYPE_CHECKING:
    from pipeline.artifact.manifest import Manifest
    from search.analysis.finalists import Finalists
    from search.artifacts.candidate import Candidate
    from search.study.vocabulary import About, Entry

_SHORT = ("trial", "force")  # may be typed without `export.` before them


class ExportConfig(Section):
    """What is exported where. `trial`: its number; None is the verdict's answer, or else the best one.

    `prefer`: `smallest` is the network with the fewest weights `within` so much of the best objective; within
    None: of those that the verdict can't tell from the best, which is its answer. None is `best`, but for a
    study with a front, which has no single best.
    `path`: the folder; None is `exports/<study>`, with `-<trial>` behind it for a trial that was named.
    `force`: replace an export or a champion that is better. `register`: in MLflow's registry.
    """

    trial: Annotated[int, Field(ge=0)] | None
    prefer: Literal["best", "smallest"] | None
    within: Annotated[float, Field(ge=0)] | None
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

    @model_validator(mode="after")
    def _one_choice(self) -> "ExportConfig":
        if self.within is not None and self.prefer != "smallest":
            raise ValueError(
                f"export.within: says how near the smallest must be to the best, got {self.within} (add "
                "export.prefer=smallest)"
            )
        if self.prefer == "smallest" and self.trial is not None:
            raise ValueError(
                f"export.prefer: chooses a trial, and export.trial={self.trial} names one (leave one of them "
                "out)"
            )
        return self


def main(values: dict[str, Any]) -> int:
    """Export a run and register it; 0, also where there is nothing new or the present one is better."""
    from search.artifacts.candidate import candidate, introduced
    from search.study.address import named

    config = validated(ExportConfig, values["export"], "export")
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    storage = validated(StorageConfig, values["storage"], "storage")
    for kind in config.formats:
        check_writable(kind)
    about, entries, finalists = _load(storage.url, named(values))
    answered, objective = finalists is not None and finalists.answered, about.objective
    if objective.cost and not (config.prefer or config.trial is not None or answered):
        raise ConfigError(
            f"export.prefer: {about.name} has a front of {objective.metric} and {objective.cost}, and no "
            "single best (export.prefer=smallest export.within=0.002, export.prefer=best for the best "
            f"{objective.metric}, or trial=NUMBER)"
        )
    if config.prefer == "smallest" and config.within is None and not answered:
        raise ConfigError(
            f"export.within: is missing: which networks can't be told from the best, no verdict says yet "
            f"(export.within=0.002, or {comparison_of(about.name)})"
        )
    chosen = candidate(about, entries, finalists, config.trial, config.within)
    for line in introduced(about, chosen, finalists):
        print(line)
    suffix = "" if config.trial is None else f"-{config.trial}"
    folder = Path(config.path or f"exports/{about.name}{suffix}")
    with _alone(folder):
        manifest = _export(config, about, chosen, folder, values["data"]["path"], storage)
        if manifest is None:
            return 0
        if config.register_ and tracking.name == "mlflow":
            from search.artifacts.registry import Registry

            registry = Registry(str(tracking.uri))
            print(registry.register(folder, manifest, config.force, chosen.standings))
    print(f"\nHow to use it: {folder}/{card.FILE}")
    if grey_size(manifest.inputs.shape) is not None:
        print(f"Try it:\n  python -m pipeline.predict {folder} image.png")
    return 0


def _load(url: str, name: str | None) -> "tuple[About, list[Entry], Finalists | None]":
    from search.analysis.leaderboard import finalists_of
    from search.trial_table.storage import errors_named
    from search.trial_table.trials import TrialTable

    with errors_named(url):
        table = TrialTable.load(url, name)
        return table.about(), table.entries(), finalists_of(table)


def _export(
    config: ExportConfig,
    about: "About",
    chosen: "Candidate",
    folder: Path,
    path: str | None,
    storage: StorageConfig,
) -> "Manifest | None":
    """The manifest in `folder` of what was chosen, exported now if need be; None: a better one stays."""
    from pipeline.artifact.manifest import FILE, Manifest
    from search.artifacts.bundle import write_bundle

    if (folder / FILE).exists():
        present = Manifest.read(folder)
        if present.study != about.name:
            raise ConfigError(
                f"export.path: {folder} has an export of {present.study}, left as it is"
            )
        damage = present.damage(folder)
        same = chosen.is_in(present)
        if same and not damage and set(config.formats) <= set(present.verified):
            print(f"Nothing new: {folder} has this network, and its files are whole.")
            return present
        if not same and not config.force:
            standing = chosen.standings.get(present.uid, present.standing)
            if reason := standing.reason_to_stay(chosen.standing):
                if damage:
                    number = "" if present.verdict is not None else f"trial={present.trial} "
                    raise PlumblineError(
                        f"{folder}: {damage}; left as it is, as {chosen.name} is no better: "
                        f"{reason} ({number}export.path={folder} makes it again, force=true replaces it)"
                    )
                print(
                    f"Not exported: {present.name} stays in {folder}, as {reason} "
                    "(force=true replaces it)."
                )
                return None
        if damage:
            print(f"{folder}: {damage}: exporting it again.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"export.path: {folder} is there and is no export, left as it is")

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        partial.mkdir()
        manifest = write_bundle(partial, config.formats, about, chosen, path, storage.weights)
        _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(file["bytes"] for file in manifest.files.values())
    print(f"Exported: {folder} ({size / 1e6:.1f} MB)")
    return manifest


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
    description = "Export a study's answer, check it, and register it in MLflow."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "search.export", description, _help))
