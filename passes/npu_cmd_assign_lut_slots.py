"""
Find a place in SHRAM for every lookup table, and bring a table in once only while it stays there.

Assumes programs in which each table is an `alloc` in `shram`, one transfer that fills it from a constant, and kernels
that use it. The table area has eight slots of 256 bytes; a table lies at a multiple of its own size. Decides the
address of each table: where the same constant already lies, if nothing has overwritten it since (the transfer is then
dropped), else the slots that have been unused for longest. On machines without banks of their own for tables every
kernel that uses none overwrites the area.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError, concerning
from npuc.dialects.npu import IntsAttr, target_of
from npuc.dialects.npu_cmd import AllocOp, DmaOp, FreeOp, LaunchOp, ProgramOp
from npuc.hardware.accelerators import Accelerator, accelerator

SLOT = 256
SLOTS = 8


@dataclass
class _Slots:
    """The table area: what each slot holds, who uses it, and when it was last used."""

    content: list[tuple[SSAValue, int, int] | None] = field(
        default_factory=lambda: list[tuple[SSAValue, int, int] | None]([None] * SLOTS)
    )
    """Constant, its offset, and the slot at which the copy starts."""
    busy: list[bool] = field(default_factory=lambda: [False] * SLOTS)
    used: list[int] = field(default_factory=lambda: [-1] * SLOTS)

    def find(self, source: SSAValue, offset: int, count: int) -> int | None:
        """The first slot of a copy of `count` slots that is still whole."""
        for first in range(0, SLOTS, count):
            if all(self.content[first + i] == (source, offset, first) for i in range(count)):
                return first
        return None

    def oldest(self, count: int) -> int:
        """The first of `count` aligned slots that nobody uses, those unused for longest."""
        free = [first for first in range(0, SLOTS, count) if not any(self.busy[first : first + count])]
        if not free:
            raise VerifyException(f"more tables are alive at one time than the {SLOTS} slots in SHRAM hold")
        return min(free, key=lambda first: (max(self.used[first : first + count]), first))


@dataclass(frozen=True)
class NpuCmdAssignLutSlotsPass(ModulePass):
    """Place lookup tables in SHRAM."""

    name = "npu-cmd-assign-lut-slots"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for program in op.ops:
            if isinstance(program, ProgramOp):
                self._assign(program, accelerator(target_of(program).accelerator.data))

    def _assign(self, program: ProgramOp, machine: Accelerator) -> None:
        slots = _Slots()
        place: dict[SSAValue, tuple[int, int]] = {}
        for time, op in enumerate(list(program.body.block.ops)):
            if isinstance(op, AllocOp) and op.buffer.space == "shram":
                fill = next((u.operation for u in op.result.uses if isinstance(u.operation, DmaOp)), None)
                if fill is None or fill.destination is not op.result:
                    raise OperationError(op, "a table in SHRAM is filled by one npu_cmd.dma")
                count = -(-op.buffer.size // SLOT)
                offset = fill.source_offset.data[0] if fill.source_offset is not None else 0
                first = slots.find(fill.source, offset, count)
                if first is None or any(slots.busy[first : first + count]):
                    with concerning(op):
                        first = slots.oldest(count)
                else:
                    Rewriter.erase_op(fill)
                place[op.result] = (first, count)
                op.address = IntsAttr((machine.lut_base + first * SLOT,))
                for i in range(first, first + count):
                    slots.content[i] = (fill.source, offset, first)
                    slots.busy[i] = True
                    slots.used[i] = time
            elif isinstance(op, FreeOp) and op.source in place:
                first, count = place[op.source]
                for i in range(first, first + count):
                    slots.busy[i] = False
                    slots.used[i] = time
            elif isinstance(op, LaunchOp) and not machine.reserved_end_banks and not op.values_of("table"):
                if any(slots.busy):
                    raise OperationError(op, "without a table it would overwrite one that is still needed")
                slots.content = [None] * SLOTS
