"""
RESIZE_NEAREST_NEIGHBOR: repeated doubling, or one element spread out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Window
from npuc.operators.support import rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.kernels import IDENTITY, tensor
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class ResizeNearestNeighborOp(tfl.ResizeOp):
    name = "tfl.resize_nearest_neighbor"


def check(op: ResizeNearestNeighborOp) -> None:
    size = rules.integers(op.size, "the size must be constant")
    aligned = not (op.align_corners and op.half_pixel_centers)
    rules.require(aligned, "corners must not be aligned together with half-pixel centres", op.input)
    rules.same_quantization(op, [op.input], op.output)
    rules.require(len(rules.shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    rules.require_shape(op.output, (1, *size, rules.shape(op.input)[3]))
    source, target = rules.shape(op.input)[1:3], rules.shape(op.output)[1:3]
    if source in ((1, 1), target):
        return
    less = 1 if op.align_corners else 0
    factors = {
        (large - less) / (small - less) if small > less else 0.0
        for small, large in zip(source, target, strict=True)
        if not (small == 1 and large == 1)
    }
    if len(factors) != 1 or not factors <= {2.0, 4.0, 8.0}:
        rules.refuse("height and width must grow by the same factor of 2, 4 or 8", op.output)


def lower(op: ResizeNearestNeighborOp, emit: QuantizedEmitter) -> None:
    """
    Replace a resize by pools of one element over an IFM repeated 2x2.

    The factor is the same power of two along each axis that has more than one element. With aligned corners the last
    repetition stands half a step further and is cut to (size - 1) * factor + 1.
    """
    value = emit.storage(op.input)
    element_type = tensor(value).element_type
    _, height, width, depth = shape_of(value)
    _, rows, columns, _ = shape_of(op.output)
    factor = resize_factor((height, width), (rows, columns), bool(op.align_corners))
    step = factor
    while step > 1:
        height, width = (height * 2 if height > 1 or rows > 1 else 1), (width * 2 if width > 1 or columns > 1 else 1)
        result_type = TensorType(element_type, [1, height, width, depth])
        value = emit.pool("average", value, result_type, window=Window(upscale="nearest"), scale=IDENTITY)
        step //= 2
    if (height, width) != (rows, columns):
        offset = factor // 2 if op.align_corners else 0
        offsets = (min(offset, height - rows), min(offset, width - columns), 0)
        value = emit.copy(emit.slice(value, offsets, (rows, columns, depth)))
    if factor == 1:
        value = emit.copy(value)
    emit.replace([value])


def resize_factor(before: tuple[int, int], after: tuple[int, int], align_corners: bool) -> int:
    """
    By how much both axes grow, a power of two; an axis of one element grows to any size up to that many. ValueError
    where there is no such factor.
    """
    less = 1 if align_corners else 0
    factors = {(out - less) / (size - less) for size, out in zip(before, after, strict=True) if size > 1}
    if len(factors) > 1:
        raise ValueError("height and width grow by different factors")
    if factors:
        factor = factors.pop()
    else:
        factor = float(1 << (max(after) - 1).bit_length())
    if factor < 1 or factor != int(factor) or int(factor) & (int(factor) - 1):
        raise ValueError(f"{factor} is no power of two")
    if any(size == 1 and out > factor for size, out in zip(before, after, strict=True)):
        raise ValueError("an axis of one element grows by more than the other axis")
    return int(factor)


OPERATORS = (
    Operator(
        op=ResizeNearestNeighborOp,
        kernels="a pool over a doubled map for each factor of 2",
        check=check,
        lower=lower,
        arguments=("size",),
    ),
)
