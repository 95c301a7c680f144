"""The model card: what a person should know of an exported model, as markdown."""

from pipeline.artifact.formats import DTYPES, NAMES
from pipeline.artifact.manifest import Manifest
from pipeline.data import grey_size
from search.artifacts.verdict import chapter
from search.study.shown import markdown_table

FILE = "MODEL_CARD.md"


def model_card(manifest: Manifest, question: str | None) -> str:
    """The card of `manifest`, after Mitchell et al. 2019: use, data, numbers, limits."""
    inputs, standing = manifest.inputs, manifest.standing
    shape = " x ".join(map(str, inputs.shape))
    image, grey = inputs.high is not None, grey_size(inputs.shape) is not None
    meaning = f"pixels from {inputs.low:g} to {inputs.high:g}" if image else "rows of numbers"
    rows = {**manifest.validation, **manifest.test}
    sections = [
        f"# {manifest.study}: {manifest.name}",
        f"{_kind(manifest)} that tells {len(manifest.labels)} classes apart"
        + (f", found by a study that asked: {question}" if question else "."),
        "## Use",
        f"In: N x {shape} `{inputs.dtype}`, {meaning}, just as they were read; scaling and flattening are "
        f"inside. Out: N x {len(manifest.labels)} probabilities of the labels "
        f"{', '.join(manifest.labels)}, in this order. `model.keras`, the SavedModel's `serve` and MLflow "
        f"take other numbers as well ({', '.join(f'`{dtype}`' for dtype in DTYPES)}).",
        _code(
            "python -m pipeline.predict . image.png" if grey else "",
            f"mlflow models serve -m models:/{manifest.study}@champion --env-manager local -p 5001",
            "curl -H 'Content-Type: application/json' -d @example.json "
            "http://127.0.0.1:5001/invocations",
        ),
        "```python\nkeras.saving.load_model('model.keras', safe_mode=True)(inputs)\n```",
        "## Numbers",
        markdown_table(
            ["metric", "value"], [[name, f"{value:.6g}"] for name, value in rows.items()]
        ),
        f"Chosen by {standing.metric} ({standing.direction}), at epoch {manifest.epoch}. The test set was "
        "scored once that was decided; it chose neither the configuration nor the epoch.",
        "## How sure" if manifest.verdict is None else "## The verdict",
        *chapter(manifest),
        "## Checked",
        "Every file was loaded in a fresh process and gave this on the raw test set, next to the network "
        "as it was trained:",
        markdown_table(
            ["format", "file", "test accuracy", "log loss", "largest difference", "allowed"],
            [
                [
                    kind,
                    NAMES[kind],  # type: ignore[index]
                    f"{check['accuracy']:.6g}",
                    f"{check['log_loss']:.6g}",
                    f"{check['difference']:.1e}",
                    f"{check['tolerance']:g}",
                ]
                for kind, check in manifest.verified.items()
            ],
        ),
        "## Training",
        f"Data: {manifest.data['name']}, {manifest.data['train_rows']} training rows (a part of them for "
        f"validation) and {manifest.data['test_rows']} test rows, SHA-256 `{standing.data}`.",
        markdown_table(
            ["setting", "value"], [[f"`{k}`", f"`{v}`"] for k, v in manifest.run.items()]
        ),
        "The same network trained again, and the same export:",
        _code(manifest.retrain, manifest.export),
        markdown_table(
            ["made with", ""],
            [
                *([f"{name}", text] for name, text in manifest.versions.items()),
                *([f"trained: {name}", text] for name, text in manifest.trained_on.items()),
                ["git commit", manifest.git_commit or "unknown"],
                ["exported", manifest.exported_at],
            ],
        ),
        "## Limits",
        f"It knows {manifest.data['name']} and nothing else: whatever it is shown, it answers with one of "
        "its labels, and its probabilities were not calibrated."
        + (" `pipeline.predict` warns of a picture unlike the training images." if grey else ""),
    ]
    return "\n\n".join(sections) + "\n"


def _kind(manifest: Manifest) -> str:
    build = manifest.run.get("model.build")
    return "A multilayer perceptron" if build is None else f"The network of `{build}`"


def _code(*lines: str) -> str:
    return "\n".join(["```sh", *(line for line in lines if line), "```"])
