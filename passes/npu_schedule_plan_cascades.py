"""
Plan which kernels run stripe by stripe: the quickest of all schedules that keep to `npu.sram_limit`.

Assumes a target on the module, the limit on each region (`npu-schedule-limit-sram`; a region without one is left as it
is), and formats as they are to stay. Blocks that are not chosen yet are taken to be the quickest for the stripes, and
what is left of the limit to be used for weights, as `npu-schedule-buffer-weights` does.
Decides, by dynamic programming over all ways to cut the kernels into runs (`npuc.planning.cascades`) and by timing the
whole schedule that comes of each of the best, as far as the allocator finds addresses for its buffers
(`npuc.planning.schedules`): `cascade`, the number of the cascade that a kernel is to be part of, `stripe`, the OFM rows
of its launches, and `rolling`, the rows that its result then needs while it stays inside, in the memory that is scarce.
Kernels that have a `cascade` already stay together as they are, with the `stripe` and `rolling` that stand there; a
`stripe` of all rows keeps a kernel out of cascades.
Only writes; `npu-schedule-form-cascades` carries it out. Leaving it out costs memory and changes no result.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import machine_of, setup_of, written_limit
from npuc.analysis.storage import inside, tensor_type
from npuc.dialects.feature_maps import space_of, stored
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import KernelOp, is_brick
from npuc.planning.cascades import Planner, Segment
from npuc.planning.network import scheduled_functions
from npuc.planning.placement import movable_roots
from npuc.planning.schedules import region_of


@dataclass(frozen=True)
class NpuSchedulePlanCascadesPass(ModulePass):
    """Write cascades, stripes and rolling buffers on kernels."""

    name = "npu-schedule-plan-cascades"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        held = held_by_host(op)
        for function in scheduled_functions(op):
            limit = written_limit(function)
            if limit is not None:
                plan(function, held.get(function.sym_name.data, NOTHING_HELD), limit)


def plan(function: FuncOp, held: Held, limit: int) -> None:
    """Write the quickest schedule of a region within a limit."""
    region = region_of(function, held, machine_of(function), setup_of(function))
    network = region.network
    pinned = any(isinstance(item.op, KernelOp) and item.op.cascade is not None for item in network.items)
    # Where all fits as it stands, cascades can only save transfers of what lies in slower memory.
    spilled = any(space_of(root) != network.space for root in movable_roots(network.storage))
    if region.buffered_peak <= limit and not pinned and not spilled:
        return
    try:
        segments = region.cut(limit)
    except PassFailedException as error:
        raise PassFailedException(f"@{function.sym_name.data}: {error}") from error
    numbers = {number for item in network.items if (number := _number(item.op)) is not None}
    following = max(numbers, default=-1) + 1
    for segment, upwards in zip(segments, region.planner.directions(segments, limit).upwards, strict=True):
        if not segment.rows:
            continue
        if _number(network.items[segment.start].op) is None:
            following += 1
        _write(region.planner, segment, following - 1, upwards)


def _number(op: object) -> int | None:
    """The cascade that a kernel is planned for already."""
    return op.cascade.data[0] if isinstance(op, KernelOp) and op.cascade is not None else None


def _write(planner: Planner, segment: Segment, number: int, upwards: bool) -> None:
    """What has been decided about a segment, but for what stands on its kernels already."""
    choice, storage = planner.choice(segment), planner.network.storage
    items = planner.network.items[segment.start : segment.stop + 1]
    roots: dict[SSAValue, None] = {}
    for item, stripe, rolling in zip(items, choice.stripes, choice.rolling, strict=True):
        op = item.op
        assert isinstance(op, KernelOp)
        op.cascade = op.cascade or IntsAttr((number,))
        op.stripe = op.stripe or IntsAttr((stripe,))
        op.upwards = op.upwards or (UnitAttr() if upwards else None)
        if rolling is not None and op.rolling is None:
            op.rolling = IntsAttr((rolling,))
            roots[storage.root(op.result)] = None
    # What is spilled as a whole need not be as a rolling buffer.
    for value in [member for root in roots for member in inside(root)]:
        layout = "nhcwb16" if is_brick(value) else "nhwc"
        Rewriter.replace_value_with_new_type(value, stored(tensor_type(value), layout, planner.network.space))
    last = items[-1].op
    assert isinstance(last, KernelOp)
    if segment.over >= 0 and last.laid_over is None:
        last.lay_over(planner.overlaps.value(segment.over, segment.start, segment.stop))
