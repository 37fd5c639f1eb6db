"""
AVERAGE_POOL_2D and MAX_POOL_2D: `tosa.avg_pool2d` or `tosa.max_pool2d`, then a clamp for an activation.

TFLite averages the stored values, zero point and all, over the valid elements, and rounds ties away from zero: with
zero points of 0, TOSA's average does the same. Neither operator rescales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.hardware.limits import POOL
from npuc.operators.support import rules, weighted
from npuc.operators.support.axes import planes
from npuc.operators.support.builder import Builder, per_tensor, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class AveragePool2DOp(tfl.PoolOp):
    name = "tfl.average_pool_2d"


@irdl_op_definition
class MaxPool2DOp(tfl.PoolOp):
    name = "tfl.max_pool_2d"


def check(op: tfl.PoolOp) -> None:
    rules.check_activation(op.fused_activation_function, op.output)
    rules.same_quantization(op, [op.input], op.output)
    rules.require(len(rules.shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    stride_h, stride_w = rules.strides(op)
    height, width = op.filter_height.value.data, op.filter_width.value.data
    rules.require(min(stride_h, stride_w, height, width) >= 1, "strides and windows must be positive", op.input)
    rows, columns = rules.axes(op.input, (height, width), (stride_h, stride_w), (1, 1), op.padding.data)
    rules.require_shape(op.output, (rules.shape(op.input)[0], rows.count, columns.count, rules.shape(op.input)[3]))
    plane = planes(rows, columns, POOL, mixes=False)
    if plane is None:
        rules.refuse(
            "the window must be at most 256 high or wide, or all there is of a channel, and 65536 in all, with at most "
            f"127 rows or columns of padding, not {height}x{width}",
            op.input,
        )
    if isinstance(op, AveragePool2DOp) and not plane.averages:
        parts = len(plane.rows.regions()) * len(plane.columns.regions())
        rules.require(
            parts <= rules.MAX_LAUNCHES,
            f"averages beyond 8x8 may be clipped in at most {rules.MAX_LAUNCHES} ways, not {parts}",
            op.input,
        )


def convert(build: Builder, op: AveragePool2DOp | MaxPool2DOp) -> list[SSAValue]:
    """Either pooling; input and output are quantised alike."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    kernel = (op.filter_height.value.data, op.filter_width.value.data)
    stride = (op.stride_h.value.data, op.stride_w.value.data)
    size, pad, after = weighted.window(op.input, kernel, stride, (1, 1), op.padding.data)
    batch, _, _, depth = shape_of(op.input)
    value = weighted.trim(build, build.storage(op.input), after)
    result = TensorType(output.storage_type, [batch, *size, depth])
    if isinstance(op, MaxPool2DOp):
        pooled = build.insert(tosa.MaxPool2DOp(value, result, kernel=kernel, stride=stride, pad=pad))
    else:
        zero = build.number(0, x.storage_type)
        pooled = build.insert(tosa.AvgPool2DOp(value, zero, zero, result, kernel=kernel, stride=stride, pad=pad))
    return [build.activate(pooled, op.fused_activation_function.data, output)]


OPERATORS = (
    Operator(
        op=AveragePool2DOp,
        kernels="one pool for each image of a batch; more where strides are above 3, or windows beyond 8x8 are clipped",
        check=check,
        convert=convert,
        batches=True,
    ),
    Operator(op=MaxPool2DOp, kernels="as AVERAGE_POOL_2D", check=check, convert=convert, batches=True),
)
