"""
ABS: of the value less its zero point, rescaled by the float32 quotient of the scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.quant import to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, per_tensor, scale_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import NO_KERNEL, Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class AbsOp(tfl.UnaryOp):
    name = "tfl.abs"


def check(op: AbsOp) -> None:
    rules.check_unary(op)
    # The least value's magnitude may be one more than the greatest value.
    least, greatest = rules.values(op.input)
    factor = to_float32(rules.element(op.input).scale / rules.element(op.output).scale)
    rules.require_scalable((0, max(-least, greatest)), factor, op.output)


def convert(build: Builder, op: AbsOp) -> list[SSAValue]:
    """ABS: of the value less its zero point, rescaled by the float32 quotient of the scales."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    magnitude = build.insert(tosa.AbsOp(build.widen(build.storage(op.input), x.zero_point)))
    scale = scale_of(to_float32(x.scale / output.scale))
    return [build.rescale(magnitude, output.storage_type, scale, output_zp=output.zero_point)]


OPERATORS = (
    Operator(
        op=AbsOp,
        kernels="one ABS",
        check=check,
        convert=convert,
        types=("int8", "int16"),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
