"""What a run makes a worker do is counted without a backend, as the backend counts it."""

import pytest

from search.forecasting.cost import Size, Work, reference
from tests.search.forecasting.machine import DIGITS, MNIST, run


@pytest.mark.parametrize(
    ("values", "size", "parameters", "products"),
    [
        ({}, MNIST, 118_282, 118_016),
        ({"model__depth": 0}, MNIST, 7_850, 7_840),
        ({"model__hidden_units": 512}, MNIST, 669_706, 668_672),
        ({"model__hidden_units": (64, 32)}, DIGITS, 6_570, 6_464),
    ],
)
def test_weights_and_products_are_those_of_the_network(
    values: dict[str, object], size: Size, parameters: int, products: int
) -> None:
    """Of `RunResult` for these, as Keras counts them."""
    work = Work(run(**values), size)
    assert (work.parameters, sum(work.kernels)) == (parameters, products)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"train__batch_size": 64}, "step"),
        ({"model__hidden_units": 256}, "flops float32"),
        ({"model__depth": 3}, "layer"),
        ({"model__dropout": 0.5}, "dropout"),
        ({"model__l2": 0.1}, "penalty"),
        ({"model__activation": "tanh"}, "activation tanh"),
        ({"train__optimizer": "nadam"}, "update nadam"),
        ({"train__optimizer": "nadam", "model__hidden_units": 512}, "fused nadam"),
        ({"train__optimizer": "adamw"}, "fused adamw"),
        ({"train__loop": "keras"}, "step keras"),
        ({"train__precision": "mixed_bfloat16"}, "flops mixed_bfloat16"),
    ],
)
def test_what_makes_an_epoch_longer_is_counted(more: dict[str, object], kind: str) -> None:
    usual, other = (Work(each, MNIST).epoch for each in (run(), run(**more)))
    assert other[kind] > usual.get(kind, 0)
    assert reference(kind) > 0


@pytest.mark.parametrize(
    ("more", "compiled"),
    [
        ({"train__optimizer": "nadam"}, ["compile nadam"]),
        ({"train__optimizer": "nadam", "model__hidden_units": 512}, ["compile fused"]),
        ({"train__optimizer": "adam"}, []),
        ({"train__optimizer": "sgd", "model__hidden_units": 512}, []),
    ],
)
def test_an_update_that_is_a_kernel_is_compiled_by_nobody(
    more: dict[str, object], compiled: list[str]
) -> None:
    amounts = Work(run(**more), MNIST).compiling
    own = {kind for kind, amount in amounts.items() if amount} - {"compile", "compile layer"}
    assert sorted(own) == compiled


def test_a_batch_that_is_not_full_is_a_step_too() -> None:
    assert Work(run(train__batch_size=100_000), MNIST).epoch["step"] == 1
    assert Work(run(train__batch_size=47_999), MNIST).epoch["step"] == 2
