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

from collections import Counter
from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.block_jobs import MOST
from npuc.analysis.weights import ALIGNMENT, buffer_sizes, cuts_of, scales_key, weights_key
from npuc.dialects.npu_schedule import ConvKernelOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import KernelCost, dma_cycles, idle_cycles
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import BRICK
from npuc.planning.levels import Levels
from npuc.planning.prefetch import early_pieces
from npuc.planning.residency import NOTHING, best_within, extended
from npuc.planning.tasks import Sizes, Task, Work

TRIES = 4
"""Ways to slice a kernel whose sizes are found out, best estimate first, before it goes without slices."""
TOLERANCE = 1.01
"""Among choices that are no slower than the best by more than this factor, the smallest is taken."""


class Decision(NamedTuple):
    """How the weights of a work are brought: where the stream is cut, and how many buffers it passes (0: in place)."""

    cuts: tuple[int, ...]
    buffers: int


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
        self._guesses: dict[Work, list[_Guess]] = {}
        self._transfers: dict[int, int] = {}

    def plan(self, tasks: Sequence[Task], limit: int, cuts: Cuts) -> dict[Work, Decision]:
        """
        The choice for every kernel with weights. Buffers keep to `limit` bytes beside what tasks take; `cuts` are known
        from other regions, and are added to.
        """
        planner = _Planner(self.machine, self.setup, self.area, cuts, self._guesses, self._transfers)
        for task in tasks:
            planner.add(task, limit - task.used)
        return planner.decisions


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


class _Way(NamedTuple):
    """A way to bring the weights of a work: where the stream is cut, through which buffers, and what its parts take."""

    cuts: tuple[int, ...]
    buffers: tuple[int, ...]
    """Bytes of each buffer; none for weights in place."""
    launches: list[tuple[int, int, int, int]]
    """
    Of each slice: cycles, cycles to fill the pipeline, cycles in which the port of the constants is idle, and blocks.
    """
    transfers: list[int]
    """Cycles of each transfer; none for weights in place."""
    first: int
    """Bytes of the first transfer."""
    memory: int
    """Bytes of all buffers."""
    least: int
    """Cycles of all launches, that no transfer holds up."""


class _Guess(NamedTuple):
    """A way to slice a work if the weights of all channels were equally long: what decides whether it may win."""

    cuts: tuple[int, ...]
    through: int
    """How many buffers."""
    memory: int
    """As that of the way."""
    least: int
    """As that of the way."""


class _Choice(NamedTuple):
    """A way, and the cycles that it takes where it stands."""

    cycles: int
    way: _Way


@dataclass
class _Planner:
    machine: Accelerator
    setup: MemorySetup
    area: Area
    cuts: Cuts
    guesses: dict[Work, list[_Guess]]
    """Ways to slice works, as far as they have been looked at."""
    transfers: dict[int, int]
    """Cycles of transfers by their bytes."""
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
            self._take(work, self._best(work, room).way, room)
        else:
            self._add_launch(self._idle(work.usual_cost()), room)

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

    def _add_launch(self, idle: int, room: int) -> None:
        """The next launch: its idle cycles, and the bytes that are free meanwhile."""
        self.idle.append(idle)
        self.excess.append(-room)

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

    def _way(self, work: Work, cuts: tuple[int, ...], sizes: Sequence[Sizes], count: int) -> _Way:
        """Slices of these sizes through so many buffers, or in place."""
        area = self.area if count else "constants"
        known: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        launches: list[tuple[int, int, int, int]] = []
        for (start, end), size in zip(pairwise(cuts), sizes, strict=True):
            key = end - start, size.weights
            if key not in known:
                cost = work.usual_cost(*key, area)
                known[key] = (cost.cycles, cost.fill_cycles, self._idle(cost), cost.blocks)
            launches.append(known[key])
        totals = [size.total for size in sizes]
        buffers = tuple(size for size in buffer_sizes(totals, count) if size) if count else ()
        transfers = [self._transfer(size) for size in totals] if count else []
        least = sum(launch[0] for launch in launches)
        return _Way(cuts, buffers, launches, transfers, totals[0], sum(buffers), least)

    def _timed(self, way: _Way, known: dict[tuple[int, int], int] | None = None) -> _Choice:
        """
        A way behind the launches so far; times count from the end of the last one. `known` is added to: when transfers
        of so many bytes to buffers of so many are done.
        """
        if not way.buffers:
            return _Choice(way.least, way)
        first = way.first, way.buffers[0]
        ready = None if known is None else known.get(first)
        if ready is None:
            ready = self._early(*first)[1]
            if known is not None:
                known[first] = ready
        paired = len(way.buffers) > 1
        end = done = 0
        for index, (cycles, fill, _, blocks) in enumerate(way.launches):
            start = max(end, ready)
            # What made the input may have unfinished blocks where the slices in between have few: then a slice waits.
            if start > end or (index and done < MOST):
                end += fill
            done += blocks
            end = max(end, start) + cycles
            if index + 1 < len(way.launches):
                # With two buffers beside this launch, with one behind it.
                ready = (max(start, ready) if paired else end) + way.transfers[index + 1]
        return _Choice(end, way)

    def _best(self, work: Work, room: int) -> _Choice:
        """The choice for a kernel outside of cascades."""
        op = work.op
        assert isinstance(op, ConvKernelOp)
        if op.buffers is not None:
            cuts = cuts_of(op)
            return self._timed(self._way(work, cuts, work.sizes(cuts), op.buffers.data[0]))
        cuts = op.slices.data if op.slices is not None else self.cuts.get(work.key)
        if cuts is not None:
            ways = [self._way(work, cuts, work.sizes(cuts), count) for count in (0, 1, 2)]
            return _pick([self._timed(way) for way in ways if way.memory <= max(0, room)])
        cuts = (0, work.depth)
        ways = [self._way(work, cuts, work.sizes(cuts), count) for count in (0, 1)]
        choices = [self._timed(way) for way in ways if way.memory <= max(0, room)]
        if room > 0:
            choices += self._sliced(work, room, _pick(choices))
        return _pick(choices)

    def _sliced(self, work: Work, room: int, best: _Choice) -> list[_Choice]:
        """Slices better than what is known already; the best of those that are tried."""
        ready: dict[tuple[int, int], int] = {}
        guesses: list[_Choice] = []
        for guess in self._guesses(work):
            if guess.memory <= room and _may_be_picked(guess, best):
                parts = self._parts(work, guess.cuts)
                way = self._way(
                    work, guess.cuts, [parts[high - low] for low, high in pairwise(guess.cuts)], guess.through
                )
                guesses.append(self._timed(way, ready))
        for _ in range(TRIES):
            guesses = [guess for guess in guesses if _pick([best, guess]) is guess]
            if not guesses:
                break
            guess = _pick(guesses)
            guesses.remove(guess)
            cuts = guess.way.cuts
            exact = self._timed(self._way(work, cuts, work.sizes(cuts), len(guess.way.buffers)))
            if exact.way.memory <= room and _pick([best, exact]) is exact:
                return [exact]
        return []

    def _guesses(self, work: Work) -> list[_Guess]:
        """All ways to slice a work."""
        guesses = self.guesses.get(work)
        if guesses is None:
            guesses = []
            for cuts in _all_cuts(work.depth, work.block.depth):
                parts = self._parts(work, cuts)
                counts = Counter(high - low for low, high in pairwise(cuts))
                least = sum(
                    n * work.usual_cost(part, parts[part].weights, self.area).cycles for part, n in counts.items()
                )
                totals = [parts[high - low].total for low, high in pairwise(cuts)]
                guesses += [_Guess(cuts, count, sum(buffer_sizes(totals, count)), least) for count in (2, 1)]
            self.guesses[work] = guesses
        return guesses

    def _parts(self, work: Work, cuts: tuple[int, ...]) -> dict[int, Sizes]:
        """Bytes of slices of so many channels, if the weights of all channels are equally long."""
        whole, depth = work.sizes((0, work.depth))[0], work.depth
        return {
            part: Sizes(_share(whole.weights, part, depth), _share(whole.scales, part, depth))
            for part in {high - low for low, high in pairwise(cuts)}
        }

    def _take(self, work: Work, way: _Way, room: int) -> None:
        """Decide for a way, and account for its transfers and memory."""
        self.cuts.setdefault(work.key, way.cuts)
        count = len(way.buffers)
        self.decisions[work] = Decision(way.cuts, count)
        if count:
            self._fetch_before(way.first, way.buffers[0])
        for index, (cycles, _, idle, _) in enumerate(way.launches):
            if not count:
                self._add_launch(idle, room)
            elif index + 1 == len(way.launches):
                self._add_launch(idle, room - way.buffers[index % count])
            else:
                busy = min(cycles, way.transfers[index + 1]) if count > 1 else 0
                self._add_launch(max(0, idle - busy), room - way.memory)

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
                weights, size = work.sizes((0, work.depth))[0].weights, work.size
                near, far = (work.usual_cost(work.depth, weights, area).cycles for area in (self.area, "constants"))
                front = extended(front, index, size, (far - near) * launches[work] - self._early(size, size)[1])
        for index in best_within(front, room).kernels:
            work = task.works[index]
            self.decisions[work] = Decision((0, work.depth), 1)
            room -= work.size
            self._fetch_before(work.size, work.size)
        idle: dict[Work, int] = {}
        for run in task.runs:
            if run.work not in idle:
                idle[run.work] = self._idle(self._cascaded(run.work))
            self._add_launch(idle[run.work], room)

    def _cascaded(self, work: Work) -> KernelCost:
        """A launch of a stripe, its weights where they have been decided to be."""
        if not work.weighted:
            return work.usual_cost()
        area = self.area if self.decisions[work].buffers else "constants"
        return work.usual_cost(work.depth, work.sizes((0, work.depth))[0].weights, area)


def _share(size: int, part: int, whole: int) -> int:
    return -(-size * part // whole // ALIGNMENT) * ALIGNMENT


def _pick(choices: Sequence[_Choice]) -> _Choice:
    """The quickest choice, or a smaller one that is hardly slower."""
    most = min(choice.cycles for choice in choices) * TOLERANCE
    good = [choice for choice in choices if choice.cycles <= most]
    return min(good, key=lambda one: (one.way.memory, one.cycles, len(one.way.cuts), len(one.way.buffers)))


def _may_be_picked(guess: _Guess, best: _Choice) -> bool:
    """Whether a way to slice could be picked before a choice if nothing held it up."""
    if guess.memory <= best.way.memory:
        return guess.least <= best.cycles * TOLERANCE
    return guess.least * TOLERANCE < best.cycles


def _all_cuts(depth: int, block_depth: int) -> list[tuple[int, ...]]:
    """Ways to cut the depth: a first slice, then slices of one size, each so many blocks and no odd part of a brick."""
    if block_depth % BRICK or block_depth >= depth:
        return []
    steps = [block_depth << power for power in range(6) if block_depth << power < depth]
    found = {(0, *range(first, depth, step), depth): None for first, step in product(steps, steps)}
    return list(found)
