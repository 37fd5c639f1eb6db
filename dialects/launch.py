"""
What the model of the machine (`npuc.hardware`) must know of a kernel of `npu_schedule`.

One place where an operation becomes plain data, so that verifiers, planners and the lowering ask about the same launch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from xdsl.ir import Operation, SSAValue

from npuc.dialects.npu import Window, find_target
from npuc.dialects.npu_schedule import (
    ConstantOp,
    ConvKernelOp,
    CopyOp,
    DepthwiseConv2DOp,
    ElementwiseOp,
    KernelOp,
    PoolOp,
    element_of,
    is_brick,
    nhwc,
)
from npuc.hardware.accelerators import Block, accelerator
from npuc.hardware.shram import (
    Dims,
    Format,
    Kernel,
    Kind,
    explain,
    kernel_problem,
    prefers_part_kernel,
)
from npuc.hardware.shram import Operation as ElementwiseOperation

POOL_KINDS: dict[str, Kind] = {"max": "max_pool", "average": "avg_pool", "sum": "reduce_sum"}


def padding(window: Window, ifm: tuple[int, int], ofm: tuple[int, int]) -> tuple[int, int, int, int]:
    """
    Rows and columns of padding (top, left, bottom, right) that a window really reads, for extents (height, width).

    The machine derives the extent of the IFM from that of the OFM, so padding which no window reaches must not be
    programmed.
    """
    up = 1 if window.upscale == "none" else 2
    bottom = (ofm[0] - 1) * window.stride_y + window.dilated_height - window.top - ifm[0] * up
    right = (ofm[1] - 1) * window.stride_x + window.dilated_width - window.left - ifm[1] * up
    return window.top, window.left, max(0, bottom), max(0, right)


def is_scalar(value: SSAValue) -> bool:
    """Whether a feature map is one constant element that fits the scalar register of IFM2."""
    return isinstance(value.owner, ConstantOp) and nhwc(value) == (1, 1, 1) and element_of(value).bits <= 16


def part_kernel(op: ConvKernelOp) -> bool:
    """Whether the weights are ordered kernel element first. Fully connected kernels gain nothing from it."""
    window = op.sliding
    if isinstance(op, DepthwiseConv2DOp):
        return False
    if (window.height, window.width) == (1, 1) and nhwc(op.result)[:2] == (1, 1):
        return False
    return prefers_part_kernel(nhwc(op.ifm)[2], (window.height, window.width), element_of(op.ifm).bits)


def _format(value: SSAValue) -> Format:
    return "nhcwb16" if is_brick(value) else "nhwc"


def machine_kernel(op: KernelOp, ifm_rows: int | None = None, ofm_rows: int | None = None) -> Kernel:
    """The launch that computes `op` whole, or one stripe of it: `ofm_rows` from `ifm_rows` of the IFM."""
    window = op.sliding
    ifm, ofm = op.feature_maps[0], op.result
    ifm_dims, ofm_dims = Dims(*nhwc(ifm)), Dims(*nhwc(ofm))
    top, left, bottom, right = padding(window, ifm_dims[:2], ofm_dims[:2])
    kind: Kind = "conv"
    operation: ElementwiseOperation = ""
    ifm2: Dims | None = None
    scalar = False
    if isinstance(op, DepthwiseConv2DOp):
        kind = "depthwise"
    elif isinstance(op, PoolOp):
        kind = POOL_KINDS[op.kind.data]
    elif isinstance(op, ElementwiseOp):
        kind = "elementwise"
        operation = cast(ElementwiseOperation, op.kind.data)
        if op.ifm2 is not None:
            scalar = is_scalar(op.ifm2)
            ifm2 = Dims(*nhwc(op.ifm2))
    return Kernel(
        kind=kind,
        ifm=ifm_dims if ifm_rows is None else ifm_dims._replace(height=ifm_rows),
        ofm=ofm_dims if ofm_rows is None else ofm_dims._replace(height=ofm_rows),
        kernel=(window.height, window.width),
        stride=(window.stride_y, window.stride_x),
        dilation=(window.dilation_y, window.dilation_x),
        pad=(top, bottom, left, right),
        operation=operation,
        ifm_bits=element_of(ifm).bits,
        ofm_bits=element_of(ofm).bits,
        upscale=window.upscale,
        ifm2=ifm2,
        ifm2_scalar=scalar,
        lut=op.table_value is not None,
        part_kernel=isinstance(op, ConvKernelOp) and part_kernel(op),
        ifm_format=_format(ifm),
        ifm2_format=_format(op.feature_maps[1]) if len(op.feature_maps) > 1 else "nhwc",
        ofm_format=_format(ofm),
    )


def copy_as_pool(op: CopyOp) -> tuple[int, int]:
    """A copy runs as a pool of one element: how many pool elements one element is, and their bits."""
    bits = element_of(op.ifm).bits
    return (2, 16) if bits == 32 else (1, bits)


def copy_kernel(op: CopyOp) -> Kernel:
    """The launch that makes a copy: an average pool of one element; 32-bit elements as pairs of 16 bits."""
    factor, bits = copy_as_pool(op)
    height, width, depth = nhwc(op.ifm)
    dims = Dims(height, width, depth * factor)
    return Kernel(
        kind="avg_pool",
        ifm=dims,
        ofm=dims,
        ifm_bits=bits,
        ofm_bits=bits,
        ifm_format=_format(op.ifm),
        ofm_format=_format(op.result),
    )


@lru_cache(maxsize=4096)
def _problem(name: str, kernel: Kernel, block: Block | None) -> str | None:
    machine = accelerator(name)
    return kernel_problem(machine, kernel) or (None if block is None else explain(machine, kernel, block))


def launch_problem(op: Operation) -> str | None:
    """
    Why the target cannot launch a kernel or copy, or not in the blocks that it states, in one line; None if it can, or
    if the module names no target.
    """
    target = find_target(op)
    if target is None or not isinstance(op, KernelOp | CopyOp):
        return None
    kernel = copy_kernel(op) if isinstance(op, CopyOp) else machine_kernel(op)
    return _problem(target.accelerator.data, kernel, None if op.block is None else op.block.data)
