"""
`npu-schedule-tabulate`: what several kernels make of one 8-bit value is one table of it.

Assumes: nothing is decided about the kernels yet.
Decides: where a kernel and those before it work value by value, also with two operands, and all of it comes from one
feature map (x * f(x) is the least of this kind), a table that is computed here takes their place, if nothing else reads
what lies between. A single elementwise kernel becomes a table where the kernel before it, whose only reader it is, can
look that up itself, which `npu-schedule-collapse-luts` then lets it do.
Leaves: operands that differ from element to element, results that others read too, other widths, changes of signedness
from end to end.
Leaving it out costs the kernels and changes no result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.by_value import every_value, results, takes_table, uniform, works_by_value
from npuc.analysis.storage import reshaped_from, tensor_type
from npuc.dialects.constants import from_numpy
from npuc.dialects.locations import fused
from npuc.dialects.npu import Activation, ActivationAttr, IntsAttr, Scale, ScaleAttr, Window, WindowAttr
from npuc.dialects.npu_schedule import (
    ConstantOp,
    ElementwiseOp,
    KernelOp,
    PoolOp,
    ReshapeOp,
    element_of,
    is_brick,
    space_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_KERNELS = 32
"""Kernels that are looked at above each; a longer chain becomes one table piece by piece."""


@dataclass(frozen=True)
class NpuScheduleTabulatePass(ModulePass):
    """Make tables of what kernels compute of one value."""

    name = "npu-schedule-tabulate"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [kernel for kernel in op.walk() if isinstance(kernel, KernelOp)]
        positions: dict[Operation | Block, int] = {kernel: number for number, kernel in enumerate(kernels)}
        for kernel in kernels:
            if works_by_value(kernel):
                cone = cone_of(kernel, positions)
                if cone is not None:
                    positions[tabulate(cone)] = positions[kernel]


@dataclass(frozen=True)
class Cone:
    """Kernels in program order that compute the result of the last one from `source`, and that nothing else reads."""

    source: SSAValue
    kernels: tuple[KernelOp, ...]


def cone_of(last: KernelOp, positions: Mapping[Operation | Block, int]) -> Cone | None:
    """The largest cone that ends with a kernel and is worth a table; `positions` number the kernels of the program."""
    kernels, frontier = [last], _operands(last)
    best: Cone | None = None
    while frontier:
        if len(frontier) == 1 and _worth(frontier[0], kernels):
            best = Cone(frontier[0], tuple(reversed(kernels)))
        # What comes last in the program is read by nothing that has yet to be looked at.
        value = max(frontier, key=lambda value: positions.get(value.owner, -1))
        kernel = value.owner
        if not isinstance(kernel, KernelOp) or not works_by_value(kernel) or len(kernels) == MOST_KERNELS:
            break
        if prod(tensor_type(value).get_shape()) != prod(tensor_type(last.result).get_shape()):
            break
        if any(reader not in kernels for reader in _readers(value)):
            break
        kernels.append(kernel)
        frontier = [other for other in frontier if other is not value]
        frontier += [operand for operand in _operands(kernel) if operand not in frontier]
    return best


def _worth(source: SSAValue, kernels: list[KernelOp]) -> bool:
    """Whether kernels, last first, are better as a table of `source`: fewer of them, or part of what makes that."""
    last = kernels[0].result
    shape, target = tensor_type(source).get_shape(), tensor_type(last).get_shape()
    if element_of(source) != element_of(last) or prod(shape) != prod(target):
        return False
    if shape != target and (is_brick(source) or is_brick(last) or space_of(source) != space_of(last)):
        return False
    if len(kernels) > 1:
        return True
    before = source.owner
    alone = all(reader is kernels[0] for reader in _readers(source))
    return isinstance(kernels[0], ElementwiseOp) and isinstance(before, KernelOp) and takes_table(before) and alone


def _operands(kernel: KernelOp) -> list[SSAValue]:
    """The values behind reshapes that a kernel reads, but for constants whose elements are all alike; each once."""
    return list(dict.fromkeys(reshaped_from(value) for value in kernel.feature_maps if uniform(value) is None))


def _readers(value: SSAValue) -> Iterator[Operation]:
    """What reads a value or a reshape of it, found one after the other: who asks mostly needs the first alone."""
    views = [value]
    while views:
        for use in views.pop().uses:
            if isinstance(use.operation, ReshapeOp):
                views.append(use.operation.result)
            else:
                yield use.operation


def tabulate(cone: Cone) -> PoolOp:
    """A pool of one element that looks up the results of a cone, put where its last kernel stood."""
    last = cone.kernels[-1]
    shape = tensor_type(cone.source).get_shape()
    view = None if shape == tensor_type(last.result).get_shape() else ReshapeOp(cone.source, last.result.type)
    constant = ConstantOp(from_numpy(table_for(cone)))
    low, high = element_of(last.result).range
    pool = PoolOp.of(
        {"ifm": [cone.source if view is None else view.result], "table": [constant.result]},
        {
            "kind": StringAttr("average"),
            "window": WindowAttr(Window()),
            "zero_points": IntsAttr((0, 0)),
            "scale": ScaleAttr(Scale("natural", 1, 0)),
            "activation": ActivationAttr(Activation(low, high, "table")),
        },
        [last.result.type],
    )
    location = fused(last.location, last.location, *(kernel.location for kernel in cone.kernels))
    for op in (view, constant, pool):
        if op is not None:
            op.location = location
            Rewriter.insert_op(op, InsertPoint.before(last))
    pool.result.name_hint = last.result.name_hint
    last.result.replace_all_uses_with(pool.result)
    for kernel in reversed(cone.kernels):
        read = kernel.feature_maps
        Rewriter.erase_op(kernel)
        for value in dict.fromkeys(read):
            _erase_views(value)
    return pool


def _erase_views(value: SSAValue) -> None:
    """Erase the reshapes that a value is made of and that nothing reads any more."""
    while isinstance(value.owner, ReshapeOp) and value.first_use is None:
        view, value = value.owner, value.owner.source
        Rewriter.erase_op(view)


def table_for(cone: Cone) -> NDArray[np.integer]:
    """What a cone makes of each value of its source, from the least up."""
    values = {cone.source: every_value(cone.source)}
    for kernel in cone.kernels:
        operands = {}
        for map_ in kernel.feature_maps:
            same = uniform(map_)
            operands[map_] = values[reshaped_from(map_)] if same is None else values[cone.source] * 0 + same
        values[kernel.result] = results(kernel, operands)
    low = element_of(cone.kernels[-1].result).range[0]
    return values[cone.kernels[-1].result].astype("int8" if low < 0 else "uint8")
