"""Ticks of an axis can be read: few, round, and written in full."""

import pytest

from search.plots.style import ticks


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (1e-3, 1e-2, ["0.001", "0.002", "0.005", "0.01"]),
        (2e-4, 2e-2, ["0.0003", "0.001", "0.003", "0.01"]),
        (1e-5, 1e-1, ["1e-5", "0.0001", "0.001", "0.01", "0.1"]),
        (1e-9, 1e0, ["1e-8", "1e-6", "0.0001", "0.01", "1"]),
        (8, 512, ["10", "30", "100", "300"]),
        (1210, 13130, ["2000", "5000", "10k"]),
        (0.3, 3.4, ["0.5", "1", "2"]),
        (1.1, 1.9, ["1.2", "1.4", "1.6", "1.8"]),
        (2.0, 2.0, ["2"]),
    ],
)
def test_a_logarithmic_axis_has_a_few_round_numbers_written_in_full(
    low: float, high: float, texts: list[str]
) -> None:
    assert list(ticks(low, high, log=True).values()) == texts


@pytest.mark.parametrize("ratio", [1.01, 1.5, 3, 9, 40, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("low", [1.3e-7, 0.02, 1.0, 7.7e4])
def test_a_logarithmic_axis_has_two_to_five_ticks_within_it(low: float, ratio: float) -> None:
    found = list(ticks(low, low * ratio, log=True))
    assert 2 <= len(found) <= 5
    assert all(low * (1 - 1e-6) <= at <= low * ratio * (1 + 1e-6) for at in found)
    assert found == sorted(found)
