"""
What operators that move values have in common: the types that they take, their rules, and the tosa that they become.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import SSAValue

from npuc.operators.support import gathering, rules
from npuc.operators.support.builder import Builder, shape_of, tensor_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import ElementName

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
else:
    np, tosa = deferred("numpy", "npuc.dialects.tosa")

TYPES: tuple[ElementName, ...] = ("int8", "uint8", "int16", "int32")
"""Types that are moved, quantised or not."""
RANK = 6
"""Most dimensions."""


def check_gathered(value: SSAValue, shape: Sequence[int], axis: int, indices: Sequence[int]) -> tuple[int, ...]:
    """
    Refuses indices along an axis of a tensor of `shape`, which `value` has become, that many copies would make. Returns
    the shape of what is gathered.
    """
    gathered = (*shape[:axis], len(indices), *shape[axis + 1 :])
    if _is_part(indices):
        return gathered
    piece = gathering.plan(indices)
    count, most = gathering.copies(piece), rules.MAX_LAUNCHES
    rules.require(count <= most, f"indices must be gathered by at most {most} copies, not {count}", value)
    return gathered


def gather(build: Builder, value: SSAValue, axis: int, indices: Sequence[int]) -> SSAValue:
    """The elements at `indices` along one axis, in this order; `value` itself where that is all of it."""
    shape = shape_of(value)
    if _is_part(indices):
        start, size = [0] * len(shape), list(shape)
        start[axis], size[axis] = indices[0], len(indices)
        return build.slice(value, start, size)
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    seen = build.reshape(value, (outer, shape[axis], inner))
    places = build.array(np.tile(np.array(indices, np.int32), (outer, 1)), i32)
    result = TensorType(tensor_type(value).element_type, [outer, len(indices), inner])
    gathered = build.insert(tosa.GatherOp.build(operands=[seen, places], result_types=[result]))
    return build.reshape(gathered, (*shape[:axis], len(indices), *shape[axis + 1 :]))


def _is_part(indices: Sequence[int]) -> bool:
    """Whether the elements follow each other."""
    return all(index == indices[0] + at for at, index in enumerate(indices))


def transpose(build: Builder, value: SSAValue, order: Sequence[int]) -> SSAValue:
    """Dimension i of the result is dimension `order[i]`; `value` itself where all stay."""
    if list(order) == sorted(order):
        return value
    type_ = tensor_type(value)
    shape = [type_.get_shape()[axis] for axis in order]
    return build.insert(tosa.TransposeOp(value, order, TensorType(type_.element_type, shape)))


def concat(build: Builder, values: Sequence[SSAValue], axis: int) -> SSAValue:
    """Values one behind the other along an axis."""
    if len(values) == 1:
        return values[0]
    shape = list(shape_of(values[0]))
    shape[axis] = sum(shape_of(value)[axis] for value in values)
    return build.insert(tosa.ConcatOp(values, axis, TensorType(tensor_type(values[0]).element_type, shape)))
