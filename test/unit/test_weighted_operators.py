"""
CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV over types, shapes and scales: what legality takes
lowers, compiles and equals LiteRT bit for bit, ties and ends included; what it refuses names its rule.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from at_steps import inputs_at_steps, set_columns
from hypothesis import given
from hypothesis import strategies as st
from one_operator import WEIGHTED, arrays, check, examples, near, scales, zero_points
from tiny_writer import Model, Op, Subgraph, Tensor

DTYPES = ("int8", "uint8", "int16")
WAYS = [(o, d) for o in WEIGHTED for d in DTYPES]
PADDINGS = ("SAME", "VALID")
ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def draw_input(draw: Any, operator: str, dtype: str) -> Tensor:
    """The input: scales about 1 more often than ends."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from((1, 2, 3, 4, 6, 17))))
    batch = draw(st.sampled_from((1, 1, 1, 2, 3)))
    shape = (draw(st.sampled_from((1, 3, 4))), size[2] + 2) if operator == "FULLY_CONNECTED" else (batch, *size)
    scale = draw(st.one_of(scales(-12, 2), scales(-12, 2), scales()))
    return Tensor("x", shape, dtype, scale=scale, zero=draw(zero_points(dtype)))


def draw_weights(draw: Any, shape: tuple[int, ...], axis: int, dtype: str) -> Tensor:
    """Weights of all sizes, the smallest often, so that sums hit ties; per tensor or per channel."""
    scale: Any = draw(st.one_of(scales(-12, 2), scales(-12, 2), scales()))
    low, high = draw(st.sampled_from(((-127, 127), (-2, 2), (0, 1), (-127, -120))))
    if dtype == "uint8":
        zero = draw(zero_points("uint8"))
        data = np.clip(draw(arrays(shape, low, high, "int64")) + zero, 0, 255).astype(np.uint8)
        return Tensor("w", shape, "uint8", scale=scale, zero=zero, data=data)
    packed = draw(st.sampled_from((False,) * (4 if dtype == "int8" else 15) + (True,)))
    if packed:
        low, high = (max(-8, min(7, bound)) for bound in (low, high))
    data, kept = draw(arrays(shape, low, high, "int8")), "int4" if packed else "int8"
    channels = shape[axis]
    if draw(st.booleans()):
        scale = [draw(near(scale, -3, 3)) for _ in range(channels)]
        return Tensor("w", shape, kept, scale=scale, zero=[0] * channels, axis=axis, data=data)
    return Tensor("w", shape, kept, scale=scale, data=data)


def draw_bias(draw: Any, channels: int, x: Tensor, w: Tensor, options: dict[str, Any], operator: str) -> Tensor | None:
    """Biases of the type that LiteRT reads and, now and then, another; of all sizes up to their ends."""
    if operator == "FULLY_CONNECTED" and draw(st.integers(0, 3)) == 0:
        return None
    dtype = "int32"
    if x.dtype == "int16":
        # DEPTHWISE_CONV_2D has no option for the other one.
        dtype = draw(st.sampled_from(("int64",) * (7 if operator == "DEPTHWISE_CONV_2D" else 3) + ("int32",)))
        if operator != "DEPTHWISE_CONV_2D" and draw(st.integers(0, 3)):
            options["quantized_bias_type"] = draw(st.sampled_from((dtype, dtype, dtype, "int32", "int64")))
    bits = 31 if dtype == "int32" else draw(st.sampled_from((39, 39, 40)))
    size = draw(st.sampled_from((0, 8, 8, 16, 16, bits - 2, bits)))
    data = draw(arrays((channels,), -(1 << size), (1 << size) - 1, "int64")).astype(dtype)
    scale = [float(np.float32(x.scales()[0] * s)) for s in w.scales()]
    per_axis = len(scale) > 1
    zero = [0] * len(scale) if per_axis else 0
    return Tensor("b", (channels,), dtype, scale=scale if per_axis else scale[0], zero=zero, data=data)


def extent(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """Windows along one axis."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


def draw_model(draw: Any, operator: str, dtype: str) -> Model:
    """A model of one operator; its output is never empty."""
    x = draw_input(draw, operator, dtype)
    depth, channels = x.shape[-1], draw(st.integers(1, 5))
    options: dict[str, Any] = {"activation": draw(st.sampled_from(ACTIVATIONS))}
    if operator == "FULLY_CONNECTED":
        w = draw_weights(draw, (channels, depth), 0, dtype)
        if w.dtype != "int4" and draw(st.booleans()):
            set_columns(w.data, int(w.zeros()[0]))
        shape: tuple[int, ...] = (x.shape[0], channels)
    else:
        height, width = x.shape[1:3]
        padding = draw(st.sampled_from(PADDINGS))
        dilation = [draw(st.sampled_from((1, 1, 1, 2, 3))) for _ in "hw"]
        stride = [draw(st.sampled_from((1, 1, 2, 3, 4, 5))) for _ in "hw"]
        kernel = [draw(st.sampled_from((1, 2, 3, 4, 6))) for _ in "hw"]
        if operator == "TRANSPOSE_CONV":
            grown = [n * s + (max(k - s, 0) if padding == "VALID" else 0)
                     for n, s, k in zip((height, width), stride, kernel, strict=True)]  # fmt: skip
            shape = (x.shape[0], *grown, channels)
        else:
            if padding == "VALID":  # The window must fit.
                kernel = [min(k, (n - 1) // d + 1) for n, k, d in zip((height, width), kernel, dilation, strict=True)]
            options |= dict(dilation_h=dilation[0], dilation_w=dilation[1])
            sizes = zip((height, width), kernel, stride, dilation, strict=True)
            shape = (x.shape[0], *(extent(*numbers, padding) for numbers in sizes), channels)
        options |= dict(padding=padding, stride_h=stride[0], stride_w=stride[1])
        if operator == "DEPTHWISE_CONV_2D":
            multiplier = draw(st.sampled_from((1, 1, 2, 5)))
            options["depth_multiplier"] = multiplier
            channels = depth * multiplier
            shape = (*shape[:3], channels)
            w = draw_weights(draw, (1, *kernel, channels), 3, dtype)
        else:
            if operator == "CONV_2D" and draw(st.integers(0, 3)) == 0:
                groups = draw(st.sampled_from([n for n in range(1, depth + 1) if depth % n == 0]))
                channels, depth = channels * groups, depth // groups
                shape = (*shape[:3], channels)
            w = draw_weights(draw, (channels, *kernel, depth), 0, dtype)
    b = draw_bias(draw, channels, x, w, options, operator)
    around = x.scales()[0] * max(w.scales())
    scale = draw(st.one_of(*[near(around, -3, 10)] * 3, near(around, -32, 40), scales()))
    y = Tensor("y", shape, dtype, scale=scale, zero=draw(zero_points(dtype)))
    operands: list[Tensor | None] = [x, w, b]
    if operator == "TRANSPOSE_CONV":
        if options.pop("activation") != "NONE":
            options["activation"] = "RELU"
        given_shape = np.array(shape, np.int32)
        operands = [Tensor("shape", (4,), "int32", data=given_shape), w, x, b]
    return Model(Subgraph([x], [y], [Op(operator, operands, [y], **options)]))


@pytest.mark.parametrize(("operator", "dtype"), WAYS)
def test_operator(operator: str, dtype: str) -> None:
    outcomes: Counter[str] = Counter()

    @examples(18)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        model = draw_model(data.draw, operator, dtype)
        assert isinstance(model.subgraphs, Subgraph)
        inputs: list[list[np.ndarray]] = []
        if operator == "FULLY_CONNECTED":
            seed = data.draw(st.integers(0, 1 << 30))
            inputs = inputs_at_steps(model.subgraphs.ops[0], np.random.default_rng(seed), 8)
        outcome = check(model, inputs)
        outcomes["taken" if outcome.reason is None else "refused"] += 1

    run()
    assert outcomes["taken"] >= 6
