"""
MEAN: 32-bit sums by depthwise convolutions of ones, then one multiplication that divides and rescales.
"""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import BoolAttr, TensorType, i8, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.npu import Scale, Window
from npuc.operators.support import rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY
from npuc.operators.support.quantized import QuantizedEmitter, numbers, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import npu_schedule
    from npuc.operators.support import fixed_point
else:
    np, npu_schedule, fixed_point = deferred(
        "numpy", "npuc.dialects.npu_schedule", "npuc.operators.support.fixed_point"
    )


@irdl_op_definition
class MeanOp(tfl.TflOp):
    """Over the dimensions in the constant `axis`, which stay as 1 with `keep_dims`."""

    name = "tfl.mean"

    input = operand_def(TensorType)
    axis = operand_def(TensorType)
    output = result_def(TensorType)
    keep_dims = prop_def(BoolAttr, tfl.FALSE)
    traits = traits_def(Pure())


def check(op: MeanOp) -> None:
    shape = rules.shape(op.input)
    axes = {rules.axis_of(axis, len(shape), op.axis) for axis in rules.integers(op.axis, "the axes must be constant")}
    rules.same_storage(op, [op.input], op.output)
    rules.require(bool(axes), "MEAN must be over at least one axis", op.input)
    # The sum is over one axis of a map of three: what is before the averaged axes, these, and what is behind them.
    averaged = [axis for axis in axes if shape[axis] > 1]
    span = range(min(averaged, default=0), max(averaged, default=-1) + 1)
    rules.require(
        all(axis in axes or shape[axis] == 1 for axis in span), "the averaged axes must be neighbours", op.input
    )
    count = math.prod(shape[axis] for axis in averaged)
    around = (math.prod(shape[: span.start]), math.prod(shape[span.stop :]))
    rules.require(
        max(around) <= rules.MAX_DIMENSION, f"MEAN must have at most {rules.MAX_DIMENSION} sums on each side", op.input
    )
    rules.require(count <= rules.MAX_DIMENSION, f"MEAN must be over at most {rules.MAX_DIMENSION} elements", op.input)
    sizes = [shape[axis] for axis in axes]
    rules.require(max(sizes) < 4096, "an axis that is averaged must be below 4096", op.input)
    element = rules.element(op.input).data
    limit = 1 << (16 if element.storage_width == 16 else 24 if element.signed else 23)
    rules.require(math.prod(sizes) <= limit, f"MEAN must be over at most {limit} elements", op.input)
    # TFLite divides before it shifts left, by the power of two below the count.
    least, greatest = rules.values(op.input)
    factor = rules.element(op.input).scale / rules.element(op.output).scale
    rules.require_scalable((count * least, count * greatest), factor / (1 << count.bit_length() - 1), op.output)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or op.keep_dims]
    rules.require_shape(op.output, kept)


MAX_ROWS, MAX_ELEMENTS = 64, 4096
"""Limits of a convolution's window."""


def lower(op: MeanOp, emit: QuantizedEmitter) -> None:
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
    multiplier, shift = fixed_point.quantize_multiplier(source / target)
    left = min(count.bit_length() - 1, 32, 31 + (31 - shift))
    return (multiplier << left) // count, shift + left


def _sum(
    emit: QuantizedEmitter, ifm: SSAValue, height: int, width: int, result_type: TensorType[Any], zero_point: int
) -> SSAValue:
    """
    Sums over windows of `height` x `width`, which span the width of the IFM, less the zero point; in strips no larger
    than a window may be.
    """
    depth = result_type.get_shape()[3]
    scales = emit.scales(np.zeros(depth), np.ones(depth), np.zeros(depth))
    total: SSAValue | None = None
    strip = max(1, MAX_ELEMENTS // height)
    for start in range(0, width, strip):
        count = min(strip, width - start)
        part = emit.convolution(
            npu_schedule.DepthwiseConv2DOp,
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


OPERATORS = (
    Operator(
        op=MeanOp, kernels="sums by DEPTHWISE kernels of ones, and MUL", check=check, lower=lower, arguments=("axis",)
    ),
)
