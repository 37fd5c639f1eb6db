"""
Let results of cascades lie over what these are the last to read: `at`, how near.

Assumes that cascades are formed, and `over` on the kernel whose result is to lie over an operand, most likely by
`npu-schedule-plan-cascades`, which has counted with it. A cascade that walks from the first rows to the last lets its
result begin before the operand, one that walks `upwards` lets it end behind the operand; as near as its launches allow
(`CascadeOp.nearest`). How far apart the two really lie is left to `npu-cmd-allocate`. What can lie over nothing,
because others need the operand later or see it otherwise, has memory of its own.
Without this pass all have that: more SRAM, and just as right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.storage import Storage
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import CascadeOp, KernelOp


@dataclass(frozen=True)
class NpuScheduleOverlapResultsPass(ModulePass):
    """Decide how near results may lie to what they lie over."""

    name = "npu-schedule-overlap-results"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        held: dict[str, Held] | None = None
        for function in [f for f in op.ops if isinstance(f, FuncOp)]:
            laid = _laid(function)
            if not laid:
                continue
            held = held_by_host(op) if held is None else held
            storage = Storage(function)
            kept = held.get(function.sym_name.data, NOTHING_HELD).arguments
            needed = {storage.root(function.body.block.args[number]) for number in kept}
            for cascade, kernel in laid:
                assert kernel.laid_over is not None
                if storage.root(kernel.laid_over) not in needed and storage.lying_problem(kernel) is None:
                    kernel.at = IntsAttr((cascade.nearest(kernel),))


def _laid(function: FuncOp) -> list[tuple[CascadeOp, KernelOp]]:
    """Kernels whose results are to lie over something, and nobody has said how near, in their cascades."""
    cascades = [op for op in function.body.block.ops if isinstance(op, CascadeOp)]
    return [(one, op) for one in cascades for op in one.kernels if op.laid_over is not None and op.at is None]
