"""Draws FULLY_CONNECTED with weights that are an input; test_weighted_operators.py draws those that are constant."""

from __future__ import annotations

import math

import numpy as np
from drawing import ACTIVATIONS, Draw, draw_tensor, one_in
from hypothesis import strategies as st
from one_operator import arrays, near, zero_points
from tiny_writer import Model, Op, Subgraph, Tensor, constant

SIZES = st.sampled_from((1, 2, 3, 4, 5, 8, 9, 16, 17, 33))


def draw_computed_weights(draw: Draw, name: str) -> Model:
    dtype = draw(st.sampled_from((*("int8", "uint8") * 4, "int16")))
    depth, channels = draw(SIZES), draw(SIZES)
    keeps = draw(st.booleans())
    before = [draw(st.sampled_from((1, 2, 3, 7))) for _ in range(draw(st.integers(1, 2)))]
    x = draw_tensor(draw, "x", [*before, depth], dtype)
    w = draw_tensor(draw, "w", (channels, depth), "uint8" if dtype == "uint8" else "int8")
    if dtype != "uint8" and draw(st.booleans()):
        w.zero = 0
    product = x.scales()[0] * w.scales()[0]
    scale = draw(near(product * 64, -6, 6))
    y = Tensor("y", [*(before if keeps else [math.prod(before)]), channels], dtype, scale, draw(zero_points(dtype)))
    operands: list[Tensor | None] = [x, w]
    if draw(st.booleans()):
        size = draw(st.sampled_from((0, 8, 16, 31)))
        values = draw(arrays((channels,), -(1 << size), (1 << size) - 1, "int64"))
        operands.append(constant("b", values.astype(np.int32), scale=float(np.float32(product))))
    elif draw(one_in(3)):
        operands.append(None)
    op = Op(name, operands, [y], keep_num_dims=keeps, activation=draw(ACTIVATIONS))
    return Model(Subgraph([x, w], [y], [op]))


DRAWERS = {"FULLY_CONNECTED": draw_computed_weights}
