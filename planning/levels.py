"""
A row of numbers along time that is asked for the last one above a limit, while ranges of it are raised and lowered.

What is free beside every launch, and what time it leaves on a port, are such rows: a transfer is issued behind the last
launches that have time for it, up to the last that has no room. Every question and change takes the logarithm of the
row's length, so that a search back over launches that are full already costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Levels:
    """Numbers by their index from 0."""

    def __init__(self, values: Iterable[int] = ()):
        self._leaves = list(values)
        self._grow()

    def __len__(self) -> int:
        return len(self._leaves)

    def _grow(self) -> None:
        """A binary tree over the row, with as many leaves again to come."""
        self._size = 1 << max(1, len(self._leaves)).bit_length()
        self._raised = [0] * (2 * self._size)
        """What has been added to all below a node."""
        self._most: list[float] = [float("-inf")] * (2 * self._size)
        """The largest number below a node, without what its parents have been raised by."""
        self._most[self._size : self._size + len(self._leaves)] = self._leaves
        for node in range(self._size - 1, 0, -1):
            self._most[node] = max(self._most[2 * node], self._most[2 * node + 1])

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self._leaves):
            raise IndexError(index)
        node = self._size + index
        value = self._leaves[index]
        while node:
            value += self._raised[node]
            node >>= 1
        return value

    def extend(self, values: Sequence[int]) -> None:
        """More numbers at the end."""
        first = len(self._leaves)
        if first + len(values) > self._size:
            self._leaves = [*(self[index] for index in range(first)), *values]
            self._grow()
            return
        self._leaves += values
        low = self._size + first
        self._most[low : low + len(values)] = values
        high = low + len(values) - 1
        while low > 1 and values:
            low, high = low >> 1, high >> 1
            for node in range(low, high + 1):
                self._most[node] = max(self._most[2 * node], self._most[2 * node + 1]) + self._raised[node]

    def add(self, start: int, stop: int, amount: int) -> None:
        """Raise all numbers from index `start` up to before `stop`."""
        if start >= stop:
            return
        low, high = self._size + start, self._size + stop
        first, last = low, high - 1
        while low < high:
            for node in ([low] if low & 1 else []) + ([high - 1] if high & 1 else []):
                self._most[node] += amount
                self._raised[node] += amount
            low, high = (low + 1) >> 1, high >> 1
        self._repair(first)
        self._repair(last)

    def _repair(self, node: int) -> None:
        node >>= 1
        while node:
            self._most[node] = max(self._most[2 * node], self._most[2 * node + 1]) + self._raised[node]
            node >>= 1

    def last_above(self, limit: int, stop: int) -> int:
        """The last index before `stop` whose number is more than `limit`; -1 if there is none."""
        waiting = [(1, 0, self._size, limit)]
        while waiting:
            node, low, high, left = waiting.pop()
            if low >= stop or self._most[node] <= left:
                continue
            if high - low == 1:
                return low
            left -= self._raised[node]
            middle = (low + high) // 2
            waiting += [(2 * node, low, middle, left), (2 * node + 1, middle, high, left)]
        return -1
