"""
BATCH_MATMUL of 8 bits, by the kernels of `support/matrix_products.py`; with one constant matrix Y a convolution.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BoolAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale, Window
from npuc.dialects.quant import to_float32
from npuc.operators.support import matrix_products, rules, weighted
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import batch_map
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import npu_schedule
    from npuc.operators.support import fixed_point, permutation
else:
    np, npu_schedule, permutation, fixed_point = deferred(
        "numpy",
        "npuc.dialects.npu_schedule",
        "npuc.operators.support.permutation",
        "npuc.operators.support.fixed_point",
    )


@irdl_op_definition
class BatchMatmulOp(tfl.TflOp):
    """Matrices X, Y of the last two dimensions, each transposed if its option says so; all before are batches."""

    name = "tfl.batch_matmul"

    x = operand_def(TensorType)
    y = operand_def(TensorType)
    output = result_def(TensorType)
    adj_x = prop_def(BoolAttr, tfl.FALSE)
    adj_y = prop_def(BoolAttr, tfl.FALSE)
    asymmetric_quantize_inputs = prop_def(BoolAttr, tfl.FALSE)
    traits = traits_def(Pure())


def _extents(op: BatchMatmulOp) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Batches, rows and depth of the matrices whose rows are multiplied by each other: X, and Y transposed."""
    (*before_x, rows_x, depth_x), (*before_y, depth_y, rows_y) = shape_of(op.x), shape_of(op.y)
    if op.adj_x:
        rows_x, depth_x = depth_x, rows_x
    if op.adj_y:
        rows_y, depth_y = depth_y, rows_y
    batches, others = prod(before_x), prod(before_y)
    # All batches that meet the same matrix are rows of one.
    x = (batches, rows_x, depth_x) if others > 1 else (1, batches * rows_x, depth_x)
    return x, (others, rows_y, depth_y)


def check(op: BatchMatmulOp) -> None:
    shapes = [rules.shape(op.x), rules.shape(op.y)]
    rules.require(min(map(len, shapes)) >= 2, "BATCH_MATMUL must be of matrices", op.output)
    rank = max(map(len, shapes))
    before_x, before_y = ((1,) * (rank - len(shape)) + shape[:-2] for shape in shapes)
    alike = before_x == before_y or prod(before_x) == 1 or prod(before_y) == 1
    rules.require(alike, "batches must be equal, or 1 in one of the operands", op.y)
    (batches, rows, depth), (others, columns, other_depth) = _extents(op)
    rules.require(depth == other_depth, f"the matrices must have the same depth, {depth}", op.y)
    before = [max(sizes) for sizes in zip(before_x, before_y, strict=True)]
    rules.require_shape(op.output, (*before, max(batches, others) * rows // prod(before), columns))
    if _is_convolution(op):
        largest = max(map(abs, rules.values(op.y)))
        limit = weighted.MAX_WEIGHT_SUM
        rules.require(depth * largest <= limit, f"the absolute weights of a channel must sum to at most {limit}", op.y)
    else:
        matrix_products.check((op.x, op.y), ((batches, rows), (others, columns)), depth, op.output)
    least, greatest = matrix_products.bounds((op.x, op.y), depth)
    rules.require_scalable((least, greatest), _factor(op), op.output)


def _is_convolution(op: BatchMatmulOp) -> bool:
    """Whether one matrix, which is constant, is all that Y has."""
    return tfl.constant_value(op.y) is not None and prod(shape_of(op.y)[:-2]) == 1


def _factor(op: BatchMatmulOp) -> float:
    """From sums to results. LiteRT multiplies the operands' scales in float32."""
    x, y, output = (quantized(value) for value in (op.x, op.y, op.output))
    return to_float32(x.scale * y.scale) / output.scale


def lower(op: BatchMatmulOp, emit: QuantizedEmitter) -> None:
    """Replace a product by its kernels."""
    first, second = _extents(op)
    x, y, output = (quantized(value) for value in (op.x, op.y, op.output))
    multiplier, shift = fixed_point.quantize_multiplier(_factor(op))
    a = _rows(emit, op.x, bool(op.adj_x))
    if _is_convolution(op):
        _, rows, depth = first
        weights, channels = tfl.constant_array(op.y), second[1]
        assert weights is not None
        stored = weights.reshape(weights.shape[-2:])
        each = np.ones(channels, np.int64)
        total = emit.convolution(
            npu_schedule.Conv2DOp,
            emit.view(a, (1, *batch_map(rows), depth)),
            emit.constant((stored if op.adj_y else stored.T).reshape(channels, 1, 1, depth)),
            emit.scales(0 * each, multiplier * each, shift * each),
            TensorType(output.storage_type, [1, *batch_map(rows), channels]),
            window=Window(),
            zero_points=(x.zero_point, output.zero_point),
            rounding=Scale("double_round"),
            weight_zero_point=y.zero_point,
        )
        emit.replace([total])
        return
    scale, activation = Scale("double_round", multiplier, shift), Activation(*output.storage_limits)
    result = matrix_products.Result(output.storage_type, output.zero_point, scale, activation)
    b = _rows(emit, op.y, not op.adj_y)
    points = (x.zero_point, y.zero_point)
    emit.replace([matrix_products.product(emit, emit.view(a, (1, *first)), emit.view(b, (1, *second)), points, result)])


def _rows(emit: QuantizedEmitter, value: SSAValue, transposed: bool) -> SSAValue:
    """Matrices, transposed if that is asked for."""
    *before, height, width = shape_of(value)
    plain = emit.view(emit.storage(value), (prod(before), height, width))
    return permutation.permute(emit, plain, (0, 2, 1), 1) if transposed else plain


OPERATORS = (
    Operator(
        op=BatchMatmulOp,
        kernels="a MUL for each row of the matrix with fewer, and sums over the depth; one CONV for a constant Y",
        check=check,
        lower=lower,
        types=("int8",),
        others="of 16 bits LiteRT sums in 64, and of uint8 it has no kernel",
        rank=5,
        batches=True,
    ),
)
