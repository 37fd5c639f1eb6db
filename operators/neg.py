"""
NEG of stored values, whatever their quantisation says: LiteRT negates the integers, and the least one stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType, i16
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Activation
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, is_16_bit, shape_of, table
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, UNSCALED
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.record import NO_KERNEL, Operator

if TYPE_CHECKING:
    import numpy as np
else:
    (np,) = deferred("numpy")


@irdl_op_definition
class NegOp(tfl.UnaryOp):
    name = "tfl.neg"


def check(op: NegOp) -> None:
    rules.check_unary(op)


def convert(build: Builder, op: NegOp) -> list[SSAValue]:
    """NEG of 8 bits: a look-up."""
    return table(build, op, (-np.arange(-128, 128)).astype(np.int8))


def lower(op: NegOp, emit: QuantizedEmitter) -> None:
    """
    Replace a NEG of 16 bits by x -> (t - x) + t, where t is -32768 for x = -32768 and 0 for all others: 0 - x would
    saturate there.
    """
    x = emit.feature_map(emit.storage(op.input))
    type_ = TensorType(i16, list(shape_of(x)))
    # x + 32767, cut off at 0, is -1 for the least value. The slope between both would be 32768, and is not used: a word
    # of the table has a slope of its own.
    words = np.zeros(512, np.int32)
    words[255] = 1 << 15
    least = emit.elementwise(
        "add",
        x,
        emit.constant(np.full((1, 1, 1, 1), 32767, np.int16)),
        type_,
        scale=IDENTITY,
        operand_scales=UNSCALED,
        activation=Activation(-1, 0, "table"),
        table=emit.constant(words),
    )
    negated = emit.elementwise("sub", least, x, type_, scale=IDENTITY, operand_scales=UNSCALED)
    emit.replace([emit.elementwise("add", negated, least, type_, scale=IDENTITY, operand_scales=UNSCALED)])


OPERATORS = (
    Operator(
        op=NegOp,
        kernels="a copy with a table; ADD, SUB and ADD of 16 bits",
        check=check,
        convert=convert,
        lower=lower,
        directly=is_16_bit,
        types=("int8", "int16"),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
