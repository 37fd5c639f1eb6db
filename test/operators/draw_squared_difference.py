"""Drawer of SQUARED_DIFFERENCE: scales equal every other time, shapes that broadcast."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_shape, draw_tensor, model, one_in
from hypothesis import strategies as st
from one_operator import arrays
from tiny_writer import Model


def draw_squared_difference(draw: Draw, name: str) -> Model:
    dtype = draw(st.sampled_from(("int8",) * 6 + TYPES))
    shape = draw_shape(draw, (1, 2, 3, 4, 4, 4, 5, 6))
    sizes = [[1 if draw(one_in(5)) else size for size in shape] for _ in range(2)]
    a = draw_tensor(draw, "a", sizes[0], dtype, 1 / 32)
    b = draw_tensor(draw, "b", sizes[1][draw(st.integers(0, 1)) * (len(shape) > 1) :], dtype, a.scales()[0])
    if draw(st.booleans()):
        b.scale = a.scale
    result = [max(sizes[0][i], ([1] * len(shape) + list(b.shape))[i - len(shape)]) for i in range(len(shape))]
    y = draw_tensor(draw, "y", result, dtype, a.scales()[0] * draw(st.sampled_from((1.0, 1 / 8, 4.0))))
    if draw(one_in(4)):
        b.data = draw(arrays(b.shape, -128 if dtype != "uint8" else 0, 127, dtype))
    operands = [a, b] if draw(st.booleans()) else [b, a]
    return model([t for t in operands if t.data is None], [y], name, operands)


DRAWERS = {"SQUARED_DIFFERENCE": draw_squared_difference}
