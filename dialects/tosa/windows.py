"""
Convolutions, pools and products.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import (
    BoolAttr,
    DenseArrayBase,
    IntegerType,
    TensorType,
    i32,
)
from xdsl.ir import SSAValue, TypeAttribute
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)

from npuc.dialects.tosa.base import (
    NanMode,
    NanModeAttr,
    Tensor,
    TosaOp,
    accumulator_type,
    agree,
    as_text,
    element_of,
    integers,
    numbers,
    shape_of,
)


class WindowOp(TosaOp, ABC):
    """An operation with a sliding window over its first operand, in NHWC."""

    pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)

    def _window(self, name: str, count: int) -> tuple[int, ...]:
        values = integers(self.properties[name])
        self._check(len(values) == count, f"{name} must have {count} numbers")
        return values

    def _check_window(self, kernel: tuple[int, int], dilation: tuple[int, int], channels: int) -> None:
        """The result's size: (size - 1 + pads - (kernel - 1) * dilation) / stride + 1, without remainder."""
        top, bottom, left, right = pad = self._window("pad", 4)
        stride = self._window("stride", 2)
        self._check(min(pad) >= 0, "pad must not be negative")
        self._check(min(stride) >= 1, "stride must be at least 1")
        self._check(min(dilation) >= 1, "dilation must be at least 1")
        shape = shape_of(self.operands[0])
        sizes: list[int] = []
        for size, pads, k, s, d in zip(shape[1:3], (top + bottom, left + right), kernel, stride, dilation, strict=True):
            if size == -1 or k == -1:
                sizes.append(-1)
                continue
            steps = size - 1 + pads - (k - 1) * d
            self._check(steps >= 0, f"the window of {(k - 1) * d + 1} does not fit in {size} + {pads}")
            self._check(steps % s == 0, f"the window does not end at the edge: {steps} is not a multiple of stride {s}")
            sizes.append(steps // s + 1)
        self._check_shape(shape_of(self.results[0]), (shape[0], *sizes, channels), "the result")


class ConvolutionOp(WindowOp, ABC):
    """
    Sum over the window of (input - input_zp) * (weight - weight_zp), plus bias, in `acc_type`; the pad counts as
    `input_zp`.
    """

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    weight_zp = operand_def(TensorType)
    acc_type = prop_def(TypeAttribute)
    dilation = prop_def(DenseArrayBase)
    local_bound = opt_prop_def(BoolAttr)
    output = result_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        input_zp: SSAValue,
        weight_zp: SSAValue,
        result_type: Tensor,
        *,
        pad: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
    ):
        """`pad` is top, bottom, left, right; `stride` and `dilation` are y, x."""
        super().__init__(
            operands=[value, weight, bias, input_zp, weight_zp],
            properties={
                "acc_type": accumulator_type(element_of(value)),
                "dilation": numbers(dilation),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def _check_convolution(self, channels: int) -> None:
        self._check_accumulator(channels)
        dilation = self._window("dilation", 2)
        kernel = self.kernel_size
        self._check_window(kernel, (dilation[0], dilation[1]), channels)

    def _check_accumulator(self, channels: int) -> None:
        wanted = accumulator_type(element_of(self.input))
        if isinstance(wanted, IntegerType):
            self._check(self.acc_type == wanted, f"acc_type must be {wanted} for {element_of(self.input)}")
            self._check_element(self.output, wanted, "the result")
        bias = shape_of(self.bias)
        self._check(len(bias) == 1 and (agree(bias[0], channels) or bias[0] == 1), f"bias must have {channels} values")
        self._check_element(self.bias, element_of(self.output), "bias")
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.weight_zp, self.weight, "weight_zp")

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the window."""
        shape = shape_of(self.weight)
        return shape[1], shape[2]


@irdl_op_definition
class Conv2DOp(ConvolutionOp):
    """Convolution of NHWC with weights [OC, KH, KW, IC]."""

    name = "tosa.conv2d"

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        channels = shape_of(self.weight)
        self._check_shape(shape_of(self.input)[3:], channels[3:], "the depth of input")
        self._check_convolution(channels[0])


@irdl_op_definition
class DepthwiseConv2DOp(ConvolutionOp):
    """Convolution of each channel by itself with weights [KH, KW, C, M]; result channel c * M + m."""

    name = "tosa.depthwise_conv2d"

    @property
    def kernel_size(self) -> tuple[int, int]:
        shape = shape_of(self.weight)
        return shape[0], shape[1]

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        channels, multiplier = shape_of(self.weight)[2:]
        self._check_shape(shape_of(self.input)[3:], (channels,), "the depth of input")
        self._check_convolution(-1 if -1 in (channels, multiplier) else channels * multiplier)


@irdl_op_definition
class TransposeConv2DOp(TosaOp):
    """
    Each input element adds its product with the weights [OC, KH, KW, IC] to a window of the result, which is grown by
    `out_pad` (top, bottom, left, right; negative numbers crop it).
    """

    name = "tosa.transpose_conv2d"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    weight_zp = operand_def(TensorType)
    acc_type = prop_def(TypeAttribute)
    out_pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    local_bound = opt_prop_def(BoolAttr)
    output = result_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        input_zp: SSAValue,
        weight_zp: SSAValue,
        result_type: Tensor,
        *,
        out_pad: Sequence[int],
        stride: Sequence[int],
    ):
        super().__init__(
            operands=[value, weight, bias, input_zp, weight_zp],
            properties={
                "acc_type": accumulator_type(element_of(value)),
                "out_pad": numbers(out_pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        batch, height, width, depth = shape_of(self.input)
        channels, kernel_h, kernel_w, weight_depth = shape_of(self.weight)
        self._check(agree(depth, weight_depth), f"the depth of input is {depth} but must be {weight_depth}")
        pad = integers(self.out_pad)
        stride = integers(self.stride)
        self._check(len(pad) == 4, "out_pad must have 4 numbers")
        self._check(len(stride) == 2 and min(stride) >= 1, "stride must be 2 numbers of at least 1")
        self._check(
            min(pad[:2]) > -kernel_h and min(pad[2:]) > -kernel_w, "out_pad must crop less than the whole kernel"
        )
        sizes = [
            -1 if -1 in (size, k) else (size - 1) * s + before + after + k
            for size, k, s, before, after in (
                (height, kernel_h, stride[0], pad[0], pad[1]),
                (width, kernel_w, stride[1], pad[2], pad[3]),
            )
        ]
        self._check_shape(shape_of(self.output), (batch, *sizes, channels), "the result")
        wanted = accumulator_type(element_of(self.input))
        if isinstance(wanted, IntegerType):
            self._check(self.acc_type == wanted, f"acc_type must be {wanted} for {element_of(self.input)}")
            self._check_element(self.output, wanted, "the result")
        self._check_element(self.bias, element_of(self.output), "bias")
        bias = shape_of(self.bias)
        self._check(len(bias) == 1 and (agree(bias[0], channels) or bias[0] == 1), f"bias must have {channels} values")
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.weight_zp, self.weight, "weight_zp")


class PoolOp(WindowOp, ABC):
    """A window of `kernel` (y, x) over each channel by itself."""

    kernel = prop_def(DenseArrayBase)
    output = result_def(TensorType)

    def _check_pool(self) -> None:
        value = self.operands[0]
        self._check_rank(value, 4, "input")
        kernel = self._window("kernel", 2)
        self._check(min(kernel) >= 1, "kernel must be at least 1")
        top, bottom, left, right = self._window("pad", 4)
        self._check(max(top, bottom) < kernel[0] and max(left, right) < kernel[1], "pad must be less than the kernel")
        self._check_window((kernel[0], kernel[1]), (1, 1), shape_of(value)[3])
        self._check_element(self.output, element_of(value), "the result")


@irdl_op_definition
class MaxPool2DOp(PoolOp):
    """The greatest value of each window; the pad takes no part."""

    name = "tosa.max_pool2d"
    input = operand_def(TensorType)
    nan_mode = opt_prop_def(NanModeAttr)

    def __init__(
        self, value: SSAValue, result_type: Tensor, *, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
    ):
        super().__init__(
            operands=[value],
            properties={
                "kernel": numbers(kernel),
                "nan_mode": NanModeAttr(NanMode.PROPAGATE),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_pool()


@irdl_op_definition
class AvgPool2DOp(PoolOp):
    """
    The mean of each window's valid elements (the pad is not counted), of values less `input_zp`, to nearest with ties
    away from zero, plus `output_zp`.
    """

    name = "tosa.avg_pool2d"
    acc_type = prop_def(TypeAttribute)
    input = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        input_zp: SSAValue,
        output_zp: SSAValue,
        result_type: Tensor,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
    ):
        super().__init__(
            operands=[value, input_zp, output_zp],
            properties={
                "acc_type": i32,
                "kernel": numbers(kernel),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_pool()
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.output_zp, self.output, "output_zp")
        if isinstance(element_of(self.input), IntegerType):
            self._check(self.acc_type == i32, "acc_type must be i32")


@irdl_op_definition
class MatMulOp(TosaOp):
    """Product of [N, H, C] and [N, C, W], each less its zero point, in the accumulator's type."""

    name = "tosa.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    a_zp = operand_def(TensorType)
    b_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        for value, what in ((self.a, "a"), (self.b, "b"), (self.output, "the result")):
            self._check_rank(value, 3, what)
        a, b = shape_of(self.a), shape_of(self.b)
        self._check(agree(a[0], b[0]) and agree(a[2], b[1]), f"cannot multiply {as_text(a)} by {as_text(b)}")
        self._check_shape(shape_of(self.output), (a[0], a[1], b[2]), "the result")
        self._check_element(self.b, element_of(self.a), "b")
        wanted = accumulator_type(element_of(self.a))
        if isinstance(wanted, IntegerType):
            self._check_element(self.output, wanted, "the result")
        self._check_zero_point(self.a_zp, self.a, "a_zp")
        self._check_zero_point(self.b_zp, self.b, "b_zp")
