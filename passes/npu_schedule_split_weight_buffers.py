"""
Give each buffer that weights pass through memory of its own.

Assumes that `buffers` says of some kernels how many buffers their depth slices pass through, and that OFM blocks have
been chosen, since they decide the sizes of the streams. Decides one value for each buffer of a kernel, just as large as
the largest slice that passes through it: slice i of n buffers uses buffer i mod n, so of two one holds the even slices
and the other the odd ones, and no two need be equally large. A single buffer of a sliced kernel holds the largest slice
of all. The values are alive from the first transfer to the last kernel that needs it, each by itself. Kernels one
after the other with the same, undivided weights share one buffer: the second finds in it what it needs.

Without this pass the buffers of a kernel are parts of one memory that is alive as long as the longest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.machine import machine_of, scarce_space_of
from npuc.analysis.weights import block_of, buffer_sizes, cuts_of, slice_sizes
from npuc.dialects.npu import IntsAttr, Space
from npuc.dialects.npu_schedule import CascadeOp, ConvKernelOp, CopyOp, KernelOp, WeightBuffersOp
from npuc.hardware.accelerators import Accelerator
from npuc.planning.buffers import shares_buffer


@dataclass(frozen=True)
class NpuScheduleSplitWeightBuffersPass(ModulePass):
    """Make a value of every buffer of weights."""

    name = "npu-schedule-split-weight-buffers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.walk():
            if isinstance(function, FuncOp):
                kernels = [
                    k
                    for k in function.walk()
                    if isinstance(k, ConvKernelOp) and k.buffers is not None and not k.through
                ]
                if kernels:
                    _split(kernels, machine_of(function), scarce_space_of(function))


def _split(kernels: list[ConvKernelOp], machine: Accelerator, space: Space) -> None:
    """Insert the buffers of these kernels of one function, in program order."""
    sizes = slice_sizes([(op, cuts_of(op)) for op in kernels], machine)
    for op, slices in zip(kernels, sizes, strict=True):
        assert op.buffers is not None
        previous = _kernel_before(op)
        if previous is not None and shares_buffer(
            op, block_of(op, machine), previous, block_of(previous, machine), machine
        ):
            buffers: list[SSAValue] = list(previous.through)
        else:
            # A second buffer that no slice passes through is none.
            made = WeightBuffersOp([size for size in buffer_sizes(slices, op.buffers.data[0]) if size], space)
            made.location = op.location
            Rewriter.insert_op(made, InsertPoint.before(_outermost(op)))
            buffers = list(made.outputs)
        properties: dict[str, Attribute] = dict(op.properties)
        properties["buffers"] = IntsAttr((len(buffers),))
        properties.pop("operandSegmentSizes", None)
        operands: dict[str, Sequence[SSAValue]] = {
            name: op.values_of(name) for name, _ in op.get_irdl_definition().operands
        }
        operands["through"] = buffers
        replaced = type(op).of(operands, properties, op.result_types, op.attributes)
        replaced.location = op.location
        replaced.result.name_hint = op.result.name_hint
        Rewriter.replace_op(op, replaced)


def _kernel_before(op: ConvKernelOp) -> ConvKernelOp | None:
    """The kernel that runs right before this one, if both have undivided weights in a buffer, none in a cascade."""
    before = op.prev_op
    while before is not None and not isinstance(before, KernelOp | CopyOp | CascadeOp):
        before = before.prev_op
    if not isinstance(before, ConvKernelOp) or isinstance(op.parent_op(), CascadeOp):
        return None
    return before if len(before.through) == 1 and len(cuts_of(before)) == len(cuts_of(op)) == 2 else None


def _outermost(op: Operation) -> Operation:
    """The operation of the function's own block that `op` is, or is part of."""
    parent = op.parent_op()
    return parent if isinstance(parent, CascadeOp) else op
