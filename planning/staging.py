"""
Which operands are worth a transfer to the scarce memory, right before what reads them or row by row beside it.

A constant, an operand of the region or a spilled value lies in a slow memory, which a kernel may read again and again:
for every block in depth, for every row where it is broadcast, in bursts of which it uses little. A transfer reads it
once, beside kernels. *Whole* it runs beside the kernels before, as far as those have room for all of it and leave it
time. *Rolling* it is a stage of the cascade that reads it (`npuc.dialects.stripes`): the rows of the next launch are
brought beside the current one, and take no more memory than a rolling buffer. A kernel that runs whole becomes a
cascade with its transfer for it, in stripes, which cost it launches.

All choices are timed side by side: the launches and transfers of the item on a clock (`npuc.hardware.clock`), and
before them what of the first transfer the items before do not hide. The quickest wins; of those within a hundredth of
it, the one that takes the least memory. Memory is what the schedule leaves of the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.machine import area_of, places_of
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConstantOp,
    CopyOp,
    ElementwiseOp,
    KernelOp,
    TransferOp,
    nhwc,
    stages_of,
)
from npuc.dialects.stripes import Input, Launch, Stage, Unrolled, pieces, unroll
from npuc.hardware.clock import Clock
from npuc.hardware.cycles import DMA_WORDS, KernelCost, Places, dma_cycles, fetch_cycles, idle_cycles
from npuc.hardware.memory import Area, Memory
from npuc.planning.cascades import heights
from npuc.planning.network import Item, Network, inputs_of, rounded
from npuc.planning.tasks import Run, Work, Works

TOLERANCE = 1.01
"""Among choices that are no slower than the best by more than this factor, the one with the least memory is taken."""
MOST_LAUNCHES = 1024
"""A kernel does not become a cascade of more launches than this."""


class Staged(NamedTuple):
    """A value to be transferred, whole right before the first of the items that read it so, or row by row for one."""

    items: tuple[KernelOp | CopyOp | CascadeOp, ...]
    value: SSAValue
    rolling: int = 0
    """Rows of its rolling buffer; 0: it is brought whole."""
    stripe: int = 0
    """Rows a launch of a kernel that becomes a cascade with its transfer; 0 for what is a cascade already."""


class _Variant(NamedTuple):
    """How an item may run."""

    whole: tuple[SSAValue, ...] = ()
    """What lies in the scarce memory when it begins."""
    rolled: tuple[SSAValue, ...] = ()
    """What is brought row by row meanwhile."""
    stripe: int = 0
    """Rows a launch of a kernel by itself; 0: all."""


class _Choice(NamedTuple):
    """A variant with a value more, what it takes, and what of it is brought before the item begins."""

    variant: _Variant
    cycles: int
    memory: int
    """Bytes that it takes more, while the item runs."""
    early: int = 0
    """Bytes that are brought before the item."""
    buffer: int = 0
    """Bytes that they need from then on."""
    rolling: int = 0


@dataclass
class Staging:
    """Decides for one region."""

    network: Network
    works: Works
    limit: int
    least: int = 0
    """Bytes; smaller operands stay where they are."""
    free: list[int] = field(default_factory=list[int])
    """For each item, bytes below the limit while it runs."""

    def __post_init__(self) -> None:
        self.machine, self.setup = self.works.machine, self.works.setup
        self.area: Area = AREAS[self.network.space]
        self._idle: dict[tuple[int, str], int] = {}
        """Of an item the cycles in which a port is idle, less those that have been given to transfers."""
        self._decided: dict[int, _Variant] = {}

    def run(self) -> list[Staged]:
        """What to transfer, in program order."""
        items = self.network.items
        self.free = [self.limit - self.network.alone(number) for number in range(len(items))]
        readers: dict[SSAValue, list[int]] = {}
        for number, item in enumerate(items):
            for value in self._candidates(item):
                readers.setdefault(value, []).append(number)
        chosen: dict[int, list[Staged]] = {}
        for value, numbers in readers.items():
            while numbers:
                together, choices = self._best(numbers, value)
                numbers = numbers[max(1, len(together)) :]
                if choices:
                    self._take(together, value, choices)
                    ops = tuple(items[number].op for number in together)
                    staged = Staged(ops, value, choices[0].rolling, choices[0].variant.stripe)
                    chosen.setdefault(together[0], []).append(staged)
        return [staged for _, those in sorted(chosen.items()) for staged in those]

    # -- choices

    def _candidates(self, item: Item) -> Iterator[SSAValue]:
        """
        What an item reads from memory slower than the scarce one: not made by itself, dense or a view of all of what
        is, not just a number in a register, and not what it is told to write over.
        """
        seen: set[SSAValue] = {kernel.result for kernel in _kernels(item)}
        near = self.setup.memory(self.area).bytes_per_cycle
        for op in _kernels(item):
            for value in inputs_of(op):
                if value in seen or self._source(value).bytes_per_cycle >= near:
                    continue
                seen.add(value)
                scalar = isinstance(op, ElementwiseOp) and value is op.ifm2 and op.has_scalar
                overwritten = isinstance(op, ElementwiseOp) and value is op.overwritten
                if scalar or overwritten or storage_bytes(tensor_type(value)) < self.least:
                    continue
                source = self.network.storage.dense_source(value)
                if source is not None and self._aligned(source):
                    yield value

    def _aligned(self, value: SSAValue) -> bool:
        """Whether a DMA can bring all of a value; constants are stored with bytes to spare behind them."""
        step = self.machine.external_dma_alignment
        place = self.network.storage.place(value)
        spare = isinstance(place.root.owner, ConstantOp) and not place.offset
        return place.offset % step == 0 and (spare or storage_bytes(tensor_type(value)) % step == 0)

    def _best(self, numbers: Sequence[int], value: SSAValue) -> tuple[Sequence[int], list[_Choice]]:
        """
        The first of the items that read a value for which it is brought, and the choice for each of them; none if it
        had better stay where it is for the first one.
        """
        first = numbers[0]
        stay = self._cycles(first, self._variant(first))[0]
        near = self._near(first, value)
        if near.cycles * TOLERANCE >= stay:
            return numbers[:1], []
        found = [_Choice(self._variant(first), stay, 0)]
        together = self._together(numbers, near.memory)
        saved = 0
        if together:
            late = self._late(first, value, near.memory, near.memory)
            # What those behind the first one gain pays as well for the transfer that hides least.
            rest = [self._near(number, value) for number in together[1:]]
            saved = sum(
                max(0, self._cycles(n, self._variant(n))[0] - one.cycles)
                for n, one in zip(together[1:], rest, strict=True)
            )
            found.append(near._replace(cycles=near.cycles + late - saved))
        found += (one for one in self._rolling(first, value) if one.memory <= self.free[first])
        best = min(one.cycles for one in found)
        allowed = best + (TOLERANCE - 1) * (stay + saved)
        picked = min((one for one in found if one.cycles <= allowed), key=lambda one: (one.memory, one.cycles))
        if picked is found[0]:
            return numbers[:1], []
        if picked.rolling:
            return numbers[:1], [picked]
        return together, [picked, *(self._near(number, value) for number in together[1:])]

    def _together(self, numbers: Sequence[int], size: int) -> Sequence[int]:
        """The first of some items, as many of them as one buffer of so many bytes can live for."""
        count = 0
        for count, number in enumerate(numbers):
            before = numbers[count - 1] if count else number
            if min(self.free[before : number + 1]) < size:
                return numbers[:count]
        return numbers[: count + 1]

    def _near(self, number: int, value: SSAValue) -> _Choice:
        """An item with a value in the scarce memory when it begins."""
        now = self._variant(number)
        variant = now._replace(whole=(*now.whole, value))
        size = rounded(storage_bytes(tensor_type(value)))
        return _Choice(variant, self._cycles(number, variant)[0], size, size, size)

    def _rolling(self, number: int, value: SSAValue) -> Iterator[_Choice]:
        """The choices to bring a value row by row for an item."""
        item, now = self.network.items[number], self._variant(number)
        height = nhwc(value)[0]
        row = storage_bytes(tensor_type(value)) // height
        readers = [op for op in _kernels(item) if value in inputs_of(op)]
        if height == 1 or row % self.machine.external_dma_alignment or not self.network.storage.is_dense(value):
            return
        stripes = [now.stripe]
        more = 0
        if not isinstance(item.op, CascadeOp):
            if not _may_be_cut(item):
                return
            # In a cascade it would not be written over an operand.
            more = 0 if now.stripe else item.saved
            stripes = [now.stripe] if now.stripe else heights(nhwc(item.op.result)[0])
        if any(isinstance(op, CopyOp) or op.reach(value).whole for op in readers):
            return
        for stripe in stripes:
            variant = now._replace(rolled=(*now.rolled, value), stripe=stripe)
            unrolled = self._unrolled(item, variant)
            if stripe and len(unrolled.launches) > MOST_LAUNCHES:
                continue
            rows = unrolled.alive[len(now.rolled)]
            buffer = rounded(rows * row)
            cycles, first = self._cycles(number, variant, unrolled, buffer + more)
            # What is not read by the first kernel arrives beside that.
            early = first.get(value, 0) * row
            late = self._late(number, value, early, buffer) if early else 0
            yield _Choice(variant, cycles + late, buffer + more, early, buffer, rows)

    def _variant(self, number: int) -> _Variant:
        return self._decided.get(number, _Variant())

    def _take(self, numbers: Sequence[int], value: SSAValue, choices: Sequence[_Choice]) -> None:
        """Account for the memory of choices for some items, and for the time and memory of what is brought early."""
        first, source = choices[0], self._source(value)
        for number, choice in zip(numbers, choices, strict=True):
            self._decided[number] = choice.variant
        for before, cycles in self._windows(numbers[0], value, first.early, first.buffer):
            self._idle[before, source.port] -= cycles
            self.free[before] -= first.buffer
        for number in range(numbers[0], numbers[-1] + 1):
            self.free[number] -= first.memory

    # -- time

    def _source(self, value: SSAValue) -> Memory:
        return self.setup.memory(area_of(value))

    def _transfer(self, value: SSAValue, size: int) -> int:
        return dma_cycles(self._source(value), self.setup.memory(self.area), size)

    def _late(self, number: int, value: SSAValue, size: int, buffer: int) -> int:
        """
        Cycles by which a transfer of so many bytes keeps an item waiting: what the items before leave no time for. Its
        commands have to be fetched as well.
        """
        hidden = sum(cycles for _, cycles in self._windows(number, value, size, buffer))
        return max(0, self._transfer(value, size) - hidden) + fetch_cycles(self.setup, DMA_WORDS)

    def _windows(self, number: int, value: SSAValue, size: int, buffer: int) -> Iterator[tuple[int, int]]:
        """
        The items before, the last first, beside which a transfer runs, and how long: as far back as the value exists
        and they have room for its buffer.
        """
        source = self._source(value)
        left = self._transfer(value, size)
        for before in range(number - 1, self.network.written_by(value), -1):
            if left <= 0 or self.free[before] < buffer:
                break
            cycles = min(left, self._idle_of(before, source))
            left -= cycles
            yield before, cycles

    def _idle_of(self, number: int, source: Memory) -> int:
        """Cycles of an item in which the port of a memory has nothing to do."""
        key = number, source.port
        if key not in self._idle:
            runs = self._runs(number, self._variant(number))
            self._idle[key] = sum(idle_cycles(cost, source) for _, cost in runs if cost is not None)
        return self._idle[key]

    def _cycles(
        self, number: int, variant: _Variant, unrolled: Unrolled | None = None, memory: int = 0
    ) -> tuple[int, dict[SSAValue, int]]:
        """
        Cycles of an item that takes so much more memory, from its first kernel on, and how many rows of each value that
        is brought row by row are there by then.
        """
        clock = Clock(self.machine, self.setup)
        first: dict[SSAValue, int] = {}
        launched = 0
        latest: dict[SSAValue, tuple[int, int]] = {}
        """By value, numbers of the last two launches that read it."""
        before: SSAValue | None = None
        for what, cost in self._runs(number, variant, unrolled, memory):
            if isinstance(what, _Piece):
                if not launched:
                    first[what.value] = what.stop
                    continue
                # It writes over what the launch before the last one has read.
                clock.wait_kernels(launched - 1 - latest.get(what.value, (-1, -1))[0])
                row = storage_bytes(tensor_type(what.value)) // nhwc(what.value)[0]
                source = self._source(what.source)
                clock.transfer((what.stop - what.start) * row, source, self.setup.memory(self.area))
                continue
            assert cost is not None
            reads = {value for value, _ in what.work.reads}
            for value in what.brought:
                latest[value] = latest.get(value, (-1, -1))[1], launched
            if what.brought:
                clock.wait_transfers(0)
            clock.launch(cost, before is None or before not in reads)
            before = what.work.op.result
            launched += 1
        return clock.cycles, first

    def _unrolled(self, item: Item, variant: _Variant) -> Unrolled:
        """The launches of an item, those of `variant.rolled` being the first stages."""
        op = item.op
        assert not isinstance(op, CopyOp)
        if isinstance(op, CascadeOp):
            ops, stages = op.stages, stages_of(op.stages, op.yielded)
        else:
            ops, stages = (op,), stages_of([op], [op.result], [variant.stripe or nhwc(op.result)[0]])
        more = len(variant.rolled)
        brought = [Stage(nhwc(value)[0], nhwc(value)[0], ahead=True) for value in variant.rolled]
        made = {one.result for one in ops}
        for one, stage in zip(ops, stages, strict=True):
            if isinstance(one, TransferOp):
                brought.append(stage)
                continue
            inputs: list[Input] = []
            known = iter(stage.inputs)
            for value in one.feature_maps:
                if value in made:
                    producer, reach = next(known)
                    inputs.append(Input(producer + more, reach))
                elif value in variant.rolled:
                    inputs.append(Input(variant.rolled.index(value), one.reach(value)))
            brought.append(replace(stage, inputs=tuple(inputs)))
        return unroll(brought)

    def _runs(
        self, number: int, variant: _Variant, unrolled: Unrolled | None = None, memory: int = 0
    ) -> Iterator[tuple[_Piece | _Reading, KernelCost | None]]:
        """Launches with their costs, and pieces of what is brought row by row, in order."""
        item = self.network.items[number]
        op = item.op
        near = {*variant.whole, *variant.rolled}
        if isinstance(op, CopyOp):
            work = self._work(op, nhwc(op.result)[0], near)
            yield _Reading(work, ()), work.usual_cost()
            return
        cascade = op if isinstance(op, CascadeOp) else None
        alone = cascade is None and not variant.rolled
        if isinstance(op, KernelOp) and alone:
            launches = [Launch(0, 0, nhwc(op.result)[0])]
        else:
            unrolled = unrolled or self._unrolled(item, variant)
            launches = unrolled.launches
        more = len(variant.rolled)
        ops = cascade.stages if cascade is not None else (op,)
        works: dict[int, _Reading] = {}
        brought = {*variant.rolled, *(one.result for one in ops if isinstance(one, TransferOp))}
        for index, one in enumerate(ops, more):
            if isinstance(one, KernelOp):
                stripe = variant.stripe if cascade is None else one.stripe.data[0] if one.stripe is not None else 0
                work = self._work(one, stripe or nhwc(one.result)[0], near)
                works[index] = _Reading(
                    work, tuple(value for value in dict.fromkeys(one.feature_maps) if value in brought)
                )
        area = self._weights_area(self.free[number] - memory, [one.work for one in works.values()], alone)
        for index, start, stop in launches:
            if index in works:
                work = works[index].work
                weights = work.sizes((0, work.depth))[0].weights if work.weighted else None
                yield works[index], work.cost(Run(work, start, stop), (0, work.depth), weights, area)
            else:
                value = source = variant.rolled[index] if index < more else None
                if value is None:
                    transfer = ops[index - more]
                    assert isinstance(transfer, TransferOp)
                    value, source = transfer.result, transfer.source
                    rows = nhwc(value)[0] if transfer.rolling is None else transfer.rolling.data[0]
                else:
                    assert unrolled is not None
                    rows = unrolled.alive[index]
                assert source is not None
                for ends in pieces(start, stop, rows):
                    yield _Piece(value, source, *ends), None

    def _work(self, op: KernelOp | CopyOp, stripe: int, near: set[SSAValue]) -> Work:
        """A kernel in stripes of so many rows, some of its operands in the scarce memory."""
        places, inputs = places_of(op), inputs_of(op)
        moved: list[Area] = [self.area if v in near else known for v, known in zip(inputs, places[:2], strict=False)]
        places = Places(moved[0], moved[-1] if len(inputs) > 1 else places.ifm2, *places[2:])
        return self.works.work(op, stripe, places=places)

    def _weights_area(self, free: int, works: Sequence[Work], alone: bool) -> Area:
        """Where the weights of an item are read: from buffers, if there is memory for all, or slices of a kernel."""
        if self.setup.memory(self.area).bytes_per_cycle <= self.setup.constants.bytes_per_cycle:
            return "constants"
        need = sum(work.size for work in works)
        if alone and works and works[0].weighted:
            need = min(need, 2 * need * works[0].block.depth // works[0].depth)
        return self.area if need <= free else "constants"


class _Piece(NamedTuple):
    """Rows of a value that are brought."""

    value: SSAValue
    """What its readers read."""
    source: SSAValue
    start: int
    stop: int


class _Reading(NamedTuple):
    """A work, and which of the values that it reads are brought row by row."""

    work: Work
    brought: tuple[SSAValue, ...]


def _kernels(item: Item) -> Sequence[KernelOp | CopyOp]:
    return item.op.kernels if isinstance(item.op, CascadeOp) else (item.op,)


def _may_be_cut(item: Item) -> bool:
    """Whether a kernel may become a cascade: nothing that stands on it says otherwise."""
    op = item.kernel
    if op is None or op.stripe is not None or op.cascade is not None:
        return False
    return not isinstance(op, ElementwiseOp) or op.in_place is None
