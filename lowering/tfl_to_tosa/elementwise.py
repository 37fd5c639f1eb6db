"""
ADD, SUB, MUL, MINIMUM, MAXIMUM and ABS.

ADD and SUB keep one shape, whatever the scales, so that a later level recognises it:

    %a1 = tosa.rescale %a, 2**30, 30 - L, %azp, 0    {SINGLE_ROUND}   i32: (a - azp) << L, exact
    %a2 = tosa.rescale %a1, ma, sa                   {DOUBLE_ROUND}   i32: scale of a / (2 * the greater scale)
    %b1, %b2                                                          likewise
    %c  = tosa.add %a2, %b2                                           i32
    %y  = tosa.rescale %c, my, sy, 0, %yzp           {DOUBLE_ROUND}   back to the output's type
    %z  = tosa.clamp %y                                               where an activation limits it

with L = 20 for 8-bit values and 15 for 16-bit ones. The operand of the greater scale (both, where they are equal) has
ma = 2**30, sa = 31: its second rescale is exactly a shift right by one. The NPU's registers follow from these numbers
without the original scales: the other operand's OPA_SCALE and OPA_SHIFT are ma and sa - L (the NPU shifts left by L - 1
itself), OFM_SCALE and its shift are my and sy.

16-bit ADD and SUB with `pot_scale_int16` and scales that TFLite takes for powers of two are another algorithm: one
operand is shifted right. It is written in the same shape, but with sa = 31 + 14 for an operand that is not shifted, so
that no test for "sa == 31" mistakes it.

MUL is `rescale` (zero point off, times 1) of both operands, `tosa.mul` and a rescale by the product of scales.
MINIMUM and MAXIMUM compare stored values as they are.
"""

from typing import Any

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import SSAValue

from npuc.analysis import fixed_point
from npuc.dialects import tfl, tosa
from npuc.dialects.quant import UniformQuantizedType, to_float32
from npuc.lowering.tfl_to_tosa.builder import (
    Builder,
    CannotConvert,
    per_tensor,
    scale_of,
    shape_of,
    storage_type,
    tensor_type,
)

LEFT_SHIFT = {8: 20, 16: 15}
"""How far ADD and SUB shift their operands left before they scale them, by width."""


def _broadcast(build: Builder, value: SSAValue, rank: int) -> SSAValue:
    """`value` with dimensions of 1 before it, up to `rank`."""
    shape = tensor_type(value).get_shape()
    return build.reshape(value, (*(1,) * (rank - len(shape)), *shape))


def _wide(result: SSAValue) -> TensorType[Any]:
    return TensorType(i32, list(shape_of(result)))


def add_sub(build: Builder, op: tfl.AddOp | tfl.SubOp) -> list[SSAValue]:
    """ADD or SUB; see the docstring of this file."""
    a, b, output = per_tensor(op.lhs), per_tensor(op.rhs), per_tensor(op.output)
    width = a.storage_type.width.data
    left_shift = LEFT_SHIFT[width]
    scales = _power_of_two_scales(op, a, b, output) if width == 16 else None
    if scales is None:
        twice_greater = 2 * max(a.scale, b.scale)
        scales = (
            scale_of(a.scale / twice_greater),
            scale_of(b.scale / twice_greater),
            scale_of(twice_greater / ((1 << left_shift) * output.scale)),
        )
    rank = len(shape_of(op.output))

    def operand(value: SSAValue, type_: UniformQuantizedType, scale: tuple[int, int]) -> SSAValue:
        narrow = _broadcast(build, build.storage(value), rank)
        return build.rescale(build.widen(narrow, type_.zero_point, left_shift), i32, scale)

    kind = tosa.AddOp if isinstance(op, tfl.AddOp) else tosa.SubOp
    total = build.insert(kind(operand(op.lhs, a, scales[0]), operand(op.rhs, b, scales[1]), _wide(op.output)))
    scaled = build.rescale(total, output.storage_type, scales[2], output_zp=output.zero_point)
    return [build.activate(scaled, op.fused_activation_function.data, output)]


def _power_of_two_scales(
    op: tfl.AddOp | tfl.SubOp, a: UniformQuantizedType, b: UniformQuantizedType, output: UniformQuantizedType
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None:
    """
    The scales of TFLite's other 16-bit algorithm: the operand of the lesser scale is shifted right, ties away from
    zero, the sum saturates. None where some scale is not nearly a power of two or the option does not ask for it.
    """
    logs = [fixed_point.checked_log2(type_.scale) for type_ in (a, b, output)]
    if not op.pot_scale_int16 or None in logs:
        return None
    log_a, log_b, log_output = (log for log in logs if log is not None)
    shifts = log_output - log_a, log_output - log_b
    if min(shifts) != 0:
        raise CannotConvert("16-bit addition with power-of-two scales, none of which is the output's")
    # (x << 15) * 2**30 >> 45 is x, and exact in TFLite's first step, so that only the second one rounds.
    return ((1 << 30, 45 + shifts[0]), (1 << 30, 45 + shifts[1]), fixed_point.UNIT)


def mul(build: Builder, op: tfl.MulOp) -> list[SSAValue]:
    """MUL: the product of scales and its quotient by the output's are float32."""
    a, b, output = per_tensor(op.lhs), per_tensor(op.rhs), per_tensor(op.output)
    rank = len(shape_of(op.output))
    lhs, rhs = (
        build.widen(_broadcast(build, build.storage(value), rank), type_.zero_point)
        for value, type_ in ((op.lhs, a), (op.rhs, b))
    )
    product = build.insert(tosa.MulOp(lhs, rhs, build.number(0, tosa.i8), _wide(op.output)))
    scale = scale_of(to_float32(to_float32(a.scale * b.scale) / output.scale))
    scaled = build.rescale(product, output.storage_type, scale, output_zp=output.zero_point)
    return [build.activate(scaled, op.fused_activation_function.data, output)]


def minimum_maximum(build: Builder, op: tfl.MinimumOp | tfl.MaximumOp) -> list[SSAValue]:
    """MINIMUM or MAXIMUM of the stored values, which must be quantised alike."""
    a, b, output = per_tensor(op.lhs), per_tensor(op.rhs), per_tensor(op.output)
    if len({(t.scale, t.zero_point) for t in (a, b, output)}) != 1:
        raise CannotConvert("operands and result are quantised differently")
    rank = len(shape_of(op.output))
    lhs, rhs = (_broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs))
    kind = tosa.MinimumOp if isinstance(op, tfl.MinimumOp) else tosa.MaximumOp
    return [build.insert(kind(lhs, rhs, storage_type(op.output)))]


def absolute(build: Builder, op: tfl.AbsOp) -> list[SSAValue]:
    """ABS: of the value less its zero point, rescaled by the float32 quotient of the scales."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    magnitude = build.insert(tosa.AbsOp(build.widen(build.storage(op.input), x.zero_point)))
    scale = scale_of(to_float32(x.scale / output.scale))
    return [build.rescale(magnitude, output.storage_type, scale, output_zp=output.zero_point)]
