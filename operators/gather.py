"""
GATHER with constant indices: a copy for each run of indices that step evenly.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, constant_integers, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class GatherOp(tfl.TflOp):
    """The elements at `indices` along `axis`, which becomes the axes of `indices`."""

    name = "tfl.gather"

    params = operand_def(TensorType)
    indices = operand_def(TensorType)
    output = result_def(TensorType)
    axis = prop_def(IntegerAttr, tfl.ZERO)
    batch_dims = prop_def(IntegerAttr, tfl.ZERO)
    traits = traits_def(Pure())


def check(op: GatherOp) -> None:
    indices = rules.integers(op.indices, "the indices must be constant")
    rules.require(op.batch_dims.value.data == 0, "GATHER must have no batch dimensions", op.params)
    rules.same_quantization(op, [op.params], op.output)
    shape = rules.shape(op.params)
    axis = rules.axis_of(op.axis.value.data, len(shape), op.params)
    inside = indices and all(0 <= index < shape[axis] for index in indices)
    rules.require(bool(inside), "indices must lie within the axis", op.indices)
    moving.check_gathered(op.params, shape, axis, indices)
    rules.require_shape(op.output, (*shape[:axis], *rules.shape(op.indices), *shape[axis + 1 :]))


def convert(build: Builder, op: GatherOp) -> list[SSAValue]:
    axis = axis_of(op.axis.value.data, len(shape_of(op.params)))
    indices = constant_integers(op.indices, "the indices")
    return [build.reshape(moving.gather(build, build.storage(op.params), axis, indices), shape_of(op.output))]


OPERATORS = (
    Operator(
        op=GatherOp,
        kernels="a copy for each run of indices that step evenly",
        check=check,
        convert=moving.checked(check, convert),
        arguments=("indices",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
