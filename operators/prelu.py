"""
PRELU of 8 bits: the greater (or the lesser) of the operand, rescaled, and its product with alpha, if that is the result
for all values that there are; else the sum of both, each of its own part of the operand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from xdsl.dialects.builtin import IntegerType, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import (
    Builder,
    broadcast,
    per_tensor,
    scale_of,
    shape_of,
    storage_type,
    wide,
)
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import BYTES, Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")


@irdl_op_definition
class PreluOp(tfl.BinaryOp):
    """`lhs`, times `rhs` (alpha) where it is negative; alpha is broadcast."""

    name = "tfl.prelu"


def check(op: PreluOp) -> None:
    rules.check_binary(op)
    rules.require(rules.shape(op.lhs) == rules.shape(op.output), "the operand must have the result's shape", op.lhs)
    known = len(rules.shape(op.lhs)) <= 4 or rules.shape(op.lhs) == rules.shape(op.rhs)
    rules.require(known, "alpha must have the operand's shape above 4 dimensions, as LiteRT broadcasts in 4", op.rhs)
    kept, leaked = scale_factors(op)
    rules.require_scalable(rules.values(op.lhs), kept, op.output)
    products = [min(rules.values(op.lhs)[0], 0) * alpha for alpha in rules.values(op.rhs)]
    rules.require_scalable((min(products), max(products)), leaked, op.output)


def scale_factors(op: PreluOp) -> tuple[float, float]:
    """What TFLite scales by, in float32: values of 0 and above, and products with alpha."""
    x, alpha, y = (rules.element(value).scale for value in (op.lhs, op.rhs, op.output))
    return to_float32(x / y), to_float32(to_float32(x * alpha) / y)


def convert(build: Builder, op: PreluOp) -> list[SSAValue]:
    """PRELU: see the docstring of this file."""
    x, alpha, output = per_tensor(op.lhs, 8), per_tensor(op.rhs, 8), per_tensor(op.output, 8)
    zero = output.zero_point
    factors = scale_factors(op)
    source = kept = build.storage(op.lhs)
    if (x.scale, x.zero_point) != (output.scale, zero):
        kept = build.rescale(source, output.storage_type, scale_of(factors[0]), input_zp=x.zero_point, output_zp=zero)
    slopes = build.widen(broadcast(build, build.storage(op.rhs), len(shape_of(op.output))), alpha.zero_point)

    def leaked(value: SSAValue) -> SSAValue:
        wider = build.widen(value, x.zero_point)
        product = build.insert(tosa.MulOp(wider, slopes, build.number(0, tosa.i8), wide(op.output)))
        return build.rescale(product, output.storage_type, scale_of(factors[1]), output_zp=zero)

    result_type = storage_type(op.output)
    choice = maximum_or_minimum(op)
    if choice is not None:
        kind = tosa.MaximumOp if choice == "maximum" else tosa.MinimumOp
        return [build.insert(kind(kept, leaked(source), result_type))]
    least, greatest = tosa.value_range(output.storage_type)
    positive = build.insert(tosa.ClampOp(kept, zero, greatest))
    negative = leaked(build.insert(tosa.ClampOp(source, least, x.zero_point)))
    # One of both is 0. The sum has the form of TFLite's additions, which is one kernel.
    half = (1 << 30, 31)
    halves = [build.rescale(build.widen(part, zero, 20), i32, half) for part in (positive, negative)]
    total = build.insert(tosa.AddOp(halves[0], halves[1], wide(op.output)))
    return [build.rescale(total, output.storage_type, (1 << 30, 49), output_zp=zero)]


def maximum_or_minimum(op: PreluOp) -> Literal["maximum", "minimum"] | None:
    """Which of both rescaled values the result is throughout: tried on all values, with each alpha."""
    x, alpha, output = per_tensor(op.lhs, 8), per_tensor(op.rhs, 8), per_tensor(op.output, 8)
    limits = tosa.value_range(output.storage_type)
    values = every(x.storage_type) - x.zero_point
    slopes = tfl.constant_array(op.rhs)
    slopes = every(alpha.storage_type) if slopes is None else np.unique(slopes).astype(np.int64)
    products = values[:, np.newaxis] * (slopes - alpha.zero_point)
    kept, leaked = (
        np.clip(fixed_point.double_round(part, *scale_of(factor)) + output.zero_point, *limits)
        for part, factor in zip((values[:, np.newaxis], products), scale_factors(op), strict=True)
    )
    wanted = np.where(values[:, np.newaxis] >= 0, kept, leaked)
    if np.array_equal(np.maximum(kept, leaked), wanted):
        return "maximum"
    return "minimum" if np.array_equal(np.minimum(kept, leaked), wanted) else None


def every(element_type: IntegerType) -> fixed_point.Array:
    """All values of a type of 8 bits."""
    info = np.iinfo(numpy_dtype(element_type))
    return np.arange(info.min, info.max + 1, dtype=np.int64)


OPERATORS = (
    Operator(
        op=PreluOp,
        kernels="MUL and MAX or MIN, and a copy to other scales; two copies, MUL and ADD where some alpha is above 1",
        check=check,
        convert=convert,
        types=BYTES,
        others="of 16 bits LiteRT reads alpha as bytes",
        rank=6,
        batches=True,
    ),
)
