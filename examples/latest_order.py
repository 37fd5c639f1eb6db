"""Another launch order: each kernel runs as late as it can, just before the first one that reads its result."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.dialects.npu_schedule import KernelOp


@dataclass(frozen=True)
class LatestOrderPass(ModulePass):
    """Move each kernel before its first reader."""

    name = "latest-order"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [kernel for kernel in op.walk() if isinstance(kernel, KernelOp)]
        for kernel in reversed(kernels):
            block = kernel.parent_block()
            readers = [use.operation for use in kernel.result.uses]
            if block is None or not readers or any(reader.parent is not block for reader in readers):
                continue
            first = min(readers, key=block.get_operation_index)
            kernel.detach()
            Rewriter.insert_op(kernel, InsertPoint.before(first))
