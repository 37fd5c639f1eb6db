"""DEPTH_TO_SPACE and SPACE_TO_DEPTH, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import Draw, draw_like, draw_moved, model
from hypothesis import strategies as st
from tiny_writer import Model


def draw_blocks(draw: Draw, name: str) -> Model:
    """Any block."""
    block, batch = draw(st.sampled_from((1, 2, 2, 3, 4))), draw(st.sampled_from((1, 1, 2)))
    height, width, depth = (draw(st.sampled_from((1, 2, 3, 5))) for _ in range(3))
    deep, wide = (batch, height, width, depth * block * block), (batch, height * block, width * block, depth)
    source, result = (deep, wide) if name == "DEPTH_TO_SPACE" else (wide, deep)
    x = draw_moved(draw, "x", source)
    return model([x], [draw_like(draw, "y", result, x)], name, [x], block_size=block)


DRAWERS = {"DEPTH_TO_SPACE": draw_blocks, "SPACE_TO_DEPTH": draw_blocks}
