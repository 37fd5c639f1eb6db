"""
Issue transfers earlier, so that they run beside the kernels before the one that waits for them.

Assumes programs without addresses and waits. Moves a transfer from read-only memory that is the first to fill its
buffer, together with the `alloc` of that buffer, up to right behind an earlier launch: before the `free`s that follow
it, so that the two can really run side by side. It makes no buffers and moves no other command. Inputs of the region
get a `free` of their own, for the same reason.

Decides behind which launch. Each transfer, in the order in which kernels need them, takes the time of the latest
kernels before its own that no other transfer has taken, in which the port of the constants has nothing to do, and for
which its buffer finds room beside all that is alive there. A transfer that needs the time of several kernels is cut in
pieces, one behind each launch, since a machine that can have but one transfer outstanding would hold up everything
behind a long one. What finds no time is issued behind the launch right before the one that needs it; where not even
that has room for its buffer, it stays where it was.

Room is what is left below the limit of the memory: `npu.sram_limit` on the program or the limit of the target for the
arena, the size of the cache for a fast memory beside a slow arena. Where nothing limits the arena, hoisting does not
add to the peak that it finds. Tables move in one piece within the table area of SHRAM, if the machine reserves one.

Without this pass a transfer runs beside kernels of its own operator only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.allocation import ALIGNMENT
from npuc.analysis.live_ranges import live_ranges
from npuc.analysis.machine import limit_of, machine_of, setup_of
from npuc.analysis.timeline import launch_cost, transfer_cycles
from npuc.dialects.npu import BufferType, Space
from npuc.dialects.npu_cmd import AllocOp, DmaOp, FreeOp, InputOp, LaunchOp, ProgramOp
from npuc.hardware.accelerators import LUT_BANKS, Accelerator
from npuc.hardware.cycles import idle_cycles
from npuc.hardware.memory import MemorySetup
from npuc.planning.levels import Levels
from npuc.planning.prefetch import early_pieces

TABLE_BYTES = LUT_BANKS * 1024


@dataclass
class _Job:
    """A transfer: launches before it, the launch that needs it, and its cycles."""

    op: DmaOp
    after: int
    """It stands behind so many launches."""
    deadline: int
    """The launch that waits for it."""
    cycles: int
    size: int
    space: Space
    alloc: AllocOp | None
    """The buffer to be moved with it; None for a transfer that stays where it is."""


@dataclass
class _Room:
    """Bytes alive at each time, and the most that may be."""

    used: Levels
    limit: int

    def reach(self, size: int, start: int, end: int) -> int:
        """The earliest time from `start` on since which so many more bytes find room up to before `end`."""
        return max(start, 1 + self.used.last_above(self.limit - size, end))


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
        machine, setup = machine_of(op), setup_of(op)
        ranges = live_ranges(op)
        spaces: tuple[Space, ...] = ("arena", "fast")
        usage = {space: ranges.usage(space) for space in spaces}
        peaks = {space: max(usage[space]) for space in spaces}
        used = {space: Levels(usage[space]) for space in spaces}
        tables = _Room(_table_usage(programs, ranges.times), TABLE_BYTES)
        for program in programs:
            rooms: dict[Space, _Room] = {"shram": tables}
            for space in spaces:
                limit = limit_of(program, space)
                rooms[space] = _Room(used[space], peaks[space] if limit is None else limit)
            _Hoist(program, machine, setup, rooms, ranges.times).run()


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


def _table_usage(programs: list[ProgramOp], times: dict[Operation, int]) -> Levels:
    """Bytes of the table area of SHRAM that are taken at each time."""
    used = Levels([0] * (1 + max(times.values(), default=0)))
    for op in (op for program in programs for op in program.body.block.ops):
        if isinstance(op, AllocOp) and op.buffer.space == "shram":
            used.add(times[op], max(times[use.operation] for use in op.result.uses) + 1, op.buffer.size)
    return used


@dataclass
class _Hoist:
    """One program."""

    program: ProgramOp
    machine: Accelerator
    setup: MemorySetup
    rooms: dict[Space, _Room]
    times: dict[Operation, int]
    launches: list[LaunchOp] = field(default_factory=list[LaunchOp])

    def run(self) -> None:
        ops = list(self.program.body.block.ops)
        self.launches = [op for op in ops if isinstance(op, LaunchOp)]
        jobs = self._jobs(ops)
        if not any(job.alloc for job in jobs):
            return
        costs = [launch_cost(op, self.machine, self.setup) for op in self.launches]
        self._share_out(jobs, [idle_cycles(cost, self.setup.constants) for cost in costs])

    def _jobs(self, ops: list[Operation]) -> list[_Job]:
        """All transfers in the order in which kernels need them."""
        number = {launch: index for index, launch in enumerate(self.launches)}
        order = {op: index for index, op in enumerate(ops)}
        tables = {op.buffer.size for op in ops if isinstance(op, AllocOp) and op.buffer.space == "shram"}
        jobs: list[_Job] = []
        after = 0
        for op in ops:
            if isinstance(op, LaunchOp):
                after += 1
            elif isinstance(op, DmaOp):
                later = [number[u.operation] for u in op.destination.uses if isinstance(u.operation, LaunchOp)]
                deadline = min((n for n in later if n >= after), default=len(self.launches))
                type_, source = op.destination.type, op.source.type
                assert isinstance(type_, BufferType)
                assert isinstance(source, BufferType)
                alloc = op.destination.owner
                first = min(order[use.operation] for use in op.destination.uses) == order[op]
                movable = isinstance(alloc, AllocOp) and first and source.space == "read_only"
                if type_.space == "shram" and (not self.machine.reserved_end_banks or len(tables) > 1):
                    # Other kernels write there, or tables of different sizes may not find room.
                    movable = False
                size = -(-type_.size // ALIGNMENT) * ALIGNMENT
                job = _Job(op, after, deadline, transfer_cycles(op, self.setup), size, type_.space, None)
                job.alloc = alloc if movable and isinstance(alloc, AllocOp) else None
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.deadline)

    def _earliest(self, job: _Job) -> int:
        """The fewest launches behind which a job that can be moved finds room; one more than now if it finds none."""
        first = self.program.body.block.first_op
        assert first is not None
        assert job.alloc is not None
        since = self.rooms[job.space].reach(job.size, self.times[first], self.times[job.alloc])
        return 1 + bisect_left(self.launches, since - 1, 0, job.after, key=self.times.__getitem__)

    def _share_out(self, jobs: list[_Job], left: list[int]) -> None:
        """Give transfers the time that kernels leave on the port; those that stay take theirs first."""
        for job in jobs:
            need = job.cycles if job.alloc is None else 0
            window = max(0, job.after - 1)
            while need and window < min(job.deadline, len(left)):
                spent = min(need, left[window])
                left[window] -= spent
                need -= spent
                window += 1
        idle = Levels(left)
        for job in jobs:
            if job.alloc is not None:
                pieces = self._pieces(job, idle)
                if pieces:
                    self._move(job, pieces)

    def _pieces(self, job: _Job, idle: Levels) -> dict[int, int]:
        """Launches behind which parts of a transfer are issued, and their bytes; takes the cycles that they need."""

        def cycles(size: int) -> int:
            return transfer_cycles(job.op, self.setup, size)

        whole = job.space == "shram"
        found, _ = early_pieces(idle, self._earliest(job) - 1, job.after, job.op.size.data[0], cycles, whole)
        for number, size in found.items():
            idle.add(number, number + 1, -min(cycles(size), idle[number]))
        return found

    def _move(self, job: _Job, pieces: dict[int, int]) -> None:
        """Put the buffer and the pieces behind their launches."""
        op, alloc, block = job.op, job.alloc, self.program.body.block
        assert alloc is not None
        windows = sorted(pieces)
        start = self.times[self.launches[windows[0]]] + 1
        self.rooms[job.space].used.add(start, self.times[alloc], job.size)
        alloc.detach()
        offsets = [o.data[0] if o is not None else 0 for o in (op.source_offset, op.destination_offset)]
        done = 0
        for window in windows:
            at: Operation = self.launches[window]
            # Behind what has been moved there before: it is needed sooner.
            while isinstance(at.next_op, AllocOp | DmaOp):
                at = at.next_op
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
