"""
REVERSE_V2 along constant axes: what is read backwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, constant_integers, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class ReverseV2Op(tfl.TflOp):
    """The elements along each of the constant `axis` from last to first."""

    name = "tfl.reverse_v2"

    input = operand_def(TensorType)
    axis = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check(op: ReverseV2Op) -> None:
    rank = len(rules.shape(op.input))
    axes = [rules.axis_of(axis, rank, op.axis) for axis in rules.integers(op.axis, "the axes must be constant")]
    rules.require(len(set(axes)) == len(axes), "no axis may be reversed twice", op.axis)
    rules.same_elements(op, op.input, op.output)
    rules.require_shape(op.output, rules.shape(op.input))


def convert(build: Builder, op: ReverseV2Op) -> list[SSAValue]:
    value = build.storage(op.input)
    shape = shape_of(value)
    for axis in sorted(axis_of(axis, len(shape)) for axis in constant_integers(op.axis, "the axes")):
        if shape[axis] > 1:
            properties = {"axis": IntegerAttr(axis, 32)}
            reverse = tosa.ReverseOp.build(operands=[value], properties=properties, result_types=[value.type])
            value = build.insert(reverse)
    return [value]


OPERATORS = (
    Operator(
        op=ReverseV2Op,
        kernels="a copy for each axis, or none",
        check=check,
        convert=convert,
        arguments=("axis",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
