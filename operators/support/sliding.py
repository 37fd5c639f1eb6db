"""
Windows over feature maps of any batch, with any stride: what convolutions and pools share.

* A batch is further rows where windows of one image cannot meet those of another; else a kernel for each image.
* Strides beyond 3: a window of one element reads every n-th row or column of a view. Otherwise a kernel of less stride
  computes too much, of which every n-th is read (`_skipped`), or each row, or column, is a kernel of its own
  (`Emitter.windows`); the quicker of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.npu import Window
from npuc.hardware.limits import MAX_STRIDE
from npuc.operators.support.alternatives import Form, quickest
from npuc.operators.support.axes import Axis, Planes, planes
from npuc.operators.support.kernels import Emitter, batch_map, shape_of
from npuc.operators.support.rules import MAX_LAUNCHES

Make = Callable[[SSAValue, Window, TensorType[Any]], SSAValue]
"""Writes one kernel of a window: of the IFM, the window and the type of its result."""
Image = Callable[[SSAValue, Planes], SSAValue]
"""Writes the kernels of one image, given as 1 x H x W x C in the view of the planes."""


def images(
    emit: Emitter,
    value: SSAValue,
    rows: Axis,
    columns: Axis,
    image: Image,
    *,
    limits: tuple[int, int],
    mixes: bool = False,
) -> SSAValue:
    """
    What `image` makes of each image of a batch N x H x W x C, below each other. The axes are trimmed; `limits` and
    `mixes` are those of `planes`, which legality has asked.
    """
    batch, height, width, depth = shape_of(value)
    if batch > 1 and rows.count == 1 and rows.before == rows.after == 0 and rows.size <= MAX_STRIDE:
        rows = replace(rows, stride=rows.size)
    if batch > 1 and rows.tiles:
        rows = replace(rows, size=rows.size * batch, count=rows.count * batch)
        if height == 1 and columns == Axis(1, 1):
            rows, columns = (Axis(size, size) for size in batch_map(batch))
        height, batch = height * batch, 1
    plane = planes(rows, columns, limits, mixes)
    if plane is None:
        raise PassFailedException(f"the NPU has no window of {rows.reach}x{columns.reach} over {height}x{width}")
    parts: list[SSAValue] = []
    for number in range(batch):
        part = emit.slice(
            emit.view(value, (1, batch * height, width, depth)), (number * height, 0, 0), (height, width, depth)
        )
        if plane.exchanged:
            made = image(*begun(emit, emit.transpose(part), plane))
            parts.append(emit.copy(emit.transpose(made)))
            continue
        sizes = (plane.rows.size, plane.columns.size)
        part = emit.view(part, (1, *sizes, height * width * depth // prod(sizes)))
        made = image(*begun(emit, part, plane))
        parts.append(emit.view(made, (1, rows.count, columns.count, shape_of(made)[3])))
    return emit.concat(parts, 1)


def begun(emit: Emitter, value: SSAValue, plane: Planes) -> tuple[SSAValue, Planes]:
    """What windows read: not the first rows and columns if they skip these, each n-th if a window is one element."""
    axes, offsets, strides = [plane.rows, plane.columns], [0, 0, 0], [1, 1, 1]
    for at, axis in enumerate(axes):
        if axis.before < 0:
            offsets[at] = -axis.before
            axis = replace(axis, size=axis.size + axis.before, before=0)
        if axis.kernel == 1 and axis.stride > MAX_STRIDE and not (axis.before or axis.after):
            strides[at] = axis.stride
            axis = Axis(axis.count, axis.count)
        axes[at] = axis
    sizes = (*(axis.size for axis in axes), shape_of(value)[3])
    return emit.slice(value, offsets, sizes, strides), replace(plane, rows=axes[0], columns=axes[1])


def slide(emit: Emitter, value: SSAValue, plane: Planes, result_type: TensorType[Any], make: Make) -> SSAValue:
    """The kernels of a window over one image; legality has taken it, but for its strides."""
    rows, columns = plane.rows, plane.columns
    window = Window(
        rows.kernel, columns.kernel, *(rows.stride, columns.stride), *(rows.dilation, columns.dilation),
        top=rows.before, left=columns.before, bottom=rows.after, right=columns.after,
    )  # fmt: skip
    wide = [axis for axis, stride in ((1, rows.stride), (2, columns.stride)) if stride > MAX_STRIDE]
    if not wide:
        return make(value, window, result_type)
    shape = result_type.get_shape()
    forms: list[Form] = []
    for skips in product((True, False), repeat=len(wide)):
        skipped = [axis for axis, skip in zip(wide, skips, strict=True) if skip]
        parts = prod(shape[axis] for axis in wide if axis not in skipped)
        if parts <= MAX_LAUNCHES:
            forms.append(lambda skipped=skipped: _skipped(emit, value, window, result_type, make, skipped))
    return quickest(emit, forms)


def _skipped(
    emit: Emitter, value: SSAValue, window: Window, result_type: TensorType[Any], make: Make, axes: Sequence[int]
) -> SSAValue:
    """A window of less stride along these axes, and every n-th of its results; the rest row by row."""
    shape, steps = list(result_type.get_shape()), [1, 1, 1]
    for axis in axes:
        stride = window.stride_y if axis == 1 else window.stride_x
        less = max(step for step in range(1, MAX_STRIDE + 1) if stride % step == 0)
        steps[axis - 1] = stride // less
        shape[axis] = (shape[axis] - 1) * steps[axis - 1] + 1
        window = replace(window, stride_y=less) if axis == 1 else replace(window, stride_x=less)
    whole = emit.windows(value, window, TensorType(result_type.element_type, shape), make)
    if not axes:
        return whole
    return emit.copy(emit.slice(whole, (0, 0, 0), result_type.get_shape()[1:], steps))
