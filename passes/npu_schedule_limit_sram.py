"""
Write on each NPU region how many bytes of the scarce memory its schedule may take, `npu.sram_limit`: later passes keep
to it.

Assumes a target on the module, and formats as they are to stay. A size that somebody names is there to be spent: with
strategy `performance` the limit is that of the target, else the size that its memory mode gives the arena, or the fast
memory where that lies beside a slow arena. Where nobody names one, it is the least in which the network takes at most
`AS_QUICK` times the cycles of its quickest schedule in the memory of the plain one: kernels that run as they stand, and
no buffers. Strategy `size` gives the least at no more than `slowdown` times those cycles, whoever names what, and no
more than there is. Both are found by timing whole schedules, weights through buffers included
(`npuc.planning.schedules`), and no schedule is taken whose commands grow the file by more than it saves. All regions
share the arena, so the limit is that of the region that needs most, or of the host between them; values that the host
keeps in the arena across a region are part of it. A limit that is written already stays.
Where it had to look for it, it also writes the bytes that the best cascades need, `npu.least_sram`, which nothing but
reports asks for.
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
from npuc.dialects.npu import LEAST_ATTR, LIMIT_ATTR, target_of
from npuc.planning.network import scheduled_functions
from npuc.planning.schedules import least_limit, region_of

AS_QUICK = 1.02
"""Of schedules that take no more than this factor longer than the quickest, the one with the least memory is taken."""


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
        regions = [region_of(f, held.get(f.sym_name.data, NOTHING_HELD), machine_of(f), setup_of(f)) for f in functions]
        limit = available(op)
        host = host_peak(op) if scarce_space_of(op) == "arena" else 0
        plain = max(host, *(region.network.plain_peak for region in regions))
        wanted = limit
        spends = self.strategy == "performance" and is_named(op)
        if plain > limit or not spends:
            least = max(host, *(region.planner.least_peak() for region in regions))
            if least > limit:
                message = f"the limit is {limit} bytes of SRAM, the planner finds no schedule below {least}"
                raise LimitError(message, limit, least)
            op.attributes[LEAST_ATTR] = IntegerAttr(least, i64)
            if not spends:
                slowdown = self.slowdown if self.strategy == "size" else AS_QUICK
                wanted = least_limit(regions, least, min(limit, plain), slowdown)
        for function in functions:
            function.attributes[LIMIT_ATTR] = IntegerAttr(wanted, i64)


def available(op: Operation) -> int:
    """Bytes that the target has of the memory that is scarce."""
    target, setup = target_of(op), setup_of(op)
    return setup.arena_cache_size if target.sram_limit is None else target.sram_limit


def is_named(op: Operation) -> bool:
    """Whether somebody has named how much there is of the memory that is scarce."""
    return target_of(op).sram_limit is not None or setup_of(op).sized
