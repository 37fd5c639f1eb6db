"""
MINIMUM and MAXIMUM of stored values as they are: LiteRT takes no notice of the scales, which need not be equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, broadcast, shape_of, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import INTEGERS, Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class MinimumOp(tfl.BinaryOp):
    name = "tfl.minimum"


@irdl_op_definition
class MaximumOp(tfl.BinaryOp):
    name = "tfl.maximum"


def check(op: tfl.BinaryOp) -> None:
    types = {storage_type(value).element_type for value in (op.lhs, op.rhs, op.output)}
    rules.require(len(types) == 1, "operands must have the result's type", op.output)
    rules.require_shape(op.output, rules.broadcast_shape(rules.shape(op.lhs), rules.shape(op.rhs), op.output))


def convert(build: Builder, op: MinimumOp | MaximumOp) -> list[SSAValue]:
    """MINIMUM or MAXIMUM of the stored values."""
    rank = len(shape_of(op.output))
    lhs, rhs = (broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs))
    kind = tosa.MinimumOp if isinstance(op, MinimumOp) else tosa.MaximumOp
    return [build.insert(kind(lhs, rhs, storage_type(op.output)))]


OPERATORS = tuple(
    Operator(
        op=op,
        kernels=kernels,
        check=check,
        convert=convert,
        types=(*INTEGERS, "int32"),
        plain=True,
        rank=6,
        batches=True,
    )
    for op, kernels in ((MinimumOp, "one MIN"), (MaximumOp, "one MAX"))
)
