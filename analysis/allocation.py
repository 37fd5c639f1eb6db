"""
Placing live ranges in one memory: plain data in, addresses out.

Two ranges that are alive at the same time must not overlap in memory. No placement can be lower than the largest sum
of sizes alive at one time; `lower_bound` is that sum. A placement follows from an order: each range in turn takes the
lowest address that is free during its life. The search first tries a few orders that follow from the ranges, by how
crowded their busiest moment is, by size, by length; mostly one of them reaches the bound. While none does, it climbs:
it gives ranges that hold up a highest one other turns in the order, and keeps what is no worse. Where that has not
helped for a while it climbs from the next of the first orders, since where a climb ends is luck. It draws from a
generator with a fixed seed, so the same ranges get the same addresses.

Where a short climb has not helped, orders that fill the memory from below are tried as well. These reach the
bound more often, but use memory again as soon as it is free, so that launches wait for each other more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from itertools import cycle
from operator import add
from random import Random

ALIGNMENT = 16
"""Of every address, in bytes."""
TRIES = 10_000
"""Orders tried while the result is above the lower bound; those that ever reach it mostly do in a few hundred."""
FEW = 150
"""Orders tried before those that fill the memory from below."""
PATIENCE = 300
"""Orders that a climb tries without getting lower before another climb begins."""


@dataclass(frozen=True)
class LiveRange:
    """`size` bytes that are needed from time `start` to time `end`, both included."""

    start: int
    end: int
    size: int

    @property
    def rounded(self) -> int:
        """Size rounded up to the alignment."""
        return -(-self.size // ALIGNMENT) * ALIGNMENT

    def meets(self, other: LiveRange) -> bool:
        """Whether both are alive at some time."""
        return self.start <= other.end and other.start <= self.end


@dataclass(frozen=True)
class Allocation:
    """An address for each live range, the bytes used in all, and the bytes that no placement can do without."""

    addresses: tuple[int, ...]
    height: int
    bound: int


def lower_bound(ranges: Sequence[LiveRange]) -> int:
    """The largest sum of rounded sizes alive at one time."""
    return max((total for _, total in usage(ranges)), default=0)


def usage(ranges: Sequence[LiveRange]) -> list[tuple[int, int]]:
    """Bytes alive from each time at which that changes: (time, bytes), in order of time."""
    steps: dict[int, int] = {}
    for r in ranges:
        steps[r.start] = steps.get(r.start, 0) + r.rounded
        steps[r.end + 1] = steps.get(r.end + 1, 0) - r.rounded
    total = 0
    curve: list[tuple[int, int]] = []
    for time in sorted(steps):
        total += steps[time]
        curve.append((time, total))
    return curve


def _neighbours(ranges: Sequence[LiveRange]) -> list[list[int]]:
    """For each range, the indices of those alive at the same time as it."""
    order = sorted(range(len(ranges)), key=lambda i: ranges[i].start)
    found: list[list[int]] = [[] for _ in ranges]
    alive: list[int] = []
    for i in order:
        alive = [j for j in alive if ranges[j].end >= ranges[i].start]
        for j in alive:
            found[i].append(j)
            found[j].append(i)
        alive.append(i)
    return found


def _crowding(ranges: Sequence[LiveRange]) -> list[int]:
    """For each range, the most bytes alive at one time during its life."""
    curve = usage(ranges)
    times = [time for time, _ in curve]
    return [
        max(total for _, total in curve[bisect_right(times, r.start) - 1 : bisect_right(times, r.end)]) for r in ranges
    ]


@dataclass
class _Placement:
    """
    Each range in turn at the lowest address that is free during its life.

    `turns` has for each range its place in the order, `below` the range it stands on (-1 for none), `height` is the end
    of the highest.
    """

    order: list[int]
    turns: list[int]
    addresses: list[int]
    below: list[int]
    height: int


class _Search:
    """The climbs over orders of some ranges; `best` is the lowest placement of all."""

    def __init__(self, ranges: Sequence[LiveRange], bound: int) -> None:
        self.sizes = [r.rounded for r in ranges]
        self.neighbours = _neighbours(ranges)
        self.bound = bound
        self.tries = 0
        self.random = Random(0)
        self.starts: list[_Placement] = []
        self._start(_orders(ranges))
        self.best = self.starts[0]
        self.filling = _filling_orders(ranges, self.neighbours)

    def climb(self, tries: int) -> None:
        """Tries so many other orders while the height is above the bound."""
        self._climb(min(tries, FEW))
        if self.best.height > self.bound and self.tries < tries:
            self._start(self.filling)
            self.best = min(self.best, self.starts[0], key=lambda placement: placement.height)
            self._climb(tries)

    def _start(self, orders: Iterable[list[int]]) -> None:
        """Adds the placements of some orders, up to the first that reaches the bound, to those to climb from."""
        for order in orders:
            self.starts.append(self._place(order))
            if self.starts[-1].height <= self.bound:
                break
        self.starts.sort(key=lambda placement: placement.height)

    def _climb(self, tries: int) -> None:
        for start in cycle(self.starts):
            if self.best.height <= self.bound or self.tries >= tries:
                return
            end = self._climb_from(start, tries)
            if end.height < self.best.height:
                self.best = end

    def _climb_from(self, current: _Placement, tries: int) -> _Placement:
        """Where one climb ends."""
        patience = PATIENCE
        while current.height > self.bound and self.tries < tries and patience:
            tops = [
                i
                for i, (at, size) in enumerate(zip(current.addresses, self.sizes, strict=True))
                if at + size == current.height
            ]
            better: _Placement | None = None
            while better is None and self.tries < tries and patience:
                self.tries += 1
                patience -= 1
                better = self._with_other_order(current, _draw(self.random, tops))
            if better is not None:
                if better.height < current.height:
                    patience = PATIENCE
                current = better
        return current

    def _with_other_order(self, current: _Placement, top: int) -> _Placement | None:
        """
        The placement of an order that may lower a range that ends highest; None if it is higher than the current one.

        Mostly that range, or one that it stands on, gets its turn before one that lives beside it. Now and then any of
        these ranges and those beside them takes the turn of another, or any two are exchanged.
        """
        random, turns = self.random, current.turns
        pile = [top]
        while current.below[pile[-1]] >= 0:
            pile.append(current.below[pile[-1]])
        if random.random() < 0.8:
            moved = top if random.random() < 0.5 else _draw(random, pile)
            start = turns[moved]
            earlier = [turns[i] for i in self.neighbours[moved] if turns[i] < start]
            return self._changed(current, start, _draw(random, earlier) if earlier else 0, False)
        near = sorted({i for member in pile for i in (member, *self.neighbours[member])})
        start = turns[_draw(random, near)]
        end = turns[_draw(random, near if random.random() < 0.7 else current.order)]
        return self._changed(current, start, end, random.random() < 0.5)

    def _changed(self, current: _Placement, start: int, end: int, exchange: bool) -> _Placement | None:
        """
        The placement with the range of turn `start` at turn `end`, and the other way round for an exchange; None if it
        is higher than the current one.

        Only those ranges find another address before which other neighbours are placed now, or the same ones elsewhere.
        """
        order, turns = current.order.copy(), current.turns.copy()
        moved = [order[start]]
        if exchange:
            moved.append(order[end])
            order[start], order[end] = order[end], order[start]
        else:
            order.insert(end, order.pop(start))
        first, last = min(start, end), max(start, end)
        for turn in range(first, last + 1):
            turns[order[turn]] = turn
        asked = bytearray(len(order))
        for i in moved:
            asked[i] = 1
            for j in self.neighbours[i]:
                if first <= turns[j] <= last:
                    asked[j] = 1
        addresses, below = current.addresses.copy(), current.below.copy()
        for i in order[first:]:
            if not asked[i]:
                continue
            at, below[i] = self._lowest(i, turns, addresses)
            if at != addresses[i]:
                if at + self.sizes[i] > current.height:
                    return None
                addresses[i] = at
                turn = turns[i]
                for j in self.neighbours[i]:
                    if turns[j] > turn:
                        asked[j] = 1
        return _Placement(order, turns, addresses, below, self._height(addresses))

    def _place(self, order: list[int]) -> _Placement:
        """The placement of an order."""
        turns, addresses, below = [0] * len(order), [0] * len(order), [-1] * len(order)
        for turn, i in enumerate(order):
            turns[i] = turn
        for i in order:
            addresses[i], below[i] = self._lowest(i, turns, addresses)
        return _Placement(order, turns, addresses, below, self._height(addresses))

    def _lowest(self, i: int, turns: list[int], addresses: list[int]) -> tuple[int, int]:
        """The lowest address that is free during the life of a range, and the range below it, -1 for none."""
        sizes, turn = self.sizes, turns[i]
        size, at, support = sizes[i], 0, -1
        for start, j in sorted([(addresses[j], j) for j in self.neighbours[i] if turns[j] < turn]):
            if start - at >= size:
                break
            top = start + sizes[j]
            if top > at:
                at, support = top, j
        return at, support

    def _height(self, addresses: list[int]) -> int:
        """The end of the highest range."""
        return max(map(add, addresses, self.sizes))


def _orders(ranges: Sequence[LiveRange]) -> Iterator[list[int]]:
    """Orders to begin with."""
    crowding = _crowding(ranges)
    length = [r.end - r.start + 1 for r in ranges]
    size = [r.rounded for r in ranges]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-crowding[i], -length[i], ranges[i].start, -size[i]),
        lambda i: (-size[i], ranges[i].start),
        lambda i: (-crowding[i], -size[i]),
        lambda i: (ranges[i].start, -size[i]),
        lambda i: (-length[i], -size[i]),
        lambda i: (-length[i] * size[i],),
    )
    for key in keys:
        yield sorted(range(len(ranges)), key=key)


def _filling_orders(ranges: Sequence[LiveRange], neighbours: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Orders that fill the memory from below, each time by the range that can lie lowest on those before it."""
    crowding = _crowding(ranges)
    length = [r.end - r.start + 1 for r in ranges]
    size = [r.rounded for r in ranges]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-length[i] * size[i],),
        lambda i: (-crowding[i], -length[i], -size[i]),
        lambda i: (ranges[i].start, -size[i]),
    )
    for key in keys:
        lowest = [0] * len(ranges)
        waiting = [(0, key(i), i) for i in range(len(ranges))]
        heapify(waiting)
        order: list[int] = []
        while waiting:
            at, rank, i = waiting[0]
            if at < lowest[i]:  # others have been placed below it since
                heapreplace(waiting, (lowest[i], rank, i))
                continue
            heappop(waiting)
            order.append(i)
            top = at + size[i]
            for j in neighbours[i]:
                if lowest[j] < top:
                    lowest[j] = top
        yield order


def allocate(ranges: Sequence[LiveRange], tries: int = TRIES) -> Allocation:
    """Addresses for all ranges; `height` is the end of the highest. Tries so many orders to reach the bound."""
    return _allocate(tuple(ranges), tries)


@lru_cache(maxsize=2)  # one pass asks whether all fit, another where they lie
def _allocate(ranges: tuple[LiveRange, ...], tries: int) -> Allocation:
    if not ranges:
        return Allocation((), 0, 0)
    bound = lower_bound(ranges)
    search = _Search(ranges, bound)
    search.climb(tries)
    return Allocation(tuple(search.best.addresses), search.best.height, bound)


def _draw(random: Random, choices: Sequence[int]) -> int:
    # Not `choice`, of which Python does not promise that it draws the same in every version.
    return choices[int(random.random() * len(choices))]
