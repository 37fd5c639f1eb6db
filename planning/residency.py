"""
Which weights of a cascade to keep in memory while it runs: the most cycles saved for the room that there is.

A kernel of a cascade is launched for every stripe, and reads all its weights each time. Kept in a buffer, they are
brought once. `Resident` is one choice of kernels; a `front` is all choices worth looking at, each larger and better
than the one before. Plain data, for the planner of cascades and the planner of buffers alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

LONGEST_FRONT = 64
"""Choices that are kept; more than a few kernels that gain by it are rare."""


class Resident(NamedTuple):
    """Kernels whose weights are kept: the bytes that takes, the cycles that saves, and which they are."""

    size: int
    gain: int
    kernels: tuple[int, ...]


NOTHING: Sequence[Resident] = (Resident(0, 0, ()),)
"""The front without kernels."""


def extended(front: Sequence[Resident], kernel: int, size: int, gain: int) -> Sequence[Resident]:
    """The front with one more kernel to choose from."""
    if gain <= 0:
        return front
    more = [Resident(one.size + size, one.gain + gain, (*one.kernels, kernel)) for one in front]
    found: list[Resident] = []
    for one in sorted([*front, *more], key=lambda one: (one.size, -one.gain)):
        if not found or one.gain > found[-1].gain:
            found.append(one)
    if len(found) > LONGEST_FRONT:
        last = len(found) - 1
        found = [found[last * index // (LONGEST_FRONT - 1)] for index in range(LONGEST_FRONT)]
    return found


def best_within(front: Sequence[Resident], room: int) -> Resident:
    """The choice that saves most of those that fit; `front` holds the empty one."""
    return front[max(0, bisect_right(front, room, key=lambda one: one.size) - 1)]
