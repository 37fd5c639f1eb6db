"""
SELECT and SELECT_V2 of stored values as they are: where the condition holds the lesser of the first value and the
greatest of all, else the least of all; the other way round for the second value; and the greater of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, broadcast, i16, per_tensor, scale_of, shape_of, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
else:
    np, tosa = deferred("numpy", "npuc.dialects.tosa")


class AnySelectOp(tfl.TflOp):
    condition = operand_def(TensorType)
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


@irdl_op_definition
class SelectOp(AnySelectOp):
    """All operands have the shape of the result; others LiteRT reads in a way of its own."""

    name = "tfl.select"


@irdl_op_definition
class SelectV2Op(AnySelectOp):
    """All operands are broadcast."""

    name = "tfl.select_v2"


def check(op: AnySelectOp) -> None:
    rules.same_storage(op, [op.lhs, op.rhs], op.output)
    condition = op.condition.type
    assert isinstance(condition, TensorType)
    rules.require(str(condition.element_type) == "i1", "the condition must be of bool", op.condition)
    shapes = [rules.shape(value) for value in (op.condition, op.lhs, op.rhs)]
    if isinstance(op, SelectOp):
        rules.require(len(set(shapes)) == 1, "operands of SELECT must have one shape", op.condition)
    first, second = (rules.broadcast_shape(shapes[0], shape, op.output) for shape in shapes[1:])
    rules.require_shape(op.output, rules.broadcast_shape(first, second, op.output))


def convert(build: Builder, op: AnySelectOp) -> list[SSAValue]:
    """SELECT: see the docstring of this file."""
    rank = len(shape_of(op.output))
    condition = broadcast(build, build.storage(op.condition), rank)
    parts: list[SSAValue] = []
    for value, chosen in ((op.lhs, True), (op.rhs, False)):
        operand = broadcast(build, build.storage(value), rank)
        bound = _bound(build, op, condition, chosen)
        shape = [max(sizes) for sizes in zip(shape_of(operand), shape_of(bound), strict=True)]
        element_type = storage_type(op.output).element_type
        parts.append(build.insert(tosa.MinimumOp(operand, bound, TensorType(element_type, shape))))
    return [build.insert(tosa.MaximumOp(parts[0], parts[1], storage_type(op.output)))]


def _bound(build: Builder, op: AnySelectOp, condition: SSAValue, chosen: bool) -> SSAValue:
    """The greatest value of the type where the condition is `chosen`, else the least one."""
    element_type = per_tensor(op.output).storage_type
    least, greatest = tosa.value_range(element_type)
    if element_type.width.data == 8:
        entries = np.where((np.arange(-128, 128) != 0) == chosen, greatest, least).astype(numpy_dtype(element_type))
        result = TensorType(element_type, list(shape_of(condition)))
        return build.insert(tosa.TableOp(condition, build.array(entries, element_type), result))
    # 0 and 127 * 256 are nodes of the table, far enough apart for its slopes: nothing is interpolated.
    index = build.rescale(condition, i16, scale_of(127.0 * 256))
    ends = (least, greatest) if chosen else (greatest, least)
    nodes = np.interp(np.arange(513), (256, 510), ends)
    wide = TensorType(i32, list(shape_of(condition)))
    finer = build.insert(tosa.TableOp(index, build.array(nodes.astype(np.int16), i16), wide))
    return build.rescale(finer, i16, (1 << 30, 37), rounding=tosa.RoundingMode.SINGLE_ROUND)


def _operator(op: type[AnySelectOp], kernels: str) -> Operator:
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
    _operator(SelectOp, "two copies with tables, two MIN and MAX"),
    _operator(SelectV2Op, "as SELECT"),
)
