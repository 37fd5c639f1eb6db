"""
Placing live ranges in one memory: plain data in, addresses out.

Two ranges that are alive at the same time must not overlap in memory. No placement can be lower than the largest sum
of sizes alive at one time; `lower_bound` is that sum. The search first places ranges in the order of how crowded
their busiest moment is, then, while the top is above the bound, climbs: it gives ranges that hold up a highest one, or
live beside those, other turns in the order, and keeps what is no worse. The climb draws from a generator with a fixed
seed, so the same ranges get the same addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

ALIGNMENT = 16
"""Of every address, in bytes."""
TRIES = 5000
"""Orders tried while the result is above the lower bound; those that ever reach it mostly do in a few hundred."""


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
    from bisect import bisect_right

    return [
        max(total for _, total in curve[bisect_right(times, r.start) - 1 : bisect_right(times, r.end)]) for r in ranges
    ]


@dataclass
class _Placement:
    """
    Each range in turn at the lowest address that is free during its life.

    `below` has for each range the one it stands on (-1 for none); `heights` the end of the highest of the first ones in
    the order, for each number of them.
    """

    order: list[int]
    addresses: list[int]
    below: list[int]
    heights: list[int]

    @property
    def height(self) -> int:
        """The end of the highest."""
        return self.heights[-1]


class _Search:
    """The climb over orders of some ranges."""

    def __init__(self, ranges: Sequence[LiveRange]) -> None:
        self.sizes = [r.rounded for r in ranges]
        self.neighbours = _neighbours(ranges)
        crowding = _crowding(ranges)
        order = sorted(
            range(len(ranges)),
            key=lambda i: (-crowding[i], ranges[i].start - ranges[i].end, ranges[i].start, -ranges[i].size, i),
        )
        none = [-1] * len(ranges)
        first = self._place(_Placement([], none, none, [0]), order, 0, sum(self.sizes))
        assert first is not None
        self.best = first

    def climb(self, bound: int, tries: int) -> None:
        """Tries so many other orders while the height is above the bound."""
        random = Random(0)
        tops = self._tops()
        near: dict[int, list[int]] = {}  # by the highest range, while the placement stays
        for _ in range(tries):
            if self.best.height <= bound:
                return
            top = _draw(random, tops)
            if top not in near:
                near[top] = self._holding_up(top)
            order, kept = _reorder(self.best.order, near[top], random)
            better = self._place(self.best, order, kept, self.best.height)
            if better is not None:
                self.best = better
                tops = self._tops()
                near.clear()

    def _place(self, before: _Placement, order: list[int], kept: int, most: int) -> _Placement | None:
        """The placement of an order whose first `kept` ranges are those of `before`; None if it is above `most`."""
        sizes, neighbours = self.sizes, self.neighbours
        addresses, below, heights = [-1] * len(sizes), before.below.copy(), before.heights[: kept + 1]
        for i in order[:kept]:
            addresses[i] = before.addresses[i]
        height = heights[-1]
        for i in order[kept:]:
            size = sizes[i]
            taken = [(addresses[j], j) for j in neighbours[i] if addresses[j] >= 0]
            taken.sort()
            at, support = 0, -1
            for start, j in taken:
                if start - at >= size:
                    break
                top = start + sizes[j]
                if top > at:
                    at, support = top, j
            addresses[i], below[i] = at, support
            if at + size > height:
                height = at + size
                if height > most:
                    return None
            heights.append(height)
        return _Placement(order, addresses, below, heights)

    def _tops(self) -> list[int]:
        """The ranges that end highest."""
        return [
            i
            for i, (at, size) in enumerate(zip(self.best.addresses, self.sizes, strict=True))
            if at + size == self.best.height
        ]

    def _holding_up(self, top: int) -> list[int]:
        """The ranges that one stands on, down to the ground, itself, and all that live beside them."""
        near: set[int] = set()
        while top >= 0:
            near |= {top, *self.neighbours[top]}
            top = self.best.below[top]
        return sorted(near)


def allocate(ranges: Sequence[LiveRange], tries: int = TRIES) -> Allocation:
    """Addresses for all ranges; `height` is the end of the highest. Tries so many orders to reach the bound."""
    return _allocate(tuple(ranges), tries)


@lru_cache(maxsize=2)  # one pass asks whether all fit, another where they lie
def _allocate(ranges: tuple[LiveRange, ...], tries: int) -> Allocation:
    if not ranges:
        return Allocation((), 0, 0)
    bound = lower_bound(ranges)
    search = _Search(ranges)
    search.climb(bound, tries)
    return Allocation(tuple(search.best.addresses), search.best.height, bound)


def _draw(random: Random, choices: Sequence[int]) -> int:
    # Not `choice`, of which Python does not promise that it draws the same in every version.
    return choices[int(random.random() * len(choices))]


def _reorder(order: Sequence[int], near: Sequence[int], random: Random) -> tuple[list[int], int]:
    """
    The order with one of some ranges moved to the turn of another range, or the two exchanged; and how many at the
    beginning of it have stayed.
    """
    candidate = list(order)
    start = candidate.index(_draw(random, near))
    end = candidate.index(_draw(random, near if random.random() < 0.7 else order))
    if random.random() < 0.5:
        candidate[start], candidate[end] = candidate[end], candidate[start]
    else:
        candidate.insert(end, candidate.pop(start))
    return candidate, min(start, end)
