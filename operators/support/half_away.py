"""
Sums times a real scale in double, rounded once, halves away from zero: LiteRT's FULLY_CONNECTED, on a machine that
multiplies by 31 bits and shifts.

The machine rounds a product once, halves up (`natural`). That is the same for every sum if no sum lies between the
place where the one result steps to the next and the place where the other does. The steps of the real function are
known, so equality is decided and not sampled: only sums next to a step can differ, and those are computed both ways.

- `one_step` looks for a multiplier and a shift. The nearest multiplier serves most 8-bit results. Scales that make ties
  (powers of two and other short ones) need one above the real scale: it pushes ties away from zero on both sides.
- `several_steps` is for what 31 bits do not decide, which is most 16-bit results: a quotient that may be one off, and a
  correction from its remainder, in 32-bit operations.

Sums are of up to 40 bits, in int64; a scale and a range belong to one channel. Nothing here knows an operator.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from npuc.operators.support.fixed_point import double_round

Integers = NDArray[np.int64]

MAX_MULTIPLIER = (1 << 31) - 1
MIN_SHIFT, MAX_SHIFT = 2, 62
"""The shifts of TOSA, which are within the machine's."""

QUOTIENT_SHIFT, REST_SHIFT, CORRECTION_SHIFT = 46, 16, 61
"""Of `Steps`; for a divisor of 2^15 to 2^16 every constant then fills 31 bits and no more."""
_LEAST_DIVISOR = (1 << 15) + 1
_MOST_FACTOR = 1 << 30
_TRIES = 24
_CHOICES = sorted(product(range(-4, 5), repeat=2), key=lambda choice: sum(map(abs, choice)))
"""What is added to `rest` and `correction`, the nearest first."""
_DOUBLE = 2.0**-50
"""More than the relative error of a place computed in double."""


@dataclass(frozen=True)
class Range:
    """Sums of `least` to `greatest`, and results that are told apart: from `low` to `high`, others count as these."""

    least: int
    greatest: int
    low: int
    high: int


@dataclass(frozen=True)
class Steps:
    """
    The constants of one channel. For a sum a, every value in 32 bits, saturated, `>>` as `fixed_point.double_round`:

        s = a * factor
        q = s * reciprocal >> QUOTIENT_SHIFT                        at most one off
        z = s - q * divisor
        e = z * left - (q * rest >> REST_SHIFT)                     `left` times what is left over
        y = q + (e * correction >> CORRECTION_SHIFT)

    `divisor` and `rest` are the two halves of the real divisor factor / scale, which is 2^15 to 2^16, or more where the
    scale is below 2^-16.
    """

    factor: int
    reciprocal: int
    divisor: int
    left: int
    rest: int
    correction: int


def rounded(sums: Integers, scale: float) -> Integers:
    """What LiteRT computes: round(double(sum) * scale), halves away from zero."""
    product = sums.astype(np.float64) * scale
    whole = np.trunc(product)
    return (whole + np.where(np.abs(product - whole) >= 0.5, np.sign(product), 0)).astype(np.int64)


def natural(values: Integers, multiplier: int, shift: int) -> Integers:
    """floor(values * multiplier / 2^shift + 1/2), for values of 40 bits that make results of 62 bits at most."""
    half = 1 << (shift - 1)
    if shift < 16:
        return (values * multiplier + half) >> shift
    return ((((values & 0xFFFF) * multiplier + half) >> 16) + (values >> 16) * multiplier) >> (shift - 16)


def in_steps(sums: Integers, steps: Steps) -> Integers:
    """What `Steps` computes."""
    bound = (1 << 31) // steps.factor + 1
    scaled = _saturated(np.clip(sums, -bound, bound) * steps.factor)
    quotient = double_round(scaled, steps.reciprocal, QUOTIENT_SHIFT)
    over = _saturated(_saturated(scaled - _saturated(quotient * steps.divisor)) * steps.left)
    over = _saturated(over - double_round(quotient, steps.rest, REST_SHIFT))
    return quotient + double_round(over, steps.correction, CORRECTION_SHIFT)


def _saturated(values: Integers) -> Integers:
    return np.clip(values, -(1 << 31), (1 << 31) - 1)


@lru_cache(maxsize=1 << 14)
def one_step(scale: float, over: Range) -> tuple[int, int] | None:
    """
    Multiplier and shift with which `natural`, within the results told apart, equals `rounded` for every sum.

    The nearest multiplier if it serves, else one of its neighbours; None if none does.
    """
    shift = min(31 - int(np.frexp(scale)[1]), MAX_SHIFT)
    if shift < MIN_SHIFT:
        return None
    real = float(np.ldexp(scale, shift))
    below = int(real)
    steps = _steps(scale, over)
    for m in dict.fromkeys((int(real + 0.5), below, below + 1, below + 2)):
        if m <= MAX_MULTIPLIER and _equal(steps, scale, over, m, shift, abs(m - real) / real):
            return m, shift
    return None


def _equal(steps: NDArray[np.float64], scale: float, over: Range, multiplier: int, shift: int, error: float) -> bool:
    sums = _critical(steps, over, error, 0)
    return sums is not None and _same(natural(sums, multiplier, shift), sums, scale, over)


@lru_cache(maxsize=1 << 14)
def several_steps(scale: float, over: Range) -> Steps | None:
    """Steps that equal `rounded` for every sum within the results told apart, which 16 bits hold; or None."""
    most = max(min(int((1 << 16) * (1 - 2.0**-12) * scale), _MOST_FACTOR), 1)
    factors = np.arange(most, most // 2, -1)[:4096]
    divisors = factors / scale
    # The quotient of a result that is told apart, one too large perhaps, must not make `q * divisor` saturate.
    largest = int(np.abs(_ends(scale, over)).max()) + 1
    fitting = (divisors >= _LEAST_DIVISOR) & ((divisors + 1) * largest < 1 << 31)
    factors, divisors = factors[fitting], divisors[fitting]
    places = _steps(scale, over)
    # The nearer the divisor is to an integer, the less its second half rounds.
    order = np.argsort(np.abs(divisors - np.rint(divisors)), kind="stable")[:_TRIES]
    for factor, real in zip(factors[order].tolist(), divisors[order].tolist(), strict=True):
        # Fills 31 bits, as half the divisor is what is left over at most.
        left = 1 << min(31 - math.frexp(real)[1], 15)
        # In units of e: rounding `q * rest`, and the constants `rest` and `correction`, at most 1.25; by choice, half a
        # unit for one more in `rest` and one for one more in `correction`, at most 6.
        sums = _critical(places, over, 0, 8.0 / (factor * left))
        if sums is None:
            continue
        divisor = round(real)
        reciprocal = round(2.0**QUOTIENT_SHIFT / real)
        rest = round((real - divisor) * left * 2.0**REST_SHIFT)
        correction = round(2.0**CORRECTION_SHIFT / (real * left))
        for r, c in _CHOICES:
            steps = Steps(factor, reciprocal, divisor, left, rest + r, correction + c)
            if _same(in_steps(sums, steps), sums, scale, over):
                return steps
    return None


def _same(results: Integers, sums: Integers, scale: float, over: Range) -> bool:
    wanted = np.clip(rounded(sums, scale), over.low, over.high)
    return np.array_equal(np.clip(results, over.low, over.high), wanted)


def _ends(scale: float, over: Range) -> Integers:
    """The least and the greatest result, as far as results are told apart."""
    return np.clip(rounded(np.array([over.least, over.greatest]), scale), over.low, over.high)


def _steps(scale: float, over: Range) -> NDArray[np.float64]:
    """Where, among the sums, the real function steps from v - 1/2 on to v: a place for each result but the least."""
    first, last = _ends(scale, over).tolist()
    return (np.arange(first + 1, last + 1) - 0.5) / scale


def _critical(steps: NDArray[np.float64], over: Range, relative: float, absolute: float) -> Integers | None:
    """
    The sums no farther from one of `steps` than `absolute` and that share of the place; None where a step may be missed
    by more than a sum.

    A function that rises early or late by no more than that is the same for all sums if it is for these.
    """
    error = np.abs(steps) * (relative + _DOUBLE) + absolute
    if error.max(initial=0) >= 1:
        return None
    below = np.floor(steps)
    near = [(below + i)[np.abs(below + i - steps) <= error] for i in (0, 1)]
    sums = np.concatenate(near).astype(np.int64)
    return sums[(sums >= over.least) & (sums <= over.greatest)]
