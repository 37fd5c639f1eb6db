"""REVERSE_V2, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model


def draw_reverse(draw: Draw, name: str) -> Model:
    """Along one axis, or some neighbours."""
    shape = draw_shape(draw, MOVED_RANKS)
    first = draw(st.integers(0, len(shape) - 1))
    count = draw(st.integers(1, len(shape) - first)) if draw(one_in(3)) else 1
    axes = [signed_axis(draw, axis, len(shape)) for axis in range(first, first + count)]
    x = draw_moved(draw, "x", shape)
    return model([x], [draw_like(draw, "y", shape, x)], name, [x, ints("axes", axes)])


DRAWERS = {"REVERSE_V2": draw_reverse}
