"""MIRROR_PAD, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, ints, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_mirror_pad(draw: Draw, name: str) -> Model:
    """Either mode, along any axes, by as much as there is to mirror."""
    shape, mode = draw_shape(draw, MOVED_RANKS, 150), draw(st.sampled_from((0, 1)))
    amounts: list[list[int]] = []
    for size in shape:
        most = min(size - 1 + mode, 4)
        amounts.append([draw(st.integers(0, most)) if draw(one_in(2)) else 0 for _ in range(2)])
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", [size + sum(around) for size, around in zip(shape, amounts, strict=True)], x)
    return model([x], [y], name, [x, ints("paddings", amounts)], mode=mode)


DRAWERS = {"MIRROR_PAD": draw_mirror_pad}
