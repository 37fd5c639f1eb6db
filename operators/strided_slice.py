"""
STRIDED_SLICE with constant bounds: the box around all that is taken, then what is taken of each axis.
"""

from __future__ import annotations

from typing import NamedTuple

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class StridedSliceOp(tfl.TflOp):
    """
    `input[begin:end:strides]`, each 1-D with one integer a dimension; the masks have one bit a dimension. With `offset`
    the end is counted from the beginning.
    """

    name = "tfl.strided_slice"

    input = operand_def(TensorType)
    begin = operand_def(TensorType)
    end = operand_def(TensorType)
    strides = operand_def(TensorType)
    output = result_def(TensorType)
    begin_mask = prop_def(IntegerAttr, tfl.ZERO)
    end_mask = prop_def(IntegerAttr, tfl.ZERO)
    ellipsis_mask = prop_def(IntegerAttr, tfl.ZERO)
    new_axis_mask = prop_def(IntegerAttr, tfl.ZERO)
    shrink_axis_mask = prop_def(IntegerAttr, tfl.ZERO)
    offset = prop_def(BoolAttr, tfl.FALSE)
    traits = traits_def(Pure())


class Taken(NamedTuple):
    """What a slice takes."""

    ranges: list[range]
    """For each dimension of the input the indices that are taken."""
    shape: list[int]
    """Of the result, with dimensions added and dropped."""


def _taken(op: StridedSliceOp) -> Taken:
    """What a slice takes; Refused if its operands do not fit the input."""
    begin, end, strides = (
        rules.integers(operand, "begin, end and strides must be constant") for operand in (op.begin, op.end, op.strides)
    )
    rules.require(len(begin) == len(end) == len(strides), "begin, end and strides must be of one length", op.begin)
    rules.require(0 not in strides, "strides must not be 0", op.strides)
    whole = rules.shape(op.input)
    masks = (op.begin_mask, op.end_mask, op.ellipsis_mask, op.new_axis_mask, op.shrink_axis_mask)
    bits = [[bool(mask.value.data >> at & 1) for mask in masks] for at in range(len(begin))]
    rules.require(sum(row[2] for row in bits) <= 1, "there must be at most one ellipsis", op.input)
    # LiteRT counts the ends of what these stand for as well.
    alone = not op.offset or not any(ellipsis or new for _, _, ellipsis, new, _ in bits)
    rules.require(alone, "ends that are counted from the beginning must have no ellipsis or new axis beside", op.input)
    named = sum(not ellipsis and not new for _, _, ellipsis, new, _ in bits)
    rules.require(named <= len(whole), "there must be no more indices than dimensions", op.begin)
    ranges: list[range] = []
    shape: list[int] = []
    for (open_begin, open_end, ellipsis, new, shrinks), first, last, step in zip(
        bits, begin, end, strides, strict=True
    ):
        if ellipsis:
            for size in whole[len(ranges) : len(ranges) + len(whole) - named]:
                ranges.append(range(size))
                shape.append(size)
            continue
        if new:
            shape.append(1)
            continue
        size = whole[len(ranges)]
        if shrinks:
            # A bound that the file leaves open is the first element here too.
            index = 0 if open_begin else first + size if first < 0 else first
            rules.require(0 <= index < size and step > 0, "an index must lie within the input", op.begin)
            ranges.append(range(index, index + 1))
            continue
        bounds = slice(None if open_begin else first, None if open_end else last, step)
        if op.offset:
            # TFLite then heeds no mask of the end, and reads on beyond the input.
            last += bounds.indices(size)[0]
            rules.require(0 <= last <= size, "ends counted from the beginning must lie within the input", op.end)
            bounds = slice(bounds.start, last, step)
        ranges.append(range(*bounds.indices(size)))
        shape.append(len(ranges[-1]))
    for size in whole[len(ranges) :]:
        ranges.append(range(size))
        shape.append(size)
    return Taken(ranges, shape)


def check(op: StridedSliceOp) -> None:
    rules.same_elements(op, op.input, op.output)
    ranges, shape = _taken(op)
    rules.require_shape(op.output, shape)
    before = rules.shape(op.input)
    for axis, indices in enumerate(ranges):
        rules.require(len(indices) > 0, "a slice must not be empty", op.begin)
        before = moving.check_gathered(op.input, before, axis, indices)


def convert(build: Builder, op: StridedSliceOp) -> list[SSAValue]:
    ranges, _ = _taken(op)
    starts = [min(indices) for indices in ranges]
    sizes = [max(indices) - start + 1 for indices, start in zip(ranges, starts, strict=True)]
    value = build.slice(build.storage(op.input), starts, sizes)
    for axis, (indices, start) in enumerate(zip(ranges, starts, strict=True)):
        value = moving.gather(build, value, axis, [index - start for index in indices])
    return [build.reshape(value, shape_of(op.output))]


OPERATORS = (
    Operator(
        op=StridedSliceOp,
        kernels="none, or a copy for each axis with a stride",
        check=check,
        convert=convert,
        arguments=("begin", "end", "strides"),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        batches=True,
        host_cycles=2.0,
    ),
)
