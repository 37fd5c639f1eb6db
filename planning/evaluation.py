"""
What a whole schedule takes: its launches, transfers and waits, told to a clock.

A schedule is tasks (`npuc.planning.tasks`), and a decision for the weights of each work (`npuc.planning.buffers`). Here
it becomes the row of launches that it will be as commands, transfers are planned as hoisting plans them
(`npuc.planning.prefetch`), and `npuc.hardware.clock` says how long it takes. So two schedules can be compared before
any IR is made of either, by the figure that `npu-profile` gives for the commands.

Not known before memory is allocated are addresses. Waits, and which launch may overlap the one before (BLOCKDEP), are
taken from the values that launches and transfers touch. Memory that has been given up is taken to be used again by the
next value or buffer, so that these wait for the launch that used it last, unless there is memory for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, count, pairwise
from typing import NamedTuple, Protocol

from xdsl.ir import SSAValue

from npuc.analysis.allocation import Needs
from npuc.analysis.block_jobs import MOST
from npuc.analysis.machine import area_of
from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import ConvKernelOp, CopyOp, ElementwiseOp, TransferOp, nhwc, space_of
from npuc.hardware.accelerators import TABLE_BYTES, Accelerator
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.clock import Clock
from npuc.hardware.cycles import KernelCost, dma_between, idle_cycles
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import round_up
from npuc.planning.buffers import Decision, Decisions, shares_buffer
from npuc.planning.levels import Levels
from npuc.planning.network import rounded
from npuc.planning.prefetch import Placed, Plan, Transfer, placed_plan, plan
from npuc.planning.tasks import Piece, Run, Task, Work

TABLES = "shram"
TABLE_SLOT = 256


class _Launch(NamedTuple):
    """One launch: OFM rows and channels of a work."""

    run: Run
    channels: tuple[int, int]
    weight_bytes: int | None
    """Of its weights, which lie in `area`; None without any."""
    area: Area
    cost: KernelCost
    weights: int | None
    """The transfer that brings its weights; None for weights in place."""
    table: int | None
    """The transfer that brings its table."""
    maps: tuple[int, ...]
    """The transfers that bring feature maps that it reads."""

    def under(self, setup: MemorySetup) -> _Launch:
        """The same launch where costs are those of another setup."""
        run = self.run._replace(work=self.run.work.under(setup))
        return self._replace(run=run, cost=run.work.cost(run, self.channels, self.weight_bytes, self.area))


class _Fill(NamedTuple):
    """What the clock must know of a transfer."""

    behind: bool
    """It stands right behind the launch before, not right before the next one."""
    overwrites: int | None
    """The launch that it must wait for: one that reads what it writes over, or writes what it reads."""
    source: Area
    target: Area | None
    """None for SHRAM."""
    table: SSAValue | None = None


@dataclass
class Buffer:
    """A buffer of weights: what it holds, and its life in launches, no transfer moved."""

    size: int
    first: int
    last: int
    content: object
    transfer: int
    """The one that brings what it holds."""
    brought_by: int
    """The first one."""


class Issues(NamedTuple):
    """When the transfers of a program are issued."""

    before: dict[int, list[int]]
    """Transfers that stand right before a launch."""
    behind: dict[int, list[int]]
    """Transfers that stand behind so many launches."""
    moved: dict[int, list[tuple[int, int]]]
    """Behind each launch, transfers that would stand later, and how many bytes of them."""
    held: set[int]
    """Launches behind which transfers wait for the launch before."""
    late: set[int]
    """
    Of these, and of those before a launch, the ones to buffers that do not fit beside what the launch before needs, so
    that they wait for it.
    """


class RegionMemory(Protocol):
    """What knows what a region needs in the scarce memory, beside what the host needs meanwhile."""

    def used(self, program: Program, limit: int) -> Sequence[int]:
        """
        For each launch the bytes of all that is alive meanwhile, no transfer moved; or what makes no difference to
        transfers that keep to `limit` bytes.
        """
        ...

    def needs(self, program: Program, plan: Plan, enough: int) -> Needs:
        """
        What is needed at each launch, transfers issued as planned. Addresses are looked for until all keep to `enough`
        bytes.
        """
        ...


@dataclass
class Program:
    """A schedule as launches and transfers in the order of its commands, before transfers are moved."""

    machine: Accelerator
    setup: MemorySetup
    area: Area
    """Where buffers lie."""
    launches: list[_Launch] = field(default_factory=list[_Launch])
    transfers: list[Transfer] = field(default_factory=list[Transfer])
    fills: list[_Fill] = field(default_factory=list[_Fill])
    used: list[int] = field(default_factory=list[int])
    """Bytes of the scarce memory that are in use from each launch on, until what it read is given up."""
    tables: list[int] = field(default_factory=list[int])
    """Bytes of tables in SHRAM, likewise."""
    starts: list[int] = field(default_factory=list[int])
    """The first launch of each task."""
    buffers: list[Buffer] = field(default_factory=list[Buffer])
    """All that weights pass through."""
    brought: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The transfer that is the first to write a root."""

    @property
    def peak(self) -> int:
        """Most bytes of the scarce memory that are in use at one time, no transfer moved."""
        return max(self.used, default=0)

    @property
    def competing(self) -> bool:
        """Whether transfers could take each other's time or memory."""
        return sum(one.memory == str(self.area) for one in self.transfers) > 1

    @cached_property
    def overlaps(self) -> list[bool]:
        """Of each launch whether it may overlap the one before it."""
        overlaps = _Overlaps(self)
        return [overlaps.next(launch) for launch in self.launches]

    def cycles_under(self, setup: MemorySetup, issues: Issues) -> int:
        """How long the same launches and transfers, issued so, take where costs are those of another setup."""
        if setup is self.setup:
            return self.cycles(issues)
        other = replace(self, setup=setup, launches=[launch.under(setup) for launch in self.launches])
        other.__dict__["overlaps"] = self.overlaps  # Costs make no difference to them.
        return other.cycles(issues)

    def issues(self, limit: int, forwards: bool = False) -> Issues:
        """
        When its transfers are issued if buffers keep to `limit` bytes of the memory that they lie in, planned backwards
        or `forwards`.
        """
        ordered = [self.transfers[number] for number in self._ordered()]
        excess = {
            str(self.area): Levels(size - limit for size in self.used),
            TABLES: Levels(size - TABLE_BYTES for size in self.tables),
        }
        return self.issued(self._numbered(plan(ordered, self._idle(), excess, forwards)))

    def placed(self, limit: int, memory: RegionMemory, most: int, forwards: bool = False) -> Placed:
        """
        When transfers are issued if buffers keep to `limit` bytes of the memory that they lie in, and addresses are to
        be found for all that is alive below `most` bytes.
        """
        area = str(self.area)
        used = {area: memory.used(self, limit), TABLES: self.tables}

        def needs(plan: Plan, enough: int) -> Needs:
            return memory.needs(self, self._numbered(plan), enough)

        ordered = [self.transfers[number] for number in self._ordered()]
        limits = {area: limit, TABLES: TABLE_BYTES}
        found = placed_plan(ordered, self._idle(), used, limits, area, needs, most, forwards)
        return found._replace(plan=self._numbered(found.plan))

    @property
    def unmoved(self) -> Plan:
        """Every transfer issued where it stands."""
        return Plan([{} for _ in self.transfers], set())

    def _idle(self) -> list[int]:
        return [idle_cycles(one.cost, self.setup.constants) for one in self.launches]

    def _ordered(self) -> list[int]:
        """The numbers of transfers in the order in which they are needed."""
        return sorted(range(len(self.transfers)), key=lambda number: self.transfers[number].deadline)

    def _numbered(self, plan: Plan) -> Plan:
        """The plan for transfers in the order in which they are needed, by their numbers."""
        by_number = dict(zip(self._ordered(), plan.pieces, strict=True))
        return plan._replace(pieces=[by_number[number] for number in range(len(by_number))])

    def issued(self, plan: Plan, apart: bool = True) -> Issues:
        """
        When its transfers are issued by a plan for all of them. Where addresses leave gaps, no buffer is taken to lie
        `apart` from what the launch before it needs.
        """
        issues = Issues({}, {}, {}, plan.held, set())
        for number in self._ordered():
            for launch, size in plan.pieces[number].items():
                issues.moved.setdefault(launch, []).append((number, size))
        for number, one in enumerate(self.transfers):
            if not plan.pieces[number]:
                place = issues.behind if self.fills[number].behind else issues.before
                place.setdefault(one.after, []).append(number)
        issues.late.update(self._late(plan, apart))
        return issues

    def _late(self, plan: Plan, apart: bool) -> Iterator[int]:
        """
        Transfers that are moved, to buffers that do not fit beside what the launch before the one behind which they are
        issued needs; and those that are not, to buffers that do not fit beside what the launch before needs. Addresses
        are found for the least memory in all; within that, for buffers apart from what launches before them read last.
        """
        moved = [(number, min(parts)) for number, parts in enumerate(plan.pieces) if parts]
        area = str(self.area)
        steps = [0] * (len(self.used) + 1)
        for number, launch in moved:
            one = self.transfers[number]
            if one.memory == area:
                steps[launch] += one.buffer
                steps[one.after] -= one.buffer
        used = [size + more for size, more in zip(self.used, accumulate(steps), strict=False)]
        most = max(used, default=0) if apart else 0
        for number, launch in moved:
            one = self.transfers[number]
            if launch and one.memory == area and used[launch - 1] + one.buffer > most:
                yield number
        for number, one in enumerate(self.transfers):
            waits = not plan.pieces[number] and not self.fills[number].behind and one.memory == area
            if waits and one.after and used[one.after - 1] + one.buffer > most:
                yield number

    def cycles(self, issues: Issues) -> int:
        """How long it takes with its transfers issued so."""
        return _Run(self, issues).run()


@dataclass
class _Run:
    """One way through a program."""

    program: Program
    issues: Issues
    issued: int = 0
    """Transfers, or parts of them."""
    last: dict[int, int] = field(default_factory=dict[int, int])
    """When the last part of each transfer was issued."""
    kept: list[tuple[SSAValue, int]] = field(default_factory=list[tuple[SSAValue, int]])
    """Tables in SHRAM and their slots, the one used last at the end."""

    def run(self) -> int:
        """The cycles."""
        program, (before, behind, moved, held, late) = self.program, self.issues
        clock = Clock(program.machine, program.setup)
        for number, (launch, overlaps) in enumerate(zip(program.launches, program.overlaps, strict=True)):
            for one in before.get(number, ()):
                if one in late:
                    clock.wait_kernels(0)
                self._bring(clock, one, program.transfers[one].size, number)
            for need in (launch.weights, launch.table, *launch.maps):
                if need is not None and need in self.last:
                    clock.wait_transfers(self.issued - self.last[need])
            self._use_table(launch)
            clock.launch(launch.cost, overlaps)
            for one in behind.get(number + 1, ()):
                self._bring(clock, one, program.transfers[one].size, number + 1)
            parts = moved.get(number, ())
            if number in held or any(one in late and one not in self.last for one, _ in parts):
                clock.wait_kernels(1)
            for one, size in parts:
                self._bring(clock, one, size, number + 1)
        clock.finish()
        return clock.cycles

    def _bring(self, clock: Clock, number: int, size: int, launched: int) -> None:
        """Issue a transfer or a part of it after so many launches."""
        program, fill = self.program, self.program.fills[number]
        if fill.table is not None and any(value is fill.table for value, _ in self.kept):
            return
        if fill.overwrites is not None:
            clock.wait_kernels(max(0, launched - fill.overwrites - 1))
        setup = program.setup
        clock.transfer(size, setup.memory(fill.source), None if fill.target is None else setup.memory(fill.target))
        self.issued += 1
        self.last[number] = self.issued
        if fill.table is not None:
            self.kept.append((fill.table, -(-program.transfers[number].size // TABLE_SLOT)))
            while sum(slots for _, slots in self.kept) * TABLE_SLOT > TABLE_BYTES:
                self.kept.pop(0)

    def _use_table(self, launch: _Launch) -> None:
        """Keep the table that a launch uses longest; on small machines one without a table overwrites all."""
        table = launch.run.work.table
        if table is not None:
            self.kept.sort(key=lambda one: one[0] is table)
        elif not self.program.machine.reserved_end_banks:
            self.kept.clear()


def program_of(
    tasks: Sequence[Task], decisions: Decisions, area: Area, machine: Accelerator, setup: MemorySetup
) -> Program:
    """The launches and transfers of a schedule whose buffers lie in `area`."""
    return _Builder(Program(machine, setup, area), decisions).build(tasks)


@dataclass
class _Builder:
    program: Program
    decisions: Decisions
    buffers: dict[tuple[Work, int], Buffer] = field(default_factory=dict[tuple[Work, int], Buffer])
    """By the work that they were made for, and their number."""
    owners: dict[Work, Work] = field(default_factory=dict[Work, Work])
    """Whose buffers a work uses."""
    tables: dict[Work, tuple[int, int]] = field(default_factory=dict[Work, tuple[int, int]])
    """The transfer of a work's table, and the launch that used it last."""
    filled: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    """Lives of buffers: first launch, last launch, bytes."""
    maps: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The transfer that writes a root."""
    written: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The last launch that writes a root."""
    read: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The last launch that reads a root."""
    readers: dict[SSAValue, tuple[int, ...]] = field(default_factory=dict[SSAValue, tuple[int, ...]])
    """The last two launches that read what is brought row by row."""
    plain: int = -1
    """The last launch without a table."""

    def build(self, tasks: Sequence[Task]) -> Program:
        program = self.program
        sizes = {work.table_bytes for task in tasks for work in task.works if work.table is not None}
        self.movable_tables = bool(program.machine.reserved_end_banks) and len(sizes) == 1
        previous: Work | None = None
        for task in tasks:
            for work in task.works:
                self.owners[work] = work
            if not task.cascade:
                (work,) = task.works
                if previous is not None and self._shares(work, previous):
                    self.owners[work] = self.owners[previous]
                previous = work
            else:
                previous = None
            first = len(program.launches)
            program.starts.append(first)
            for op in task.brings:
                self._bring(op, task.works[0].storage)
            for number, run in enumerate(task.runs):
                for piece in task.pieces.get(number, ()):
                    self._bring_rows(piece, task.works[0].storage, behind=number > 0)
                self._run(run)
            program.used += self._used(task, first)
        program.buffers = list(self.buffers.values())
        used, tables = [0] * (len(program.launches) + 1), [0] * (len(program.launches) + 1)
        for buffer in program.buffers:
            used[buffer.first] += buffer.size
            used[buffer.last + 1] -= buffer.size
        for work, (transfer, last) in self.tables.items():
            tables[program.transfers[transfer].after] += work.table_bytes
            tables[last + 1] -= work.table_bytes
        more = total = 0
        for number in range(len(program.launches)):
            more += used[number]
            total += tables[number]
            program.used[number] += more
            program.tables.append(total)
        return program

    def _used(self, task: Task, first: int) -> list[int]:
        """The bytes that each launch of a task needs, from number `first` on, without buffers of weights."""
        steps = [0] * (len(self.program.launches) - first + 1)
        for root, size in task.given_up.items():
            # What is brought row by row is not read by a run alone.
            if self.read.get(root, -1) >= first and root not in self.maps:
                steps[self.read[root] + 1 - first] += size
        return [task.used - size for size in accumulate(steps[:-1])]

    def _decision(self, work: Work) -> Decision:
        return self.decisions.get(work, Decision((0, work.depth), 0))

    def _shares(self, work: Work, previous: Work) -> bool:
        if not work.weighted or not previous.weighted:
            return False
        if self._decision(work) != ((0, work.depth), 1) or self._decision(previous) != ((0, previous.depth), 1):
            return False
        assert isinstance(work.op, ConvKernelOp)
        assert isinstance(previous.op, ConvKernelOp)
        return shares_buffer(work.op, work.block, previous.op, previous.block, self.program.machine)

    def _run(self, run: Run) -> None:
        """All launches of some rows."""
        program, work = self.program, run.work
        cuts, count = self._decision(work)
        slices = list(pairwise(cuts))
        sizes = work.sizes(cuts) if work.weighted else None
        weights = self._weights(work, 0, behind=False)
        table = self._table(work)
        for index, channels in enumerate(slices):
            area = program.area if count else "constants"
            weight_bytes = None if sizes is None else sizes[index].weights
            cost = work.cost(run, channels, weight_bytes, area)
            number = len(program.launches)
            maps = tuple(self.maps[root] for _, root in work.reads if root in self.maps)
            program.launches.append(_Launch(run, channels, weight_bytes, area, cost, weights, table, maps))
            self.written[work.writes] = number
            for _, root in work.reads:
                self.read[root] = number
                if root in self.readers and self.readers[root][-1:] != (number,):
                    self.readers[root] = (*self.readers[root][-1:], number)
            if count:
                owner, buffers = self.owners[work], max(1, min(count, len(slices)))
                self.buffers[owner, index % buffers].last = number
            if work.table is not None:
                self.tables[work] = (self.tables[work][0], number)
            else:
                self.plain = number
            if index + 1 < len(slices):
                weights = self._weights(work, index + 1, behind=True)

    def _weights(self, work: Work, index: int, behind: bool) -> int | None:
        """The transfer that brings a slice of a work's weights to its buffer, a new one unless it is there."""
        cuts, count = self._decision(work)
        if not count:
            return None
        program, sizes = self.program, work.sizes(cuts)
        owner, buffers = self.owners[work], max(1, min(count, len(sizes)))
        key, content, now = (owner, index % buffers), (owner, index), len(program.launches)
        buffer = self.buffers.get(key)
        if buffer is not None and buffer.content == content:
            return buffer.transfer
        most = rounded(max(size.total for size in sizes[index % buffers :: buffers]))
        transfer = Transfer(
            sizes[index].total,
            now,
            now,
            dma_between(program.setup.constants, program.setup.memory(program.area)),
            str(program.area) if buffer is None else None,
            most,
        )
        number = len(program.transfers)
        program.transfers.append(transfer)
        overwrites = None if buffer is None else buffer.last
        program.fills.append(_Fill(behind, overwrites, "constants", program.area))
        if buffer is None:
            self.buffers[key] = Buffer(most, max(0, now - behind), now, content, number, number)
        else:
            buffer.content, buffer.transfer = content, number
        return number

    def _bring(self, op: TransferOp, storage: Storage) -> None:
        """The transfer of a feature map, once its source is there."""
        program, now = self.program, len(self.program.launches)
        setup, root, origin = program.setup, storage.root(op.result), storage.root(op.source)
        source, target = area_of(op.source), area_of(op.result)
        written = self.written.get(origin, -1)
        movable = root is op.result and root not in self.maps and origin not in self.maps
        movable = movable and AREAS[space_of(root)] == program.area
        transfer = Transfer(
            round_up(storage_bytes(tensor_type(op.source)), ALIGNMENT),
            now,
            now,
            dma_between(setup.memory(source), setup.memory(target)),
            str(program.area) if movable else None,
            rounded(storage_bytes(tensor_type(root))),
            earliest=written + 1,
        )
        self.maps[root] = len(program.transfers)
        program.brought.setdefault(root, self.maps[root])
        program.transfers.append(transfer)
        program.fills.append(_Fill(False, written if written >= 0 else None, source, target))

    def _bring_rows(self, piece: Piece, storage: Storage, behind: bool) -> None:
        """
        The transfer of rows to a rolling buffer, once their source is there and the launch before the last one has read
        what they take the place of.
        """
        program, now, op = self.program, len(self.program.launches), piece.op
        setup, root, origin = program.setup, op.result, storage.root(op.source)
        source, target = area_of(op.source), area_of(root)
        row = storage_bytes(tensor_type(root)) // nhwc(root)[0]
        rows = nhwc(root)[0] if op.rolling is None else op.rolling.data[0]
        readers = self.readers.setdefault(root, ())
        written = self.written.get(origin, -1)
        after = max(written, readers[0] if len(readers) > 1 else -1)
        movable = root not in self.maps and origin not in self.maps and AREAS[space_of(root)] == program.area
        transfer = Transfer(
            (piece.stop - piece.start) * row,
            now,
            now,
            dma_between(setup.memory(source), setup.memory(target)),
            str(program.area) if movable else None,
            rounded(rows * row),
            earliest=written + 1,
        )
        self.maps[root] = len(program.transfers)
        program.brought.setdefault(root, self.maps[root])
        program.transfers.append(transfer)
        program.fills.append(_Fill(behind, after if after >= 0 else None, source, target))

    def _table(self, work: Work) -> int | None:
        """The transfer that brings a work's table: on its first launch, on small machines on each."""
        program = self.program
        if work.table is None:
            return None
        now = len(program.launches)
        if work not in self.tables or not program.machine.reserved_end_banks:
            transfer = Transfer(
                work.table_bytes,
                now,
                now,
                dma_between(program.setup.constants, None),
                TABLES if self.movable_tables else None,
                work.table_bytes,
                whole=True,
            )
            self.tables[work] = (len(program.transfers), now)
            program.transfers.append(transfer)
            small = not program.machine.reserved_end_banks
            overwrites = self.plain if small and self.plain >= 0 else None
            program.fills.append(_Fill(False, overwrites, "constants", None, work.table))
        return self.tables[work][0]


class _Overlaps:
    """Which launch may begin while the last blocks of the one before are still being made, as BLOCKDEP has it."""

    def __init__(self, program: Program):
        self.machine, self.used, self.area = program.machine, program.used, program.area
        self.peak = program.peak
        self.last = {place: number for number, one in enumerate(program.launches) for _, place in one.run.work.reads}
        self.made: dict[SSAValue, int] = {}
        """Before which launch there is a place for what is written."""
        starts = iter((*program.starts, len(program.launches)))
        begin, stop = 0, next(starts)
        for number, one in enumerate(program.launches):
            while number >= stop:
                begin, stop = stop, next(starts)
            # A cascade makes all its buffers before its first launch.
            self.made.setdefault(one.run.work.writes, begin if one.run.work.rolling else number)
        self.number = -1
        self.earlier: list[_Launch] = []
        """The last launches, as many as can be unfinished."""

    def next(self, launch: _Launch) -> bool:
        """Whether a launch may overlap the one before it."""
        self.number += 1
        result = bool(self.earlier) and self._may(launch)
        self.earlier = [*self.earlier[-2:], launch]
        return result

    def _may(self, launch: _Launch) -> bool:
        work, previous = launch.run.work, self.earlier[-1]
        if not self.machine.reserved_end_banks and previous.run.work.table is not None and work.table is None:
            return False
        blocks = previous.cost.blocks
        for number, before in zip(count(self.number - 2, -1), reversed(self.earlier[:-1]), strict=False):
            if blocks >= MOST:
                break
            if _touches(launch, before) or self._written_over(launch, before, number):
                return False
            blocks += before.cost.blocks
        root = previous.run.work.writes
        inputs = [number for number, (_, place) in enumerate(work.reads) if place is root]
        if not inputs:
            return True
        if isinstance(work.op, ElementwiseOp) and len(work.reads) > 1:
            form = work.form
            if len(inputs) > 1 or (inputs == [1] and form.inputs[1] != form.ofm):
                return False
        return not any(_first_reads_last(launch, number, previous) for number in inputs)

    def _written_over(self, launch: _Launch, before: _Launch, number: int) -> bool:
        """
        Whether a launch is likely to write over the memory of what an earlier one of this number writes: nothing reads
        that any more, or did so last in the launch before this one and what this one writes would not fit beside.
        """
        root = launch.run.work.writes
        last = self.last.get(before.run.work.writes, self.number)
        if last >= self.number or self.made[root] <= number:
            return False  # There is a place for both.
        if last < self.number - 1:
            return True
        if AREAS[space_of(root)] != self.area:
            return False  # Where memory is not scarce.
        return self.used[self.number - 1] + rounded(storage_bytes(tensor_type(root))) > self.peak


def _rows_read(launch: _Launch, number: int, stop: int) -> tuple[int, int]:
    """Rows of an operand that OFM rows from the first of a launch up to `stop` read."""
    op, form = launch.run.work.op, launch.run.work.form
    height = form.inputs[number][0]
    if isinstance(op, CopyOp):
        return 0, height
    if isinstance(op, ElementwiseOp):
        return (0, 1) if height == 1 else (launch.run.start, stop)
    rows = form.rows(launch.run.start, stop)
    return rows.first, rows.last


def _touches(launch: _Launch, before: _Launch) -> bool:
    """Whether a launch reads or writes over rows of what an earlier one writes."""
    root, made = before.run.work.writes, before.run
    if launch.run.work.writes is root:
        rolling = launch.run.work.rolling
        if launch.run.start < made.stop and made.start < launch.run.stop:
            return True
        if rolling and launch.run.stop - rolling > made.start:
            return True
    for number, (value, place) in enumerate(launch.run.work.reads):
        if place is root:
            if value is not made.work.op.result:
                return True
            first, last = _rows_read(launch, number, launch.run.stop)
            if first < made.stop and made.start < last:
                return True
    return False


def _first_reads_last(launch: _Launch, number: int, previous: _Launch) -> bool:
    """Whether the first job of a launch reads something of the last block of the one before."""
    made, work, run = previous.run.work, launch.run.work, launch.run
    value = work.reads[number][0]
    if value is not made.op.result:
        return previous.cost.blocks == 1
    width = made.form.ofm[1]
    block = made.block
    last_row = previous.run.start + _last(previous.run.stop - previous.run.start, block.height)
    last_column = _last(width, block.width)
    last_channel = previous.channels[0] + _last(previous.channels[1] - previous.channels[0], block.depth)
    _, last = _rows_read(launch, number, min(run.stop, run.start + work.block.height))
    if last <= last_row:
        return False
    own, window = min(work.block.width, work.form.ofm[1]), work.form.window
    columns = -(
        -((own - 1) * window.stride_x + window.dilated_width - window.left) // (1 if window.upscale == "none" else 2)
    )
    if columns <= last_column:
        return False
    depth = work.ifm_depth
    if depth:
        return depth > last_channel
    return launch.channels[0] + min(work.block.depth, launch.channels[1] - launch.channels[0]) > last_channel


def _last(size: int, step: int) -> int:
    """Where the last piece of an axis begins."""
    return round_up(size, step) - step
