"""
SUM: a pool with a scale; two where the axes are apart.

LiteRT's reference kernel takes all values for bytes without sign. For the types that have one the reference are its
default kernels, which scale in float32 and round halves away from zero. Both that and what the NPU computes grow with
the sum, so that they are equal if each result begins at the same sum: a scale is looked for that makes it so.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Scale
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import reductions, rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.operators.support import fixed_point
else:
    np, fixed_point = deferred("numpy", "npuc.operators.support.fixed_point")


@irdl_op_definition
class SumOp(tfl.ReducerOp):
    name = "tfl.sum"


def check(op: SumOp) -> None:
    axes = reductions.check(op)
    rules.same_storage(op, [op.input], op.output)
    source, target = rules.element(op.input), rules.element(op.output)
    count = math.prod(rules.shape(op.input)[axis] for axis in axes)
    limit = rules.MAX_DIMENSION
    rules.require(count <= limit, f"SUM must be over at most {limit} elements", op.input)
    reductions.check_sums(op, axes)
    least, greatest = rules.values(op.input)
    rules.require_scalable((count * least, count * greatest), source.scale / target.scale, op.output)
    exact = sum_scale(source, target, count) is not None
    rules.require(exact, "SUM must be scaled by a factor for which one rounds as LiteRT's float32 does", op.output)


def lower(op: SumOp, emit: QuantizedEmitter) -> None:
    """Replace a sum by its pools."""
    axes = reductions.axes_of(op)
    count = math.prod(shape_of(op.input)[axis] for axis in axes)
    scale = sum_scale(quantized(op.input), quantized(op.output), count)
    assert scale is not None
    emit.replace([reductions.emit_sums(emit, op, axes, scale)])


@lru_cache(maxsize=256)
def sum_scale(source: UniformQuantizedType, target: UniformQuantizedType, count: int) -> Scale | None:
    """The scale that makes of each sum of `count` values, less their zero point, what LiteRT does; None without one."""
    if not source.data.signed:
        return Scale("double_round", *fixed_point.quantize_multiplier(source.scale / target.scale))
    results = np.arange(target.storage_limits[0] + 1, target.storage_limits[1] + 1)
    begins = _begins(results, source, target, count) - count * source.zero_point
    least, greatest = (count * (limit - source.zero_point) for limit in source.storage_limits)
    # A factor is right if each result's half step is not above the factor times its first sum, but above that of the
    # sum before; of results that are never reached, or from the first sum on, one condition remains.
    half_steps = results - target.zero_point - 0.5
    first, before = begins <= greatest, begins > least
    reached = (begins[first], half_steps[first])
    not_yet = (begins[before] - 1, half_steps[before])
    low = max(0.0, _greatest_quotient(*reached, 1), _greatest_quotient(*not_yet, -1))
    high = min(-_greatest_quotient(*reached, -1, -1), -_greatest_quotient(*not_yet, 1, -1))
    factor = (low + high) / 2 if math.isfinite(high) else max(2 * low, source.scale / target.scale)
    shift = min(31 - math.frexp(factor)[1], 63)
    multiplier = round(math.ldexp(factor, shift))
    if shift < 0 or not 0 < multiplier < 1 << 32:
        return None
    exact = all(2 * x * multiplier >= int(2 * half) << shift for x, half in _pairs(*reached)) and all(
        2 * x * multiplier < int(2 * half) << shift for x, half in _pairs(*not_yet)
    )
    return Scale("natural", multiplier, shift) if exact else None


def _pairs(sums: NDArray[np.int64], half_steps: NDArray[Any]) -> zip[tuple[int, float]]:
    return zip(sums.tolist(), half_steps.tolist(), strict=True)


def _greatest_quotient(sums: NDArray[np.int64], half_steps: NDArray[Any], sign: int, of: int = 1) -> float:
    """The greatest of `of` times half step by sum, for sums of one sign; minus infinity if there is none."""
    chosen = np.sign(sums) == sign
    return float(np.max(of * half_steps[chosen] / sums[chosen], initial=-math.inf))


def _begins(
    results: NDArray[np.int64], source: UniformQuantizedType, target: UniformQuantizedType, count: int
) -> NDArray[np.int64]:
    """
    The least sum of `count` stored values for which LiteRT gives each of `results`, or a greater one; one beyond the
    greatest sum where none does. Source: TFLite's optimized_ops::QuantizedMeanOrSum.
    """
    factor = np.float32(source.scale) / np.float32(target.scale)
    bias = np.float32(-source.zero_point) * factor * np.float32(count)
    low = np.full(results.shape, count * source.storage_limits[0])
    high = np.full(results.shape, count * source.storage_limits[1] + 1)
    while (low < high).any():
        middle = (low + high) >> 1
        scaled = (middle.astype(np.float32) * factor + bias).astype(np.float64)
        reaches = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + target.zero_point >= results
        low, high = np.where(reaches | (low == high), low, middle + 1), np.where(reaches, middle, high)
    return low


OPERATORS = (
    Operator(
        op=SumOp,
        kernels="as MEAN",
        check=check,
        lower=lower,
        arguments=("axis",),
        rank=5,
        batches=True,
    ),
)
