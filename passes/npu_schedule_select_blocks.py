"""
Choose the OFM block of every kernel and copy: the one in which it takes the fewest estimated cycles.

Assumes a target on the module, and formats, stripes and slices as they are to stay: the cost of a block depends on all
three. Decides `block` where there is none; one that stands in the IR is respected. A kernel that runs in stripes or
depth slices is judged by the launches that it will become, as long as what suits them is legal for the whole as well.
Without this pass every kernel gets the largest legal block: slower, and just as right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.analysis.machine import machine_of, places_of, setup_of, stripe_kernel
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import BlockAttr
from npuc.dialects.npu_schedule import ConvKernelOp, CopyOp, KernelOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import best_block
from npuc.hardware.memory import MemorySetup
from npuc.hardware.shram import Kernel, explain


@dataclass(frozen=True)
class NpuScheduleSelectBlocksPass(ModulePass):
    """Write the quickest block on every kernel that has none."""

    name = "npu-schedule-select-blocks"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [k for k in op.walk() if isinstance(k, KernelOp | CopyOp) and k.block is None]
        if not kernels:
            return
        machine, setup = machine_of(op), setup_of(op)
        for kernel in kernels:
            try:
                kernel.block = BlockAttr(_best(kernel, machine, setup))
            except ValueError as error:
                raise OperationError(kernel, str(error)) from error


def _best(op: KernelOp | CopyOp, machine: Accelerator, setup: MemorySetup) -> Block:
    """The best block of the launches that `op` becomes; ValueError if none is legal."""
    whole = op.launch()
    launch = whole if isinstance(op, CopyOp) else _launch(op, whole)
    block = best_block(machine, setup, launch, places_of(op))
    if launch != whole and explain(machine, whole, block) is not None:
        return best_block(machine, setup, whole, places_of(op))
    return block


def _launch(op: KernelOp, whole: Kernel) -> Kernel:
    """One launch of a kernel that runs in stripes or depth slices; the kernel itself if it runs whole."""
    kernel = whole if op.stripe is None else stripe_kernel(op, op.stripe.data[0])
    if isinstance(op, ConvKernelOp) and op.slices is not None:
        depth = max(end - start for start, end in pairwise(op.slices.data))
        kernel = replace(kernel, ofm=kernel.ofm._replace(depth=depth))
        if kernel.kind == "depthwise":
            kernel = replace(kernel, ifm=kernel.ifm._replace(depth=depth))
    return kernel
