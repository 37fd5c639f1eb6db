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
from npuc.operators.support.builder import Builder, CannotConvert, constant_integers, per_tensor, shape_of
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
    _, kernel_h, kernel_w, depth = rules.shape(op.filter)
    stride_h, stride_w = rules.strides(op)
    rules.require(depth == channels, "convolutions must not be grouped", op.filter)
    rules.require(
        kernel_h <= 64 and kernel_h * kernel_w <= 4096, "the kernel must be at most 64 high, 4096 in all", op.filter
    )
    # A single row is the same under either stride, and so is a single column.
    allowed = [(1, 1), (2, 2)] + [(1, 2)] * (height == 1) + [(2, 1)] * (width == 1)
    if (stride_h, stride_w) not in allowed:
        rules.refuse(f"the stride must be 1x1 or 2x2 (or 2 along the only axis), not {stride_h}x{stride_w}", op.input)
    extent = (height * stride_h, width * stride_w)
    if op.padding.data == "VALID":
        extent = (extent[0] + max(kernel_h - stride_h, 0), extent[1] + max(kernel_w - stride_w, 0))
    expected = (1, *extent, rules.shape(op.filter)[0])
    rules.require_shape(op.output, expected)
    if tfl.constant_value(op.output_shape) is not None:
        given = tuple(rules.integers(op.output_shape, "the output's shape must be constant"))
        rules.require(given == expected, "the operand output_shape must agree with the result's shape", op.output_shape)


def convert(build: Builder, op: TransposeConvOp) -> list[SSAValue]:
    """
    TRANSPOSE_CONV with constant weights.

    TFLite crops the full result at top and left by the padding of the forward convolution from the output's size; what
    the output has beyond the full result is bias.
    """
    x = per_tensor(op.input)
    weights = weighted.weight_quantization(op.filter, 0)
    channels, height, width, depth = shape_of(op.filter)
    batch, rows, columns, input_depth = shape_of(op.input)
    if input_depth != depth:
        raise CannotConvert(f"weights of depth {depth} for {input_depth} channels")
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
        kernels="one CONV over a map that is doubled by zeros",
        check=check,
        convert=convert,
        data=("input",),
        from_result=("output_shape",),
    ),
)
