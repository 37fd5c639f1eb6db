"""
What one kernel does with SHRAM, and the jobs into which its block splits it.

SHRAM, in banks of 1 KiB: 0-1 output buffer, from 2 the double-buffered input block up to IB_END, from AB_START the
double-buffered accumulators, and in the last two banks the lookup tables. A layout in which two of them meet is
reported. Jobs are the steps that BLOCKDEP counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from npuc.hardware import registers
from npuc.simulator.memory import Access, FeatureMap, Piece
from npuc.simulator.products import Product
from npuc.simulator.stream import Op

_OUTPUT_BANKS = 2
_LUT_BANKS = 2
_BRICK = 16
_MAX_BLOCK = (32, 64, 128)
# Beyond any number of blocks.
_NEVER = (1 << 31) - 1


class Layout(NamedTuple):
    """Banks in use: input buffers up to `ib_end`, everything up to `end`; `uses_lut` if a table lies behind."""

    ib_end: int
    end: int
    uses_lut: bool


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def block_of(op: Op) -> tuple[int, int, int]:
    """OFM block (height, width, depth) of an operation."""
    return op.state["OFM_BLK_HEIGHT_M1"] + 1, op.state["OFM_BLK_WIDTH_M1"] + 1, op.state["OFM_BLK_DEPTH_M1"] + 1


def ifm_block_depth(op: Op, ifm: FeatureMap) -> int:
    """Channels of the IFM that one job takes: of the whole OFM block where each channel stands for itself."""
    if op.name == "CONV" or op.mode == "REDUCE_SUM":
        part_kernel = op.name == "CONV" and op.get("KERNEL_STRIDE", "weight_order")
        return 16 if part_kernel or ifm.dtype.itemsize == 2 else 32
    return op.state["OFM_BLK_DEPTH_M1"] + 1


def _ifm_banks(op: Op, chip: Product, ifm: FeatureMap) -> int:
    block = block_of(op)
    element = ifm.dtype.itemsize
    sizes: list[int] = []
    if op.name == "ELEMENTWISE":
        sizes = [block[0], block[1]]
    else:
        upscale = op.state["IFM_UPSCALE"]
        strides = registers.strides(op.state["KERNEL_STRIDE"])
        for axis, name in enumerate(("HEIGHT", "WIDTH")):
            kernel = min(op.state[f"KERNEL_{name}_M1"] + 1, 8)
            needed = (block[axis] - 1) * strides[axis] + kernel + (upscale == 1)
            sizes.append(-(-needed // (2 if upscale else 1)))
    height, width = (_round_up(size, chip.ublock[axis]) for axis, size in enumerate(sizes))
    depth = ifm_block_depth(op, ifm)
    if op.name == "CONV" or op.mode == "REDUCE_SUM":
        depth = _round_up(min(ifm.depth, depth), 4 if element == 2 else 8)
    granule = chip.ifm_granules[{1: 0, 2: 1, 4: 2}[element]]
    return _round_up(2 * -(-height * width * _round_up(depth * element, 8) // 1024), granule)


def _acc_banks(op: Op, chip: Product, ofm: FeatureMap) -> int:
    height, width, depth = block_of(op)
    wide = op.get("ACC_FORMAT", "format") == 1
    if ofm.height == 1 and op.state["KERNEL_HEIGHT_M1"] == 0 and chip.ublock[0] == 2:
        height = 1
    size = height * width * _round_up(depth, 8) * (5 if wide else 4)
    return _round_up(2 * -(-size // 1024), chip.acc_granules[wide])


def check(
    op: Op, chip: Product, inputs: Sequence[FeatureMap], ofm: FeatureMap, report: Callable[[str, str], None]
) -> Layout:
    """Reports an illegal block and buffers that meet; returns the layout that the registers give."""
    block = block_of(op)
    for axis, name in enumerate(("height", "width", "depth")):
        if block[axis] % chip.ublock[axis] or block[axis] > _MAX_BLOCK[axis]:
            report("shram", f"has block {name} {block[axis]}, which {chip.name} cannot have")
    if block[2] < ofm.depth and block[2] % _BRICK:
        report("inferred", f"has blocks {block[2]} deep of {ofm.depth} channels, no multiple of 16: none is proven")
    for name in ("IFM_IB_END", "AB_START", "IFM2_IB_START"):
        if op.state.get(name, 0) % 2:
            report("shram", f"has {name} {op.state[name]}, but banks are given out in pairs")
    uses_lut = op.get("ACTIVATION", "function") >= 16
    limit = chip.banks - (_LUT_BANKS if uses_lut or chip.lut_banks_reserved else 0)
    ib_end, ab_start = op.state["IFM_IB_END"], op.state["AB_START"]
    ifm_end = _OUTPUT_BANKS + _ifm_banks(op, chip, inputs[0])
    end = ib_end
    if op.name != "ELEMENTWISE":
        end = ab_start + _acc_banks(op, chip, ofm)
        if ib_end > ab_start:
            report("shram", f"has its input buffer (to bank {ib_end}) in its accumulators (from {ab_start})")
    elif len(inputs) > 1:
        start = op.state["IFM2_IB_START"]
        if start < ifm_end:
            report("shram", f"has IFM2_IB_START {start} in its IFM buffer, which ends at bank {ifm_end}")
        ifm_end = start + ifm_end - _OUTPUT_BANKS
    if ifm_end > ib_end:
        report("shram", f"has IFM_IB_END {ib_end}, but its input blocks need the banks up to {ifm_end}")
    if max(end, ib_end) > limit:
        what = "the lookup tables" if limit < chip.banks else "the end of SHRAM"
        report("shram", f"uses the banks up to {max(end, ib_end)}, beyond {what} at bank {limit}")
        end = min(end, limit)
    return Layout(ib_end, max(end, min(ib_end, limit)), uses_lut)


def _spread(piece: Piece, axes: Sequence[NDArray[np.int64]], element: int) -> NDArray[np.int64]:
    """The sums of one number for each row, column and channel, at the bytes of a piece."""
    rows, columns = axes[0][slice(*piece.y)], axes[1][slice(*piece.x)]
    lanes = axes[2][slice(*piece.channels)].repeat(element)
    if len(piece.shape) == 4:
        return rows[:, None, None, None] + lanes.reshape(piece.shape[1], 1, -1) + columns[:, None]
    return rows[:, None, None] + columns[:, None] + lanes


@dataclass(frozen=True, slots=True)
class Jobs:
    """The blocks of one kernel in the order in which the NPU works: depth fastest, then columns, then rows."""

    op: Op
    chip: Product
    inputs: Sequence[FeatureMap]
    ofm: FeatureMap

    def _blocks(self, backwards: bool) -> product[tuple[int, ...]]:
        ranges: list[range] = []
        for extent, step in zip((self.ofm.height, self.ofm.width, self.ofm.depth), block_of(self.op), strict=True):
            starts = range(0, extent, step)
            ranges.append(starts[::-1] if backwards else starts)
        return product(*ranges)

    def _box(self, start: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        ends = (self.ofm.height, self.ofm.width, self.ofm.depth)
        return tuple((low, min(low + step, end)) for low, step, end in zip(start, block_of(self.op), ends, strict=True))

    def _output(self, start: tuple[int, ...]) -> Access:
        """What a block writes, the lanes that fill up the OFM's last brick included."""
        y, x, (low, high) = self._box(start)
        if high == self.ofm.depth:
            high = self.ofm.stored_depth
        return self.ofm.access(tuple(self.ofm.pieces(y, x, (low, high))))

    def last_outputs(self, count: int) -> list[Access]:
        """What the last `count` blocks write, the very last first."""
        found: list[Access] = []
        for start in islice(self._blocks(True), count):
            found.append(self._output(start))
        return found

    def first_outputs(self, count: int) -> list[Access]:
        """What the first `count` blocks write."""
        found: list[Access] = []
        for start in islice(self._blocks(False), count):
            found.append(self._output(start))
        return found

    def overtakes(self, access: Access, write: Access) -> bool:
        """
        Whether a block writes a byte of the IFM or IFM2 `access` that a later block still reads, or has read ahead.

        The inputs of a block are read before its output is written. Where both cores read all channels, one may write
        before the other has read.
        """
        element = self.ofm.dtype.itemsize
        base = min(access.low, write.low)
        written = np.full(max(access.high, write.high) - base, _NEVER, np.int32)
        axes = self._block_numbers(self.ofm)
        for piece in write.pieces:
            view = as_strided(
                written[piece.offset - base :], piece.shape, tuple(4 * stride for stride in piece.strides)
            )
            view[...] = _spread(piece, axes, element)
        fm = self.inputs[0 if access.what == "IFM" else 1]
        axes = self._block_numbers(fm) if self.op.name == "ELEMENTWISE" else self._last_readers()
        together = self.by_depth and self.chip.cores > 1
        for piece in access.pieces:
            view = as_strided(
                written[piece.offset - base :], piece.shape, tuple(4 * stride for stride in piece.strides)
            )
            if (view < _spread(piece, axes, fm.dtype.itemsize) + together).any():
                return True
        return False

    def _weights_of_axes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Number of blocks along each axis, and how many blocks a step along it passes."""
        extents = self.ofm.height, self.ofm.width, self.ofm.depth
        rows, columns, depths = (-(-n // step) for n, step in zip(extents, block_of(self.op), strict=True))
        return (rows, columns, depths), (columns * depths, depths, 1)

    def _block_numbers(self, fm: FeatureMap) -> list[NDArray[np.int64]]:
        """For each row, column and channel a summand of the block's number; the last block's where it is broadcast."""
        counts, steps = self._weights_of_axes()
        extents = fm.height, fm.width, max(fm.depth, fm.stored_depth)
        return [
            np.minimum(np.arange(extent) // size if extent > 1 else np.array([count]), count - 1) * step
            for extent, size, count, step in zip(extents, block_of(self.op), counts, steps, strict=True)
        ]

    def _last_readers(self) -> list[NDArray[np.int64]]:
        """As `_block_numbers`, of the last block that reads an element of the IFM of an operation with a kernel."""
        counts, steps = self._weights_of_axes()
        ifm, block = self.inputs[0], block_of(self.op)
        found: list[NDArray[np.int64]] = []
        for axis, (extent, end) in enumerate(((ifm.height, self.ofm.height), (ifm.width, self.ofm.width))):
            last = np.full(extent, -_NEVER, np.int64)
            for number in range(counts[axis]):
                low, high = self._window(axis, (number * block[axis], min((number + 1) * block[axis], end)))
                last[low:high] = number * steps[axis]
            found.append(last)
        if self.by_depth:
            return [*found, np.full(ifm.depth, counts[2] - 1, np.int64)]
        return [*found, np.arange(ifm.depth) // block[2]]

    @property
    def by_depth(self) -> bool:
        """Whether each block reads all channels of the IFM, in blocks of their own."""
        return self.op.name == "CONV" or self.op.mode == "REDUCE_SUM"

    def first_inputs(self, count: int) -> list[list[Access]]:
        """What the first `count` jobs read of IFM and IFM2; a job is an OFM block by an IFM depth block."""
        found: list[list[Access]] = []
        ifm = self.inputs[0]
        for start in islice(self._blocks(False), count):
            y, x, c = self._box(start)
            if self.op.name == "ELEMENTWISE":
                boxes = [self._broadcast(fm, (y, x, c)) for fm in self.inputs]
                found.append([fm.access(tuple(fm.pieces(*box))) for fm, box in zip(self.inputs, boxes, strict=True)])
                continue
            rows, columns = self._window(0, y), self._window(1, x)
            depths = [c]
            if self.by_depth:
                step = ifm_block_depth(self.op, ifm)
                depths = [(low, min(low + step, ifm.depth)) for low in range(0, ifm.depth, step)]
            for depth in depths:
                pieces = tuple(ifm.pieces(rows, columns, depth))
                # A block may lie in the padding as a whole; it then reads nothing.
                found.append([ifm.access(pieces)] if pieces else [])
        return found[:count]

    def _broadcast(
        self, fm: FeatureMap, box: tuple[tuple[int, int], ...]
    ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        ranges = [
            (0, 1) if extent == 1 else part for part, extent in zip(box, (fm.height, fm.width, fm.depth), strict=True)
        ]
        return ranges[0], ranges[1], ranges[2]

    def _window(self, axis: int, part: tuple[int, int]) -> tuple[int, int]:
        """Rows (axis 0) or columns (1) of the IFM in memory that the OFM range needs."""
        op = self.op
        stride = registers.strides(op.state["KERNEL_STRIDE"])[axis]
        kernel = op.state[("KERNEL_HEIGHT_M1", "KERNEL_WIDTH_M1")[axis]] + 1
        pad = op.state[("IFM_PAD_TOP", "IFM_PAD_LEFT")[axis]]
        extent = (self.inputs[0].height, self.inputs[0].width)[axis]
        factor = 2 if op.state["IFM_UPSCALE"] else 1
        low = max(part[0] * stride - pad, 0) // factor
        high = -(-max((part[1] - 1) * stride + kernel - pad, 0) // factor)
        return min(low, extent), min(high, extent)
