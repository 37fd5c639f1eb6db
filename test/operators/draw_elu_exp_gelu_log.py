"""Drawers of ELU, EXP, GELU and LOG: scales about those that a converter would give, and any."""

from __future__ import annotations

from drawing import TYPES, Draw, draw_shape, draw_tensor, model
from hypothesis import strategies as st
from one_operator import near, zero_points
from tiny_writer import Model, Tensor

REAL = {"ELU": (("int8",), 8), "EXP": (("int8", "int16"), 4), "GELU": (TYPES, 8), "LOG": (("int8", "int16"), 16)}
"""The types that LiteRT has, and about the greatest argument."""


def draw_function(draw: Draw, name: str) -> Model:
    types, greatest = REAL[name]
    dtype, shape = draw(st.sampled_from((*types * 3, *TYPES))), draw_shape(draw)
    steps = 1 << (15 if dtype == "int16" else 7)
    x = Tensor("x", shape, dtype, draw(near(greatest / steps, -3, 3)), draw(zero_points(dtype)))
    y = draw_tensor(draw, "y", shape, dtype, x.scales()[0])
    options = {"approximate": draw(st.booleans())} if name == "GELU" else {}
    return model([x], [y], name, [x], **options)


DRAWERS = dict.fromkeys(REAL, draw_function)
