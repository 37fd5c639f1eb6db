"""Inputs of FULLY_CONNECTED whose sums lie where results step, ties among them: where a wrong rounding shows."""

from __future__ import annotations

import numpy as np
from network import FULL_RANGE
from tiny_writer import Op

UNIT_COLUMN, LARGE_COLUMN = 0, 1
"""Two columns of weights with which a row of the input can be given any sum, if they hold what `set_columns` writes."""
LARGE = 100


def set_columns(weights: np.ndarray, zero: int) -> None:
    """Write the two columns, less the zero point 1 and 100, as far as the type goes."""
    high = np.iinfo(weights.dtype).max
    weights[:, UNIT_COLUMN], weights[:, LARGE_COLUMN] = min(zero + 1, high), min(zero + LARGE, high)


def inputs_at_steps(op: Op, rng: np.random.Generator, count: int) -> list[list[np.ndarray]]:
    """
    `count` inputs of a FULLY_CONNECTED with such columns. Each row is random but for the two elements that bring the
    sum of one channel next to a place where the real result is v + 1/2, if the range allows: of many such places to
    one that is nearly a sum itself, because a multiplier that is a little off moves the step past such sums first.
    """
    x, w, b = op.inputs
    (y,) = op.outputs
    assert x is not None
    assert w is not None
    assert w.data is not None
    low, high = FULL_RANGE[x.dtype]
    least, greatest = FULL_RANGE[y.dtype]
    weights = w.data.astype(np.int64) - np.array(w.zeros()).reshape(-1, 1)
    bias = np.zeros(len(weights), np.int64) if b is None or b.data is None else b.data.astype(np.int64)
    cases: list[list[np.ndarray]] = []
    for _ in range(count):
        values = rng.integers(low, high, tuple(x.shape), endpoint=True) - x.zeros()[0]
        for row in values:
            channel = int(rng.integers(len(weights)))
            scale = x.scales()[0] * w.scales()[channel % len(w.scales())] / y.scales()[0]
            places = (rng.integers(least, greatest, 512) - y.zeros()[0] + 0.5) / scale
            place = places[np.argmin(np.abs(places - np.rint(places)))]
            if abs(place) >= 1 << 40:
                continue
            row[LARGE_COLUMN] = row[UNIT_COLUMN] = 0
            missing = (
                round(place) + int(rng.choice((-1, 0, 0, 0, 1))) - int(weights[channel] @ row) - int(bias[channel])
            )
            row[LARGE_COLUMN], row[UNIT_COLUMN] = divmod(missing, LARGE)
        cases.append([np.clip(values + x.zeros()[0], low, high).astype(x.dtype)])
    return cases
