"""
How LiteRT's reference kernels scale LEAKY_RELU and HARD_SWISH.

Legality asks whether the factors are such that the machine can do the same, and the lowering takes them from here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from npuc.analysis import fixed_point
from npuc.analysis.fixed_point import Array
from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType, quantization, to_float32


def leaky_relu_factors(op: tfl.LeakyReluOp) -> tuple[float, float]:
    """What LEAKY_RELU scales quantised values by: those of 0 and above, and those below."""
    source, target = quantization(op.input), quantization(op.output)
    assert source is not None
    assert target is not None
    slope = to_float32(to_float32(source.scale * to_float32(op.alpha.value.data)) / target.scale)
    return to_float32(source.scale / target.scale), slope


def leaky_relu_values(values: Array, factors: tuple[float, float]) -> Array:
    """What LEAKY_RELU makes of values, both less their zero points and not yet limited."""
    return np.where(values >= 0, _scaled(values, factors[0]), _scaled(values, factors[1]))


def leaky_relu_choice(op: tfl.LeakyReluOp) -> Literal["maximum", "minimum"] | None:
    """
    Which of the two rescaled values is a 16-bit LEAKY_RELU's result: the greater, for an alpha of less than 1, or else
    the lesser; tried on all values, as roundings can differ. None where it is neither throughout.
    """
    factors = leaky_relu_factors(op)
    every = np.arange(-(1 << 15), 1 << 15)
    wanted = leaky_relu_values(every, factors)
    rescaled = _scaled(every, factors[0]), _scaled(every, factors[1])
    if np.array_equal(np.maximum(*rescaled), wanted):
        return "maximum"
    return "minimum" if np.array_equal(np.minimum(*rescaled), wanted) else None


def _scaled(values: Array, real: float) -> Array:
    if real == 0:
        return np.zeros_like(values)
    multiplier, shift = fixed_point.quantize_multiplier(abs(real))
    # For a negative factor LiteRT gives the negated result of the positive one: ties of its first rounding go down.
    scaled = fixed_point.double_round(values, multiplier, shift)
    return scaled if real > 0 else -scaled


def hard_swish_factors(source: UniformQuantizedType, target: UniformQuantizedType) -> tuple[float, float]:
    """What TFLite scales the operand by, in steps of 1/128: to the result, and to 32768 for an argument of 3."""
    fine = to_float32(source.scale / 128)
    return to_float32(fine / target.scale), to_float32(fine / (3 / (1 << 15)))
