"""
Order transfers against kernels, and against each other: nothing but a wait keeps them apart.

Assumes an allocated program. Walks it with the queues as the machine keeps them (so many transfers and kernels may be
outstanding; issuing one more stalls until the oldest is done) and, where a command touches bytes that an outstanding
command writes, or writes bytes that it reads, inserts a wait for just as many of the younger ones as may stay pending.
Of two transfers that are outstanding, as U65 can have, nobody knows that the first is done first. Waits that stand in
the IR are taken into account, and kept.

Leaves the order among kernels to BLOCKDEP (`npu-cmd-set-blockdep`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.accesses import Accesses, accesses
from npuc.dialects.npu import target_of
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp, WaitOp
from npuc.hardware.accelerators import Accelerator, accelerator


@dataclass
class _Queue:
    """Outstanding commands of one kind, oldest first."""

    kind: str
    capacity: int
    pending: list[Accesses] = field(default_factory=list[Accesses])

    def stall(self) -> None:
        """What the machine waits for before it takes one more command."""
        self.wait(self.capacity - 1)

    def push(self, touched: Accesses) -> None:
        self.stall()
        self.pending.append(touched)

    def wait(self, pending: int) -> None:
        del self.pending[: max(0, len(self.pending) - pending)]

    def may_stay(self, touched: Accesses) -> int | None:
        """How many may stay pending beside a command that touches this; None if all may."""
        for younger, earlier in enumerate(reversed(self.pending)):
            if earlier.conflicts(touched):
                return younger
        return None


@dataclass(frozen=True)
class NpuCmdInsertWaitsPass(ModulePass):
    """Insert the waits that order transfers and kernels."""

    name = "npu-cmd-insert-waits"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in op.ops:
            if isinstance(program, ProgramOp):
                self._order(program, accelerator(target_of(program).accelerator.data))

    def _order(self, program: ProgramOp, machine: Accelerator) -> None:
        transfers = _Queue("dma", machine.max_outstanding_dmas)
        kernels = _Queue("kernel", machine.max_outstanding_kernels)
        for command in list(program.body.block.ops):
            if isinstance(command, WaitOp):
                (transfers if command.kind.data == "dma" else kernels).wait(command.pending.data[0])
                continue
            if not isinstance(command, DmaOp | LaunchOp):
                continue
            touched = accesses(command, machine)
            mine, other = (transfers, kernels) if isinstance(command, DmaOp) else (kernels, transfers)
            if mine is transfers:
                mine.stall()
            for queue in (other, mine) if mine is transfers else (other,):
                pending = queue.may_stay(touched)
                if pending is not None:
                    queue.wait(pending)
                    Rewriter.insert_op(WaitOp(queue.kind, pending), InsertPoint.before(command))
            mine.push(touched)
