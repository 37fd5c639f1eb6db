"""
When transfers are issued: behind which kernel launch each of them, so that it runs beside what leaves it time.

Plain data. A transfer stands behind some launches and is needed by a later one. Those that are the first to fill their
buffer may be issued earlier, behind any launch that leaves the buffer enough memory from there on. `plan` decides that
for all transfers of a program, `early_pieces` for one of them; `placed_plan` plans so that the allocator finds
addresses for what comes of it. `npu-cmd-hoist-dma` carries out what that says; the planner of buffers and the
evaluation of schedules ask the same three.

The plan is made backwards, the transfer that is needed last first. Each takes the latest launches that it can, so one
that is needed early finds the launches before it free of transfers that could have been later. Where memory is scarce
that can give what is needed late the memory that would have let others come in time: then forwards is quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from npuc.analysis.allocation import Needs
from npuc.planning.levels import Levels

SHORTEST = 1024
"""Bytes of the shortest piece that a longer transfer is cut into."""
MOST_PIECES = 16
GRANULE = 128
"""Of the size of a piece, in bytes: whole bursts of every memory."""
ROUNDS = 8
"""So often transfers are planned anew because the allocator leaves gaps."""
LESS = 3
"""So many lower limits are tried for all transfers where that does not help."""


class Transfer(NamedTuple):
    """A transfer as it stands among the launches of a program."""

    size: int
    """Bytes."""
    after: int
    """It stands behind so many launches."""
    deadline: int
    """The launch that waits for it."""
    cycles: Callable[[int], int]
    """What so many bytes of it take."""
    memory: str | None = None
    """The memory of its buffer, if that may be taken earlier; None for a transfer that stays where it is."""
    buffer: int = 0
    """Bytes that the buffer takes there."""
    whole: bool = False
    """It must not be cut in pieces."""
    earliest: int = 0
    """The first launch behind which its source is there."""


class Plan(NamedTuple):
    """When transfers are issued."""

    pieces: list[dict[int, int]]
    """For each transfer how many of its bytes are issued behind which launch; nothing for one that stays."""
    held: set[int]
    """
    Launches behind which transfers wait for the launch before. Issued behind a launch, a transfer would begin while the
    one before still runs; if only the launch has time for it, both would be slowed.
    """


class Placed(NamedTuple):
    """A plan, and what the allocator makes of it."""

    plan: Plan
    gaps: list[int]
    """Bytes of each launch that have to be left to gaps, by a plan that takes none into account."""
    needs: Needs
    """What the plan needs in all."""

    @property
    def apart(self) -> bool:
        """Whether what is alive needs no gaps, so that buffers find memory apart from what was needed before."""
        return not any(self.gaps)


def plan(
    transfers: Sequence[Transfer], idle: Sequence[int], excess: Mapping[str, Levels], forwards: bool = False
) -> Plan:
    """
    Plan all transfers of a program, the one that is needed last first, or `forwards`, the other way round.

    `idle` are each launch's cycles in which nothing else is read from the memory of the constants. `excess` are, for
    each memory, the bytes that are needed from each launch on until what it read is given up, less the limit; they are
    raised by the buffers that are taken earlier.
    """
    left = list(idle)
    for one in transfers:
        if one.memory is None:
            _spend(left, max(0, one.after - 1), min(one.deadline, len(left)), one.cycles(one.size))
    levels = Levels(left)
    pieces: list[dict[int, int]] = [{} for _ in transfers]
    sign = 1 if forwards else -1
    for number in sorted(range(len(transfers)), key=lambda number: sign * transfers[number].deadline):
        one = transfers[number]
        if one.memory is None:
            continue
        room = excess[one.memory]
        first = max(one.earliest, 1 + room.last_above(-one.buffer, one.after))
        found, _ = early_pieces(levels, first, one.after, one.size, one.cycles, one.whole)
        for launch, size in found.items():
            levels.add(launch, launch + 1, -min(one.cycles(size), levels[launch]))
        if found:
            room.add(min(found), one.after, one.buffer)
        pieces[number] = found
    taken: dict[int, int] = {}
    for one, parts in zip(transfers, pieces, strict=True):
        for launch, size in parts.items():
            taken[launch] = taken.get(launch, 0) + one.cycles(size)
    held = {n for n, cycles in taken.items() if n and levels[n - 1] < cycles <= idle[n]}
    return Plan(pieces, held)


def placed_plan(
    transfers: Sequence[Transfer],
    idle: Sequence[int],
    used: Mapping[str, Sequence[int]],
    limits: Mapping[str, int],
    memory: str,
    needs: Callable[[Plan, int], Needs],
    most: int,
    forwards: bool = False,
) -> Placed:
    """
    Plan all transfers of a program so that what is alive finds addresses below `most` bytes of one memory.

    `used` are the bytes that are needed from each launch on, `limits` what transfers keep to. `needs` says, given a
    plan and how many bytes are enough, what is needed at each launch. Where that is too much, because there have to be
    gaps, the launches meanwhile are taken to need so much more, and transfers are planned again. Where that does not
    help, all keep to less; in the end they stay as they stood. Where even more is needed if no transfer is moved, that
    is what the plan keeps to. What is needed at other times, where other regions run, keeps to the same: what lives
    across both has one address.
    """

    def planned(more: Sequence[int], less: int = 0) -> Plan:
        excess = {name: Levels(size - limits[name] for size in sizes) for name, sizes in used.items() if name != memory}
        limit = limits[memory] - less
        sizes = zip(used[memory], more, strict=True)
        return plan(transfers, idle, excess | {memory: Levels(size + gap - limit for size, gap in sizes)}, forwards)

    found = planned([0] * len(idle))
    needed = needs(found, most)
    gaps, missed = needed.gaps(most), needed.height - most
    if needed.height <= most:
        return Placed(found, gaps, needed)
    nothing = planned([limits[memory] + 1] * len(idle))
    least = needs(nothing, most)
    most, highest = max(most, least.top), max(most, least.height)
    taken = gaps
    for _ in range(ROUNDS):
        if needed.top <= most and needed.height <= highest:
            return Placed(found, gaps, needed)
        before, found = found, planned(taken)
        if found == before:
            break
        needed = needs(found, most)
        taken = [gap + more for gap, more in zip(taken, needed.gaps(most), strict=True)]
    less = missed
    for _ in range(LESS):
        found = planned([0] * len(idle), less)
        needed = needs(found, most)
        if needed.top <= most and needed.height <= highest:
            return Placed(found, gaps, needed)
        less *= 2
    return Placed(nothing, gaps, least)


def _spend(idle: list[int], first: int, stop: int, cycles: int) -> None:
    """Take the time of a transfer from launches `first` up to before `stop`, as far as they have it."""
    for launch in range(first, stop):
        spent = min(cycles, idle[launch])
        idle[launch] -= spent
        cycles -= spent
        if not cycles:
            break


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
