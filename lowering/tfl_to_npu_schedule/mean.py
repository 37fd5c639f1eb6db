"""
MEAN: 32-bit sums by depthwise convolutions of ones, then one multiplication that divides and rescales.
"""

from __future__ import annotations

from math import prod
from typing import Any

from xdsl.dialects.builtin import TensorType, i8, i32
from xdsl.ir import SSAValue

from npuc.analysis.fixed_point import quantize_multiplier
from npuc.dialects import tfl
from npuc.dialects.npu import Scale, Window
from npuc.dialects.npu_schedule import DepthwiseConv2DOp
from npuc.lowering.npu_kernels import IDENTITY, shape_of
from npuc.lowering.tfl_to_npu_schedule.common import QuantizedEmitter, numbers, quantized

MAX_ROWS, MAX_ELEMENTS = 64, 4096
"""Limits of a convolution's window."""


def lower_mean(op: tfl.MeanOp, emit: QuantizedEmitter) -> None:
    """Replace a mean by its kernels. The reduced dimensions are neighbours, but for dimensions of 1."""
    source, target = quantized(op.input), quantized(op.output)
    shape = shape_of(op.input)
    axes = {axis % len(shape) for axis in numbers(op.axis)}
    outer, reduced, inner = split_shape(shape, axes)
    value = emit.storage(op.input)
    if outer == 1 and len(shape) >= 3 and (reduced, inner) == (shape[-3] * shape[-2], shape[-1]):
        height, width = (shape[-3], shape[-2]) if shape[-3] <= MAX_ROWS else (1, reduced)
        ifm, ofm = emit.view(value, (1, height, width, inner)), (1, 1, 1, inner)
    else:
        height, width = 1, reduced
        ifm, ofm = emit.view(value, (1, outer, width, inner)), (1, outer, 1, inner)
    total = _sum(emit, ifm, height, width, TensorType(i32, list(ofm)), source.zero_point)
    multiplier, shift = mean_scale(source.scale, target.scale, reduced)
    import numpy as np

    result_type: TensorType[Any] = TensorType(target.storage_type, list(ofm))
    factor = emit.constant(np.full((1, 1, 1, 1), multiplier, np.int32))
    scale = Scale("double_round", 1, shift)
    emit.replace(
        [emit.elementwise("mul", total, factor, result_type, zero_points=(0, 0, target.zero_point), scale=scale)]
    )


def split_shape(shape: tuple[int, ...], axes: set[int]) -> tuple[int, int, int]:
    """Elements before, in and after the reduced dimensions; ValueError where these are not neighbours."""
    wide = [axis for axis in range(len(shape)) if shape[axis] > 1]
    reduced = [axis for axis in wide if axis in axes]
    first, last = (reduced[0], reduced[-1]) if reduced else (len(shape), len(shape))
    if any(first < axis < last and axis not in axes for axis in wide):
        raise ValueError("the reduced dimensions are not neighbours")
    outer = prod(shape[:first])
    count = prod(shape[axis] for axis in reduced)
    return outer, count, prod(shape) // (outer * count)


def mean_scale(source: float, target: float, count: int) -> tuple[int, int]:
    """
    Multiplier and shift from a sum of `count` elements to their mean in the other scale. Source: TFLite divides the
    multiplier of the scales' quotient, brought as far left as its shift allows, by the count.
    """
    multiplier, shift = quantize_multiplier(source / target)
    left = min(count.bit_length() - 1, 32, 31 + (31 - shift))
    return (multiplier << left) // count, shift + left


def _sum(
    emit: QuantizedEmitter, ifm: SSAValue, height: int, width: int, result_type: TensorType[Any], zero_point: int
) -> SSAValue:
    """
    Sums over windows of `height` x `width`, which span the width of the IFM, less the zero point; in strips no larger
    than a window may be.
    """
    import numpy as np

    depth = result_type.get_shape()[3]
    scales = emit.scales(np.zeros(depth), np.ones(depth), np.zeros(depth))
    total: SSAValue | None = None
    strip = max(1, MAX_ELEMENTS // height)
    for start in range(0, width, strip):
        count = min(strip, width - start)
        part = emit.convolution(
            DepthwiseConv2DOp,
            emit.slice(ifm, (0, start, 0), (shape_of(ifm)[1], count, depth)),
            emit.constant(np.ones((depth, height, count, 1), np.int8), i8),
            scales,
            result_type,
            window=Window(height, count),
            zero_points=(zero_point, 0),
            rounding=Scale("natural"),
        )
        total = part if total is None else emit.elementwise("add", total, part, result_type, scale=IDENTITY)
    assert total is not None
    return total
