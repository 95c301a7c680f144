"""What a run makes a loop compile: told without a backend, for whoever plans runs."""

import json

from pipeline.run.config import ModelConfig, RunConfig

KEPT = 4
"""How many compiled loops a process keeps, those that were used last."""

_KNOBS = ("dropout", "l1", "l2")
"""Fields of a model that are variables in a compiled loop: only whether there is one is compiled in."""

_READ_ANEW = {
    "learning_rate", "seed", "epochs", "patience", "min_delta", "validation_split", "loop",
    "weight_decay", "warmup_epochs", "schedule_epochs",
}  # fmt: skip
"""Fields of a training that no loop is compiled with: it reads them as a run begins, or never does.

Of weight decay and warm-up it is compiled in whether there is one.
"""


def compiled_with(run: RunConfig) -> str:
    """Text that differs for runs which can't share a compiled loop: every field, unless named above."""
    model = run.model.model_dump(exclude={"hidden_units", "depth", *_KNOBS})
    if isinstance(run.model, ModelConfig):
        model |= {"layers": run.model.layers}
        model |= {name: getattr(run.model, name) > 0 for name in _KNOBS}
    train = run.train.model_dump(exclude=_READ_ANEW)
    decay = run.train.weight_decay
    train |= {"decays": None if decay is None else decay > 0, "warms": run.train.warmup_epochs > 0}
    return json.dumps([model, train], sort_keys=True)


def rows_at_once(run: RunConfig) -> int:
    """Rows scored at once: many, as there is nothing to update between them.

    A network of one's own may be a convolution, whose features are many times the size of its inputs.
    """
    return 8192 if isinstance(run.model, ModelConfig) else 1024
