"""TILE and BROADCAST_TO, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import MOVED_RANKS, Draw, draw_like, draw_moved, draw_shape, ints, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_tile(draw: Draw, name: str) -> Model:
    """Any multiples."""
    shape = draw_shape(draw, MOVED_RANKS, 100)
    multiples = [draw(st.sampled_from((1, 2, 3, 5, 8))) if draw(one_in(3)) else 1 for _ in shape]
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", [size * count for size, count in zip(shape, multiples, strict=True)], x)
    return model([x], [y], name, [x, ints("multiples", multiples)])


def draw_broadcast_to(draw: Draw, name: str) -> Model:
    """Sizes of 1 grow, and dimensions come in front."""
    target = list(draw_shape(draw, MOVED_RANKS, 400))
    shape = [1 if draw(one_in(2)) else size for size in target]
    x = draw_moved(draw, "x", shape[draw(st.integers(0, len(shape) - 1)) if draw(one_in(3)) else 0 :])
    return model([x], [draw_like(draw, "y", target, x)], name, [x, ints("shape", target)], version=2)


DRAWERS = {"TILE": draw_tile, "BROADCAST_TO": draw_broadcast_to}
