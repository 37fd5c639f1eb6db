"""Resizes of either kind, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_like, draw_shape, draw_tensor, ints, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_resize(draw: Draw, name: str) -> Model:
    """Factors that converters write, the same along both axes or not, and any sizes, larger and smaller."""
    dtype, shape = draw(st.sampled_from(TYPES)), list(draw_shape(draw, (4,), 200))
    shape[0] = draw(st.sampled_from((1, 1, 1, 2)))
    options = {"align_corners": draw(st.booleans()), "half_pixel_centers": draw(one_in(3))}
    less, factors = int(options["align_corners"]), (1, 2, 2, 4, 8, 3, 5, 6)
    factor = draw(st.sampled_from(factors))
    unlike = draw(one_in(4))
    size = [(extent - less) * (draw(st.sampled_from(factors)) if unlike else factor) + less for extent in shape[1:3]]
    if draw(one_in(3)):
        size = [draw(st.one_of(st.integers(1, 9), st.integers(1, 40))) for _ in range(2)]
    if draw(one_in(8)):
        shape[1:3] = 1, 1
    x = draw_tensor(draw, "x", shape, dtype)
    y = draw_like(draw, "y", (shape[0], *size, shape[3]), x)
    return model([x], [y], name, [x, ints("size", size)], **options)


DRAWERS = {"RESIZE_NEAREST_NEIGHBOR": draw_resize}
