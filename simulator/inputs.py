"""
Inputs drawn from a seed: of every kind that shows what others hide.

The seed chooses the kind (KINDS, in turn) and what is drawn. Random values over the whole type saturate many networks,
whose layers then show little; so half of the kinds draw less: near the zero point, few at a time, smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.tflite import CompiledModel, Tensor

_LETTERS = np.frombuffer(b"ab", np.uint8)
_TRANSPOSE_CONV = "67"
# Bytes of all tensors, above which a run takes so long that few are made by default.
_LARGE = 1 << 21
_FEW_RUNS = 3


class _Range(NamedTuple):
    """What an input may hold: the ends, the zero point, and its number of elements."""

    low: int
    high: int
    zero: int
    size: int

    @property
    def width(self) -> int:
        return self.high - self.low


_Draw = Callable[[np.random.Generator, _Range], NDArray]


def _uniform(rng: np.random.Generator, of: _Range) -> NDArray:
    return rng.integers(of.low, of.high, of.size, endpoint=True)


def _within(part: int) -> _Draw:
    """Values no further from the zero point than a part of the range."""

    def draw(rng: np.random.Generator, of: _Range) -> NDArray:
        reach = max(of.width // part, 1)
        return of.zero + rng.integers(-reach, reach, of.size, endpoint=True)

    return draw


def _ends(rng: np.random.Generator, of: _Range) -> NDArray:
    return np.where(rng.random(of.size) < 0.5, of.low, of.high)


def _ramp(rng: np.random.Generator, of: _Range) -> NDArray:
    return of.low + (np.arange(of.size) + rng.integers(of.width)) % (of.width + 1)


def _walk(rng: np.random.Generator, of: _Range) -> NDArray:
    step = of.width // 64
    return of.zero + np.cumsum(rng.integers(-step, step, of.size, endpoint=True))


def _sparse(rng: np.random.Generator, of: _Range) -> NDArray:
    return np.where(rng.random(of.size) < 0.05, _uniform(rng, of), of.zero)


def _ties(rng: np.random.Generator, of: _Range) -> NDArray:
    return of.zero + rng.integers(-1, 1, of.size, endpoint=True)


def _constant(rng: np.random.Generator, of: _Range) -> NDArray:
    return np.full(of.size, rng.choice([of.low, of.high, of.zero]))


KINDS: dict[str, _Draw] = {
    "uniform": _uniform,
    "near the zero point": _within(16),
    "ends": _ends,
    "ramp": _ramp,
    "within an eighth": _within(8),
    "uniform again": _uniform,
    "sparse": _sparse,
    "within a quarter": _within(4),
    "walk": _walk,
    "ties": _ties,
    "constant": _constant,
    "near again": _within(16),
}


def default_runs(model: CompiledModel) -> int:
    """How many seeds are tried when nobody says: every kind once, or few where the model is large."""
    return len(KINDS) if sum(abs(tensor.bytes) for tensor in model.tensors) < _LARGE else _FEW_RUNS


def _values(tensor: Tensor, seed: int, rng: np.random.Generator) -> NDArray:
    kind = list(KINDS.values())[seed % len(KINDS)]
    size = int(np.prod(tensor.shape))
    if tensor.dtype.kind == "V":
        # Strings are all that an input without a NumPy type can be; short ones of few letters are often equal.
        words = [bytes(rng.choice(_LETTERS, rng.integers(0, 3)).tolist()) for _ in range(size)]
        return np.array(words, np.object_).reshape(tensor.shape)
    if tensor.dtype.kind == "b":
        return rng.integers(0, 2, tensor.shape).astype(np.bool_)
    if tensor.dtype.kind in "iu":
        limits = np.iinfo(tensor.dtype)
        of = _Range(int(limits.min), int(limits.max), tensor.zero_point, size)
        if tensor.dtype.itemsize > 2:
            return rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
        return np.clip(kind(rng, of), of.low, of.high).astype(tensor.dtype).reshape(tensor.shape)
    # Of a float the kinds give multiples of a 16th, to four on either side.
    drawn = kind(rng, _Range(-64, 64, 0, size)) / 16 if seed % len(KINDS) else rng.standard_normal(size)
    return np.asarray(drawn).astype(tensor.dtype).reshape(tensor.shape)


def random_inputs(model: CompiledModel, seed: int, invocation: int = 0) -> dict[int, NDArray]:
    """
    One value for each model input by its position, of the kind that the seed and the invocation choose.

    An input that tells a TRANSPOSE_CONV its output's shape gets that shape.
    """
    shapes = {
        op.inputs[0]: model.tensors[op.outputs[0]].shape
        for op in model.operators
        if op.kind == _TRANSPOSE_CONV and op.inputs and op.outputs
    }
    rng = np.random.default_rng([seed, invocation] if invocation else seed)
    values: dict[int, NDArray] = {}
    for position, index in enumerate(model.inputs):
        tensor = model.tensors[index]
        if index in shapes:
            values[position] = np.array(shapes[index], tensor.dtype)
        else:
            values[position] = _values(tensor, seed + invocation, rng)
    return values
