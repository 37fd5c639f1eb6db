"""
Write the OFM of an elementwise kernel over an operand that nothing reads later.

Assumes that formats and cascades are as they are to stay. An elementwise kernel reads each element before it writes the
element in the same place, so its OFM may lie where an operand lies: then only one of the two is in memory. Decides
`in_place` where an operand has the size and layout of the OFM, fills storage of its own that the region itself has
written, and is read by nothing afterwards, neither directly nor through a view; of two such operands the first. What
the kernel itself reads under another mapping (a row of the same feature map for all rows, a reshape of it) is read
afterwards too: by its later blocks. `Storage` answers whether that is so, for the planner of cascades as well. An OFM
that is placed already (in a concat), and kernels inside a cascade, stay as they are. Without this pass both are in
memory at the same time: more SRAM, and just as right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from npuc.analysis.storage import Storage
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import ElementwiseOp


@dataclass(frozen=True)
class NpuScheduleReuseIfmPass(ModulePass):
    """Let elementwise kernels overwrite what they read last."""

    name = "npu-schedule-reuse-ifm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if not isinstance(function, FuncOp):
                continue
            storage = Storage(function)
            for kernel in function.body.ops:
                index = storage.reusable(kernel) if isinstance(kernel, ElementwiseOp) else None
                if index is not None:
                    assert isinstance(kernel, ElementwiseOp)
                    kernel.in_place = IntsAttr((index,))
                    storage.moved(kernel.result)
