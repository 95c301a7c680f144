"""How values are written for people: in tables, and as they are typed on the command line."""

import json
from collections.abc import Mapping, Sequence

from pipeline.command.section import as_override
from pipeline.run.config import Cost, ModelConfig
from pipeline.run.custom import CustomConfig
from search.study.space import LAYER


def shown(value: object) -> str:
    """A value short enough for a table: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else as_override(_decoded(value))


def clock(seconds: float) -> str:
    """Time on the wall, in minutes and seconds: `1:05`. What training took is told in seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def network(model: ModelConfig | CustomConfig) -> str:
    """A network in two words: `2 x 128`, `256-128`, `softmax`, or what builds it."""
    if not isinstance(model, ModelConfig):
        return model.build
    if len(set(model.layers)) == 1:
        return f"{len(model.layers)} x {model.layers[0]}"
    return "-".join(map(str, model.layers)) or "softmax"


def in_units(cost: Cost | None, value: float) -> str:
    """What a network costs, with what it is measured in: `26,506 parameters`, `1.2 train seconds`."""
    number = f"{value:.1f}" if cost == "train_seconds" else f"{value:,.0f}"
    return f"{number} {(cost or '').replace('_', ' ')}"


def pasted(params: Mapping[str, object]) -> str:
    """`params` as they are typed on the command line; widths of single layers as one list."""
    values = {path: _decoded(value) for path, value in params.items() if not LAYER.fullmatch(path)}
    layers = {int(m[1]): params[path] for path in params if (m := LAYER.fullmatch(path))}
    if layers:
        values["model.hidden_units"] = [layers[number] for number in sorted(layers)]
    return " ".join(
        f"'{path}={text}'" if "[" in (text := as_override(value)) else f"{path}={text}"
        for path, value in values.items()
    )


def comparison_of(study: str) -> str:
    """The command that compares the finalists of `study` over fresh seeds, until a verdict stands."""
    return f"python -m search.finalists study.name={study}"


def next_steps(study: str, front: bool = False) -> list[str]:
    """The commands that come after an answer. `study`: its name, with where it lies if that is to be said.

    `front`: whether one of its members is still to be chosen.
    """
    commands = [f"python -m search.report study.name={study}"]
    return commands if front else [*commands, f"python -m search.export study.name={study}"]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _decoded(value: object) -> object:
    """A stored value as it was chosen: no choice but a list begins with a bracket."""
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


def trained_again(command: str, worker: Mapping[str, str], study: str, trial: int | None) -> str:
    """`command` for a shell, on the backend that `worker` trained with where it is not the usual one.

    For a lane, as its program decides its bits, what replays `trial` of `study`; None: its finalists.
    """
    if "lanes" in worker:
        run = "finalists" if trial is None else trial
        return f"python -m search.replay study.name={study} replay.trial={run}"
    backend = worker.get("backend", "tensorflow")
    return command if backend == "tensorflow" else f"KERAS_BACKEND={backend} {command}"
