"""
QUANTIZE between integers: rescaled by the double quotient of the scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, per_tensor, scale_of
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class QuantizeOp(tfl.UnaryOp):
    """To the result's quantisation, from floats or from another quantisation."""

    name = "tfl.quantize"


def check(op: QuantizeOp) -> None:
    """From integers to integers; other element types are refused as for all operators."""
    rules.require_shape(op.output, rules.shape(op.input))
    source, target = rules.element(op.input), rules.element(op.output)
    known = source.data.storage_width == 8 or target.data.signed
    rules.require(known, "QUANTIZE from 16 or 32 bits must give signed integers", op.output)
    rules.require_scalable(rules.values(op.input), source.scale / target.scale, op.output)


def convert(build: Builder, op: QuantizeOp) -> list[SSAValue]:
    """QUANTIZE between integers: rescaled by the double quotient of the scales."""
    x, output = per_tensor(op.input, 8, 16, 32), per_tensor(op.output, 8, 16, 32)
    return [
        build.rescale(
            build.storage(op.input),
            output.storage_type,
            scale_of(x.scale / output.scale),
            input_zp=x.zero_point,
            output_zp=output.zero_point,
        )
    ]


OPERATORS = (
    Operator(
        op=QuantizeOp,
        kernels="one copy with a scale; MUL from 32 bits",
        check=check,
        convert=convert,
        wide=("input",),
        rank=6,
        batches=True,
        host_cycles=4.0,
    ),
)
