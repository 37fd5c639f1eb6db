"""
PACK and UNPACK: tensors of equal shape as one with an axis more, and back.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def, var_result_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class PackOp(tfl.TflOp):
    """`values_count` tensors side by side along a new axis, which counts from the end of the result where negative."""

    name = "tfl.pack"

    values = var_operand_def(TensorType)
    output = result_def(TensorType)
    values_count = prop_def(IntegerAttr)
    axis = prop_def(IntegerAttr, tfl.ZERO)
    traits = traits_def(Pure())


@irdl_op_definition
class UnpackOp(tfl.TflOp):
    """The `num` parts along an axis, without that axis."""

    name = "tfl.unpack"

    input = operand_def(TensorType)
    outputs = var_result_def(TensorType)
    num = prop_def(IntegerAttr)
    axis = prop_def(IntegerAttr, tfl.ZERO)
    traits = traits_def(Pure())


def check_pack(op: PackOp) -> None:
    count = len(op.values)
    rules.require(op.values_count.value.data == count >= 1, "PACK must have as many operands as it says", op.output)
    rules.same_quantization(op, op.values, op.output)
    shape = rules.shape(op.values[0])
    axis = rules.axis_of(op.axis.value.data, len(shape) + 1, op.output)
    for value in op.values:
        rules.require(rules.shape(value) == shape, "operands must be equal in size", value)
    rules.require_shape(op.output, (*shape[:axis], count, *shape[axis:]))


def check_unpack(op: UnpackOp) -> None:
    shape = rules.shape(op.input)
    axis = rules.axis_of(op.axis.value.data, len(shape), op.input)
    agrees = op.num.value.data == len(op.outputs) == shape[axis]
    rules.require(agrees, "UNPACK must have a result for each element of the axis", op.input)
    rules.same_quantization(op, op.outputs, op.input)
    for output in op.outputs:
        rules.require_shape(output, rules.without(shape, axis))


def convert_pack(build: Builder, op: PackOp) -> list[SSAValue]:
    shape = list(shape_of(op.output))
    axis = axis_of(op.axis.value.data, len(shape))
    shape[axis] = 1
    return [moving.concat(build, [build.reshape(build.storage(value), shape) for value in op.values], axis)]


def convert_unpack(build: Builder, op: UnpackOp) -> list[SSAValue]:
    shape = list(shape_of(op.input))
    axis = axis_of(op.axis.value.data, len(shape))
    plain = build.storage(op.input)
    size = [*shape[:axis], 1, *shape[axis + 1 :]]
    results: list[SSAValue] = []
    for number, output in enumerate(op.outputs):
        part = build.slice(plain, [number if at == axis else 0 for at in range(len(shape))], size)
        results.append(build.reshape(part, shape_of(output)))
    return results


OPERATORS = (
    Operator(
        op=PackOp,
        kernels="none, or a copy for an operand that is placed elsewhere",
        check=check_pack,
        convert=convert_pack,
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
    Operator(
        op=UnpackOp,
        kernels="none, or a copy for a result that cannot be a view",
        check=check_unpack,
        convert=convert_unpack,
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
