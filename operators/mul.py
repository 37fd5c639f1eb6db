"""
MUL: `rescale` (zero point off, times 1) of both operands, `tosa.mul` and a rescale by the product of scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.quant import to_float32
from npuc.operators.support import ranges, rules
from npuc.operators.support.builder import Builder, broadcast, per_tensor, scale_of, shape_of, wide
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import INTEGERS, Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class MulOp(tfl.BinaryOp):
    name = "tfl.mul"

    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)


def check(op: MulOp) -> None:
    if ranges.is_of_32_bits(op):
        ranges.check_arithmetic(op)
        return
    rules.check_binary(op)
    factor = to_float32(
        to_float32(rules.element(op.lhs).scale * rules.element(op.rhs).scale) / rules.element(op.output).scale
    )
    products = [a * b for a in rules.values(op.lhs) for b in rules.values(op.rhs)]
    rules.require_scalable((min(products), max(products)), factor, op.output)


def convert(build: Builder, op: MulOp) -> list[SSAValue]:
    """MUL: the product of scales and its quotient by the output's are float32."""
    rank = len(shape_of(op.output))
    if ranges.is_of_32_bits(op):
        lhs, rhs = (broadcast(build, build.storage(value), rank) for value in (op.lhs, op.rhs))
        return [build.insert(tosa.MulOp(lhs, rhs, build.number(0, tosa.i8), wide(op.output)))]
    a, b, output = per_tensor(op.lhs), per_tensor(op.rhs), per_tensor(op.output)
    lhs, rhs = (
        build.widen(broadcast(build, build.storage(value), rank), type_.zero_point)
        for value, type_ in ((op.lhs, a), (op.rhs, b))
    )
    product = build.insert(tosa.MulOp(lhs, rhs, build.number(0, tosa.i8), wide(op.output)))
    scale = scale_of(to_float32(to_float32(a.scale * b.scale) / output.scale))
    scaled = build.rescale(product, output.storage_type, scale, output_zp=output.zero_point)
    return [build.activate(scaled, op.fused_activation_function.data, output)]


OPERATORS = (
    Operator(
        op=MulOp,
        kernels="one MUL, of plain integers too",
        check=check,
        convert=convert,
        types=(*INTEGERS, "int32"),
        plain=True,
        rank=6,
        batches=True,
    ),
)
