"""Drawers of comparisons, of logical operators and of SELECT: scales below 1, often equal; truth values."""

from __future__ import annotations

import numpy as np
from drawing import TYPES, Draw, Shape, draw_like, draw_shape, draw_tensor, model, one_in
from hypothesis import strategies as st
from one_operator import RANGES, arrays, near
from tiny_writer import Model, Tensor

RANKS = (1, 2, 3, 4, 4, 4, 5, 6)


def draw_parts(draw: Draw, count: int) -> tuple[list[Shape], Shape]:
    """Shapes that broadcast, and what they make."""
    shape = draw_shape(draw, RANKS)
    parts: list[Shape] = []
    for _ in range(count):
        part = tuple(1 if draw(one_in(5)) else size for size in shape)
        parts.append(part[draw(st.integers(0, len(part))) if draw(one_in(4)) else 0 :])
    return parts, np.broadcast_shapes(*parts)


def draw_comparison(draw: Draw, name: str) -> Model:
    dtype = draw(st.sampled_from(TYPES))
    (of_a, of_b), result = draw_parts(draw, 2)
    a = draw_tensor(draw, "a", of_a, dtype, draw(near(2.0**-7, -5, 5)))
    b = draw_like(draw, "b", of_b, a)
    if draw(st.booleans()):
        b = draw_tensor(draw, "b", of_b, dtype, a.scales()[0])
    if draw(one_in(4)):
        b.shape = (1,) if draw(st.booleans()) else of_b
        b.data = draw(arrays(b.shape, *RANGES[dtype], dtype))
        result = np.broadcast_shapes(of_a, tuple(b.shape))
    operands = [a, b] if draw(st.booleans()) else [b, a]
    return model([t for t in operands if t.data is None], [Tensor("y", result, "bool")], name, operands)


def draw_logical(draw: Draw, name: str) -> Model:
    shapes, result = draw_parts(draw, 1 if name == "LOGICAL_NOT" else 2)
    operands = [Tensor(f"x{i}", shape, "bool") for i, shape in enumerate(shapes)]
    if len(operands) > 1 and draw(one_in(4)):
        operands[1].data = draw(arrays(shapes[1], 0, 1, "int8")).astype(bool)
    return model([t for t in operands if t.data is None], [Tensor("y", result, "bool")], name, operands)


def draw_select(draw: Draw, name: str) -> Model:
    dtype = draw(st.sampled_from(TYPES))
    shapes, result = draw_parts(draw, 3)
    if name == "SELECT" and not draw(one_in(6)):
        shapes = [result] * 3
    condition = Tensor("condition", shapes[0], "bool")
    a = draw_tensor(draw, "a", shapes[1], dtype)
    b = draw_like(draw, "b", shapes[2], a)
    for value in (a, b):
        if draw(one_in(5)):
            value.data = draw(arrays(value.shape, *RANGES[dtype], dtype))
    operands = [condition, a, b]
    return model([t for t in operands if t.data is None], [draw_like(draw, "y", result, a)], name, operands)


DRAWERS = {
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), draw_comparison),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"), draw_logical),
    **dict.fromkeys(("SELECT", "SELECT_V2"), draw_select),
}
