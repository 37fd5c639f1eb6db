"""Draws BATCH_MATMUL: batches that are equal, or 1 in an operand, or neither; each matrix as it is or turned."""

from __future__ import annotations

from drawing import Draw, draw_tensor, model, one_in
from hypothesis import strategies as st
from one_operator import RANGES, arrays, near, zero_points
from tiny_writer import Model, Tensor

SIZES = st.sampled_from((1, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33))


def draw_batch_matmul(draw: Draw, name: str) -> Model:
    dtype = "int16" if draw(one_in(12)) else "int8"
    rows, depth, columns = draw(SIZES), draw(SIZES), draw(SIZES)
    before = [draw(st.sampled_from((1, 2, 3))) for _ in range(draw(st.integers(0, 3)))]
    kind = draw(st.integers(0, 5))
    batches_x = [1] * len(before) if kind == 4 else before
    batches_y = [1] * len(before) if kind == 5 else before
    if kind == 3:
        batches_y = batches_y[1:]
    adj_x, adj_y = draw(st.booleans()), draw(st.booleans())
    x = draw_tensor(draw, "x", [*batches_x, *((depth, rows) if adj_x else (rows, depth))], dtype)
    y = draw_tensor(draw, "y", [*batches_y, *((columns, depth) if adj_y else (depth, columns))], dtype)
    scale = draw(near(x.scales()[0] * y.scales()[0] * 64, -6, 6))
    output = Tensor("z", [*before, rows, columns], dtype, scale, draw(zero_points(dtype)))
    if kind == 3 and len(batches_y) and draw(st.booleans()):
        x, y = Tensor("x", [*batches_y, *x.shape[-2:]], dtype, x.scale, x.zero), y
        output.shape = [*batches_y, rows, columns]
    inputs = [x, y]
    if draw(one_in(3)):
        held = inputs.pop(draw(st.integers(0, 1)))
        held.data = draw(arrays(tuple(held.shape), *RANGES[dtype], dtype))
    return model(inputs, [output], name, [x, y], adj_x=adj_x, adj_y=adj_y)


DRAWERS = {"BATCH_MATMUL": draw_batch_matmul}
