"""
Issue transfers earlier, so that they run beside the kernels before the one that waits for them.

Assumes programs without addresses and waits. Moves a transfer from read-only memory that is the first to fill its
buffer, together with the `alloc` of that buffer, up to right behind an earlier launch: before the `free`s that follow
it, so that the two can really run side by side. It makes no buffers and moves no other command.

Decides behind which launch. Seen from the end, each transfer takes the time of the latest kernels before the one that
needs it that no later transfer has taken yet; so it learns how early it should be issued. Seen from the start it is
then moved up so far, but only while its buffer finds room beside all that is alive there; never past a transfer that
is needed sooner; and never so early that the machine, with as many transfers outstanding as it can have, would hold up
a kernel for it.

Room is what is left below the limit of the memory: `npu.sram_limit` on the program or the limit of the target for the
arena, the size of the cache for a fast memory beside a slow arena. Where nothing limits the arena, hoisting does not
add to the peak that it finds. Tables move within the table area of SHRAM, if the machine reserves one.

Without this pass a transfer runs beside kernels of its own operator only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.analysis.allocation import ALIGNMENT
from npuc.analysis.live_ranges import live_ranges
from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.timeline import launch_cost, transfer_cycles
from npuc.dialects.npu import LIMIT_ATTR, BufferType, Space, target_of
from npuc.dialects.npu_cmd import AllocOp, DmaOp, LaunchOp, ProgramOp
from npuc.hardware.accelerators import LUT_BANKS, Accelerator
from npuc.hardware.memory import MemorySetup

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
    wanted: int = 0
    """Launches that it should stand behind at most."""


@dataclass
class _Room:
    """Bytes alive at each time, and the most that may be."""

    used: list[int]
    limit: int

    def reach(self, size: int, start: int, end: int) -> int:
        """The earliest time from `start` on since which so many more bytes find room up to before `end`."""
        time = end
        while time > start and self.used[time - 1] + size <= self.limit:
            time -= 1
        return time

    def take(self, size: int, start: int, end: int) -> None:
        for time in range(start, end):
            self.used[time] += size


@dataclass(frozen=True)
class NpuCmdHoistDmaPass(ModulePass):
    """Move transfers up to run beside earlier kernels."""

    name = "npu-cmd-hoist-dma"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = [p for p in op.ops if isinstance(p, ProgramOp)]
        if not programs:
            return
        machine, setup = machine_of(op), setup_of(op)
        ranges = live_ranges(op)
        spaces: tuple[Space, ...] = ("arena", "fast")
        usage = {space: ranges.usage(space) for space in spaces}
        peaks = {space: max(usage[space]) for space in spaces}
        for program in programs:
            rooms: dict[Space, _Room] = {
                space: _Room(usage[space], _limit(program, space, setup, peaks[space])) for space in spaces
            }
            _Hoist(program, machine, setup, rooms, ranges.times).run()


def _limit(program: ProgramOp, space: Space, setup: MemorySetup, peak: int) -> int:
    """The most bytes that may be alive in a memory."""
    given = target_of(program).sram_limit
    if space == "fast":
        return setup.arena_cache_size if given is None else given
    written = program.attributes.get(LIMIT_ATTR)
    if isinstance(written, IntegerAttr):
        return written.value.data
    return peak if given is None or setup.spilling else given


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
        cycles = [launch_cost(op, self.machine, self.setup).cycles for op in self.launches]
        self._add_tables(ops)
        self._wish(jobs, cycles)
        self._move(jobs, cycles)

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
                job = _Job(op, after, deadline, transfer_cycles(op, self.setup), size, type_.space, None, after)
                job.alloc = alloc if movable and isinstance(alloc, AllocOp) else None
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.deadline)

    def _add_tables(self, ops: list[Operation]) -> None:
        """The table area of SHRAM as a room of its own."""
        used = [0] * (1 + max(self.times.values()))
        for op in ops:
            if isinstance(op, AllocOp) and op.buffer.space == "shram":
                end = max(self.times[use.operation] for use in op.result.uses)
                for time in range(self.times[op], end + 1):
                    used[time] += op.buffer.size
        self.rooms["shram"] = _Room(used, TABLE_BYTES)

    def _earliest(self, job: _Job) -> int:
        """The fewest launches behind which a job finds room, as many as now if it stays."""
        if job.alloc is None:
            return job.after
        first = self.program.body.block.first_op
        assert first is not None
        since = self.rooms[job.space].reach(job.size, self.times[first], self.times[job.alloc])
        after = job.after
        while after > 1 and self.times[self.launches[after - 2]] + 1 >= since:
            after -= 1
        return after

    def _wish(self, jobs: list[_Job], cycles: list[int]) -> None:
        """Share out the time of kernels from the end."""
        left = list(cycles)
        for job in reversed(jobs):
            need, earliest = job.cycles, self._earliest(job)
            job.wanted = min(job.after, job.deadline)
            for window in range(min(job.deadline, len(left)) - 1, earliest - 2, -1):
                if need <= 0 or window < 0:
                    break
                if left[window] > 0:
                    need -= left[window]
                    left[window] = max(0, -need)
                    job.wanted = min(job.wanted, window + 1)

    def _move(self, jobs: list[_Job], cycles: list[int]) -> None:
        """Move transfers up in the order in which they are needed, and follow the clock meanwhile."""
        starts: list[int] = []
        due: dict[int, int] = {}
        """Launch -> when the transfers that it waits for are done."""
        outstanding: deque[int] = deque(maxlen=self.machine.max_outstanding_dmas)
        free, last = 0, 0
        for job in jobs:
            while len(starts) < min(job.deadline, len(cycles)):
                index = len(starts)
                before = starts[-1] + cycles[index - 1] if starts else 0
                starts.append(max(before, due.get(index, 0)))
            after = job.after
            if job.alloc is not None:
                lowest = max(job.wanted, last, 1)
                if len(outstanding) == outstanding.maxlen:
                    # Issued while that one runs, it would hold up the launches behind it.
                    while lowest < after and starts[lowest - 1] + cycles[lowest - 1] < outstanding[0]:
                        lowest += 1
                after = max(lowest, self._earliest(job)) if lowest <= after else after
                self._place(job, after)
            last = max(last, after)
            begin = max(free, starts[after - 1] if 0 < after <= len(starts) else 0)
            free = begin + job.cycles
            due[job.deadline] = max(due.get(job.deadline, 0), free)
            outstanding.append(free)

    def _place(self, job: _Job, after: int) -> None:
        """Put a transfer and its buffer right behind a launch, behind transfers there that are needed sooner."""
        alloc = job.alloc
        assert alloc is not None
        if not after:
            return
        launch = self.launches[after - 1]
        start, now = self.times[launch] + 1, self.times[alloc]
        room = self.rooms[job.space]
        if room.reach(job.size, start, now) > start:
            return
        room.take(job.size, start, now)
        at: Operation = launch
        while isinstance(at.next_op, AllocOp | DmaOp) and at.next_op is not alloc:
            at = at.next_op
        for op in (job.op, alloc):
            op.detach()
            self.program.body.block.insert_op_after(op, at)
