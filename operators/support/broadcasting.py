"""
How the NPU, whose feature maps have three dimensions, computes what broadcasts in any number of them.

Neighbouring axes along which the operands repeat alike are one axis. Where more than three are left, the outermost ones
are gone through one by one, with a kernel for each index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

MOST_ELEMENTS = 65535
"""Elements of one axis of a feature map."""

Sizes = tuple[int, int, int]
"""Of one axis: of both operands, and of the result."""


@dataclass(frozen=True)
class Broadcast:
    """Axes that are gone through one by one, and three that a kernel has: height, width and depth."""

    outer: tuple[Sizes, ...]
    inner: tuple[Sizes, ...]

    @property
    def kernels(self) -> int:
        return prod(size for _, _, size in self.outer)

    def shape(self, which: int) -> tuple[int, int, int, int]:
        """1 x H x W x C of an operand (0 or 1), or of the result (2), as a kernel sees it."""
        height, width, depth = (sizes[which] for sizes in self.inner)
        return 1, height, width, depth

    def parts(self, which: int) -> list[int]:
        """Which part of an operand (0 or 1) each kernel reads, counted along the outer axes."""
        places: list[int] = []
        for indices in product(*(range(size) for _, _, size in self.outer)):
            place = 0
            for index, sizes in zip(indices, self.outer, strict=True):
                place = place * sizes[which] + (index if sizes[which] > 1 else 0)
            places.append(place)
        return places


def broadcast_of(a: Sequence[int], b: Sequence[int], result: Sequence[int]) -> Broadcast:
    """How operands of two shapes, which must have the rank of the result, make it."""
    axes: list[Sizes] = list(zip(a, b, result, strict=True))
    axes = [(1, 1, 1)] * (3 - len(axes)) + axes
    outer: list[Sizes] = []
    while len(axes) > 3:
        # The outermost first, so that maps of one shape keep their width and depth.
        place = next((i for i in range(len(axes) - 1) if _alike(axes[i], axes[i + 1])), None)
        if place is None:
            outer.append(axes.pop(0))
        else:
            (a0, b0, r0), (a1, b1, r1) = axes[place : place + 2]
            axes[place : place + 2] = [(a0 * a1, b0 * b1, r0 * r1)]
    return Broadcast(tuple(outer), tuple(axes))


def _alike(one: Sizes, other: Sizes) -> bool:
    """Whether two neighbouring axes can be one: those of a single element go with any."""
    if one[2] * other[2] > MOST_ELEMENTS:
        return False
    repeats = [[size != sizes[2] for size in sizes] for sizes in (one, other)]
    return 1 in (one[2], other[2]) or repeats[0] == repeats[1]
