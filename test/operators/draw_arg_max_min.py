"""Draws ARG_MAX and ARG_MIN: along any axis, of few and of many values, among which the same one often comes twice."""

from __future__ import annotations

from drawing import NO_SCALARS, TYPES, Draw, draw_shape, draw_tensor, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model, Tensor


def draw_index(draw: Draw, name: str) -> Model:
    dtype, shape = draw(st.sampled_from((*TYPES[:2] * 6, "int16"))), draw_shape(draw, NO_SCALARS[2:])
    axis = draw(st.integers(0, len(shape) - 1))
    if not draw(one_in(6)):
        axis = max(range(len(shape)), key=lambda axis: shape[axis])
    x = draw_tensor(draw, "x", shape, dtype)
    if draw(one_in(6)):
        x.scale = None
    y = Tensor("y", [*shape[:axis], *shape[axis + 1 :]], draw(st.sampled_from(("int32", "int32", "int32", "int64"))))
    axes = ints("axis", signed_axis(draw, axis, len(shape)))
    return model([x], [y], name, [x, axes], output_type=y.dtype)


DRAWERS = {"ARG_MAX": draw_index, "ARG_MIN": draw_index}
