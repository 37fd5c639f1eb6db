"""Constants that round sums as LiteRT's FULLY_CONNECTED does: equal to the real function on whole ranges of sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.operators.support.half_away import Range, in_steps, natural, one_step, rounded, several_steps

INT8, INT16 = (-128, 127), (-(1 << 15), (1 << 15) - 1)
SUMS = 1 << 16


def clipped(values: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return np.clip(values, *limits)


def exact(sums: np.ndarray, scale: float) -> list[int]:
    """round(sum * scale), halves away from zero, in Python's integers: no double is rounded."""
    numerator, denominator = scale.as_integer_ratio()
    results: list[int] = []
    for value in sums.tolist():
        size = (2 * abs(value) * numerator + denominator) // (2 * denominator)
        results.append(size if value > 0 else -size)
    return results


def test_rounded_is_half_away_from_zero() -> None:
    for scale in (0.5, 0.375, 2.0**-7, 0.0123, 3.7):
        sums = np.arange(-3000, 3001)
        assert rounded(sums, scale).tolist() == exact(sums, scale)


@pytest.mark.parametrize("scale", [2.0**-9, 2.0**-1, 0.375, 0.75, 1.0, 1.5, 5 * 2.0**-6])
def test_ties(scale: float) -> None:
    """One multiplication does for scales that make ties, if its multiplier is a little too great."""
    for limits in (INT8, INT16):
        over = Range(-SUMS, SUMS, *limits)
        found = one_step(scale, over)
        assert found is not None
        sums = np.arange(-SUMS, SUMS + 1)
        assert np.array_equal(clipped(natural(sums, *found), limits), clipped(rounded(sums, scale), limits))


def test_nearest_multiplier_where_it_serves() -> None:
    assert one_step(0.01, Range(-SUMS, SUMS, *INT8)) == (round(0.01 * 2**37), 37)


@examples(40)
@given(st.floats(2.0**-20, 8.0), st.integers(0, 100), st.integers(0, 1 << 30))
def test_one_step(scale: float, zero_point: int, seed: int) -> None:
    limits = (-128 - zero_point, 127 - zero_point)
    bound = 1 << 26
    found = one_step(scale, Range(-bound, bound, *limits))
    if found is None:
        return
    sums = beside_steps(scale, limits, bound, seed)
    assert np.array_equal(clipped(natural(sums, *found), limits), clipped(rounded(sums, scale), limits))


@examples(20)
@given(st.floats(-13.9, 3.0), st.integers(0, 1 << 30))
def test_several_steps(log: float, seed: int) -> None:
    """16-bit results of any sums, those next to a step above all; 31 bits alone do not decide most of them."""
    scale, bound = 2.0**log, 1 << 38
    steps = several_steps(scale, Range(-bound, bound, *INT16))
    assert steps is not None
    sums = beside_steps(scale, INT16, bound, seed)
    assert np.array_equal(clipped(in_steps(sums, steps), INT16), clipped(rounded(sums, scale), INT16))


@pytest.mark.parametrize(
    "scale",
    [7.074794709950691e-05, 6.612148166374067e-05, 8.504511060216657e-05, 3.805335380536574e-05, 3.868689602244181e-05],
)
def test_several_steps_of_few_factors(scale: float) -> None:
    """Near 2^-14 there are so few factors that constants farther from the nearest are needed."""
    bound = 400000000
    over = Range(-bound, bound, *INT16)
    steps = several_steps(scale, over)
    assert one_step(scale, over) is None
    assert steps is not None
    sums = np.concatenate([beside_steps(scale, INT16, bound, seed) for seed in range(8)])
    assert np.array_equal(clipped(in_steps(sums, steps), INT16), clipped(rounded(sums, scale), INT16))


def test_one_step_refuses_what_it_cannot_do() -> None:
    """Most 16-bit results of ordinary scales: each multiplier is wrong for a few sums, which `one_step` knows."""
    refused = [
        root for root in range(2, 22) if one_step(float(root**0.5) / 2048, Range(-(SUMS**2), SUMS**2, *INT16)) is None
    ]
    assert len(refused) >= 12
    for root in refused:
        scale = float(root**0.5) / 2048
        shift = 31 - int(np.frexp(scale)[1])
        places = (np.arange(*INT16) + 0.5) / scale
        sums = np.unique(np.concatenate([np.floor(places), np.ceil(places)])).astype(np.int64)
        for multiplier in (int(scale * 2**shift), int(scale * 2**shift) + 1):
            wrong = clipped(natural(sums, multiplier, shift), INT16) != clipped(rounded(sums, scale), INT16)
            assert 0 < int(wrong.sum()) < len(sums) / 100


def beside_steps(scale: float, limits: tuple[int, int], bound: int, seed: int) -> np.ndarray:
    """Sums at most two away from a step of a result, and others."""
    rng = np.random.default_rng(seed)
    results = rng.integers(limits[0] - 2, limits[1] + 3, 4000)
    sums = np.rint((results + 0.5) / scale).astype(np.int64) + rng.integers(-2, 3, 4000)
    return np.clip(np.concatenate([sums, rng.integers(-bound, bound, 4000)]), -bound, bound)
