"""
Which weights pass through buffers of faster memory, and in which depth slices: the plan, on tasks.

Kernel after kernel, all choices are timed side by side: weights in place; one buffer for the whole stream; slices,
whose cuts are multiples of the block depth, through two buffers or through one. Timed is what the machine would do:
transfers one after the other, each beside the kernel of the slice before, the first beside the kernels before the
operator as far as they leave time and room (`npuc.planning.prefetch`). The quickest wins, of those within a hundredth
of it the one that takes the least memory; so never one slower than weights in place, by this estimate.

What buffers take is the sum of what each of them takes: with all that is alive beside the kernel it stays within the
limit. In a cascade, whose kernels run again for every stripe, only a buffer for the whole stream is worth anything: it
is filled once. The kernels that get one are those that save most cycles together (`npuc.planning.residency`).

Kernels with equal weights are cut alike, as the first of them, so that one copy of the streams serves them all, and
share one buffer where they follow each other (`shares_buffer`).

What stands on a kernel already stays. Plain data: `npu-schedule-buffer-weights` writes what is decided here,
`npu-schedule-split-weight-buffers` makes the buffers, and the evaluation of a schedule counts on both.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.block_jobs import MOST
from npuc.analysis.weights import buffer_sizes, cuts_of, scales_key, weights_key
from npuc.dialects.npu_schedule import ConvKernelOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import KernelCost, dma_cycles, idle_cycles
from npuc.hardware.memory import Area, MemorySetup
from npuc.planning.levels import Levels
from npuc.planning.prefetch import early_pieces
from npuc.planning.residency import NOTHING, best_within, extended
from npuc.planning.slices import Guess, Way
from npuc.planning.tasks import Task, Work

TRIES = 4
"""Ways to slice a kernel whose sizes are found out, best estimate first, before it goes without slices."""
TOLERANCE = 1.01
"""Among choices that are no slower than the best by more than this factor, the smallest is taken."""


class Decision(NamedTuple):
    """How the weights of a work are brought: where the stream is cut, and how many buffers it passes (0: in place)."""

    cuts: tuple[int, ...]
    buffers: int


class Planned(NamedTuple):
    """The choice for every kernel with weights, and what is to be known of those outside of cascades, in order."""

    decisions: dict[Work, Decision]
    largest: dict[Work, int]
    """Bytes of the largest of their buffers; 0 for weights in place."""
    lost: dict[Work, int]
    """Cycles that they take longer than if all their weights were there."""


Decisions = Mapping[Work, Decision]
Cuts = MutableMapping[Hashable, tuple[int, ...]]
"""How weights have been cut that other kernels may have as well."""


def pinned(tasks: Sequence[Task]) -> dict[Work, Decision]:
    """What stands on kernels already; weights that nothing is said of are read in place."""
    found: dict[Work, Decision] = {}
    for work in (work for task in tasks for work in task.works):
        if isinstance(work.op, ConvKernelOp):
            found[work] = Decision(cuts_of(work.op), work.op.buffers.data[0] if work.op.buffers is not None else 0)
    return found


class BufferPlanner:
    """Plans buffers for the tasks of a region in `area`; remembers of works what it has found out about them."""

    def __init__(self, area: Area, machine: Accelerator, setup: MemorySetup):
        self.area: Area = area
        self.machine, self.setup = machine, setup
        self._transfers: dict[int, int] = {}

    def plan(self, tasks: Sequence[Task], limit: int, cuts: Cuts, most: Mapping[Work, int] | None = None) -> Planned:
        """
        The choice for every kernel with weights. Buffers keep to `limit` bytes beside what tasks take, and each of
        some works' to `most` bytes; `cuts` are known from other regions, and are added to.
        """
        planner = _Planner(self.machine, self.setup, self.area, cuts, self._transfers, most or {})
        for task in tasks:
            planner.add(task, limit - task.used)
        return Planned(planner.decisions, planner.largest, planner.lost)


def shares_buffer(
    op: ConvKernelOp, block: Block, before: ConvKernelOp, block_before: Block, machine: Accelerator
) -> bool:
    """
    Whether a kernel finds its weights in the buffer of the kernel that runs right before it, none of the two in a
    cascade and both with undivided weights in a buffer.
    """
    return (
        weights_key(op, block, machine) == weights_key(before, block_before, machine)
        and op.scales_apart == before.scales_apart
        and (op.scales_apart is not None or scales_key(op) == scales_key(before))
    )


class _Choice(NamedTuple):
    """A way, and the cycles that it takes where it stands."""

    cycles: int
    way: Way


@dataclass
class _Planner:
    machine: Accelerator
    setup: MemorySetup
    area: Area
    cuts: Cuts
    transfers: dict[int, int]
    """Cycles of transfers by their bytes."""
    most: Mapping[Work, int]
    """The bytes that each buffer of some works may take."""
    largest: dict[Work, int] = field(default_factory=dict[Work, int])
    lost: dict[Work, int] = field(default_factory=dict[Work, int])
    decisions: dict[Work, Decision] = field(default_factory=dict[Work, Decision])
    idle: Levels = field(default_factory=Levels)
    """For each launch so far, in order, its cycles in which the port of the constants is idle."""
    excess: Levels = field(default_factory=Levels)
    """For each of them the bytes that are needed meanwhile, less the limit: below 0 where some are free."""
    table: SSAValue | None = None
    """The lookup table that was brought last."""

    def add(self, task: Task, room: int) -> None:
        """Decide for the kernels of one task, the next in order, that leaves so many bytes."""
        if task.cascade:
            self._cascade(task, room)
            return
        (work,) = task.works
        self._bring_table(work)
        if work.weighted:
            choice = self._best(work, room)
            self.largest[work] = max(choice.way.buffers, default=0)
            self.lost[work] = choice.cycles - min(self._way(work, (0, work.depth), count).least for count in (0, 1))
            self._take(work, choice.way, room)
        else:
            self._add_launches([self._idle(work.usual_cost())], [room])

    # -- time

    def _idle(self, cost: KernelCost) -> int:
        return idle_cycles(cost, self.setup.constants)

    def _transfer(self, size: int) -> int:
        if size not in self.transfers:
            self.transfers[size] = dma_cycles(self.setup.constants, self.setup.memory(self.area), size)
        return self.transfers[size]

    def _early(self, size: int, buffer: int) -> tuple[dict[int, int], int]:
        """
        How much of a transfer to a buffer of so many bytes is issued behind which of the launches so far, and the
        cycles by which it is late when they are done.
        """
        stop = len(self.idle)
        full = self.excess.last_above(-buffer, stop)
        return early_pieces(self.idle, full + 1, stop, size, self._transfer)

    def _add_launches(self, idle: Sequence[int], room: Sequence[int]) -> None:
        """The next launches: the idle cycles of each, and the bytes that are free meanwhile."""
        self.idle.extend(idle)
        self.excess.extend([-free for free in room])

    def _spend(self, number: int, cycles: int) -> None:
        """Take idle cycles of a launch, all if it has no more."""
        self.idle.add(number, number + 1, -min(cycles, self.idle[number]))

    def _bring_table(self, work: Work) -> None:
        """Account for the transfer of a kernel's table to SHRAM, behind the launches so far."""
        value = work.table
        if value is None or (value is self.table and self.machine.reserved_end_banks):
            return
        self.table = value
        stop = len(self.idle)

        def cycles(size: int) -> int:
            return dma_cycles(self.setup.constants, None, size)

        if self.machine.reserved_end_banks:
            for number, piece in early_pieces(self.idle, 0, stop, work.table_bytes, cycles, whole=True)[0].items():
                self._spend(number, cycles(piece))
        elif stop:
            # Other kernels overwrite tables here, so that each is brought right before its kernel.
            self._spend(stop - 1, cycles(work.table_bytes))

    # -- choices

    def _timed(self, way: Way, known: dict[tuple[int, int], int] | None = None) -> _Choice:
        """
        A way behind the launches so far; times count from the end of the last one. `known` is added to: when transfers
        of so many bytes to buffers of so many are done.
        """
        if not way.buffers:
            return _Choice(way.least, way)
        first = way.slices[0].size, way.buffers[0]
        ready = None if known is None else known.get(first)
        if ready is None:
            ready = self._early(*first)[1]
            if known is not None:
                known[first] = ready
        paired = len(way.buffers) > 1
        start = end = done = 0
        for index, (_, cycles, fill, _, blocks, transfer) in enumerate(way.slices):
            if index:
                # With two buffers beside the launch before, with one behind it.
                ready = (max(start, ready) if paired else end) + transfer
            start = max(end, ready)
            # What made the input may have unfinished blocks where the slices in between have few: then a slice waits.
            if start > end or (index and done < MOST):
                end += fill
            done += blocks
            end = max(end, start) + cycles
        return _Choice(end, way)

    def _best(self, work: Work, room: int) -> _Choice:
        """The choice for a kernel outside of cascades."""
        op = work.op
        assert isinstance(op, ConvKernelOp)
        if op.buffers is not None:
            cuts = cuts_of(op)
            return self._timed(self._way(work, cuts, op.buffers.data[0]))
        cuts = op.slices.data if op.slices is not None else self.cuts.get(work.key)
        if cuts is not None:
            ways = [self._way(work, cuts, count) for count in (0, 1, 2)]
            return _pick([self._timed(way) for way in ways if self._fits(work, way, room)])
        cuts = (0, work.depth)
        ways = [self._way(work, cuts, count) for count in (0, 1)]
        choices = [self._timed(way) for way in ways if self._fits(work, way, room)]
        if room > 0:
            choices += self._sliced(work, room, _pick(choices))
        return _pick(choices)

    def _sliced(self, work: Work, room: int, best: _Choice) -> list[_Choice]:
        """Slices better than what is known already; the best of those that are tried."""
        ready: dict[tuple[int, int], int] = {}
        slices = work.slices(self.area)
        guesses = [
            self._timed(slices.way(guess.cuts, None, guess.through), ready)
            for guess in slices.guesses
            if guess.memory <= room and _may_be_picked(guess, best)
        ]
        guesses = [guess for guess in guesses if self._fits(work, guess.way, room)]
        for _ in range(TRIES):
            guesses = [guess for guess in guesses if _pick([best, guess]) is guess]
            if not guesses:
                break
            guess = _pick(guesses)
            guesses.remove(guess)
            cuts = guess.way.cuts
            exact = self._timed(self._way(work, cuts, len(guess.way.buffers)))
            if self._fits(work, exact.way, room) and _pick([best, exact]) is exact:
                return [exact]
        return []

    def _fits(self, work: Work, way: Way, room: int) -> bool:
        """Whether the buffers of a way are not too large, together and each."""
        largest = max(way.buffers, default=0)
        return way.memory <= max(0, room) and largest <= self.most.get(work, largest)

    def _way(self, work: Work, cuts: tuple[int, ...], through: int) -> Way:
        """Just these slices through so many buffers, or in place."""
        return work.slices(self.area).way(cuts, work.sizes(cuts), through)

    def _take(self, work: Work, way: Way, room: int) -> None:
        """Decide for a way, and account for its transfers and memory."""
        self.cuts.setdefault(work.key, way.cuts)
        count = len(way.buffers)
        self.decisions[work] = Decision(way.cuts, count)
        slices = way.slices
        idle = [one.idle for one in slices]
        if not count:
            self._add_launches(idle, [room] * len(slices))
            return
        self._fetch_before(slices[0].size, way.buffers[0])
        if count > 1:
            for index, (one, following) in enumerate(pairwise(slices)):
                idle[index] = max(0, idle[index] - min(one.cycles, following.transfer))
        last = len(slices) - 1
        self._add_launches(idle, [*[room - way.memory] * last, room - way.buffers[last % count]])

    def _fetch_before(self, size: int, buffer: int) -> None:
        """Spend the time of the launches so far on a transfer, and their room on its buffer."""
        pieces, _ = self._early(size, buffer)
        for number, piece in pieces.items():
            self._spend(number, self._transfer(piece))
        if pieces:
            self.excess.add(min(pieces), len(self.excess), buffer)

    # -- cascades

    def _cascade(self, task: Task, room: int) -> None:
        """Buffers for the kernels of a cascade, those that save most cycles together."""
        launches = {work: 0 for work in task.works}
        for run in task.runs:
            launches[run.work] += 1
        front = NOTHING
        for index, work in enumerate(task.works):
            op = work.op
            if not isinstance(op, ConvKernelOp):
                continue
            self.decisions[work] = Decision(cuts_of(op), 0)
            if op.buffers is not None:
                self.decisions[work] = Decision(cuts_of(op), op.buffers.data[0])
                totals = [size.total for size in work.sizes(cuts_of(op))]
                room -= sum(buffer_sizes(totals, op.buffers.data[0]))
            elif op.slices is None:
                size = work.size
                near, far = (work.usual_cost(area).cycles for area in (self.area, "constants"))
                front = extended(front, index, size, (far - near) * launches[work] - self._early(size, size)[1])
        for index in best_within(front, room).kernels:
            work = task.works[index]
            self.decisions[work] = Decision((0, work.depth), 1)
            room -= work.size
            self._fetch_before(work.size, work.size)
        idle = {work: self._idle(self._cascaded(work)) for work in task.works}
        self._add_launches([idle[run.work] for run in task.runs], [room] * len(task.runs))

    def _cascaded(self, work: Work) -> KernelCost:
        """A launch of a stripe, its weights where they have been decided to be."""
        buffered = work.weighted and self.decisions[work].buffers
        return work.usual_cost(self.area if buffered else "constants")


def _pick(choices: Sequence[_Choice]) -> _Choice:
    """The quickest choice, or a smaller one that is hardly slower."""
    most = min(choice.cycles for choice in choices) * TOLERANCE
    good = [choice for choice in choices if choice.cycles <= most]
    return min(good, key=lambda one: (one.way.memory, one.cycles, len(one.way.cuts), len(one.way.buffers)))


def _may_be_picked(guess: Guess, best: _Choice) -> bool:
    """Whether a way to slice could be picked before a choice if nothing held it up."""
    if guess.memory <= best.way.memory:
        return guess.least <= best.cycles * TOLERANCE
    return guess.least * TOLERANCE < best.cycles
