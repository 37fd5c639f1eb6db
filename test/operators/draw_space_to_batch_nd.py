"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, as test/models/drawing.py says."""

from __future__ import annotations

from drawing import Draw, draw_like, draw_moved, ints, model, one_in
from hypothesis import strategies as st
from tiny_writer import Model


def draw_batches(draw: Draw, name: str) -> Model:
    """One or two spatial axes, with paddings or crops."""
    count = draw(st.sampled_from((2, 2, 1)))
    blocks = [draw(st.sampled_from((1, 2, 2, 3))) for _ in range(count)]
    small = [draw(st.sampled_from((1, 2, 3, 5))) for _ in range(count)]
    batch, depth = draw(st.sampled_from((1, 1, 2))), draw(st.sampled_from((1, 3, 8)))
    large: list[int] = []
    amounts: list[list[int]] = []
    for size, block in zip(small, blocks, strict=True):
        most = size * block - 1
        before = draw(st.integers(0, min(most, 3))) if draw(one_in(2)) else 0
        after = draw(st.integers(0, min(most - before, 3))) if draw(one_in(2)) else 0
        amounts.append([before, after])
        large.append(size * block - before - after)
    images = batch
    for block in blocks:
        images *= block
    many, one = (images, *small, depth), (batch, *large, depth)
    source, result = (one, many) if name == "SPACE_TO_BATCH_ND" else (many, one)
    x = draw_moved(draw, "x", source)
    operands = [x, ints("blocks", blocks), ints("amounts", amounts)]
    return model([x], [draw_like(draw, "y", result, x)], name, operands)


DRAWERS = {"SPACE_TO_BATCH_ND": draw_batches, "BATCH_TO_SPACE_ND": draw_batches}
