"""
How LiteRT computes LOG_SOFTMAX of 8 bits: `python bench/log_softmax.py`.

In floats: a table of exponentials is added up in float32 in the order of the classes, its logarithm is the C library's,
and each difference is rounded to even. That is written down here anew and compared with LiteRT on random models.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "models"))

import golden
from tiny_writer import Model, Op, Subgraph, Tensor

RESULT = 16 / 256
"""The scale of the result, which the operator prescribes; its zero point is the greatest value."""


def log_softmax(x: NDArray, scale: float) -> NDArray:
    """Rows of stored values to stored values."""
    limits = np.iinfo(x.dtype)
    table = np.exp(np.float32(-scale) * np.arange(256, dtype=np.float32))
    rows = x.astype(np.int64)
    below = rows.max(axis=1, keepdims=True) - rows
    # cumsum adds one after the other, where sum adds in pairs.
    sums = table[below].cumsum(axis=1, dtype=np.float32)[:, -1:]
    greatest = np.float32(scale) * rows.max(axis=1, keepdims=True).astype(np.float32)
    less = (greatest + np.log(sums)) / np.float32(RESULT)
    steps = np.float32(scale) / np.float32(RESULT) * rows.astype(np.float32) - less
    return np.clip(np.rint(steps).astype(np.int64) + limits.max, limits.min, limits.max).astype(x.dtype)


def main() -> int:
    """0 if no element differs."""
    rng = np.random.default_rng(0)
    wrong = 0
    for dtype in ("uint8", "int8"):
        limits, differ, total = np.iinfo(dtype), 0, 0
        for _ in range(40):
            scale = float(np.float32(10 ** rng.uniform(-2.5, 0)))
            shape = (40, int(rng.integers(2, 60)))
            values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
            x, y = Tensor("x", shape, dtype, scale, 0), Tensor("y", shape, dtype, RESULT, int(limits.max))
            (expected,) = golden.run(Model(Subgraph([x], [y], [Op("LOG_SOFTMAX", [x], [y])])).to_bytes(), [values])
            differ += int((log_softmax(values, scale) != expected).sum())
            total += expected.size
        print(f"{dtype}: {differ} of {total} elements differ")
        wrong += differ
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
