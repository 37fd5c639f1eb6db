"""
Data movement: reshape, concat, slice, pad, tile, transpose, reverse, gather.

A slice is a view followed by a copy, and each operand of a concat is copied to its place: always right, whatever is
on either side. `npu-schedule-fold-views` takes out the copies that are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.storage import base_of
from npuc.dialects import tosa
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.npu import Element
from npuc.lowering.tosa_to_npu_schedule.common import constant, numbers, scalar, shape_numbers
from npuc.operators.support.gathering import gather, plan
from npuc.operators.support.kernels import Emitter, feature_map_shape, shape_of, tensor
from npuc.operators.support.permutation import permute


def lower_reshape(op: tosa.ReshapeOp, emit: Emitter) -> None:
    """Replace a reshape by a view."""
    emit.replace([emit.view(op.input1, shape_of(op.output))])


def lower_concat(op: tosa.ConcatOp, emit: Emitter) -> None:
    """Replace a concat by copies and a view."""
    emit.replace([join(emit, list(op.input1), op.axis.value.data)])


def lower_slice(op: tosa.SliceOp, emit: Emitter) -> None:
    """Replace a slice by a view and a copy."""
    start = shape_numbers(op.start, "the start of a slice")
    emit.replace([cut(emit, op.input1, start, shape_of(op.output))])


def lower_pad(op: tosa.PadOp, emit: Emitter) -> None:
    """Replace a pad by a concat with constants for each padded axis, innermost first."""
    import numpy as np

    counts = shape_numbers(op.padding, "the padding")
    fill = scalar(op.pad_const, "the value of the padding")
    element_type = tensor(op.input1).element_type
    value: SSAValue = op.input1
    for axis in reversed(range(len(shape_of(value)))):
        borders: list[list[SSAValue]] = []
        for count in counts[2 * axis : 2 * axis + 2]:
            shape = [*shape_of(value)[:axis], count, *shape_of(value)[axis + 1 :]]
            block = np.full(shape, fill, numpy_dtype(element_type))
            borders.append([emit.constant(block, element_type)] if count else [])
        value = join(emit, [*borders[0], value, *borders[1]], axis)
    emit.replace([value])


def lower_tile(op: tosa.TileOp, emit: Emitter) -> None:
    """Replace a tile by copies side by side, along the innermost axis first, where there is least to copy."""
    counts = shape_numbers(op.multiples, "the multiples of a tile")
    value: SSAValue = op.input1
    for axis in reversed(range(len(counts))):
        value = _repeated(emit, value, counts[axis], axis)
    emit.replace([value])


def _repeated(emit: Emitter, value: SSAValue, count: int, axis: int) -> SSAValue:
    """A tensor so many times along an axis, by doubling: half of the result is copied to be the other half."""
    if count == 1:
        return value
    half = _repeated(emit, value, count // 2, axis)
    return join(emit, [half, half, value] if count % 2 else [half, half], axis)


def lower_transpose(op: tosa.TransposeOp, emit: Emitter) -> None:
    """Replace a transpose by copies under exchanged strides, see `permutation`."""
    size = Element.of(tensor(op.input1).element_type).size
    emit.replace([permute(emit, op.input1, numbers(op.perms), size)])


def lower_reverse(op: tosa.ReverseOp, emit: Emitter) -> None:
    """Replace a reverse by a copy that is written backwards; channels are seen as columns for that."""
    seen, at = axis_shape(shape_of(op.input1), op.axis.value.data)
    if at == 3:
        seen, at = (1, prod(seen[:3]), seen[3], 1), 2
    offsets, steps = [0, 0, 0], [1, 1, 1]
    offsets[at - 1], steps[at - 1] = seen[at] - 1, -1
    emit.replace([emit.slice(emit.copy(emit.view(op.input1, seen)), offsets, seen[1:], steps)])


def lower_gather(op: tosa.GatherOp, emit: Emitter) -> None:
    """Replace a gather by constant indices, which may differ by batch, by a copy for each even run of them."""
    indices = constant(op.indices, "the indices of a gather")
    batch, count, channels = shape_of(op.values)
    if ((indices < 0) | (indices >= count)).any():
        raise PassFailedException(f"a gather of {count} elements reads beyond them")
    # The channels of what has been reshaped to three dimensions stay channels.
    depth = (shape_of(base_of(op.values)) or (1,))[-1]
    if (indices == indices[0]).all():
        emit.replace([gather(emit, op.values, 1, plan(indices[0].tolist()), depth)])
        return
    parts: list[SSAValue] = []
    for number in range(batch):
        part = cut(emit, op.values, (number, 0, 0), (1, count, channels))
        parts.append(gather(emit, part, 1, plan(indices[number].tolist()), depth))
    emit.replace([join(emit, parts, 0)])


def axis_shape(shape: Sequence[int], axis: int) -> tuple[tuple[int, ...], int]:
    """A shape 1 x H x W x C in which one axis of a tensor of any rank is a dimension by itself, and which it is."""
    padded = (1,) * (4 - len(shape)) + tuple(shape)
    at = axis + len(padded) - len(shape)
    from_end = len(padded) - at
    if from_end <= 2 or (from_end == 3 and prod(padded[:at]) == 1):
        return feature_map_shape(shape), 4 - from_end
    return (1, prod(padded[:at]), padded[at], prod(padded[at + 1 :])), 2


def join(emit: Emitter, values: Sequence[SSAValue], axis: int) -> SSAValue:
    """Tensors of any rank one after the other along `axis`, in that rank; each is copied."""
    if len(values) == 1:
        return values[0]
    parts: list[SSAValue] = []
    at = 0
    for value in values:
        shape, at = axis_shape(shape_of(value), axis)
        parts.append(emit.copy(emit.view(value, shape)))
    joined = list(shape_of(values[0]))
    joined[axis] = sum(shape_of(v)[axis] for v in values)
    return emit.view(emit.concat(parts, at), joined)


def cut(emit: Emitter, value: SSAValue, start: Sequence[int], size: Sequence[int]) -> SSAValue:
    """A box of a tensor of any rank, copied."""
    shape = shape_of(value)
    if prod(shape[:-3]) == 1:
        offsets, sizes = ((0,) * 3 + tuple(start))[-3:], ((1,) * 3 + tuple(size))[-3:]
        part = emit.slice(emit.feature_map(value), offsets, sizes)
        return emit.view(emit.copy(part), size)
    for axis, (first, count) in enumerate(zip(start, size, strict=True)):
        shape = shape_of(value)
        if count != shape[axis]:
            seen, at = axis_shape(shape, axis)
            offsets, sizes = [0, 0, 0], list(seen[1:])
            offsets[at - 1], sizes[at - 1] = first, count
            part = emit.copy(emit.slice(emit.view(value, seen), offsets, sizes))
            value = emit.view(part, [*shape[:axis], count, *shape[axis + 1 :]])
    return value
