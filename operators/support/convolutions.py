"""
Convolutions with constant weights as NPU kernels, whatever their batch, groups, strides and dilations.

`Convolution` is what is computed, `convolve` and `transpose_convolve` write the kernels. What the machine lacks becomes
weights of nothing (equal to their zero point) and views:

* Groups of one channel with one result each are a depthwise kernel. Other groups are put side by side, a few to a
  kernel, each blind to the channels of the others.
* Dilations beyond 2: the machine's 2 where it divides, the rest as weights of nothing between the others.
  Or a kernel for each rest of row or column, whose taps are neighbours; views interleave their results.
* Strides beyond 3: `stride` columns side by side are one column of `stride` times the depth, which is a view; of rows
  it takes a copy for each row of a group (`_rows_to_depth`). The taps are filled up to whole groups.
* Transposed: zeros between the elements, which the machine adds for stride 2; or a kernel for each row of a group of
  `stride` rows, with the columns of a group as channels, and views that interleave them (`_phases`). That multiplies
  nothing by the zeros in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import IntegerType, TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.constants import numpy_dtype
from npuc.dialects.npu import Activation, Scale, Window
from npuc.hardware.limits import CONVOLUTION, MAX_DILATION, MAX_STRIDE
from npuc.operators.support.alternatives import quickest
from npuc.operators.support.axes import (
    Axis,
    Phase,
    Planes,
    Spread,
    has_phases,
    phase_axes,
    zeros_between,
)
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import Emitter, shape_of, tensor
from npuc.operators.support.rules import MAX_LAUNCHES
from npuc.operators.support.sliding import Image, begun, images, slide

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.dialects import npu_schedule

    Integers = NDArray[Any]
else:
    np, npu_schedule = deferred("numpy", "npuc.dialects.npu_schedule")

GROUP_DEPTHS = (8, 16, 32)
"""Depths that groups are put together to: the machine reads channels by 8, bricks have 16, blocks of weights 32."""
SHALLOW = 8
"""Channels below which the machine multiplies by nothing, since it reads so many: columns as depth fill them up."""
MAX_SPREAD_WEIGHTS = 1 << 18
"""Most weights of a kernel that all groups are put together to."""

Step = Callable[[SSAValue], SSAValue]
"""A view of an image 1 x H x W x C, or copies of it."""


@dataclass(frozen=True)
class Convolution:
    """A convolution without its window: weights (O, H, W, I / groups), and bias, multiplier and shift of O channels."""

    weights: Integers
    element_type: IntegerType
    """Of the weights."""
    scales: tuple[Integers, Integers, Integers]
    rounding: Scale
    zero_points: tuple[int, int]
    """Of IFM and OFM."""
    weight_zero_point: int = 0
    groups: int = 1
    activation: Activation | None = None

    @property
    def depthwise(self) -> bool:
        """Whether it is one that the machine computes channel by channel."""
        return self.groups == self.weights.shape[0] > 1 and self.weights.shape[3] == 1

    def filled(self, shape: Sequence[int]) -> Integers:
        """Weights of nothing."""
        return np.full(shape, self.weight_zero_point, self.weights.dtype)


def convolve(
    emit: Emitter, value: SSAValue, rows: Axis, columns: Axis, convolution: Convolution, result: IntegerType
) -> SSAValue:
    """The convolution of N x H x W x C, all images below each other, in elements of type `result`."""
    down, across = rows.taps(), columns.taps()
    weights = convolution.weights[:, down.start : down.stop, across.start : across.stop]
    rows, columns, convolution = rows.trimmed(), columns.trimmed(), replace(convolution, weights=weights)

    def form(part: Convolution, seen: SSAValue = value, apart: tuple[bool, bool] = (False, False)) -> SSAValue:
        return _one_by_one(emit, seen, rows, columns, part, result, apart, convolution.groups == 1)

    if convolution.groups == 1 or convolution.depthwise:
        dense = not convolution.depthwise
        ways: list[tuple[bool, ...]] = []
        for axis, is_view in ((rows, False), (columns, weights.shape[3] < SHALLOW and _is_view(columns))):
            if dense and _is_wide(axis):
                ways.append((True, False))
            else:
                ways.append((False, True) if axis.apart > 1 or (dense and is_view) else (False,))
        choices = [
            (down, across)
            for down, across in product(*ways)
            if (rows.apart if down else 1) * (columns.apart if across else 1) <= MAX_LAUNCHES
        ]
        return quickest(emit, [lambda choice=choice: form(convolution, apart=choice) for choice in choices])

    def together(count: int) -> SSAValue:
        parts: list[SSAValue] = []
        for first in range(0, convolution.groups, count):
            dense = _dense(convolution, first, min(count, convolution.groups - first))
            parts.append(form(dense, _channels(emit, value, first * convolution.weights.shape[3], dense)))
        return emit.concat(parts, 3)

    return quickest(emit, [lambda count=count: together(count) for count in _group_counts(convolution)])


def _is_wide(axis: Axis) -> bool:
    """Whether an axis has a stride beyond the machine's, and taps that can be depth."""
    return axis.stride > MAX_STRIDE and axis.kernel > 1


def _is_view(axis: Axis) -> bool:
    """Whether columns that the machine could step over can be depth as they lie."""
    whole = axis.folded().size * axis.stride
    return axis.stride > 1 and axis.kernel > 1 and axis.dilation == 1 and whole <= axis.size


def _channels(emit: Emitter, value: SSAValue, first: int, convolution: Convolution) -> SSAValue:
    """The channels of N x H x W x C from `first` on that a convolution reads."""
    batch, height, width, depth = shape_of(value)
    count = convolution.weights.shape[3]
    part = emit.slice(
        emit.view(value, (1, batch * height, width, depth)), (0, 0, first), (batch * height, width, count)
    )
    return emit.view(part, (batch, height, width, count))


def _group_counts(convolution: Convolution) -> list[int]:
    """How many groups a kernel may have, the smaller first."""
    channels, groups = convolution.weights.shape[3], convolution.groups
    least = min(channels, convolution.weights.shape[0] // groups)
    counts = {min(groups, -(-depth // size)) for depth in GROUP_DEPTHS for size in (channels, least)}
    if convolution.weights.size * groups <= MAX_SPREAD_WEIGHTS:
        counts.add(groups)
    return sorted(counts)


def _dense(convolution: Convolution, first: int, count: int) -> Convolution:
    """`count` groups from `first` on as one convolution of all their channels."""
    results, height, width, channels = convolution.weights.shape
    each = results // convolution.groups
    part = slice(first * each, (first + count) * each)
    weights = convolution.filled((count * each, height, width, count * channels))
    for number in range(count):
        own = slice(number * each, (number + 1) * each)
        from_ = slice((first + number) * each, (first + number + 1) * each)
        weights[own, :, :, number * channels : (number + 1) * channels] = convolution.weights[from_]
    bias, multiplier, shift = convolution.scales
    return replace(convolution, weights=weights, scales=(bias[part], multiplier[part], shift[part]), groups=1)


def _one_by_one(
    emit: Emitter,
    value: SSAValue,
    rows: Axis,
    columns: Axis,
    convolution: Convolution,
    result: IntegerType,
    apart: tuple[bool, bool],
    mixes: bool,
) -> SSAValue:
    """
    A convolution of one group, or a depthwise one, image by image. `apart` says of rows and of columns whether strides
    become depth and taps that are far apart kernels of their own; `mixes` whether columns may become depth at all: not
    those of a part of the channels.
    """
    kind = npu_schedule.DepthwiseConv2DOp if convolution.depthwise else npu_schedule.Conv2DOp
    scales = emit.scales(*convolution.scales)
    known: dict[Planes, tuple[list[Step], Planes, SSAValue]] = {}
    constants: dict[bytes, SSAValue] = {}

    def image(part: SSAValue, plane: Planes) -> SSAValue:
        steps_apart = [
            axis.apart if chosen else 1 for axis, chosen in zip((plane.rows, plane.columns), apart, strict=True)
        ]
        if prod(steps_apart) > 1:
            return _rests(emit, part, plane, steps_apart, image)
        if plane not in known:
            steps, folded, weights = _folded(emit, shape_of(part), plane, convolution, apart)
            content = weights.tobytes()
            if content not in constants:
                constants[content] = emit.constant(np.ascontiguousarray(weights), convolution.element_type)
            known[plane] = steps, folded, constants[content]
        steps, folded, weights = known[plane]
        for step in steps:
            part = step(part)

        def kernel(ifm: SSAValue, window: Window, result_type: TensorType[Any]) -> SSAValue:
            return emit.convolution(
                kind,
                ifm,
                weights,
                scales,
                result_type,
                window=window,
                zero_points=convolution.zero_points,
                rounding=convolution.rounding,
                weight_zero_point=convolution.weight_zero_point,
                activation=convolution.activation,
            )

        shape = [1, folded.rows.count, folded.columns.count, convolution.weights.shape[0]]
        return slide(emit, part, folded, TensorType(result, shape), kernel)

    return images(emit, value, rows, columns, image, limits=CONVOLUTION, mixes=mixes)


def _rests(emit: Emitter, value: SSAValue, plane: Planes, steps: Sequence[int], image: Image) -> SSAValue:
    """
    Results of a dilated window with one rest of row / step, and of column / step, read elements of one rest alone: for
    each rest a window whose taps are neighbours, over every n-th row and column. Views interleave their results, of
    which there may be a few too many.
    """
    depth = shape_of(value)[3]
    bands: list[SSAValue] = []
    for top, rows in plane.rows.rests(steps[0]):
        parts: list[SSAValue] = []
        for left, columns in plane.columns.rests(steps[1]):
            part = emit.slice(value, (top, left, 0), (rows.size, columns.size, depth), (*steps, 1))
            parts.append(image(*begun(emit, part, Planes(rows, columns))))
        bands.append(emit.concat(parts, 3))
    _, height, width, results = shape_of(bands[0])
    lines = [emit.view(band, (1, height, 1, width * results)) for band in bands]
    height, width, results = height * steps[0], width * steps[1], results // steps[1]
    whole = emit.view(emit.concat(lines, 2), (1, height, width, results))
    size = (plane.rows.count, plane.columns.count, results)
    return whole if size == (height, width, results) else emit.copy(emit.slice(whole, (0, 0, 0), size))


def _folded(
    emit: Emitter, shape: Sequence[int], plane: Planes, convolution: Convolution, apart: tuple[bool, bool]
) -> tuple[list[Step], Planes, Integers]:
    """What is done to an image of a shape, the window over what comes of it, and the weights for that."""
    steps: list[Step] = []
    weights = convolution.weights
    if plane.exchanged:
        weights = weights.transpose(0, 2, 1, 3)
    elif weights.shape[1:3] != (plane.rows.kernel, plane.columns.kernel):
        # What were the rows are the columns, and what were the columns is depth; or columns are rows of a line in rows.
        weights = weights.reshape(weights.shape[0], plane.rows.kernel, plane.columns.kernel, -1)
        apart = (False, plane.columns.stride > MAX_STRIDE)
    axes = [plane.rows, plane.columns]
    for number in (1, 0):
        axis = axes[number]
        folds = apart[number] and (_is_wide(axis) or (number == 1 and _is_view(axis)))
        if not folds and axis.dilation <= MAX_DILATION:
            continue
        # What remains of the dilation is a divisor of it, the rest is weights of nothing.
        factor = axis.dilation if folds or axis.dilation % MAX_DILATION else axis.dilation // MAX_DILATION
        spread = list(weights.shape)
        spread[1 + number] = (axis.kernel - 1) * factor + 1
        filled = convolution.filled(spread)
        filled[:, :: factor if number == 0 else 1, :: factor if number == 1 else 1] = weights
        weights = filled
        axes[number] = axis = replace(axis, kernel=spread[1 + number], dilation=axis.dilation // factor)
        if folds:
            axes[number] = axis.folded()
            fold = _rows_to_depth if number == 0 else _columns_to_depth
            step, weights = fold(emit, axis, axes[number], shape, weights, convolution)
            steps.append(step)
            shape = (1, axes[0].size, axes[1].size, weights.shape[3])
    return steps, replace(plane, rows=axes[0], columns=axes[1]), weights


def _columns_to_depth(
    emit: Emitter, axis: Axis, folded: Axis, shape: Sequence[int], weights: Integers, convolution: Convolution
) -> tuple[Step, Integers]:
    """`stride` columns side by side as one of `stride` times the depth; a row that does not divide is cut or filled."""
    _, height, width, depth = shape
    stride, whole = axis.stride, folded.size * axis.stride
    filled = convolution.filled((weights.shape[0], weights.shape[1], folded.kernel * stride, depth))
    shift = folded.before * stride - axis.before
    filled[:, :, shift : shift + axis.kernel] = weights

    def step(value: SSAValue) -> SSAValue:
        if whole > width:
            fill = _filling(emit, value, (1, height, whole - width, depth), convolution)
            value = emit.concat([emit.copy(value), emit.copy(fill)], 2)
        else:
            value = emit.slice(value, (0, 0, 0), (height, whole, depth))
        return emit.view(value, (1, height, folded.size, stride * depth))

    return step, filled.reshape(weights.shape[0], weights.shape[1], folded.kernel, stride * depth)


def _rows_to_depth(
    emit: Emitter, axis: Axis, folded: Axis, shape: Sequence[int], weights: Integers, convolution: Convolution
) -> tuple[Step, Integers]:
    """Every `stride`-th row copied to channels of its own, for each of the rows of a group that taps meet."""
    _, height, width, depth = shape
    stride = axis.stride
    shift = folded.before * stride - axis.before
    filled = convolution.filled((weights.shape[0], folded.kernel * stride, weights.shape[2], depth))
    filled[:, shift : shift + axis.kernel] = weights
    phases = sorted({(shift + tap) % stride for tap in range(axis.kernel)})
    grouped = filled.reshape(weights.shape[0], folded.kernel, stride, weights.shape[2], depth)[:, :, phases]

    def step(value: SSAValue) -> SSAValue:
        parts: list[SSAValue] = []
        for phase in phases:
            count = min(folded.size, -(-(height - phase) // stride))
            rows: list[SSAValue] = []
            if count > 0:
                rows.append(emit.copy(emit.slice(value, (phase, 0, 0), (count, width, depth), (stride, 1, 1))))
            if count < folded.size:
                rows.append(
                    emit.copy(_filling(emit, value, (1, folded.size - max(count, 0), width, depth), convolution))
                )
            parts.append(emit.concat(rows, 1))
        return emit.concat(parts, 3)

    moved = grouped.transpose(0, 1, 3, 2, 4)
    return step, moved.reshape(*moved.shape[:3], len(phases) * depth)


def _filling(emit: Emitter, value: SSAValue, shape: Sequence[int], convolution: Convolution) -> SSAValue:
    """Elements that count as 0."""
    type_ = tensor(value).element_type
    return emit.constant(np.full(shape, convolution.zero_points[0], numpy_dtype(type_)), type_)


# Transposed


def transpose_convolve(
    emit: Emitter, value: SSAValue, rows: Spread, columns: Spread, convolution: Convolution, result: IntegerType
) -> SSAValue:
    """The transposed convolution of N x H x W x C, all images below each other, in elements of type `result`."""
    forms: list[Callable[[], SSAValue]] = []
    if zeros_between(rows, columns) != 1 and has_phases(rows, columns):
        forms.append(lambda: _phases(emit, value, rows, columns, convolution, result))
    if zeros_between(rows, columns) is not None:
        forms.append(lambda: _zeros_between(emit, value, rows, columns, convolution, result))
    if not forms:
        raise PassFailedException(f"the NPU has no transposed convolution of {rows.kernel}x{columns.kernel}")
    return quickest(emit, forms)


def _zeros_between(
    emit: Emitter, value: SSAValue, rows: Spread, columns: Spread, convolution: Convolution, result: IntegerType
) -> SSAValue:
    """
    A window of stride 1, the kernel turned around, over the IFM with zeros between its elements: element i of the IFM
    stands at i * stride, and weight k of the kernel meets it where the window starts at i * stride - (size - 1 - k).
    """
    up = zeros_between(rows, columns)
    planes_ = [axis.dense(up or 1) for axis in (rows, columns)]
    window = Window(
        rows.kernel, columns.kernel, top=planes_[0].before, left=planes_[1].before, bottom=planes_[0].after,
        right=planes_[1].after, upscale="zeros" if up == 2 else "none",
    )  # fmt: skip
    scales = emit.scales(*convolution.scales)
    weights = emit.constant(np.ascontiguousarray(convolution.weights[:, ::-1, ::-1]), convolution.element_type)
    batch, height, width, depth = shape_of(value)
    type_ = TensorType(result, [1, rows.count, columns.count, convolution.weights.shape[0]])
    parts = [
        emit.convolution(
            npu_schedule.Conv2DOp,
            emit.slice(emit.view(value, (1, batch * height, width, depth)), (n * height, 0, 0), (height, width, depth)),
            weights,
            scales,
            type_,
            window=window,
            zero_points=convolution.zero_points,
            rounding=convolution.rounding,
            weight_zero_point=convolution.weight_zero_point,
            activation=convolution.activation,
        )
        for n in range(batch)
    ]
    return emit.concat(parts, 1)


def _phases(
    emit: Emitter, value: SSAValue, rows: Spread, columns: Spread, convolution: Convolution, result: IntegerType
) -> SSAValue:
    """
    Rows y of the result with one rest of y / stride are an ordinary convolution, and columns likewise. The columns of a
    group are channels of one kernel, the rows are kernels whose results interleave.
    """
    batch, channels = shape_of(value)[0], convolution.weights.shape[0]
    bias, multiplier, shift = (
        np.tile(np.broadcast_to(values, (channels,)), columns.stride) for values in convolution.scales
    )
    axes, parts = phase_axes(rows, columns), []
    for phase, (down, across) in zip(rows.phases(), axes, strict=True):
        weights = _phase_weights(convolution, phase, columns.phases(), (down, across))
        part = replace(convolution, weights=weights, scales=(bias, multiplier, shift))
        made = convolve(emit, value, down, across, part, result)
        parts.append(emit.view(made, (1, batch * down.count, 1, across.count * columns.stride * channels)))
    height, width = axes[0][0].count * rows.stride, axes[0][1].count * columns.stride
    whole = emit.view(emit.concat(parts, 2), (1, batch * height, width, channels))
    size = (rows.count, columns.count, channels)
    if size == (height, width, channels):
        return whole
    return emit.concat([emit.copy(emit.slice(whole, (n * height, 0, 0), size)) for n in range(batch)], 1)


def _phase_weights(convolution: Convolution, down: Phase, across: Sequence[Phase], axes: tuple[Axis, Axis]) -> Integers:
    """Weights (phases of columns * O, H, W, I) of one phase of rows, taps in the order of the elements they meet."""
    channels, depth = convolution.weights.shape[0], convolution.weights.shape[3]
    weights = convolution.filled((len(across), channels, axes[0].kernel, axes[1].kernel, depth))
    for number, phase in enumerate(across):
        for y, tap_y in enumerate(down.taps):
            for x, tap_x in enumerate(phase.taps):
                weights[number, :, y, axes[1].before + phase.first + x] = convolution.weights[:, tap_y, tap_x]
    return weights.reshape(len(across) * channels, *weights.shape[2:])
