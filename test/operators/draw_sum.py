"""Draws SUM: over any axes, with scales near to the operand's or such that the sums fill the result's range."""

from __future__ import annotations

import math

from drawing import NO_SCALARS, TYPES, Draw, draw_shape, draw_tensor, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from one_operator import near
from tiny_writer import Model


def draw_sum(draw: Draw, name: str) -> Model:
    dtype, shape = draw(st.sampled_from(TYPES)), draw_shape(draw, NO_SCALARS)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    keep = draw(st.booleans()) or (len(axes) == len(shape) and not draw(one_in(6)))
    result = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or keep]
    x = draw_tensor(draw, "x", shape, dtype)
    y = draw_tensor(draw, "y", result, dtype, x.scales()[0])
    if draw(st.booleans()):
        count = math.prod(shape[axis] for axis in axes)
        y.scale = draw(near(x.scales()[0] * math.sqrt(count), -2, 2))
    operand = ints("axes", [signed_axis(draw, axis, len(shape)) for axis in axes])
    return model([x], [y], name, [x, operand], keep_dims=keep)


DRAWERS = {"SUM": draw_sum}
