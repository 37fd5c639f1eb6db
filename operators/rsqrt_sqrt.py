"""
RSQRT and SQRT: tables. LiteRT computes them of 8 bits each in its own way, RSQRT in integers, SQRT by cutting off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, is_16_bit, per_tensor, table
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import NO_KERNEL, Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point, tables
    from npuc.operators.support.fixed_point import Array
    from npuc.operators.support.tables import Floats, Library
else:
    np, tosa, fixed_point, tables = deferred(
        "numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point", "npuc.operators.support.tables"
    )


@irdl_op_definition
class RsqrtOp(tfl.UnaryOp):
    """1 / sqrt(x), the greatest value for 0. LiteRT stops at what is negative; any value will do for that."""

    name = "tfl.rsqrt"


@irdl_op_definition
class SqrtOp(tfl.UnaryOp):
    """LiteRT stops at what is negative; any value will do for that."""

    name = "tfl.sqrt"


def check_rsqrt(op: RsqrtOp) -> None:
    if is_16_bit(op):
        tables.check_function(op, rsqrt)
        return
    rules.check_unary(op)
    scale = rsqrt_scale(rules.element(op.input).scale, rules.element(op.output).scale)
    fits = 2.0**-11 <= scale < 2.0**29
    rules.require(fits, f"RSQRT must scale inverse roots by 2^-11 to 2^29, not by {scale:.4g}", op.output)


def check_sqrt(op: SqrtOp) -> None:
    rules.check_unary(op)


def rsqrt(x: Floats, limits: tuple[np.float32, np.float32], library: Library) -> Floats:
    """Of 16 bits: in float32, in which square roots and quotients are rounded alike everywhere."""
    return np.where(x <= 0, limits[1], np.float32(1) / np.sqrt(np.where(x <= 0, np.float32(1), x)))


def convert_rsqrt(build: Builder, op: RsqrtOp) -> list[SSAValue]:
    """A look-up in a table."""
    if is_16_bit(op):
        return tables.real_function(build, op, rsqrt)
    x, output = per_tensor(op.input, 8), per_tensor(op.output, 8)
    multiplier, shift = fixed_point.quantize_multiplier(rsqrt_scale(x.scale, output.scale))

    def entries(stored: Array) -> Array:
        finer = np.array([inverse_root(value) for value in (stored - x.zero_point).tolist()])
        scaled = fixed_point.double_round(finer, multiplier, shift + FINER_BITS) + output.zero_point
        return np.where(stored == x.zero_point, 127, scaled)

    limits = tosa.value_range(output.storage_type)
    return table(build, op, fixed_point.table_of(entries, limits, numpy_dtype(x.storage_type)))


def convert_sqrt(build: Builder, op: SqrtOp) -> list[SSAValue]:
    """A look-up in a table: the root in float32, cut off to whole steps."""
    x, output = per_tensor(op.input, 8), per_tensor(op.output, 8)

    def entries(stored: Array) -> Array:
        real = np.maximum(stored - x.zero_point, 0).astype(np.float32) * np.float32(x.scale)
        steps = np.minimum(np.sqrt(real) / np.float32(output.scale), np.float32(1 << 20))
        return steps.astype(np.int64) + output.zero_point

    limits = tosa.value_range(output.storage_type)
    return table(build, op, fixed_point.table_of(entries, limits, numpy_dtype(x.storage_type)))


def rsqrt_scale(source: float, target: float) -> float:
    """What an inverse root of a stored value is scaled by. Source: LiteRT's preparation of RSQRT."""
    return 1 / to_float32(to_float32(math.sqrt(source)) * target)


FINER_BITS = 20
"""Fractional bits of an inverse root."""


def inverse_root(value: int) -> int:
    """
    1 / sqrt(value) with 20 fractional bits; 0 for a value of 0 or below.

    Five Newton steps from 1, x += x * (1 - a * x^2) / 2, in fixed point with 3 integer bits, where `value` has been
    brought to a in [1/2, 2) by a power of 4. Source: TFLite's GetInvSqrtQuantizedMultiplierExp.
    """
    if value <= 0:
        return 0
    multiplier, shift = (1 << 31) - 1, 0
    if value > 1:
        pairs = (31 - value.bit_length()) // 2 - 1
        shift = 11 - pairs
        a = (value << 2 * pairs) >> 1
        half = _halved(a)
        x, three_halves = 1 << 28, (1 << 28) + (1 << 27)
        for _ in range(5):
            cube = _saturated(_product(_product(x, x), x) << 6)
            x = _saturated((_product(three_halves, x) - _product(half, cube)) << 3)
        multiplier = _product(x, 1518500250)
        if shift < 0:
            multiplier, shift = multiplier << -shift, 0
    return _product(1 << FINER_BITS - shift, multiplier)


def _product(a: int, b: int) -> int:
    return (a * b + (1 << 30)) >> 31


def _halved(a: int) -> int:
    return (a + 1) >> 1


def _saturated(value: int) -> int:
    return min(value, (1 << 31) - 1)


OPERATORS = (
    Operator(
        op=RsqrtOp,
        kernels="a copy with a table",
        check=check_rsqrt,
        convert=convert_rsqrt,
        types=("int8", "int16"),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
    Operator(
        op=SqrtOp,
        kernels="a copy with a table",
        check=check_sqrt,
        convert=convert_sqrt,
        types=("int8",),
        others="of 16 bits LiteRT cuts roots off, which no base and slope of a table gives",
        rank=6,
        batches=True,
    ),
)
