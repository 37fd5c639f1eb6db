"""
CONCATENATION. Unsigned inputs of other scales, which LiteRT rescales in float32, become a rescale where that gives the
same 256 values, else a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def, result_def, traits_def, var_operand_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, per_tensor, shape_of, storage_type
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
class ConcatenationOp(tfl.TflOp):
    """Along `axis`, which counts from the end where negative."""

    name = "tfl.concatenation"

    values = var_operand_def(TensorType)
    output = result_def(TensorType)
    axis = prop_def(IntegerAttr)
    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    traits = traits_def(Pure())


def check(op: ConcatenationOp) -> None:
    rules.require(op.fused_activation_function.data == "NONE", "CONCATENATION must have no fused activation", op.output)
    for value in op.values:
        check_quantization(op, value)
    shape = rules.shape(op.values[0])
    axis = rules.axis_of(op.axis.value.data, len(shape), op.output)
    for value in op.values:
        same = len(rules.shape(value)) == len(shape) and rules.without(rules.shape(value), axis) == rules.without(
            shape, axis
        )
        rules.require(same, "operands must be equal in size but along the axis", value)
    total = sum(rules.shape(value)[axis] for value in op.values)
    rules.require_shape(op.output, (*shape[:axis], total, *shape[axis + 1 :]))


def check_quantization(op: ConcatenationOp, value: SSAValue) -> None:
    """LiteRT rescales uint8, copies 16 bits whatever the scale is, and refuses int8 of unlike scales."""
    source, target = quantization(value), quantization(op.output)
    if source is not None and target is not None and source.storage_type == target.storage_type:
        if target.data.storage_width == 16:
            return
        if not target.data.signed:
            factor = source.scale / target.scale
            rules.require(factor < 1 << 20, "CONCATENATION must scale by less than 2^20", value)
            return
    rules.same_quantization(op, [value], op.output)


def convert(build: Builder, op: ConcatenationOp) -> list[SSAValue]:
    """CONCATENATION; inputs quantised otherwise than the output are rescaled only if unsigned."""
    rank = len(shape_of(op.output))
    output = quantization(op.output)
    values = [_matching(build, value, output) for value in op.values]
    axis = axis_of(op.axis.value.data, rank)
    return [build.insert(tosa.ConcatOp(values, axis, storage_type(op.output)))]


def _matching(build: Builder, value: SSAValue, output: UniformQuantizedType | None) -> SSAValue:
    """The plain value of a concatenation's input, in the quantisation of its output."""
    type_ = quantization(value)
    plain = build.storage(value)
    if type_ is None or output is None or type_ == output:
        return plain
    x, y = per_tensor(value), output
    if (x.scale, x.zero_point) == (y.scale, y.zero_point) or not tosa.is_unsigned(x.storage_type):
        return plain
    # LiteRT: round(value * (x.scale * (1 / y.scale)) - zero point * that) in float32, then the output's zero point.
    scale = np.float32(x.scale) * (np.float32(1) / np.float32(y.scale))
    bias = np.float32(-x.zero_point) * scale

    def requantized(stored: Array) -> Array:
        real = stored.astype(np.float32) * scale + bias
        return (np.sign(real) * np.floor(np.abs(real) + np.float32(0.5))).astype(np.int64) + y.zero_point

    entries = fixed_point.table_of(requantized, tosa.value_range(y.storage_type), np.uint8)
    multiplier, shift = fixed_point.quantize_multiplier(x.scale / y.scale)
    plainly = fixed_point.table_of(
        lambda stored: fixed_point.double_round(stored - x.zero_point, multiplier, shift) + y.zero_point,
        tosa.value_range(y.storage_type),
        np.uint8,
    )
    if np.array_equal(entries, plainly):
        return build.rescale(plain, y.storage_type, (multiplier, shift), input_zp=x.zero_point, output_zp=y.zero_point)
    result = TensorType(y.storage_type, list(shape_of(value)))
    return build.insert(tosa.TableOp(plain, build.array(entries, y.storage_type), result))


OPERATORS = (
    Operator(
        op=ConcatenationOp,
        kernels="none, or a copy for an operand that is placed elsewhere, or that has another scale",
        check=check,
        convert=convert,
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        batches=True,
        host_cycles=1.0,
    ),
)
