"""
RESIZE_NEAREST_NEIGHBOR: repeated doubling where both axes grow by a power of two, else copies of rows and columns.
"""

from __future__ import annotations

from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.operators.support import gathering, resizing
from npuc.operators.support.kernels import shape_of
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.record import Operator


@irdl_op_definition
class ResizeNearestNeighborOp(tfl.ResizeOp):
    name = "tfl.resize_nearest_neighbor"


def _indices(op: ResizeNearestNeighborOp) -> list[list[int]]:
    """The source indices of rows and columns."""
    align, half = bool(op.align_corners), bool(op.half_pixel_centers)
    return [resizing.nearest(*sizes, align_corners=align, half_pixel=half) for sizes in resizing.sizes(op)]


def check(op: ResizeNearestNeighborOp) -> None:
    resizing.check(op)
    lists = _indices(op)
    if shape_of(op.input)[0] > 1 or resizing.doubled(lists) is None:
        resizing.check_pieces(op, lists)


def lower(op: ResizeNearestNeighborOp, emit: QuantizedEmitter) -> None:
    """Replace a resize by its kernels."""
    source = value = emit.storage(op.input)
    lists = _indices(op)
    batch, _, _, _ = shape_of(value)
    rows, columns = shape_of(op.output)[1:3]
    form = resizing.doubled(lists) if batch == 1 else None
    if form is not None:
        value = resizing.double(emit, value, form, (rows, columns))
    else:
        for axis, piece in resizing.pieces(op, lists):
            value = gathering.gather(emit, value, axis, piece, shape_of(value)[3])
    emit.replace([emit.copy(emit.feature_map(value)) if value is source else value])


OPERATORS = (
    Operator(
        op=ResizeNearestNeighborOp,
        kernels="a pool over a doubled map for each factor of 2, else copies of rows and columns",
        check=check,
        lower=lower,
        arguments=("size",),
        batches=True,
    ),
)
