"""
SLICE with a constant start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, constant_integers, shape_of
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class SliceOp(tfl.TflOp):
    """`size` elements (-1: all that follow) from `begin` on, both 1-D with one integer a dimension."""

    name = "tfl.slice"

    input = operand_def(TensorType)
    begin = operand_def(TensorType)
    size = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check(op: SliceOp) -> None:
    begin = rules.integers(op.begin, "begin and size must be constant")
    size = rules.integers(op.size, "begin and size must be constant")
    rules.same_elements(op, op.input, op.output)
    shape = rules.shape(op.input)
    rules.require(len(begin) == len(size) == len(shape), "begin and size must have one element a dimension", op.begin)
    sizes = [whole - b if s == -1 else s for b, s, whole in zip(begin, size, shape, strict=True)]
    inside = all(0 <= b and s >= 0 and b + s <= whole for b, s, whole in zip(begin, sizes, shape, strict=True))
    rules.require(inside, "the slice must lie within the input", op.begin)
    rules.require_shape(op.output, sizes)


def convert(build: Builder, op: SliceOp) -> list[SSAValue]:
    """SLICE with a constant start."""
    begin = constant_integers(op.begin, "the start of a slice")
    return [build.slice(build.storage(op.input), begin, shape_of(op.output))]


OPERATORS = (
    Operator(
        op=SliceOp,
        kernels="none, or a copy",
        check=check,
        convert=convert,
        arguments=("begin", "size"),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        batches=True,
        host_cycles=1.0,
    ),
)
