"""
Which operands are worth a transfer to the scarce memory right before what reads them.

A constant, an operand of the region or a spilled value lies in a slow memory, which a kernel may read again and again:
for every block in depth, for every row where it is broadcast, in bursts of which it uses little. A transfer reads it
once, beside the kernels before. It pays where the kernels save more cycles by it than it is late, and takes what the
schedule leaves of the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.machine import area_of, places_of, stripe_kernel
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import CascadeOp, CopyOp, ElementwiseOp, KernelOp, nhwc
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.cycles import (
    DMA_WORDS,
    KernelCost,
    Places,
    best_block,
    dma_cycles,
    fetch_cycles,
    idle_cycles,
    kernel_cost,
)
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import explain
from npuc.planning.network import Item, Network, rounded


class Staged(NamedTuple):
    """A value to be transferred right before the first of the items that read it so."""

    items: tuple[KernelOp | CopyOp | CascadeOp, ...]
    value: SSAValue


class _Launches(NamedTuple):
    """Launches of one kernel that are alike."""

    op: KernelOp | CopyOp
    rows: int
    times: int


@dataclass
class Staging:
    """Decides for one region."""

    network: Network
    machine: Accelerator
    setup: MemorySetup
    limit: int
    free: list[int] = field(default_factory=list[int])
    """For each item, bytes below the limit while it runs."""
    idle: dict[int, int] = field(default_factory=dict[int, int])
    """Of the items that somebody has asked for, cycles in which the port of the slow memory has nothing to do."""

    def run(self) -> list[Staged]:
        """What to transfer, in program order."""
        items = self.network.items
        self.free = [self.limit - self.network.alone(number) for number in range(len(items))]
        self.area: Area = AREAS[self.network.space]
        readers: dict[SSAValue, list[int]] = {}
        for number, item in enumerate(items):
            for value in self._candidates(item):
                readers.setdefault(value, []).append(number)
        chosen: dict[int, list[Staged]] = {}
        for value, numbers in readers.items():
            size = rounded(storage_bytes(tensor_type(value)))
            while numbers:
                together = self._together(numbers, size)
                numbers = numbers[max(1, len(together)) :]
                gain = sum(self._gain(items[number], value) for number in together)
                if gain and gain > self._late(together[0], value, size):
                    self._take(together, value, size)
                    chosen.setdefault(together[0], []).append(Staged(tuple(items[n].op for n in together), value))
        return [staged for _, those in sorted(chosen.items()) for staged in those]

    def _together(self, numbers: Sequence[int], size: int) -> Sequence[int]:
        """The first of some items, as many of them as one buffer of so many bytes can live for."""
        count = 0
        for count, number in enumerate(numbers):
            before = numbers[count - 1] if count else number
            if min(self.free[before : number + 1]) < size:
                return numbers[:count]
        return numbers[: count + 1]

    def _candidates(self, item: Item) -> Iterator[SSAValue]:
        """
        What an item reads from memory slower than the scarce one: dense, in whole units of transfers, and not just a
        number in a register.
        """
        seen = set[SSAValue]()
        near = self.setup.memory(self.area).bytes_per_cycle
        for op in _kernels(item):
            for value in _inputs(op):
                if value in seen or self.setup.memory(area_of(value)).bytes_per_cycle >= near:
                    continue
                seen.add(value)
                scalar = isinstance(op, ElementwiseOp) and value is op.ifm2 and op.has_scalar
                whole = area_of(value) == "constants" or storage_bytes(tensor_type(value)) % ALIGNMENT == 0
                if not scalar and whole and self.network.storage.is_dense(value):
                    yield value

    def _gain(self, item: Item, value: SSAValue) -> int:
        """Cycles that the launches of an item take less with a value in the scarce memory."""
        saved = 0
        for op, rows, count in _launches(item):
            if value in _inputs(op):
                far, near = (self._cost(op, rows, moved).cycles for moved in ((), (value,)))
                saved += count * (far - near)
        return saved

    def _cost(self, op: KernelOp | CopyOp, rows: int, moved: Sequence[SSAValue] = ()) -> KernelCost:
        """A launch of a kernel, some of its operands in the scarce memory."""
        places, inputs = places_of(op), _inputs(op)
        near: list[Area] = [self.area if v in moved else known for v, known in zip(inputs, places[:2], strict=False)]
        places = Places(near[0], near[-1] if len(inputs) > 1 else places.ifm2, *places[2:])
        whole = op.launch()
        kernel = whole if isinstance(op, CopyOp) else stripe_kernel(op, rows)
        block = op.block.data if op.block is not None else best_block(self.machine, self.setup, kernel, places)
        if explain(self.machine, whole, block) is not None:
            block = best_block(self.machine, self.setup, whole, places)
        return kernel_cost(self.machine, self.setup, kernel, block, places)

    def _late(self, number: int, value: SSAValue, size: int) -> int:
        """
        Cycles by which the transfer of a value keeps an item waiting: what the items before, as far back as they have
        room for it and the value exists, leave no time for. Its commands have to be fetched as well.
        """
        source = self.setup.memory(area_of(value))
        late = dma_cycles(source, self.setup.memory(self.area), size)
        late -= sum(idle for _, idle in self._hidden(number, value, size))
        return max(0, late) + fetch_cycles(self.setup, DMA_WORDS)

    def _hidden(self, number: int, value: SSAValue, size: int) -> Iterator[tuple[int, int]]:
        """Behind which items before one the transfer of a value can run, the latest first, and their idle cycles."""
        source = self.setup.memory(area_of(value))
        for before in range(number - 1, self.network.written_by(value), -1):
            if self.free[before] < size:
                break
            if before not in self.idle:
                costs = ((n, self._cost(op, rows)) for op, rows, n in _launches(self.network.items[before]))
                self.idle[before] = sum(n * idle_cycles(cost, source) for n, cost in costs)
            yield before, self.idle[before]

    def _take(self, numbers: Sequence[int], value: SSAValue, size: int) -> None:
        """Spend memory and time on the transfer of a value that these items read."""
        left = dma_cycles(self.setup.memory(area_of(value)), self.setup.memory(self.area), size)
        first = numbers[0]
        for before, idle in self._hidden(first, value, size):
            spent = min(left, idle)
            self.idle[before] -= spent
            left -= spent
            first = before
            if not left:
                break
        for number in range(first, numbers[-1] + 1):
            self.free[number] -= size


def _kernels(item: Item) -> Sequence[KernelOp | CopyOp]:
    return item.op.kernels if isinstance(item.op, CascadeOp) else (item.op,)


def _inputs(op: KernelOp | CopyOp) -> Sequence[SSAValue]:
    return (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps


def _launches(item: Item) -> list[_Launches]:
    """The launches of an item, those together that are alike."""
    if not isinstance(item.op, CascadeOp):
        return [_Launches(item.op, nhwc(item.op.result)[0], 1)]
    kernels = item.op.kernels
    counts = Counter((launch.stage, launch.stop - launch.start) for launch in item.op.unrolled().launches)
    return [_Launches(kernels[stage], rows, count) for (stage, rows), count in counts.items()]
