"""
RESHAPE, SQUEEZE and EXPAND_DIMS: the same elements in the shape of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import DenseArrayBase, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class ReshapeOp(tfl.TflOp):
    """To the result's shape; the operand `shape` or the option `new_shape` says it, with at most one -1."""

    name = "tfl.reshape"

    input = operand_def(TensorType)
    shape = opt_operand_def(TensorType)
    output = result_def(TensorType)
    new_shape = opt_prop_def(DenseArrayBase)
    traits = traits_def(Pure())


@irdl_op_definition
class SqueezeOp(tfl.TflOp):
    """Without the dimensions of 1 in `squeeze_dims` (all of them where it is empty or absent)."""

    name = "tfl.squeeze"

    input = operand_def(TensorType)
    output = result_def(TensorType)
    squeeze_dims = opt_prop_def(DenseArrayBase)
    traits = traits_def(Pure())


@irdl_op_definition
class ExpandDimsOp(tfl.TflOp):
    """With a dimension of 1 inserted at the place that the constant `dim` holds."""

    name = "tfl.expand_dims"

    input = operand_def(TensorType)
    dim = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check_reshape(op: ReshapeOp) -> None:
    if op.shape is not None:
        rules.integers(op.shape, "the new shape must be constant")
    rules.check_moved_whole(op, op.input, op.output)


def check_squeeze(op: SqueezeOp) -> None:
    rules.check_moved_whole(op, op.input, op.output)


def check_expand_dims(op: ExpandDimsOp) -> None:
    rules.integers(op.dim, "the axis must be constant")
    rules.same_quantization(op, [op.input], op.output)
    rules.check_moved_whole(op, op.input, op.output)


def convert(build: Builder, op: ReshapeOp | SqueezeOp | ExpandDimsOp) -> list[SSAValue]:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the result's type says the shape."""
    return [build.reshape(build.storage(op.input), shape_of(op.output))]


OPERATORS = (
    Operator(
        op=ReshapeOp,
        kernels="none",
        check=check_reshape,
        convert=convert,
        arguments=("shape",),
        types=moving.TYPES,
        plain=True,
        rank=8,
        batches=True,
        host_cycles=0.25,
    ),
    Operator(
        op=SqueezeOp,
        kernels="none",
        check=check_squeeze,
        convert=convert,
        types=moving.TYPES,
        plain=True,
        rank=8,
        batches=True,
        host_cycles=0.25,
    ),
    Operator(
        op=ExpandDimsOp,
        kernels="none",
        check=check_expand_dims,
        convert=convert,
        arguments=("dim",),
        types=moving.TYPES,
        plain=True,
        rank=8,
        batches=True,
        host_cycles=0.25,
    ),
)
