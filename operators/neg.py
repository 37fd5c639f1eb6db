"""
NEG: a table. LiteRT negates the stored values, whatever their quantisation says, and the least one stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, table
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

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
    """NEG: the stored value with the other sign, in 8 bits."""
    return table(build, op, (-np.arange(-128, 128)).astype(np.int8))


OPERATORS = (
    Operator(
        op=NegOp, kernels="a copy with a table", check=check, convert=convert, types=("int8",), rank=6, batches=True
    ),
)
