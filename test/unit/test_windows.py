"""
Windows that the machine lacks: long, wide or clipped ones and long strides equal LiteRT, and the numbers that say how
(`operators/support/axes.py`) are those of all windows counted one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_operator import check
from tiny_writer import Model, Op, Subgraph, Tensor

from npuc.operators.support.axes import Axis, Spread
from npuc.operators.support.fixed_point import window_padding

AXES = st.builds(
    Axis,
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(0, 5),
)


def met(axis: Axis) -> list[list[int]]:
    """For each window the elements that it meets, in order."""
    starts = (window * axis.stride - axis.before for window in range(axis.count))
    places = ([start + tap * axis.dilation for tap in range(axis.kernel)] for start in starts)
    return [[place for place in window if 0 <= place < axis.size] for window in places]


@given(AXES)
def test_trimmed_windows_meet_the_same(axis: Axis) -> None:
    trimmed = axis.trimmed()
    assert met(trimmed) == met(axis)
    assert trimmed.trimmed() == trimmed
    assert len(axis.taps()) == trimmed.kernel


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), st.integers(1, 5))
def test_windows_span_an_element(size: int, kernel: int, stride: int, dilation: int) -> None:
    """As a stripe of a cascade has to have rows: what is padded is less than a window, also of each n-th row."""
    count, before, _ = window_padding(size, kernel, stride, dilation, same=True)
    trimmed = Axis(size, count, kernel, stride, dilation, before).trimmed()
    for _, axis in trimmed.rests(trimmed.apart):
        assert max(axis.before, axis.after) < axis.reach


@given(AXES)
def test_folded_windows_have_all_groups(axis: Axis) -> None:
    """Each element that a window meets lies in a group that the folded window meets, or it is padding there as well."""
    axis = Axis(axis.size, axis.count, axis.kernel, axis.stride, 1, axis.before)
    folded = axis.folded()
    for elements, groups in zip(met(axis), met(folded), strict=True):
        assert {element // axis.stride for element in elements} <= set(groups)


@given(AXES)
def test_regions_are_all_windows(axis: Axis) -> None:
    axis = Axis(axis.size, axis.count, axis.kernel, axis.stride, 1, axis.before)
    if not all(met(axis)):
        return
    parts = [[[at + place for place in window] for window in met(part)] for at, part in axis.regions()]
    assert [window for part in parts for window in part] == met(axis)
    assert all(part.before == 0 == part.after for _, part in axis.regions())


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 5), st.integers(0, 3), st.integers(1, 20))
def test_phases_are_all_products(size: int, kernel: int, stride: int, crop: int, count: int) -> None:
    spread = Spread(size, count, kernel, stride, crop)
    wanted = {
        (element * stride + tap - crop, element, tap)
        for element in range(size)
        for tap in range(kernel)
        if 0 <= element * stride + tap - crop < count
    }
    found = {
        (number * stride + rest, number + phase.first + place, tap)
        for rest, phase in enumerate(spread.phases())
        for number in range(-(-count // stride))
        for place, tap in enumerate(phase.taps)
        if number * stride + rest < count and 0 <= number + phase.first + place < size
    }
    assert found == wanted


@given(AXES.map(lambda axis: replace(axis, stride=1)))
def test_rests_are_all_windows(axis: Axis) -> None:
    if axis.apart == 1:
        return
    windows: list[list[int]] = [[] for _ in range(axis.count)]
    for rest, (offset, part) in enumerate(axis.rests(axis.apart)):
        for window, elements in enumerate(met(part)):
            if window * axis.apart + rest < axis.count:
                windows[window * axis.apart + rest] = [offset + element * axis.apart for element in elements]
    assert windows == met(axis)


# Against LiteRT


def size_of(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - (kernel - 1) * dilation - 1) // stride + 1


def window_model(
    operator: str,
    shape: tuple[int, int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    channels: int = 0,
    dilation: tuple[int, int] = (1, 1),
) -> Model:
    """One operator with a window; `channels` of the result, for a pool those of the input."""
    batch, height, width, depth = shape
    x = Tensor("x", shape, scale=0.1, zero=3)
    rows, columns = (size_of((height, width)[i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    options: dict[str, Any] = dict(padding=padding, stride_h=stride[0], stride_w=stride[1])
    if operator.endswith("POOL_2D"):
        y = Tensor("y", (batch, rows, columns, depth), scale=0.1, zero=3)
        options |= dict(filter_height=kernel[0], filter_width=kernel[1])
        return Model(Subgraph([x], [y], [Op(operator, [x], [y], **options)]))
    y = Tensor("y", (batch, rows, columns, channels), scale=3.3, zero=-3)
    options |= dict(dilation_h=dilation[0], dilation_w=dilation[1])
    weights = (channels, *kernel, depth)
    if operator == "DEPTHWISE_CONV_2D":
        weights, options["depth_multiplier"] = (1, *kernel, channels), channels // depth
    data = np.random.default_rng(0).integers(-127, 127, weights, np.int8)
    w = Tensor("w", weights, scale=0.01, data=data)
    b = Tensor("b", (channels,), "int32", scale=0.001, data=np.arange(channels, dtype=np.int32))
    return Model(Subgraph([x], [y], [Op(operator, [x, w, b], [y], **options)]))


CONV, DEPTHWISE, AVERAGE, MAX = "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"
CASES: dict[str, tuple[Any, ...]] = {
    "a tall kernel, exchanged": (CONV, (1, 90, 3, 4), (80, 2), (1, 1), "VALID", 2),
    "a tall kernel of a batch with padding": (CONV, (2, 90, 3, 4), (80, 1), (1, 1), "SAME", 2),
    "a tall kernel with a stride, exchanged": (CONV, (1, 90, 3, 4), (80, 2), (5, 1), "VALID", 2),
    "columns as depth, rows folded": (CONV, (2, 90, 5, 4), (80, 5), (4, 1), "VALID", 8),
    "a dilated line": (CONV, (2, 1, 24, 4), (1, 3), (1, 1), "SAME", 4, (1, 6)),
    "a dilated column, depthwise": (DEPTHWISE, (1, 24, 1, 4), (3, 1), (1, 1), "SAME", 4, (8, 1)),
    "taps far apart": (CONV, (2, 32, 30, 16), (3, 3), (1, 1), "SAME", 16, (6, 8)),
    "depthwise taps far apart": (DEPTHWISE, (1, 33, 33, 8), (3, 3), (1, 1), "VALID", 8, (4, 5)),
    "columns of few channels as depth": (CONV, (2, 12, 40, 1), (3, 5), (2, 2), "SAME", 8),
    "strides and long dilations": (CONV, (1, 20, 20, 2), (3, 3), (4, 5), "SAME", 3, (9, 7)),
    "rows that do not divide": (CONV, (2, 17, 18, 3), (5, 6), (5, 5), "SAME", 3),
    "a depthwise tall kernel": (DEPTHWISE, (2, 90, 3, 4), (80, 2), (4, 1), "VALID", 8),
    "a depthwise stride, dilated": (DEPTHWISE, (2, 9, 9, 8), (3, 3), (4, 2), "SAME", 24, (3, 2)),
    "a tall pool, exchanged": (MAX, (1, 300, 3, 4), (280, 2), (5, 1), "VALID"),
    "a tall average of a batch": (AVERAGE, (2, 300, 3, 4), (280, 2), (5, 1), "VALID"),
    "an average of all": (AVERAGE, (2, 301, 2, 4), (301, 2), (5, 1), "VALID"),
    "clipped averages beyond 8x8": (AVERAGE, (2, 20, 9, 4), (12, 9), (5, 4), "SAME"),
    "strides that tile": (AVERAGE, (3, 32, 32, 4), (4, 4), (4, 4), "SAME"),
}


@pytest.mark.parametrize("case", CASES)
def test_window(case: str) -> None:
    assert check(window_model(*CASES[case])).reason is None
