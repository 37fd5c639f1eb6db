"""
The integer arithmetic of the output stage: scaling with rounding, activation functions, lookup tables.

docs/simulator.md lists every rule with its evidence. All functions take and give int64 arrays and are exact.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

DOUBLE, TRUNCATE, NATURAL = 0, 1, 2
_LIMIT = 1 << 62


def _halves(shift: Integers) -> Integers:
    """Half of 2^shift, 0 where the shift is 0."""
    return np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)


def magnitude(values: Integers) -> int:
    """The largest absolute value."""
    return max(int(values.max()), -int(values.min()))


def _scaled_shift(values: Integers, multiplier: Integers, shift: Integers, largest: int) -> Integers:
    """floor(values * multiplier / 2^shift + 1/2), exact for any 41-bit value, 32-bit multiplier and shift up to 63."""
    half = _halves(shift)
    if largest * int(multiplier.max()) < _LIMIT:
        product = values * multiplier
        product += half
        product >>= shift
        return product
    if int(shift.min()) >= 16 and largest < 1 << 45:
        low = (values & 0xFFFF) * multiplier
        low += half
        low >>= 16
        low += (values >> 16) * multiplier
        low >>= shift - 16
        return low
    exact = (values.astype(object) * multiplier.astype(object) + half.astype(object)) >> shift.astype(object)
    if max(abs(int(exact.max())), abs(int(exact.min()))) >= _LIMIT:
        raise OverflowError("scaled value beyond 62 bits")
    return exact.astype(np.int64)


def divide_ties_away(values: Integers, exponent: Integers) -> Integers:
    """values / 2^exponent to the nearest, ties away from zero."""
    result = values + _halves(exponent)
    result -= (values < 0) & (exponent > 0)
    result >>= exponent
    return result


def scale(
    values: Integers, multiplier: Integers | int, shift: Integers | int, rounding: int, largest: int, first: int = 31
) -> Integers:
    """
    values * multiplier / 2^shift, rounded as the NPU does; `largest` bounds the absolute values.

    NATURAL rounds once, half up. DOUBLE rounds half up at bit `first` and then, where the shift goes on, to the
    nearest with ties away from zero (TFLite's two-step rounding).
    """
    multipliers = np.asarray(multiplier, np.int64)
    shifts = np.asarray(shift, np.int64)
    if rounding == NATURAL:
        return _scaled_shift(values, multipliers, shifts, largest)
    if rounding != DOUBLE:
        raise NotImplementedError("rounding mode TRUNCATE, for which no rule is proven")
    step = np.minimum(shifts, first)
    result = _scaled_shift(values, multipliers, step, largest)
    rest = shifts - step
    return divide_ties_away(result, rest) if rest.any() else result


# round(65536 * sigmoid(i / 24)), but one more at these i: TFLite's table, which was not made with exact arithmetic.
_SIGMOID_PLUS_ONE = (
    "4 8 12 14 15 16 17 19 20 21 22 25 27 28 29 30 31 33 34 35 37 39 40 41 43 44 45 46 49 50 54 62 63 64 66 82 86 93 "
    "100 103 112 116 135 255"
)


@cache
def _sigmoid_table() -> Integers:
    table = np.round(65536 / (1 + np.exp(-np.arange(256) / 24))).astype(np.int64)
    table[[int(i) for i in _SIGMOID_PLUS_ONE.split()]] += 1
    return np.append(table, 0)


def _interpolated(x: Integers, bits: int, most: int) -> Integers:
    """The table at |x|, of which `bits` bits lie between two entries and count in the result; `most` beyond its end."""
    table = _sigmoid_table()
    size = np.abs(x)
    index = np.minimum(size >> bits, 255)
    between = (size & ((1 << bits) - 1)) * (table[index + 1] - table[index])
    return np.where(index >= 255, most, (table[index] << bits) + between)


def sigmoid(x: Integers) -> Integers:
    """Q0.15 sigmoid of x / (3 * 4096), by TFLite's interpolated table."""
    result = _interpolated(x, 9, 0x7FFF << 10)
    return np.where(x >= 0, (result + 512) >> 10, ((1 << 25) - result + 511) >> 10)


def tanh(x: Integers) -> Integers:
    """Q0.15 tanh of x / (3 * 4096), by the same table."""
    result = _interpolated(x, 8, 0xFFFF << 8)
    return np.where(x >= 0, (result - (1 << 23) + 128) >> 8, ((1 << 23) - result + 127) >> 8)


def lookup16(x: Integers, table: NDArray[np.uint32]) -> Integers:
    """The interpolating 512-word table: base in bits 15:0, slope in bits 31:16, both signed."""
    base = (table & 0xFFFF).astype(np.uint16).view(np.int16).astype(np.int64)
    slope = (table >> 16).astype(np.uint16).view(np.int16).astype(np.int64)
    index = (x + 32768) >> 7
    return base[index] + ((slope[index] * (x & 127) + 64) >> 7)


def divide_by_count(values: Integers, count: Integers) -> Integers:
    """values / count to the nearest, halves away from zero: the divisor of padded average pools."""
    size = np.abs(values) + count // 2
    size //= count
    return np.where(values < 0, -size, size)


def leading_zeros(values: Integers) -> Integers:
    """Of the 32-bit two's complement words; 32 for 0."""
    words = (values & 0xFFFF_FFFF).astype(np.float64)
    # frexp's exponent of a positive integer is its bit length, exact below 2^53.
    return np.where(values == 0, 32, 32 - np.frexp(words)[1]).astype(np.int64)
