"""
Quantised networks built operator by operator, shapes inferred, weights from a seed: what `operator_models.py`,
`odd.py` and `random_network.py` are written with.

Shapes are NHWC. Scales are chosen so that full-range inputs give outputs that fill their range without saturating
everywhere, and are deliberately no round numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from tiny_writer import Model, Op, Subgraph, Tensor, constant

ZERO_RANGE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0)}
FULL_RANGE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
# Standard deviation of a full-range uniform variable: range / sqrt(12).
SPREAD = {"int8": 74.0, "uint8": 74.0, "int16": 18918.0}
WEIGHT_SPREAD = 73.0

Pair = tuple[int, int]


class Network:
    """
    Collects operators; every method adds one and returns its output tensor (or tensors).

    `dtype` is the type of the feature maps: int8 and int16 networks have int8 weights per channel, uint8 networks have
    uint8 weights with one scale and a zero point, as old quantised networks have.
    """

    def __init__(self, seed: int, dtype: str = "int8"):
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.inputs: list[Tensor] = []
        self.ops: list[Op] = []
        self.counts: dict[str, int] = {}

    # -- tensors

    def name(self, stem: str) -> str:
        """stem_0, stem_1, ..."""
        number = self.counts[stem] = self.counts.get(stem, -1) + 1
        return f"{stem}_{number}"

    def scale(self, around: float) -> float:
        """An arbitrary float32 scale within 30 % of `around`."""
        return float(np.float32(around * self.rng.uniform(0.7, 1.3)))

    def zero(self, dtype: str | None = None) -> int:
        """A zero point away from the ends of the range (0 for int16)."""
        low, high = ZERO_RANGE[dtype or self.dtype]
        return int(self.rng.integers(low + (high - low) // 4, high - (high - low) // 4 + 1))

    def tensor(
        self, stem: str, shape: Sequence[int], scale: float, zero: int | None = None, dtype: str | None = None
    ) -> Tensor:
        """A feature map; its zero point is arbitrary unless given."""
        dtype = dtype or self.dtype
        return Tensor(self.name(stem), tuple(shape), dtype, scale, self.zero(dtype) if zero is None else zero)

    def input(self, shape: Sequence[int], scale: float | None = None, zero: int | None = None, **kw: str) -> Tensor:
        """A graph input."""
        around = 2.0 / SPREAD[kw.get("dtype", self.dtype)]
        tensor = self.tensor("input", shape, self.scale(around) if scale is None else scale, zero, **kw)
        self.inputs.append(tensor)
        return tensor

    def ints(self, stem: str, values: object, dtype: str = "int32") -> Tensor:
        """An unquantised constant of integers (shapes, axes, paddings)."""
        return constant(self.name(stem), np.array(values, dtype))

    def constant(self, shape: Sequence[int], scale: float, zero: int | None = None) -> Tensor:
        """A quantised constant operand with random values over the full range."""
        low, high = FULL_RANGE[self.dtype]
        data = self.rng.integers(low, high + 1, shape).astype(self.dtype)
        zero = self.zero() if zero is None else zero
        return Tensor(self.name("constant"), tuple(shape), self.dtype, scale, zero, data=data)

    def add_op(self, op: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], **options: object) -> Tensor:
        """Any operator, its output tensors given."""
        self.ops.append(Op(op, inputs, outputs, **options))  # type: ignore[arg-type]
        return outputs[0]

    def model(self, *outputs: Tensor, **options: object) -> Model:
        """The model with the inputs and operators so far."""
        return Model(Subgraph(self.inputs, outputs, self.ops), **options)  # type: ignore[arg-type]

    # -- operators with weights

    def weights(
        self, shape: Sequence[int], axis: int, x: Tensor, per_channel: bool, activation: str
    ) -> tuple[Tensor, Tensor]:
        """Weights and bias for input `x`; `axis` is the dimension of output channels."""
        channels = shape[axis]
        # Where the activation fixes the output's range, the weights are scaled to it.
        sum_spread = x.scales()[0] * SPREAD[x.dtype] * WEIGHT_SPREAD * math.sqrt(math.prod(shape) / channels)
        around = {"RELU6": 3 / sum_spread, "RELU_N1_TO_1": 1 / sum_spread}.get(activation, 0.01)
        name = self.name("weights")
        (x_scale,) = x.scales()
        if self.dtype == "uint8":
            scale: float | list[float] = self.scale(around)
            data = self.rng.integers(0, 256, shape).astype(np.uint8)
            weights = Tensor(name, tuple(shape), "uint8", scale, int(self.rng.integers(100, 156)), data=data)
        else:
            scale = [self.scale(around) for _ in range(channels)] if per_channel else self.scale(around)
            data = self.rng.integers(-127, 128, shape).astype(np.int8)
            weights = Tensor(name, tuple(shape), "int8", scale, axis=axis, data=data)
        spread = SPREAD[x.dtype] * WEIGHT_SPREAD * math.sqrt(math.prod(shape) / channels)
        values = self.rng.normal(0, spread / 2, channels)
        bias_scale = [float(np.float32(x_scale) * np.float32(s)) for s in weights.scales()]
        bias = Tensor(
            self.name("bias"),
            (channels,),
            "int64" if self.dtype == "int16" else "int32",
            bias_scale if len(bias_scale) > 1 else bias_scale[0],
            data=values.astype(np.int64 if self.dtype == "int16" else np.int32),
        )
        return weights, bias

    def ofm(self, stem: str, shape: Sequence[int], x: Tensor, weights: Tensor, depth: int, activation: str) -> Tensor:
        """The output of a weighted sum of `depth` products: filled at about three standard deviations."""
        weight_scale = float(np.mean(weights.scales()))
        spread = x.scales()[0] * SPREAD[x.dtype] * weight_scale * WEIGHT_SPREAD * math.sqrt(depth)
        low, high = FULL_RANGE[self.dtype]
        if activation == "RELU6":
            scale, zero = 6.0 / (high - low), low
        elif activation == "RELU":
            scale, zero = self.scale(3 * spread / (high - low)), low
        else:
            scale, zero = self.scale(6 * spread / (high - low)), None
        return self.tensor(stem, shape, scale, 0 if self.dtype == "int16" else zero)

    def conv(
        self,
        x: Tensor,
        depth: int,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        dilation: Pair = (1, 1),
        per_channel: bool = True,
    ) -> Tensor:
        """CONV_2D with `depth` output channels."""
        n, h, w, c = x.shape
        weights, bias = self.weights((depth, *kernel, c), 0, x, per_channel, activation)
        shape = (n, *_window((h, w), kernel, stride, padding, dilation), depth)
        y = self.ofm("conv", shape, x, weights, kernel[0] * kernel[1] * c, activation)
        return self.add_op(
            "CONV_2D", [x, weights, bias], [y], padding=padding, activation=activation,
            stride_h=stride[0], stride_w=stride[1], dilation_h=dilation[0], dilation_w=dilation[1],
        )  # fmt: skip

    def depthwise(
        self,
        x: Tensor,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        multiplier: int = 1,
        dilation: Pair = (1, 1),
        per_channel: bool = True,
    ) -> Tensor:
        """DEPTHWISE_CONV_2D."""
        n, h, w, c = x.shape
        weights, bias = self.weights((1, *kernel, c * multiplier), 3, x, per_channel, activation)
        shape = (n, *_window((h, w), kernel, stride, padding, dilation), c * multiplier)
        y = self.ofm("depthwise", shape, x, weights, kernel[0] * kernel[1], activation)
        return self.add_op(
            "DEPTHWISE_CONV_2D", [x, weights, bias], [y], padding=padding, activation=activation,
            stride_h=stride[0], stride_w=stride[1], dilation_h=dilation[0], dilation_w=dilation[1],
            depth_multiplier=multiplier,
        )  # fmt: skip

    def transpose_conv(
        self, x: Tensor, depth: int, kernel: Pair = (3, 3), stride: Pair = (2, 2), padding: str = "SAME"
    ) -> Tensor:
        """TRANSPOSE_CONV."""
        n, h, w, c = x.shape
        weights, bias = self.weights((depth, *kernel, c), 0, x, True, "NONE")
        shape = [n, h * stride[0], w * stride[1], depth]
        if padding == "VALID":
            shape[1:3] = [shape[1] + max(kernel[0] - stride[0], 0), shape[2] + max(kernel[1] - stride[1], 0)]
        y = self.ofm(
            "transpose_conv", shape, x, weights, max(kernel[0] * kernel[1] * c // math.prod(stride), 1), "NONE"
        )
        return self.add_op(
            "TRANSPOSE_CONV", [self.ints("shape", shape), weights, x, bias], [y], padding=padding,
            stride_h=stride[0], stride_w=stride[1],
        )  # fmt: skip

    def fully_connected(
        self, x: Tensor, depth: int, activation: str = "NONE", per_channel: bool = False, bias: bool = True
    ) -> Tensor:
        """FULLY_CONNECTED over the last dimension of a [batch, features] tensor."""
        n, features = x.shape
        weights, offsets = self.weights((depth, features), 0, x, per_channel, activation)
        y = self.ofm("dense", (n, depth), x, weights, features, activation)
        return self.add_op("FULLY_CONNECTED", [x, weights, offsets if bias else None], [y], activation=activation)

    # -- operators without weights

    def pool(
        self,
        op: str,
        x: Tensor,
        kernel: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: str = "VALID",
        activation: str = "NONE",
    ) -> Tensor:
        """AVERAGE_POOL_2D or MAX_POOL_2D, quantised as its input."""
        n, h, w, c = x.shape
        y = self.like(x, "pool", (n, *_window((h, w), kernel, stride, padding, (1, 1)), c))
        return self.add_op(
            op, [x], [y], padding=padding, activation=activation, stride_h=stride[0], stride_w=stride[1],
            filter_height=kernel[0], filter_width=kernel[1],
        )  # fmt: skip

    def like(self, x: Tensor, stem: str, shape: Sequence[int]) -> Tensor:
        """A feature map quantised as `x`."""
        return self.tensor(stem, shape, x.scales()[0], x.zeros()[0], dtype=x.dtype)

    def binary(
        self, op: str, a: Tensor, b: Tensor, scale: float | None = None, zero: int | None = None, **options: object
    ) -> Tensor:
        """ADD, SUB or MUL with broadcasting, the output scaled to what it can reach unless given."""
        shape = np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
        if scale is None:
            (sa,), (sb,) = a.scales(), b.scales()
            low, high = FULL_RANGE[self.dtype]
            scale = self.scale(sa * sb * (high - low) / 4 if op == "MUL" else sa + sb)
        return self.add_op(op, [a, b], [self.tensor(op.lower(), shape, scale, zero)], **options)

    def extremum(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        """MINIMUM or MAXIMUM: all three tensors quantised alike."""
        return self.add_op(op, [a, b], [self.like(a, op.lower(), np.broadcast_shapes(tuple(a.shape), tuple(b.shape)))])

    def unary(
        self, op: str, x: Tensor, scale: float | None = None, zero: int | None = None, **options: object
    ) -> Tensor:
        """An operator that works value by value; quantised as its input unless given."""
        scale = x.scales()[0] if scale is None else scale
        return self.add_op(op, [x], [self.tensor(op.lower(), x.shape, scale, x.zeros()[0] if zero is None else zero)],
                           **options)  # fmt: skip

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """CONCATENATION of tensors quantised alike."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(t.shape[axis] for t in tensors)
        return self.add_op("CONCATENATION", tensors, [self.like(tensors[0], "concat", shape)], axis=axis)

    def split(self, x: Tensor, parts: int, axis: int) -> list[Tensor]:
        """SPLIT in equal parts."""
        shape = list(x.shape)
        shape[axis] //= parts
        outputs = [self.like(x, "split", shape) for _ in range(parts)]
        self.add_op("SPLIT", [self.ints("axis", axis), x], outputs, num_splits=parts)
        return outputs

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """RESHAPE, the new shape both as an option and as an input."""
        y = self.like(x, "reshape", shape)
        return self.add_op("RESHAPE", [x, self.ints("shape", shape)], [y], new_shape=list(shape))

    def pad(self, x: Tensor, paddings: Sequence[Pair]) -> Tensor:
        """PAD with the zero point."""
        shape = [s + a + b for s, (a, b) in zip(x.shape, paddings, strict=True)]
        return self.add_op("PAD", [x, self.ints("paddings", paddings)], [self.like(x, "pad", shape)])

    def on_the_cpu(self, x: Tensor, picked: Sequence[int] | None = None) -> Tensor:
        """
        A GATHER_ND, which stays on the CPU, along the second dimension: backwards, if no indices are `picked`.
        """
        indices = range(x.shape[1])[::-1] if picked is None else picked
        shape = [x.shape[0], len(indices), *x.shape[2:]]
        places = self.ints("picked", [[[batch, index] for index in indices] for batch in range(x.shape[0])])
        return self.add_op("GATHER_ND", [x, places], [self.like(x, "gather", shape)])

    def quantize(self, x: Tensor, scale: float, zero: int, dtype: str | None = None) -> Tensor:
        """QUANTIZE to another scale, zero point or type."""
        return self.add_op("QUANTIZE", [x], [self.tensor("quantize", x.shape, scale, zero, dtype)])


def _window(size: Pair, kernel: Pair, stride: Pair, padding: str, dilation: Pair) -> Pair:
    """Output height and width of a sliding window."""
    if padding == "SAME":
        h, w = (math.ceil(s / t) for s, t in zip(size, stride, strict=True))
    else:
        h, w = (math.ceil((s - (k - 1) * d) / t) for s, k, d, t in zip(size, kernel, dilation, stride, strict=True))
    return h, w
