"""
Write on each NPU region how many bytes of the scarce memory its schedule may take, `npu.sram_limit`: later passes keep
to it.

Assumes a target on the module, and formats as they are to stay. Strategy `performance` gives all there is: the limit of
the target, else the arena size of its memory mode, which is the address space where that has none, and the size of the
fast memory where that lies beside a slow arena. Strategy
`size` gives the least in which the network runs in cascades at no more than `slowdown` times the cycles that it takes
with all memory (both as `npuc.planning.schedules` times them), and no more than `performance` would. All regions
share the arena, so the limit is that of the region that needs most, or of the host between them; values that the host
keeps in the arena across a region are part of it. A limit that is written already stays.
An error if not even the smallest schedule keeps to the limit; it names the bytes that this one needs, gaps between
buffers left out. `npu-compile` tries which limit really works.
Decides only the number; without this pass nothing is limited, and no cascade is planned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, held_by_host, host_peak
from npuc.analysis.machine import LimitError, machine_of, scarce_space_of, setup_of
from npuc.dialects.npu import LIMIT_ATTR, target_of
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.schedules import region_of


@dataclass(frozen=True)
class NpuScheduleLimitSramPass(ModulePass):
    """Decide how much memory schedules may take."""

    name = "npu-schedule-limit-sram"

    strategy: Literal["performance", "size"] = "performance"
    slowdown: float = 1.25

    def __post_init__(self) -> None:
        if not self.slowdown >= 1:
            raise ValueError(f"option slowdown={self.slowdown}: no schedule is quicker than 1.0, with all memory")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [f for f in scheduled_functions(op) if LIMIT_ATTR not in f.attributes]
        if not functions:
            return
        held = held_by_host(op)
        networks = [Network(f, held.get(f.sym_name.data, NOTHING_HELD)) for f in functions]
        limit = available(op)
        wanted = limit
        host = host_peak(op) if scarce_space_of(op) == "arena" else 0
        if self.strategy == "size" or max(host, *(network.plain_peak for network in networks)) > limit:
            regions = [
                region_of(f, held.get(f.sym_name.data, NOTHING_HELD), machine_of(f), setup_of(f)) for f in functions
            ]
            least = max(host, *(region.planner.least_peak() for region in regions))
            if least > limit:
                message = f"the limit is {limit} bytes of SRAM, the planner finds no schedule below {least}"
                raise LimitError(message, limit, least)
            if self.strategy == "size":
                wanted = max(host, *(region.least_limit(self.slowdown) for region in regions))
        for function in functions:
            function.attributes[LIMIT_ATTR] = IntegerAttr(min(limit, wanted), i64)


def available(op: Operation) -> int:
    """Bytes that the target has of the memory that is scarce."""
    target, setup = target_of(op), setup_of(op)
    return setup.arena_cache_size if target.sram_limit is None else target.sram_limit
