"""
What CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED share: accumulate, then one rescale, then a clamp.

    %a = tosa.conv2d %x, %w, %b, %xzp, %wzp       i32, or i48 for 16-bit input
    %y = tosa.rescale %a, %m, %s, %zero, %yzp     per channel unless all channels agree
    %z = tosa.clamp %y                            where an activation limits more than the type does

How LiteRT's reference kernels scale the accumulator, and with which constants that is done exactly, is what
`weighted_sums.py` answers: rescales of 32 bits with DOUBLE_ROUND for convolutions, of 16 bits with SINGLE_ROUND for
those on 16 bits, of 32 bits with SINGLE_ROUND for FULLY_CONNECTED. A FULLY_CONNECTED that takes more than one rescale
stays tfl.

TOSA wants the last window to end at the edge of its input. Where TFLite leaves rows or columns over, a `tosa.slice`
that starts at 0 takes them off first; it only says which elements no window reads.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from xdsl.dialects.builtin import IntegerAttr, IntegerType, NoneType, Signedness, StringAttr, TensorType, i32
from xdsl.ir import SSAValue

from npuc.dialects import tfl
from npuc.dialects.constants import from_bytes
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.hardware.limits import CONVOLUTION
from npuc.operators.support import rules
from npuc.operators.support.axes import planes
from npuc.operators.support.builder import Builder, per_tensor, shape_of
from npuc.operators.support.deferred import deferred

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point, weighted_sums
    from npuc.operators.support.weighted_sums import WeightedOp

    class WindowOp(WeightedOp, Protocol):
        """CONV_2D or DEPTHWISE_CONV_2D."""

        @property
        def padding(self) -> StringAttr: ...
        @property
        def stride_h(self) -> IntegerAttr: ...
        @property
        def stride_w(self) -> IntegerAttr: ...
        @property
        def dilation_h_factor(self) -> IntegerAttr: ...
        @property
        def dilation_w_factor(self) -> IntegerAttr: ...

else:
    np, tosa, fixed_point, weighted_sums = deferred(
        "numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point", "npuc.operators.support.weighted_sums"
    )

MAX_WEIGHT_SUM = 127 * 65536
"""Greatest sum of the absolute weights of one output channel: beyond it the 32-bit accumulator could overflow."""


def check_weights(op: WeightedOp) -> None:
    """Weights and biases, and the types that go together in TFLite's kernels."""
    rules.check_activation(op.fused_activation_function, op.output)
    rules.same_storage(op, [op.input], op.output)
    input_, element = rules.element(op.input), quantization(op.filter)
    rank = 2 if op.name == weighted_sums.FULLY_CONNECTED else 4
    rules.require(len(rules.shape(op.filter)) == rank, f"weights must have {rank} dimensions", op.filter)
    axis = weighted_sums.channel_axis(op)
    weights = tfl.constant_value(op.filter)
    if weights is None or element is None:
        rules.refuse("weights must be constant and quantised", op.filter)
    unsigned = not input_.data.signed
    widths = (4, 8) if _unpacks(op, input_) else (8,)
    rules.require(
        element.data.storage_width in widths, "weights must be of 8 bits, or 4 that TFLite unpacks", op.filter
    )
    rules.require(element.data.signed != unsigned, "weights must be signed or unsigned as the input is", op.filter)
    if element.is_per_axis:
        per_channel = element.axis == axis and len(element.scales) == rules.shape(op.filter)[axis]
        rules.require(per_channel, "weights must be quantised per output channel", op.filter)
        rules.require(
            not any(element.zero_points), "weights quantised per channel must have the zero point 0", op.filter
        )
    rules.require(min(rules.shape(op.filter), default=0) >= 1, "weights must not be empty", op.filter)
    least, greatest = element.storage_limits
    largest = max(max(abs(least - z), abs(greatest - z)) for z in set(element.zero_points))
    channel_size = math.prod(rules.shape(op.filter)) // rules.shape(op.filter)[axis]
    if channel_size * largest > MAX_WEIGHT_SUM:
        rules.require(
            _greatest_weight_sum(op.filter, element, axis) <= MAX_WEIGHT_SUM,
            f"the absolute weights of a channel must sum to at most {MAX_WEIGHT_SUM}",
            op.filter,
        )
    if element.is_per_axis and unsigned:
        rules.refuse("unsigned weights must be quantised per tensor", op.filter)
    if op.bias is not None:
        _check_bias(op.bias, rules.shape(op.filter)[axis], weighted_sums.bias_width(op))
    if input_.data.storage_width == 16 and (given := weighted_sums.bias_option(op)) is not None:
        option = given.data
        rules.require(option in ("FLOAT32", "INT32", "INT64"), f"quantized_bias_type must not be {option}", op.input)
    try:
        weighted_sums.scaling(op)
    except weighted_sums.CannotScale as error:
        rules.refuse(str(error), error.value)


def _unpacks(op: WeightedOp, input_: UniformQuantizedType) -> bool:
    """Whether LiteRT takes weights of 4 bits; its DEPTHWISE_CONV_2D of 16 bits reads two of them as one weight."""
    if op.name == weighted_sums.DEPTHWISE:
        return input_.data.storage_width == 8
    return op.name in ("tfl.conv_2d", weighted_sums.FULLY_CONNECTED)


def _greatest_weight_sum(filter_: SSAValue, element: UniformQuantizedType, axis: int) -> int:
    weights = tfl.constant_array(filter_)
    assert weights is not None
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.int32)
    zero_points = np.array(element.zero_points, np.int32).reshape(-1, 1)
    return int(np.abs(rows - zero_points).sum(axis=1, dtype=np.int64).max())


def _check_bias(bias: SSAValue, channels: int, width: int) -> None:
    constant = tfl.constant_value(bias)
    if constant is None:
        rules.refuse("biases must be constant", bias)
    rules.require(rules.shape(bias) == (channels,), f"there must be one bias for each of {channels} channels", bias)
    type_ = constant.type.element_type
    signed = isinstance(type_, IntegerType) and type_.signedness.data != Signedness.UNSIGNED
    if not (isinstance(type_, IntegerType) and signed and type_.bitwidth == width):
        # For 16-bit input this goes by the option quantized_bias_type, not by what the tensor holds.
        rules.refuse(f"biases must be integers of the {width} bits that TFLite's kernel reads", bias)
    if type_.bitwidth == 64:
        values = tfl.constant_array(bias)
        assert values is not None
        limit = 1 << 39
        within = values.size == 0 or (int(values.min()) >= -limit and int(values.max()) < limit)
        rules.require(within, "biases must fit 40 bits", bias)


def check_window(op: WindowOp, mixes: bool) -> None:
    """Of a window over channels; `mixes` says whether each result has products of all of them."""
    rules.require(len(rules.shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    dilation = (op.dilation_h_factor.value.data, op.dilation_w_factor.value.data)
    rules.require(min(*rules.strides(op), *dilation) >= 1, "strides and dilations must be positive", op.output)
    _, height, width, _ = rules.shape(op.filter)
    rows, columns = rules.axes(op.input, (height, width), rules.strides(op), dilation, op.padding.data)
    channels = rules.shape(op.filter)[weighted_sums.channel_axis(op)]
    rules.require_shape(op.output, (rules.shape(op.input)[0], rows.count, columns.count, channels))
    if planes(rows, columns, CONVOLUTION, mixes) is None:
        rules.refuse(
            "the dilated kernel must be at most 64 high or wide, with at most 4096 elements and 127 rows or columns of "
            f"padding, not {rows.reach}x{columns.reach}",
            op.filter,
        )


def trim(build: Builder, value: SSAValue, after: tuple[int, int]) -> SSAValue:
    """`value` (NHWC) without the rows and columns that are left over: those of a negative `after`."""
    batch, height, width, depth = shape_of(value)
    size = (batch, height + min(after[0], 0), width + min(after[1], 0), depth)
    return build.slice(value, (0, 0, 0, 0), size)


def window(
    value: SSAValue, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: str
) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """
    Output height and width, pads (top, bottom, left, right) and the unclipped pads after, for `trim`.
    """
    shape = shape_of(value)
    (rows, top, bottom), (columns, left, right) = (
        fixed_point.window_padding(shape[1 + i], kernel[i], stride[i], dilation[i], padding == "SAME") for i in (0, 1)
    )
    return (rows, columns), (top, max(bottom, 0), left, max(right, 0)), (bottom, right)


def weight_quantization(value: SSAValue) -> UniformQuantizedType:
    """The quantisation of 8-bit weights, also where 4 are stored."""
    type_ = quantization(value)
    assert type_ is not None
    if type_.data.storage_width == 4:
        type_ = UniformQuantizedType(replace(type_.data, storage_width=8))
    return type_


def bias_constant(build: Builder, bias: SSAValue | None, channels: int, accumulator: IntegerType) -> SSAValue:
    """The bias in the accumulator's type, zeros where there is none."""
    if bias is None or isinstance(bias.type, NoneType):
        return build.array(np.zeros(channels, np.int32 if accumulator == i32 else np.int64), accumulator)
    constant = tfl.constant_value(bias)
    assert constant is not None
    element_type = constant.get_element_type()
    if element_type == accumulator:
        return build.constant(from_bytes(TensorType(accumulator, [channels]), constant.data.data))
    values = tfl.constant_array(bias)
    assert values is not None  # it is constant
    return build.array(values.reshape(channels).astype(np.int64), accumulator)


def narrow(build: Builder, op: WeightedOp, accumulated: SSAValue) -> SSAValue:
    """The accumulator of `op` scaled to the output's quantisation and limited by the activation."""
    output = per_tensor(op.output)
    scaling = weighted_sums.scaling(op)
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


def zero_points(
    build: Builder, input_: UniformQuantizedType, weights: UniformQuantizedType
) -> tuple[SSAValue, SSAValue]:
    return (
        build.number(input_.zero_point, input_.storage_type),
        build.number(weights.zero_points[0], weights.storage_type),
    )


def convolution(
    build: Builder,
    op: WindowOp,
    kind: type[tosa.Conv2DOp | tosa.DepthwiseConv2DOp],
    weights: UniformQuantizedType,
    shape: tuple[int, ...],
    channels: int,
) -> list[SSAValue]:
    """The convolution `kind` of so many channels, whose weights have this shape."""
    x = per_tensor(op.input)
    stride, dilation = rules.strides(op), (op.dilation_h_factor.value.data, op.dilation_w_factor.value.data)
    _, height, width, _ = shape_of(op.filter)
    size, pad, after = window(op.input, (height, width), stride, dilation, op.padding.data)
    accumulator = accumulator_of(x)
    accumulated = build.insert(
        kind(
            trim(build, build.storage(op.input), after),
            build.reshaped_constant(op.filter, shape),
            bias_constant(build, op.bias, channels, accumulator),
            *zero_points(build, x, weights),
            TensorType(accumulator, [shape_of(op.input)[0], *size, channels]),
            pad=pad,
            stride=stride,
            dilation=dilation,
        )
    )
    return [narrow(build, op, accumulated)]
