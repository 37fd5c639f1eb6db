"""Drawer of NEG."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_shape, draw_tensor, model
from hypothesis import strategies as st
from tiny_writer import Model


def draw_neg(draw: Draw, name: str) -> Model:
    dtype, shape = draw(st.sampled_from(("int8", "int16", *TYPES))), draw_shape(draw)
    x = draw_tensor(draw, "x", shape, dtype)
    return model([x], [draw_tensor(draw, "y", shape, dtype, x.scales()[0])], name, [x])


DRAWERS = {"NEG": draw_neg}
