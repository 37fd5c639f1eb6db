"""
Write the OFM of an elementwise kernel over an operand that nothing reads later.

Assumes that formats and cascades are as they are to stay. An elementwise kernel reads each element before it writes the
element in the same place, so its OFM may lie where an operand lies: then only one of the two is in memory. Decides
`in_place` where an operand has the size and layout of the OFM, fills storage of its own that the region itself has
written, and is read by nothing afterwards, neither directly nor through a view; of two such operands the first. An OFM
that is placed already (in a concat), and kernels inside a cascade, stay as they are. Without this pass both are in
memory at the same time: more SRAM, and just as right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from npuc.analysis.storage import Storage, base_of, makes_bytes, placing_uses, reshapes_of, storage_bytes, tensor_type
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import ElementwiseOp, element_of, is_brick, nhwc


@dataclass(frozen=True)
class NpuScheduleReuseIfmPass(ModulePass):
    """Let elementwise kernels overwrite what they read last."""

    name = "npu-schedule-reuse-ifm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if not isinstance(function, FuncOp):
                continue
            kernels = [k for k in function.body.ops if isinstance(k, ElementwiseOp) and k.in_place is None]
            storage = Storage(function) if kernels else None
            for kernel in kernels:
                assert storage is not None
                index = _reusable(kernel, storage)
                if index is not None:
                    kernel.in_place = IntsAttr((index,))
                    storage = Storage(function)


def _reusable(op: ElementwiseOp, storage: Storage) -> int | None:
    """The number of the operand that the OFM may overwrite; None if there is none."""
    if placing_uses(reshapes_of(op.result)):
        return None
    new = (nhwc(op.result), element_of(op.result).bits, is_brick(op.result))
    for index, value in enumerate(op.feature_maps):
        if (nhwc(value), element_of(value).bits, is_brick(value)) != new or not makes_bytes(base_of(value)):
            continue
        root = storage.root(value)
        fills = storage_bytes(tensor_type(root)) == storage_bytes(tensor_type(op.result))
        if fills and not storage.late_readers(op, index):
            return index
    return None
