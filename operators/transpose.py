"""
TRANSPOSE by a constant permutation.
"""

from __future__ import annotations

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, constant_integers, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class TransposeOp(tfl.TflOp):
    """Dimension i of the result is dimension `perm[i]` of the input."""

    name = "tfl.transpose"

    input = operand_def(TensorType)
    perm = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check(op: TransposeOp) -> None:
    shape = rules.shape(op.input)
    order = rules.integers(op.perm, "the permutation must be constant")
    order = [rules.axis_of(axis, len(shape), op.perm) for axis in order]
    whole = sorted(order) == list(range(len(shape)))
    rules.require(whole, "the permutation must name each dimension once", op.perm)
    rules.same_elements(op, op.input, op.output)
    rules.require_shape(op.output, [shape[axis] for axis in order])


def convert(build: Builder, op: TransposeOp) -> list[SSAValue]:
    rank = len(shape_of(op.input))
    order = [axis_of(axis, rank) for axis in constant_integers(op.perm, "the permutation")]
    return [moving.transpose(build, build.storage(op.input), order)]


OPERATORS = (
    Operator(
        op=TransposeOp,
        kernels="copies with rows and columns exchanged, one fewer than groups of axes at most",
        check=check,
        convert=convert,
        arguments=("perm",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
