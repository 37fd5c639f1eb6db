"""
EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER and GREATER_EQUAL: a table of the difference, which tells from its sign.

LiteRT scales both operands to steps of 1/256 before it compares them, those of 16 bits only for EQUAL and NOT_EQUAL.
With equal scales, where no two values become one, the difference of the stored values has the same sign; otherwise
that of the scaled ones is looked up. What is compared with one number is a table of the operand.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, broadcast, i8, per_tensor, scale_of, shape_of
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
class EqualOp(tfl.BinaryOp):
    name = "tfl.equal"


@irdl_op_definition
class NotEqualOp(tfl.BinaryOp):
    name = "tfl.not_equal"


@irdl_op_definition
class LessOp(tfl.BinaryOp):
    name = "tfl.less"


@irdl_op_definition
class LessEqualOp(tfl.BinaryOp):
    name = "tfl.less_equal"


@irdl_op_definition
class GreaterOp(tfl.BinaryOp):
    name = "tfl.greater"


@irdl_op_definition
class GreaterEqualOp(tfl.BinaryOp):
    name = "tfl.greater_equal"


RELATIONS: dict[type[tfl.BinaryOp], Callable[[Any, Any], Any]] = {
    EqualOp: operator.eq,
    NotEqualOp: operator.ne,
    LessOp: operator.lt,
    LessEqualOp: operator.le,
    GreaterOp: operator.gt,
    GreaterEqualOp: operator.ge,
}
LEFT_SHIFT = 8
"""How far TFLite shifts operands left before it scales them."""


def check(op: tfl.BinaryOp) -> None:
    a, b = rules.element(op.lhs), rules.element(op.rhs)
    rules.require(a.storage_type == b.storage_type, "operands must have the same type", op.rhs)
    rules.require_shape(op.output, rules.broadcast_shape(rules.shape(op.lhs), rules.shape(op.rhs), op.output))
    if is_scaled(op):
        for value, type_ in ((op.lhs, a), (op.rhs, b)):
            # TFLite stops otherwise.
            rules.require(type_.scale < 1 - 2.0**-32, "scales must be below 1", value)


def is_scaled(op: tfl.BinaryOp) -> bool:
    """Whether LiteRT compares scaled values, not stored ones."""
    return rules.element(op.lhs).data.storage_width == 8 or isinstance(op, EqualOp | NotEqualOp)


def convert(build: Builder, op: tfl.BinaryOp) -> list[SSAValue]:
    """A comparison: see the docstring of this file."""
    types = [per_tensor(value) for value in (op.lhs, op.rhs)]
    relation = RELATIONS[type(op)]
    looked_up = _of_one_operand(build, op, types)
    if looked_up is not None:
        return [looked_up]
    rank = len(shape_of(op.output))
    values = [broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs)]
    wide = TensorType(i32, list(shape_of(op.output)))
    if not is_scaled(op) or _keeps_order(*types):
        # The form of TFLite's subtraction, which is one kernel.
        left = 20 if types[0].data.storage_width == 8 else 15
        points = [type_.zero_point if is_scaled(op) else 0 for type_ in types]
        parts = [
            build.rescale(build.widen(value, point, left), i32, (1 << 30, 31))
            for value, point in zip(values, points, strict=True)
        ]
        back = (1 << 30, 30 + left - 1)
    else:
        parts = [
            build.rescale(build.widen(value, type_.zero_point, LEFT_SHIFT), i32, scale_of(type_.scale))
            for value, type_ in zip(values, types, strict=True)
        ]
        back = fixed_point.UNIT
    difference = build.rescale(build.insert(tosa.SubOp(parts[0], parts[1], wide)), i8, back)
    entries = relation(np.arange(-128, 128), 0).astype(np.int8)
    return [build.insert(tosa.TableOp(difference, build.array(entries, i8), TensorType(i8, list(shape_of(op.output)))))]


def _keeps_order(a: UniformQuantizedType, b: UniformQuantizedType) -> bool:
    """Whether scaled values are in the order of the stored ones, less zero points."""
    if a.scale != b.scale:
        return False
    least, greatest = tosa.value_range(a.storage_type)
    points = a.zero_point, b.zero_point
    every = scaled(np.arange(least - max(points), greatest - min(points) + 1), a.scale)
    return bool((np.diff(every) > 0).all())


def scaled(values: Array, scale: float) -> Array:
    """Values in steps of 1/256, as LiteRT compares them."""
    return fixed_point.double_round(values << LEFT_SHIFT, *scale_of(scale))


def _of_one_operand(build: Builder, op: tfl.BinaryOp, types: list[UniformQuantizedType]) -> SSAValue | None:
    """A table of the only operand that varies, of 8 bits; None if there is no such operand."""
    for which, (value, other) in enumerate(((op.lhs, op.rhs), (op.rhs, op.lhs))):
        constant = tfl.constant_array(other)
        if constant is None or constant.size != 1 or types[0].data.storage_width != 8:
            continue
        if shape_of(value) != shape_of(op.output):
            continue
        least, greatest = tosa.value_range(types[0].storage_type)
        stored = np.arange(least, greatest + 1), constant.reshape(1).astype(np.int64)
        sides = [
            scaled(part - type_.zero_point, type_.scale)
            for part, type_ in zip(stored, (types[which], types[1 - which]), strict=True)
        ]
        entries = RELATIONS[type(op)](*(sides if which == 0 else sides[::-1])).astype(np.int8)
        result = TensorType(i8, list(shape_of(op.output)))
        return build.insert(tosa.TableOp(build.storage(value), build.array(entries, i8), result))
    return None


def _operator(op: type[tfl.BinaryOp], kernels: str) -> Operator:
    return Operator(
        op=op,
        kernels=kernels,
        check=check,
        convert=convert,
        types=("int8", "uint8", "int16", "bool"),
        plain=True,
        rank=6,
        batches=True,
    )


OPERATORS = (
    _operator(EqualOp, "SUB with a table; six of 32 bits where scales differ; a table for one number"),
    *(_operator(op, "as EQUAL") for op in (NotEqualOp, LessOp, LessEqualOp, GreaterOp, GreaterEqualOp)),
)
