"""
SQUARED_DIFFERENCE of 8 bits: with equal scales a table of the difference, which has 511 values; otherwise what LiteRT
computes, step by step, in 32 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, broadcast, i16, per_tensor, scale_of, shape_of, wide
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import NO_KERNEL, Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")

LEFT_SHIFT = 7
"""How far TFLite shifts operands left before it scales them by their part of twice the greater scale."""


@irdl_op_definition
class SquaredDifferenceOp(tfl.BinaryOp):
    name = "tfl.squared_difference"


def check(op: SquaredDifferenceOp) -> None:
    rules.check_binary(op)
    _, _, factor = scale_factors(*(rules.element(value) for value in (op.lhs, op.rhs, op.output)))
    # TFLite stops otherwise.
    fits = factor < 1 - 2.0**-32
    rules.require(fits, "the result's scale must be above 2^-12 times the square of the greater one's", op.output)


def scale_factors(
    a: UniformQuantizedType, b: UniformQuantizedType, output: UniformQuantizedType
) -> tuple[float, float, float]:
    """What TFLite scales by, in double: both operands, and the squares."""
    twice_greater = 2 * max(a.scale, b.scale)
    square = twice_greater * twice_greater / ((1 << 2 * LEFT_SHIFT) * output.scale)
    return a.scale / twice_greater, b.scale / twice_greater, square


def convert(build: Builder, op: SquaredDifferenceOp) -> list[SSAValue]:
    """SQUARED_DIFFERENCE: see the docstring of this file."""
    a, b, output = per_tensor(op.lhs, 8), per_tensor(op.rhs, 8), per_tensor(op.output, 8)
    factors = scale_factors(a, b, output)
    rank = len(shape_of(op.output))
    values = [broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs)]
    if a.scale == b.scale:
        return [_tabulated(build, op, values, a.zero_point - b.zero_point, scale_of(factors[2]), output)]
    scaled = [
        build.rescale(build.widen(value, type_.zero_point, LEFT_SHIFT), i32, scale_of(factor))
        for value, type_, factor in zip(values, (a, b), factors[:2], strict=True)
    ]
    difference = build.insert(tosa.SubOp(scaled[0], scaled[1], wide(op.output)))
    square = build.insert(tosa.MulOp(difference, difference, build.number(0, tosa.i8), wide(op.output)))
    return [build.rescale(square, output.storage_type, scale_of(factors[2]), output_zp=output.zero_point)]


def _tabulated(
    build: Builder,
    op: SquaredDifferenceOp,
    values: list[SSAValue],
    zero: int,
    scale: tuple[int, int],
    output: UniformQuantizedType,
) -> SSAValue:
    """
    The difference of stored values times 128 is a node of a 16-bit table, so that nothing is interpolated. Equal
    scales are halved, so that TFLite has shifted differences by one bit less when it squares them.
    """
    nodes = np.arange(-256, 257, dtype=np.int64)
    squares = ((nodes - zero) << LEFT_SHIFT - 1) ** 2
    results = fixed_point.double_round(squares, *scale)
    least, greatest = tosa.value_range(output.storage_type)
    entries = np.clip(results, least - output.zero_point, greatest - output.zero_point).astype(np.int16)
    # TFLite's form of subtraction, which is one kernel: both operands shifted by 20, halved, and here back to 7.
    halves = [build.rescale(build.widen(value, 0, 20), i32, (1 << 30, 31)) for value in values]
    difference = build.insert(tosa.SubOp(halves[0], halves[1], wide(op.output)))
    index = build.rescale(difference, i16, (1 << 30, 42))
    finer = build.insert(tosa.TableOp(index, build.array(entries, i16), wide(op.output)))
    looked_up = build.rescale(finer, i16, (1 << 30, 37), rounding=tosa.RoundingMode.SINGLE_ROUND)
    return build.rescale(looked_up, output.storage_type, (1 << 30, 30), output_zp=output.zero_point)


OPERATORS = (
    Operator(
        op=SquaredDifferenceOp,
        kernels="SUB with a table, and a copy; seven kernels of 32 bits where scales differ",
        check=check,
        convert=convert,
        types=("int8",),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
