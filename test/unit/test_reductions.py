"""Which pools reduce which axes, and the scales of sums."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerType

from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.sum import sum_scale
from npuc.operators.support.reductions import extremes, sums


def quantised(width: int, scale: float, zero_point: int = 0) -> UniformQuantizedType:
    return UniformQuantizedType.per_tensor(IntegerType(width), scale, zero_point)


@pytest.mark.parametrize(("width", "zero"), [(8, -128), (8, 3), (8, 127), (16, 0)])
def test_every_sum_is_scaled_as_in_float32(width: int, zero: int) -> None:
    """All sums that there are of 8 bits, and of 16 bits those about the middle: each is LiteRT's, or none is made."""
    rng = np.random.default_rng(zero & 0xFF)
    least, greatest = -(1 << width - 1), (1 << width - 1) - 1
    taken = 0
    for powers in (False, True) * 10:
        count = int(rng.choice([1, 2, 49, 100, 3000]))
        source, target = (float(np.float32(2.0 ** rng.uniform(-8, -4))) for _ in range(2))
        target = source * 2.0 ** rng.integers(-2, 6) if powers else target * math.sqrt(count)
        scale = sum_scale(quantised(width, source, zero), quantised(width, target, 5 if width == 8 else 0), count)
        if scale is None:
            continue
        taken += 1
        total = np.arange(max(count * least, -(1 << 18)), min(count * greatest, 1 << 18) + 1)
        factor = np.float32(source) / np.float32(target)
        real = total.astype(np.float32) * factor + np.float32(-zero) * factor * np.float32(count)
        expected = np.trunc(real + np.copysign(np.float32(0.5), real).astype(np.float64))
        assert scale.multiplier is not None
        assert scale.shift is not None
        computed = ((total - count * zero) * scale.multiplier + (1 << scale.shift >> 1)) >> scale.shift
        limits = (least - 5, greatest - 5) if width == 8 else (least, greatest)
        np.testing.assert_array_equal(computed.clip(*limits), expected.clip(*limits))
    assert taken >= 5


@pytest.mark.parametrize("shape", [(6,), (3, 5), (1, 4, 5), (2, 3, 4, 5), (2, 1, 3, 4, 2), (300, 2, 3)])
def test_pools_reduce_what_they_are_asked_to(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(-100, 100, shape)
    every = range(len(shape))
    for axes in itertools.chain.from_iterable(itertools.combinations(every, count) for count in every):
        for pools, reduce in ((sums(shape, axes, 1 << 15), np.sum), (extremes(shape, axes), np.max)):
            assert pools is not None
            result = values
            for pool in pools:
                windows = pool.window or (1, 1)
                _, height, width, depth = pool.ofm
                parts = result.reshape(height, windows[0], width, windows[1], depth, -1)
                result = reduce(parts, axis=(1, 3, 5))
            np.testing.assert_array_equal(result.reshape(-1), reduce(values, axis=axes).reshape(-1))
