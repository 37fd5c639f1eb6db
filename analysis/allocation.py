"""
Placing live ranges in one memory: plain data in, addresses out.

Two ranges that are alive at the same time must not overlap in memory. No placement can be lower than the largest sum
of sizes alive at one time; `lower_bound` is that sum. The search first places ranges in the order of how crowded
their busiest moment is, then, while the top is above the bound, moves the ranges that hold up the highest one
to the front of the order. It is deterministic: no randomness, same ranges, same addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 16
"""Of every address, in bytes."""
ROUNDS = 400
"""Reorderings tried while the result is above the lower bound."""


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


def _place(
    ranges: Sequence[LiveRange], order: Sequence[int], neighbours: Sequence[Sequence[int]], best: int
) -> tuple[list[int], list[int], int]:
    """
    Each range in turn at the lowest address that is free during its life: addresses, for each range the one it
    stands on (-1 for none), and the height. Gives up, with a height no better than `best`, once that is reached.
    """
    addresses = [-1] * len(ranges)
    below = [-1] * len(ranges)
    height = 0
    for i in order:
        size = ranges[i].rounded
        taken = sorted((addresses[j], j) for j in neighbours[i] if addresses[j] >= 0)
        at, support = 0, -1
        for start, j in taken:
            if start - at >= size:
                break
            top = start + ranges[j].rounded
            if top > at:
                at, support = top, j
        addresses[i], below[i] = at, support
        height = max(height, at + size)
        if height >= best:
            return addresses, below, height
    return addresses, below, height


def allocate(ranges: Sequence[LiveRange]) -> Allocation:
    """Addresses for all ranges; `height` is the end of the highest."""
    if not ranges:
        return Allocation((), 0, 0)
    bound = lower_bound(ranges)
    neighbours = _neighbours(ranges)
    crowding = _crowding(ranges)
    order = sorted(
        range(len(ranges)),
        key=lambda i: (-crowding[i], ranges[i].start - ranges[i].end, ranges[i].start, -ranges[i].size, i),
    )
    unlimited = sum(r.rounded for r in ranges) + 1
    addresses, below, height = _place(ranges, order, neighbours, unlimited)
    best = (addresses, height)
    current, seen = list(order), {tuple(order)}
    for _ in range(ROUNDS):
        if best[1] <= bound:
            break
        # What the highest range stands on, down to the ground, is placed first next time, the highest before all.
        top = max(range(len(ranges)), key=lambda i: (addresses[i] + ranges[i].rounded, -i))
        chain = [top]
        while below[chain[-1]] >= 0:
            chain.append(below[chain[-1]])
        candidate = current
        for front in (chain, chain[:1], [*chain[1:], chain[0]], chain[::-1]):
            candidate = [*front, *(i for i in current if i not in set(front))]
            if tuple(candidate) not in seen:
                break
        else:
            # Every order from here has been tried: carry on from one that moves the second range of the chain.
            candidate = [*current[1:], current[0]]
        seen.add(tuple(candidate))
        current = candidate
        addresses, below, height = _place(ranges, current, neighbours, unlimited)
        if height < best[1]:
            best = (addresses, height)
    return Allocation(tuple(best[0]), best[1], bound)
