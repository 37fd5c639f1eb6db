"""Random small networks for property tests: valid in LiteRT, every operator one that must be on the NPU."""

from __future__ import annotations

import math
from collections.abc import Callable

from network import Network
from operators import mean, resize, slice_
from tiny_writer import Tensor

LARGEST = 24 * 24 * 16


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
    used: set[Tensor] = set()
    left = operators or int(rng.integers(2, 10))
    while left > 0:
        # Mostly go on from the newest tensor, sometimes from an older one, which makes branches.
        x = live[-1] if rng.random() < 0.75 else live[int(rng.integers(len(live)))]
        before = len(n.ops)
        outputs = STEPS[int(rng.integers(len(STEPS)))](n, x, live)
        used.update(t for op in n.ops[before:] for t in op.inputs if t is not None)
        live += outputs
        left -= len(n.ops) - before
    return n.model(*[t for t in live if t not in used]).to_bytes()


Step = Callable[[Network, Tensor, list[Tensor]], list[Tensor]]


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
    tables = {
        "int8": {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "HARD_SWISH": None, "LEAKY_RELU": None},
        "uint8": {"LOGISTIC": (1 / 256, 0), "TANH": (1 / 128, 128), "HARD_SWISH": None, "LEAKY_RELU": None},
        "int16": {"LOGISTIC": (1 / 32768, 0), "TANH": (1 / 32768, 0), "LEAKY_RELU": None},
    }[n.dtype]
    op = ("RELU", *tables)[int(n.rng.integers(len(tables) + 1))]
    scale, zero = tables.get(op) or (None, None)
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
