"""
What LiteRT's LSTM would take on the NPU: `python bench/lstm_functions.py`.

LiteRT computes the gates by gemmlowp's 16-bit logistic and tanh, written down here anew. Over all 65,536 inputs it is
asked how many segments of a 16-bit table a base and a slope reproduce, for tables of ever finer segments, and whether
a chain of kernels does: tables, MUL with a shift of 15 that rounds half up, ADD and SUB that saturate, and what
chooses by the sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.int64]

INPUTS: Values = np.arange(-(1 << 15), 1 << 15)
ONE = (1 << 15) - 1
BARREL = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
"""exp(-2^k) for each k, in 31 bits."""


def _divided(x: Any, shift: int) -> Any:
    """x / 2^shift, ties away from zero."""
    return np.sign(x) * ((np.abs(x) + (1 << shift >> 1)) >> shift)


def _saturated(x: Any) -> Values:
    return np.clip(x, -(1 << 15), ONE)


def _constant(value: int) -> int:
    """A constant of 32 bits in 16."""
    return int(_divided(value, 16))


def _product(a: Any, b: Any) -> Values:
    """gemmlowp's SaturatingRoundingDoublingHighMul."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.minimum(np.sign(nudged) * (np.abs(nudged) >> 15), ONE)


def _exp_of_less_than_a_quarter(a: Values) -> Values:
    x = a + (1 << 12)
    x2 = _product(x, x)
    x3, x4 = _product(x2, x), _product(x2, x2)
    third = _product(_divided(x4, 2) + x3, _constant(715827883))
    term = _constant(1895147668)
    return _saturated(term + _product(term, x + _divided(third + x2, 1)))


def _exp(n: Values, bits: int) -> Values:
    """exp of numbers that are not positive, with so many integer bits; 16 bits of fraction."""
    quarter = 1 << (13 - bits)
    below = (n & (quarter - 1)) - quarter
    result, rest = _exp_of_less_than_a_quarter(_saturated(below << bits)), below - n
    for power, factor in BARREL:
        if power < bits:
            result = np.where(rest & (1 << (15 - bits + power)), _product(result, _constant(factor)), result)
    return np.where(n == 0, ONE, result)


def _reciprocal(a: Values) -> Values:
    """2 / (1 + a) with two integer bits, by Newton's method."""
    half = (a + ONE + 1) >> 1
    x = _constant(1515870810) + _product(half, _constant(-1010580540))
    for _ in range(3):
        x = x + _saturated(_product(x, (1 << 13) - _product(half, x)) << 2)
    return x


def logistic(a: Values) -> Values:
    """Of a number with 12 bits of fraction, with 15 bits of fraction."""
    p = _saturated(_reciprocal(_exp(-np.abs(a), 3)) << 1)
    return np.where(a == 0, 1 << 14, np.where(a > 0, p, ONE - p))


def tanh(a: Values, bits: int = 3) -> Values:
    """Of a number with so many integer bits."""
    t = _saturated((_reciprocal(_exp(-np.abs(a), bits + 1)) - (1 << 13)) << 2)
    return np.where(a == 0, 0, np.where(a < 0, -t, t))


def fitting(values: Values, width: int) -> int:
    """How many segments of `width` inputs a base and a slope reproduce."""
    at = np.arange(1, width) * (128 // width)
    steps = values.reshape(-1, width)[:, 1:] - values.reshape(-1, width)[:, :1]
    least = (-((64 - 128 * steps) // at)).max(axis=1)
    most = ((128 * steps + 63) // at).min(axis=1)
    return int((np.maximum(least, -(1 << 15)) <= np.minimum(most, ONE)).sum())


class Machine:
    """Kernels, counted."""

    def __init__(self) -> None:
        self.kernels = 0
        self.tables = 0

    def table(self, values: Values) -> Values:
        """A copy through a table that gives these values."""
        self.kernels += 1
        self.tables += 1
        return values

    def kernel(self, values: Any) -> Values:
        """Any other, whose result saturates."""
        self.kernels += 1
        return _saturated(values)

    def mul(self, a: Any, b: Any) -> Values:
        """MUL by 2^-15, half up."""
        return self.kernel((a * b + (1 << 14)) >> 15)

    def exp(self, n: Values, bits: int) -> Values:
        """A table of at most 1,024 inputs, two a segment; then factors less 1, which tables of the upper bits give."""
        quarter = 1 << (13 - bits)
        spread = self.table((n & (quarter - 1)) * ((1 << 16) // quarter) - (1 << 15))
        below = ((spread + (1 << 15)) >> (3 + bits)) - quarter
        result, rest = self.table(_exp_of_less_than_a_quarter(_saturated(below << bits))), below - n
        for power, factor in BARREL:
            if power < bits:
                less = np.where(rest & (1 << (15 - bits + power)), _constant(factor) - (1 << 15), 0)
                result = self.kernel(result + self.mul(result, self.table(less)))
        return result

    def reciprocal(self, a: Values) -> Values:
        """Newton's method, kernel by kernel."""
        half = self.kernel((a + ONE + 1) >> 1)
        x = self.kernel(_constant(1515870810) + self.mul(half, _constant(-1010580540)))
        for _ in range(3):
            rest = self.kernel((1 << 13) - self.mul(half, x))
            x = self.kernel(x + _saturated(self.mul(x, rest) << 2))
        return x

    def logistic(self, a: Values) -> Values:
        """As above; the last three kernels choose by the sign."""
        p = self.kernel(self.reciprocal(self.exp(self.kernel(-np.abs(a)), 3)) << 1)
        self.kernels += 3
        return np.where(a == 0, 1 << 14, np.where(a > 0, p, ONE - p))

    def tanh(self, a: Values, bits: int = 3) -> Values:
        """As above; the last two kernels choose by the sign."""
        less = self.kernel(self.reciprocal(self.exp(self.kernel(-np.abs(a)), bits + 1)) - (1 << 13))
        t = self.kernel(less << 2)
        self.kernels += 2
        return np.where(a == 0, 0, np.where(a < 0, -t, t))


def main() -> None:
    """Prints the figures of docs/rationale.md."""
    functions: dict[str, tuple[Callable[[], Values], Callable[[Machine], Values]]] = {
        "logistic": (lambda: logistic(INPUTS), lambda machine: machine.logistic(INPUTS)),
        "tanh of a gate": (lambda: tanh(INPUTS), lambda machine: machine.tanh(INPUTS)),
        "tanh of a state with 4 integer bits": (lambda: tanh(INPUTS, 4), lambda machine: machine.tanh(INPUTS, 4)),
    }
    for name, (exact, by_kernels) in functions.items():
        values = exact()
        print(name)
        for width in (128, 32, 8, 2):
            tables = (1 << 16) // width // 512
            segments = (1 << 16) // width
            print(f"  {tables} tables, segments of {width}: {fitting(values, width)} of {segments} fit")
        machine = Machine()
        wrong = int((by_kernels(machine) != values).sum())
        print(f"  {machine.kernels} kernels, {machine.tables} of them with a table: {wrong} of 65536 differ")


if __name__ == "__main__":
    main()
