"""What a scheduler is asked for, and what a study needs so that it keeps to that."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pipeline.command.errors import ConfigError
from pipeline.command.overrides import key
from pipeline.command.section import Section
from search.study.vocabulary import StudyConfig


class ScheduleConfig(Section):
    """How a scheduler runs a study.

    `hours`: time limit of a launch; the study is told `grace_seconds` before to end, and the next
    launch goes on. `gpus`: how many to ask for; with one or more the study never runs on the CPU.
    `image`: container with this project, for Kubernetes. `template`: a file to fill in place of the
    target's own.
    """

    hours: Annotated[float, Field(gt=0)]
    grace_seconds: Annotated[int, Field(ge=1)]
    gpus: Annotated[int, Field(ge=0)]
    image: str
    template: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("image")
    @classmethod
    def _names_an_image(cls, image: str) -> str:
        if not re.fullmatch(r"[\w.:/@-]+", image, re.ASCII):
            raise ValueError(
                f"schedule.image: expected [HOST/]NAME[:TAG] (plumbline:1), got {image!r}"
            )
        return image

    @model_validator(mode="after")
    def _leaves_time_to_train(self) -> "ScheduleConfig":
        if self.study_seconds <= 0:
            raise ValueError(
                f"schedule.hours: expected more than {2 * self.grace_seconds} s, twice the grace, in "
                f"which a launch ends, got {self.hours:g} ({self.seconds} s) (raise it, or lower "
                "schedule.grace_seconds)"
            )
        return self

    @property
    def seconds(self) -> int:
        """Seconds after which the scheduler ends a launch."""
        return round(self.hours * 3600)

    @property
    def study_seconds(self) -> int:
        """Seconds of a launch in which the study may train."""
        return self.seconds - 2 * self.grace_seconds


def launch(overrides: Sequence[str], study: StudyConfig, config: ScheduleConfig) -> list[str]:
    """What the study is launched with: `overrides`, and what a scheduler needs that they don't say.

    `study`: as they compose it. Raises ConfigError where its own time does not fit the scheduler's.
    """
    given = set(map(key, overrides))
    if study.lock != "fail":
        given.add("study.lock")
    if study.max_seconds is not None:
        given.add("study.max_seconds")
        if study.max_seconds > config.study_seconds:
            raise ConfigError(
                f"study.max_seconds: expected at most {config.study_seconds} (schedule.hours="
                f"{config.hours:g} less twice the grace of {config.grace_seconds} s), got "
                f"{study.max_seconds:g} (raise schedule.hours, or leave study.max_seconds out)"
            )
    # The study keeps to the limit by itself; the scheduler's own is the second line.
    needed = {
        "study.lock": "skip",
        "study.max_seconds": config.study_seconds,
        "launcher.grace_seconds": config.grace_seconds,
    }
    if config.gpus:
        needed["launcher.require_gpu"] = "true"
    return [*overrides, *(f"{name}={value}" for name, value in needed.items() if name not in given)]


def label(study: str, overrides: Sequence[str]) -> str:
    """What units and jobs are called: the study's name in ASCII, without the date of today if it has one."""
    written = [word.partition("=")[2] for word in overrides if key(word) == "study.name"]
    name = re.sub(r"\$\{.*\}", "", written[-1]) if written and "${" in written[-1] else study
    # Units and jobs are named in ASCII: groe for größe.
    plain = re.sub(r"[^\w.-]", "", unicodedata.normalize("NFKD", name), flags=re.ASCII)
    if plain == study:
        return study
    return re.sub(r"([._-])[._-]+", r"\1", plain).strip("._-") or "study"
