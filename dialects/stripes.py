"""
The order in which kernels of a cascade run, stripe by stripe, and the rows of each result that are alive on the way.

Plain data: planners ask before a cascade exists, its verifier asks whether the rolling buffers are high enough, and the
lowering emits launches in the order found here, so that the three cannot disagree.

A kernel runs on demand. Before a launch of the consumer its producers run as far as that launch reads and no further,
in launches of at most their stripe. Then no row is made before somebody waits for it, and a rolling buffer need hold
only what a consumer's launch sees: `(stripe - 1) * stride + window rows` for a single consumer, and the lag between
branches where there are several.

A cascade may walk *upwards*, from the last rows to the first. That is the same walk where rows are counted from the
last one: its stages are those of mirrored reaches, and its launches are turned in the end.

A transfer is a stage as well. It runs *ahead*: right behind a launch that reads from it, it brings what the next one
will read, so that it runs beside the kernel. Its rolling buffer holds the rows of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
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

    def mirrored(self, rows: int) -> Reach:
        """The same of an OFM of `rows` rows where rows of both are counted from the last one."""
        return self._replace(top=(rows - 1) * self.stride + self.window - self.top - self.height * self.up)

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
    """One kernel of a cascade, or one transfer."""

    height: int
    """Rows of its OFM."""
    stripe: int
    """At most so many of them a launch."""
    inputs: tuple[Input, ...] = ()
    """What it reads of earlier stages."""
    leaves: bool = False
    """Its OFM is needed outside the cascade, so all of it is made."""
    granule: Reach | None = None
    """How it reads an upscaled IFM, which decides where its launches may start."""
    ahead: bool = False
    """It runs beside its readers: right behind a launch of one it makes what the next launch of that one reads."""

    def following(self, start: int) -> int:
        """Where a launch from row `start` on ends."""
        stop = start + self.stripe
        if self.granule is not None:
            stop = self.granule.aligned(stop)
        return min(stop, self.height)


class Launch(NamedTuple):
    """OFM rows `start` to `stop` of one stage."""

    stage: int
    start: int
    stop: int


class Unrolled(NamedTuple):
    """Launches in order, and for each stage the most rows of its OFM that are alive at one time."""

    launches: list[Launch]
    alive: list[int]


class Counted(NamedTuple):
    """For each stage how many launches have how many rows, and the most rows of its OFM that are alive at one time."""

    launches: list[dict[int, int]]
    alive: list[int]


def pieces(start: int, stop: int, rolling: int) -> Iterator[tuple[int, int]]:
    """Rows `start` to `stop`, cut where a buffer of `rolling` rows wraps: what a DMA brings at a time."""
    while start < stop:
        end = min(stop, start - start % rolling + rolling)
        yield start, end
        start = end


def turned(unrolled: Unrolled, stages: Sequence[Stage]) -> Unrolled:
    """Launches whose rows are counted from the last one, counted from the first; or the other way round."""
    heights = [stage.height for stage in stages]
    launches = [
        Launch(stage, heights[stage] - stop, heights[stage] - start) for stage, start, stop in unrolled.launches
    ]
    return unrolled._replace(launches=launches)


def bytes_before(
    launches: Sequence[Launch], writer: int, row: int, readers: Sequence[tuple[int, Reach]], read_row: int
) -> int:
    """
    How many bytes before a feature map that is read one that is written has to begin, so that none is written over one
    that is still to be read; negative if it may begin behind.

    `launches` are those of a walk from the first row on, `writer` is the stage that writes rows of `row` bytes,
    `readers` are the stages that read rows of `read_row` bytes, and how. A launch may write over what launches before
    it have read, nothing that it reads itself. Where both are to be walked upwards, rows and bytes are counted from the
    end.
    """
    height = readers[0][1].height
    least = -height * read_row
    low = height
    reaches: dict[int, list[Reach]] = {}
    for stage, reach in readers:
        reaches.setdefault(stage, []).append(reach)
    for stage, start, stop in reversed(launches):
        for reach in reaches.get(stage, ()):
            low = min(low, reach.first(start))
        if stage == writer and low < height:
            least = max(least, stop * row - low * read_row)
    return least


LONGEST_PERIOD = 4
"""After at most so many launches of the last stage things are taken to repeat: after one, where no stage upscales."""


def unroll(stages: Sequence[Stage]) -> Unrolled:
    """Run a cascade on demand from its last stage; what leaves it elsewhere is completed afterwards."""
    run = _Run(stages)
    for index in run.drivers():
        run.produce(index, stages[index].height)
    return Unrolled(run.launches, run.alive)


@lru_cache(maxsize=4096)
def count(stages: tuple[Stage, ...]) -> Counted:
    """What `unroll` does, in a time that hardly depends on the rows: launches that repeat are counted, not made."""
    run = _Run(stages)
    longest = LONGEST_PERIOD if any(stage.granule is not None for stage in stages) else 1
    skipped: list[dict[int, int]] = [{} for _ in stages]
    for index in run.drivers():
        marks: list[tuple[list[int], int]] = []
        """Before each launch of the stage: the rows done of each stage, and the number of launches."""
        while run.done[index] < stages[index].height:
            marks.append((run.done.copy(), len(run.launches)))
            for before, launched in marks[-2 : -2 - longest : -1]:
                if times := run.repeats(before):
                    for stage, start, stop in run.launches[launched:]:
                        skipped[stage][stop - start] = skipped[stage].get(stop - start, 0) + times
                    run.skip(before, times)
                    marks.clear()
                    break
            run.launch(index, stages[index].height)
    for stage, start, stop in run.launches:
        skipped[stage][stop - start] = skipped[stage].get(stop - start, 0) + 1
    return Counted(skipped, run.alive)


class _Run:
    """A cascade on its way."""

    def __init__(self, stages: Sequence[Stage]):
        self.stages = stages
        self.readers: list[list[tuple[int, Reach]]] = [[] for _ in stages]
        for index, stage in enumerate(stages):
            for producer, reach in stage.inputs:
                self.readers[producer].append((index, reach))
        self.done = [0] * len(stages)
        """Rows of each stage's OFM that are made."""
        self.alive = [0] * len(stages)
        self.launches: list[Launch] = []

    def drivers(self) -> list[int]:
        """The stages that are run for their own sake, in order."""
        last = reversed(range(len(self.stages)))
        return [index for index in last if self.stages[index].leaves or not self.readers[index]]

    def produce(self, index: int, target: int) -> None:
        """Run a stage until `target` rows are made."""
        while self.done[index] < target:
            self.launch(index, target)

    def launch(self, index: int, target: int) -> None:
        """Launch a stage once, for no more than `target` rows in all, and before it what it reads."""
        stage, done = self.stages[index], self.done
        start = done[index]
        stop = min(start + stage.stripe, target)
        if stage.granule is not None:
            stop = min(stage.granule.aligned(stop), stage.height)
        for producer, reach in stage.inputs:
            self.produce(producer, reach.end(stop))
        low = start
        for reader, reach in self.readers[index]:
            if done[reader] < self.stages[reader].height:
                low = min(low, reach.first(done[reader]))
        self.alive[index] = max(self.alive[index], stop - low)
        self.launches.append(Launch(index, start, stop))
        for producer, reach in stage.inputs:
            if self.stages[producer].ahead:
                # This launch is not done yet: what it reads is alive.
                self.produce(producer, reach.end(stage.following(stop)))
        done[index] = stop

    def repeats(self, before: Sequence[int]) -> int:
        """
        How often what has been run since `before` (rows done of each stage) will be run again at least, rows further
        on; 0 if it need not be.

        It will if every stage that is not complete stands to its readers that were run as it did: so many more rows of
        the one call for just as many more of the other. The ends of feature maps, where windows see fewer rows, are
        left out.
        """
        steps = [now - then for now, then in zip(self.done, before, strict=True)]
        times = max(stage.height for stage in self.stages)
        for stage, now, step in zip(self.stages, self.done, steps, strict=True):
            if step:
                times = min(times, (stage.height - now) // step - 1)
        if times <= 0:
            return 0
        for index, stage in enumerate(self.stages):
            if not steps[index]:
                continue
            if any(self.stages[producer].ahead for producer, _ in stage.inputs):
                # The end of the next launch, too, is to be away from the end of the feature map.
                left = stage.height - self.done[index] - stage.stripe - (stage.granule is not None)
                times = min(times, left // steps[index] - 1)
            for producer, reach in stage.inputs:
                if steps[producer] * reach.up != steps[index] * reach.stride and (
                    self.done[producer] < self.stages[producer].height
                ):
                    return 0
            if stage.granule is not None and steps[index] * stage.granule.stride % stage.granule.up:
                return 0
        return max(0, times)

    def skip(self, before: Sequence[int], times: int) -> None:
        """Leave out what would be run so many times again."""
        for index, then in enumerate(before):
            self.done[index] += (self.done[index] - then) * times
