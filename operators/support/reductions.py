"""
Which pools reduce a tensor over some of its axes: plain data, of which both the rules and the lowerings are made;
and the kernels of sums and extremes.

A pool goes over the rows and columns of a map, with a window of its whole height, width or both, or over its depth.
Neighbouring axes are one axis of a view, so that one pool does for them; axes apart need one pool each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from xdsl.dialects.builtin import TensorType, i8, i16, i32
from xdsl.ir import Attribute, SSAValue

from npuc.dialects import tfl
from npuc.dialects.npu import Scale, Window
from npuc.hardware.limits import CONVOLUTION, MAX_EXTENT, POOL
from npuc.operators.support import rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, Emitter, feature_map_shape, folded, tensor
from npuc.operators.support.quantized import QuantizedEmitter, numbers, quantized

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import npu_schedule
else:
    np, npu_schedule = deferred("numpy", "npuc.dialects.npu_schedule")


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Reduction:
    """One pool that reduces."""

    ifm: tuple[int, int, int, int]
    """The map as which it sees its operand, 1 x H x W x C."""
    window: tuple[int, int] | None
    """Rows and columns, all or one; None: over the depth."""

    @property
    def ofm(self) -> tuple[int, int, int, int]:
        """The map that it makes."""
        _, height, width, depth = self.ifm
        if self.window is None:
            return 1, height, width, 1
        return 1, height // self.window[0], width // self.window[1], depth

    @property
    def count(self) -> int:
        """So many elements become one."""
        return prod(self.ifm) // prod(self.ofm)


def neighbours(shape: Sequence[int], axes: Collection[int]) -> list[list[int]]:
    """Those of `axes` that are longer than 1, outermost first, in lists of neighbours; axes of 1 are no hindrance."""
    groups: list[list[int]] = []
    apart = True
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if axis not in axes:
            apart = True
        elif apart:
            groups.append([axis])
            apart = False
        else:
            groups[-1].append(axis)
    return groups


def one_pool(shape: Sequence[int], axes: Collection[int]) -> Reduction | None:
    """
    The reduction over `axes`, which are neighbours or all that there is of a map's rows and columns; None if no pool
    does that.
    """
    wide = {axis for axis in axes if shape[axis] > 1}
    map_ = feature_map_shape(shape)
    last = len(shape) - 1
    rows = {axis for axis in range(last - 1) if shape[axis] > 1}
    columns, depth = last - 1 in wide, last in wide
    if not depth and (rows <= wide or not rows & wide):
        window = (map_[1] if rows & wide else 1, map_[2] if columns else 1)
        if _fits(window, POOL):
            return _possible(Reduction(map_, window))
    if wide == {last}:
        return _possible(Reduction(map_, None))
    groups = neighbours(shape, axes)
    if len(groups) != 1:
        return None
    outer, count = prod(shape[: groups[0][0]]), prod(shape[axis] for axis in groups[0])
    inner = prod(shape) // (outer * count)
    if inner == 1:
        return _possible(Reduction((1, *folded(outer), count), None))
    return _possible(Reduction((1, outer, count, inner), (1, count))) if count <= POOL[1] else None


def _fits(window: tuple[int, int], limits: tuple[int, int]) -> bool:
    return window[0] <= limits[0] and prod(window) <= limits[1]


def _possible(reduction: Reduction) -> Reduction | None:
    return reduction if max(reduction.ifm) <= MAX_EXTENT else None


def reduced(shape: Sequence[int], axes: Collection[int]) -> Shape:
    """`shape` with 1 in place of `axes`."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def sums(shape: Sequence[int], axes: Collection[int], fitting: int) -> tuple[Reduction, ...] | None:
    """
    The pools that sum over `axes`: one, or two of which the first makes whole sums; None where that is not possible.

    The sum of up to `fitting` elements fits 16 bits, which is as wide as a pool over a window makes it. Of more a
    convolution must make it, in 32 bits, which only a sum over the depth reads.
    """
    whole = one_pool(shape, axes)
    if whole is not None:
        return (whole,)
    groups = neighbours(shape, axes)
    if len(groups) != 2:
        return None
    possible: list[tuple[Reduction, Reduction]] = []
    for first, second in (groups, groups[::-1]):
        before = one_pool(shape, first)
        after = one_pool(reduced(shape, first), second)
        if before is not None and after is not None:
            possible.append((before, after))
    for before, after in possible:
        if before.count <= fitting:
            return before, after
    for before, after in possible:
        window = before.window
        if (
            after.window is None
            and window is not None
            and window[0] <= CONVOLUTION[0]
            and prod(window) <= CONVOLUTION[1]
        ):
            return before, after
    return None


def extremes(shape: Sequence[int], axes: Collection[int]) -> tuple[Reduction, ...] | None:
    """The reductions to the greatest (or least) over `axes`; None where that is not possible. The depth is the last."""
    last = len(shape) - 1
    reductions: list[Reduction] = []
    left = tuple(shape)
    before = set(axes) - {last}
    groups = neighbours(shape, before) if one_pool(shape, before) is None else [list(before)]
    for group in (*groups, [last] if last in axes else []):
        if all(left[axis] == 1 for axis in group):
            continue
        reduction = one_pool(left, group)
        if reduction is None:
            return None
        reductions.append(reduction)
        left = reduced(left, group)
    return tuple(reductions)


# Rules and kernels


def check(op: tfl.ReducerOp) -> set[int]:
    """What holds for every reduction: the axes, counted from the front."""
    shape = rules.shape(op.input)
    axes = {rules.axis_of(axis, len(shape), op.axis) for axis in rules.integers(op.axis, "the axes must be constant")}
    rules.require(bool(axes), f"{rules.operator_name(op)} must be over at least one axis", op.input)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or op.keep_dims]
    rules.require_shape(op.output, kept)
    return axes


def axes_of(op: tfl.ReducerOp) -> set[int]:
    """The axes of a reduction that has been checked."""
    return {axis % len(shape_of(op.input)) for axis in numbers(op.axis)}


def check_sums(op: tfl.ReducerOp, axes: Collection[int]) -> None:
    """Pools sum over these axes."""
    pools = sums(rules.shape(op.input), axes, _fitting(op.input))
    rules.require(
        pools is not None, "axes that are apart must have sums that fit 16 bits, or end with the depth", op.input
    )


def emit_sums(emit: QuantizedEmitter, op: tfl.ReducerOp, axes: Collection[int], scale: Scale) -> SSAValue:
    """Sums over `axes` of values less their zero point, scaled to the result's storage."""
    source, target = quantized(op.input), quantized(op.output)
    fitting = _fitting(op.input)
    pools = sums(shape_of(op.input), axes, fitting)
    assert pools is not None
    value, zero_point = emit.storage(op.input), source.zero_point
    for pool in pools[:-1]:
        ifm = emit.view(value, pool.ifm)
        if pool.count <= fitting:
            value = _emit_sum(emit, pool, ifm, i16, (zero_point, 0), IDENTITY)
        else:
            value = _emit_ones(emit, pool, ifm, zero_point)
        zero_point = 0
    ifm = emit.view(value, pools[-1].ifm)
    return _emit_sum(emit, pools[-1], ifm, target.storage_type, (zero_point, target.zero_point), scale)


def _emit_sum(
    emit: Emitter, pool: Reduction, ifm: SSAValue, element_type: Attribute, zero_points: tuple[int, int], scale: Scale
) -> SSAValue:
    """The pool that sums: over the depth, or by an average without padding, whose scale is all that divides it."""
    ofm: TensorType[Any] = TensorType(element_type, list(pool.ofm))
    if pool.window is None:
        return emit.pool("sum", ifm, ofm, zero_points=zero_points, scale=scale)
    return emit.pool("average", ifm, ofm, window=Window(*pool.window), zero_points=zero_points, scale=scale)


def _emit_ones(emit: Emitter, pool: Reduction, ifm: SSAValue, zero_point: int) -> SSAValue:
    """Sums over a window in 32 bits."""
    assert pool.window is not None
    depth = pool.ofm[3]
    return emit.convolution(
        npu_schedule.DepthwiseConv2DOp,
        ifm,
        emit.constant(np.ones((depth, *pool.window, 1), np.int8), i8),
        emit.scales(np.zeros(depth), np.ones(depth), np.zeros(depth)),
        TensorType(i32, list(pool.ofm)),
        window=Window(*pool.window),
        zero_points=(zero_point, 0),
        rounding=Scale("natural"),
    )


def _fitting(value: SSAValue) -> int:
    """So many values of a tensor, less its zero point, have a sum that fits 16 bits."""
    least, greatest = rules.values(value)
    return ((1 << 15) - 1) // max(-least, greatest)


def emit_extreme(emit: Emitter, kind: Literal["max", "min"], reduction: Reduction, value: SSAValue) -> SSAValue:
    """
    The greatest (or least) values. There is a pool for the greatest, which takes a depth for columns, one channel deep.
    The least is found by halves of a map, two at a time.
    """
    value = emit.view(value, reduction.ifm)
    if kind == "max":
        if reduction.window is not None:
            return _emit_max(emit, value, reduction.window)
        _, height, width, depth = reduction.ifm
        rows = MAX_EXTENT // width
        parts: list[SSAValue] = []
        for first in range(0, height, rows):
            count = min(rows, height - first)
            some = emit.slice(value, (first, 0, 0), (count, width, depth))
            most = _emit_max(emit, emit.view(some, (1, count * width, depth, 1)), (1, depth))
            parts.append(emit.view(most, (1, count, width, 1)))
        return emit.concat(parts, 1)
    for axis in range(1, 4):
        while (size := shape_of(value)[axis]) > reduction.ofm[axis]:
            shape, offsets = list(shape_of(value)[1:]), [0, 0, 0]
            shape[axis - 1] = -(-size // 2)
            # The middle of an odd number is in both halves, which changes nothing.
            first = emit.slice(value, offsets, shape)
            offsets[axis - 1] = size - shape[axis - 1]
            second = emit.slice(value, offsets, shape)
            value = emit.elementwise(kind, first, second, TensorType(tensor(value).element_type, [1, *shape]))
    return value


def _emit_max(emit: Emitter, ifm: SSAValue, window: tuple[int, int]) -> SSAValue:
    """A MAX pool whose windows lie side by side, or are the whole extent."""
    _, height, width, depth = shape_of(ifm)
    ofm: TensorType[Any] = TensorType(tensor(ifm).element_type, [1, height // window[0], width // window[1], depth])
    return emit.pool("max", ifm, ofm, window=Window(*window))
