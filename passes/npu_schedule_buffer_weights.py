"""
Decide which weights pass through buffers of faster memory, and in which depth slices.

Assumes a target on the module, OFM blocks chosen, cascades formed, and on each region `npu.sram_limit` where the arena
is limited (the target's limit else; a fast memory beside a slow arena has the limit of its cache). Weights that lie in
memory no slower than the buffers would are left alone.

Decides `slices` and `buffers` of kernels with weights, as `npuc.planning.buffers` plans them on the tasks of the
region; either stays where it stands already. Kernels with equal weights are cut alike, as the first of them in the
order of the module, so that one copy of the streams serves them all. At the peak of a schedule there are no buffers,
and below it they fill the room up to the limit. The choices for the limit and for lower ones are timed, and none; where
a lower limit is as good for the transfers, it is written on the region as `npu.transfer_limit`, since transfers that
find more memory may come so early that they are in the way; `npu.transfers_forwards` where it is quicker to give them
time in the order in which they are needed. What is written of either already stays.

The allocator is asked what the schedule needs in memory with its buffers, beside the host's values and other regions.
Where that passes the limit, because there have to be gaps, tasks are taken to need so much more, and the choices
compete again. No buffers make a schedule miss its limit that keeps to it without.

Writes attributes only; `npu-schedule-split-weight-buffers` makes the buffers. Without this pass all weights are read in
place: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, UnitAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import (
    UNLIMITED,
    limit_of,
    machine_of,
    scarce_space_of,
    setup_of,
    transfer_limit_of,
    transfers_forwards,
)
from npuc.dialects.npu import AREAS, FORWARDS_ATTR, TRANSFER_LIMIT_ATTR, IntsAttr
from npuc.dialects.npu_schedule import ConvKernelOp
from npuc.planning.buffers import pinned
from npuc.planning.lives import Memory, lives_of
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.schedules import Schedules
from npuc.planning.tasks import Works


@dataclass(frozen=True)
class NpuScheduleBufferWeightsPass(ModulePass):
    """Write slices and buffers on kernels with weights."""

    name = "npu-schedule-buffer-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = scheduled_functions(op)
        if not functions:
            return
        machine, setup, space = machine_of(op), setup_of(op), scarce_space_of(op)
        area = AREAS[space]
        if setup.memory(area).bytes_per_cycle <= setup.constants.bytes_per_cycle:
            return
        schedules = Schedules(area, machine, setup)
        memory = Memory(op, functions)
        cuts: dict[Hashable, tuple[int, ...]] = {}
        held = held_by_host(op)
        regions = [_Region(one, held.get(one.sym_name.data, NOTHING_HELD), schedules) for one in functions]
        limits = [UNLIMITED if (limit := limit_of(one, space)) is None else limit for one in functions]
        if len(regions) > 1:
            for region in regions:
                # Each is planned beside the least that the others need, or what has been planned of them.
                program = schedules.program(region.tasks, pinned(region.tasks))
                memory.put(region.network.function, lives_of(region.network, program, program.unmoved))
        for region, limit in zip(regions, limits, strict=True):
            function = region.network.function
            best = schedules.buffered(region.tasks, limit, cuts, memory.of(region.network))
            if TRANSFER_LIMIT_ATTR not in function.attributes and FORWARDS_ATTR not in function.attributes:
                if best.limit < limit:
                    function.attributes[TRANSFER_LIMIT_ATTR] = IntegerAttr(best.limit, i64)
                if best.forwards:
                    function.attributes[FORWARDS_ATTR] = UnitAttr()
            program = schedules.program(region.tasks, best.decisions)
            if len(regions) > 1 and program.buffers:  # Without buffers it needs what has been put down for it.
                kept = transfer_limit_of(function, space)
                forwards, kept = transfers_forwards(function), UNLIMITED if kept is None else kept
                plan = program.placed(kept, memory.of(region.network), limit, forwards).plan
                memory.put(function, lives_of(region.network, program, plan))
            for work, (at, buffers) in best.decisions.items():
                kernel = work.op
                assert isinstance(kernel, ConvKernelOp)
                if len(at) > 2:
                    kernel.slices = IntsAttr(at)
                if buffers:
                    kernel.buffers = IntsAttr((buffers,))


class _Region:
    """What is planned of a region."""

    def __init__(self, function: FuncOp, held: Held, schedules: Schedules):
        self.network = Network(function, held)
        works = Works(self.network, schedules.machine, schedules.setup)
        self.tasks = works.of_network()
        works.measure(work for task in self.tasks for work in task.works)
