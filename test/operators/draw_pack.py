"""PACK and UNPACK, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, model, one_in, signed_axis
from hypothesis import strategies as st
from tiny_writer import Model


def draw_pack(draw: Draw, name: str) -> Model:
    """Up to four operands along any new axis, of which two may be the same."""
    shape = draw_shape(draw, (*MOVED_RANKS, 0), 300)
    axis, count = draw(st.integers(0, len(shape))), draw(st.integers(1, 4))
    first = draw_moved(draw, "x0", shape)
    values = [first]
    for number in range(1, count):
        values.append(first if draw(one_in(6)) else draw_like(draw, f"x{number}", shape, first))
    y = draw_like(draw, "y", (*shape[:axis], count, *shape[axis:]), first)
    options = {"axis": signed_axis(draw, axis, len(shape) + 1), "values_count": count}
    return model(list(dict.fromkeys(values)), [y], name, values, **options)


def draw_unpack(draw: Draw, name: str) -> Model:
    """Along any axis."""
    shape = list(draw_shape(draw, MOVED_RANKS, 300))
    axis = draw(st.integers(0, len(shape) - 1))
    shape[axis] = min(shape[axis], 5)
    x = draw_moved(draw, "x", shape)
    ys = [draw_like(draw, f"y{number}", (*shape[:axis], *shape[axis + 1 :]), x) for number in range(shape[axis])]
    return model([x], ys, name, [x], axis=signed_axis(draw, axis, len(shape)), num=shape[axis])


DRAWERS = {"PACK": draw_pack, "UNPACK": draw_unpack}
