"""
When each command of an allocated or decoded program runs, and how long what it moves is needed.

It works on the command stream alone (any `npu_cmd.program`, also one decoded from a file that vela made): it tells the
commands to `npuc.hardware.clock`, with the costs of `npuc.hardware.cycles`, and keeps what each of them moves.

The figures rank schedules; they are no promise about silicon (docs/hardware.md says what is inferred).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from npuc.analysis.accesses import Accesses, Span, accesses
from npuc.dialects.npu import AREAS, BufferType, Space
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp, WaitOp, WeightedOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.clock import Clock, Run
from npuc.hardware.cycles import Bound, KernelCost, Places, bound_of, dma_between, dma_cost, kernel_cost
from npuc.hardware.memory import Area, Memory, MemorySetup


@dataclass(frozen=True)
class Event:
    """One transfer or kernel: cycles of its start and end, and the bytes it moves from and to each area."""

    index: int
    op: DmaOp | LaunchOp
    start: int
    end: int
    stall: int
    """Cycles that the command processor stood still before it could issue this."""
    cost: KernelCost | None
    read: dict[str, int]
    written: dict[str, int]
    touched: Accesses

    ports: tuple[int, int]
    """Cycles that it uses each AXI port."""

    @property
    def is_kernel(self) -> bool:
        """Whether this is a kernel, not a transfer."""
        return isinstance(self.op, LaunchOp)


@dataclass
class Timeline:
    """All events of one program, in the order of issue."""

    events: list[Event] = field(default_factory=list[Event])

    @property
    def cycles(self) -> int:
        """The end of the last event."""
        return max((event.end for event in self.events), default=0)

    def busy(self, kernels: bool) -> int:
        """Cycles in which kernels (or transfers) run."""
        return sum(event.end - event.start for event in self.events if event.is_kernel == kernels)

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Bytes read from and written to each area."""
        read: Counter[str] = Counter()
        written: Counter[str] = Counter()
        for event in self.events:
            read.update(event.read)
            written.update(event.written)
        return {area: (read[area], written[area]) for area in sorted(read | written)}

    def high_water(self, space: Space) -> int:
        """One more than the highest address of a memory that any event touches."""
        spans = (s for e in self.events for s in (*e.touched.reads, *e.touched.writes) if s.space == space)
        return max((span.end for span in spans), default=0)

    def lives(self, space: Space) -> list[Life]:
        """
        How long the bytes of a memory hold something that is still read: from each write, or from the start where
        nothing has written them, to the last read before they are written again, or to that write if the same event
        reads them. What is read by no event is a result, and lives to the end.
        """
        memory = _Contents(space)
        for event in self.events:
            for span in event.touched.reads:
                if span.space == space:
                    memory.read(span, event)
            for span in event.touched.writes:
                if span.space == space:
                    memory.write(span, event)
        for life in memory.now:
            if life.writer is not None and life.end == life.writer.end:
                life.end = self.cycles
        return _joined([*memory.past, *memory.now])


@dataclass
class Life:
    """A range of bytes in use from cycle `start` to `end`; `writer` is None for what the host has put there."""

    span: Span
    start: int
    end: int
    writer: Event | None


@dataclass
class _Contents:
    """What the bytes of a memory hold, from event to event; bytes that nothing has touched hold nothing."""

    space: Space
    now: list[Life] = field(default_factory=list[Life])
    """Upwards in memory, none meets another."""
    starts: list[int] = field(default_factory=list[int])
    """Of the spans of `now`."""
    past: list[Life] = field(default_factory=list[Life])
    """What has been written over."""

    def read(self, span: Span, event: Event) -> None:
        """All that lies in the span lives at least to the end of the event."""
        first, last = self._cut(span.start), self._cut(span.end)
        held: list[Life] = []
        at = span.start
        for life in self.now[first:last]:
            life.end = max(life.end, event.end)
            if at < life.span.start:
                held.append(Life(Span(self.space, at, life.span.start), 0, event.end, None))
            held.append(life)
            at = life.span.end
        if at < span.end:
            held.append(Life(Span(self.space, at, span.end), 0, event.end, None))
        self._put(first, last, held)

    def write(self, span: Span, event: Event) -> None:
        """What lay in the span is past: what the event itself reads there is written over in place, so held once."""
        first, last = self._cut(span.start), self._cut(span.end)
        for life in self.now[first:last]:
            life.end = max(life.start, min(life.end, event.start))
        self.past += self.now[first:last]
        self._put(first, last, [Life(span, event.start, event.end, event)])

    def _put(self, first: int, last: int, held: list[Life]) -> None:
        self.now[first:last] = held
        self.starts[first:last] = [life.span.start for life in held]

    def _cut(self, at: int) -> int:
        """The number of the first life that starts at an address or above it; one that reaches over it becomes two."""
        number = bisect_left(self.starts, at)
        below = self.now[number - 1] if number else None
        if below is not None and below.span.end > at:
            upper = replace(below, span=below.span._replace(start=at))
            below.span = below.span._replace(end=at)
            self._put(number, number, [upper])
        return number


def _joined(lives: Iterable[Life]) -> list[Life]:
    """Neighbours in memory that differ in nothing else as one, in the order of their start."""
    joined: dict[tuple[int, int, int, int], Life] = {}
    for life in sorted(lives, key=lambda life: life.span.start):
        key = (life.start, life.end, -1 if life.writer is None else life.writer.index)
        below = joined.pop((*key, life.span.start), None)
        if below is not None:
            life.span = life.span._replace(start=below.span.start)
        joined[*key, life.span.end] = life
    return sorted(joined.values(), key=lambda life: (life.start, life.span.start))


def _area(op: LaunchOp, name: str) -> Area:
    """Where an operand lies; any area for one that the launch has not."""
    values = op.values_of(name) if any(clause.operand == name for clause in op.CLAUSES) else ()
    type_ = values[0].type if values else None
    return AREAS[type_.space] if isinstance(type_, BufferType) else "cache"


def _places(op: LaunchOp) -> Places:
    weights, scales = _area(op, "weights"), _area(op, "scales")
    return Places(_area(op, "ifm"), _area(op, "ifm2"), _area(op, "ofm"), weights, None if scales == weights else scales)


def launch_cost(op: LaunchOp, machine: Accelerator, setup: MemorySetup) -> KernelCost:
    """What one launch takes; it need not be allocated."""
    weights = sum(op.weight_ranges.data[1::2]) if isinstance(op, WeightedOp) else None
    return kernel_cost(machine, setup, op.kernel, Block(*op.block.data), _places(op), weights)


def launch_bound(op: LaunchOp, machine: Accelerator, setup: MemorySetup) -> Bound:
    """What one launch is no quicker than."""
    weights = sum(op.weight_ranges.data[1::2]) if isinstance(op, WeightedOp) else None
    return bound_of(machine, setup, op.kernel, Block(*op.block.data), _places(op), weights)


def _memory(setup: MemorySetup, space: Space) -> Memory | None:
    """The memory behind a space; None for SHRAM."""
    return setup.memory(AREAS[space]) if space in AREAS else None


def transfer_cycles(op: DmaOp, setup: MemorySetup) -> Callable[[int], int]:
    """What so many bytes of a transfer take alone; it need not be allocated."""
    source, target = op.source.type, op.destination.type
    assert isinstance(source, BufferType)
    assert isinstance(target, BufferType)
    return dma_between(setup.memory(AREAS[source.space]), _memory(setup, target.space))


def _kernel(
    op: LaunchOp, machine: Accelerator, setup: MemorySetup
) -> tuple[KernelCost, dict[str, int], dict[str, int]]:
    """Cost of a launch, and what it reads from and writes to each area."""
    places = _places(op)
    cost = launch_cost(op, machine, setup)
    read: Counter[str] = Counter()
    read[places.ifm] += cost.ifm_read
    read[places.ifm2] += cost.ifm2_read
    read[places.weights] += cost.weights_read
    read[places.scales or places.weights] += cost.scales_read
    return cost, {area: size for area, size in read.items() if size}, {places.ofm: cost.ofm_written}


def timeline(program: ProgramOp, machine: Accelerator, setup: MemorySetup) -> Timeline:
    """Tell the commands of `program` to a clock."""
    runs: list[Run] = []
    clock = Clock(machine, setup, runs)
    issued: list[
        tuple[int, DmaOp | LaunchOp, KernelCost | None, dict[str, int], dict[str, int], Accesses, tuple[int, int]]
    ] = []
    for index, op in enumerate(_commands(program)):
        if isinstance(op, WaitOp):
            wait = clock.wait_transfers if op.kind.data == "dma" else clock.wait_kernels
            wait(op.pending.data[0])
            continue
        touched = accesses(op, machine)
        if isinstance(op, DmaOp):
            source, target = touched.reads[0].space, touched.writes[0].space
            size = op.size.data[0]
            memory = _memory(setup, target)
            clock.transfer(size, setup.memory(AREAS[source]), memory)
            ports = dma_cost(setup.memory(AREAS[source]), memory, size).port_cycles
            issued.append((index, op, None, {AREAS[source]: size}, {AREAS.get(target, "shram"): size}, touched, ports))
        else:
            cost, read, written = _kernel(op, machine, setup)
            clock.launch(cost, op.blockdep is not None and op.blockdep.data[0] > 0)
            issued.append((index, op, cost, read, written, touched, cost.port_cycles))
    clock.finish()
    return Timeline(
        [
            Event(index, op, *run, cost, read, written, touched, ports)
            for run, (index, op, cost, read, written, touched, ports) in zip(runs, issued, strict=True)
        ]
    )


def _commands(program: ProgramOp) -> Iterator[DmaOp | WaitOp | LaunchOp]:
    for op in program.body.block.ops:
        if isinstance(op, DmaOp | WaitOp | LaunchOp):
            yield op
