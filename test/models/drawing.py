"""
What drawers of operators are made of: shapes, tensors, and a model of one operator.

`test/operators/draw_*.py` has a drawer for each operator of the file of that name in `operators/`:

    def draw_abs(draw, name):
        x = draw_tensor(draw, "x", draw_shape(draw), draw(st.sampled_from(TYPES)))
        y = draw_tensor(draw, "y", x.shape, x.dtype, x.scales()[0])
        return model([x], [y], name, [x])

    DRAWERS = {"ABS": draw_abs}

`test/unit/test_weightless_operators.py` draws them all; what must hold is in one_operator.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from one_operator import near, scales, zero_points
from tiny_writer import Model, Op, Subgraph, Tensor, constant

LARGEST = 1200
"""Elements of a drawn tensor: enough for each value of 8 bits, few enough to be quick."""
TYPES = ("int8", "uint8", "int16")
MOVED = (*TYPES, "int32")
"""Types of operators that move values."""

RANKS = (1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 5, 0)
NO_SCALARS = RANKS[:-1]
MOVED_RANKS = (*NO_SCALARS, 5, 6, 6)
"""Ranks of operators that move values."""

Draw = Callable[[st.SearchStrategy[Any]], Any]
Shape = tuple[int, ...]


# What tensors are made of


def one_in(count: int) -> st.SearchStrategy[bool]:
    """True once in `count` draws."""
    return st.integers(1, count).map(lambda drawn: drawn == count)


def related(scale: float) -> st.SearchStrategy[float]:
    """Scales beside `scale`: equal, a power of two from it, nearly that, near, far, anywhere."""
    powers = st.integers(-4, 4).map(lambda power: scale * 2.0**power)
    return st.one_of(
        st.just(scale),
        powers,
        st.builds(lambda power, off: power * (1 + off), powers, st.sampled_from((-6e-4, 5e-5, 6e-4, 8e-4))),
        near(scale, -3, 3),
        near(scale, -20, 32),
        scales(),
    ).map(lambda drawn: float(np.float32(min(max(drawn, 2.0**-40), 2.0**40))))


def draw_shape(draw: Draw, ranks: Sequence[int] = RANKS, most: int = LARGEST) -> Shape:
    """A shape of one of `ranks` and at most so many elements, often with an axis that is long, or of 1."""
    rank, left = draw(st.sampled_from(ranks)), most
    sizes: list[int] = []
    for _ in range(rank):
        size = min(draw(st.sampled_from((1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33))), left)
        sizes.append(size)
        left //= size
    if rank and draw(one_in(3)):
        sizes[draw(st.integers(0, rank - 1))] *= left
    if rank == 4 and not draw(one_in(6)):
        sizes[0] = 1
    return tuple(sizes)


def draw_like(draw: Draw, name: str, shape: Sequence[int], other: Tensor) -> Tensor:
    """A tensor quantised as another one; now and then otherwise."""
    if other.scale is None:
        return Tensor(name, shape, other.dtype)
    scale, zero = other.scales()[0], other.zeros()[0]
    if draw(one_in(12)):
        scale, zero = draw(related(scale)), draw(zero_points(other.dtype))
    return Tensor(name, shape, other.dtype, scale, zero)


def draw_tensor(draw: Draw, name: str, shape: Sequence[int], dtype: str, scale: float | None = None) -> Tensor:
    """A tensor of any zero point, with a scale drawn beside `scale`, or any."""
    drawn = draw(scales() if scale is None else related(scale))
    return Tensor(name, shape, dtype, drawn, draw(zero_points(dtype)))


def draw_moved(draw: Draw, name: str, shape: Sequence[int]) -> Tensor:
    """A tensor of any type that is moved; 32 bits are integers, and the others now and then."""
    dtype = draw(st.sampled_from(MOVED))
    if dtype == "int32" or draw(one_in(8)):
        return Tensor(name, shape, dtype)
    return draw_tensor(draw, name, shape, dtype)


def model(inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str, operands: Sequence[Tensor], **options: Any):
    """A model of one operator; the graph's inputs are those operands that hold no data."""
    return Model(Subgraph(list(inputs), list(outputs), [Op(name, list(operands), list(outputs), **options)]))


def ints(name: str, values: Any) -> Tensor:
    """A constant operand of integers."""
    return constant(name, np.array(values, np.int32))


def signed_axis(draw: Draw, axis: int, rank: int) -> int:
    """An axis counted from the front or from the back."""
    return axis - rank if draw(st.booleans()) else axis


ACTIVATIONS = st.sampled_from((*("NONE", "RELU", "RELU6", "RELU_N1_TO_1") * 3, "TANH"))
