"""
Tables of real functions as LiteRT fills them: 256 results of 8 bits, or 513 nodes of 16 bits between which it, and the
NPU, interpolate.

LiteRT computes in float32, with the exponential, logarithm and so on of the C library that it runs on, and libraries
differ in the last bit. A table that depends on such a bit is refused: it would be LiteRT's on one machine and not on
another. Hardly a table of 8 bits does; of those of 16 bits 1 in 70 by the exponential, and 1 in 4 by the logarithm, the
hyperbolic tangent or the error function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from npuc.dialects import tfl, tosa
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, CannotConvert, i16, per_tensor, table, wide
from npuc.operators.support.fixed_point import Array, table_of

Floats = NDArray[Any]
"""Of float32."""
RealFunction = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Library = Callable[[RealFunction, Floats], Floats]
"""Calls a function of the C library: a true one of doubles, with float32 arguments and results."""
Function = Callable[[Floats, tuple[np.float32, np.float32], Library], Floats]
"""What LiteRT computes of arguments; the pair is the least and the greatest value that the result's type holds."""


def erfc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The complementary error function."""
    return np.array([math.erfc(value) for value in x.tolist()])


_ERRORS: dict[RealFunction, tuple[float, float]] = {
    np.exp: (0.01, math.inf),
    np.log: (0.35, math.inf),
    np.tanh: (2.0, 1.0),
    erfc: (3.0, 2.0),
}
"""
By how many units in the last place, beyond rounding, float32 results of C libraries are off at most, and the limit of
the function: near that, libraries compute what is lacking, so that the error is in the last place of this. Source: the
GNU C library's manual ("Known Maximum Errors in Math Functions") and the bounds that its expf and logf state.
"""
_NEAR = 1 / 16
_OUT_OF_REACH = 2.0**40
_NODES = 512
_LEAST, _GREATEST = np.float32(-(1 << 15)), np.float32((1 << 15) - 1)


def check_function(op: tfl.UnaryOp, function: Function) -> None:
    """Refuses a function for which there is no table that is LiteRT's."""
    rules.check_unary(op)
    try:
        entries_of(function, rules.element(op.input), rules.element(op.output))
    except ValueError as error:
        rules.refuse(str(error), op.output)


def real_function(build: Builder, op: tfl.UnaryOp, function: Function) -> list[SSAValue]:
    """A look-up of what LiteRT computes in float32 of an operand of 8 or 16 bits."""
    try:
        entries = entries_of(function, per_tensor(op.input), per_tensor(op.output))
    except ValueError as error:
        raise CannotConvert(str(error)) from error
    if entries.size == 256:
        return table(build, op, entries)
    finer = build.insert(tosa.TableOp(build.storage(op.input), build.array(entries, i16), wide(op.output)))
    return [build.rescale(finer, i16, (1 << 30, 37), rounding=tosa.RoundingMode.SINGLE_ROUND)]


def entries_of(function: Function, source: UniformQuantizedType, target: UniformQuantizedType) -> Array:
    """
    The 256 results, or 513 nodes, between two quantisations of one width, in the type in which results are stored.

    Raises ValueError, in the words of a rule, where there are none that are LiteRT's and that the NPU holds.
    """
    make = _results if source.data.storage_width == 8 else _nodes
    with np.errstate(all="ignore"):
        # In between these all that a library may give lies, as results rise (or fall) with what it gives.
        below, above = (make(function, source, target, _library(direction)) for direction in (-1, 1))
    if not all(np.array_equal(one, other) for one, other in zip(below, above, strict=True)):
        raise ValueError("results must not depend on the last bit of the C library's function")
    return below[0]


def _library(direction: int) -> Library:
    """A library whose results are as far below (-1) or above (1) the true ones as any library's."""

    def call(function: RealFunction, x: Floats) -> Floats:
        true = function(x.astype(np.float64))
        nearest = true.astype(np.float32)
        units, limit = _ERRORS[function]
        lacking = limit - np.abs(true)
        exact_to = np.where(lacking < _NEAR, lacking, np.abs(true)).astype(np.float32)
        error = direction * units * np.spacing(exact_to).astype(np.float64)
        return np.where(np.isfinite(nearest), (true + error).astype(np.float32), nearest)

    return call


def _limits(target: UniformQuantizedType) -> tuple[np.float32, np.float32]:
    least, greatest = tosa.value_range(target.storage_type)
    scale = np.float32(target.scale)
    return np.float32(least - target.zero_point) * scale, np.float32(greatest - target.zero_point) * scale


def _results(
    function: Function, source: UniformQuantizedType, target: UniformQuantizedType, library: Library
) -> tuple[Array]:
    """Each result times the float32 reciprocal of its scale. Source: TFLite's LUTPopulate for 8 bits."""

    def entries(stored: Array) -> Array:
        x = (stored - source.zero_point).astype(np.float32) * np.float32(source.scale)
        scaled = function(x, _limits(target), library) * (np.float32(1) / np.float32(target.scale))
        return np.clip(_round(scaled), -_OUT_OF_REACH, _OUT_OF_REACH).astype(np.int64) + target.zero_point

    return (table_of(entries, tosa.value_range(target.storage_type), numpy_dtype(source.storage_type)),)


def _nodes(function: Function, source: UniformQuantizedType, target: UniformQuantizedType, library: Library):
    """The nodes in float32, then what they are computed from."""
    ends = np.float32(source.scale) * _LEAST, np.float32(source.scale) * _GREATEST
    made = _interpolation(lambda x: function(x, _limits(target), library), ends, np.float32(target.scale))
    if (np.abs(np.diff(made[0].astype(np.int64))) >= 1 << 15).any():
        raise ValueError("tables of 16 bits must rise or fall by less than 32768 from node to node")
    return made


def double_nodes(function: RealFunction, scale: float, zero_point: int, result_scale: float) -> Array:
    """The nodes of a function of doubles between 16-bit values."""
    ends = (np.float64(scale) * (end - zero_point) for end in (-(1 << 15), (1 << 15) - 1))
    return _interpolation(function, tuple(ends), np.float64(result_scale))[0]


def _interpolation(function: Callable[[Array], Array], ends: Sequence[np.floating], scale: np.floating):
    """
    The nodes of a function from the first to the last argument, of results of a scale, all in the precision of that. A
    node is the function's value less half of what the middle of its segment would be too great by. Source: TFLite's
    LUTPopulate for 16 bits.
    """
    real = type(scale)
    first, last = ends
    step = (last - first) / real(_NODES)
    factor = real(1 << 16) / (scale * real(_GREATEST) - scale * real(_LEAST))
    index = np.arange(_NODES).astype(real)
    x = np.concatenate([first + index * step, first + index * step + step / real(2), [last]])
    values = function(x) * factor
    behind = function(first + (index + real(1)) * step) * factor
    if not np.isfinite(values).all() or not np.isfinite(behind).all():
        raise ValueError("functions of 16 bits must be finite throughout")
    node, middle, end = (_round(part).astype(real) for part in np.split(values, [_NODES, 2 * _NODES]))
    between = _round((behind + node) / real(2)).astype(real)
    excess = _round((between - middle) / real(2)).astype(real)
    nodes = np.clip(np.concatenate([node - excess, end]), _LEAST, _GREATEST).astype(np.int16)
    return nodes, *(np.clip(part, 4 * _LEAST, 4 * _GREATEST) for part in (node, middle, between))


def _round(values: Floats) -> NDArray[np.float64]:
    """To nearest, halves away from zero."""
    wide = values.astype(np.float64)
    return np.copysign(np.floor(np.abs(wide) + 0.5), wide)
