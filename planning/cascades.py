"""
What a region would need in memory and time with its kernels cut into cascades in one way or another.

A `Planner` values *segments* of a `Network`, runs of consecutive kernels that form one cascade or a single kernel that
runs whole, and finds the best way to cut the whole network into segments:

- memory of a segment: what lives across it, what it reads and leaves behind, and its rolling buffers, exact by
  `npuc.dialects.stripes`. The rows alive in a rolling buffer depend on the kernels behind it only, so one walk that
  ends at kernel j values all segments that end there;
- time of a segment: the sum over its launches, each as `npuc.hardware.cycles` estimates it with the block that suits
  it, and the time to fill and drain that stripes pay again and again. Weights are read anew by each launch, but for
  those that are worth a buffer and find room in what the segment leaves of the limit.

Both are sums or maxima over segments, so the best cut is found by dynamic programming over the kernel at which the last
segment starts: least peak (`least_peak`), or least time of all cuts whose segments stay below a limit (`quickest`).
A larger limit only adds segments and buffers to choose from, so that more memory never makes a plan slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, NoReturn

from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.machine import places_of
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import (
    CascadeOp,
    KernelOp,
    nhwc,
)
from npuc.dialects.stripes import Input, Launch, Reach, Stage, count, unroll
from npuc.hardware import accelerators
from npuc.hardware.accelerators import TABLE_BYTES, Accelerator
from npuc.hardware.cycles import (
    KernelCost,
    best_block,
    cycles_with_weights_in,
    dma_cycles,
    kernel_cost,
    launch_cycles,
)
from npuc.hardware.memory import MemorySetup
from npuc.hardware.shram import Kernel
from npuc.planning.network import Item, Network, rounded, weight_bytes
from npuc.planning.residency import NOTHING, Resident, best_within, extended
from npuc.planning.tasks import suitable_block

LONGEST = 24
"""Kernels of the longest cascade that is looked at."""


class Segment(NamedTuple):
    """Items `start` to `stop`, both included, as one cascade; alone if they are one."""

    start: int
    stop: int
    rows: int
    """OFM rows a launch of the last kernel; 0 for an item that runs as it stands."""
    memory: int
    """Bytes while it runs."""


class Choice(NamedTuple):
    """A stripe height for each kernel of a cascade, and the rows that its OFM then needs in a rolling buffer."""

    stripes: list[int]
    rolling: list[int | None]
    """None for what leaves the cascade."""


class _Walk(NamedTuple):
    """What all segments have in common that end with one item in launches of so many rows."""

    lowest: int
    """The first item of the longest of them."""
    stripes: list[int]
    launches: list[dict[int, int]]
    """For each item how often it is launched with how many rows."""
    cycles: list[int]
    """Of the segments of 1, 2, ... items, as far as somebody has asked, with all weights read in place."""
    residents: list[Sequence[Resident]]
    """Of the same segments, which weights could be kept in buffers."""


def heights(height: int) -> list[int]:
    """Stripe heights that are tried for a last OFM of so many rows: powers of two, and half."""
    found = {1 << power for power in range(height.bit_length()) if 1 << power < height}
    return sorted(found | {-(-height // 2)}) if height > 1 else []


def scaled(rows: int, reach: Reach) -> int:
    """Rows of an IFM that `rows` more rows of the OFM call for."""
    return max(1, -(-rows * reach.stride // reach.up))


class _Time(NamedTuple):
    """Cycles of a launch, with its weights where they are and with its weights in a buffer."""

    in_place: int
    buffered: int
    least: int
    """With its weights where they are, and its fill hidden behind its neighbours."""


class _Shape(NamedTuple):
    """What the rows of a kernel need; nothing of other items, which no cascade takes."""

    height: int
    stripe: int
    """Rows a launch that are written on it; 0 if none are."""
    reads: list[Input]
    """The feature maps that it reads, by the item that writes them; -1 where that is no kernel."""


def _shape(item: Item, network: Network) -> _Shape:
    op = item.op
    if not isinstance(op, KernelOp):
        return _Shape(0, 0, [])
    reads = [Input(network.producer(value), op.reach(value)) for value in op.feature_maps]
    return _Shape(nhwc(op.result)[0], op.stripe.data[0] if op.stripe is not None else 0, reads)


class Planner:
    """Values segments of a network on a machine and finds the best cuts."""

    def __init__(self, network: Network, machine: Accelerator, setup: MemorySetup):
        self.network = network
        self.machine = machine
        self.setup = setup
        self.buffers_help = setup.cache.bytes_per_cycle > setup.constants.bytes_per_cycle
        self._blocks: dict[tuple[int, int], accelerators.Block] = {}
        self._times: dict[tuple[int, int, int, int | None], _Time] = {}
        self._weights: dict[int, int] = {}
        self._kernels: dict[tuple[int, int], Kernel] = {}
        self._shapes = [_shape(item, network) for item in network.items]
        self._walks: dict[tuple[int, int], _Walk] = {}
        self.pinned = self._pinned()
        self.segments: list[list[Segment]] = [[] for _ in network.items]
        """Segments by the item that they end with."""
        for stop in range(len(network.items)):
            self.segments[stop] = self._ending(stop)

    # -- what is given

    def _pinned(self) -> dict[int, tuple[int, int]]:
        """For each item of a cascade that is planned already, the first and last item of that cascade."""
        members: dict[int, list[int]] = {}
        for number, item in enumerate(self.network.items):
            if isinstance(item.op, KernelOp) and item.op.cascade is not None:
                members.setdefault(item.op.cascade.data[0], []).append(number)
        found: dict[int, tuple[int, int]] = {}
        for cascade, numbers in members.items():
            if numbers[-1] - numbers[0] + 1 != len(numbers):
                first = self.network.items[numbers[0]].op
                raise OperationError(first, f"the kernels of cascade {cascade} do not follow")
            found |= dict.fromkeys(numbers, (numbers[0], numbers[-1]))
        return found

    def _may_be_cut(self, number: int) -> bool:
        """Whether an item can be part of a cascade. A stripe of all its rows says that it shall not."""
        kernel = self.network.items[number].kernel
        if kernel is None:
            return False
        written = kernel.stripe
        return number in self.pinned or written is None or written.data[0] < nhwc(kernel.result)[0]

    # -- segments

    def _ending(self, stop: int) -> list[Segment]:
        """All segments whose last item is `stop`."""
        network = self.network
        found: list[Segment] = []
        if stop not in self.pinned:
            found.append(Segment(stop, stop, 0, network.alone(stop)))
        if stop in self.pinned and self.pinned[stop][1] != stop:
            return found
        lowest = self._lowest(stop) if self._may_be_cut(stop) else stop
        if lowest == stop:
            return found if stop not in self.pinned else self._refuse(stop)
        kernel = network.items[stop].kernel
        assert kernel is not None
        for rows in heights(nhwc(kernel.result)[0]) if kernel.stripe is None else [kernel.stripe.data[0]]:
            found += self._with_rows(lowest, stop, rows)
        if stop in self.pinned:
            found = [segment for segment in found if segment.start == self.pinned[stop][0]]
        return found or self._refuse(stop)

    def _refuse(self, stop: int) -> NoReturn:
        """Say why a cascade that is planned already cannot be one."""
        op = self.network.items[stop].op
        assert isinstance(op, KernelOp)
        assert op.cascade is not None
        raise OperationError(
            op,
            f"cascade {op.cascade.data[0]} cannot be formed: that takes two or more kernels of several rows, in order, "
            "that read each other's results as they are",
        )

    def _lowest(self, stop: int) -> int:
        """The first item of the longest segment that may end with `stop`."""
        barrier = start = stop
        barrier = 0
        tables = 0
        largest = 0
        for number in range(stop, max(-1, stop - LONGEST), -1):
            item = self.network.items[number]
            if not self._may_be_cut(number) or (number in self.pinned) != (stop in self.pinned):
                break
            if number in self.pinned and self.pinned[number] != self.pinned[stop]:
                break
            barrier = max(barrier, item.barrier)
            if number < barrier:
                break
            size = self._table_bytes(number)
            if size and self.machine.reserved_end_banks:
                tables, largest = tables + 1, max(largest, size)
                if tables * largest > TABLE_BYTES:
                    break
            start = number
        return start

    def _table_bytes(self, number: int) -> int:
        op = self.network.items[number].op
        table = op.table_value if isinstance(op, KernelOp) else None
        return 0 if table is None else storage_bytes(tensor_type(table))

    def _stages(self, start: int, stop: int, rows: int) -> list[Stage]:
        """The stages of items `start` to `stop` with launches of `rows` rows at the end."""
        stripes = [0] * (stop - start) + [rows]
        stages: list[Stage] = []
        for number in range(stop, start - 1, -1):
            height, written, reads = self._shapes[number]
            index = number - start
            stripe = min(height, written or stripes[index] or height)
            inputs: list[Input] = []
            granule: Reach | None = None
            for producer, reach in reads:
                granule = reach if reach.up > 1 else granule
                if producer >= start:
                    inputs.append(Input(producer - start, reach))
                    stripes[producer - start] = max(stripes[producer - start], scaled(stripe, reach))
            tensor = self.network.tensors[self.network.items[number].writes[0]]
            stages.append(Stage(height, stripe, tuple(inputs), not tensor.rolls or tensor.last > stop, granule))
        return stages[::-1]

    def choice(self, segment: Segment) -> Choice:
        """The stripes of a segment, and the rows of its rolling buffers."""
        stages = self._stages(segment.start, segment.stop, segment.rows)
        alive = count(tuple(stages)).alive
        rolling = [
            None if stage.leaves or index == len(stages) - 1 else rows
            for index, (stage, rows) in enumerate(zip(stages, alive, strict=True))
        ]
        return Choice([stage.stripe for stage in stages], rolling)

    def launches(self, segment: Segment) -> Sequence[Launch]:
        """The launches of a cascade in order; their stages count from the first item of the segment."""
        return unroll(self._stages(segment.start, segment.stop, segment.rows)).launches

    def launch_count(self, segment: Segment) -> int:
        """How many launches a cascade has."""
        walk = self._walks[segment.stop, segment.rows]
        of_items = walk.launches[segment.start - walk.lowest : segment.stop - walk.lowest + 1]
        return sum(sum(counts.values()) for counts in of_items)

    def _with_rows(self, lowest: int, stop: int, rows: int) -> list[Segment]:
        """The segments of two or more items that end with `stop`, in launches of `rows` rows at the end."""
        network = self.network
        stages = self._stages(lowest, stop, rows)
        launches, alive = count(tuple(stages))
        self._walks[stop, rows] = _Walk(lowest, [stage.stripe for stage in stages], launches, [], [])
        found: list[Segment] = []
        buffers = 0
        for number in range(stop, lowest - 1, -1):
            index = number - lowest
            tensor = network.tensors[network.items[number].writes[0]]
            if not stages[index].leaves:
                op = network.items[number].op
                pinned = op.rolling.data[0] if isinstance(op, KernelOp) and op.rolling is not None else 0
                buffers += rounded(max(pinned, alive[index]) * tensor.row)
            elif tensor.first == number:
                buffers += tensor.size
            brought = (network.tensors[one] for one in network.items[number].brings)
            buffers += sum(tensor.size for tensor in brought if tensor.first == number)
            if number < stop:
                found.append(Segment(number, stop, rows, network.before[number] + buffers))
        return found

    # -- time

    def cycles(self, segment: Segment, limit: int = 0) -> int:
        """
        Estimated cycles of a segment whose weights may take what it leaves of `limit`; by default nothing is left.
        """
        room = limit - segment.memory
        if not segment.rows:
            return self._whole(segment.start, room)
        walk = self._walks[segment.stop, segment.rows]
        length = segment.stop - segment.start
        while len(walk.cycles) <= length:
            self._lengthen(walk, segment.stop)
        if room <= 0:
            return walk.cycles[length]
        while len(walk.residents) <= length:
            self._add_resident(walk, segment.stop)
        return walk.cycles[length] - best_within(walk.residents[length], room).gain

    def _lengthen(self, walk: _Walk, stop: int) -> None:
        """Add the time of the item before those that have been asked for."""
        times = self._times_of(walk, stop - len(walk.cycles))
        walk.cycles.append(sum(n * time.in_place for n, time in times) + (walk.cycles[-1] if walk.cycles else 0))

    def _add_resident(self, walk: _Walk, stop: int) -> None:
        """Add the weights of the item before those that have been asked for to what may stay in buffers."""
        number = stop - len(walk.residents)
        front = walk.residents[-1] if walk.residents else NOTHING
        gain = sum(n * (time.in_place - time.buffered) for n, time in self._times_of(walk, number))
        if gain > 0:
            size = self._weight_bytes(number)
            front = extended(front, number, size, gain - self._transfer(size))
        walk.residents.append(front)

    def _times_of(self, walk: _Walk, number: int, size: int | None = None) -> list[tuple[int, _Time]]:
        """The launches of an item: how many, and the time of each, given the encoded size of its weights if known."""
        index = number - walk.lowest
        stripe = walk.stripes[index]
        return [(n, self._launch(number, rows, stripe, size)) for rows, n in walk.launches[index].items()]

    def _whole(self, number: int, room: int) -> int:
        """Cycles of an item as it stands, where its weights may take so many bytes."""
        op = self.network.items[number].op
        if isinstance(op, CascadeOp):
            return 0
        if isinstance(op, KernelOp):
            height = nhwc(op.result)[0]
            time = self._launch(number, height, height)
            if time.buffered < time.in_place and room >= self._pair_bytes(number, op):
                # Slice by slice, each brought beside the kernel of the one before.
                return min(time.in_place, max(time.buffered, self._transfer(self._weight_bytes(number))))
            return time.in_place
        kernel = op.launch()
        places = places_of(op)
        block = op.block.data if op.block is not None else best_block(self.machine, self.setup, kernel, places)
        cost = kernel_cost(self.machine, self.setup, kernel, block, places)
        return launch_cycles(self.setup, cost.cycles, cost.fill_cycles)

    def _launch(self, number: int, rows: int, stripe: int, size: int | None = None) -> _Time:
        """
        The time of one launch of `rows` rows of a kernel whose launches have `stripe` rows as a rule. Weights are taken
        to be stored a byte a weight where their encoded size is not given.
        """
        key = (number, rows, stripe, size)
        if key not in self._times:
            op = self.network.items[number].op
            assert isinstance(op, KernelOp)
            try:
                block = self._block(number, op, stripe)
                kernel = self._kernel(number, op, rows)
                cost = kernel_cost(self.machine, self.setup, kernel, block, places_of(op), weight_bytes=size)
            except ValueError as error:
                raise OperationError(op, str(error)) from error
            fixed = cost.fill_cycles
            if not self.machine.reserved_end_banks and (size := self._table_bytes(number)):
                fixed += dma_cycles(self.setup.constants, None, size)
            self._times[key] = _Time(
                launch_cycles(self.setup, cost.cycles, fixed),
                launch_cycles(self.setup, self._buffered(cost), fixed),
                cost.cycles,
            )
        return self._times[key]

    def _buffered(self, cost: KernelCost) -> int:
        """Cycles of a launch if its weights came from the arena."""
        if not self.buffers_help:
            return cost.cycles
        return min(cost.cycles, cycles_with_weights_in(cost, self.setup.constants, self.setup.cache))

    def _transfer(self, size: int) -> int:
        return dma_cycles(self.setup.constants, self.setup.cache, size)

    def _weight_bytes(self, number: int) -> int:
        if number not in self._weights:
            op = self.network.items[number].op
            assert isinstance(op, KernelOp)
            self._weights[number] = weight_bytes(op, self.machine)
        return self._weights[number]

    def _pair_bytes(self, number: int, op: KernelOp) -> int:
        """Bytes of the smallest buffers that weights can pass through while they are used: two slices of a block."""
        height, _, depth = nhwc(op.result)
        whole = self._weight_bytes(number)
        return min(whole, rounded(2 * whole * self._block(number, op, height).depth // depth))

    def _kernel(self, number: int, op: KernelOp, rows: int) -> Kernel:
        """A launch of `rows` rows."""
        if (number, rows) not in self._kernels:
            self._kernels[number, rows] = self.network.form(op).usual(rows)
        return self._kernels[number, rows]

    def _block(self, number: int, op: KernelOp, rows: int) -> accelerators.Block:
        """The block for launches of so many rows: the one written, or the one that suits them."""
        if op.block is not None:
            return op.block.data
        key = (number, rows)
        if key not in self._blocks:
            launch = self._kernel(number, op, rows)
            whole = self.network.form(op).whole
            self._blocks[key] = suitable_block(whole, launch, self.machine, self.setup, places_of(op))
        return self._blocks[key]

    # -- cuts

    def least_peak(self) -> int:
        """The smallest number of bytes in which the network can run."""
        best: list[float] = [0]
        for segments in self.segments:
            # None ends within a cascade that is planned already.
            best.append(min((max(best[s.start], s.memory) for s in segments), default=inf))
        return int(best[-1])

    def first_missed(self, limit: int) -> int | None:
        """The first item that no cut within a limit gets past; None if one gets past all."""
        reached = [True]
        for segments in self.segments:
            reached.append(any(reached[s.start] and s.memory <= limit for s in segments))
        return None if reached[-1] else max(number for number, is_reached in enumerate(reached) if is_reached)

    def quickest(self, limit: int, buffers: bool = True) -> list[Segment]:
        """
        The segments, in order, of the cut with the fewest cycles whose peak is at most `limit`, where weights may take
        what is left of it if there are `buffers`.

        Of equals the one with the least sum of memory. PassFailedException if no cut keeps to the limit.
        """
        best: list[tuple[int, int] | None] = [(0, 0)]
        taken: list[Segment | None] = []
        for segments in self.segments:
            found: tuple[int, int] | None = None
            chosen: Segment | None = None
            for segment in segments:
                before = best[segment.start]
                if before is None or segment.memory > limit:
                    continue
                value = (before[0] + self.cycles(segment, limit if buffers else 0), before[1] + segment.memory)
                if found is None or value < found:
                    found, chosen = value, segment
            best.append(found)
            taken.append(chosen)
        cut: list[Segment] = []
        at = len(taken)
        while at:
            segment = taken[at - 1]
            if segment is None:
                least = self.least_peak()
                raise PassFailedException(f"the limit is {limit} bytes, the least for its kernels {least}")
            cut.append(segment)
            at = segment.start
        return cut[::-1]
