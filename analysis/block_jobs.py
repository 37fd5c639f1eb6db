"""
The first and last pieces of work of a kernel, as BLOCKDEP counts them.

A kernel makes its OFM block by block: depth first, then along the width, then down. BLOCKDEP n lets the first block of
a kernel start while up to n blocks of the kernel before it are unfinished. So it is found by asking whether the input
of the first few jobs of a kernel, or their output, overlaps the output of the last few jobs of its predecessor. A job
reads what one OFM block needs of the IFM, one IFM block of depth at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from npuc.analysis.accesses import Span, box_spans, overlap
from npuc.dialects.npu import WindowAttr
from npuc.dialects.npu_cmd import ConvOp, ElementwiseOp, LaunchOp, PoolOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.shram import Dims, Kernel, ifm_block

MOST = 3
"""The largest BLOCKDEP."""


def _blocks(op: LaunchOp) -> tuple[int, int, int]:
    """How many OFM blocks there are along height, width and depth."""
    ofm, block = op.ofm_map.data, op.block.data
    return -(-ofm.height // block.height), -(-ofm.width // block.width), -(-ofm.depth // block.depth)


def _box(op: LaunchOp, index: int) -> tuple[int, int, int, int, int, int]:
    """The OFM elements (y0, y1, x0, x1, c0, c1) of block `index`."""
    ofm, block = op.ofm_map.data, op.block.data
    _, columns, slabs = _blocks(op)
    row, rest = divmod(index, columns * slabs)
    column, slab = divmod(rest, slabs)
    y, x, c = row * block.height, column * block.width, slab * block.depth
    return (
        y,
        min(y + block.height, ofm.height),
        x,
        min(x + block.width, ofm.width),
        c,
        min(c + block.depth, ofm.depth),
    )


def job_count(op: LaunchOp) -> int:
    """OFM blocks of a launch."""
    rows, columns, slabs = _blocks(op)
    return rows * columns * slabs


def _output(op: LaunchOp, index: int) -> list[Span]:
    """What OFM block `index` of a launch writes."""
    return box_spans(op.ofm, op.ofm_map.data, _box(op, index))


def last_outputs(op: LaunchOp) -> list[list[Span]]:
    """What the last three OFM blocks of a launch write, the very last first."""
    count = job_count(op)
    return [_output(op, index) for index in range(count - 1, max(-1, count - 1 - MOST), -1)]


def first_outputs(op: LaunchOp) -> list[list[Span]]:
    """What the first three OFM blocks of a launch write."""
    return [_output(op, index) for index in range(min(job_count(op), MOST))]


def _input_box(op: LaunchOp, box: tuple[int, int, int, int, int, int]) -> tuple[int, int, int, int]:
    """IFM rows and columns (y0, y1, x0, x1) that an OFM box needs."""
    y0, y1, x0, x1, _, _ = box
    if isinstance(op, ElementwiseOp):
        return y0, y1, x0, x1
    window_attr = op.properties["window"]
    assert isinstance(window_attr, WindowAttr)
    w, ifm = window_attr.data, op.ifm_map.data
    up = 1 if w.upscale == "none" else 2

    def extent(first: int, end: int, stride: int, size: int, before: int, full: int) -> tuple[int, int]:
        low = max(first * stride - before, 0)
        high = min((end - 1) * stride + size - before, full * up)
        return low // up, -(-high // up)

    return (
        *extent(y0, y1, w.stride_y, w.dilated_height, w.top, ifm.height),
        *extent(x0, x1, w.stride_x, w.dilated_width, w.left, ifm.width),
    )


def _input_jobs(op: LaunchOp, machine: Accelerator) -> Iterator[list[Span]]:
    """What each job of a launch reads of feature maps, in the order of the jobs."""
    ifm, ofm = op.ifm_map.data, op.ofm_map.data
    whole_depth = isinstance(op, ConvOp) or (isinstance(op, PoolOp) and op.kind.data == "sum")
    step = ifm.depth
    if whole_depth:
        kernel = Kernel(
            kind="conv" if isinstance(op, ConvOp) else "reduce_sum",
            ifm=Dims(ifm.height, ifm.width, ifm.depth),
            ofm=Dims(ofm.height, ofm.width, ofm.depth),
            ifm_bits=ifm.element.bits,
            part_kernel="part_kernel" in op.properties,
        )
        step = ifm_block(machine, kernel, Block(*op.block.data)).depth
    for index in range(job_count(op)):
        box = _box(op, index)
        y0, y1, x0, x1 = _input_box(op, box)
        cuts = [(c, min(c + step, ifm.depth)) for c in range(0, ifm.depth, step)] if whole_depth else [box[4:]]
        for c0, c1 in cuts:
            spans = box_spans(op.ifm, ifm, (y0, y1, x0, x1, c0, c1))
            if isinstance(op, ElementwiseOp) and op.ifm2 is not None and op.ifm2_map is not None:
                other = op.ifm2_map.data
                limits = (other.height, other.height, other.width, other.width, other.depth, other.depth)
                full = (ofm.height, ofm.height, ofm.width, ofm.width, ofm.depth, ofm.depth)
                reach = tuple(
                    at if own == most else (0, 1)[i % 2]
                    for i, (at, own, most) in enumerate(zip(box, limits, full, strict=True))
                )
                spans += box_spans(op.ifm2, other, (reach[0], reach[1], reach[2], reach[3], reach[4], reach[5]))
            yield spans


def block_dependency(previous: LaunchOp, op: LaunchOp, machine: Accelerator) -> int:
    """
    The largest BLOCKDEP with which no job of `op` reads or overwrites what an unfinished block of `previous` writes.
    """
    outputs = last_outputs(previous)
    depth = MOST
    for touched in (islice(_input_jobs(op, machine), MOST), first_outputs(op)):
        for i, spans in enumerate(touched):
            for j, writes in enumerate(outputs):
                if i + j < depth and overlap(writes, spans):
                    depth = i + j
    return depth
