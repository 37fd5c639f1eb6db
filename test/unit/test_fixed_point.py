"""TFLite's fixed-point arithmetic: the helpers against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuc.interpreters import tosa_kernels
from npuc.operators.support import fixed_point


@given(st.floats(2.0**-31, 2.0**28, exclude_min=True))
def test_multipliers_are_nearest(real: float) -> None:
    multiplier, shift = fixed_point.quantize_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31
    assert 2 <= shift <= 62
    assert abs(math.ldexp(multiplier, -shift) - real) <= math.ldexp(0.5, -shift)


def test_multipliers_at_the_ends() -> None:
    assert fixed_point.quantize_multiplier(1.0) == fixed_point.UNIT
    assert fixed_point.quantize_multiplier(math.nextafter(1.0, 0.0)) == fixed_point.UNIT  # the mantissa carries
    assert fixed_point.quantize_multiplier(2.0**-40) == (0, 31)
    with pytest.raises(ValueError, match="too great"):
        fixed_point.quantize_multiplier(2.0**29)


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    product = a * b
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    return total >> 31 if total >= 0 else -(-total >> 31)


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


@given(
    value=st.integers(-(1 << 31), (1 << 31) - 1),
    multiplier=st.integers(1 << 30, (1 << 31) - 1),
    shift=st.integers(31, 62),
)
def test_double_round_is_gemmlowps_and_tosas(value: int, multiplier: int, shift: int) -> None:
    wanted = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(value, multiplier), shift - 31)
    values = np.array([value], np.int64)
    assert fixed_point.double_round(values, multiplier, shift)[0] == wanted
    assert tosa_kernels.scale_32(values, np.array([multiplier]), np.array([shift]), True)[0] == wanted


@given(x=st.integers(-(1 << 31), (1 << 31) - 1), shift=st.integers(0, 31))
def test_round_shift(x: int, shift: int) -> None:
    assert fixed_point.round_shift(np.array([x]), shift)[0] == rounding_divide_by_pot(x, shift)


def test_reduced_multipliers() -> None:
    multipliers = np.array([1 << 30, 0x40008000, 0x40007FFF, 0x7FFF0000, (1 << 31) - 1], np.int32)
    reduced, shifts = fixed_point.reduce_multipliers(multipliers, np.full(5, 40, np.int8))
    assert reduced.tolist() == [0x4000, 0x4001, 0x4000, 0x7FFF, 0x7FFF]
    assert shifts.tolist() == [24] * 5


@pytest.mark.parametrize(
    ("activation", "limits"),
    [("NONE", (-128, 127)), ("RELU", (-10, 127)), ("RELU6", (-10, 50)), ("RELU_N1_TO_1", (-20, 0))],
)
def test_activation_limits(activation: str, limits: tuple[int, int]) -> None:
    assert fixed_point.activation_limits(activation, 0.1, -10, (-128, 127)) == limits


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "same", "wanted"),
    [
        (8, 3, 1, 1, True, (8, 1, 1)),
        (8, 3, 2, 1, True, (4, 0, 1)),  # the smaller half before
        (8, 1, 2, 1, True, (4, 0, -1)),  # one element left over
        (8, 3, 2, 1, False, (3, 0, -1)),
        (8, 3, 1, 2, False, (4, 0, 0)),
    ],
)
def test_window_padding(
    size: int, kernel: int, stride: int, dilation: int, same: bool, wanted: tuple[int, int, int]
) -> None:
    assert fixed_point.window_padding(size, kernel, stride, dilation, same) == wanted


@pytest.mark.parametrize(
    ("exponent", "last"), [(-38, 11645), (-17, 11628), (-10, 11624), (-3, 11626), (0, 11625), (1, 11625), (33, 11650)]
)
def test_what_counts_as_a_power_of_two(exponent: int, last: int) -> None:
    """`last` float32 numbers below the power still do; found with LiteRT's 16-bit ADD, by bisection."""
    bits = int(np.float32(2.0**exponent).view(np.uint32))
    for offset, expected in ((0, exponent), (last, exponent), (last + 1, None)):
        assert fixed_point.checked_log2(float(np.uint32(bits - offset).view(np.float32))) == expected
