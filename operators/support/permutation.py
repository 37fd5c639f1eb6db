"""
Permutations of axes as copies: which copies, and their views.

The NPU has no transposition, but a copy reads rows and columns at any distance in memory, only channels lie side by
side. So one kernel exchanges two axes that are seen as rows and columns, in front of any depth that stays
where it is, and one kernel moves single elements (a depth of 1) where the last axis moves as well:

    (A B C) -> (B A C)      rows A, columns B, depth C
    (A B)   -> (B A)        rows A, columns B, depth 1

Axes are *groups*: those of one element go, and neighbours that stay neighbours in the same order are one. So NHWC to
NCHW is one kernel, an exchange of the groups HW and C. What needs more axes than two is done in several *steps*, each
of which moves all elements, or in one whose kernels are launched for each index of the axes that are left over
(*loops*):

    (A B C) -> (A C B)      as  (A B C) -> (B A C) -> (A C B),  or as  (B C) -> (C B)  for each index of A

`plan` is the planner: plain shapes in, steps out. It looks for the fewest kernels, and among as few for what moves
least, in units of 8 bytes in depth, which take the machine as long as one byte. Up to four groups it looks at all
orders between steps: two groups take one kernel, three at most two, four at most three. For five and six it looks at
steps that exchange the first groups with those behind them, and at any first and any last step.

`permute` carries a plan out. Loops are slices of what is read, and concats of what is written. Feature maps of more
than 65536 rows, columns or channels are cut (`Emitter.copy`). Each step is a copy to memory of its own;
`npu-schedule-fold-views` takes out those that whoever writes before, or reads behind, can stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from heapq import heappop, heappush
from itertools import combinations, permutations, product
from math import prod
from typing import NamedTuple

from xdsl.ir import SSAValue

from npuc.hardware.limits import MAX_EXTENT
from npuc.hardware.shram import MICRO_BLOCK_DEPTH
from npuc.operators.support.kernels import Emitter, shape_of

ALL_ORDERS = 4
"""Up to so many groups all orders between steps are looked at."""

Shape = tuple[int, ...]
Order = tuple[int, ...]
"""Axis i afterwards is axis `order[i]` before."""
Parts = dict[tuple[int, ...], SSAValue]
"""Feature maps by the indices of the loops, outermost first."""


class Step(NamedTuple):
    """One pass over all elements of a tensor, in kernels of one shape."""

    shape: Shape
    """Of the tensor before, with axes fused."""
    order: Order
    kept: tuple[int, int]
    """The axes before that are rows and columns of a kernel."""
    has_depth: bool
    """Whether the last axis is the depth; else it is 1."""

    @property
    def loops(self) -> tuple[int, ...]:
        """The axes before, of whose indices each is a kernel of its own."""
        inside = {*self.kept, len(self.shape) - 1} if self.has_depth else {*self.kept}
        return tuple(axis for axis in range(len(self.shape)) if axis not in inside)

    @property
    def depth(self) -> int:
        """Elements side by side that a kernel moves together."""
        return self.shape[-1] if self.has_depth else 1

    @property
    def kernels(self) -> int:
        """Launches."""
        extents = (*(self.shape[axis] for axis in self.kept), self.depth)
        return prod(self.shape[axis] for axis in self.loops) * prod(-(-size // MAX_EXTENT) for size in extents)

    def units(self, size: int) -> int:
        """Units that are moved, with elements of `size` bytes."""
        return prod(self.shape) // self.depth * -(-self.depth * size // MICRO_BLOCK_DEPTH)


def fused(shape: Sequence[int], order: Sequence[int]) -> tuple[Shape, Order]:
    """The same permutation of groups: without axes of one element, and neighbours that stay neighbours as one."""
    kept = [axis for axis in order if shape[axis] != 1]
    before = sorted(kept)
    runs: list[list[int]] = []
    for axis in kept:
        if runs and before.index(axis) == before.index(runs[-1][-1]) + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    ordered = sorted(runs)
    return tuple(prod(shape[axis] for axis in run) for run in ordered), tuple(ordered.index(run) for run in runs)


def step_of(shape: Shape, order: Order) -> Step:
    """The pass of fewest kernels that permutes groups, at least two of them, as `order` says."""
    count = len(shape)
    has_depth = order[-1] == count - 1
    pairs = combinations(range(count - has_depth), 2)
    return min((Step(shape, order, pair, has_depth) for pair in pairs), key=lambda step: step.kernels)


@lru_cache(maxsize=1024)
def plan(shape: Shape, order: Order, size: int) -> tuple[Step, ...]:
    """
    The steps that bring a tensor of `shape`, its elements of `size` bytes, into another order of axes; none if all
    elements stay where they are.
    """
    sizes, goal = fused(shape, order)
    start = tuple(range(len(sizes)))
    queue: list[tuple[int, int, Order, tuple[Step, ...]]] = [(0, 0, start, ())]
    done = set[Order]()
    while True:
        kernels, units, now, steps = heappop(queue)
        if now == goal:
            return steps
        if now in done:
            continue
        done.add(now)
        for following in _following(now, start, goal):
            if following not in done:
                between = fused([sizes[axis] for axis in now], [now.index(axis) for axis in following])
                step = step_of(*between)
                heappush(queue, (kernels + step.kernels, units + step.units(size), following, (*steps, step)))


def _following(now: Order, start: Order, goal: Order) -> Iterator[Order]:
    """The orders that one step may lead to."""
    count = len(now)
    if count <= ALL_ORDERS or now == start:
        yield from (order for order in permutations(now) if order != now)
        return
    for first, second in combinations(range(1, count + 1), 2):
        yield (*now[first:second], *now[:first], *now[second:])
    yield goal


def permute(emit: Emitter, value: SSAValue, order: Sequence[int], size: int) -> SSAValue:
    """A tensor of any rank with its axes in another order, in memory of its own where any element moves."""
    shape = shape_of(value)
    for step in plan(shape, tuple(order), size):
        value = _carry_out(emit, value, step)
    return emit.view(value, [shape[axis] for axis in order])


def _carry_out(emit: Emitter, value: SSAValue, step: Step) -> SSAValue:
    """What one step makes of a tensor; of any shape, its elements in the order in which they then are."""
    loops = [axis for axis in step.order if axis in step.loops]
    places = [step.order.index(axis) for axis in step.kept]
    parts: Parts = {}
    for indices in product(*(range(step.shape[axis]) for axis in loops)):
        part = _part(emit, value, step, dict(zip(loops, indices, strict=True)))
        # What is read in short runs may be brought to faster memory before; what is written so may not.
        parts[indices] = emit.copy(emit.transpose(part) if places[0] > places[1] else part)
    # What stands side by side is joined first: loops behind rows and columns, between them, and in front of both.
    rows, columns = sorted(places)
    between = sum(rows < step.order.index(axis) < columns for axis in loops)
    behind = sum(step.order.index(axis) > columns for axis in loops)
    parts = _joined(emit, parts, behind, 3)
    for count in (between, len(loops) - between - behind):
        if count:
            # One row of each of the outer axes' indices.
            outer = step.shape[step.order[rows]] if count == between and between else 1
            parts = {
                index: emit.view(part, (1, outer, 1, prod(shape_of(part)) // outer)) for index, part in parts.items()
            }
            parts = _joined(emit, parts, count, 2)
    return parts[()]


def _joined(
    emit: Emitter, parts: dict[tuple[int, ...], SSAValue], count: int, axis: int
) -> dict[tuple[int, ...], SSAValue]:
    """Parts by their indices, those that differ in the last `count` indices only side by side along an axis."""
    if not count:
        return parts
    together: dict[tuple[int, ...], list[SSAValue]] = {}
    for indices, part in parts.items():
        together.setdefault(indices[: len(indices) - count], []).append(part)
    return {indices: emit.concat(group, axis) for indices, group in together.items()}


def _part(emit: Emitter, value: SSAValue, step: Step, indices: dict[int, int]) -> SSAValue:
    """The feature map of the axes that a kernel takes, at one index of each of the others."""
    rest = prod(step.shape)
    rows, columns = 1, 1
    seen = emit.view(value, (1, 1, 1, rest))
    for axis, size in enumerate(step.shape):
        if axis in indices:
            rest //= size
            seen = emit.slice(seen, (0, 0, indices[axis] * rest), (rows, columns, rest))
        elif axis in step.kept:
            rest //= size
            rows, columns = columns, size
            seen = emit.view(seen, (1, rows, columns, rest))
    return seen
