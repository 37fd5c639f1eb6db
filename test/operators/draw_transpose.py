"""TRANSPOSE, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, ints, model, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model


def draw_transpose(draw: Draw, name: str) -> Model:
    """Any permutation."""
    shape = draw_shape(draw, MOVED_RANKS)
    order = draw(st.permutations(range(len(shape))))
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", [shape[axis] for axis in order], x)
    return model([x], [y], name, [x, ints("perm", [signed_axis(draw, axis, len(shape)) for axis in order])])


DRAWERS = {"TRANSPOSE": draw_transpose}
