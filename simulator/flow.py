"""Which operations of a run another one's result was made of, by the bytes that they read and wrote."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.memory import Access, Memory

_MAPS = ("IFM", "IFM2")


def _mark(accesses: Sequence[Access], memory: Memory) -> NDArray[np.bool_]:
    marks = np.zeros(memory.size, np.bool_)
    for access in accesses:
        if access.memory is memory:
            for piece in access.pieces:
                piece.view(marks)[...] = True
    return marks


class Flow:
    """The operations of a run in their order, each with what it read and wrote."""

    def __init__(self) -> None:
        self._steps: list[tuple[Sequence[Access], Sequence[Access]]] = []

    def add(self, reads: Sequence[Access], writes: Sequence[Access]) -> int:
        """Takes the next operation; gives its place."""
        self._steps.append((reads, writes))
        return len(self._steps) - 1

    def goes_past(self, places: Collection[int], target: int, also: Collection[int] = ()) -> bool:
        """
        Whether the feature maps of the operation at `target` were made of something older than those at `places`,
        other than through these and the operations at `also`; of constants everything may be made.
        """
        first = min(places)
        through = {*places, *also}
        todo, visited = [target], {target}
        while todo:
            place = todo.pop()
            for memory, marks in self._maps(place):
                for writer in self._writers(place, memory, marks):
                    if writer in through or self._brings_constants(writer):
                        continue
                    if writer < first:
                        return True
                    if writer not in visited:
                        visited.add(writer)
                        todo.append(writer)
        return False

    def _brings_constants(self, place: int) -> bool:
        """Whether an operation is a DMA from memory that nothing writes."""
        reads = self._steps[place][0] if place >= 0 else ()
        if not reads or any(access.what in _MAPS for access in reads):
            return False
        return all(not self._writers(place, memory, marks) for memory, marks in self._maps(place))

    def _maps(self, place: int) -> list[tuple[Memory, NDArray[np.bool_]]]:
        """The bytes of feature maps that an operation reads, or of anything that a DMA does, by memory."""
        reads = self._steps[place][0]
        maps = [access for access in reads if access.what in _MAPS] or list(reads)
        memories = {id(access.memory): access.memory for access in maps}
        return [(memory, _mark(maps, memory)) for memory in memories.values()]

    def _writers(self, place: int, memory: Memory, marks: NDArray[np.bool_]) -> list[int]:
        """Who last wrote some bytes before an operation; -1 if an operation of the CPU or the caller did."""
        if not any(access.memory is memory for _, writes in self._steps for access in writes):
            return []  # it holds constants
        found: list[int] = []
        for writer in reversed(range(place)):
            writes = self._steps[writer][1]
            if not any(access.memory is memory for access in writes):
                continue
            made = _mark(writes, memory)
            if (made & marks).any():
                found.append(writer)
                marks = marks & ~made
                if not marks.any():
                    return found
        return [*found, -1]
