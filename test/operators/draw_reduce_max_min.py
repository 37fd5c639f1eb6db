"""Draws REDUCE_MAX and REDUCE_MIN: over any axes, of quantised values and of plain integers."""

from __future__ import annotations

from drawing import NO_SCALARS, TYPES, Draw, draw_like, draw_shape, draw_tensor, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model


def draw_extreme(draw: Draw, name: str) -> Model:
    dtype, shape = draw(st.sampled_from(TYPES)), draw_shape(draw, NO_SCALARS)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    keep = draw(st.booleans()) or (len(axes) == len(shape) and not draw(one_in(6)))
    result = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or keep]
    x = draw_tensor(draw, "x", shape, dtype)
    y = draw_like(draw, "y", result, x)
    if draw(one_in(6)):
        x.scale = y.scale = None
    operand = ints("axes", [signed_axis(draw, axis, len(shape)) for axis in axes])
    return model([x], [y], name, [x, operand], keep_dims=keep)


DRAWERS = {"REDUCE_MAX": draw_extreme, "REDUCE_MIN": draw_extreme}
