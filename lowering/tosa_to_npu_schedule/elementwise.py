"""
Elementwise arithmetic, rescales, clamps and tables.

TOSA computes in 32 bits between a rescale of each operand and one of the result; the NPU's ADD, SUB, MUL and ABS
have these rescales built in for 8- and 16-bit operands. Where a chain has that form it becomes one kernel; anything
else is computed as TOSA says it, on 32-bit feature maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import IntegerType, TensorType, i8, i32
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.npu import Element, OperandScales, Scale, Window
from npuc.dialects.npu_schedule import DepthwiseConv2DOp
from npuc.lowering.tosa_to_npu_schedule.common import (
    clamp_of,
    constant,
    per_tensor_scale,
    scalar,
    zero_points,
)
from npuc.operators.support.broadcasting import Broadcast, broadcast_of
from npuc.operators.support.kernels import IDENTITY, UNSCALED, Emitter, shape_of, tensor

if TYPE_CHECKING:
    import numpy as np

INPUT_SHIFT = {8: 20, 16: 15}
"""Bits by which the NPU's ADD and SUB shift operands of a width to the left before they scale them."""

BINARY: dict[type[tosa.TosaOp], str] = {
    tosa.AddOp: "add",
    tosa.SubOp: "sub",
    tosa.MulOp: "mul",
    tosa.MinimumOp: "min",
    tosa.MaximumOp: "max",
    tosa.LogicalLeftShiftOp: "shl",
}


@dataclass(frozen=True)
class Operand:
    """A narrow operand as a 32-bit value: `round(((source - zero_point) << left) * scale)`."""

    source: SSAValue
    shape: tuple[int, ...]
    zero_point: int
    left: int
    scale: Scale

    def seen(self, emit: Emitter) -> SSAValue:
        """The source in the shape of the operand."""
        return emit.view(self.source, self.shape)


def element(value: SSAValue) -> Element:
    """Element type of a value."""
    return Element.of(tensor(value).element_type)


# Single operations


def lower_clamp(op: tosa.ClampOp, emit: Emitter) -> None:
    """A copy that clamps; `npu-schedule-fuse-activations` moves the clamp into the kernel before."""
    value = emit.feature_map(op.input)
    if element(value).bits == 32:
        raise PassFailedException("the NPU does not clamp 32-bit feature maps")
    emit.replace([emit.pool("average", value, tensor(value), scale=IDENTITY, activation=clamp_of(op))])


def lower_table(op: tosa.TableOp, emit: Emitter) -> None:
    """A copy that looks up an 8-bit table."""
    if element(op.input1).bits != 8:
        raise PassFailedException("a table of 16-bit values is followed by a rescale to 16 bits")
    table = tosa.constant_attribute(op.table)
    if table is None:
        raise PassFailedException("the NPU needs a table to be constant")
    emit.replace([emit.look_up(emit.feature_map(op.input1), emit.dense(table), tensor(op.output).element_type)])


def lower_binary(op: tosa.BinaryOp | tosa.MulOp, emit: Emitter) -> None:
    """Minimum and maximum of any width; 32-bit arithmetic as it stands."""
    kind = BINARY[type(op)]
    if element(op.input1).bits != 32 and kind not in ("min", "max"):
        raise PassFailedException(f"no kernel for {op.name} of {element(op.input1)} by itself")
    scale = None
    if isinstance(op, tosa.MulOp):
        scale = Scale("natural", 1, scalar(op.shift, "a shift"))
    elif kind in ("add", "sub"):
        scale = IDENTITY
    emit.replace([binary(emit, kind, op.input1, op.input2, tensor(op.output), scale=scale)])


def lower_clz(op: tosa.ClzOp, emit: Emitter) -> None:
    """Leading zeros of 32 bits."""
    value = emit.feature_map(op.input1)
    emit.replace([emit.elementwise("clz", value, None, tensor(value))])


# Rescales, alone and after a chain


def lower_rescale(op: tosa.RescaleOp, emit: Emitter) -> None:
    """A rescale that no kernel before it has taken in."""
    value, out = emit.feature_map(op.input), Element.of(tensor(op.output).element_type)
    points, scale = zero_points(op), per_tensor_scale(op)
    result_type = TensorType(out.type, list(shape_of(value)))
    import numpy as np

    if element(value).bits == 32:
        factor = _scalar(emit, np.int32(scale.multiplier or 0))
        shift = Scale(scale.rounding, 1, scale.shift)
        kernel = emit.elementwise("mul", value, factor, result_type, zero_points=(0, 0, points[1]), scale=shift)
    elif out.bits == 32:
        # A pool has no 32-bit OFM; a depthwise convolution of one weight does the same.
        depth = shape_of(value)[3]
        ones = np.ones((depth, 1, 1, 1), np.int8)
        scales = emit.scales(np.zeros(depth), np.full(depth, scale.multiplier), np.full(depth, scale.shift))
        kernel = emit.convolution(
            DepthwiseConv2DOp,
            value,
            emit.constant(ones, i8),
            scales,
            result_type,
            window=Window(),
            zero_points=(points[0], 0),
            rounding=Scale(scale.rounding),
        )
    else:
        kernel = emit.pool("average", value, result_type, zero_points=points, scale=scale)
    emit.replace([kernel])


def fuse_rescale(op: tosa.RescaleOp, emit: Emitter) -> bool:
    """Take a rescale into the elementwise kernel that it ends, if there is one; whether that was so."""
    producer = op.input.owner
    if element(op.output).bits == 32 or scalar(op.input_zp, "a zero point") != 0:
        return False
    match producer:
        case tosa.AddOp() | tosa.SubOp():
            return _fuse_sum(producer, op, emit) or _fuse_shifted_sum(producer, op, emit)
        case tosa.MulOp():
            return _fuse_product(producer, op, emit)
        case tosa.AbsOp():
            return _fuse_abs(producer, op, emit)
        case tosa.TableOp():
            return _fuse_table(producer, op, emit)
        case _:
            return False


def fuse_leaky_relu(op: tosa.MinimumOp | tosa.MaximumOp, emit: Emitter) -> bool:
    """
    The greater of a 16-bit value and that value times a factor up to 1, or the lesser for a greater factor, is the
    NPU's LRELU, which scales negative values only.
    """
    for value, other in ((op.input1, op.input2), (op.input2, op.input1)):
        rescale = other.owner
        if not isinstance(rescale, tosa.RescaleOp) or rescale.input is not value or element(value).bits != 16:
            continue
        scale = per_tensor_scale(rescale)
        factor = (scale.multiplier or 0) / (1 << (scale.shift or 0))
        fits = factor <= 1 if isinstance(op, tosa.MaximumOp) else factor >= 1
        if factor > 0 and fits and zero_points(rescale) == (0, 0) and element(other).bits == 16:
            ifm = emit.feature_map(value)
            emit.replace([emit.elementwise("lrelu", ifm, None, tensor(ifm), scale=scale)])
            return True
    return False


def _operand(value: SSAValue) -> Operand | None:
    """
    `value` as a narrow operand brought to 32 bits, if that is what it is: a rescale by a power of two, then possibly
    another by a fraction, seen under any shape.
    """
    shape = shape_of(value)
    outer = _behind_reshapes(value).owner
    if not isinstance(outer, tosa.RescaleOp):
        return None
    inner, scale = outer, IDENTITY
    if element(outer.input).bits == 32:
        inner, scale = _behind_reshapes(outer.input).owner, per_tensor_scale(outer)
        if zero_points(outer) != (0, 0) or not isinstance(inner, tosa.RescaleOp):
            return None
    if element(inner.input).bits not in (8, 16) or element(inner.output).bits != 32:
        return None
    widening = per_tensor_scale(inner)
    left = _log2(widening)
    if left is None:
        if inner is not outer:
            return None
        left, scale = 0, widening
    return Operand(inner.input, shape, zero_points(inner)[0], left, scale)


def _behind_reshapes(value: SSAValue) -> SSAValue:
    while isinstance(value.owner, tosa.ReshapeOp):
        value = value.owner.input1
    return value


def _log2(scale: Scale) -> int | None:
    """n where the scale is exactly 2^n and shifts left or not at all; None otherwise."""
    multiplier, shift = scale.multiplier or 0, scale.shift or 0
    exponent = multiplier.bit_length() - 1 - shift
    return exponent if multiplier and multiplier & (multiplier - 1) == 0 and exponent >= 0 else None


def _is_one(scale: Scale) -> bool:
    return _log2(scale) == 0


def _is_half(scale: Scale) -> bool:
    # TFLite's other 16-bit addition, which shifts an operand to the right, has greater shifts.
    return (scale.multiplier, scale.shift) == (1 << 30, 31)


def _fuse_sum(op: tosa.AddOp | tosa.SubOp, rescale: tosa.RescaleOp, emit: Emitter) -> bool:
    """
    `round(a * Ma) +- round(b * Mb)`, each shifted left first. The NPU scales one operand in full and halves the other,
    which is TFLite's form, as it divides by twice the greater scale; docs/dialects/npu_schedule.md has the proof.
    """
    a, b = _operand(op.input1), _operand(op.input2)
    if a is None or b is None or element(a.source) != element(b.source):
        return False
    width = element(a.source).bits
    left = INPUT_SHIFT[width]
    if (a.left, b.left) != (left, left) or {a.scale.rounding, b.scale.rounding} != {"double_round"}:
        return False
    if _is_half(b.scale):
        which, scaled = "ifm", a.scale
    elif _is_half(a.scale):
        which, scaled = "ifm2", b.scale
    else:
        return False
    if scaled.multiplier is None or scaled.shift is None or scaled.shift < left:
        return False
    result = binary(
        emit,
        BINARY[type(op)],
        a.seen(emit),
        b.seen(emit),
        tensor(rescale.output),
        zero_points=(a.zero_point, b.zero_point, zero_points(rescale)[1]),
        scale=per_tensor_scale(rescale),
        operand_scales=OperandScales(which, scaled.multiplier, shift=scaled.shift - left),
    )
    emit.replace([result])
    return True


def _fuse_shifted_sum(op: tosa.AddOp | tosa.SubOp, rescale: tosa.RescaleOp, emit: Emitter) -> bool:
    """
    TFLite's 16-bit addition of power-of-two scales: one operand is shifted to the right by a kernel of its own, and
    the sum saturates. That kernel doubles the operand first: so the first of the two roundings is exact, and the
    second one has the ties away from zero.
    """
    import numpy as np

    a, b = _operand(op.input1), _operand(op.input2)
    scale = per_tensor_scale(rescale)
    if a is None or b is None or _log2(scale) != 0 or zero_points(rescale) != (0, 0):
        return False
    sources: list[SSAValue] = []
    for operand in (a, b):
        shift = (operand.scale.shift or 0) - operand.left
        if element(operand.source).bits != 16 or operand.left != INPUT_SHIFT[16] or operand.zero_point or shift < 30:
            return False
        if operand.scale.multiplier != 1 << 30 or operand.scale.rounding != "double_round":
            return False
        value = operand.seen(emit)
        if shift > 30:
            ifm, two = emit.feature_map(value), _scalar(emit, np.int16(2))
            shifted = emit.elementwise("mul", ifm, two, tensor(ifm), scale=Scale("double_round", 1 << 30, shift + 1))
            value = emit.view(shifted, operand.shape)
        sources.append(value)
    emit.replace(
        [
            binary(
                emit,
                BINARY[type(op)],
                sources[0],
                sources[1],
                tensor(rescale.output),
                scale=IDENTITY,
                operand_scales=UNSCALED,
            )
        ]
    )
    return True


def _fuse_product(op: tosa.MulOp, rescale: tosa.RescaleOp, emit: Emitter) -> bool:
    a, b = _operand(op.input1), _operand(op.input2)
    if a is None or b is None or element(a.source) != element(b.source) or scalar(op.shift, "a shift"):
        return False
    if not (_is_one(a.scale) and _is_one(b.scale)) or a.left or b.left:
        return False
    points = (a.zero_point, b.zero_point, zero_points(rescale)[1])
    scale = per_tensor_scale(rescale)
    result_type = tensor(rescale.output)
    emit.replace([binary(emit, "mul", a.seen(emit), b.seen(emit), result_type, zero_points=points, scale=scale)])
    return True


def _fuse_abs(op: tosa.AbsOp, rescale: tosa.RescaleOp, emit: Emitter) -> bool:
    a = _operand(op.input1)
    if a is None or not _is_one(a.scale) or a.left:
        return False
    ifm = emit.feature_map(a.source)
    result_type = TensorType(tensor(rescale.output).element_type, list(shape_of(ifm)))
    points = (a.zero_point, zero_points(rescale)[1])
    scale = per_tensor_scale(rescale)
    emit.replace([emit.elementwise("abs", ifm, None, result_type, zero_points=points, scale=scale)])
    return True


def _fuse_table(op: tosa.TableOp, rescale: tosa.RescaleOp, emit: Emitter) -> bool:
    """A 16-bit table interpolates to 7 more bits; the NPU's does so and rounds these away."""
    scale = per_tensor_scale(rescale)
    if element(op.input1).bits != 16 or element(rescale.output).bits != 16 or zero_points(rescale) != (0, 0):
        return False
    if 128 * (scale.multiplier or 0) != 1 << (scale.shift or 0) or scale.rounding != "natural":
        return False
    from npuc.operators.support.fixed_point import interpolating_table

    try:
        table = interpolating_table(constant(op.table, "a table"))
    except ValueError as error:
        raise PassFailedException(str(error)) from error
    emit.replace([emit.look_up(emit.feature_map(op.input1), emit.constant(table, i32), IntegerType(16))])
    return True


# Broadcasting


def binary(
    emit: Emitter,
    kind: str,
    a: SSAValue,
    b: SSAValue,
    result_type: TensorType[Any],
    *,
    zero_points: Sequence[int] = (0, 0, 0),
    scale: Scale | None = None,
    operand_scales: OperandScales | None = None,
) -> SSAValue:
    """
    Two tensors of one rank and any broadcasting: an elementwise kernel, or several whose results lie behind each other.

    The NPU broadcasts only IFM2, so operands are exchanged where that helps, and one is spread out first where both
    are broadcast.
    """
    how = broadcast_of(shape_of(a), shape_of(b), result_type.get_shape())
    shape_a, shape_b, shape = (how.shape(which) for which in range(3))
    swap = shape_a != shape and shape_b == shape
    if swap:
        zero_points = (zero_points[1], zero_points[0], zero_points[2])
        if operand_scales is not None and operand_scales.which != "both":
            operand_scales = replace(operand_scales, which="ifm2" if operand_scales.which == "ifm" else "ifm")
    parts: list[SSAValue] = []
    for part_a, part_b in zip(_parts(emit, a, how, 0), _parts(emit, b, how, 1), strict=True):
        ifm, ifm2 = (part_b, part_a) if swap else (part_a, part_b)
        if shape_of(ifm) != shape:
            ifm = _spread(emit, ifm, shape)
        kernel = emit.elementwise(
            kind,
            ifm,
            ifm2,
            TensorType(result_type.element_type, list(shape)),
            zero_points=zero_points,
            scale=scale,
            operand_scales=operand_scales,
            is_reversed=swap and kind in ("sub", "shl", "shr"),
        )
        parts.append(kernel)
    return emit.concat(parts, 1)


def _parts(emit: Emitter, value: SSAValue, how: Broadcast, which: int) -> list[SSAValue]:
    """What each kernel of a broadcast reads of an operand."""
    _, height, width, depth = shape = how.shape(which)
    whole = emit.view(value, (1, prod(shape_of(value)) // (width * depth), width, depth))
    parts: dict[int, SSAValue] = {}
    for place in how.parts(which):
        if place not in parts:
            parts[place] = emit.slice(whole, (place * height, 0, 0), shape[1:])
    return [parts[place] for place in how.parts(which)]


def _spread(emit: Emitter, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """`value` repeated to a shape: the greater of it and the least value of its type; in 32 bits its sum with 0."""
    import numpy as np

    type_ = tensor(value).element_type
    dtype = numpy_dtype(type_)
    wide = dtype.itemsize == 4
    neutral = emit.constant(np.full(shape, 0 if wide else np.iinfo(dtype).min, dtype), type_)
    kind, scale = ("add", IDENTITY) if wide else ("max", None)
    return emit.elementwise(kind, neutral, value, TensorType(type_, list(shape)), scale=scale)


def _scalar(emit: Emitter, value: np.generic) -> SSAValue:
    """A constant that broadcasts to anything."""
    import numpy as np

    return emit.constant(np.full((1, 1, 1, 1), value))
