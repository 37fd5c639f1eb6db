"""Drawers of RSQRT and SQRT: operands that are mostly not negative, as LiteRT stops at others."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_shape, draw_tensor, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_root(draw: Draw, name: str) -> Model:
    dtype, shape = draw(st.sampled_from(("int8", "int8", "int16", *TYPES))), draw_shape(draw)
    x = draw_tensor(draw, "x", shape, dtype, None if draw(one_in(4)) else 1 / 64)
    if dtype == "int8" and not draw(one_in(3)):
        x.zero = -128
    y = draw_tensor(draw, "y", shape, dtype, None if draw(one_in(4)) else x.scales()[0] ** 0.5 / 16)
    return model([x], [y], name, [x])


DRAWERS = {"RSQRT": draw_root, "SQRT": draw_root}
