"""Bilinear resizes, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_like, draw_tensor, ints, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_resize(draw: Draw, name: str) -> Model:
    """Factors that converters write, the same along both axes or not, up or down, and any sizes."""
    dtype, mode = draw(st.sampled_from(TYPES)), draw(st.sampled_from(("", "align_corners", "half_pixel_centers")))
    less, factors = int(mode == "align_corners"), (2, 4, 8, 16)
    factor = draw(st.sampled_from(factors))
    small = [draw(st.sampled_from((1, 2, 3, 4, 5, 7, 9))) for _ in range(2)]
    large: list[int] = []
    for extent in small:
        by = draw(st.sampled_from((1, *factors, 3, 5))) if draw(one_in(4)) else factor
        large.append((extent - less) * by + less)
    if draw(one_in(4)):
        small, large = large, small
    if draw(one_in(4)):
        large = [draw(st.one_of(st.integers(1, 9), st.integers(1, 40))) for _ in range(2)]
    if draw(one_in(8)):
        small = [1, 1]
    batch, depth = draw(st.sampled_from((1, 1, 1, 2))), draw(st.sampled_from((1, 2, 3, 8, 17)))
    x = draw_tensor(draw, "x", (batch, *small, depth), dtype)
    y = draw_like(draw, "y", (batch, *large, depth), x)
    return model([x], [y], name, [x, ints("size", large)], **({mode: True} if mode else {}))


DRAWERS = {"RESIZE_BILINEAR": draw_resize}
