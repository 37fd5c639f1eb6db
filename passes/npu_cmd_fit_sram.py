"""
Make programs fit their limit that would miss it by the gaps between buffers: weights give way, feature maps stay.

Assumes programs without addresses and waits. Planners add up what is alive; now and then no placement reaches that sum,
and the memory ends a little above the limit. This pass asks the allocator. Where it misses the limit, one buffer of
weights after another gives way until it does not: first those that were filled early are filled right before the kernel
that reads them, then kernels read their weights in place. The smallest buffer that is enough goes; if none alone is,
the one that helps most.

Changes nothing where the limit is kept or where nothing limits the memory. What can still not be placed is left to
`npu-cmd-allocate`, which says so. Without this pass that happens more often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.allocation import LiveRange, allocate
from npuc.analysis.live_ranges import live_ranges
from npuc.analysis.machine import limit_of
from npuc.dialects.locations import OperationError
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
            limits = [limit for p in programs if (limit := limit_of(p, space)) is not None]
            if limits:
                while _relieve(op, programs, space, min(limits)):
                    pass


@dataclass(frozen=True)
class _Way:
    """A way to need less memory: the buffer, the time from which it is needed (None: never), and how to do it."""

    alloc: AllocOp
    start: int | None
    carry_out: Callable[[], None]


def _relieve(module: ModuleOp, programs: list[ProgramOp], space: Space, limit: int) -> bool:
    """Let one buffer give way if the limit is missed; whether one has."""
    found = live_ranges(module)
    items = [item for item in found.items if item.ops[0].buffer.space == space]
    ranges = [LiveRange(item.start, item.end, item.size) for item in items]
    if allocate(ranges).height <= limit:
        return False
    number = {item.ops[0]: index for index, item in enumerate(items)}
    best: tuple[int, _Way] | None = None
    for ways in (_later, _in_place):
        allocs = [op for p in programs for op in p.body.block.ops if isinstance(op, AllocOp) and op in number]
        for alloc in sorted(allocs, key=lambda op: op.buffer.size):
            for way in ways(alloc, found.times):
                others = list(ranges)
                own = others.pop(number[alloc])
                if way.start is not None:
                    others.append(LiveRange(way.start, own.end, own.size))
                height = allocate(others, TRIES).height
                if height <= limit:
                    way.carry_out()
                    return True
                if best is None or height < best[0]:
                    best = height, way
        if best is not None:
            best[1].carry_out()
            return True
    return False


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

    def carry_out() -> None:
        filled: list[DmaOp] = []
        for op in uses:
            if isinstance(op, DmaOp):
                filled.append(op)
            elif isinstance(op, WeightedOp):
                _read_in_place(op, alloc.result, filled)
        for op in reversed(uses):
            if not isinstance(op, WeightedOp):
                Rewriter.erase_op(op)
        Rewriter.erase_op(alloc)

    yield _Way(alloc, None, carry_out)


def _read_in_place(op: WeightedOp, buffer: SSAValue, filled: list[DmaOp]) -> None:
    """Point a kernel's weights and scales to where the transfers so far have brought them from."""

    def source(offset: int) -> tuple[SSAValue, int]:
        for fill in reversed(filled):
            start = fill.destination_offset.data[0] if fill.destination_offset is not None else 0
            if start <= offset < start + fill.size.data[0]:
                origin = fill.source_offset.data[0] if fill.source_offset is not None else 0
                return fill.source, origin - start
        raise OperationError(op, "no transfer has brought the weights that it reads")

    value, shift = source(op.scale_ranges.data[0])
    for name in ("weight_ranges", "scale_ranges"):
        ranges = op.properties[name]
        assert isinstance(ranges, IntsAttr)
        op.properties[name] = IntsAttr(tuple(n + shift * (i % 2 == 0) for i, n in enumerate(ranges.data)))
    for index, operand in enumerate(op.operands):
        if operand is buffer:
            op.operands[index] = value
