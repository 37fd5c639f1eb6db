"""GATHER, as test/models/drawing.py says."""

from __future__ import annotations

from math import prod

import numpy as np
from drawing import MOVED_RANKS, Draw, Shape, draw_like, draw_moved, draw_shape, ints, model, one_in, signed_axis
from hypothesis import strategies as st
from one_operator import arrays
from tiny_writer import Model, constant


def draw_gather(draw: Draw, name: str) -> Model:
    """Indices that step evenly, are repeated, come in turn, or are any; now and then others for each batch."""
    shape = draw_shape(draw, MOVED_RANKS, 400)
    if len(shape) > 1 and draw(one_in(4)):
        return _by_batch(draw, name, shape)
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


def _by_batch(draw: Draw, name: str, shape: Shape) -> Model:
    """Some of the first dimensions are batches, which the indices have too."""
    axis = draw(st.integers(1, len(shape) - 1))
    batches = draw(st.integers(1, axis))
    places = (*shape[:batches], *(draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 6 - len(shape))))))
    indices = draw(arrays(places, 0, shape[axis] - 1, "int32"))
    if draw(one_in(3)):
        indices[:] = indices.reshape(prod(shape[:batches]), -1)[0].reshape((1,) * batches + places[batches:])
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", (*shape[:axis], *places[batches:], *shape[axis + 1 :]), x)
    given = batches - len(places) if draw(st.booleans()) and len(places) > batches else batches
    options = {"axis": signed_axis(draw, axis, len(shape)), "batch_dims": given}
    return model([x], [y], name, [x, constant("indices", indices)], **options)


DRAWERS = {"GATHER": draw_gather}
