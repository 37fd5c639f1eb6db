"""
LEAKY_RELU: of 8 bits a table. On 16 bits it is the greater of two values (the lesser for an alpha of more than 1): the
operand rescaled from scale to scale, or itself where they are equal, and the operand rescaled by alpha too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import quantization, to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, per_tensor, scale_of, storage_type, table
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
    from npuc.operators.support.fixed_point import Array
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")


@irdl_op_definition
class LeakyReluOp(tfl.UnaryOp):
    name = "tfl.leaky_relu"

    alpha = prop_def(FloatAttr)


def check(op: LeakyReluOp) -> None:
    rules.check_rescaled(op)
    scale, alpha = rules.element(op.input).scale, to_float32(op.alpha.value.data)
    slope = to_float32(to_float32(scale * alpha) / rules.element(op.output).scale)
    rules.require_scalable(rules.values(op.input), abs(slope), op.output)
    if rules.element(op.input).data.storage_width == 16:
        rules.require(alpha >= 0, "LEAKY_RELU of 16 bits must have an alpha of at least 0", op.input)
        rules.require(
            minimum_or_maximum(op) is not None, "LEAKY_RELU of 16 bits must be a minimum or maximum", op.input
        )


def convert(build: Builder, op: LeakyReluOp) -> list[SSAValue]:
    """LEAKY_RELU: positive values times the scales' float32 quotient, others times alpha as well."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    factors = scale_factors(op)
    scales = [scale_of(abs(real)) if real else (0, 31) for real in factors]
    if x.storage_type.width.data == 8:

        def entries(stored: Array) -> Array:
            return leaked_values(stored - x.zero_point, factors) + output.zero_point

        limits = tosa.value_range(output.storage_type)
        return table(build, op, fixed_point.table_of(entries, limits, numpy_dtype(x.storage_type)))
    choice = minimum_or_maximum(op)
    source = build.storage(op.input)
    kept, leaked = (
        source if real == 1 else build.rescale(source, output.storage_type, scale)
        for real, scale in zip(factors, scales, strict=True)
    )
    kind = tosa.MaximumOp if choice == "maximum" else tosa.MinimumOp
    return [build.insert(kind(kept, leaked, storage_type(op.output)))]


def scale_factors(op: LeakyReluOp) -> tuple[float, float]:
    """What LEAKY_RELU scales quantised values by: those of 0 and above, and those below."""
    source, target = quantization(op.input), quantization(op.output)
    assert source is not None
    assert target is not None
    slope = to_float32(to_float32(source.scale * to_float32(op.alpha.value.data)) / target.scale)
    return to_float32(source.scale / target.scale), slope


def leaked_values(values: Array, factors: tuple[float, float]) -> Array:
    """What LEAKY_RELU makes of values, both less their zero points and not yet limited."""
    return np.where(values >= 0, _scaled(values, factors[0]), _scaled(values, factors[1]))


def minimum_or_maximum(op: LeakyReluOp) -> Literal["maximum", "minimum"] | None:
    """
    Which of the two rescaled values is a 16-bit LEAKY_RELU's result: the greater, for an alpha of less than 1, or else
    the lesser; tried on all values, as roundings can differ. None where it is neither throughout.
    """
    factors = scale_factors(op)
    every = np.arange(-(1 << 15), 1 << 15)
    wanted = leaked_values(every, factors)
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


OPERATORS = (
    Operator(
        op=LeakyReluOp,
        kernels="8 bits: a copy with a table; 16 bits: LRELU, or two rescales and MIN or MAX",
        check=check,
        convert=convert,
        rank=6,
        batches=True,
    ),
)
