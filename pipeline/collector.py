"""How often Python looks for garbage: seldom, as nearly all that a process here imports stays."""

import gc


def collect_seldom() -> None:
    """To be called before much is imported: it takes a third off the time of TensorFlow's import.

    Python would look through all objects again and again while their number grows.
    """
    gc.set_threshold(100_000, 50, 50)
