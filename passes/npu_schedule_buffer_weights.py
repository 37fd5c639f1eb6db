"""
Decide which weights pass through buffers of faster memory, and in which depth slices.

Assumes a target on the module, OFM blocks chosen, cascades formed, and on each region `npu.sram_limit` where the arena
is limited (the target's limit else; a fast memory beside a slow arena has the limit of its cache). Weights that lie in
memory no slower than the buffers would are left alone.

Decides `slices` and `buffers` of kernels with weights; either stays where it stands already. Kernel after kernel, all
choices are timed side by side: weights in place; one buffer for the whole stream; slices, whose cuts are multiples of
the block depth, through two buffers or through one. Timed is what the machine would do: transfers one after the other,
each beside the kernel of the slice before, the first beside the kernels before the operator as far as they leave time
and room. The quickest wins, of those within a hundredth of it the one that takes the least memory; so never one slower
than weights in place, by this estimate.

Kernels with equal weights are cut alike, as the first of them in the order of the module, so that one copy of the
streams serves them all.

What buffers take is the sum of what each of them takes: with all that is alive beside the kernel it stays within the
limit. So at the peak of a schedule there are no buffers, and below it they fill the room up to the limit.
In a cascade, whose kernels run again for every stripe, only a buffer for the whole stream is worth anything: it is
filled once. The kernels that get one are those that save most cycles together (`npuc.planning.residency`).

Writes attributes only; `npu-schedule-split-weight-buffers` makes the buffers. Without this pass all weights are read in
place: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import (
    limit_of,
    machine_of,
    places_of,
    scarce_space_of,
    setup_of,
    stripe_kernel,
)
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.analysis.weights import ALIGNMENT, block_of, buffer_sizes, cuts_of, scale_bytes, slice_sizes, weights_key
from npuc.dialects.npu import AREAS, IntsAttr
from npuc.dialects.npu_schedule import CascadeOp, ConvKernelOp, CopyOp, KernelOp, nhwc
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import KernelCost, Places, dma_cycles, idle_cycles, kernel_cost
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import Kernel, largest_block
from npuc.planning.levels import Levels
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.prefetch import early_pieces
from npuc.planning.residency import NOTHING, best_within, extended

BRICK = 16
UNLIMITED = 1 << 40
TRIES = 4
"""Ways to slice a kernel whose sizes are found out, best estimate first, before it goes without slices."""
TOLERANCE = 1.01
"""Among choices that are no slower than the best by more than this factor, the smallest is taken."""


@dataclass(frozen=True)
class NpuScheduleBufferWeightsPass(ModulePass):
    """Write slices and buffers on kernels with weights."""

    name = "npu-schedule-buffer-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = scheduled_functions(op)
        if not functions:
            return
        machine, setup, space = machine_of(op), setup_of(op), scarce_space_of(op)
        area = AREAS[space]
        memory = setup.memory(area)
        if memory.bytes_per_cycle <= setup.constants.bytes_per_cycle:
            return
        held = held_by_host(op)
        cuts: dict[Hashable, tuple[int, ...]] = {}
        for function in functions:
            kernels = [k for k in function.walk() if isinstance(k, ConvKernelOp)]
            whole = slice_sizes([(k, (0, nhwc(k.result)[2])) for k in kernels], machine)
            sizes = {k: size for k, (size,) in zip(kernels, whole, strict=True)}
            planner = _Planner(machine, setup, area, sizes, cuts)
            limit = limit_of(function, space)
            planner.plan(
                function, held.get(function.sym_name.data, NOTHING_HELD), UNLIMITED if limit is None else limit
            )


@dataclass(frozen=True)
class _Choice:
    """A way to bring weights: where the stream is cut, how many buffers (0: in place), and what that costs."""

    cuts: tuple[int, ...]
    buffers: int
    sizes: tuple[int, ...]
    """Bytes of each buffer."""
    cycles: int
    windows: tuple[tuple[int, int], ...]
    """For each launch: idle cycles, and bytes of buffers that are alive."""
    first: int = 0
    """Bytes of the first transfer."""

    @property
    def memory(self) -> int:
        return sum(self.sizes)


@dataclass
class _Launch:
    """What the cost model must know of a launch, and the costs that have been asked for."""

    kernel: Kernel
    block: Block
    places: Places
    costs: dict[tuple[int, int, Area], KernelCost] = field(default_factory=dict[tuple[int, int, Area], KernelCost])


@dataclass
class _Planner:
    machine: Accelerator
    setup: MemorySetup
    area: Area
    sizes: dict[ConvKernelOp, int]
    """Bytes of each whole stream."""
    cuts: dict[Hashable, tuple[int, ...]]
    """How weights that other kernels may have as well have been cut."""
    idle: Levels = field(default_factory=Levels)
    """For each launch so far, in order, its cycles in which the port of the constants is idle."""
    excess: Levels = field(default_factory=Levels)
    """For each of them the bytes that are needed meanwhile, less the limit: below 0 where some are free."""
    table: SSAValue | None = None
    """The lookup table that was brought last."""
    launches: dict[tuple[ConvKernelOp, int], _Launch] = field(default_factory=dict[tuple[ConvKernelOp, int], _Launch])

    def plan(self, function: FuncOp, held: Held, limit: int) -> None:
        """Decide for all kernels of one region, in program order."""
        network = Network(function, held)
        for number, item in enumerate(network.items):
            room = limit - network.alone(number)
            op = item.op
            if isinstance(op, CascadeOp):
                self._cascade(op, room)
                continue
            if not self.machine.reserved_end_banks:
                self._bring_table(op)
            if isinstance(op, ConvKernelOp):
                self._take(op, self._best(op, room), room)
            else:
                rows = nhwc(op.result)[0]
                self._add_launch(self._idle(self._plain(op, rows)), room)
            if self.machine.reserved_end_banks:
                self._bring_table(op, len(self.idle) - 1)

    # -- time

    def _idle(self, cost: KernelCost) -> int:
        return idle_cycles(cost, self.setup.constants)

    def _plain(self, op: KernelOp | CopyOp, rows: int) -> KernelCost:
        """What a launch of `rows` rows and all channels takes."""
        if isinstance(op, CopyOp):
            kernel = op.launch()
            block = op.block.data if op.block is not None else largest_block(self.machine, kernel)
            return kernel_cost(self.machine, self.setup, kernel, block, places_of(op))
        if isinstance(op, ConvKernelOp):
            area = self.area if op.buffers is not None else "constants"
            return self._cost(self._launch(op, rows), nhwc(op.result)[2], self.sizes[op], area)
        kernel = stripe_kernel(op, rows)
        return kernel_cost(self.machine, self.setup, kernel, block_of(op, self.machine), places_of(op))

    def _launch(self, op: ConvKernelOp, rows: int) -> _Launch:
        """A launch of `rows` rows and all channels."""
        key = (op, rows)
        if key not in self.launches:
            self.launches[key] = _Launch(stripe_kernel(op, rows), block_of(op, self.machine), places_of(op))
        return self.launches[key]

    def _cost(self, launch: _Launch, depth: int, size: int, area: Area) -> KernelCost:
        """One launch of `depth` channels whose streams, `size` bytes with scales unless apart, lie in `area`."""
        key = (depth, size, area)
        if key not in launch.costs:
            kernel = launch.kernel
            if depth < kernel.ofm.depth:
                kernel = replace(kernel, ofm=kernel.ofm._replace(depth=depth))
                if kernel.kind == "depthwise":
                    kernel = replace(kernel, ifm=kernel.ifm._replace(depth=depth))
            scales = scale_bytes(depth, self.machine) if launch.places.scales is None else 0
            weights = max(0, size - scales)
            places = launch.places._replace(weights=area)
            launch.costs[key] = kernel_cost(self.machine, self.setup, kernel, launch.block, places, weights)
        return launch.costs[key]

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

    def _bring_table(self, op: KernelOp | CopyOp, stop: int | None = None) -> None:
        """Account for the transfer of a kernel's table to SHRAM, behind launches before number `stop` (all)."""
        value = op.table_value if isinstance(op, KernelOp) else None
        if value is None or (value is self.table and self.machine.reserved_end_banks):
            return
        self.table = value
        size = storage_bytes(tensor_type(value))

        def cycles(size: int) -> int:
            return dma_cycles(self.setup.constants, None, size)

        stop = len(self.idle) if stop is None else stop
        if self.machine.reserved_end_banks:
            for number, piece in early_pieces(self.idle, 0, stop, size, cycles, whole=True)[0].items():
                self._spend(number, cycles(piece))
        elif stop:
            # Other kernels overwrite tables here, so that each is brought right before its kernel.
            self._spend(stop - 1, cycles(size))

    def _key(self, op: ConvKernelOp) -> Hashable:
        return weights_key(op, block_of(op, self.machine), self.machine)

    # -- choices

    def _in_place(self, op: ConvKernelOp, cuts: tuple[int, ...], sizes: Sequence[int]) -> _Choice:
        launch = self._launch(op, nhwc(op.result)[0])
        costs = [
            self._cost(launch, end - start, size, "constants")
            for (start, end), size in zip(pairwise(cuts), sizes, strict=True)
        ]
        windows = tuple((self._idle(cost), 0) for cost in costs)
        return _Choice(cuts, 0, (), sum(cost.cycles for cost in costs), windows)

    def _through(self, op: ConvKernelOp, cuts: tuple[int, ...], sizes: Sequence[int], count: int) -> _Choice:
        """Slices of these sizes through so many buffers."""
        launch = self._launch(op, nhwc(op.result)[0])
        buffers = tuple(size for size in buffer_sizes(sizes, count) if size)
        count = len(buffers)
        costs = [
            self._cost(launch, end - start, size, self.area)
            for (start, end), size in zip(pairwise(cuts), sizes, strict=True)
        ]
        transfers = [self._transfer(size) for size in sizes]
        # Times count from the end of the kernel before.
        ready = self._early(sizes[0], buffers[0])[1]
        end = 0
        windows: list[tuple[int, int]] = []
        for index, cost in enumerate(costs):
            start = max(end, ready)
            busy = 0
            if start > end:
                end += cost.fill_cycles
            end = max(end, start) + cost.cycles
            last = index + 1 == len(costs)
            if not last:
                # With two buffers beside this launch, with one behind it.
                begin = max(start, ready) if count > 1 else end
                ready = begin + transfers[index + 1]
                busy = min(cost.cycles, transfers[index + 1]) if count > 1 else 0
            windows.append((max(0, self._idle(cost) - busy), buffers[index % count] if last else sum(buffers)))
        return _Choice(cuts, count, buffers, end, tuple(windows), sizes[0])

    def _best(self, op: ConvKernelOp, room: int) -> _Choice:
        """The choice for a kernel outside of cascades."""
        depth, whole = nhwc(op.result)[2], self.sizes[op]
        if op.buffers is not None:
            cuts = cuts_of(op)
            return self._through(op, cuts, self._exact(op, cuts), op.buffers.data[0])
        cuts = op.slices.data if op.slices is not None else self.cuts.get(self._key(op))
        if cuts is not None:
            sizes = self._exact(op, cuts)
            found = [self._in_place(op, cuts, sizes), *(self._through(op, cuts, sizes, n) for n in (1, 2))]
            return _pick([c for c in found if not c.buffers or c.memory <= room])
        found = [self._in_place(op, (0, depth), [whole])]
        single = self._through(op, (0, depth), [whole], 1)
        if single.memory <= room:
            found.append(single)
        if room > 0:
            found += self._sliced(op, room, _pick(found))
        return _pick(found)

    def _sliced(self, op: ConvKernelOp, room: int, best: _Choice) -> list[_Choice]:
        """Slices better than what is known already; the best of those that are tried."""
        whole, depth = self.sizes[op], nhwc(op.result)[2]
        guesses: list[_Choice] = []
        for cuts, count in product(_all_cuts(depth, block_of(op, self.machine).depth), (2, 1)):
            # As if the weights of all channels were equally long.
            sizes = [-(-whole * (end - start) // depth // ALIGNMENT) * ALIGNMENT for start, end in pairwise(cuts)]
            if sum(buffer_sizes(sizes, count)) <= room:
                guesses.append(self._through(op, cuts, sizes, count))
        for _ in range(TRIES):
            guesses = [guess for guess in guesses if _pick([best, guess]) is guess]
            if not guesses:
                break
            guess = _pick(guesses)
            guesses.remove(guess)
            exact = self._through(op, guess.cuts, self._exact(op, guess.cuts), guess.buffers)
            if exact.memory <= room and _pick([best, exact]) is exact:
                return [exact]
        return []

    def _exact(self, op: ConvKernelOp, cuts: Sequence[int]) -> list[int]:
        """The bytes of every slice."""
        if len(cuts) == 2:
            return [self.sizes[op]]
        return slice_sizes([(op, cuts)], self.machine)[0]

    def _take(self, op: ConvKernelOp, choice: _Choice, room: int) -> None:
        """Write a choice on its kernel, and account for its transfers and memory."""
        self.cuts.setdefault(self._key(op), choice.cuts)
        if len(choice.cuts) > 2:
            op.slices = IntsAttr(choice.cuts)
        if choice.buffers:
            op.buffers = IntsAttr((choice.buffers,))
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

    def _cascade(self, cascade: CascadeOp, room: int) -> None:
        """Buffers for the kernels of a cascade, those that save most cycles together."""
        kernels = cascade.kernels
        front = NOTHING
        for index, op in enumerate(kernels):
            if not isinstance(op, ConvKernelOp):
                continue
            if op.buffers is not None:
                room -= sum(buffer_sizes(self._exact(op, cuts_of(op)), op.buffers.data[0]))
            elif op.slices is None:
                height = nhwc(op.result)[0]
                rows = op.stripe.data[0] if op.stripe is not None else height
                launch, depth, size = self._launch(op, rows), nhwc(op.result)[2], self.sizes[op]
                near, far = (self._cost(launch, depth, size, area).cycles for area in (self.area, "constants"))
                front = extended(front, index, size, (far - near) * -(-height // rows) - self._early(size, size)[1])
        for index in best_within(front, room).kernels:
            op = kernels[index]
            assert isinstance(op, ConvKernelOp)
            op.buffers = IntsAttr((1,))
            room -= self.sizes[op]
            self._fetch_before(self.sizes[op], self.sizes[op])
        costs: dict[tuple[int, int], int] = {}
        for launch in cascade.unrolled().launches:
            key = launch.stage, launch.stop - launch.start
            if key not in costs:
                costs[key] = self._idle(self._plain(kernels[launch.stage], key[1]))
            self._add_launch(costs[key], room)


def _pick(choices: Sequence[_Choice]) -> _Choice:
    """The quickest choice, or a smaller one that is hardly slower."""
    least = min(choice.cycles for choice in choices)
    good = [choice for choice in choices if choice.cycles <= least * TOLERANCE]
    return min(good, key=lambda choice: (choice.memory, choice.cycles, len(choice.cuts), choice.buffers))


def _all_cuts(depth: int, block_depth: int) -> list[tuple[int, ...]]:
    """Ways to cut the depth: a first slice, then slices of one size, each so many blocks and no odd part of a brick."""
    if block_depth % BRICK or block_depth >= depth:
        return []
    steps = [block_depth << power for power in range(6) if block_depth << power < depth]
    found = {(0, *range(first, depth, step), depth): None for first, step in product(steps, steps)}
    return list(found)
