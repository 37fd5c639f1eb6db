"""
When each command of an allocated or decoded program runs: the judge that compares schedules.

It works on the command stream alone (any `npu_cmd.program`, also one decoded from a file that vela made), with the
costs of `npuc.hardware.cycles`. The model:

- The command processor issues commands in order, as they arrive (`fetch_cycles`; `OPERATIONS_AHEAD` says how early they
  can); time begins with the first. A wait holds it until no more than so many transfers or kernels are outstanding; so
  does a full queue (two kernels, one transfer on U55, two on U65).
- Kernels run one after the other, and so do transfers; the two run side by side. Where a kernel uses the port that a
  transfer reads from, as one does that reads weights in place, the transfer gets what the kernel leaves: in a kernel
  that uses the port for a share u of its time it advances by 1 - u cycles a cycle. What transfers write to the port of
  the arena is little beside what that port can take, and is not counted.
- A kernel takes `KernelCost.cycles`. With BLOCKDEP 0, or after a pause, it also takes its fill: nothing of it could be
  under way before. With a BLOCKDEP above 0 its fill is hidden behind the last blocks of the kernel before.
- A transfer takes `dma_cycles`.

The figures rank schedules; they are no promise about silicon (docs/hardware.md says what is inferred).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from typing import cast

from npuc.analysis.accesses import Accesses, Span, accesses
from npuc.dialects.npu import AREAS, BufferType, Space, WindowAttr
from npuc.dialects.npu_cmd import (
    DepthwiseOp,
    DmaOp,
    ElementwiseOp,
    FeatureMap,
    LaunchOp,
    PoolOp,
    ProgramOp,
    WaitOp,
    WeightedOp,
)
from npuc.dialects.npu_schedule import POOL_KINDS
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import (
    DMA_WORDS,
    LAUNCH_WORDS,
    OPERATIONS_AHEAD,
    KernelCost,
    Places,
    dma_cycles,
    fetch_cycles,
    kernel_cost,
    port_of,
)
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import Dims, Kernel, Kind, Operation


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
        nothing has written them, to the last read before they are written again. What is read by no event is a result,
        and lives to the end.
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
        """What lay in the span is past."""
        first, last = self._cut(span.start), self._cut(span.end)
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
            upper = replace(below, span=replace(below.span, start=at))
            below.span = replace(below.span, end=at)
            self._put(number, number, [upper])
        return number


def _joined(lives: Iterable[Life]) -> list[Life]:
    """Neighbours in memory that differ in nothing else as one, in the order of their start."""
    found: dict[tuple[int, int, int, int], Life] = {}
    for life in sorted(lives, key=lambda life: life.span.start):
        key = (life.start, life.end, -1 if life.writer is None else life.writer.index)
        below = found.pop((*key, life.span.start), None)
        if below is not None:
            life.span = replace(life.span, start=below.span.start)
        found[*key, life.span.end] = life
    return sorted(found.values(), key=lambda life: (life.start, life.span.start))


def kernel_of(op: LaunchOp) -> Kernel:
    """What the cost model must know of a launch."""
    ifm, ofm = op.ifm_map.data, op.ofm_map.data
    kind: Kind = "conv"
    operation: Operation = ""
    ifm2: FeatureMap | None = None
    scalar = False
    if isinstance(op, DepthwiseOp):
        kind = "depthwise"
    elif isinstance(op, PoolOp):
        kind = POOL_KINDS[op.kind.data]
    elif isinstance(op, ElementwiseOp):
        kind = "elementwise"
        operation = cast(Operation, op.kind.data)
        scalar = op.scalar is not None
        ifm2 = op.ifm2_map.data if op.ifm2_map is not None else None
    attribute = op.properties.get("window")
    window = attribute.data if isinstance(attribute, WindowAttr) else None
    whole = kind in ("conv", "reduce_sum")
    bits = (op.broadcast.data[0] if op.broadcast is not None else 0) if isinstance(op, ElementwiseOp) else 0
    second: Dims | None = None
    if ifm2 is not None:
        height, width, depth = (
            1 if bits >> axis & 1 else full for axis, full in enumerate((ofm.height, ofm.width, ofm.depth))
        )
        second = Dims(height, width, depth)
    rows, columns = ifm.height, ifm.width
    if kind == "elementwise":
        rows, columns = ofm.height, ofm.width
    return Kernel(
        kind=kind,
        ifm=Dims(rows, columns, ifm.depth if whole else ofm.depth),
        ofm=Dims(ofm.height, ofm.width, ofm.depth),
        kernel=(window.height, window.width) if window else (1, 1),
        stride=(window.stride_y, window.stride_x) if window else (1, 1),
        dilation=(window.dilation_y, window.dilation_x) if window else (1, 1),
        pad=(window.top, window.bottom, window.left, window.right) if window else (0, 0, 0, 0),
        operation=operation,
        ifm_bits=ifm.element.bits,
        ofm_bits=ofm.element.bits,
        upscale=window.upscale if window else "none",
        ifm2=second,
        ifm2_scalar=scalar,
        lut=bool(op.values_of("table")),
        part_kernel="part_kernel" in op.properties,
        ifm_format=ifm.layout,
        ifm2_format=ifm2.layout if ifm2 else "nhwc",
        ofm_format=ofm.layout,
    )


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
    return kernel_cost(machine, setup, kernel_of(op), Block(*op.block.data), _places(op), weights)


def transfer_cycles(op: DmaOp, setup: MemorySetup, size: int | None = None) -> int:
    """What a transfer takes, or `size` bytes of it alone; it need not be allocated."""
    source, target = op.source.type, op.destination.type
    assert isinstance(source, BufferType)
    assert isinstance(target, BufferType)
    memory = setup.memory(AREAS[target.space]) if target.space in AREAS else None
    return dma_cycles(setup.memory(AREAS[source.space]), memory, op.size.data[0] if size is None else size)


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


@dataclass
class _Kernels:
    """Kernels, one after the other: when the last one ends, which are outstanding, and how busy they keep the ports."""

    capacity: int
    free: int = 0
    pending: list[int] = field(default_factory=list[int])
    busy: list[tuple[int, int, tuple[float, float]]] = field(default_factory=list[tuple[int, int, tuple[float, float]]])
    """Of each kernel: start, end, and the share of that time in which it uses each port."""

    def wait(self, now: int, pending: int) -> int:
        """The time from which at most `pending` are outstanding."""
        excess = len(self.pending) - pending
        return max(now, self.pending[excess - 1]) if excess > 0 else now

    def push(self, start: int, end: int, ports: tuple[int, int]) -> None:
        self.free = end
        self.pending.append(end)
        length = max(1, end - start)
        self.busy.append((start, end, (min(1.0, ports[0] / length), min(1.0, ports[1] / length))))

    def retire(self, now: int) -> None:
        self.pending = [end for end in self.pending if end > now]


@dataclass
class _Transfer:
    issued: int
    cycles: int
    """With the port to itself."""
    port: int
    start: int = 0
    end: int = 0


@dataclass
class _Transfers:
    """
    Transfers, one after the other. When one ends depends on the kernels that run meanwhile, also on those that are
    issued after it; whoever asks waits, and no kernel that starts later can change the answer.
    """

    capacity: int
    kernels: _Kernels
    all: list[_Transfer] = field(default_factory=list[_Transfer])
    pending: list[_Transfer] = field(default_factory=list[_Transfer])

    def _settle(self) -> None:
        """Times of those that are outstanding, given the kernels so far."""
        done = len(self.all) - len(self.pending)
        free = self.all[done - 1].end if done else 0
        for transfer in self.pending:
            transfer.start = max(transfer.issued, free)
            free = transfer.end = self._end(transfer)

    def _end(self, transfer: _Transfer) -> int:
        time, left = transfer.start, float(transfer.cycles)
        first = bisect_right(self.kernels.busy, time, key=lambda kernel: kernel[1])
        for start, end, shares in self.kernels.busy[first:]:
            if time + left <= start:
                break
            left -= max(0, start - time)
            time = max(time, start)
            speed = 1 - shares[transfer.port]
            if left <= speed * (end - time):
                return time + ceil(left / speed) if left > 0 else time
            left -= speed * (end - time)
            time = end
        return time + ceil(left)

    def wait(self, now: int, pending: int) -> int:
        """The time from which at most `pending` are outstanding."""
        self._settle()
        excess = len(self.pending) - pending
        return max(now, self.pending[excess - 1].end) if excess > 0 else now

    def push(self, now: int, cycles: int, port: int) -> _Transfer:
        self.all.append(_Transfer(now, cycles, port))
        self.pending.append(self.all[-1])
        return self.all[-1]

    def retire(self, now: int) -> None:
        self._settle()
        while self.pending and self.pending[0].end <= now:
            self.pending.pop(0)


def timeline(program: ProgramOp, machine: Accelerator, setup: MemorySetup) -> Timeline:
    """Run the commands of `program` through the model."""
    kernels = _Kernels(machine.max_outstanding_kernels)
    transfers = _Transfers(machine.max_outstanding_dmas, kernels)
    found = Timeline()
    moved: list[tuple[int, _Transfer]] = []
    issues = [0] * OPERATIONS_AHEAD
    now = held = fetched = 0
    for index, op in enumerate(_commands(program)):
        if not isinstance(op, WaitOp):
            words = LAUNCH_WORDS if isinstance(op, LaunchOp) else DMA_WORDS
            if found.events:
                fetched = max(issues[-OPERATIONS_AHEAD], fetched) + fetch_cycles(setup, words)
        kernels.retire(now)
        transfers.retire(now)
        if isinstance(op, WaitOp):
            engine = transfers if op.kind.data == "dma" else kernels
            after = engine.wait(now, op.pending.data[0])
            held, now = held + after - now, after
            continue
        now = max(now, fetched)
        issues.append(now)
        engine = transfers if isinstance(op, DmaOp) else kernels
        issued = engine.wait(now, engine.capacity - 1)
        held, now = held + issued - now, issued
        touched = accesses(op, machine)
        if isinstance(op, DmaOp):
            transfers.retire(now)
            source, target = touched.reads[0].space, touched.writes[0].space
            port = port_of(setup.memory(AREAS[source]))
            moved.append((len(found.events), transfers.push(now, transfer_cycles(op, setup), port)))
            size = op.size.data[0]
            read, written = {AREAS[source]: size}, {AREAS.get(target, "shram"): size}
            event = Event(index, op, now, now, held, None, read, written, touched)
        else:
            start = max(now, kernels.free)
            cost, read, written = _kernel(op, machine, setup)
            overlapped = op.blockdep is not None and op.blockdep.data[0] > 0 and start == kernels.free and start > 0
            end = start + cost.cycles + (0 if overlapped else cost.fill_cycles)
            kernels.push(start, end, cost.port_cycles)
            event = Event(index, op, start, end, held, cost, read, written, touched)
        found.events.append(event)
        held = 0
    transfers.wait(now, 0)
    for number, transfer in moved:
        found.events[number] = replace(found.events[number], start=transfer.start, end=transfer.end)
    return found


def _commands(program: ProgramOp) -> Iterator[DmaOp | WaitOp | LaunchOp]:
    for op in program.body.block.ops:
        if isinstance(op, DmaOp | WaitOp | LaunchOp):
            yield op
