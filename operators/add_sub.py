"""
ADD and SUB.

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
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BoolAttr, StringAttr, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import ranges, rules
from npuc.operators.support.builder import Builder, broadcast, per_tensor, scale_of, shape_of, wide
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import INTEGERS, Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
else:
    tosa, fixed_point = deferred("npuc.dialects.tosa", "npuc.operators.support.fixed_point")


@irdl_op_definition
class AddOp(tfl.BinaryOp):
    name = "tfl.add"

    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    pot_scale_int16 = prop_def(BoolAttr, tfl.TRUE)


@irdl_op_definition
class SubOp(tfl.BinaryOp):
    name = "tfl.sub"

    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    pot_scale_int16 = prop_def(BoolAttr, tfl.TRUE)


def check(op: AddOp | SubOp) -> None:
    if ranges.is_of_32_bits(op):
        ranges.check_arithmetic(op)
        return
    rules.check_binary(op)
    width = rules.element(op.output).data.storage_width
    scales = [rules.element(value).scale for value in (op.lhs, op.rhs, op.output)]
    powers = rules.powers_of_two(scales) if width == 16 and op.pot_scale_int16 else []
    if len(powers) == 3:
        rules.require(max(powers[:2]) == powers[2], "the greater scale must be the result's", op.output)
        # TFLite shifts 16 bits.
        rules.require(
            powers[2] - min(powers) < 16, "scales that are powers of two must be less than 2^16 apart", op.output
        )
        if isinstance(op, AddOp):
            alike = math.prod(rules.shape(op.lhs)) == math.prod(rules.shape(op.rhs))
            rules.require(alike, "ADD of 16 bits with scales that are powers of two must not broadcast", op.output)
        return
    # TFLite stops unless a sum, which it has shifted left by 20 or 15 bits and halved, is scaled by less than 1.
    shift = 14 if width == 16 else 19
    below = max(scales[:2]) / scales[2] < 2.0**shift * (1 - 2.0**-32)
    rules.require(below, f"the result's scale must be above 2^-{shift} of its operands'", op.output)


LEFT_SHIFT = {8: 20, 16: 15}
"""How far ADD and SUB shift their operands left before they scale them, by width."""


def convert(build: Builder, op: AddOp | SubOp) -> list[SSAValue]:
    """ADD or SUB; see the docstring of this file."""
    kind = tosa.AddOp if isinstance(op, AddOp) else tosa.SubOp
    if ranges.is_of_32_bits(op):
        rank = len(shape_of(op.output))
        lhs, rhs = (broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs))
        return [build.insert(kind(lhs, rhs, wide(op.output)))]
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
        narrow = broadcast(build, build.storage(value), rank)
        return build.rescale(build.widen(narrow, type_.zero_point, left_shift), i32, scale)

    total = build.insert(kind(operand(op.lhs, a, scales[0]), operand(op.rhs, b, scales[1]), wide(op.output)))
    scaled = build.rescale(total, output.storage_type, scales[2], output_zp=output.zero_point)
    return [build.activate(scaled, op.fused_activation_function.data, output)]


def _power_of_two_scales(
    op: AddOp | SubOp, a: UniformQuantizedType, b: UniformQuantizedType, output: UniformQuantizedType
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
    # (x << 15) * 2**30 >> 45 is x, and exact in TFLite's first step, so that only the second one rounds.
    return ((1 << 30, 45 + shifts[0]), (1 << 30, 45 + shifts[1]), fixed_point.UNIT)


OPERATORS = (
    Operator(
        op=AddOp,
        kernels="one ADD, of plain integers too; another kernel where it is scaled by powers of two",
        check=check,
        convert=convert,
        types=(*INTEGERS, "int32"),
        plain=True,
        rank=6,
        batches=True,
    ),
    Operator(
        op=SubOp,
        kernels="one SUB, of plain integers too; another kernel where it is scaled by powers of two",
        check=check,
        convert=convert,
        types=(*INTEGERS, "int32"),
        plain=True,
        rank=6,
        batches=True,
    ),
)
