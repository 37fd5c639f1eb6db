"""
Which bytes each command of an allocated program touches.

A span is a half-open range of bytes in one memory; SHRAM is a memory too, since tables live there. Spans of a feature
map are its convex hull, one for each tile: enough to find conflicts between transfers and kernels, which cover whole
feature maps. `box_spans` is exact to the row, for the blocks of BLOCKDEP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError
from npuc.dialects.npu import BufferType, Space
from npuc.dialects.npu_cmd import BufferOp, ConstantOp, DmaOp, ElementwiseOp, FeatureMap, LaunchOp, MemoryOp, WeightedOp
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.shram import BRICK

BANK = 1024
FEW_PAIRS = 8
"""As many pairs of spans are compared one by one."""


class Span(NamedTuple):
    """Bytes [start, end) of one memory, at least one."""

    space: Space
    start: int
    end: int

    def meets(self, other: Span) -> bool:
        """Whether both have a byte in common."""
        return self.space == other.space and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Accesses:
    """What one command reads and writes."""

    reads: tuple[Span, ...]
    writes: tuple[Span, ...]

    def conflicts(self, later: Accesses) -> bool:
        """Whether a later command must not run beside this one: one of them writes what the other touches."""
        return (
            overlap(self.writes, later.reads) or overlap(self.writes, later.writes) or overlap(self.reads, later.writes)
        )


def first_readers(commands: Sequence[tuple[bool, Accesses]]) -> list[tuple[int, int]]:
    """
    Each transfer with the first kernel behind it that reads what it brought, by their numbers; `commands` says of each
    whether it is a kernel.
    """
    pairs: list[tuple[int, int]] = []
    pending: list[int] = []
    for number, (is_kernel, touched) in enumerate(commands):
        # What is written over before anything has read it has nobody who waits.
        mine = touched.reads if is_kernel else touched.writes
        met = [one for one in pending if overlap(commands[one][1].writes, mine)]
        if met:
            pending = [one for one in pending if one not in met]
        if is_kernel:
            pairs += [(one, number) for one in met]
        else:
            pending.append(number)
    return pairs


def overlap(some: Sequence[Span], others: Sequence[Span]) -> bool:
    """Whether any of `some` meets any of `others`."""
    if len(some) * len(others) <= FEW_PAIRS:
        return any(a.meets(b) for a in some for b in others)
    mine, theirs = iter(sorted(some)), iter(sorted(others))
    a, b = next(mine), next(theirs)
    while a is not None and b is not None:
        if a.space == b.space and a.start < b.end and b.start < a.end:
            return True
        # What ends first meets nothing that comes later.
        if (a.space, a.end) < (b.space, b.end):
            a = next(mine, None)
        else:
            b = next(theirs, None)
    return False


def base_of(buffer: SSAValue) -> tuple[Space, int]:
    """Memory and address of a buffer."""
    op = buffer.owner
    if not isinstance(op, BufferOp | ConstantOp):
        raise VerifyException("a command works on buffers made by npu_cmd operations")
    if isinstance(op, MemoryOp) or op.result.type.space == "external":
        return op.result.type.space, 0
    if op.address is None:
        raise OperationError(op, "it has no address: run npu-cmd-allocate and npu-cmd-assign-lut-slots first")
    return op.result.type.space, op.address.data[0]


def span_of(buffer: SSAValue, offset: int, size: int) -> Span:
    """`size` bytes from `offset` of a buffer."""
    space, base = base_of(buffer)
    return Span(space, base + offset, base + offset + size)


Box = tuple[int, int, int, int, int, int]
"""Elements y0 <= y < y1, x0 <= x < x1, c0 <= c < c1 of a feature map or of one of its tiles."""


def _piece(fm: FeatureMap, offset: int, box: Box) -> list[tuple[int, int]]:
    """Bytes (start, end) of a box (y0, y1, x0, x1, c0, c1) of one tile, row by row, brick by brick."""
    y0, y1, x0, x1, c0, c1 = box
    if y0 >= y1 or x0 >= x1 or c0 >= c1:
        return []
    size = fm.element.size
    rows: list[tuple[int, int]] = []
    if fm.layout == "nhwc":
        low, high = c0 * size, c1 * size
        parts = [(low, high)]
        step = fm.stride_x
    else:
        parts = [
            (b * fm.stride_c + max(c0 - b * BRICK, 0) * size, b * fm.stride_c + min(c1 - b * BRICK, BRICK) * size)
            for b in range(c0 // BRICK, -(-c1 // BRICK))
        ]
        step = BRICK * size
    for y in range(y0, y1):
        at = offset + y * fm.stride_y
        # Columns may go backwards.
        first, last = min(x0 * step, (x1 - 1) * step), max(x0 * step, (x1 - 1) * step)
        rows += [(at + first + low, at + last + high) for low, high in parts]
    return rows


def _tiles(fm: FeatureMap, box: Box) -> list[tuple[int, Box]]:
    """The parts of a box that lie in each tile: the offset of the tile, and the box in it, which may be empty."""
    if fm.tiles is None:
        return [(fm.offset, box)]
    y0, y1, x0, x1, c0, c1 = box
    t = fm.tiles
    return [
        (
            offset,
            (max(y0 - dy, 0), min(y1 - dy, rows), max(x0 - dx, 0), min(x1 - dx, columns), c0, c1),
        )
        for offset, dx, dy, columns, rows in (
            (fm.offset, 0, 0, t.width0, t.height0),
            (t.offset1, t.width0, 0, fm.width - t.width0, t.height1),
            (t.offset2, 0, t.height0, t.width0, fm.height - t.height0),
            (t.offset3, t.width0, t.height1, fm.width - t.width0, fm.height - t.height1),
        )
    ]


def box_spans(buffer: SSAValue, fm: FeatureMap, box: Box) -> list[Span]:
    """The bytes of a box of a feature map, row by row."""
    space, base = base_of(buffer)
    pieces = (_piece(fm, offset, part) for offset, part in _tiles(fm, box))
    return [Span(space, base + start, base + end) for piece in pieces for start, end in piece]


def map_spans(buffer: SSAValue, fm: FeatureMap) -> list[Span]:
    """The hull of a feature map, one span for each of its tiles."""
    space, base = base_of(buffer)
    spans: list[Span] = []
    for offset, (y0, y1, *rest) in _tiles(fm, (0, fm.height, 0, fm.width, 0, fm.depth)):
        # The outermost bytes are in the first and the last row.
        x0, x1, c0, c1 = rest
        ends = [row for y in {y0, y1 - 1} if y0 < y1 for row in _piece(fm, offset, (y, y + 1, x0, x1, c0, c1))]
        if ends:
            spans.append(Span(space, base + min(start for start, _ in ends), base + max(end for _, end in ends)))
    return spans


def accesses(op: DmaOp | LaunchOp, machine: Accelerator) -> Accesses:
    """
    What a transfer or a kernel touches. A kernel also writes its working memory in SHRAM, which on small machines
    reaches into the tables unless the kernel uses one itself.
    """
    if isinstance(op, DmaOp):
        size = op.size.data[0]
        source = op.source_offset.data[0] if op.source_offset is not None else 0
        destination = op.destination_offset.data[0] if op.destination_offset is not None else 0
        return Accesses((span_of(op.source, source, size),), (span_of(op.destination, destination, size),))
    reads = map_spans(op.ifm, op.ifm_map.data)
    if isinstance(op, ElementwiseOp) and op.ifm2 is not None and op.ifm2_map is not None:
        reads += map_spans(op.ifm2, op.ifm2_map.data)
    if isinstance(op, WeightedOp):
        for buffer, ranges in ((op.weights, op.weight_ranges.data), (op.scales, op.scale_ranges.data)):
            pairs = zip(ranges[::2], ranges[1::2], strict=True)
            reads += [span_of(buffer, offset, length) for offset, length in pairs if length]
    table = op.values_of("table")
    working_end = machine.shram_banks * BANK
    if table or machine.reserved_end_banks:
        working_end = machine.lut_base
    if table:
        offset = op.table_offset.data[0] if op.table_offset is not None else 0
        type_ = table[0].type
        assert isinstance(type_, BufferType)
        reads.append(span_of(table[0], offset, type_.size - offset))
    return Accesses(tuple(reads), (*map_spans(op.ofm, op.ofm_map.data), Span("shram", 0, working_end)))
