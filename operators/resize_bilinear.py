"""
RESIZE_BILINEAR, in whichever of three forms is exact and has the fewest kernels.

LiteRT interpolates the stored integers between four neighbours and rounds once, ties away from zero: of signed types in
integers with positions in 1/1024, of uint8 in float32. Positions in 1/32, as factors of 2, 4, 8 and 16 give with
centres anywhere, are *exact* in both.

- Growing by 2 or 4 along both axes from the corner: elements repeated by pools, then an average of factor x factor.
- Other exact positions: they repeat after some elements of the result, which is so many kernels of two neighbours each,
  or of four; 8 bits go along one axis first, into 16 bits, where that is fewer kernels. What lies beyond the edge is
  copied from it.
- Any positions, int8 alone: products and sums in 32 bits, of rows and columns that are copied to where they are
  needed. Worth it for small maps only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple

from xdsl.dialects.builtin import TensorType, i8, i16, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Scale, Window
from npuc.hardware.limits import MAX_STRIDE
from npuc.operators.support import gathering, resizing, rules
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, Emitter, shape_of, tensor
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import npu_schedule
else:
    np, npu_schedule = deferred("numpy", "npuc.dialects.npu_schedule")

UNIT = 1024
"""Parts of the distance between neighbours that positions are counted in."""
FINEST = {8: 32, 16: 16}
"""
By the bits of an element: positions in this part of the distance, or coarser, are exact in float32, in a sum of 16 bits
along one axis, and in weights of 8 bits.
"""
LARGEST_FACTOR = 4
"""Beyond it a kernel for each phase costs less than an average over so many elements."""
ELEMENTS_A_COPY = 32
"""So many elements of the result pay for the launch of a copy, where rows and columns are moved for 32-bit products."""


@irdl_op_definition
class ResizeBilinearOp(tfl.ResizeOp):
    """Of the four nearest elements the mean, weighted by their distance."""

    name = "tfl.resize_bilinear"


class Axis(NamedTuple):
    """One axis: its size before, and where each element of the result lies in it, in 1/1024."""

    before: int
    positions: tuple[int, ...]

    @property
    def after(self) -> int:
        return len(self.positions)

    @property
    def pairs(self) -> list[tuple[int, int, int]]:
        """For each element of the result the two source indices, and the share of the second in 1/1024."""
        pairs: list[tuple[int, int, int]] = []
        for position in self.positions:
            low, share = divmod(position, UNIT)
            first, second = max(low, 0), min(low + (share > 0), self.before - 1)
            pairs.append((first, second, share if first != second else 0))
        return pairs

    @property
    def indices(self) -> list[int] | None:
        """The source indices, if no element of the result lies between two."""
        pairs = self.pairs
        return None if any(share for _, _, share in pairs) else [first for first, _, _ in pairs]

    @property
    def parts(self) -> int:
        """The largest part of 1/1024, in which all positions are: their common denominator."""
        return UNIT // gcd(UNIT, *self.positions)

    @property
    def step(self) -> int:
        """Distance of the positions, which is the same everywhere."""
        return self.positions[1] - self.positions[0] if self.after > 1 else UNIT


def _axes(op: ResizeBilinearOp) -> list[Axis] | None:
    """Height and width; None if LiteRT's positions are no multiples of 1/1024."""
    unsigned = not rules.element(op.input).data.signed
    axes: list[Axis] = []
    for before, after in resizing.sizes(op):
        positions = (_float_positions if unsigned else _integer_positions)(op, before, after)
        if positions is None:
            return None
        axes.append(Axis(before, tuple(positions)))
    return axes


def _integer_positions(op: ResizeBilinearOp, before: int, after: int) -> list[int]:
    """Positions as LiteRT computes them for signed types: with the distance rounded to 1/1024."""
    step = (UNIT * before + after // 2) // after
    if op.align_corners and after > 1:
        step = (UNIT * (before - 1) + (after - 1) // 2) // (after - 1)
    start = step // 2 - UNIT // 2 if op.half_pixel_centers else 0
    return [start + at * step for at in range(after)]


def _float_positions(op: ResizeBilinearOp, before: int, after: int) -> list[int] | None:
    """Positions as LiteRT computes them for uint8, in float32; None if they are no multiples of 1/1024."""
    scale = np.float32(before) / np.float32(after)
    if op.align_corners and after > 1:
        scale = np.float32(before - 1) / np.float32(after - 1)
    position = np.arange(after).astype(np.float32)
    half = np.float32(0.5)
    position = (position + half) * scale - half if op.half_pixel_centers else position * scale
    scaled = position.astype(np.float64) * UNIT
    positions = scaled.astype(np.int64)
    steps = np.diff(positions)
    if (positions != scaled).any() or (steps != steps[:1]).any():
        return None
    return [int(at) for at in positions]


def check(op: ResizeBilinearOp) -> None:
    resizing.check(op)
    axes = _axes(op)
    element = rules.element(op.input).data
    exact = axes is not None and _is_exact(axes, element.storage_width)
    if not exact and (element.storage_width == 16 or not element.signed):
        name = rules.operator_name(op)
        finest = FINEST[element.storage_width]
        rules.refuse(f"{name} of uint8 and int16 must have positions in 1/{finest} (powers of two)", op.output)
    assert axes is not None
    inside = all(pair[0] < axis.before for axis in axes for pair in axis.pairs)
    rules.require(inside, "no position may be beyond the last element", op.output)
    rules.require(rules.shape(op.input)[0] <= rules.MAX_LAUNCHES, f"at most {rules.MAX_LAUNCHES} batches", op.input)
    if exact:
        _check_exact(op, axes)
    else:
        _check_products(op, axes)


def _is_exact(axes: Sequence[Axis], bits: int) -> bool:
    return all(axis.indices is not None or axis.parts <= FINEST[bits] for axis in axes)


def _check_exact(op: ResizeBilinearOp, axes: Sequence[Axis]) -> None:
    resizing.check_pieces(op, _moved(axes))
    phases = [_phases(axis) if axis.indices is None else None for axis in axes]
    down, across = (1 if one is None else len(one.shares) for one in phases)
    wide = rules.element(op.input).data.storage_width == 16
    count, most = _kernels(down, across, wide), rules.MAX_LAUNCHES
    rules.require(count <= most, f"neighbours must be weighted by at most {most} kernels, not {count}", op.output)
    _, height, width, depth = rules.shape(op.input)
    made = [(0, 0) if one is None else (len(one.indices), one.length * len(one.shares)) for one in phases]
    heights, widths = (max(size, axis.after, *one) for size, axis, one in zip((height, width), axes, made, strict=True))
    _require_addressable(op, heights, widths * down, depth * across)


def _check_products(op: ResizeBilinearOp, axes: Sequence[Axis]) -> None:
    batch, height, width, depth = rules.shape(op.input)
    pieces = [[gathering.plan([pair[at] for pair in axis.pairs]) for at in (0, 1)] for axis in axes]
    count = batch * sum(gathering.copies(piece) for both in pieces for piece in both)
    most, worth = rules.MAX_LAUNCHES, ELEMENTS_A_COPY
    rules.require(count <= most, f"rows and columns must be moved by at most {most} copies, not {count}", op.output)
    enough = math.prod(rules.shape(op.output)) >= worth * count
    rules.require(enough, f"the result must have {worth} elements for each of {count} copies", op.output)
    # 32-bit elements are moved as two of 16 bits.
    _require_addressable(op, max(height, axes[0].after), max(width, axes[1].after), 2 * depth)


def _require_addressable(op: ResizeBilinearOp, *sizes: int) -> None:
    limit = rules.MAX_DIMENSION
    rules.require(max(sizes) <= limit, f"maps must have at most {limit} rows, columns and channels", op.output)


def _moved(axes: Sequence[Axis]) -> list[list[int]]:
    """The source indices of rows and columns that are moved as they are; all of them where there are neighbours."""
    return [list(range(axis.before)) if axis.indices is None else axis.indices for axis in axes]


def lower(op: ResizeBilinearOp, emit: QuantizedEmitter) -> None:
    """Replace a resize by its kernels, image by image."""
    value = emit.storage(op.input)
    axes = _axes(op)
    assert axes is not None
    batch, height, width, depth = shape_of(value)
    images: list[SSAValue] = []
    seen = emit.view(value, (1, batch * height, width, depth))
    for number in range(batch):
        image = emit.slice(seen, (number * height, 0, 0), (height, width, depth))
        resized = _image(op, emit, image, axes)
        images.append(emit.copy(resized) if batch > 1 or resized is image else resized)
    emit.replace([emit.concat(images, 1)])


def _image(op: ResizeBilinearOp, emit: Emitter, image: SSAValue, axes: Sequence[Axis]) -> SSAValue:
    lists = [axis.indices for axis in axes]
    if not _is_exact(axes, tensor(image).element_type.width.data):
        return _products(emit, image, axes)
    factor = _factor(axes)
    if factor is not None:
        return _average(emit, image, axes, factor)
    form = resizing.doubled([one for one in lists if one is not None]) if None not in lists else None
    if form is not None:
        return resizing.double(emit, image, form, (axes[0].after, axes[1].after))
    moved = resizing.pieces(op, _moved(axes))
    for axis, piece in moved:
        if axes[axis - 1].after <= axes[axis - 1].before:
            image = gathering.gather(emit, image, axis, piece, shape_of(image)[3])
    if None in lists:
        between = [axis if one is None else None for one, axis in zip(lists, axes, strict=True)]
        image = _interpolated(emit, image, between)
    for axis, piece in moved:
        if axes[axis - 1].after > axes[axis - 1].before:
            image = gathering.gather(emit, image, axis, piece, shape_of(image)[3])
    return image


# Repeated elements and an average


def _factor(axes: Sequence[Axis]) -> int | None:
    """By how much both axes grow from the corner, 2 or 4; None if they do not, or by more."""
    factor = UNIT // axes[0].step if axes[0].step else 0
    for axis in axes:
        if axis.before == 1 or axis.positions[0] or axis.step * factor != UNIT:
            return None
        if axis.after not in (axis.before * factor, (axis.before - 1) * factor + 1):
            return None
    return factor if 2 <= factor <= LARGEST_FACTOR else None


def _average(emit: Emitter, image: SSAValue, axes: Sequence[Axis], factor: int) -> SSAValue:
    """
    An average over factor x factor of elements that are repeated so often: the shares of neighbours are how many of
    each the window holds. At the edge it holds fewer, all alike along that axis.
    """
    steps = factor.bit_length() - 2
    grown = (axes[0].before << steps, axes[1].before << steps)
    image = resizing.double(emit, image, resizing.Doubled(steps, (0, 0)), grown)
    bottom, right = (factor - 1 if axis.after == axis.before * factor else 0 for axis in axes)
    window = Window(factor, factor, upscale="nearest", bottom=bottom, right=right)
    result_type = TensorType(tensor(image).element_type, [1, axes[0].after, axes[1].after, shape_of(image)[3]])
    scale = None if bottom or right else _divided(factor * factor)
    return emit.pool("average", image, result_type, window=window, scale=scale)


def _divided(divisor: int) -> Scale:
    """
    A division by a power of two with ties away from zero: one above the power of two that is the multiplier moves ties
    outwards and nothing else, as sums have at most 24 bits.
    """
    return Scale("natural", (1 << 30) + 1, 30 + divisor.bit_length() - 1)


# Neighbours at positions that repeat


class Phases(NamedTuple):
    """
    An axis of which every so many elements of the result lie alike between their neighbours: for each of these phases
    where it begins in `indices`, the source indices that are read, and the share of the second neighbour.
    """

    indices: list[int]
    starts: list[int]
    shares: list[int]
    parts: int
    stride: int
    length: int
    """Elements of the result that each phase makes."""
    after: int


def _phases(axis: Axis) -> Phases:
    parts, step = axis.parts, axis.step
    period = min(UNIT // gcd(step, UNIT), axis.after)
    count = -(-axis.after // period)
    stride = step * period // UNIT if count > 1 else 1
    lows = [(axis.positions[0] + at * step) // UNIT for at in range(period)]
    shares = [(axis.positions[0] + at * step) % UNIT * parts // UNIT for at in range(period)]
    if stride <= MAX_STRIDE:
        needed = list(range(lows[0], max(lows) + (count - 1) * stride + 2))
        starts = [low - lows[0] for low in lows]
    else:
        needed = [low + at * stride + one for low in lows for at in range(count) for one in (0, 1)]
        starts = [2 * count * at for at in range(period)]
        stride = 2
    indices = [min(max(index, 0), axis.before - 1) for index in needed]
    return Phases(indices, starts, shares, parts, stride, count, axis.after)


def _interpolated(emit: Emitter, image: SSAValue, axes: Sequence[Axis | None]) -> SSAValue:
    """The image interpolated along its axes (None: as it is)."""
    phases: list[Phases] = []
    for number, axis in enumerate(axes, 1):
        size = shape_of(image)[number]
        if axis is None:
            phases.append(Phases(list(range(size)), [0], [0], 1, 1, size, size))
            continue
        phases.append(_phases(axis))
        if phases[-1].indices != list(range(size)):
            image = gathering.gather(emit, image, number, gathering.plan(phases[-1].indices), shape_of(image)[3])
    rows, columns = phases
    type_ = tensor(image).element_type
    down, across, wide = len(rows.shares), len(columns.shares), type_.width.data == 16
    if _kernels(down, across, wide) == down * across:
        return _both(emit, image, rows, columns, type_, rows.parts * columns.parts)
    alike = Phases([], [0], [0], 1, 1, shape_of(image)[2], shape_of(image)[2])
    between = _both(emit, image, rows, alike, i16, 1)
    alike = Phases([], [0], [0], 1, 1, rows.after, rows.after)
    return _both(emit, between, alike, columns, type_, rows.parts * columns.parts)


def _kernels(down: int, across: int, wide: bool) -> int:
    """
    Kernels for so many phases of rows and of columns: of both at once, or of one axis after the other, where that is
    fewer and the sums of the first fit 16 bits.
    """
    return down * across if wide else min(down * across, down + across)


def _both(emit: Emitter, image: SSAValue, rows: Phases, columns: Phases, type_: Any, divisor: int) -> SSAValue:
    """The image at all phases of the rows and of the columns, weighted sums by `divisor`."""
    # Rows in turn fill whole rows: then columns stay together.
    split = [columns] if len(rows.shares) > 1 else _complete_and_rest(columns)
    bands: list[SSAValue] = []
    for some_rows in _complete_and_rest(rows):
        fields = [_in_turn(emit, image, some_rows, some, type_, divisor) for some in split]
        bands.append(emit.concat(fields, 2))
    return emit.concat(bands, 1)


def _complete_and_rest(phases: Phases) -> list[Phases]:
    """
    The elements of the result that every phase has, and those of some phases alone, where they are fewer than what the
    other phases would make in vain beside them: one where corners are aligned.
    """
    period, complete = len(phases.shares), phases.length - 1
    rest = phases.after - complete * period
    if not complete or rest >= period - rest:
        return [phases]
    starts = [start + complete * phases.stride for start in phases.starts[:rest]]
    return [
        phases._replace(length=complete, after=complete * period),
        phases._replace(starts=starts, shares=phases.shares[:rest], length=1, after=rest),
    ]


def _in_turn(emit: Emitter, image: SSAValue, rows: Phases, columns: Phases, type_: Any, divisor: int) -> SSAValue:
    """A kernel for each phase of the rows and each of the columns, which write their sums by `divisor` in turn."""
    depth = shape_of(image)[3]
    lines: list[SSAValue] = []
    for start_y, share_y in zip(rows.starts, rows.shares, strict=True):
        parts: list[SSAValue] = []
        for start_x, share_x in zip(columns.starts, columns.shares, strict=True):
            weights = np.outer(_weights(rows, share_y), _weights(columns, share_x))
            # So that weights fit 8 bits.
            common = gcd(divisor, *weights.reshape(-1).tolist())
            weights, scale = weights // common, _divided(divisor // common)
            window = Window(*weights.shape, stride_y=rows.stride, stride_x=columns.stride)
            size = (
                (rows.length - 1) * rows.stride + window.height,
                (columns.length - 1) * columns.stride + window.width,
                depth,
            )
            part = emit.slice(image, (start_y, start_x, 0), size)
            result_type = TensorType(type_, [1, rows.length, columns.length, depth])
            parts.append(_weighted(emit, part, weights, window, result_type, scale))
        line = emit.concat(parts, 3)
        lines.append(emit.view(line, (1, rows.length, columns.length * len(parts), depth)))
    # Rows in turn are columns side by side.
    width = shape_of(lines[0])[2]
    whole = emit.view(emit.concat(lines, 2), (1, rows.length * len(lines), width, depth))
    kept = emit.slice(whole, (0, 0, 0), (rows.after, columns.after, depth))
    return whole if kept is whole else emit.copy(kept)


def _weights(phases: Phases, share: int) -> Any:
    return np.array([phases.parts] if phases.parts == 1 else [phases.parts - share, share])


def _weighted(
    emit: Emitter, ifm: SSAValue, weights: Any, window: Window, result_type: TensorType[Any], scale: Scale
) -> SSAValue:
    """The same weighted sum in each channel, times the scale."""
    depth = shape_of(ifm)[3]
    zero_point = -128 if weights.max() > 127 else 0
    stored = np.broadcast_to((weights + zero_point).astype(np.int8)[None, :, :, None], (depth, *weights.shape, 1))
    return emit.convolution(
        npu_schedule.DepthwiseConv2DOp,
        ifm,
        emit.constant(np.ascontiguousarray(stored), i8),
        emit.scales(np.zeros(depth), np.full(depth, scale.multiplier), np.full(depth, scale.shift)),
        result_type,
        window=window,
        zero_points=(0, 0),
        rounding=Scale("natural"),
        weight_zero_point=zero_point,
    )


# Any positions


def _products(emit: Emitter, image: SSAValue, axes: Sequence[Axis]) -> SSAValue:
    """
    Rows and then columns brought to where they are needed, times the shares of both neighbours, in 32 bits. The sum is
    2^21 times the result; multiplied by 2^30 the first rounding gives half of it exactly, and the second divides by
    2^20 with ties away from zero.
    """
    element_type, depth = tensor(image).element_type, shape_of(image)[3]
    value = emit.pool("average", image, TensorType(i16, list(shape_of(image))), scale=IDENTITY)
    for number, axis in enumerate(axes, 1):
        shape = [1, 1, 1, 1]
        shape[number] = axis.after
        terms: list[SSAValue] = []
        for which in (0, 1):
            piece = gathering.plan([pair[which] for pair in axis.pairs])
            neighbours = gathering.gather(emit, value, number, piece, depth)
            shares = [pair[2] if which else UNIT - pair[2] for pair in axis.pairs]
            # The columns' shares are doubled.
            factors = emit.constant(number * np.array(shares, (np.int16, np.int32)[number - 1]).reshape(shape))
            result_type = TensorType(i32, list(shape_of(neighbours)))
            terms.append(emit.elementwise("mul", neighbours, factors, result_type, scale=IDENTITY))
        value = emit.elementwise("add", terms[0], terms[1], TensorType(i32, list(shape_of(terms[0]))), scale=IDENTITY)
    factor = emit.constant(np.full((1, 1, 1, 1), 1 << 30, np.int32))
    result_type = TensorType(element_type, [1, axes[0].after, axes[1].after, depth])
    return emit.elementwise("mul", value, factor, result_type, scale=Scale("double_round", 1, 51))


OPERATORS = (
    Operator(
        op=ResizeBilinearOp,
        kernels="pools over a doubled map and an average; depthwise kernels of neighbours; products in 32 bits",
        check=check,
        lower=lower,
        arguments=("size",),
        batches=True,
    ),
)
