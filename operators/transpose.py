"""
TRANSPOSE by a constant permutation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support.builder import Builder, constant_integers, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class TransposeOp(tfl.TflOp):
    """Dimension i of the result is dimension `perm[i]` of the input."""

    name = "tfl.transpose"

    input = operand_def(TensorType)
    perm = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def convert(build: Builder, op: TransposeOp) -> list[SSAValue]:
    """TRANSPOSE by a constant permutation."""
    perms = constant_integers(op.perm, "the permutation")
    return [build.insert(tosa.TransposeOp(build.storage(op.input), perms, storage_type(op.output)))]


OPERATORS: tuple[Operator, ...] = ()
