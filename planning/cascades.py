"""
What a region would need in memory and time with its kernels cut into cascades in one way or another.

A `Planner` values *segments* of a `Network`, runs of consecutive kernels that form one cascade or a single kernel that
runs whole, and finds the best way to cut the whole network into segments:

- memory of a segment: what lives across it, what it reads and leaves behind, and its rolling buffers, exact by
  `npuc.dialects.stripes`. The rows alive in a rolling buffer depend on the kernels behind it only, so one walk that
  ends at kernel j values all segments that end there;
- time of a segment: the sum over its launches, each as a work of `npuc.planning.tasks` has it, and the time to fill and
  drain that stripes pay again and again. Weights, as they are encoded, are read anew by each launch, but for those that
  are worth a buffer and find room in what the segment leaves of the limit.

Both are sums or maxima over segments, so the best cut is found by dynamic programming over the kernel at which the last
segment starts: least peak (`least_peak`), or least time of all cuts whose segments stay below a limit (`quickest`).
A larger limit only adds segments and buffers to choose from, so that more memory never makes a plan slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.allocation import Rule
from npuc.analysis.machine import UNLIMITED
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import CascadeOp, KernelOp, nhwc
from npuc.dialects.stripes import Counted, Input, Launch, Reach, Stage, count, unroll
from npuc.hardware.accelerators import TABLE_BYTES
from npuc.hardware.cycles import Places, dma_cycles, launch_cycles
from npuc.hardware.memory import Area
from npuc.planning.directions import Directions, Part, directions
from npuc.planning.network import Item, Network, rounded
from npuc.planning.overlaps import Ending, Overlaps, mirrored
from npuc.planning.residency import NOTHING, Resident, best_within, extended
from npuc.planning.tasks import Work, Works

NEVER = 1 << 62
"""Cycles that stand for none at all."""
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
    over: int = -1
    """The tensor that its result lies over as far as launches allow it; -1 for none."""


class Choice(NamedTuple):
    """A stripe height for each kernel of a cascade, and the rows that its OFM then needs in a rolling buffer."""

    stripes: list[int]
    rolling: list[int | None]
    """None for what leaves the cascade."""


@dataclass
class _Walk:
    """What all segments have in common that end with one item in launches of so many rows."""

    lowest: int
    """The first item of the longest of them."""
    stripes: list[int]
    launches: list[dict[int, int]]
    """For each item how often it is launched with how many rows."""
    moves: dict[int, SSAValue]
    """By its item what lives in a rolling buffer in another memory than where it lies whole."""
    measured: int
    """The first item whose weights have been measured."""
    cycles: list[int]
    """Of the segments of 1, 2, ... items, as far as somebody has asked, with all weights read in place."""
    gains: list[tuple[int, int]]
    """Of their items, the last first: what is gained if its weights stay in a buffer, and by all so far together."""
    residents: list[Sequence[Resident]]
    """Of the same segments, which weights could be kept in buffers."""


class _Ends:
    """
    The segments that end with one item, as columns. What they take is between `least`, all their weights in buffers,
    and `most`, none of them; both are known for those of `is_known`.
    """

    def __init__(self, segments: Sequence[Segment]):
        self.start = np.array([one.start for one in segments], np.int64)
        self.memory = np.array([one.memory for one in segments], np.int64)
        self.is_over = np.array([one.over >= 0 for one in segments], np.bool_)
        self.least = np.zeros(len(segments), np.int64)
        self.most = np.zeros(len(segments), np.int64)
        self.is_known = np.zeros(len(segments), np.bool_)


def heights(height: int) -> list[int]:
    """Stripe heights that are tried for a last OFM of so many rows: powers of two, and half."""
    found = {1 << power for power in range(height.bit_length()) if 1 << power < height}
    return sorted(found | {-(-height // 2)}) if height > 1 else []


def scaled(rows: int, reach: Reach) -> int:
    """Rows of an IFM that `rows` more rows of the OFM call for."""
    return max(1, -(-rows * reach.stride // reach.up))


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
    reads = [Input(producer, op.reach(value)) for value in op.feature_maps for producer in network.producers(value)]
    return _Shape(nhwc(op.result)[0], op.stripe.data[0] if op.stripe is not None else 0, reads)


class _Cut(NamedTuple):
    """The stages of a segment."""

    stages: list[Stage]
    counted: Counted
    alive: list[int]
    """The rows of each that are alive at one time; the same for those that lie in one rolling buffer."""
    rolling: list[int | None]
    """Bytes of the rolling buffer that the OFM of each is the first to write to; None where it is whole."""
    torn: frozenset[int]
    """Items with which no segment begins: another one writes earlier to the same rolling buffer."""


def _higher(alive: Sequence[int], stages: Sequence[Stage]) -> list[int]:
    """The rows of rolling buffers that are enough for a cascade in either direction; `alive` are those of one."""
    other = mirrored(stages)
    return list(alive) if other is None else [max(pair) for pair in zip(alive, count(other).alive, strict=True)]


class Planner:
    """Values segments of a network on a machine and finds the best cuts."""

    def __init__(self, network: Network, works: Works, like: Planner | None = None):
        """`like`: a planner of the same items whose values lay in other memories; it knows how they can be cut."""
        self.network = network
        self.works = works
        self.machine, self.setup = works.machine, works.setup
        self._near: Area = AREAS[network.space]
        self.buffers_help = self.setup.memory(self._near).bytes_per_cycle > self.setup.constants.bytes_per_cycle
        self._times: dict[tuple[Work, int, bool], int] = {}
        """Cycles of launches of works by their rows, and whether their weights come from a buffer."""
        self._measured = set[int]()
        """Items whose weights have been measured as they stand."""
        self._measured_limit = -1
        """The weights of all segments that keep to it have been measured."""
        self._cut: dict[tuple[int, int], _Cut] = {} if like is None else like._cut
        """The longest segment that ends with an item in launches of so many rows."""
        self._either: dict[tuple[int, int], list[int]] = {} if like is None else like._either
        """The rows that are alive at one time of each item of the same segment, whichever direction it walks in."""
        self._places = [Places() if isinstance(item.op, CascadeOp) else works.places(item.op) for item in network.items]
        self._shapes = [_shape(item, network) for item in network.items] if like is None else like._shapes
        self._walks: dict[tuple[int, int], _Walk] = {}
        written = [network.tensors[item.writes[0]] for item in network.items]
        self._whole_bytes = [one.size if one.first == number else 0 for number, one in enumerate(written)]
        """What the OFM of each item takes where it is whole."""
        brought = ([network.tensors[one] for one in item.brings] for item in network.items)
        self._brought = [sum(t.size for t in new if t.first == number) for number, new in enumerate(brought)]
        """Bytes that are brought right before each item."""
        self.overlaps = Overlaps(network, None if like is None else like.overlaps)
        self._endings: dict[int, Ending] = {}
        """By the item that segments end with, what they may lie over."""
        self.pinned = self._pinned()
        self.segments: list[list[Segment]] = [[] for _ in network.items]
        """Segments by the item that they end with."""
        for stop in range(len(network.items)):
            self.segments[stop] = self._ending(stop)
        self._ends = [_Ends(segments) for segments in self.segments]

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
        """All segments whose last item is `stop`; one of a single item that is cut lies over an operand."""
        network = self.network
        found: list[Segment] = []
        if stop not in self.pinned:
            found.append(Segment(stop, stop, 0, network.alone(stop)))
        if stop in self.pinned and self.pinned[stop][1] != stop:
            return found
        if not self._may_be_cut(stop):
            return found if stop not in self.pinned else self._refuse(stop)
        lowest = self._lowest(stop)
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
            "that read each other's results as they are, or one whose result can lie over an operand",
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
            for tensor in (self.network.tensors[index] for index in item.views):
                if tensor.last > stop:
                    # It would be needed whole, and views of it inside.
                    barrier = max(barrier, 1 + max(one for one in tensor.writers if one < number))
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
        if segment.over >= 0:
            alive = _higher(alive, stages)
        alive = self._together(alive, segment.start, segment.stop)
        rolling = [
            None if stage.leaves or index == len(stages) - 1 else rows
            for index, (stage, rows) in enumerate(zip(stages, alive, strict=True))
        ]
        return Choice([stage.stripe for stage in stages], rolling)

    def directions(self, cut: Sequence[Segment], limit: int) -> Directions:
        """Which segments of a cut walk upwards so that all of it fits in `limit` bytes, and the bytes that it takes."""
        return directions(self.network, [self._part(segment) for segment in cut], limit)

    def _part(self, segment: Segment) -> Part:
        """What a segment needs in memory while it runs."""
        start, stop, rows = segment[:3]
        items, tensors = self.network.items[start : stop + 1], self.network.tensors
        if not rows:
            return Part(start, stop, frozenset(), (), None, None)
        choice = self.choice(segment)
        inside: list[int] = []
        buffers: list[int] = []
        for item, height in zip(items, choice.rolling, strict=True):
            if height is not None and item.writes[0] not in inside:
                tensor = tensors[item.writes[0]]
                pinned = item.op.rolling.data[0] if isinstance(item.op, KernelOp) and item.op.rolling is not None else 0
                inside.append(item.writes[0])
                buffers.append(rounded(max(pinned, height) * tensor.row))
        rules = self.rules(segment)
        pinned = start in self.pinned and any(isinstance(i.op, KernelOp) and i.op.upwards is not None for i in items)
        return Part(start, stop, frozenset(inside), buffers, rules, True if pinned else None)

    def rules(self, segment: Segment) -> tuple[Rule, Rule] | None:
        """How a result may lie over an operand: if a segment walks downwards, and upwards; None if it does not."""
        start, stop, rows, _, over = segment
        if over < 0:
            return None
        leaving = [one is None for one in self.choice(segment).rolling]
        return self.overlaps.rules(start, stop, rows, leaving, over)

    def _together(self, alive: Sequence[int], start: int, stop: int) -> list[int]:
        """The rows of rolling buffers, those the same that lie in one: `alive` are those of each item by itself."""
        items = self.network.items[start : stop + 1]
        most: dict[int, int] = {}
        for item, rows in zip(items, alive, strict=True):
            most[item.writes[0]] = max(rows, most.get(item.writes[0], 0))
        return [most[item.writes[0]] for item in items]

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
        if (stop, rows) not in self._cut:
            self._cut[stop, rows] = self._longest(lowest, stop, rows)
        stages, (launches, _), alive, rolling, torn = self._cut[stop, rows]
        moves: dict[int, SSAValue] = {}
        for number, stage in enumerate(stages[:-1], lowest):
            if not stage.leaves and self._places[number].ofm != self._near:
                (moves[number],) = network.items[number].op.results
        stripes = [stage.stripe for stage in stages]
        self._walks[stop, rows] = _Walk(lowest, stripes, launches, moves, stop + 1, [], [], [])
        if stop not in self._endings:
            self._endings[stop] = self.overlaps.ending(lowest, stop, [stage.leaves for stage in stages])
        overlaps = self._endings[stop].in_launches_of(rows)
        overlaps += [None] * (stop - lowest + 1 - len(overlaps))
        either = alive
        if any(overlaps):
            if (stop, rows) not in self._either:
                self._either[stop, rows] = self._together(_higher(alive, stages), lowest, stop)
            either = self._either[stop, rows]
        found: list[Segment] = []
        buffers = more = 0
        """Of one that walks downwards, and how much more of one that may walk in either direction."""
        for number in range(stop, lowest - 1, -1):
            rolls = rolling[number - lowest]
            buffers += self._brought[number] + (self._whole_bytes[number] if rolls is None else rolls)
            if rolls:
                more += self._rolling(number, either[number - lowest]) - rolls
            memory, overlap = network.before[number] + buffers, overlaps[stop - number]
            if number in torn:
                continue
            if number < stop:
                found.append(Segment(number, stop, rows, memory))
            if overlap is not None and more < overlap.saved:
                found.append(Segment(number, stop, rows, memory + more - overlap.saved, overlap.tensor))
        return found

    def _longest(self, lowest: int, stop: int, rows: int) -> _Cut:
        """The segment of items `lowest` to `stop`; nothing of it depends on where values lie."""
        stages = self._stages(lowest, stop, rows)
        counted = count(tuple(stages))
        alive = self._together(counted.alive, lowest, stop)
        rolling: list[int | None] = []
        torn = set[int]()
        for number, (stage, high) in enumerate(zip(stages, alive, strict=True), lowest):
            first = self.network.tensors[self.network.items[number].writes[0]].first
            if stage.leaves:
                rolling.append(None)
                continue
            rolling.append(self._rolling(number, high) if first == number else 0)
            torn.update(range(first + 1, number + 1))
        return _Cut(stages, counted, alive, rolling, frozenset(torn))

    def _rolling(self, number: int, rows: int) -> int:
        """Bytes of the rolling buffer of what an item writes, for so many rows or those that are pinned."""
        op = self.network.items[number].op
        pinned = op.rolling.data[0] if isinstance(op, KernelOp) and op.rolling is not None else 0
        return rounded(max(pinned, rows) * self.network.tensors[self.network.items[number].writes[0]].row)

    # -- time

    def cycles(self, segment: Segment, limit: int = 0, most: float = inf) -> int:
        """
        Estimated cycles of a segment whose weights may take what it leaves of `limit`; by default nothing is left.
        Where it certainly takes more than `most`, some number above that.
        """
        room = limit - segment.memory
        if not segment.rows:
            return self._whole(segment.start, room)
        walk = self._walks[segment.stop, segment.rows]
        length = segment.stop - segment.start
        least, without = self._between(segment)
        if room <= 0 or not self.buffers_help:
            return without
        if least > most:
            return least
        while len(walk.residents) <= length:
            self._add_resident(walk, segment.stop)
        return without - best_within(walk.residents[length], room).gain

    def _between(self, segment: Segment) -> tuple[int, int]:
        """Estimated cycles of a segment with all weights in buffers that gain by it, and with none."""
        if not segment.rows:
            without = self._whole(segment.start, 0)
            return min(without, self._whole(segment.start, UNLIMITED)), without
        walk = self._walks[segment.stop, segment.rows]
        length = segment.stop - segment.start
        while len(walk.cycles) <= length:
            self._lengthen(walk, segment.stop)
        without = walk.cycles[length]
        if not self.buffers_help:
            return without, without
        while len(walk.gains) <= length:
            self._add_gain(walk, segment.stop)
        return without - walk.gains[length][1], without

    def _lengthen(self, walk: _Walk, stop: int) -> None:
        """Add the time of the item before those that have been asked for."""
        number = stop - len(walk.cycles)
        cycles = self._cycles_of(walk, number, number) + (walk.cycles[-1] if walk.cycles else 0)
        if number in walk.moves:
            # Those that read it find it in a rolling buffer now.
            for reader in range(number + 1, stop + 1):
                if any(one.producer == number for one in self._shapes[reader].reads):
                    cycles += self._cycles_of(walk, reader, number) - self._cycles_of(walk, reader, number + 1)
        walk.cycles.append(cycles)

    def _add_gain(self, walk: _Walk, stop: int) -> None:
        """Add what the item before those that have been asked for gains by weights that stay in a buffer."""
        number = stop - len(walk.gains)
        work = self._work(walk, number, walk.lowest)
        gain = 0
        if work.weighted:
            launches = walk.launches[number - walk.lowest].items()
            gain = sum(n * (self._launch(work, rows) - self._launch(work, rows, True)) for rows, n in launches)
            if gain > 0:
                gain -= self._transfer(work.size)
        together = walk.gains[-1][1] if walk.gains else 0
        walk.gains.append((gain, together + max(0, gain)))

    def _add_resident(self, walk: _Walk, stop: int) -> None:
        """Add the weights of the item before those that have been asked for to what may stay in buffers."""
        number = stop - len(walk.residents)
        front = walk.residents[-1] if walk.residents else NOTHING
        gain, _ = walk.gains[len(walk.residents)]
        if gain > 0:
            front = extended(front, number, self._work(walk, number, walk.lowest).size, gain)
        walk.residents.append(front)

    def _cycles_of(self, walk: _Walk, number: int, start: int) -> int:
        """All launches of an item in the segment that begins with item `start`, its weights in place."""
        work = self._work(walk, number, start)
        return sum(n * self._launch(work, rows) for rows, n in walk.launches[number - walk.lowest].items())

    def _work(self, walk: _Walk, number: int, start: int) -> Work:
        """An item in the segment that begins with item `start`."""
        op = self.network.items[number].op
        assert isinstance(op, KernelOp)
        places = self._places[number]
        if walk.moves:
            places = self.works.places_within(op, {value for one, value in walk.moves.items() if one >= start})
        return self.works.work(op, walk.stripes[number - walk.lowest], places=places)

    def _whole(self, number: int, room: int) -> int:
        """Cycles of an item as it stands, where its weights may take so many bytes."""
        work = self._alone(number)
        if work is None:
            return 0
        in_place = self._launch(work, work.height)
        if not work.weighted or not self.buffers_help or room < self._pair_bytes(work):
            return in_place
        # Slice by slice, each brought beside the kernel of the one before.
        return min(in_place, max(self._launch(work, work.height, True), self._transfer(work.size)))

    def _alone(self, number: int) -> Work | None:
        """An item as it stands; None for a formed cascade, which nothing is decided about."""
        op = self.network.items[number].op
        return None if isinstance(op, CascadeOp) else self.works.work(op, nhwc(op.result)[0])

    def _launch(self, work: Work, rows: int, buffered: bool = False) -> int:
        """Cycles of a launch of so many rows that overlaps no neighbour, its weights in place or in a buffer."""
        key = (work, rows, buffered)
        if key not in self._times:
            cost = work.usual_cost(rows=rows)
            if buffered and cost.cycles > cost.compute_cycles:
                cost = min(cost, work.usual_cost(area=self._near, rows=rows), key=lambda one: one.cycles)
            fixed = cost.fill_cycles
            if not self.machine.reserved_end_banks and work.table is not None:
                fixed += dma_cycles(self.setup.constants, None, work.table_bytes)
            self._times[key] = launch_cycles(self.setup, cost.cycles, fixed)
        return self._times[key]

    def _transfer(self, size: int) -> int:
        return dma_cycles(self.setup.constants, self.setup.memory(self._near), size)

    def _pair_bytes(self, work: Work) -> int:
        """Bytes of the smallest buffers that weights can pass through while they are used: two slices of a block."""
        return min(work.size, rounded(2 * work.size * work.block.depth // work.depth))

    def _measure(self, limit: int) -> None:
        """Find out, all at once, what the weights take in the segments that keep to a limit."""
        if limit <= self._measured_limit:
            return
        self._measured_limit = limit
        works: list[Work | None] = []
        for stop, segments in enumerate(self.segments):
            for segment in segments:
                if segment.memory > limit:
                    continue
                if not segment.rows:
                    if stop not in self._measured:
                        self._measured.add(stop)
                        works.append(self._alone(stop))
                    continue
                walk = self._walks[stop, segment.rows]
                while walk.measured > segment.start:
                    walk.measured -= 1
                    works.append(self._work(walk, walk.measured, walk.measured))
                    if walk.moves:
                        works.append(self._work(walk, walk.measured, walk.lowest))
        self.works.measure(work for work in works if work is not None)

    # -- cuts

    def least_peak(self) -> int:
        """The smallest number of bytes in which the network can run."""
        best = np.full(len(self.segments) + 1, NEVER)
        best[0] = 0
        for number, ends in enumerate(self._ends, 1):
            # None ends within a cascade that is planned already.
            best[number] = np.maximum(best[ends.start], ends.memory).min(initial=NEVER)
        return int(best[-1])

    def first_missed(self, limit: int) -> int | None:
        """The first item that no cut within a limit gets past; None if one gets past all."""
        reached = [True]
        for segments in self.segments:
            reached.append(any(reached[s.start] and s.memory <= limit for s in segments))
        return None if reached[-1] else max(number for number, is_reached in enumerate(reached) if is_reached)

    def _promising(self, stop: int, before: NDArray[np.int64], limit: int, buffers: bool, overlaps: bool) -> list[int]:
        """
        The segments, by their number, that end with item `stop` and keep to a limit, but for those of which a bound
        says that another one is quicker. `before`: the cycles of the best cut before each item, or `NEVER`.
        """
        ends = self._ends[stop]
        first = before[ends.start]
        fits = (ends.memory <= limit) & (first < NEVER)
        if not overlaps:
            fits &= ~ends.is_over
        (numbers,) = fits.nonzero()
        if len(numbers) < 2:
            return numbers.tolist()
        for number in numbers[~ends.is_known[numbers]].tolist():
            ends.least[number], ends.most[number] = self._between(self.segments[stop][number])
            ends.is_known[number] = True
        most = first[numbers] + ends.most[numbers]
        quickest = int(most.argmin())
        if not buffers:
            return numbers[most == most[quickest]].tolist()
        segment = self.segments[stop][numbers[quickest]]
        enough = first[numbers[quickest]] + self.cycles(segment, limit)
        return numbers[first[numbers] + ends.least[numbers] <= enough].tolist()

    def quickest(self, limit: int, buffers: bool = True, overlaps: bool = True) -> list[Segment]:
        """
        The segments, in order, of the cut with the fewest cycles whose peak is at most `limit`, where weights may take
        what is left of it if there are `buffers`, and results may lie over operands if there are `overlaps`.

        Of equals the one with the fewest results that lie over operands, of these the one with the least sum of memory.
        PassFailedException if no cut keeps to the limit.
        """
        self._measure(limit)
        buffered = limit if buffers and self.buffers_help else 0
        best: list[tuple[int, int, int] | None] = [(0, 0, 0)]
        before = np.full(len(self.segments) + 1, NEVER)
        before[0] = 0
        taken: list[Segment | None] = []
        for stop, segments in enumerate(self.segments):
            found: tuple[int, int, int] | None = None
            chosen: Segment | None = None
            for number in self._promising(stop, before, limit, buffered > 0, overlaps):
                segment = segments[number]
                first = best[segment.start]
                assert first is not None
                most = inf if found is None else found[0] - first[0]
                cycles = self.cycles(segment, buffered, most)
                value = (first[0] + cycles, first[1] + (segment.over >= 0), first[2] + segment.memory)
                if found is None or value < found:
                    found, chosen = value, segment
            best.append(found)
            if found is not None:
                before[stop + 1] = found[0]
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
