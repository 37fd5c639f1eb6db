"""
REDUCE_MAX and REDUCE_MIN of stored values as they are: MAX pools. The least is the greatest of all values turned round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Element, Window
from npuc.operators.support import reductions, rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.kernels import full_range, tensor
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
    pools = reductions.extremes(rules.shape(op.input), axes)
    limit = reductions.MAX_EXTENT
    rules.require(pools is not None, f"no side of the reduced axes may have more than {limit} elements", op.input)


def lower_max(op: ReduceMaxOp, emit: QuantizedEmitter) -> None:
    """Replace a maximum by its pools."""
    emit.replace([_greatest(emit, op, emit.storage(op.input))])


def lower_min(op: ReduceMinOp, emit: QuantizedEmitter) -> None:
    """Replace a minimum by the pools of a maximum, between two tables."""
    value = emit.storage(op.input)
    if reductions.extremes(shape_of(op.input), reductions.axes_of(op)) == ():
        emit.replace([value])
        return
    type_ = tensor(value).element_type
    table = reductions.turned_round(emit, Element.of(type_))
    turned = emit.look_up(emit.feature_map(value), table, type_)
    emit.replace([_greatest(emit, op, turned, table)])


def _greatest(emit: QuantizedEmitter, op: tfl.ReducerOp, value: SSAValue, table: SSAValue | None = None) -> SSAValue:
    """The greatest values, looked up in `table`."""
    pools = reductions.extremes(shape_of(op.input), reductions.axes_of(op))
    assert pools is not None
    for pool in pools:
        assert pool.window is not None
        clamp, last = full_range(value), pool is pools[-1] and table is not None
        ofm: TensorType[Any] = TensorType(tensor(value).element_type, list(pool.ofm))
        value = emit.pool(
            "max",
            emit.view(value, pool.ifm),
            ofm,
            window=Window(*pool.window),
            activation=replace(clamp, function="table") if last else clamp,
            table=table if last else None,
        )
    return value


def _record(op: type[tfl.ReducerOp], kernels: str, lower: Any) -> Operator:
    return Operator(
        op=op, kernels=kernels, check=check, lower=lower, arguments=("axis",), plain=True, rank=5, batches=True
    )


OPERATORS = (
    _record(ReduceMaxOp, "a MAX pool; one more for the depth, and where the axes are apart", lower_max),
    _record(ReduceMinOp, "a copy with a table, then as REDUCE_MAX with the same table", lower_min),
)
