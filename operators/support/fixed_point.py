"""
TFLite's fixed-point arithmetic: real scales as multipliers and shifts, activation limits, tables.

Every function says in which precision TFLite computes, because a float32 product in place of a double one changes the
result by one in the last place now and then. Shifts are those of TOSA and of the NPU: value * multiplier >> shift. The
evidence throughout is equality with LiteRT's reference kernels, which test/unit/test_fixed_point.py and
test/unit/test_convert_tfl_to_tosa.py check.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNIT = (1 << 30, 30)
"""Multiplier and shift that change nothing."""


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`quantize_multipliers` of one scale."""
    multipliers, shifts = quantize_multipliers(np.array([real]))
    return int(multipliers[0]), int(shifts[0])


def quantize_multipliers(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """
    Multipliers (30 or 31 bits) and shifts (2 to 62) with multiplier / 2**shift nearest to the positive `real`.

    The mantissa is rounded half away from zero; a scale below 2**-32 becomes 0. Raises ValueError for 2**29 and above,
    which has no shift in TOSA. Source: TFLite's QuantizeMultiplier.
    """
    mantissa, exponent = np.frexp(real.astype(np.float64))
    fixed = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    carry = fixed == 1 << 31
    fixed = np.where(carry, 1 << 30, fixed)
    exponent = np.where(carry, exponent + 1, exponent)
    vanishes = exponent < -31
    fixed, exponent = np.where(vanishes, 0, fixed), np.where(vanishes, 0, exponent)
    if bool((exponent > 29).any()):
        raise ValueError(f"a scale of {float(real.max())} is too great")
    return fixed.astype(np.int32), (31 - exponent).astype(np.int8)


def checked_log2(scale: float) -> int | None:
    """
    n where TFLite takes the float32 `scale` for 2**n, which it does within 0.07 %; None elsewhere.

    Source: TFLite's CheckedLog2, which computes in float32.
    """
    logarithm = np.float32(math.log(scale)) * (np.float32(1) / np.float32(math.log(2.0)))
    whole = float(np.copysign(np.floor(np.abs(logarithm) + np.float32(0.5)), logarithm))
    return int(whole) if abs(logarithm - np.float32(whole)) < np.float32(1e-3) else None


def reduce_multipliers(
    multipliers: NDArray[np.int32], shifts: NDArray[np.int8]
) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """
    The 16-bit multipliers, and their shifts, with which TFLite scales 64-bit accumulators.

    Source: TFLite's MultiplyByQuantizedMultiplier for int64.
    """
    wide = multipliers.astype(np.int64)
    reduced = np.where(wide < 0x7FFF0000, (wide + (1 << 15)) >> 16, 0x7FFF)
    return reduced.astype(np.int16), (shifts - 16).astype(np.int8)


def double_round(values: Array, multiplier: int, shift: int) -> NDArray[np.int64]:
    """
    values * multiplier >> shift as TFLite rounds it: to 31 fractional bits, ties up, then to nearest, ties away from 0.

    Source: gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, of values shifted left beforehand
    where `shift` is less than 31. Equal to `tosa.rescale` with DOUBLE_ROUND.
    """
    product = values.astype(np.int64) * multiplier
    if shift <= 31:
        return (product + (1 << (shift - 1))) >> shift
    return round_shift(((product + (1 << 30)) >> 31), shift - 31)


def round_shift(values: Array, shift: int) -> NDArray[np.int64]:
    """values / 2**shift to nearest, ties away from zero."""
    wide = values.astype(np.int64)
    if shift == 0:
        return wide
    return (wide + (1 << (shift - 1)) - (wide < 0)) >> shift


# Limits -----------------------------------------------------------------------------------------


def quantize_float32(real: float, scale: float, zero_point: int) -> int:
    """
    `real` in a quantisation: the float32 quotient, rounded half away from zero.

    Source: TFLite's CalculateActivationRangeQuantized.
    """
    quotient = np.float32(real) / np.float32(scale)
    return zero_point + int(np.copysign(np.floor(np.abs(quotient) + np.float32(0.5)), quotient))


ACTIVATION_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
"""Least and greatest real value that an activation lets through."""


def activation_limits(activation: str, scale: float, zero_point: int, type_limits: tuple[int, int]) -> tuple[int, int]:
    """
    Least and greatest stored value after `activation`, within those of the type.

    Raises KeyError for an activation that is not a limit (TANH, SIGN_BIT).
    """
    low, high = ACTIVATION_LIMITS[activation]
    least, greatest = type_limits
    if low is not None:
        least = max(least, quantize_float32(low, scale, zero_point))
    if high is not None:
        greatest = min(greatest, quantize_float32(high, scale, zero_point))
    return least, greatest


# Padding ----------------------------------------------------------------------------------------


def window_padding(size: int, kernel: int, stride: int, dilation: int, same: bool) -> tuple[int, int, int]:
    """
    Windows along one dimension, and the elements to add before and after it so that the last ends at the edge.

    `after` is negative where that many elements are left over. Source: TFLite's ComputeOutSize and ComputePadding: with
    SAME the smaller half stands before.
    """
    reach = (kernel - 1) * dilation + 1
    count = -(-size // stride) if same else (size - reach) // stride + 1
    total = (count - 1) * stride + reach - size
    before = max(total, 0) // 2 if same else 0
    return count, before, total - before


# Tables -----------------------------------------------------------------------------------------


def table_of(function: Callable[[Array], Array], type_limits: tuple[int, int], dtype: Any) -> Array:
    """
    The 256 results of `function` for all 8-bit values, from the least up, limited to `type_limits` of the result.

    `function` takes and gives int64.
    """
    least = int(np.iinfo(dtype).min)
    results = function(np.arange(least, least + 256, dtype=np.int64))
    return np.clip(results, *type_limits).astype(dtype)


def interpolating_table(nodes: Array) -> Array:
    """
    The NPU's 512 words of 16-bit base (low half) and slope (high half) for 513 nodes.

    Raises ValueError where a slope does not fit.
    """
    base = nodes.astype(np.int64)
    slope = base[1:] - base[:-1]
    if (abs(slope) >= 1 << 15).any():
        raise ValueError("a table of 16-bit values rises or falls by less than 32768 from node to node")
    return (((slope & 0xFFFF) << 16) | (base[:-1] & 0xFFFF)).astype(np.uint32).view(np.int32)
