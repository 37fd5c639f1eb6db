"""
LOGICAL_AND, LOGICAL_OR and LOGICAL_NOT of truth values, which are bytes of 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, broadcast, i8, shape_of, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
else:
    np, tosa = deferred("numpy", "npuc.dialects.tosa")


@irdl_op_definition
class LogicalAndOp(tfl.BinaryOp):
    name = "tfl.logical_and"


@irdl_op_definition
class LogicalOrOp(tfl.BinaryOp):
    name = "tfl.logical_or"


@irdl_op_definition
class LogicalNotOp(tfl.UnaryOp):
    name = "tfl.logical_not"


def check_binary(op: LogicalAndOp | LogicalOrOp) -> None:
    rules.require_shape(op.output, rules.broadcast_shape(rules.shape(op.lhs), rules.shape(op.rhs), op.output))


def check_not(op: LogicalNotOp) -> None:
    rules.require_shape(op.output, rules.shape(op.input))


def convert_binary(build: Builder, op: LogicalAndOp | LogicalOrOp) -> list[SSAValue]:
    """The lesser or the greater of 0 and 1."""
    rank = len(shape_of(op.output))
    lhs, rhs = (broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs))
    kind = tosa.MinimumOp if isinstance(op, LogicalAndOp) else tosa.MaximumOp
    return [build.insert(kind(lhs, rhs, storage_type(op.output)))]


def convert_not(build: Builder, op: LogicalNotOp) -> list[SSAValue]:
    """A look-up."""
    entries = (np.arange(-128, 128) == 0).astype(np.int8)
    result = TensorType(i8, list(shape_of(op.output)))
    return [build.insert(tosa.TableOp(build.storage(op.input), build.array(entries, i8), result))]


OPERATORS = (
    *(
        Operator(
            op=op,
            kernels=kernels,
            check=check_binary,
            convert=convert_binary,
            types=("bool",),
            plain=True,
            rank=6,
            batches=True,
        )
        for op, kernels in ((LogicalAndOp, "one MIN"), (LogicalOrOp, "one MAX"))
    ),
    Operator(
        op=LogicalNotOp,
        kernels="a copy with a table",
        check=check_not,
        convert=convert_not,
        types=("bool",),
        plain=True,
        rank=6,
        batches=True,
    ),
)
