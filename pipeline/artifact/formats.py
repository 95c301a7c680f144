"""A model's files, format by format: how each is written, and how each is loaded again.

`python -m pipeline.artifact.formats MODEL INPUTS.npy OUTPUTS.npy` is the fresh process in which a file shows
what it does; it imports nothing but what the format needs.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.training.score import Predict

Format = Literal["keras", "saved_model", "litert", "onnx"]

NAMES: dict[Format, str] = {
    "keras": "model.keras",
    "saved_model": "saved_model",
    "litert": "model.tflite",
    "onnx": "model.onnx",
}
PORTABLE: tuple[Format, ...] = ("litert", "onnx")
"""Formats without bfloat16 and without some of Keras's operations (`serving.network` makes up for it)."""

DTYPES = (
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
"""What a data set may be made of, and so what `.keras` files, SavedModels and MLflow's models take."""

TOLERANCE = 1e-5
"""How far a probability may be from the network's that was trained in 32 bits, whatever the format."""

COARSE = 2e-2
"""The same for networks in bfloat16, and for what an accelerator rounded."""

_ROWS = 1024  # predicted at once: what a convolution makes of them takes many times their room
_SECONDS = 600


def check_writable(kind: Format) -> None:
    """Raise ConfigError where a package that `kind` needs is not installed."""
    if kind == "onnx" and not (find_spec("onnx") and find_spec("tf2onnx")):
        raise ConfigError(
            "export.formats: onnx needs two more packages: pip install 'plumbline[onnx]'"
        )


def write(model: Any, kind: Format, folder: Path) -> Path:
    """Write the Keras `model` into `folder` as `kind`. Raises PlumblineError where that fails."""
    path = folder / NAMES[kind]
    try:
        if kind == "keras":
            model.save(path)
        elif kind == "saved_model":
            _write_saved_model(model, path)
        else:
            # The way to ONNX wants a model that was called.
            model(np.zeros((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype))
            model.export(str(path), format=kind, verbose=False)
    except Exception as error:  # converters raise whatever they like
        raise PlumblineError(f"{kind}: can't be written: {_last_line(str(error))}") from error
    return path


def read(path: Path) -> Predict:
    """Load the model at `path` as what predicts with it; its name says which kind it is.

    A `.keras` file is loaded in safe mode: it can't bring code of its own.
    """
    return _batched(_READERS[path.suffix](path))


def predict_apart(path: Path, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Predict `inputs` with the model at `path`, in a process that knows nothing but that file.

    It computes on the CPU. Raises PlumblineError where the model can't be loaded or run.
    """
    root = str(Path(__file__).parents[2])
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(given, inputs)
        command = [
            sys.executable,
            "-m",
            "pipeline.artifact.formats",
            str(path),
            str(given),
            str(answer),
        ]
        try:
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise PlumblineError(f"{path.name}: no answer after {_SECONDS} s") from None
        if done.returncode != 0 or not answer.exists():
            raise PlumblineError(f"{path.name}: can't be loaded again: {_last_line(done.stderr)}")
        outputs: NDArray[np.float32] = np.load(answer, allow_pickle=False)
        return outputs


def _write_saved_model(model: Any, path: Path) -> None:
    """Write `model` with a `serve` that takes any dtype, and casts it to the model's own.

    The signature that TensorFlow Serving takes has the model's own.
    """
    import keras
    import tensorflow as tf

    (inputs,) = model.inputs
    serve = tf.function(
        lambda inputs: model(tf.cast(inputs, model.inputs[0].dtype), training=False),
        autograph=False,
    )
    for dtype in dict.fromkeys((inputs.dtype, *DTYPES)):  # the first one traced is the signature's
        serve.get_concrete_function(tf.TensorSpec(inputs.shape, dtype, name="inputs"))
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve)
    archive.write_out(str(path), verbose=False)


def _read_keras(path: Path) -> Predict:
    if not path.is_file():
        raise UnavailableError(f"{path}: there is no such file")
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = "it would run code of its own" if "safe_mode" in str(error) else _last_line(error)
        raise UnavailableError(f"{path}: this model can't be loaded: {reason}") from error

    def predict(inputs: NDArray[Any]) -> NDArray[np.float32]:
        # Called, as Keras's `predict` would round 64-bit inputs to 32 bits.
        outputs: Any = model(inputs, training=False)
        if isinstance(outputs, (list, tuple, dict)):
            raise UnavailableError(
                f"{path}: expected a model with one output, its probabilities, got {len(outputs)}"
            )
        return np.asarray(keras.ops.convert_to_numpy(outputs))

    return predict


def _read_saved_model(path: Path) -> Predict:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda inputs: loaded.serve(inputs).numpy()


def _read_litert(path: Path) -> Predict:
    if find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tensorflow.lite.python.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    entry = interpreter.get_input_details()[0]["index"]
    end = interpreter.get_output_details()[0]["index"]

    def predict(inputs: NDArray[Any]) -> NDArray[np.float32]:
        interpreter.resize_tensor_input(entry, inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry, inputs)
        interpreter.invoke()
        outputs: NDArray[np.float32] = interpreter.get_tensor(end)
        return outputs

    return predict


def _read_onnx(path: Path) -> Predict:
    if find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
    else:
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(str(path))
        name = session.input_names[0]
    return lambda inputs: session.run(None, {name: inputs})[0]


_READERS: dict[str, Callable[[Path], Predict]] = {
    ".keras": _read_keras,
    "": _read_saved_model,
    ".tflite": _read_litert,
    ".onnx": _read_onnx,
}


def _batched(predict: Predict) -> Predict:
    def in_batches(inputs: NDArray[Any]) -> NDArray[np.float32]:
        starts = range(0, len(inputs), _ROWS)
        return np.concatenate([predict(inputs[start : start + _ROWS]) for start in starts])

    return in_batches


def _last_line(text: object) -> str:
    return (str(text).strip().splitlines() or ["no reason given"])[-1][:300]


def _main(model: str, inputs: str, outputs: str) -> None:
    np.save(outputs, read(Path(model))(np.load(inputs, allow_pickle=False)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
