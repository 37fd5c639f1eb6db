"""
Whose time a transfer takes when it is issued early: what `npu-cmd-hoist-dma` carries out is what
`npu-schedule-buffer-weights` counts on.
"""

from __future__ import annotations

from collections.abc import Callable

from npuc.planning.levels import Levels

SHORTEST = 1024
"""Bytes of the shortest piece that a longer transfer is cut into."""
MOST_PIECES = 16
GRANULE = 128
"""Of the size of a piece, in bytes: whole bursts of every memory."""


def early_pieces(
    idle: Levels, first: int, stop: int, size: int, cycles: Callable[[int], int], whole: bool = False
) -> tuple[dict[int, int], int]:
    """
    How much of a transfer of `size` bytes is issued behind which launch (bytes by the number of the launch), and the
    cycles by which it is late when the last of these launches is done.

    It may be issued behind launches `first` up to before `stop`, the latest are taken first; `idle` are each launch's
    cycles in which nothing else is read from the memory of the constants, `cycles` is what so many bytes take. A
    transfer that needs the time of several launches is cut in pieces, one behind each, unless it must stay `whole`: a
    machine that can have but one transfer outstanding would hold up everything behind a long one. What finds no time is
    issued behind the latest launch, so that it runs beside that as far as it can. Without launches nothing is issued
    early.
    """
    if stop <= first:
        return {}, cycles(size)
    least = size if whole else min(size, max(SHORTEST, -(-size // MOST_PIECES)))
    found: dict[int, int] = {}
    number = stop
    while size:
        shortest = min(size, -(-min(least, size) // GRANULE) * GRANULE)
        number = idle.last_above(cycles(shortest) - 1, number)
        if number < first:
            break
        found[number] = _fitting(size, idle[number], cycles)
        size -= found[number]
    if not size:
        return found, 0
    latest = stop - 1
    found[latest] = found.get(latest, 0) + size
    return found, max(0, cycles(found[latest]) - idle[latest])


def _fitting(most: int, idle: int, cycles: Callable[[int], int]) -> int:
    """How many bytes, all of `most` or a multiple of a piece's granule, are transferred in so many cycles."""
    if cycles(most) <= idle:
        return most
    low, high = 0, most // GRANULE
    while low < high:
        middle = (low + high + 1) // 2
        if cycles(middle * GRANULE) <= idle:
            low = middle
        else:
            high = middle - 1
    return low * GRANULE
