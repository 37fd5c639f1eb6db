"""
MEAN: a pool whose scale divides the sum and rescales it. Axes apart take two, of which the first makes whole sums.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Scale
from npuc.operators.support import reductions, rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.operators.support import fixed_point
else:
    (fixed_point,) = deferred("npuc.operators.support.fixed_point")


@irdl_op_definition
class MeanOp(tfl.ReducerOp):
    name = "tfl.mean"


def check(op: MeanOp) -> None:
    axes = reductions.check(op)
    rules.same_storage(op, [op.input], op.output)
    count = math.prod(rules.shape(op.input)[axis] for axis in axes)
    limit = rules.MAX_DIMENSION
    rules.require(count <= limit, f"MEAN must be over at most {limit} elements", op.input)
    reductions.check_sums(op, axes)
    # TFLite divides before it shifts left, by the power of two below the count.
    least, greatest = rules.values(op.input)
    factor = rules.element(op.input).scale / rules.element(op.output).scale
    rules.require_scalable((count * least, count * greatest), factor / (1 << count.bit_length() - 1), op.output)


def lower(op: MeanOp, emit: QuantizedEmitter) -> None:
    """Replace a mean by its pools."""
    axes = reductions.axes_of(op)
    count = math.prod(shape_of(op.input)[axis] for axis in axes)
    scale = Scale("double_round", *mean_scale(quantized(op.input).scale, quantized(op.output).scale, count))
    emit.replace([reductions.emit_sums(emit, op, axes, scale)])


def mean_scale(source: float, target: float, count: int) -> tuple[int, int]:
    """
    Multiplier and shift from a sum of `count` elements to their mean in the other scale. Source: TFLite divides the
    multiplier of the scales' quotient, brought as far left as its shift allows, by the count.
    """
    multiplier, shift = fixed_point.quantize_multiplier(source / target)
    left = min(count.bit_length() - 1, 32, 31 + (31 - shift))
    return (multiplier << left) // count, shift + left


OPERATORS = (
    Operator(
        op=MeanOp,
        kernels="one pool; two where the axes are apart",
        check=check,
        lower=lower,
        arguments=("axis",),
        rank=5,
        batches=True,
    ),
)
