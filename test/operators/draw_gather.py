"""GATHER, as test/models/drawing.py says."""

from __future__ import annotations

import numpy as np
from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model


def draw_gather(draw: Draw, name: str) -> Model:
    """Indices that step evenly, are repeated, come in turn, or are any."""
    shape = draw_shape(draw, MOVED_RANKS, 400)
    axis = draw(st.integers(0, len(shape) - 1))
    last = shape[axis] - 1
    kind = draw(st.sampled_from(("any", "step", "repeated", "in turn")))
    if kind == "any":
        indices = draw(st.lists(st.integers(0, last), min_size=1, max_size=12))
    else:
        step = draw(st.sampled_from((1, 2, 3, -1, -2)))
        indices = list(range(0, last + 1, step) if step > 0 else range(last, -1, step))[:20]
        if kind != "step":
            count = draw(st.integers(2, 7))
            indices = indices * count if kind == "in turn" else [index for index in indices for _ in range(count)]
        if draw(one_in(4)):
            indices = [draw(st.integers(0, last)), *indices, draw(st.integers(0, last))]
    if draw(one_in(12)):
        indices[0] = last + 1
    array = np.array(indices, np.int32)
    if len(shape) < 6 and len(indices) % 2 == 0 and draw(one_in(3)):
        array = array.reshape(2, -1)
    elif draw(one_in(6)) and len(shape) > 1:
        array = array[0]
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", (*shape[:axis], *array.shape, *shape[axis + 1 :]), x)
    return model([x], [y], name, [x, ints("indices", array)], axis=signed_axis(draw, axis, len(shape)))


DRAWERS = {"GATHER": draw_gather}
