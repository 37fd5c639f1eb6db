"""
Make programs fit their limit that would miss it by the gaps between buffers: weights give way, feature maps stay.

Assumes programs without addresses and waits. Planners add up what is alive; now and then no placement reaches that sum,
and the memory ends a little above the limit. This pass asks the allocator. Where it misses the limit, one buffer of
weights after another gives way until it does not: first those that were filled early are filled right before the kernel
that reads them, then kernels read their weights in place. The smallest buffer that is enough goes; if none alone is,
the one that helps most. Each program is held to its own limit.

Changes nothing where the limit is kept, where nothing limits the memory, or where feature maps alone miss the limit.
What can still not be placed is left to `npu-cmd-allocate`, which says so. Without this pass that happens more often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.allocation import TRIES as ALLOCATE_TRIES
from npuc.analysis.allocation import LiveRange, allocate, lower_bound
from npuc.analysis.live_ranges import LiveRanges, live_ranges
from npuc.analysis.machine import limit_of
from npuc.dialects.npu import IntsAttr, Space
from npuc.dialects.npu_cmd import AllocOp, ConstantOp, DmaOp, FreeOp, LaunchOp, ProgramOp, WeightedOp

TRIES = 300
"""Placements tried for each buffer that might give way."""


@dataclass(frozen=True)
class NpuCmdFitSramPass(ModulePass):
    """Let buffers of weights give way where the limit would be missed."""

    name = "npu-cmd-fit-sram"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = [p for p in op.ops if isinstance(p, ProgramOp)]
        spaces: tuple[Space, ...] = ("arena", "fast")
        for space in spaces:
            while _relieve(op, programs, space):
                pass


@dataclass(frozen=True)
class _Way:
    """A way to need less memory: the buffer, the time from which it is needed (None: never), and how to do it."""

    alloc: AllocOp
    start: int | None
    carry_out: Callable[[], None]


def _relieve(module: ModuleOp, programs: list[ProgramOp], space: Space) -> bool:
    """Let one buffer give way if a program misses its limit and that can be mended; whether one has."""
    found = live_ranges(module)
    limits = [
        (span, limit) for p in programs if (limit := limit_of(p, space)) is not None and (span := _span(p, found))
    ]
    if not limits:
        return False
    least = min(limit for _, limit in limits)
    items = [item for item in found.items if item.space == space]
    ranges = [LiveRange(item.start, item.end, item.size) for item in items]

    def missed(these: list[LiveRange], tries: int = ALLOCATE_TRIES) -> int:
        """By how many bytes the worst program misses its limit."""
        addresses = allocate(these, tries).addresses
        tops = [(r, top) for r, at in zip(these, addresses, strict=True) if (top := at + r.rounded) > least]
        return max((top - limit for span, limit in limits for r, top in tops if r.meets(span)), default=0)

    worst = missed(ranges)
    if worst <= 0:
        return False
    number = {op: index for index, item in enumerate(items) for op in item.ops}
    allocs = [op for p in programs for op in p.body.block.ops if isinstance(op, AllocOp) and op in number]
    yielding = {number[op] for op in allocs if any(True for _ in _in_place(op, found.times))}
    staying = [r for index, r in enumerate(ranges) if index not in yielding]
    if any(lower_bound([r for r in staying if r.meets(span)]) > limit for span, limit in limits):
        return False  # Without any buffer of weights it is missed all the same.
    # What is alive while something lies above the limit helps most, and mostly is enough.
    above = [r for r, at in zip(ranges, allocate(ranges).addresses, strict=True) if at + r.rounded > least]
    near = [op for op in allocs if any(ranges[number[op]].meets(r) for r in above)]
    best: tuple[int, _Way] | None = None
    for ways, those in ((_later, near), (_in_place, near), (_later, allocs), (_in_place, allocs)):
        for alloc in sorted(those, key=lambda op: op.buffer.size):
            for way in ways(alloc, found.times):
                others = list(ranges)
                own = others.pop(number[alloc])
                if way.start is not None:
                    others.append(LiveRange(way.start, own.end, own.size))
                left = missed(others, TRIES)
                if left <= 0:
                    way.carry_out()
                    return True
                if left < worst and (best is None or left < best[0]):
                    best = left, way
        if best is not None:
            best[1].carry_out()
            return True
    return False


def _span(program: ProgramOp, found: LiveRanges) -> LiveRange:
    """The time in which a program runs."""
    times = [found.times[op] for op in program.body.block.ops]
    return LiveRange(min(times), max(times), 0)


def _fills(alloc: AllocOp) -> list[DmaOp] | None:
    """The transfers of constants into a buffer that holds nothing but weights; None for other buffers."""
    fills: list[DmaOp] = []
    readers = 0
    for use in alloc.result.uses:
        op = use.operation
        if isinstance(op, DmaOp) and op.destination is alloc.result and isinstance(op.source.owner, ConstantOp):
            fills.append(op)
        elif isinstance(op, WeightedOp):
            if alloc.result in (op.ifm, op.ofm, op.table):
                return None
            readers += 1
        elif not isinstance(op, FreeOp):
            return None
    return fills if fills and readers else None


def _later(alloc: AllocOp, times: dict[Operation, int]) -> Iterator[_Way]:
    """Fill a buffer right before the first kernel that reads it, if other kernels run meanwhile."""
    fills = _fills(alloc)
    if fills is None:
        return
    reader = min((u.operation for u in alloc.result.uses if isinstance(u.operation, WeightedOp)), key=times.__getitem__)
    between = alloc.next_op
    while between is not reader and not isinstance(between, LaunchOp):
        assert between is not None
        between = between.next_op
    if between is reader:
        return
    early = sorted((op for op in fills if times[op] < times[reader]), key=times.__getitem__)

    def carry_out() -> None:
        for op in (alloc, *early):
            op.detach()
        Rewriter.insert_op([alloc, *early], InsertPoint.before(reader))

    # The launch before the reader has been issued by then, and what it frees is free.
    yield _Way(alloc, times[reader], carry_out)


def _in_place(alloc: AllocOp, times: dict[Operation, int]) -> Iterator[_Way]:
    """Let the kernels that read a buffer read the constants that it is filled from."""
    fills = _fills(alloc)
    if fills is None:
        return
    uses = sorted({use.operation for use in alloc.result.uses}, key=times.__getitem__)

    filled: list[DmaOp] = []
    moves: list[tuple[WeightedOp, str, SSAValue, int]] = []
    for op in uses:
        if isinstance(op, DmaOp):
            filled.append(op)
        elif isinstance(op, WeightedOp):
            for name, value, ranges in (
                ("weights", op.weights, op.weight_ranges.data),
                ("scales", op.scales, op.scale_ranges.data),
            ):
                if value is alloc.result:
                    origin = _origin(ranges, filled)
                    if origin is None:
                        return
                    moves.append((op, name, *origin))

    def carry_out() -> None:
        for op, name, source, shift in moves:
            ranges = op.weight_ranges if name == "weights" else op.scale_ranges
            moved = IntsAttr(tuple(n + shift * (i % 2 == 0) for i, n in enumerate(ranges.data)))
            names = [operand for operand, _ in type(op).get_irdl_definition().operands]
            before = sum(len(op.values_of(other)) for other in names[: names.index(name)])
            op.operands[before] = source
            op.properties["weight_ranges" if name == "weights" else "scale_ranges"] = moved
        for op in reversed(uses):
            if not isinstance(op, WeightedOp):
                Rewriter.erase_op(op)
        Rewriter.erase_op(alloc)

    yield _Way(alloc, None, carry_out)


def _origin(ranges: Sequence[int], filled: Sequence[DmaOp]) -> tuple[SSAValue, int] | None:
    """Whence these ranges (offset, length, ...) of a buffer have been brought, and how far off; None if not as one."""
    found: set[tuple[SSAValue, int]] = set()
    for start, length in zip(ranges[::2], ranges[1::2], strict=True):
        at = start
        while at < start + length:
            for fill in reversed(filled):
                begin = fill.destination_offset.data[0] if fill.destination_offset is not None else 0
                if begin <= at < begin + fill.size.data[0]:
                    origin = fill.source_offset.data[0] if fill.source_offset is not None else 0
                    found.add((fill.source, origin - begin))
                    at = begin + fill.size.data[0]
                    break
            else:
                return None
    return found.pop() if len(found) == 1 else None
