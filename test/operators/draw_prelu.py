"""Drawer of PRELU: an alpha for each channel, as converters write it, or of any shape that fits, constant or not."""

from __future__ import annotations

import numpy as np
from drawing import TYPES, Draw, draw_shape, draw_tensor, model, one_in
from hypothesis import strategies as st
from one_operator import arrays
from tiny_writer import Model


def draw_prelu(draw: Draw, name: str) -> Model:
    dtype = draw(st.sampled_from((*TYPES[:2] * 3, *TYPES)))
    shape = draw_shape(draw, (4, 4, 4, 3, 2, 1, 5))
    x = draw_tensor(draw, "x", shape, dtype, None if draw(one_in(6)) else 1 / 32)
    kept = draw(st.integers(0, len(shape) - 1))
    of_alpha = [size if i >= kept and not draw(one_in(4)) else 1 for i, size in enumerate(shape)]
    alpha = draw_tensor(draw, "alpha", of_alpha[kept if draw(st.booleans()) else 0 :], dtype, 1 / 128)
    y = draw_tensor(draw, "y", shape, dtype, x.scales()[0])
    if not draw(one_in(4)):
        # About 0, as trained ones are, or the whole range.
        zero = alpha.zeros()[0]
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if draw(st.booleans()):
            low, high = max(low, zero - 20), min(high, zero + 40)
        alpha.data = draw(arrays(alpha.shape, low, high, dtype))
    return model([t for t in (x, alpha) if t.data is None], [y], name, [x, alpha])


DRAWERS = {"PRELU": draw_prelu}
