"""
Bring operands to the scarce memory by DMA where the kernels that read them gain by it: `npu_schedule.transfer`.

Assumes a target on the module, feature maps placed and cascades formed, and on each region `npu.sram_limit` where the
memory is limited. Operands that lie in a slower memory than the one that schedules are planned for are constants,
operands of the region and spilled values. For the kernels and cascades that read one, both are timed: reading it where
it is, and a transfer right before the first of them, as far as the kernels before do not hide it
(`npuc.planning.staging`). A transfer takes memory that the schedule leaves of the limit; so at its peak there is none.
`npu-cmd-hoist-dma` issues transfers early. Without this pass operands are read where they are: slower, and just as
right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import limit_of, machine_of, scarce_space_of, setup_of
from npuc.analysis.storage import tensor_type
from npuc.dialects.npu_schedule import CascadeOp, TransferOp, is_brick, stored
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.staging import Staged, Staging

UNLIMITED = 1 << 40


@dataclass(frozen=True)
class NpuScheduleStageOperandsPass(ModulePass):
    """Insert transfers of operands that are read from slow memory."""

    name = "npu-schedule-stage-operands"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = scheduled_functions(op)
        if not functions:
            return
        machine, setup, space, held = machine_of(op), setup_of(op), scarce_space_of(op), held_by_host(op)
        for function in functions:
            limit = limit_of(function, space)
            network = Network(function, held.get(function.sym_name.data, NOTHING_HELD))
            for staged in Staging(network, machine, setup, UNLIMITED if limit is None else limit).run():
                _transfer(staged, network)


def _transfer(staged: Staged, network: Network) -> None:
    """Let items read a copy in the scarce memory."""
    items, value = staged
    layout = "nhcwb16" if is_brick(value) else "nhwc"
    transfer = TransferOp(value, stored(tensor_type(value), layout, network.space))
    transfer.location = items[0].location
    transfer.result.name_hint = value.name_hint
    Rewriter.insert_op(transfer, InsertPoint.before(items[0]))
    for kernel in (k for item in items for k in (item.kernels if isinstance(item, CascadeOp) else (item,))):
        for index, operand in enumerate(kernel.operands):
            if operand is value:
                kernel.operands[index] = transfer.result
