"""
TRANSPOSE_CONV with constant weights; `support/weighted.py` says how it accumulates and is scaled.

TFLite crops the full result at top and left by the padding of the forward convolution from the output's size; what the
output has beyond the full result is bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import rules, weighted
from npuc.operators.support.axes import Spread, has_phases, zeros_between
from npuc.operators.support.builder import Builder, constant_integers, per_tensor, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
else:
    tosa, fixed_point = deferred("npuc.dialects.tosa", "npuc.operators.support.fixed_point")


@irdl_op_definition
class TransposeConvOp(tfl.TflOp):
    """`output_shape` (1-D, four integers), OHWI filter, NHWC input, bias of O."""

    name = "tfl.transpose_conv"

    output_shape = operand_def(TensorType)
    filter = operand_def(TensorType)
    input = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    output = result_def(TensorType)
    padding = prop_def(StringAttr)
    stride_h = prop_def(IntegerAttr)
    stride_w = prop_def(IntegerAttr)
    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    quantized_bias_type = prop_def(StringAttr, StringAttr("FLOAT32"))
    traits = traits_def(Pure())


def check(op: TransposeConvOp) -> None:
    weighted.check_weights(op)
    rules.require(len(rules.shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    _, height, width, channels = rules.shape(op.input)
    results, kernel_h, kernel_w, depth = rules.shape(op.filter)
    stride_h, stride_w = rules.strides(op)
    rules.require(depth == channels, "convolutions must not be grouped", op.filter)
    rules.require(min(stride_h, stride_w) >= 1, "strides must be positive", op.output)
    extent = (height * stride_h, width * stride_w)
    if op.padding.data == "VALID":
        extent = (extent[0] + max(kernel_h - stride_h, 0), extent[1] + max(kernel_w - stride_w, 0))
    expected = (rules.shape(op.input)[0], *extent, results)
    rules.require_shape(op.output, expected)
    rows, columns = _spread(op, 0), _spread(op, 1)
    rules.require(
        has_phases(rows, columns) or zeros_between(rows, columns) is not None,
        "the kernel must be at most 64 high or wide, 4096 in all, with 127 rows or columns before what it meets first",
        op.filter,
    )
    if tfl.constant_value(op.output_shape) is not None:
        given = tuple(rules.integers(op.output_shape, "the output's shape must be constant"))
        rules.require(given == expected, "the operand output_shape must agree with the result's shape", op.output_shape)


def _spread(op: TransposeConvOp, axis: int) -> Spread:
    """What rows (0) or columns (1) of the input reach of the result."""
    size, count, kernel = (rules.shape(value)[1 + axis] for value in (op.input, op.output, op.filter))
    stride = rules.strides(op)[axis]
    # TFLite takes the padding of the convolution that would make the input of the output.
    crop = max((size - 1) * stride + kernel - count, 0) // 2
    return Spread(size, count, kernel, stride, crop)


def convert(build: Builder, op: TransposeConvOp) -> list[SSAValue]:
    """
    TRANSPOSE_CONV with constant weights.

    TFLite crops the full result at top and left by the padding of the forward convolution from the output's size; what
    the output has beyond the full result is bias.
    """
    x = per_tensor(op.input)
    weights = weighted.weight_quantization(op.filter)
    channels, height, width, _ = shape_of(op.filter)
    batch, rows, columns, _ = shape_of(op.input)
    result = shape_of(op.output)
    if tfl.constant_value(op.output_shape) is not None:
        result = tuple(constant_integers(op.output_shape, "the output shape"))
    stride = rules.strides(op)
    before = [
        fixed_point.window_padding(result[1 + i], (height, width)[i], stride[i], 1, op.padding.data == "SAME")[1]
        for i in (0, 1)
    ]
    beyond = [result[1 + i] + before[i] - ((rows, columns)[i] - 1) * stride[i] - (height, width)[i] for i in (0, 1)]
    accumulator = weighted.accumulator_of(x)
    accumulated = build.insert(
        tosa.TransposeConv2DOp(
            build.storage(op.input),
            build.reshaped_constant(op.filter, shape_of(op.filter)),
            weighted.bias_constant(build, op.bias, channels, accumulator),
            *weighted.zero_points(build, x, weights),
            TensorType(accumulator, [batch, *result[1:3], channels]),
            out_pad=(-before[0], beyond[0], -before[1], beyond[1]),
            stride=stride,
        )
    )
    return [weighted.narrow(build, op, accumulated)]


OPERATORS = (
    Operator(
        op=TransposeConvOp,
        kernels="a CONV for each row of a stride, or one over a map doubled by zeros, for each image of a batch",
        check=check,
        convert=convert,
        data=("input",),
        batches=True,
        from_result=("output_shape",),
    ),
)
