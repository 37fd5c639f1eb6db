"""
Convolutions, together with the `tosa.rescale` that follows them, as kernels with a scale for each channel.

The accumulator of a 16-bit convolution is wider than any feature map, so the rescale is part of the kernel by need;
an 8-bit convolution without one makes a 32-bit feature map. `operators/support/convolutions.py` has the kernels.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.npu import Element, Scale
from npuc.lowering.tosa_to_npu_schedule.common import ROUNDING, constant, numbers, scalar, untrimmed, zero_points
from npuc.operators.support.axes import Axis, Spread
from npuc.operators.support.convolutions import Convolution, convolve, transpose_convolve
from npuc.operators.support.kernels import Emitter, shape_of, tensor

Windowed = tosa.Conv2DOp | tosa.DepthwiseConv2DOp
Weighted = Windowed | tosa.TransposeConv2DOp


def lower_convolution(op: Weighted, rescale: tosa.RescaleOp | None, emit: Emitter) -> None:
    """Replace the rescale (or, without one, the convolution itself) by its kernels."""
    out = tensor((rescale or op).output).element_type
    assert isinstance(out, IntegerType)
    if tosa.width_of(out) > 32:
        raise PassFailedException(f"{op.name} without a rescale makes {out}, which no feature map holds")
    convolution = _convolution(op, rescale)
    ofm = shape_of(op.output)
    if isinstance(op, tosa.TransposeConv2DOp):
        ifm, kernel, stride, out_pad = shape_of(op.input), shape_of(op.weight), numbers(op.stride), numbers(op.out_pad)
        down, across = (Spread(ifm[1 + i], ofm[1 + i], kernel[1 + i], stride[i], -out_pad[2 * i]) for i in (0, 1))
        emit.replace([transpose_convolve(emit, op.input, down, across, convolution, out)])
        return
    stride, dilation, pad = numbers(op.stride), numbers(op.dilation), numbers(op.pad)
    value = op.input if pad[1] or pad[3] else untrimmed(op.input)
    ifm, kernel = shape_of(value), op.kernel_size
    rows, columns = (Axis(ifm[1 + i], ofm[1 + i], kernel[i], stride[i], dilation[i], pad[2 * i]) for i in (0, 1))
    emit.replace([convolve(emit, value, rows, columns, convolution, out)])


def _convolution(op: Weighted, rescale: tosa.RescaleOp | None) -> Convolution:
    """Weights, scales, rounding and zero points."""
    import numpy as np

    weights, groups = constant(op.weight, "weights"), 1
    if isinstance(op, tosa.DepthwiseConv2DOp):
        # [KH, KW, C, M], with result channel c * M + m.
        groups = weights.shape[2]
        weights = weights.reshape(*weights.shape[:2], -1).transpose(2, 0, 1)[..., None]
    depth = weights.shape[0]
    bias = np.broadcast_to(constant(op.bias, "a bias"), (depth,))
    multiplier, shift, rounding, output_zp = np.ones(depth, np.uint32), np.zeros(depth, np.int8), Scale("natural"), 0
    if rescale is not None:
        multiplier = np.broadcast_to(constant(rescale.multiplier, "a multiplier"), (depth,))
        shift = np.broadcast_to(constant(rescale.shift, "a shift"), (depth,))
        rounding = Scale(ROUNDING[rescale.rounding_mode.data])
        input_zp, output_zp = zero_points(rescale)
        if input_zp:
            raise PassFailedException("an accumulator has zero point 0")
        if Element.of(tensor(rescale.output).element_type).bits == 32 and output_zp:
            raise PassFailedException("a 32-bit feature map has zero point 0")
    return Convolution(
        weights,
        tensor(op.weight).element_type,
        (bias, multiplier, shift),
        rounding,
        (scalar(op.input_zp, "a zero point"), output_zp),
        scalar(op.weight_zp, "a weight zero point"),
        groups,
    )
