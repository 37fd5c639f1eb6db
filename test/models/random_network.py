"""
Random small networks for property tests, all valid in LiteRT.

`random_network` has only operators that must be on the NPU, in one type. `wild_network` mixes types, batches and
operators of the host in, and draws on purpose what has broken compilers: a map read beside a view of itself, scales
that are powers of two apart, parts of a map joined again, weights used twice, outputs that are operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from network import Network
from operator_models import mean, resize, slice_, strided_slice
from tiny_writer import Op, Tensor

LARGEST = 24 * 24 * 16
FIXED_SCALES = {
    "int8": {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)},
    "uint8": {"LOGISTIC": (1 / 256, 0), "TANH": (1 / 128, 128), "SOFTMAX": (1 / 256, 0)},
    "int16": {"LOGISTIC": (1 / 32768, 0), "TANH": (1 / 32768, 0), "SOFTMAX": (1 / 32768, 0)},
}

Step = Callable[[Network, Tensor, list[Tensor]], list[Tensor]]
"""Adds operators that read a tensor (and others of those alive), and gives their outputs; nothing where none fits."""


def random_network(seed: int, dtype: str = "int8", operators: int | None = None) -> bytes:
    """
    A TFLite file with one or two inputs and two to nine operators (or about `operators`); its outputs are all tensors
    that nothing consumes, so that an input may be an output. Feature maps are int8, uint8 or int16 throughout, NHWC and
    small. Branches, residual sums, concatenations of branches and tensors used twice occur. The same seed gives the
    same bytes.
    """
    n = Network(seed, dtype)
    rng = n.rng
    height, width, depth = (int(v) for v in rng.integers((1, 1, 1), (17, 17, 25)))
    live = [n.input((1, height, width, depth))]
    if rng.random() < 0.3:
        live.append(n.input((1, height, width, depth)))
    used = _grow(n, live, STEPS, operators or int(rng.integers(2, 10)))
    return n.model(*[t for t in live if t not in used]).to_bytes()


def wild_network(seed: int) -> bytes:
    """
    A TFLite file with one to three inputs and two to fourteen operators, most of them for the NPU.

    Its outputs are all tensors that nothing consumes, and some that something does. In a third of the networks every
    scale is a power of two.
    """
    n = _Wild(seed)
    rng = n.rng
    n.dtype = ("int8", "int8", "uint8", "int16")[int(rng.integers(4))]
    shape = _shape(n)
    live = [n.input(shape)]
    while len(live) < 3 and rng.random() < 0.35:
        alike = live[0].scales()[0], live[0].zeros()[0]
        scale, zero = alike if rng.random() < 0.5 else (None, None)
        live.append(n.input(shape if rng.random() < 0.8 else _shape(n), scale, zero))
    used = _grow(n, live, WILD_STEPS, int(rng.integers(2, 15)))
    kept = [t for t in live if t in used and t not in n.inputs and rng.random() < 0.15]
    outputs = [t for t in live if t not in used and t not in n.inputs] + kept
    return n.model(*(outputs or live)).to_bytes()


class _Wild(Network):
    """A network whose scales may all be powers of two."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self.powers = bool(self.rng.random() < 0.33)

    def scale(self, around: float) -> float:
        drawn = super().scale(around)
        return 2.0 ** round(math.log2(drawn)) if self.powers else drawn

    def binary(
        self, op: str, a: Tensor, b: Tensor, scale: float | None = None, zero: int | None = None, **options: object
    ) -> Tensor:
        """As LiteRT asks, 16-bit scales that are powers of two give the greater one, or do not broadcast."""
        scales = a.scales()[0], b.scales()[0]
        if self.dtype == "int16" and op in ("ADD", "SUB") and all(map(_is_power, scales)):
            scale = max(scales) * (1 if tuple(a.shape) == tuple(b.shape) else 1.3)
        return super().binary(op, a, b, scale, zero, **options)


def _is_power(scale: float) -> bool:
    """Whether LiteRT takes a scale for a power of two."""
    exponent = math.log2(scale)
    return abs(exponent - round(exponent)) < 0.002


def _shape(n: Network) -> tuple[int, int, int, int]:
    """Of an input: mostly a small map, sometimes a thin, a deep or a tiny one, sometimes a batch."""
    kind = n.rng.random()
    if kind < 0.6:
        height, width, depth = n.rng.integers((1, 1, 1), (15, 15, 25)).tolist()
    elif kind < 0.7:
        height, width, depth = n.rng.integers((1, 1, 1), (3, 3, 4)).tolist()
    elif kind < 0.8:
        height, width, depth = 1, int(n.rng.integers(1, 200)), int(n.rng.integers(1, 5))
    elif kind < 0.9:
        height, width, depth = int(n.rng.integers(1, 200)), int(n.rng.integers(1, 3)), int(n.rng.integers(1, 5))
    else:
        height, width, depth = *n.rng.integers((1, 1), (3, 3)).tolist(), int(n.rng.integers(25, 200))
    return 1 if n.rng.random() < 0.9 else int(n.rng.integers(2, 4)), height, width, depth


def _grow(n: Network, live: list[Tensor], steps: list[Step], left: int) -> set[Tensor]:
    """Take steps until so many operators are made; gives the tensors that something reads."""
    used: set[Tensor] = set()
    while left > 0:
        # Mostly go on from the newest tensor, sometimes from an older one, which makes branches.
        x = live[-1] if n.rng.random() < 0.75 else live[int(n.rng.integers(len(live)))]
        before, n.dtype = len(n.ops), x.dtype
        outputs = steps[int(n.rng.integers(len(steps)))](n, x, live)
        used.update(t for op in n.ops[before:] for t in op.inputs if t is not None)
        live += outputs
        left -= len(n.ops) - before
    return used


def _pick(n: Network, *choices: int) -> int:
    return choices[int(n.rng.integers(len(choices)))]


def _activation(n: Network) -> str:
    return ("NONE", "NONE", "RELU", "RELU6")[int(n.rng.integers(4))]


def _window(n: Network, x: Tensor, *sizes: int) -> tuple[tuple[int, int], tuple[int, int], str]:
    """Kernel, stride and a padding that fits."""
    kernel = (_pick(n, *sizes), _pick(n, *sizes))
    stride = (_pick(n, 1, 1, 2), _pick(n, 1, 1, 2))
    fits = kernel[0] <= x.shape[1] and kernel[1] <= x.shape[2]
    return kernel, stride, "VALID" if fits and n.rng.random() < 0.4 else "SAME"


def _conv(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4:
        return _dense(n, x, _)
    kernel, stride, padding = _window(n, x, 1, 1, 2, 3, 5)
    dilation = (1, 1)
    if padding == "SAME" and n.rng.random() < 0.2:
        stride, dilation = (1, 1), (2, 2)
    depth = int(n.rng.integers(1, 33))
    return [n.conv(x, depth, kernel, stride, padding, _activation(n), dilation, bool(n.rng.random() < 0.8))]


def _depthwise(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4:
        return _dense(n, x, _)
    multiplier = _pick(n, 2, 8) if x.shape[3] == 1 else 1
    return [n.depthwise(x, *_window(n, x, 1, 2, 3, 5), _activation(n), multiplier)]


def _pool(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4:
        return []
    op = ("AVERAGE_POOL_2D", "MAX_POOL_2D")[int(n.rng.integers(2))]
    return [n.pool(op, x, *_window(n, x, 2, 3))]


def _dense(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """FULLY_CONNECTED, flattening first."""
    size = x.shape[1] if len(x.shape) == 2 else x.shape[1] * x.shape[2] * x.shape[3]
    if size > 1500:
        return []
    flat = x if len(x.shape) == 2 else n.reshape(x, (1, size))
    return [n.fully_connected(flat, int(n.rng.integers(1, 41)), _activation(n))]


def _sum(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """ADD, SUB or MUL with a tensor of the same shape, with itself, or with a constant."""
    op = ("ADD", "ADD", "SUB", "MUL")[int(n.rng.integers(4))]
    alike = [t for t in live if tuple(t.shape) == tuple(x.shape)]
    if n.rng.random() < 0.7:
        other = alike[int(n.rng.integers(len(alike)))]
    else:
        shape = ((1,) * (len(x.shape) - 1) + (x.shape[-1],), ())[int(n.rng.integers(2))]
        other = n.constant(shape, n.scale(x.scales()[0]))
    return [n.binary(op, x, other)]


def _concat(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """CONCATENATION by channels with a tensor of the same size, requantised to this one's scale."""
    alike = [t for t in live if tuple(t.shape[:-1]) == tuple(x.shape[:-1])]
    other = alike[int(n.rng.integers(len(alike)))]
    if (other.scales(), other.zeros()) != (x.scales(), x.zeros()):
        other = n.quantize(other, x.scales()[0], x.zeros()[0])
    return [n.concat([x, other], len(x.shape) - 1)] if _elements(x) + _elements(other) <= LARGEST else []


def _unary(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    others = (
        ("LOGISTIC", "TANH", "LEAKY_RELU") if n.dtype == "int16" else ("LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU")
    )
    op = ("RELU", *others)[int(n.rng.integers(len(others) + 1))]
    scale, zero = FIXED_SCALES[n.dtype].get(op, (None, None))
    return [n.unary(op, x, scale, zero, **({"alpha": float(n.rng.uniform(0, 0.5))} if op == "LEAKY_RELU" else {}))]


def _extremum(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """MINIMUM or MAXIMUM with a requantised tensor of the same shape."""
    alike = [t for t in live if tuple(t.shape) == tuple(x.shape) and t is not x]
    if not alike:
        return []
    other = n.quantize(alike[int(n.rng.integers(len(alike)))], x.scales()[0], x.zeros()[0])
    return [n.extremum(("MINIMUM", "MAXIMUM")[int(n.rng.integers(2))], x, other)]


def _reshape(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4:
        return [n.reshape(x, (1, 1, 1, x.shape[1]))]
    _, h, w, c = x.shape
    return [n.reshape(x, ((1, w, h, c), (1, h * w, 1, c), (1, h, 1, w * c))[int(n.rng.integers(3))])]


def _pad(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4 or _elements(x) > LARGEST // 4:
        return []
    (a, b), (c, d) = n.rng.integers(0, 3, (2, 2)).tolist()
    return [n.pad(x, [(0, 0), (a, b), (c, d), (0, 0)])]


def _part(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """SPLIT by channels where they are even, else a SLICE of the map."""
    if len(x.shape) != 4:
        return []
    if x.shape[3] % 2 == 0 and n.rng.random() < 0.6:
        return n.split(x, 2, 3)
    begin = [int(n.rng.integers(s)) for s in x.shape]
    return [slice_(n, x, begin, [int(n.rng.integers(1, s - b + 1)) for s, b in zip(x.shape, begin, strict=True)])]


def _mean(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    return [mean(n, x, [1, 2], bool(n.rng.random() < 0.5))] if len(x.shape) == 4 else []


def _resize(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if len(x.shape) != 4 or 4 * _elements(x) > LARGEST:
        return []
    return [resize(n, x, 2 * x.shape[1], 2 * x.shape[2])]


def _elements(x: Tensor) -> int:
    return math.prod(x.shape)


# An operator that stands here twice is drawn twice as often.
STEPS: list[Step] = [
    *[_conv] * 3, *[_depthwise] * 2, *[_sum] * 2, *[_concat] * 2,
    _pool, _dense, _unary, _extremum, _reshape, _pad, _part, _mean, _resize,
]  # fmt: skip


# -- steps of wild networks


def _alike(n: Network, x: Tensor, live: list[Tensor]) -> Tensor:
    """A tensor of this one's shape and type, perhaps itself."""
    found = [t for t in live if (tuple(t.shape), t.dtype) == (tuple(x.shape), x.dtype)]
    return found[int(n.rng.integers(len(found)))]


def _quantised_as(n: Network, x: Tensor, other: Tensor) -> Tensor:
    """`other`, requantised to the scale and zero point of `x` where they differ."""
    if (other.scales(), other.zeros()) == (x.scales(), x.zeros()):
        return other
    return n.quantize(other, x.scales()[0], x.zeros()[0])


def _combine(n: Network, a: Tensor, b: Tensor) -> Tensor:
    """ADD, SUB, MUL, MINIMUM or MAXIMUM of two tensors of one type, in either order, where they broadcast."""
    if n.rng.random() < 0.5:
        a, b = b, a
    op = ("ADD", "ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM")[int(n.rng.integers(6))]
    if op in ("MINIMUM", "MAXIMUM"):
        return n.extremum(op, a, _quantised_as(n, a, b))
    if max(a.scales()[0], b.scales()[0]) > 1e12 or min(a.scales()[0], b.scales()[0]) < 1e-12:
        return n.binary(op, a, b, max(a.scales()[0], b.scales()[0]))
    zero = 0 if n.dtype == "int16" else None
    return n.binary(op, a, b, None, zero, activation=_activation(n))


def _two(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    return [_combine(n, x, _alike(n, x, live))]


def _cut(n: Network, x: Tensor, single: bool = False) -> Tensor:
    """A SLICE of a tensor of any rank; with `single` one element of the axes that it cuts, so that it broadcasts."""
    begin, size = [], []
    for full in x.shape:
        first = int(n.rng.integers(full)) if n.rng.random() < 0.5 else 0
        cut = n.rng.random() < 0.4
        begin.append(first if cut or not single else 0)
        size.append(full if single and not cut else 1 if single else int(n.rng.integers(1, full - first + 1)))
    return slice_(n, x, begin, size)


def _beside_a_view(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """A kernel whose operands are a result and a view of it that broadcasts."""
    y = _combine(n, x, _alike(n, x, live)) if n.rng.random() < 0.7 else x
    return [y, _combine(n, y, _cut(n, y, single=True))]


def _parts_together(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """Two parts of one map, which may overlap, as operands of one kernel; what was the map is read again."""
    axis = int(n.rng.integers(len(x.shape)))
    full = x.shape[axis]
    if full < 2:
        return []
    size = int(n.rng.integers(1, full))
    parts = []
    for first in n.rng.integers(0, full - size + 1, 2).tolist():
        begin = [first if i == axis else 0 for i in range(len(x.shape))]
        parts.append(slice_(n, x, begin, [size if i == axis else s for i, s in enumerate(x.shape)]))
    return [n.unary("RELU", x), _combine(n, *parts)]


def _powers_apart(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """ADD or SUB of operands, and into a result, whose scales are 2^k apart."""
    scale = x.scales()[0]
    other = n.quantize(_alike(n, x, live), scale * 2.0 ** _pick(n, -4, -2, -1, 0, 0, 1, 2, 3), n.zero())
    zero = 0 if n.dtype == "int16" else None
    result = scale * 2.0 ** _pick(n, -1, 0, 0, 1, 2)
    pair = (x, other) if n.rng.random() < 0.5 else (other, x)
    op = ("ADD", "SUB")[int(n.rng.integers(2))]
    return [n.binary(op, *pair, result, zero, pot_scale_int16=bool(n.rng.random() < 0.5))]


def _with_constant(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """A constant operand of the same shape, of one that broadcasts, or a scalar; of the same scale or another."""
    shape: tuple[int, ...] = tuple(s if n.rng.random() < 0.5 else 1 for s in x.shape)
    shape = (shape, tuple(x.shape), shape[1:], ())[int(n.rng.integers(4))]
    scale = x.scales()[0] * (1 if n.rng.random() < 0.3 else n.scale(2.0 ** _pick(n, -3, 0, 0, 2)))
    return [_combine(n, x, n.constant(shape, scale, 0 if n.dtype == "int16" else None))]


def _join(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """CONCATENATION along any axis, of tensors that may come twice or be constant; its parts live on."""
    axis = int(n.rng.integers(len(x.shape)))

    def rest(t: Tensor) -> tuple[object, ...]:
        return (t.dtype, len(t.shape), *(s for i, s in enumerate(t.shape) if i != axis))

    fitting = [t for t in live if rest(t) == rest(x)]
    parts = [x]
    while len(parts) < 2 or n.rng.random() < 0.3:
        if n.rng.random() < 0.15:
            parts.append(n.constant(x.shape, x.scales()[0], x.zeros()[0]))
        else:
            parts.append(_quantised_as(n, x, fitting[int(n.rng.integers(len(fitting)))]))
    if sum(map(_elements, parts)) > LARGEST:
        return []
    order = n.rng.permutation(len(parts)).tolist()
    return [n.concat([parts[i] for i in order], axis - len(x.shape) if n.rng.random() < 0.3 else axis)]


def _divide(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """SPLIT along any axis that divides, STRIDED_SLICE or SLICE."""
    choices = [(axis, count) for axis, size in enumerate(x.shape) for count in (2, 3) if size % count == 0]
    if choices and n.rng.random() < 0.6:
        axis, count = choices[int(n.rng.integers(len(choices)))]
        return n.split(x, count, axis)
    if len(x.shape) == 4 and n.rng.random() < 0.4:
        begin = [0, *(int(n.rng.integers(s)) for s in x.shape[1:])]
        steps = [1, _pick(n, 1, 2, 3), _pick(n, 1, 2, 3), 1]
        return [strided_slice(n, x, begin, list(x.shape), steps)]
    return [_cut(n, x)]


def _on_the_host(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """What the NPU does not take: a GATHER_ND, or a detour through floats."""
    if len(x.shape) > 1 and n.rng.random() < 0.75:
        return [n.on_the_cpu(x, n.rng.integers(0, x.shape[1], int(n.rng.integers(1, x.shape[1] + 1))).tolist())]
    real = n.add_op("DEQUANTIZE", [x], [Tensor(n.name("real"), x.shape, "float32")])
    rectified = n.add_op("RELU", [real], [Tensor(n.name("rectified"), x.shape, "float32")])
    return [n.quantize(rectified, n.scale(x.scales()[0]), n.zero())]


def _move(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """An operator that moves values."""

    def moved(op: str, shape: Sequence[int], *operands: Tensor, **options: int) -> list[Tensor]:
        return [n.add_op(op, [x, *operands], [n.like(x, op.lower(), shape)], **options)]

    kind, axis = int(n.rng.integers(7)), int(n.rng.integers(len(x.shape)))
    size = x.shape[axis]
    before, behind = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    if kind == 0:
        picked = n.rng.integers(0, size, int(n.rng.integers(1, size + 1))).tolist()
        return moved("GATHER", (*before, len(picked), *behind), n.ints("picked", picked), axis=axis)
    if kind == 1:
        return moved("REVERSE_V2", x.shape, n.ints("axis", [axis]))
    if kind == 2:
        order = n.rng.permutation(len(x.shape)).tolist()
        return moved("TRANSPOSE", [x.shape[i] for i in order], n.ints("order", order))
    if kind == 3:
        mode = int(n.rng.integers(2))
        around = [[0, 0] for _ in x.shape]
        around[axis] = [int(amount) for amount in n.rng.integers(0, min(size - 1 + mode, 3) + 1, 2)]
        return moved("MIRROR_PAD", (*before, size + sum(around[axis]), *behind), n.ints("paddings", around), mode=mode)
    if kind == 4:
        count = _pick(n, 2, 3)
        multiples = [count if at == axis else 1 for at in range(len(x.shape))]
        return moved("TILE", (*before, size * count, *behind), n.ints("multiples", multiples))
    if kind == 5 and len(x.shape) == 4 and x.shape[1] % 2 == x.shape[2] % 2 == 0 and x.dtype != "int16":
        return moved("SPACE_TO_DEPTH", (x.shape[0], x.shape[1] // 2, x.shape[2] // 2, 4 * x.shape[3]), block_size=2)
    parts = [n.like(x, "part", (*before, *behind)) for _ in range(size)]
    if size > 4 or len(x.shape) == 1:
        return moved("REVERSE_V2", x.shape, n.ints("axis", [axis]))
    n.add_op("UNPACK", [x], parts, num=size, axis=axis)
    packed = n.like(x, "packed", (*before, *behind, size))
    return [n.add_op("PACK", parts, [packed], values_count=size, axis=len(x.shape) - 1)]


def _retype(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """QUANTIZE to another type, scale or zero point."""
    types = {"int8": ("int8", "uint8", "int16"), "uint8": ("uint8", "int8"), "int16": ("int16", "int8")}[x.dtype]
    dtype = types[int(n.rng.integers(len(types)))]
    widths = [np.iinfo(t).max - np.iinfo(t).min for t in (x.dtype, dtype)]
    scale = x.scales()[0] * widths[0] / widths[1] * 2.0 ** _pick(n, -1, 0, 0, 1)
    return [n.quantize(x, n.scale(scale), n.zero(dtype), dtype)]


def _softmax(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    # LiteRT ends the process where the scale of a softmax is below 2^-26, or the exponentials of a row add up to 256.
    if not x.shape or x.shape[-1] > 255:
        return []
    if x.scales()[0] < 2.0**-20:
        x = n.quantize(x, n.scale(2.0**-8), n.zero())
    return [n.unary("SOFTMAX", x, *FIXED_SCALES[x.dtype]["SOFTMAX"], beta=float(_pick(n, 1, 1, 2)))]


def _any_mean(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """MEAN over any axes but all."""
    axes = [i for i in range(len(x.shape)) if n.rng.random() < 0.5]
    if not axes or len(axes) == len(x.shape):
        return []
    return [mean(n, x, axes, bool(n.rng.random() < 0.5), bool(n.rng.random() < 0.5))]


def _wild_conv(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """CONV_2D, DEPTHWISE_CONV_2D or TRANSPOSE_CONV, with strides and dilations that differ by axis, and multipliers."""
    if len(x.shape) != 4:
        return _ranked_dense(n, x, _)
    kernel = (_pick(n, 1, 1, 2, 3, 3, 5), _pick(n, 1, 1, 2, 3, 3, 5))
    stride = (_pick(n, 1, 1, 1, 2, 3, 4), _pick(n, 1, 1, 1, 2, 3, 4))
    dilation = (1, 1) if n.rng.random() < 0.7 else (_pick(n, 1, 2, 3), _pick(n, 1, 2, 3))
    if dilation != (1, 1):
        stride = (1, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    fits = reach[0] <= x.shape[1] and reach[1] <= x.shape[2]
    padding = "VALID" if fits and n.rng.random() < 0.5 else "SAME"
    kind = n.rng.random()
    if kind < 0.2 and 4 * _elements(x) <= LARGEST:
        up = (_pick(n, 1, 2), _pick(n, 1, 2))
        return [n.transpose_conv(x, int(n.rng.integers(1, 20)), kernel, up, padding)]
    if kind < 0.5:
        multiplier = _pick(n, 1, 1, 2, 3) if _elements(x) < LARGEST // 8 else 1
        per_channel = bool(n.rng.random() < 0.8)
        return [n.depthwise(x, kernel, stride, padding, _activation(n), multiplier, dilation, per_channel)]
    depth = int(n.rng.integers(1, 40))
    return [n.conv(x, depth, kernel, stride, padding, _activation(n), dilation, bool(n.rng.random() < 0.8))]


def _ranked_dense(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """FULLY_CONNECTED of a tensor of any rank, which keeps the dimensions before the last or flattens them."""
    features = x.shape[-1]
    depth = int(n.rng.integers(1, 41))
    if not x.shape or features > 1500:
        return []
    flat = Tensor("flat", (1, features), x.dtype, x.scale, x.zero)
    weights, bias = n.weights((depth, features), 0, flat, bool(n.rng.random() < 0.3 and n.dtype == "int8"), "NONE")
    keep = len(x.shape) != 2 and bool(n.rng.random() < 0.5)
    shape = (*x.shape[:-1], depth) if keep else (_elements(x) // features, depth)
    y = n.ofm("dense", shape, x, weights, features, "NONE")
    offsets = bias if n.rng.random() < 0.8 else None
    return [n.add_op("FULLY_CONNECTED", [x, weights, offsets], [y], keep_num_dims=keep)]


def _shared_weights(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """Two convolutions with one weight tensor, to results of other scales."""
    if len(x.shape) != 4:
        return []
    depth = int(n.rng.integers(1, 33))
    first = n.conv(x, depth, (_pick(n, 1, 3), _pick(n, 1, 3)), activation=_activation(n))
    op = n.ops[-1]
    again = n.unary("RELU", x) if n.rng.random() < 0.5 else x
    second = replace(n.like(first, "conv_again", first.shape), scale=n.scale(first.scales()[0]))
    n.ops.append(Op("CONV_2D", [again, *op.inputs[1:]], [second], **op.options))
    return [first, second]


def _residual_chain(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """x + f(x), several times over."""
    if len(x.shape) != 4 or _elements(x) > LARGEST // 4:
        return []
    for _index in range(_pick(n, 2, 3)):
        branch = n.conv(x, x.shape[3], (_pick(n, 1, 3),) * 2) if n.rng.random() < 0.7 else n.unary("RELU", x)
        x = n.binary("ADD", x, branch, activation=_activation(n))
    return [x]


def _elementwise_chain(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    """Unary and binary operators one behind the other, each of which could work in place; one is read once more."""
    made = [x]
    for _index in range(_pick(n, 2, 3, 4)):
        made.append(_wild_unary(n, made[-1], live)[0] if n.rng.random() < 0.5 else _combine(n, made[-1], made[0]))
    return made[1:]


def _wild_unary(n: Network, x: Tensor, live: list[Tensor]) -> list[Tensor]:
    op = ("RELU", "RELU6", "RELU_N1_TO_1", "ABS", "")[int(n.rng.integers(5))]
    if not op or (op != "RELU" and n.dtype == "int16") or (op == "ABS" and n.dtype == "uint8"):
        return _unary(n, x, live)
    scale = x.scales()[0] if n.rng.random() < 0.5 else n.scale(x.scales()[0])
    return [n.unary(op, x, scale, None if n.dtype == "int16" or op == "ABS" else n.zero())]


def _rerank(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    """RESHAPE to another rank, EXPAND_DIMS or SQUEEZE."""
    kind = n.rng.random()
    ones = [i for i, s in enumerate(x.shape) if s == 1]
    if kind < 0.2 and ones and len(x.shape) > 1:
        axis = ones[int(n.rng.integers(len(ones)))]
        shape = [s for i, s in enumerate(x.shape) if i != axis]
        return [n.add_op("SQUEEZE", [x], [n.like(x, "squeeze", shape)], squeeze_dims=[axis])]
    if kind < 0.4 and len(x.shape) < 4:
        axis = int(n.rng.integers(len(x.shape) + 1))
        shape = [*x.shape[:axis], 1, *x.shape[axis:]]
        return [n.add_op("EXPAND_DIMS", [x, n.ints("axis", axis)], [n.like(x, "expand", shape)])]
    size = _elements(x)
    divisors = [d for d in range(1, min(size, 64) + 1) if size % d == 0]
    first = divisors[int(n.rng.integers(len(divisors)))]
    rest = size // first
    divisors = [d for d in range(1, min(rest, 64) + 1) if rest % d == 0]
    second = divisors[int(n.rng.integers(len(divisors)))]
    shapes = [(1, first, second, rest // second), (1, first, rest), (first, rest), (size,)]
    return [n.reshape(x, shapes[int(n.rng.integers(4))])]


def _any_pad(n: Network, x: Tensor, _: list[Tensor]) -> list[Tensor]:
    if not x.shape or _elements(x) > LARGEST // 8:
        return []
    amounts = [tuple(n.rng.integers(0, 3, 2).tolist()) if n.rng.random() < 0.5 else (0, 0) for _axis in x.shape]
    return [n.pad(x, amounts)]


def _four(step: Step) -> Step:
    """A step that wants a map of rank 4."""
    return lambda n, x, live: step(n, x, live) if len(x.shape) == 4 else []


WILD_STEPS: list[Step] = [
    *[_wild_conv] * 4, *[_two] * 2, *[_join] * 2, *[_divide] * 2, *[_beside_a_view] * 2, *[_on_the_host] * 2, _move,
    _parts_together, _powers_apart, _with_constant, _retype, _softmax, _any_mean, _ranked_dense, _shared_weights,
    _residual_chain, _elementwise_chain, _wild_unary, _rerank, _any_pad, _four(_pool), _four(_resize),
]  # fmt: skip
