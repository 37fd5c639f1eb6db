"""
GATHER with constant indices: a copy for each run of indices that step evenly.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class GatherOp(tfl.TflOp):
    """The elements at `indices` along `axis`, which becomes the axes of `indices`."""

    name = "tfl.gather"

    params = operand_def(TensorType)
    indices = operand_def(TensorType)
    output = result_def(TensorType)
    axis = prop_def(IntegerAttr, tfl.ZERO)
    batch_dims = prop_def(IntegerAttr, tfl.ZERO)
    traits = traits_def(Pure())


class Gathered(NamedTuple):
    """What is gathered along one axis of the input, seen in a shape of as many elements."""

    shape: tuple[int, ...]
    axis: int
    indices: list[int]


def _gathered(op: GatherOp) -> Gathered:
    """
    Refused if the operands do not fit each other. Where batches have indices of their own, places are rows
    of all.
    """
    indices = rules.integers(op.indices, "the indices must be constant")
    shape, places = rules.shape(op.params), rules.shape(op.indices)
    axis = rules.axis_of(op.axis.value.data, len(shape), op.params)
    batches = op.batch_dims.value.data
    batches += len(places) if batches < 0 else 0
    rules.require(0 <= batches <= min(axis, len(places)), "batch dimensions must lie before the axis", op.indices)
    rules.require(places[:batches] == shape[:batches], "batch dimensions must be those of the indices", op.indices)
    inside = indices and all(0 <= index < shape[axis] for index in indices)
    rules.require(bool(inside), "indices must lie within the axis", op.indices)
    rules.require_shape(op.output, (*shape[:axis], *places[batches:], *shape[axis + 1 :]))
    each, size = prod(places[batches:]), shape[axis]
    rows = [indices[start : start + each] for start in range(0, len(indices), each)]
    if all(row == rows[0] for row in rows):
        return Gathered(shape, axis, rows[0])
    between = prod(shape[batches:axis])
    of_all = [row for row in rows for _ in range(between)]
    flat = [number * size + index for number, row in enumerate(of_all) for index in row]
    return Gathered((len(of_all) * size, *shape[axis + 1 :]), 0, flat)


def check(op: GatherOp) -> None:
    rules.same_elements(op, op.params, op.output)
    shape, axis, indices = _gathered(op)
    moving.check_gathered(op.params, shape, axis, indices)


def convert(build: Builder, op: GatherOp) -> list[SSAValue]:
    shape, axis, indices = _gathered(op)
    value = build.reshape(build.storage(op.params), shape)
    return [build.reshape(moving.gather(build, value, axis, indices), shape_of(op.output))]


OPERATORS = (
    Operator(
        op=GatherOp,
        kernels="a copy for each run of indices that step evenly",
        check=check,
        convert=convert,
        arguments=("indices",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
