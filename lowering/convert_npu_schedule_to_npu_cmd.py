"""
Kernels on tensors become the linear program: `npu_schedule` to `npu_cmd`.

Assumes NPU regions wholly in `npu_schedule` and a target on the module. Every tensor that is no view becomes a buffer
that lives from its first writer to its last reader, constants go to read-only memory, tables are brought to SHRAM
before the kernel that uses them, and cascades are unrolled stripe by stripe. Weights are encoded for the block of their
kernel and read in place, or through buffers: a transfer for each slice, issued right behind the launch of the slice
before, and none for a slice that is in its buffer already. Decisions are carried out as they stand; a kernel without a
block gets the largest legal one. Addresses, waits and BLOCKDEP are left to the passes of `npu_cmd`.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.machine import machine_of, scarce_space_of


@dataclass(frozen=True)
class ConvertNpuScheduleToNpuCmdPass(ModulePass):
    """Lower NPU regions to linear programs."""

    name = "convert-npu-schedule-to-npu-cmd"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        from npuc.dialects.npu_schedule import NPU_SCHEDULE
        from npuc.lowering.npu_schedule_to_npu_cmd.region import RegionLowering
        from npuc.lowering.npu_schedule_to_npu_cmd.weights import Streams

        kinds = tuple(NPU_SCHEDULE.operations)
        functions = [
            f for f in op.ops if isinstance(f, FuncOp) and any(isinstance(inner, kinds) for inner in f.body.walk())
        ]
        streams: Streams = {}
        for function in functions:
            program = RegionLowering(function, machine_of(function), scarce_space_of(function), streams).run()
            program.location = function.location
            Rewriter.replace_op(function, program, [])
