"""
Convolutions, together with the `tosa.rescale` that follows them: one kernel with a scale for each channel.

The accumulator of a 16-bit convolution is wider than any feature map, so the rescale is part of the kernel by need;
an 8-bit convolution without one makes a 32-bit feature map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.npu import Element, Scale, Window
from npuc.dialects.npu_schedule import Conv2DOp, DepthwiseConv2DOp
from npuc.lowering.tosa_to_npu_schedule.common import ROUNDING, constant, numbers, scalar, untrimmed, zero_points
from npuc.operators.support.kernels import MAX_STRIDE, Emitter, batch_map, shape_of, tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DILATION = 2

Convolution = tosa.Conv2DOp | tosa.DepthwiseConv2DOp | tosa.TransposeConv2DOp


def lower_convolution(op: Convolution, rescale: tosa.RescaleOp | None, emit: Emitter) -> None:
    """Replace the rescale (or, without one, the convolution itself) by a kernel."""
    anchor = rescale or op
    out = tensor(anchor.output).element_type
    if tosa.width_of(out) > 32:
        raise PassFailedException(f"{op.name} without a rescale makes {out}, which no feature map holds")
    weights = constant(op.weight, "weights")
    weight_zero_point = scalar(op.weight_zp, "a weight zero point")
    value, ofm_shape = op.input, shape_of(op.output)
    kind: type[Conv2DOp | DepthwiseConv2DOp] = Conv2DOp
    if isinstance(op, tosa.DepthwiseConv2DOp):
        kind, weights = _depthwise_weights(weights, weight_zero_point)
    if isinstance(op, tosa.TransposeConv2DOp):
        weights = weights[:, ::-1, ::-1, :]
        window = _transposed_window(op)
    else:
        window = _window(op)
        value = op.input if window.bottom or window.right else untrimmed(op.input)
    ifm_shape = shape_of(value)
    if ifm_shape[0] != 1:
        ifm_shape, ofm_shape = _fold_batch(ifm_shape, ofm_shape, window)
    window, weights = _undilate(window, weights, weight_zero_point)
    if kind is Conv2DOp and ofm_shape[2] > 1:
        window, weights, ifm_shape = _stride_to_depth(window, weights, ifm_shape, weight_zero_point)
    scales, rounding, zero_point = _scales(op, rescale, ofm_shape[3], emit)
    weight_value = _weights(op, weights, emit)

    def kernel(ifm: SSAValue, window: Window, result_type: TensorType[Any]) -> SSAValue:
        return emit.convolution(
            kind,
            ifm,
            weight_value,
            scales,
            result_type,
            window=window,
            zero_points=(scalar(op.input_zp, "a zero point"), zero_point),
            rounding=rounding,
            weight_zero_point=weight_zero_point,
        )

    ofm_type = TensorType(out, list(ofm_shape))
    emit.replace([emit.windows(emit.view(value, ifm_shape), window, ofm_type, kernel)])


def _depthwise_weights(
    weights: NDArray[Any], zero_point: int
) -> tuple[type[Conv2DOp | DepthwiseConv2DOp], NDArray[Any]]:
    """
    Weights [KH, KW, C, M] as (C * M, KH, KW, I). With several results a channel the NPU has no depthwise kernel: a
    convolution whose other weights are nothing does the same.
    """
    import numpy as np

    height, width, channels, multiplier = weights.shape
    by_result = weights.reshape(height, width, -1).transpose(2, 0, 1)
    if multiplier == 1:
        return DepthwiseConv2DOp, by_result[..., None]
    full = np.full((channels * multiplier, height, width, channels), zero_point, weights.dtype)
    results = np.arange(channels * multiplier)
    full[results, :, :, results // multiplier] = by_result
    return Conv2DOp, full


def _weights(op: Convolution, weights: NDArray[Any], emit: Emitter):
    values = tosa.constant_attribute(op.weight)
    assert values is not None
    if isinstance(op, tosa.Conv2DOp) and weights.shape == values.get_shape():
        return emit.dense(values)
    import numpy as np

    return emit.constant(np.ascontiguousarray(weights), values.get_element_type())


def _window(op: tosa.Conv2DOp | tosa.DepthwiseConv2DOp) -> Window:
    height, width = op.kernel_size
    top, bottom, left, right = numbers(op.pad)
    stride, dilation = numbers(op.stride), numbers(op.dilation)
    return Window(
        height, width, *(stride[0], stride[1]), *(dilation[0], dilation[1]), top=top, left=left, bottom=bottom,
        right=right,
    )  # fmt: skip


def _transposed_window(op: tosa.TransposeConv2DOp) -> Window:
    """
    A window of stride 1 over the IFM with zeros between its elements: element i of the IFM stands at i * stride,
    and weight k of the flipped kernel meets it where the window starts at i * stride - (size - 1 - k).
    """
    _, height, width, _ = shape_of(op.weight)
    _, ifm_h, ifm_w, _ = shape_of(op.input)
    _, ofm_h, ofm_w, _ = shape_of(op.output)
    out_pad, stride = numbers(op.out_pad), numbers(op.stride)
    # An axis of one row or column is the same under either stride: what follows its element is 0 in any case.
    flat = (ifm_h == 1, ifm_w == 1)
    if all(s == 1 or f for s, f in zip(stride, flat, strict=True)):
        up = 1
    elif all(s == 2 or f for s, f in zip(stride, flat, strict=True)):
        up = 2
    else:
        raise PassFailedException(f"a transposed convolution has strides 1x1 or 2x2, not {stride[0]}x{stride[1]}")
    top, left = height - 1 + out_pad[0], width - 1 + out_pad[2]
    return Window(
        height,
        width,
        top=top,
        left=left,
        bottom=max(0, ofm_h - 1 + height - ifm_h * up - top),
        right=max(0, ofm_w - 1 + width - ifm_w * up - left),
        upscale="zeros" if up == 2 else "none",
    )


def _fold_batch(ifm: tuple[int, ...], ofm: tuple[int, ...], window: Window) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The batch as rows, or as rows and columns, of a window of one element."""
    if replace(window) != Window():
        raise PassFailedException("a convolution with a window takes batch 1")
    batch, height, width, _ = ifm
    if (height, width) == (1, 1):
        rows = batch_map(batch)
        return (1, *rows, ifm[3]), (1, *rows, ofm[3])
    return (1, batch * height, width, ifm[3]), (1, batch * height, width, ofm[3])


def _undilate(window: Window, weights: NDArray[Any], zero_point: int) -> tuple[Window, NDArray[Any]]:
    """Dilations beyond 2: the NPU's 2 where it divides, the rest as weights of nothing between the others."""
    import numpy as np

    factors: list[int] = []
    for dilation in (window.dilation_y, window.dilation_x):
        rest = dilation // MAX_DILATION if dilation % MAX_DILATION == 0 else dilation
        factors.append(rest if dilation > MAX_DILATION else 1)
    if factors == [1, 1]:
        return window, weights
    fy, fx = factors
    height, width = (window.height - 1) * fy + 1, (window.width - 1) * fx + 1
    spread = np.full((weights.shape[0], height, width, weights.shape[3]), zero_point, weights.dtype)
    spread[:, ::fy, ::fx] = weights
    return (
        replace(
            window, height=height, width=width, dilation_y=window.dilation_y // fy, dilation_x=window.dilation_x // fx
        ),
        spread,
    )


def _stride_to_depth(
    window: Window, weights: NDArray[Any], ifm: tuple[int, ...], zero_point: int
) -> tuple[Window, NDArray[Any], tuple[int, ...]]:
    """
    A wide stride as depth: `stride` columns side by side are one column of `stride` times the depth, and the kernel
    is filled up with weights of nothing.
    """
    import numpy as np

    stride = window.stride_x
    if stride <= MAX_STRIDE or window.dilation_x > 1 or window.left or window.right or ifm[2] % stride:
        return window, weights, ifm
    width = -(-window.width // stride)
    filled = np.full((weights.shape[0], window.height, width * stride, ifm[3]), zero_point, weights.dtype)
    filled[:, :, : window.width] = weights
    weights = filled.reshape(weights.shape[0], window.height, width, stride * ifm[3])
    return replace(window, width=width, stride_x=1), weights, (1, ifm[1], ifm[2] // stride, stride * ifm[3])


def _scales(op: Convolution, rescale: tosa.RescaleOp | None, depth: int, emit: Emitter):
    """Scale stream, rounding and OFM zero point."""
    import numpy as np

    bias = np.broadcast_to(constant(op.bias, "a bias"), (depth,))
    if rescale is None:
        return emit.scales(bias, np.ones(depth, np.uint32), np.zeros(depth, np.int8)), Scale("natural"), 0
    multiplier = np.broadcast_to(constant(rescale.multiplier, "a multiplier"), (depth,))
    shift = np.broadcast_to(constant(rescale.shift, "a shift"), (depth,))
    input_zp, output_zp = zero_points(rescale)
    if input_zp:
        raise PassFailedException("an accumulator has zero point 0")
    if Element.of(tensor(rescale.output).element_type).bits == 32 and output_zp:
        raise PassFailedException("a 32-bit feature map has zero point 0")
    return emit.scales(bias, multiplier, shift), Scale(ROUNDING[rescale.rounding_mode.data]), output_zp
