"""
The order in which kernels of a cascade run, stripe by stripe, and the rows of each result that are alive on the way.

Plain data: planners ask before a cascade exists, its verifier asks whether the rolling buffers are high enough, and the
lowering emits launches in the order found here, so that the three cannot disagree.

A kernel runs on demand. Before a launch of the consumer its producers run as far as that launch reads and no further,
in launches of at most their stripe. Then no row is made before somebody waits for it, and a rolling buffer need hold
only what a consumer's launch sees: `(stripe - 1) * stride + window rows` for a single consumer, and the lag between
branches where there are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from npuc.dialects.npu import Window


class Reach(NamedTuple):
    """Which rows of a feature map of `height` rows a launch reads: of an IFM under a window, or of a whole operand."""

    height: int
    stride: int = 1
    window: int = 1
    """Rows that the dilated window spans, in the upscaled IFM."""
    top: int = 0
    up: int = 1
    """Factor of upscaling."""
    whole: bool = False
    """Every launch reads all rows: a row that is broadcast."""

    @staticmethod
    def of(window: Window, height: int) -> Reach:
        """What a window reads of an IFM of so many rows."""
        up = 1 if window.upscale == "none" else 2
        return Reach(height, window.stride_y, window.dilated_height, window.top, up)

    def first(self, start: int) -> int:
        """The first row that OFM rows from `start` on read."""
        return 0 if self.whole else max(0, start * self.stride - self.top) // self.up

    def end(self, stop: int) -> int:
        """The row after the last that OFM rows up to `stop` read."""
        if self.whole:
            return self.height
        return min(self.height, -(-((stop - 1) * self.stride + self.window - self.top) // self.up))

    def aligned(self, stop: int) -> int:
        """The first place at or after `stop` where a next launch could start: at a row of the IFM as it is stored."""
        while self.up > 1 and (stop * self.stride - self.top) % self.up:
            stop += 1
        return stop


class Input(NamedTuple):
    """A feature map that a kernel of a cascade reads from another one."""

    producer: int
    reach: Reach


@dataclass(frozen=True)
class Stage:
    """One kernel of a cascade."""

    height: int
    """Rows of its OFM."""
    stripe: int
    """At most so many of them a launch."""
    inputs: Sequence[Input] = ()
    """What it reads of earlier stages."""
    leaves: bool = False
    """Its OFM is needed outside the cascade, so all of it is made."""
    granule: Reach | None = None
    """How it reads an upscaled IFM, which decides where its launches may start."""


class Launch(NamedTuple):
    """OFM rows `start` to `stop` of one stage."""

    stage: int
    start: int
    stop: int


class Unrolled(NamedTuple):
    """Launches in order, and for each stage the most rows of its OFM that are alive at one time."""

    launches: list[Launch]
    alive: list[int]


def unroll(stages: Sequence[Stage]) -> Unrolled:
    """Run a cascade on demand from its last stage; what leaves it elsewhere is completed afterwards."""
    count = len(stages)
    readers: list[list[tuple[int, Reach]]] = [[] for _ in range(count)]
    for index, stage in enumerate(stages):
        for producer, reach in stage.inputs:
            readers[producer].append((index, reach))
    heights = [stage.height for stage in stages]
    done = [0] * count
    alive = [0] * count
    launches: list[Launch] = []

    def produce(index: int, target: int) -> None:
        stage = stages[index]
        while done[index] < target:
            start = done[index]
            stop = min(start + stage.stripe, target)
            if stage.granule is not None:
                stop = min(stage.granule.aligned(stop), stage.height)
            for producer, reach in stage.inputs:
                end = reach.end(stop)
                if done[producer] < end:
                    produce(producer, end)
            low = start
            for reader, reach in readers[index]:
                if done[reader] < heights[reader]:
                    low = min(low, reach.first(done[reader]))
            alive[index] = max(alive[index], stop - low)
            launches.append(Launch(index, start, stop))
            done[index] = stop

    for index in reversed(range(count)):
        if stages[index].leaves or not readers[index]:
            produce(index, heights[index])
    return Unrolled(launches, alive)
