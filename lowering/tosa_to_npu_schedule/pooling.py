"""Average and maximum pools."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.npu import Scale, Window
from npuc.lowering.tosa_to_npu_schedule.common import numbers, scalar, untrimmed
from npuc.operators.support.kernels import Emitter, shape_of, tensor

MAX_DIVIDED = 8
"""Rows and columns of the largest window whose elements the NPU counts by itself."""


def mean_scale(count: int) -> Scale:
    """
    The scale that divides a sum of `count` elements to nearest, ties away from zero: a little more than 1 / count, so
    that ties are pushed outwards, and not so much that anything else moves.
    """
    bits = (count - 1).bit_length()
    return Scale("natural", ((1 << 31 + bits) + (1 << bits)) // count, 31 + bits)


def lower_pool(op: tosa.AvgPool2DOp | tosa.MaxPool2DOp, emit: Emitter) -> None:
    """Replace a pool by its kernel."""
    top, bottom, left, right = numbers(op.pad)
    (height, width), stride = numbers(op.kernel), numbers(op.stride)
    window = Window(height, width, stride[0], stride[1], top=top, left=left, bottom=bottom, right=right)
    average = isinstance(op, tosa.AvgPool2DOp)
    points = (scalar(op.input_zp, "a zero point"), scalar(op.output_zp, "a zero point")) if average else (0, 0)

    def kernel(ifm: SSAValue, window: Window, result_type: TensorType[Any]) -> SSAValue:
        if not average:
            return emit.pool("max", ifm, result_type, window=window)
        if not any((window.top, window.left, window.bottom, window.right)):
            scale = mean_scale(window.height * window.width)
            return emit.pool("average", ifm, result_type, window=window, zero_points=points, scale=scale)
        if max(window.height, window.width) > MAX_DIVIDED:
            raise PassFailedException(f"a padded average has a window of at most {MAX_DIVIDED}x{MAX_DIVIDED}")
        if points[0] != points[1] or points[0]:
            raise PassFailedException("a padded average has zero points 0")
        return emit.pool("average", ifm, result_type, window=window)

    ifm, ofm = shape_of(op.input), shape_of(op.output)
    if ifm[0] != 1:
        raise PassFailedException("a pool takes batch 1")
    if not average and (height, width) == (1, 1):
        # How a strided slice is said in TOSA.
        emit.replace([emit.copy(emit.slice(op.input, (0, 0, 0), ofm[1:], (*stride, 1)))])
        return
    # Without padding at the end the last elements may be unread; with it TOSA has them all read.
    value = op.input if bottom or right else untrimmed(op.input)
    emit.replace([emit.windows(value, window, TensorType(tensor(op.output).element_type, list(ofm)), kernel)])
