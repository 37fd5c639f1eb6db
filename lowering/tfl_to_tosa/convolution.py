"""
CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED: accumulate, then one rescale, then a clamp.

    %a = tosa.conv2d %x, %w, %b, %xzp, %wzp       i32, or i48 for 16-bit input
    %y = tosa.rescale %a, %m, %s, %zero, %yzp     per channel unless all channels agree
    %z = tosa.clamp %y                            where an activation limits more than the type does

How LiteRT's reference kernels scale the accumulator, and with which constants that is done exactly, is what
`analysis/weighted_sums.py` answers: rescales of 32 bits with DOUBLE_ROUND for convolutions, of 16 bits with
SINGLE_ROUND for those on 16 bits, of 32 bits with SINGLE_ROUND for FULLY_CONNECTED. A FULLY_CONNECTED that takes more
than one rescale stays tfl.

TOSA wants the last window to end at the edge of its input. Where TFLite leaves rows or columns over, a `tosa.slice`
that starts at 0 takes them off first; it only says which elements no window reads.
"""

import numpy as np
from xdsl.dialects.builtin import IntegerType, NoneType, TensorType, i32, i64
from xdsl.ir import SSAValue

from npuc.analysis import fixed_point, weighted_sums
from npuc.analysis.weighted_sums import WeightedOp
from npuc.dialects import tfl, tosa
from npuc.dialects.constants import from_bytes
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.lowering.tfl_to_tosa.builder import (
    Builder,
    CannotConvert,
    constant_integers,
    per_tensor,
    shape_of,
)


def trim(build: Builder, value: SSAValue, after: tuple[int, int]) -> SSAValue:
    """`value` (NHWC) without the rows and columns that are left over: those of a negative `after`."""
    batch, height, width, depth = shape_of(value)
    size = (batch, height + min(after[0], 0), width + min(after[1], 0), depth)
    return build.slice(value, (0, 0, 0, 0), size)


def window(
    value: SSAValue,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """
    Output height and width, pads (top, bottom, left, right) and the unclipped pads after, for `trim`.
    """
    shape = shape_of(value)
    if len(shape) != 4:
        raise CannotConvert(f"a window over rank {len(shape)}")
    if min(*stride, *dilation) < 1:
        raise CannotConvert("strides and dilations are at least 1")
    (rows, top, bottom), (columns, left, right) = (
        fixed_point.window_padding(shape[1 + i], kernel[i], stride[i], dilation[i], padding == "SAME") for i in (0, 1)
    )
    if rows < 1 or columns < 1:
        raise CannotConvert("the window is larger than its input")
    return (rows, columns), (top, max(bottom, 0), left, max(right, 0)), (bottom, right)


def weight_quantization(value: SSAValue, axis: int) -> UniformQuantizedType:
    """The quantisation of 8-bit weights: per tensor, or along `axis` with zero points 0."""
    type_ = quantization(value)
    if type_ is None or type_.storage_type.width.data != 8:
        raise CannotConvert(f"weights of {value.type}")
    if type_.is_per_axis:
        if any(type_.zero_points):
            raise CannotConvert("weights with a zero point a channel")
        if type_.axis != axis:
            raise CannotConvert(f"weights quantised along axis {type_.axis}")
    return type_


def bias_constant(build: Builder, bias: SSAValue | None, channels: int, accumulator: IntegerType) -> SSAValue:
    """The bias in the accumulator's type, zeros where there is none."""
    if bias is None or isinstance(bias.type, NoneType):
        return build.array(np.zeros(channels, np.int32 if accumulator == i32 else np.int64), accumulator)
    constant = tfl.constant_value(bias)
    if constant is None:
        raise CannotConvert("the bias is not constant")
    element_type = constant.get_element_type()
    if element_type == accumulator:
        return build.constant(from_bytes(TensorType(accumulator, [channels]), constant.data.data))
    if accumulator != tosa.i48 or element_type not in (i32, i64):
        raise CannotConvert(f"a bias of {element_type}")
    values = tfl.constant_array(bias)
    assert values is not None  # it is constant
    if values.size and max(abs(int(values.min())), abs(int(values.max()))) >= 1 << 47:
        raise CannotConvert("a bias of more than 48 bits")
    return build.array(values.reshape(channels).astype(np.int64), accumulator)


def narrow(build: Builder, op: WeightedOp, accumulated: SSAValue) -> SSAValue:
    """The accumulator of `op` scaled to the output's quantisation and limited by the activation."""
    output = per_tensor(op.output)
    try:
        scaling = weighted_sums.scaling(op)
    except weighted_sums.CannotScale as error:
        raise CannotConvert(str(error)) from error
    scaled = build.rescale(
        accumulated,
        output.storage_type,
        (scaling.multipliers, scaling.shifts),
        output_zp=output.zero_point,
        rounding=tosa.RoundingMode.DOUBLE_ROUND if scaling.twice else tosa.RoundingMode.SINGLE_ROUND,
        scale32=not scaling.narrow,
    )
    return build.activate(scaled, op.fused_activation_function.data, output)


def accumulator_of(input_: UniformQuantizedType) -> IntegerType:
    """The accumulator's type for an input."""
    type_ = tosa.accumulator_type(input_.storage_type)
    assert isinstance(type_, IntegerType)
    return type_


def _zero_points(
    build: Builder, input_: UniformQuantizedType, weights: UniformQuantizedType
) -> tuple[SSAValue, SSAValue]:
    return (
        build.number(input_.zero_point, input_.storage_type),
        build.number(weights.zero_points[0], weights.storage_type),
    )


def _stride(op: tfl.Conv2DOp | tfl.DepthwiseConv2DOp | tfl.TransposeConvOp) -> tuple[int, int]:
    return op.stride_h.value.data, op.stride_w.value.data


def conv_2d(build: Builder, op: tfl.Conv2DOp) -> list[SSAValue]:
    """CONV_2D with constant weights and one group."""
    shape = shape_of(op.filter)
    if shape_of(op.input)[-1] != shape[3]:
        raise CannotConvert("a grouped convolution")
    return _convolution(build, op, tosa.Conv2DOp, weight_quantization(op.filter, 0), shape, shape[0])


def depthwise_conv_2d(build: Builder, op: tfl.DepthwiseConv2DOp) -> list[SSAValue]:
    """DEPTHWISE_CONV_2D with constant weights, any depth multiplier."""
    _, height, width, channels = shape_of(op.filter)
    depth = shape_of(op.input)[-1]
    if channels % depth:
        raise CannotConvert(f"{channels} weights for {depth} channels")
    shape = (height, width, depth, channels // depth)
    return _convolution(build, op, tosa.DepthwiseConv2DOp, weight_quantization(op.filter, 3), shape, channels)


def _convolution(
    build: Builder,
    op: tfl.Conv2DOp | tfl.DepthwiseConv2DOp,
    kind: type[tosa.Conv2DOp | tosa.DepthwiseConv2DOp],
    weights: UniformQuantizedType,
    shape: tuple[int, ...],
    channels: int,
) -> list[SSAValue]:
    """The convolution `kind` of so many channels, whose weights have this shape."""
    x = per_tensor(op.input)
    stride, dilation = _stride(op), (op.dilation_h_factor.value.data, op.dilation_w_factor.value.data)
    _, height, width, _ = shape_of(op.filter)
    size, pad, after = window(op.input, (height, width), stride, dilation, op.padding.data)
    accumulator = accumulator_of(x)
    accumulated = build.insert(
        kind(
            trim(build, build.storage(op.input), after),
            build.reshaped_constant(op.filter, shape),
            bias_constant(build, op.bias, channels, accumulator),
            *_zero_points(build, x, weights),
            TensorType(accumulator, [shape_of(op.input)[0], *size, channels]),
            pad=pad,
            stride=stride,
            dilation=dilation,
        )
    )
    return [narrow(build, op, accumulated)]


def transpose_conv(build: Builder, op: tfl.TransposeConvOp) -> list[SSAValue]:
    """
    TRANSPOSE_CONV with constant weights.

    TFLite crops the full result at top and left by the padding of the forward convolution from the output's size; what
    the output has beyond the full result is bias.
    """
    x = per_tensor(op.input)
    weights = weight_quantization(op.filter, 0)
    channels, height, width, depth = shape_of(op.filter)
    batch, rows, columns, input_depth = shape_of(op.input)
    if input_depth != depth:
        raise CannotConvert(f"weights of depth {depth} for {input_depth} channels")
    result = shape_of(op.output)
    if tfl.constant_value(op.output_shape) is not None:
        result = tuple(constant_integers(op.output_shape, "the output shape"))
    stride = _stride(op)
    before = [
        fixed_point.window_padding(result[1 + i], (height, width)[i], stride[i], 1, op.padding.data == "SAME")[1]
        for i in (0, 1)
    ]
    beyond = [result[1 + i] + before[i] - ((rows, columns)[i] - 1) * stride[i] - (height, width)[i] for i in (0, 1)]
    accumulator = accumulator_of(x)
    accumulated = build.insert(
        tosa.TransposeConv2DOp(
            build.storage(op.input),
            build.reshaped_constant(op.filter, shape_of(op.filter)),
            bias_constant(build, op.bias, channels, accumulator),
            *_zero_points(build, x, weights),
            TensorType(accumulator, [batch, *result[1:3], channels]),
            out_pad=(-before[0], beyond[0], -before[1], beyond[1]),
            stride=stride,
        )
    )
    return [narrow(build, op, accumulated)]


def fully_connected(build: Builder, op: tfl.FullyConnectedOp) -> list[SSAValue]:
    """FULLY_CONNECTED with constant weights, as a 1x1 convolution over one row with a column a batch."""
    x = per_tensor(op.input)
    weights = weight_quantization(op.filter, 0)
    if op.weights_format.data != "DEFAULT":
        raise CannotConvert(f"weights in the format {op.weights_format.data}")
    channels, depth = shape_of(op.filter)
    count = 1
    for size in shape_of(op.input):
        count *= size
    batch = count // depth
    accumulator = accumulator_of(x)
    accumulated = build.insert(
        tosa.Conv2DOp(
            build.reshape(build.storage(op.input), (1, 1, batch, depth)),
            build.reshaped_constant(op.filter, (channels, 1, 1, depth)),
            bias_constant(build, op.bias, channels, accumulator),
            *_zero_points(build, x, weights),
            TensorType(accumulator, [1, 1, batch, channels]),
            pad=(0, 0, 0, 0),
            stride=(1, 1),
            dilation=(1, 1),
        )
    )
    return [build.reshape(narrow(build, op, accumulated), shape_of(op.output))]


def takes_several_steps(op: tfl.FullyConnectedOp) -> bool:
    """Whether no single rescale rounds as LiteRT does, but several 32-bit operations do."""
    if quantization(op.filter) is None or tfl.constant_value(op.filter) is None:
        return False
    try:
        return bool(weighted_sums.scaling(op).steps)
    except weighted_sums.CannotScale:
        return False
