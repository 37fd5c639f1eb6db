"""
REDUCE_MAX and REDUCE_MIN of stored values as they are: MAX pools, or MIN of halves.
"""

from __future__ import annotations

from typing import Literal

from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.hardware.limits import MAX_EXTENT
from npuc.operators.support import reductions, rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.record import Operator


@irdl_op_definition
class ReduceMaxOp(tfl.ReducerOp):
    name = "tfl.reduce_max"


@irdl_op_definition
class ReduceMinOp(tfl.ReducerOp):
    name = "tfl.reduce_min"


def check(op: ReduceMaxOp | ReduceMinOp) -> None:
    axes = reductions.check(op)
    rules.same_quantization(op, [op.input], op.output)
    possible = reductions.extremes(rules.shape(op.input), axes) is not None
    limit = MAX_EXTENT
    rules.require(possible, f"no side of the reduced axes may have more than {limit} elements", op.input)


def lower(op: ReduceMaxOp | ReduceMinOp, emit: QuantizedEmitter) -> None:
    """Replace an extreme by its kernels."""
    steps = reductions.extremes(shape_of(op.input), reductions.axes_of(op))
    assert steps is not None
    kind: Literal["max", "min"] = "max" if isinstance(op, ReduceMaxOp) else "min"
    value = emit.storage(op.input)
    for step in steps:
        value = reductions.emit_extreme(emit, kind, step, value)
    emit.replace([value])


def _record(op: type[tfl.ReducerOp], kernels: str) -> Operator:
    return Operator(
        op=op, kernels=kernels, check=check, lower=lower, arguments=("axis",), plain=True, rank=5, batches=True
    )


OPERATORS = (
    _record(ReduceMaxOp, "a MAX pool; one more for the depth, and where the axes are apart"),
    _record(ReduceMinOp, "MIN of halves"),
)
