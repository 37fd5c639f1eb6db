"""
What a cascade saves if its result lies over what it is the last to read.

A result may begin so far before an operand that no launch writes over rows that are still to be read, or end so far
behind it if the cascade walks upwards (`npuc.dialects.stripes.bytes_before`). The launches of the last kernel alone
decide how far: after each of them a kernel above has made as many rows as windows ask for, whatever the stripes are
and wherever the cascade begins. So what all segments that end with one item need follows from one look at its rows.

Which direction a cascade takes is decided when all of them stand (`npu-schedule-overlap-results`). What is counted here
is the larger distance of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.allocation import Rule
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.feature_maps import nhwc, row_bytes
from npuc.dialects.npu_schedule import KernelOp
from npuc.dialects.stripes import Input, Reach, Stage
from npuc.hardware.alignment import ALIGNMENT
from npuc.planning.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Overlap(NamedTuple):
    """What a segment lays its result over, and the bytes that this saves."""

    tensor: int
    saved: int


class _Read(NamedTuple):
    """An operand of a kernel that it reads as it is, in memory of its own."""

    tensor: int
    value: SSAValue
    reach: Reach
    height: int
    row: int
    """Bytes of a row."""
    own: bool
    """It fills memory of its own, row by row."""


def mirrored(stages: Sequence[Stage]) -> tuple[Stage, ...] | None:
    """The same stages walked upwards; None where they cannot be."""
    if any(stage.granule is not None for stage in stages):
        return None
    return tuple(
        replace(stage, inputs=tuple(Input(one.producer, one.reach.mirrored(stage.height)) for one in stage.inputs))
        for stage in stages
    )


class _Reader(NamedTuple):
    """A read of what a result could lie over, and how far that has to begin before it and to end behind it."""

    read: _Read
    first: int
    """The item that is the first to write what is read."""
    may_be_over: bool
    """The result may lie over it, unless that is only in the way of others."""
    distance: int | None
    """Bytes either way, whatever is launched; None where that depends on the launches."""
    row: int = -1
    """Where distances by the rows that are made stand for this one: row 2 * `row` downwards, and the next upwards."""


class Ending:
    """What segments save that end with one item, however many rows its launches have."""

    def __init__(self, overlaps: Overlaps, stop: int, readers: list[list[_Reader]], apart: list[NDArray]):
        """`readers` by the item that reads, the last first; `apart` are the distances that their rows name."""
        import numpy as np

        self._overlaps, self._stop, self._readers = overlaps, stop, readers
        self._apart = np.stack(apart) if apart else np.empty((0, 1), np.int64)

    def in_launches_of(self, rows: int) -> list[Overlap | None]:
        """
        For the segments of 1, 2, ... items in launches of `rows` rows at the end what saves most; None where nothing
        does, and none for those that no result can lie over.
        """
        overlaps, stop, tensors = self._overlaps, self._stop, self._overlaps.network.tensors
        size = tensors[overlaps.network.items[stop].writes[0]].size
        apart = self._apart[:, _ends(rows, self._apart.shape[1])].max(axis=1).tolist()
        needs: dict[int, tuple[int, int]] = {}
        """By tensor the bytes by which the result has to begin before it, and end behind it."""
        saved: dict[int, tuple[int, int]] = {}
        """By tensor what lying over it saves, where it saves anything, and the item that is the first to write it."""
        most: list[Overlap | None] = []
        for number, readers in zip(range(stop, -1, -1), self._readers, strict=False):
            for read, first, may_be_over, distance, row in readers:
                if distance is not None:
                    needs[read.tensor] = distance, distance
                else:
                    if row < 0:
                        down, up = (overlaps.own_distance(stop, read, rows, upwards) for upwards in (False, True))
                    else:
                        down, up = apart[2 * row : 2 * row + 2]
                    before = needs.get(read.tensor, (down, up))
                    needs[read.tensor] = max(before[0], down), max(before[1], up)
                if may_be_over:
                    rules = overlaps.rules_of(stop, read, needs[read.tensor])
                    saved[read.tensor] = min(rule.saved(size, tensors[read.tensor].size) for rule in rules), first
            best: Overlap | None = None
            for tensor, (bytes_saved, first) in saved.items():
                if first < number and bytes_saved > (0 if best is None else best.saved):
                    best = Overlap(tensor, bytes_saved)
            most.append(best)
        return most


class Overlaps:
    """Answers for the segments of one network."""

    def __init__(self, network: Network, like: Overlaps | None = None):
        """`like`: of the same items and values, in other memories; what rows are made and read when is known there."""
        self.network = network
        if like is not None:
            self._reads, self._heights, self._row_bytes = like._reads, like._heights, like._row_bytes
            self._consumers, self._rows, self._apart = like._consumers, like._rows, like._apart
            return
        self._reads: list[list[_Read] | None] = [None] * len(network.items)
        self._heights = [nhwc(item.op.results[0])[0] for item in network.items]
        self._row_bytes = [row_bytes(item.op.results[0]) for item in network.items]
        self._consumers: list[list[tuple[int, Reach]]] = [[] for _ in network.items]
        for number, item in enumerate(network.items):
            op = item.op
            if not isinstance(op, KernelOp):
                continue
            for value in op.feature_maps:
                for producer in network.producers(value):
                    if producer >= 0:
                        self._consumers[producer].append((number, op.reach(value)))
        self._rows: dict[tuple[int, bool], list[NDArray]] = {}
        self._apart: dict[tuple[int, int, int, bool], NDArray] = {}

    def value(self, tensor: int, start: int, stop: int) -> SSAValue:
        """What items `start` to `stop` read of a tensor that their result lies over."""
        return next(
            read.value for number in range(start, stop + 1) for read in self._of(number) if read.tensor == tensor
        )

    def ending(self, lowest: int, stop: int, leaving: Sequence[bool]) -> Ending:
        """
        The segments of 1, 2, ... items that end with `stop`, the first of them item `lowest`. `leaving` says of items
        from `lowest` on whether others than the cascade need what they write.
        """
        network, tensors = self.network, self.network.tensors
        readers: list[list[_Reader]] = []
        apart: list[NDArray] = []
        op, result = network.items[stop].op, tensors[network.items[stop].writes[0]]
        if not isinstance(op, KernelOp) or not result.size or result.first != stop or not self._is_own(op.result):
            return Ending(self, stop, readers, apart)
        asked = None if op.laid_over is None else network.tensor_of(op.laid_over)
        whole = self._heights[stop] * self._row_bytes[stop]
        seen: dict[int, SSAValue] = {}
        several = any(leaving[:-1])
        for number in range(stop, lowest - 1, -1):
            if self._upscales(number):
                break
            readers.append([])
            for read in self._of(number):
                tensor = tensors[read.tensor]
                if tensor.last > stop or not tensor.size or tensor.first >= number:
                    continue
                reader = _Reader(read, tensor.first, asked in (None, read.tensor), None)
                if seen.setdefault(read.tensor, read.value) is not read.value or not read.own:
                    reader = reader._replace(distance=whole)
                elif number < stop:
                    reader = reader._replace(row=len(apart) // 2)
                    apart += (self._apart_by_rows(stop, number, read, upwards, several) for upwards in (False, True))
                readers[-1].append(reader)
        return Ending(self, stop, readers, apart)

    def rules(self, start: int, stop: int, rows: int, leaving: Sequence[bool], tensor: int) -> tuple[Rule, Rule]:
        """
        How the result of items `start` to `stop` may lie over a tensor: if they walk downwards, and upwards. `leaving`
        says of each of them whether others need what it writes.
        """
        reads = [(n, read) for n in range(start, stop + 1) for read in self._of(n) if read.tensor == tensor]
        down, up = (
            max(self._distance(stop, n, read, rows, upwards, any(leaving[:-1])) for n, read in reads)
            for upwards in (False, True)
        )
        return self.rules_of(stop, reads[0][1], (down, up))

    def rules_of(self, stop: int, read: _Read, distances: tuple[int, int]) -> tuple[Rule, Rule]:
        """The rules that follow from how many bytes the result has to begin before what is read, and end behind it."""
        down, up = distances
        written = self.network.items[stop].writes[0]
        behind = up + read.height * read.row - self._heights[stop] * self._row_bytes[stop]
        return (
            Rule(written, read.tensor, -down // ALIGNMENT * ALIGNMENT, behind=False),
            Rule(written, read.tensor, -(-behind // ALIGNMENT) * ALIGNMENT, behind=True),
        )

    def _distance(self, stop: int, number: int, read: _Read, rows: int, upwards: bool, several: bool) -> int:
        """
        The bytes by which the result of item `stop`, in launches of so many rows, has to begin before what item
        `number` reads.
        """
        if number == stop:
            return self.own_distance(stop, read, rows, upwards)
        apart = self._apart_by_rows(stop, number, read, upwards, several)
        return int(apart[_ends(rows, len(apart))].max())

    def _apart_by_rows(self, stop: int, number: int, read: _Read, upwards: bool, several: bool) -> NDArray:
        """`_distances`, found out once."""
        key = stop, number, read.tensor, upwards
        if key not in self._apart:
            self._apart[key] = self._distances(stop, number, read, upwards, several)
        return self._apart[key]

    def _distances(self, stop: int, number: int, read: _Read, upwards: bool, several: bool) -> NDArray:
        """The same for a launch that ended with row 1, 2, ..., after which item `number` reads from some row on."""
        import numpy as np

        done = self._done(stop, number, upwards)
        ends = np.arange(1, self._heights[stop] + 1)
        row, read_row = self._row_bytes[stop], read.row
        apart = ends * row - _first(self._turned(number, read.reach, upwards), done) * read_row
        # What other results want of it, too, it may go on to make in the end.
        complete = self._heights[number] if several else done[-1]
        return np.where(done >= complete, -read.height * read_row, apart)

    def own_distance(self, stop: int, read: _Read, rows: int, upwards: bool) -> int:
        """The same over all launches of item `stop`, which reads the operand itself."""
        import numpy as np

        height = self._heights[stop]
        starts = np.arange(0, height, rows)
        ends = np.minimum(starts + rows, height)
        row, read_row = self._row_bytes[stop], read.row
        return int((ends * row - _first(self._turned(stop, read.reach, upwards), starts) * read_row).max())

    def _done(self, stop: int, number: int, upwards: bool) -> NDArray:
        """The rows that an item has made when the last one has made 1, 2, ... rows."""
        import numpy as np

        known = self._rows.setdefault((stop, upwards), [np.arange(1, self._heights[stop] + 1)])
        while len(known) <= stop - number:
            at = stop - len(known)
            done = np.zeros_like(known[0])
            for reader, reach in self._consumers[at]:
                if reader <= stop:
                    done = np.maximum(done, _end(self._turned(reader, reach, upwards), known[stop - reader]))
            known.append(done)
        return known[stop - number]

    def _turned(self, number: int, reach: Reach, upwards: bool) -> Reach:
        return reach.mirrored(self._heights[number]) if upwards else reach

    def _of(self, number: int) -> list[_Read]:
        reads = self._reads[number]
        if reads is None:
            op, reads = self.network.items[number].op, []
            for value in op.feature_maps if isinstance(op, KernelOp) else ():
                tensor = self.network.tensor_of(value)
                if tensor is not None:
                    assert isinstance(op, KernelOp)
                    size = nhwc(value)[0], row_bytes(value)
                    reads.append(_Read(tensor, value, op.reach(value), *size, self._is_own(value)))
            self._reads[number] = reads
        return reads

    def _upscales(self, number: int) -> bool:
        return any(read.reach.up > 1 for read in self._of(number))

    def _is_own(self, value: SSAValue) -> bool:
        """Whether a value fills memory of its own, row by row."""
        storage = self.network.storage
        size = storage_bytes(tensor_type(storage.root(value)))
        return storage.is_linear(value) and size == storage_bytes(tensor_type(value))


def _ends(rows: int, height: int) -> NDArray:
    """Where launches of so many rows end, of `height` rows, counted from the first row."""
    import numpy as np

    return np.append(np.arange(rows - 1, height, rows), height - 1)


def _first(reach: Reach, starts: NDArray) -> NDArray:
    """`Reach.first` of many rows."""
    import numpy as np

    return np.zeros_like(starts) if reach.whole else np.maximum(0, starts * reach.stride - reach.top) // reach.up


def _end(reach: Reach, stops: NDArray) -> NDArray:
    """`Reach.end` of many rows; 0 where none are made."""
    import numpy as np

    if reach.whole:
        return np.where(stops > 0, reach.height, 0)
    ends = -(-((stops - 1) * reach.stride + reach.window - reach.top) // reach.up)
    return np.where(stops > 0, np.clip(ends, 0, reach.height), 0)
