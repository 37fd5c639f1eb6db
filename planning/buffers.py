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


def plan(
    tasks: Sequence[Task], limit: int, area: Area, machine: Accelerator, setup: MemorySetup, cuts: Cuts
) -> dict[Work, Decision]:
    """
    The choice for every kernel with weights, whose buffers lie in `area` and keep to `limit` bytes beside what tasks
    take; `cuts` are known from other regions, and are added to.
    """
    planner = _Planner(machine, setup, area, cuts)
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


@dataclass(frozen=True)
class _Choice:
    """A way to bring weights, and what that costs."""

    cuts: tuple[int, ...]
    sizes: tuple[int, ...]
    """Bytes of each buffer; none for weights in place."""
    cycles: int
    windows: tuple[tuple[int, int], ...]
    """For each launch: idle cycles, and bytes of buffers that are alive."""
    first: int = 0
    """Bytes of the first transfer."""

    @property
    def memory(self) -> int:
        return sum(self.sizes)


@dataclass
class _Planner:
    machine: Accelerator
    setup: MemorySetup
    area: Area
    cuts: Cuts
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
            self._take(work, self._best(work, room), room)
        else:
            self._add_launch(self._idle(work.usual_cost()), room)

    # -- time

    def _idle(self, cost: KernelCost) -> int:
        return idle_cycles(cost, self.setup.constants)

    def _transfer(self, size: int) -> int:
        return dma_cycles(self.setup.constants, self.setup.memory(self.area), size)

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

    def _in_place(self, work: Work, cuts: tuple[int, ...], sizes: Sequence[Sizes]) -> _Choice:
        costs = self._costs(work, cuts, sizes, "constants")
        windows = tuple((self._idle(cost), 0) for cost in costs)
        return _Choice(cuts, (), sum(cost.cycles for cost in costs), windows)

    def _costs(self, work: Work, cuts: Sequence[int], sizes: Sequence[Sizes], area: Area) -> list[KernelCost]:
        return [
            work.usual_cost(end - start, size.weights, area)
            for (start, end), size in zip(pairwise(cuts), sizes, strict=True)
        ]

    def _through(self, work: Work, cuts: tuple[int, ...], sizes: Sequence[Sizes], count: int) -> _Choice:
        """Slices of these sizes through so many buffers."""
        totals = [size.total for size in sizes]
        buffers = tuple(size for size in buffer_sizes(totals, count) if size)
        count = len(buffers)
        costs = self._costs(work, cuts, sizes, self.area)
        transfers = [self._transfer(size) for size in totals]
        # Times count from the end of the kernel before.
        ready = self._early(totals[0], buffers[0])[1]
        end = blocks = 0
        windows: list[tuple[int, int]] = []
        for index, cost in enumerate(costs):
            start = max(end, ready)
            busy = 0
            # What made the input may have unfinished blocks where the slices in between have few: then a slice waits.
            if start > end or (index and blocks < MOST):
                end += cost.fill_cycles
            blocks += cost.blocks
            end = max(end, start) + cost.cycles
            last = index + 1 == len(costs)
            if not last:
                # With two buffers beside this launch, with one behind it.
                begin = max(start, ready) if count > 1 else end
                ready = begin + transfers[index + 1]
                busy = min(cost.cycles, transfers[index + 1]) if count > 1 else 0
            windows.append((max(0, self._idle(cost) - busy), buffers[index % count] if last else sum(buffers)))
        return _Choice(cuts, buffers, end, tuple(windows), totals[0])

    def _best(self, work: Work, room: int) -> _Choice:
        """The choice for a kernel outside of cascades."""
        op, depth = work.op, work.depth
        assert isinstance(op, ConvKernelOp)
        if op.buffers is not None:
            cuts = cuts_of(op)
            return self._through(work, cuts, work.sizes(cuts), op.buffers.data[0])
        cuts = op.slices.data if op.slices is not None else self.cuts.get(work.key())
        if cuts is not None:
            sizes = work.sizes(cuts)
            found = [self._in_place(work, cuts, sizes), *(self._through(work, cuts, sizes, n) for n in (1, 2))]
            return _pick([choice for choice in found if choice.memory <= max(0, room)])
        whole = work.sizes((0, depth))
        found = [self._in_place(work, (0, depth), whole)]
        single = self._through(work, (0, depth), whole, 1)
        if single.memory <= room:
            found.append(single)
        if room > 0:
            found += self._sliced(work, room, _pick(found))
        return _pick(found)

    def _sliced(self, work: Work, room: int, best: _Choice) -> list[_Choice]:
        """Slices better than what is known already; the best of those that are tried."""
        whole, depth = work.sizes((0, work.depth))[0], work.depth
        guesses: list[tuple[_Choice, int]] = []
        for cuts, count in product(_all_cuts(depth, work.block.depth), (2, 1)):
            # As if the weights of all channels were equally long.
            sizes = [
                Sizes(
                    _share(whole.weights, end - start, depth),
                    _share(whole.scales, end - start, depth),
                )
                for start, end in pairwise(cuts)
            ]
            if sum(buffer_sizes([size.total for size in sizes], count)) <= room:
                guesses.append((self._through(work, cuts, sizes, count), count))
        for _ in range(TRIES):
            guesses = [guess for guess in guesses if _pick([best, guess[0]]) is guess[0]]
            if not guesses:
                break
            picked = _pick([guess for guess, _ in guesses])
            number = next(i for i, (guess, _) in enumerate(guesses) if guess is picked)
            guess, count = guesses.pop(number)
            exact = self._through(work, guess.cuts, work.sizes(guess.cuts), count)
            if exact.memory <= room and _pick([best, exact]) is exact:
                return [exact]
        return []

    def _take(self, work: Work, choice: _Choice, room: int) -> None:
        """Decide for a choice, and account for its transfers and memory."""
        self.cuts.setdefault(work.key(), choice.cuts)
        self.decisions[work] = Decision(choice.cuts, len(choice.sizes))
        if choice.sizes:
            self._fetch_before(choice.first, choice.sizes[0])
        for idle, alive in choice.windows:
            self._add_launch(idle, room - alive)

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
    least = min(choice.cycles for choice in choices)
    good = [choice for choice in choices if choice.cycles <= least * TOLERANCE]
    return min(good, key=lambda choice: (choice.memory, choice.cycles, len(choice.cuts), len(choice.sizes)))


def _all_cuts(depth: int, block_depth: int) -> list[tuple[int, ...]]:
    """Ways to cut the depth: a first slice, then slices of one size, each so many blocks and no odd part of a brick."""
    if block_depth % BRICK or block_depth >= depth:
        return []
    steps = [block_depth << power for power in range(6) if block_depth << power < depth]
    found = {(0, *range(first, depth, step), depth): None for first, step in product(steps, steps)}
    return list(found)
