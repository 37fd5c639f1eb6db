"""
A pass of one's own: pin a decision before the planners run. They leave what is written as it is.

    npu-opt model.mlir --load-pass examples/pin_one_block.py -p 'pin-one-block{height=2 width=2 depth=16},...'
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.dialects.npu import Block, BlockAttr
from npuc.dialects.npu_schedule import ConvKernelOp


@dataclass(frozen=True)
class PinOneBlockPass(ModulePass):
    """Give every convolution the same OFM block."""

    name = "pin-one-block"
    height: int = 2
    width: int = 2
    depth: int = 16

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in op.walk():
            if isinstance(kernel, ConvKernelOp):
                kernel.block = BlockAttr(Block(self.height, self.width, self.depth))
