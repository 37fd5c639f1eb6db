"""
The order in which the NPU's weight decoder wants the elements of a weight volume.

The MAC array takes weights per OFM block, in groups of one OFM microblock by one IFM microblock. A volume O,H,W,I is
walked block by block; inside a block, depth-first convolution walks the kernel before it moves along the IFM depth,
part-kernel-first convolution gathers several kernel elements of one IFM microblock (better for few input channels).
Wherever the walk leaves the volume a zero is emitted. docs/weights.md has the loops written out.

Everything here is data movement: `traverse` pads to whole microblocks and then permutes axes, with the elements of one
IFM microblock moved as one unit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

SUB_KERNEL_LIMIT = 8
"""Height and width of the largest kernel that is walked whole; halved by a dilation of 2."""


@dataclass(frozen=True)
class WeightOrder:
    """
    What decides the order of one operation's weights.

    `dilation` is (height, width), `block_depth` the OFM block depth of the operation over all cores.
    """

    kind: Literal["conv", "depthwise"]
    part_kernel: bool
    ifm_bits: int
    dilation: tuple[int, int]
    block_depth: int
    ofm_ublock_depth: int
    ifm_ublock_depth: int
    cores: int

    def __post_init__(self) -> None:
        """Raises ValueError for what no accelerator has."""
        if self.kind not in ("conv", "depthwise"):
            raise ValueError(f"weights are ordered for 'conv' or 'depthwise', not {self.kind!r}")
        if self.kind == "depthwise" and self.part_kernel:
            raise ValueError("depthwise weights have no part-kernel order")
        if self.ifm_bits not in (8, 16):
            raise ValueError(f"the IFM of a kernel with weights has 8 or 16 bits, not {self.ifm_bits}")
        if not all(1 <= d <= 2 for d in self.dilation):
            raise ValueError(f"dilation {self.dilation} is not 1 or 2 each way")
        if min(self.ofm_ublock_depth, self.ifm_ublock_depth, self.cores) < 1 or self.block_depth < self.cores:
            raise ValueError(f"block depth {self.block_depth} does not give each of {self.cores} cores a channel")

    def core_block_depth(self, core: int) -> int:
        """The OFM block depth that `core` works with; the channels of a block are dealt out in turn."""
        return (self.block_depth + self.cores - 1 - core) // self.cores


def traverse(weights: np.ndarray, order: WeightOrder, core: int) -> np.ndarray:
    """
    The elements of an O,H,W,I volume in the order of `core`'s stream, padding zeros included, as one dimension.

    Of two cores each gets every second channel. The element type is kept. A depthwise volume has I = 1.
    """
    weights = weights[core :: order.cores]
    channels, _, _, ifm_depth = weights.shape
    if order.kind == "depthwise" and ifm_depth != 1:
        raise ValueError(f"a depthwise volume has one input channel per output channel, not {ifm_depth}")
    block = order.core_block_depth(core)
    whole = channels - channels % block
    parts: list[np.ndarray] = []
    for start, stop, depth in ((0, whole, block), (whole, channels, channels - whole)):
        if start == stop:
            continue
        blocks = weights[start:stop].reshape(-1, depth, *weights.shape[1:])
        if depth % order.ofm_ublock_depth and start + depth < channels:
            # The last microblock of a block reaches into the next block, whose channels stand there (as in the
            # reference encoder); the hardware drops what it computes for them.
            reach = _round_up(depth, order.ofm_ublock_depth)
            index = np.arange(start, stop, depth)[:, None] + np.arange(reach)
            blocks = np.concatenate([weights, np.zeros((reach, *weights.shape[1:]), weights.dtype)])[index]
        parts.append(_traverse_blocks(blocks, order))
    return _join(parts or [np.empty(0, weights.dtype)], axis=0)


def _traverse_blocks(blocks: np.ndarray, order: WeightOrder) -> np.ndarray:
    """`traverse` for OFM blocks of equal depth: blocks is (block, channel in block, H, W, I)."""
    count, _, height, width, ifm_depth = blocks.shape
    depthwise = order.kind == "depthwise"
    ifm_ublock = 1 if depthwise else order.ifm_ublock_depth
    ifm_block = 1 if depthwise else 16 if order.part_kernel or order.ifm_bits == 16 else 32
    limit_h, limit_w = (SUB_KERNEL_LIMIT // d for d in order.dilation)
    if height <= limit_h and width <= limit_w and order.part_kernel:
        ifm_block = _round_up(ifm_depth, ifm_ublock)  # with one sub-kernel, IFM blocks follow each other without a seam
    step = _kernel_step(order.kind, order.part_kernel, order.ifm_bits)

    by_ifm_range: list[np.ndarray] = []
    for start, stop, depth in _ifm_ranges(ifm_depth, ifm_block, ifm_ublock, order.part_kernel):
        sub_kernels: list[np.ndarray] = []
        for y in range(0, height, limit_h):
            for x in range(0, width, limit_w):
                sub = blocks[:, :, y : y + limit_h, x : x + limit_w, start:stop]
                units = _as_units(sub, step, order.ofm_ublock_depth, -(-(stop - start) // depth) * depth, ifm_ublock)
                # (block, OFM ublock, channel in it, kernel element, IFM block, IFM ublock in it)
                units = units.reshape(*units.shape[:4], -1, depth // ifm_ublock)
                if order.part_kernel:
                    units = units.transpose(0, 4, 5, 1, 3, 2)
                else:
                    units = units.transpose(0, 4, 1, 3, 5, 2)
                flat = np.ascontiguousarray(units).view(blocks.dtype)
                sub_kernels.append(flat.reshape(count, flat.shape[1], -1))
        by_ifm_range.append(_join(sub_kernels, axis=2).reshape(count, -1))
    return _join(by_ifm_range, axis=1).reshape(-1)


def _as_units(sub: np.ndarray, step: int, ofm_ublock: int, ifm_depth: int, ifm_ublock: int) -> np.ndarray:
    """
    Pad a part (block, channel, h, w, i) with zeros to whole microblocks and join the elements of an IFM microblock.

    Gives (block, OFM ublock, channel in it, kernel element, IFM ublock) with elements of `ifm_ublock` weights.
    """
    count, channels, height, width, _ = sub.shape
    sub = sub.reshape(count, channels, height * width, -1)
    shape = (count, _round_up(channels, ofm_ublock), _round_up(height * width, step), ifm_depth)
    if sub.shape != shape:
        padded = np.zeros(shape, sub.dtype)
        padded[:, :channels, : height * width, : sub.shape[3]] = sub
        sub = padded
    units = np.ascontiguousarray(sub).view(np.dtype((np.void, ifm_ublock * sub.itemsize)))
    return units.reshape(count, -1, ofm_ublock, shape[2], ifm_depth // ifm_ublock)


def _ifm_ranges(ifm_depth: int, block: int, ublock: int, part_kernel: bool) -> Iterator[tuple[int, int, int]]:
    """(start, stop, depth of the blocks in it): depth-first pads the last IFM block, part-kernel-first shortens it."""
    if not part_kernel:
        yield 0, ifm_depth, block
        return
    whole = ifm_depth - ifm_depth % block
    if whole:
        yield 0, whole, block
    if whole < ifm_depth:
        yield whole, ifm_depth, _round_up(ifm_depth - whole, ublock)


def _kernel_step(kind: str, part_kernel: bool, ifm_bits: int) -> int:
    """The number of kernel elements is rounded up to a multiple of this."""
    if kind == "depthwise":
        return 4
    if not part_kernel:
        return 1
    return 2 if ifm_bits == 16 else 4


def _join(parts: list[np.ndarray], axis: int) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
