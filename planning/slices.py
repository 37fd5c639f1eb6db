"""
The ways to bring the weights of one kernel: in place, whole, or cut into slices that pass through buffers.

What a way takes before anything is known of its neighbours depends on the kernel, its block and its memories alone. So
that is found out once, for all plans and passes that ask (`slices_of`), by the values that it depends on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import NamedTuple

from npuc.analysis.weights import ALIGNMENT, buffer_sizes
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import Places, dma_cycles, idle_cycles, kernel_cost
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import BRICK, Kernel
from npuc.planning.forms import of_channels


class Sizes(NamedTuple):
    """Bytes of a slice of weights."""

    weights: int
    """Without scales."""
    scales: int
    """Of scales that are stored, and brought, with the weights."""

    @property
    def total(self) -> int:
        """What one transfer brings."""
        return self.weights + self.scales


class Weighted(NamedTuple):
    """What the ways to bring a kernel's weights depend on."""

    machine: Accelerator
    setup: MemorySetup
    launch: Kernel
    """As most are, of all channels."""
    block: Block
    places: Places
    area: Area
    """Where buffers lie."""
    sizes: Sizes
    """Of all weights as one run."""


class Slice(NamedTuple):
    """What the launch of a slice takes."""

    size: int
    """Bytes of its weights and the scales with them."""
    cycles: int
    fill: int
    """Cycles to fill the pipeline."""
    idle: int
    """Cycles in which the port of the constants is idle."""
    blocks: int
    transfer: int
    """Cycles of the transfer that brings its weights; 0 for weights in place."""


class Way(NamedTuple):
    """A way to bring weights: where the stream is cut, through which buffers, and what its slices take."""

    cuts: tuple[int, ...]
    buffers: tuple[int, ...]
    """Bytes of each buffer; none for weights in place."""
    slices: Sequence[Slice]
    memory: int
    """Bytes of all buffers."""
    least: int
    """Cycles of all launches, if no transfer holds them up."""


class Guess(NamedTuple):
    """A way to slice weights if those of all channels were equally long: what decides whether it may win."""

    cuts: tuple[int, ...]
    through: int
    """How many buffers."""
    memory: int
    """As that of the way."""
    least: int
    """As that of the way."""


class Slices:
    """The ways of one kernel."""

    def __init__(self, kernel: Weighted):
        self._kernel = kernel
        self._slices: dict[tuple[int, Sizes, bool], Slice] = {}
        self._ways: dict[tuple[tuple[int, ...], tuple[Sizes, ...] | None, int], Way] = {}

    def way(self, cuts: tuple[int, ...], sizes: Sequence[Sizes] | None, through: int) -> Way:
        """Slices of these sizes, as long as a guess has them if none are given, through so many buffers or in place."""
        key = cuts, None if sizes is None else tuple(sizes), through
        if key not in self._ways:
            channels = [high - low for low, high in pairwise(cuts)]
            if sizes is None:
                sizes = [self._share(one) for one in channels]
            slices = [self._slice(*one, bool(through)) for one in zip(channels, sizes, strict=True)]
            buffers = tuple(filter(None, buffer_sizes([one.size for one in slices], through))) if through else ()
            self._ways[key] = Way(cuts, buffers, slices, sum(buffers), sum(one.cycles for one in slices))
        return self._ways[key]

    @cached_property
    def guesses(self) -> Sequence[Guess]:
        """All ways to slice the weights."""
        found: list[Guess] = []
        for cuts in _all_cuts(self._kernel.launch.ofm.depth, self._kernel.block.depth):
            channels = [high - low for low, high in pairwise(cuts)]
            slices = {one: self._slice(one, self._share(one), True) for one in set(channels)}
            least = sum(number * slices[one].cycles for one, number in Counter(channels).items())
            sizes = [slices[one].size for one in channels]
            found += [Guess(cuts, through, sum(buffer_sizes(sizes, through)), least) for through in (2, 1)]
        return found

    def _share(self, channels: int) -> Sizes:
        """Bytes of so many channels, if the weights of all are equally long."""
        weights, scales = self._kernel.sizes
        depth = self._kernel.launch.ofm.depth
        return Sizes(*(-(-size * channels // depth // ALIGNMENT) * ALIGNMENT for size in (weights, scales)))

    def _slice(self, channels: int, sizes: Sizes, buffered: bool) -> Slice:
        key = channels, sizes, buffered
        if key not in self._slices:
            machine, setup, launch, block, places, area, _ = self._kernel
            places = places._replace(weights=area if buffered else "constants")
            cost = kernel_cost(machine, setup, of_channels(launch, channels), block, places, sizes.weights)
            transfer = dma_cycles(setup.constants, setup.memory(area), sizes.total) if buffered else 0
            idle = idle_cycles(cost, setup.constants)
            self._slices[key] = Slice(sizes.total, cost.cycles, cost.fill_cycles, idle, cost.blocks, transfer)
        return self._slices[key]


@lru_cache(maxsize=512)
def slices_of(kernel: Weighted) -> Slices:
    """The ways to bring the weights of a kernel."""
    return Slices(kernel)


def _all_cuts(depth: int, block_depth: int) -> list[tuple[int, ...]]:
    """Ways to cut the depth: a first slice, then slices of one size, each so many blocks and no odd part of a brick."""
    if block_depth % BRICK or block_depth >= depth:
        return []
    steps = [block_depth << power for power in range(6) if block_depth << power < depth]
    found = {(0, *range(first, depth, step), depth): None for first, step in product(steps, steps)}
    return list(found)
