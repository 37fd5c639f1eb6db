"""
Blocks of one row for every pooling kernel, so that its first rows are done early.

Assumes kernels without blocks. Decides `block` of pools, and leaves the others to `npu-schedule-select-blocks`.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.dialects.npu import Block, BlockAttr
from npuc.dialects.npu_schedule import PoolOp


@dataclass(frozen=True)
class FlatBlocksPass(ModulePass):
    """Give every pooling kernel a block that is one row high."""

    name = "flat-blocks"
    width: int = 8
    depth: int = 16

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in op.walk():
            if isinstance(kernel, PoolOp) and kernel.block is None:
                kernel.block = BlockAttr(Block(1, self.width, self.depth))
