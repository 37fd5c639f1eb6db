"""Drawer of CAST: between all integers and truth values, quantised or not."""

from __future__ import annotations

from drawing import Draw, draw_shape, draw_tensor, model
from hypothesis import strategies as st
from tiny_writer import Model, Tensor

KINDS = ("int8", "uint8", "int16", "int32", "bool")


def draw_cast(draw: Draw, name: str) -> Model:
    shape = draw_shape(draw)
    kinds = draw(st.sampled_from(KINDS)), draw(st.sampled_from(KINDS))
    x, y = (
        draw_tensor(draw, what, shape, kind) if kind != "bool" and draw(st.booleans()) else Tensor(what, shape, kind)
        for what, kind in zip("xy", kinds, strict=True)
    )
    return model([x], [y], name, [x], in_data_type=kinds[0], out_data_type=kinds[1])


DRAWERS = {"CAST": draw_cast}
