"""Average and maximum pools."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.npu import Scale, Window
from npuc.hardware.limits import POOL
from npuc.lowering.tosa_to_npu_schedule.common import numbers, scalar, untrimmed
from npuc.operators.support.axes import Axis, Planes
from npuc.operators.support.kernels import Emitter, shape_of, tensor
from npuc.operators.support.sliding import images, slide


def mean_scale(count: int) -> Scale:
    """
    The scale that divides a sum of `count` elements to nearest, ties away from zero: a little more than 1 / count, so
    that ties are pushed outwards, and not so much that anything else moves.
    """
    bits = (count - 1).bit_length()
    return Scale("natural", ((1 << 31 + bits) + (1 << bits)) // count, 31 + bits)


def lower_pool(op: tosa.AvgPool2DOp | tosa.MaxPool2DOp, emit: Emitter) -> None:
    """Replace a pool by its kernels."""
    kernel, stride, pad = numbers(op.kernel), numbers(op.stride), numbers(op.pad)
    average = isinstance(op, tosa.AvgPool2DOp)
    points = (scalar(op.input_zp, "a zero point"), scalar(op.output_zp, "a zero point")) if average else (0, 0)
    element_type = tensor(op.output).element_type

    def pool(ifm: SSAValue, window: Window, result_type: TensorType[Any]) -> SSAValue:
        if not average:
            return emit.pool("max", ifm, result_type, window=window)
        if not any((window.top, window.left, window.bottom, window.right)):
            scale = mean_scale(window.height * window.width)
            return emit.pool("average", ifm, result_type, window=window, zero_points=points, scale=scale)
        if points[0] != points[1] or points[0]:
            raise PassFailedException("a padded average has zero points 0")
        return emit.pool("average", ifm, result_type, window=window)

    def slid(value: SSAValue, plane: Planes) -> SSAValue:
        shape = [1, plane.rows.count, plane.columns.count, shape_of(value)[3]]
        return slide(emit, value, plane, TensorType(element_type, shape), pool)

    def image(value: SSAValue, plane: Planes) -> SSAValue:
        rows, columns = plane.rows, plane.columns
        if (rows.kernel, columns.kernel) == (1, 1) and points[0] == points[1] and not plane.padded:
            # Also how a strided slice is said in TOSA.
            sizes = (rows.count, columns.count, shape_of(value)[3])
            return emit.copy(emit.slice(value, (0, 0, 0), sizes, (rows.stride, columns.stride, 1)))
        if not average or plane.averages:
            return slid(value, plane)
        bands: list[SSAValue] = []
        for top, down in rows.regions():
            parts: list[SSAValue] = []
            for left, across in columns.regions():
                part = emit.slice(value, (top, left, 0), (down.size, across.size, shape_of(value)[3]))
                parts.append(slid(part, Planes(down, across)))
            bands.append(emit.concat(parts, 2))
        return emit.concat(bands, 1)

    # Without padding at the end the last elements may be unread; with it TOSA has them all read.
    value = op.input if pad[1] or pad[3] else untrimmed(op.input)
    ifm, ofm = shape_of(value), shape_of(op.output)
    rows, columns = (Axis(ifm[1 + i], ofm[1 + i], kernel[i], stride[i], before=pad[2 * i]).trimmed() for i in (0, 1))
    emit.replace([images(emit, value, rows, columns, image, limits=POOL)])
