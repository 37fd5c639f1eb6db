"""
Issue transfers earlier, so that they run beside the kernels before the one that waits for them.

Assumes programs without addresses and waits. Moves a transfer that is the first to fill its buffer, together with the
`alloc` of that buffer, up to right behind an earlier launch, once its source is there: before the `free`s that follow
it, so that the two can really run side by side. It makes no buffers and moves no other command. Inputs of the region
get a `free` of their own, for the same reason.

Behind which launch is decided by `npuc.planning.prefetch`, for all transfers of a program at once; this pass only says
what the program is, and carries the plan out. Each transfer, the one that is needed last first
(`npu.transfers_forwards` on a program: the one that is needed first), takes the time of the
latest kernels before its own that no other transfer has taken, in which the port of the constants has nothing to do,
and at which its buffer fits beside all that is alive there. A transfer that needs the time of several kernels is
cut in pieces, one behind each launch, since a machine that can have but one transfer outstanding would hold up
everything behind a long one. Where only the launch that it is issued behind has time for a transfer, a wait for the
launch before keeps it from beginning beside that. What finds no time is issued behind the launch right before the one
that needs it; where not even then its buffer fits, it stays where it was.

It fits in what is left below the limit of the memory: `npu.sram_limit` on the program or the limit of the target for
the arena, the size of the cache for a fast memory beside a slow arena. Where nothing limits the arena, hoisting does
not add to the peak that it finds. `npu.transfer_limit` on a program is a lower limit for this pass alone. Tables move
in one piece within the table area of SHRAM, if the machine reserves one.

What is alive may fit by its sum, and still find no addresses without gaps. So the allocator is asked about the plan.
Where it passes the limit, the launches at which something lies above that are taken to need so much more, and transfers
are planned again, a few times at the most; then for lower limits, in the end as they stood. What passes the limit with
no transfer moved is left to `npu-cmd-allocate`, which says so; then the plan keeps to what that needs.

Without this pass a transfer runs beside kernels of its own operator only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.allocation import ALIGNMENT, LiveRange, Needs, Rule, needs
from npuc.analysis.live_ranges import Item, live_ranges
from npuc.analysis.machine import (
    UNLIMITED,
    limit_of,
    machine_of,
    scarce_space_of,
    setup_of,
    transfer_limit_of,
    transfers_forwards,
)
from npuc.analysis.timeline import launch_cost, transfer_cycles
from npuc.dialects.npu import BufferType, Space
from npuc.dialects.npu_cmd import AllocOp, DmaOp, FreeOp, InputOp, LaunchOp, ProgramOp, WaitOp
from npuc.hardware.accelerators import TABLE_BYTES, Accelerator
from npuc.hardware.cycles import idle_cycles
from npuc.hardware.memory import MemorySetup
from npuc.planning.prefetch import Plan, Transfer, placed_plan

SPACES: tuple[Space, ...] = ("arena", "fast")


@dataclass(frozen=True)
class NpuCmdHoistDmaPass(ModulePass):
    """Move transfers up to run beside earlier kernels."""

    name = "npu-cmd-hoist-dma"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = [p for p in op.ops if isinstance(p, ProgramOp)]
        if not programs:
            return
        for program in programs:
            _free_inputs(program)
        machine, setup, scarce = machine_of(op), setup_of(op), scarce_space_of(op)
        ranges = live_ranges(op)
        usage = {space: ranges.usage(space) for space in SPACES}
        tables = _table_usage(programs, ranges.times)
        here = [item for item in ranges.items if item.space == scarce]
        alive = _Alive(here, ranges.rules_among(here))
        for program in programs:
            launches = [one for one in program.body.block.ops if isinstance(one, LaunchOp)]
            jobs = _jobs(program, machine, setup)
            if not any(job.transfer.memory for job in jobs):
                continue
            used = {"shram": _at_launches(program, "shram", tables, ranges.times)}
            limits = {"shram": TABLE_BYTES}
            for space in SPACES:
                limit = transfer_limit_of(program, space)
                limits[space] = max(usage[space]) if limit is None else limit
                used[space] = _at_launches(program, space, usage[space], ranges.times)
            idle = [idle_cycles(launch_cost(one, machine, setup), setup.constants) for one in launches]
            times = [ranges.times[one] for one in launches]
            limit = limit_of(program, scarce)
            asked = partial(alive.needs, jobs, times)
            most = UNLIMITED if limit is None else limit
            transfers, forwards = [job.transfer for job in jobs], transfers_forwards(program)
            found = placed_plan(transfers, idle, used, limits, scarce, asked, most, forwards).plan
            alive.move(alive.ranges, jobs, times, found)
            for job, parts in zip(jobs, found.pieces, strict=True):
                if parts:
                    _move(job, parts, found.held, launches)


@dataclass
class _Job:
    """A transfer command, the buffer that it is the first to fill, and what the planner must know of it."""

    op: DmaOp
    alloc: Operation
    transfer: Transfer


class _Alive:
    """What is alive in the scarce memory, and what becomes of that as transfers are moved."""

    def __init__(self, items: Sequence[Item], rules: Sequence[Rule]):
        self.ranges = [item.live_range for item in items]
        self._rules = rules
        self._total = sum(one.rounded for one in self.ranges)
        self._numbers: dict[Operation, int] = {op: number for number, item in enumerate(items) for op in item.ops}

    def move(self, ranges: list[LiveRange], jobs: Sequence[_Job], times: Sequence[int], plan: Plan) -> None:
        """Let buffers be taken as early as transfers of a program are issued; `times` are those of its launches."""
        for job, parts in zip(jobs, plan.pieces, strict=True):
            number = self._numbers.get(job.alloc)
            if parts and number is not None:
                ranges[number] = replace(ranges[number], start=times[min(parts)])

    def needs(self, jobs: Sequence[_Job], times: Sequence[int], plan: Plan, enough: int) -> Needs:
        """What is needed at each launch if transfers of a program are issued so."""
        if self._total <= enough:
            return Needs.anyhow(self._total, len(times))
        ranges = list(self.ranges)
        self.move(ranges, jobs, times, plan)
        return needs(ranges, times, enough, self._rules)


def _free_inputs(program: ProgramOp) -> None:
    """State where the life of each input ends, so that what is issued behind its last kernel can run beside it."""
    order = {op: index for index, op in enumerate(program.body.block.ops)}
    for op in order:
        if isinstance(op, InputOp):
            users = [use.operation for use in op.result.uses]
            if users and not any(isinstance(user, FreeOp) for user in users):
                free = FreeOp(op.result)
                free.location = op.location
                program.body.block.insert_op_after(free, max(users, key=order.__getitem__))


def _table_usage(programs: list[ProgramOp], times: dict[Operation, int]) -> list[int]:
    """Bytes of the table area of SHRAM that are taken at each time."""
    steps = [0] * (2 + max(times.values(), default=0))
    for op in (op for program in programs for op in program.body.block.ops):
        if isinstance(op, AllocOp) and op.buffer.space == "shram":
            steps[times[op]] += op.buffer.size
            steps[max(times[use.operation] for use in op.result.uses) + 1] -= op.buffer.size
    return list(accumulate(steps))


def _at_launches(program: ProgramOp, space: Space, used: Sequence[int], times: dict[Operation, int]) -> list[int]:
    """For each launch the most bytes of a memory that are in use from it on, before any of it is given up."""
    launches: list[int] = []
    behind: list[int] = []
    """What is in use at the commands behind the last launch, as long as nothing has been given up."""
    open_ = False
    for op in program.body.block.ops:
        if isinstance(op, LaunchOp):
            launches.append(used[times[op]])
            behind.clear()
            open_ = True
        elif isinstance(op, AllocOp | DmaOp):
            behind.append(used[times[op]])
        elif isinstance(op, FreeOp) and cast(BufferType, op.source.type).space == space:
            if open_ and behind:
                launches[-1] = max(launches[-1], *behind)
            open_ = False
    return launches


def _jobs(program: ProgramOp, machine: Accelerator, setup: MemorySetup) -> list[_Job]:
    """All transfers in the order in which kernels need them."""
    ops = list(program.body.block.ops)
    order = {op: index for index, op in enumerate(ops)}
    launches = [op for op in ops if isinstance(op, LaunchOp)]
    number = {launch: index for index, launch in enumerate(launches)}
    tables = {op.buffer.size for op in ops if isinstance(op, AllocOp) and op.buffer.space == "shram"}
    jobs: list[_Job] = []
    after = 0
    for op in ops:
        if isinstance(op, LaunchOp):
            after += 1
        elif isinstance(op, DmaOp):
            later = [number[u.operation] for u in op.destination.uses if isinstance(u.operation, LaunchOp)]
            deadline = min((n for n in later if n >= after), default=len(launches))
            type_, source = op.destination.type, op.source.type
            assert isinstance(type_, BufferType)
            assert isinstance(source, BufferType)
            alloc = op.destination.owner
            first = min(order[use.operation] for use in op.destination.uses) == order[op]
            earliest = _available(op, number, order)
            movable = isinstance(alloc, AllocOp) and first and earliest is not None
            if type_.space == "shram" and (not machine.reserved_end_banks or len(tables) > 1):
                # Other kernels write there, or tables of different sizes may not find room.
                movable = False
            assert isinstance(alloc, Operation)
            transfer = Transfer(
                op.size.data[0],
                after,
                deadline,
                transfer_cycles(op, setup),
                type_.space if movable else None,
                -(-type_.size // ALIGNMENT) * ALIGNMENT,
                whole=type_.space == "shram",
                earliest=earliest or 0,
            )
            jobs.append(_Job(op, alloc, transfer))
    return sorted(jobs, key=lambda job: job.transfer.deadline)


def _available(op: DmaOp, number: dict[LaunchOp, int], order: dict[Operation, int]) -> int | None:
    """
    The first launch behind which the source of a transfer can be read without a pause: that behind the last kernel that
    writes it, which the next one gives time to end. None where another transfer writes it.
    """
    earliest = 0
    for use in op.source.uses:
        user = use.operation
        if order[user] > order[op]:
            continue
        if isinstance(user, DmaOp) and user.destination is op.source:
            return None
        if isinstance(user, LaunchOp) and user.ofm is op.source:
            earliest = max(earliest, number[user] + 1)
    return earliest


def _move(job: _Job, pieces: dict[int, int], held: set[int], launches: Sequence[LaunchOp]) -> None:
    """
    Put the buffer and the pieces behind their launches. The first at a launch that is `held` stands behind a wait for
    the launch before; it is taken from the set.
    """
    op, alloc = job.op, job.alloc
    block = op.parent
    assert block is not None
    offsets = [o.data[0] if o is not None else 0 for o in (op.source_offset, op.destination_offset)]
    alloc.detach()
    done = 0
    for window in sorted(pieces):
        at: Operation = launches[window]
        # Behind what has been moved there before: it is needed sooner.
        while isinstance(at.next_op, AllocOp | DmaOp | WaitOp):
            at = at.next_op
        if window in held:
            held.remove(window)
            wait = WaitOp("kernel", 1)
            wait.location = op.location
            block.insert_op_after(wait, at)
            at = wait
        if not done:
            block.insert_op_after(alloc, at)
            at = alloc
        block.insert_op_after(_part(op, offsets, done, pieces[window]), at)
        done += pieces[window]
    Rewriter.erase_op(op)


def _part(op: DmaOp, offsets: Sequence[int], start: int, size: int) -> DmaOp:
    """Bytes from `start` on of a transfer whose offsets are given."""
    part = DmaOp(op.source, op.destination, size, offsets[0] + start, offsets[1] + start)
    part.location = op.location
    return part
