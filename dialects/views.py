"""
The views of `npu_schedule`: other ways to look at bytes that stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.feature_maps import element_of, is_brick, nhwc, space_of
from npuc.dialects.npu import IntsAttr
from npuc.hardware.shram import BRICK


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same linear bytes under another shape; also between the rank of the model and 1 x H x W x C."""

    name = "npu_schedule.reshape"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        before, after = self.source.type, self.result.type
        assert isinstance(before, TensorType)
        if prod(before.get_shape()) != prod(after.get_shape()) or before.element_type != after.element_type:
            raise VerifyException(f"cannot look at {before} as {after}")
        if is_brick(before) or is_brick(after):
            raise VerifyException("bricks cannot be reshaped: both sides must be linear")
        if space_of(before) != space_of(after):
            raise VerifyException("a reshape stays in the memory of its source")


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """The same bytes with height and width exchanged: element (y, x, c) is element (x, y, c) of the source."""

    name = "npu_schedule.transpose"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        before, after = self.source.type, self.result.type
        assert isinstance(before, TensorType)
        assert isinstance(after, TensorType)
        height, width, depth = nhwc(before)
        if nhwc(after) != (width, height, depth) or before.element_type != after.element_type:
            raise VerifyException(f"{before} with height and width exchanged is no {after}")
        if is_brick(before) or is_brick(after):
            raise VerifyException("rows and columns of bricks cannot be exchanged: both sides must be linear")
        if space_of(before) != space_of(after):
            raise VerifyException("a transpose stays in the memory of its source")


@irdl_op_definition
class SliceOp(IRDLOperation):
    """
    A box of a feature map from element `offsets` on, every `strides`-th element, backwards along an axis whose stride
    is negative; all in height, width, depth.

        %r = npu_schedule.slice %x {offsets = #npu.ints<0, 7, 4>, strides = #npu.ints<1, -2, 1>}
             : tensor<1x8x8x32xi8> -> tensor<1x8x4x16xi8>
    """

    name = "npu_schedule.slice"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    offsets = prop_def(IntsAttr)
    strides = prop_def(IntsAttr)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(
        self, source: SSAValue, offsets: Sequence[int], result_type: Attribute, strides: Sequence[int] = (1, 1, 1)
    ):
        super().__init__(
            operands=[source],
            result_types=[result_type],
            properties={"offsets": IntsAttr(tuple(offsets)), "strides": IntsAttr(tuple(strides))},
        )

    def verify_(self) -> None:
        if len(self.offsets.data) != 3 or len(self.strides.data) != 3 or 0 in self.strides.data:
            raise VerifyException("offsets and strides, none of them 0, are given for height, width and depth")
        for full, offset, size, stride in zip(
            nhwc(self.source), self.offsets.data, nhwc(self.result), self.strides.data, strict=True
        ):
            if not (0 <= offset < full and 0 <= offset + (size - 1) * stride < full):
                raise VerifyException(f"slice of {size} elements from {offset} by {stride} leaves an axis of {full}")
        if self.strides.data[2] != 1:
            raise VerifyException("the NPU cannot step over channels")
        if element_of(self.source) != element_of(self.result):
            raise VerifyException("a slice keeps the element type")
        if is_brick(self.source) != is_brick(self.result):
            raise VerifyException("a slice keeps the layout")
        if space_of(self.source) != space_of(self.result):
            raise VerifyException("a slice stays in the memory of its source")
        if is_brick(self.source) and (self.offsets.data[2] % BRICK or self.strides.data[1] != 1):
            raise VerifyException(f"a slice of bricks starts at a multiple of {BRICK} channels and takes every column")
        if is_brick(self.source) and self.strides.data[0] < 1:
            raise VerifyException("a slice of bricks goes forwards")

    @property
    def is_whole(self) -> bool:
        """Whether it has all elements of its source, along each axis from the first or from the last on."""
        return nhwc(self.source) == nhwc(self.result)


@irdl_op_definition
class ConcatOp(IRDLOperation):
    """
    Feature maps side by side along one axis (1 height, 2 width, 3 depth). A view as well: each operand is written
    to its place in the result, so an operand must be a kernel's OFM that nothing else has placed.
    """

    name = "npu_schedule.concat"
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntsAttr)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$inputs attr-dict `:` functional-type($inputs, $result)"

    def __init__(self, inputs: Sequence[SSAValue], axis: int, result_type: Attribute):
        super().__init__(operands=[list(inputs)], result_types=[result_type], properties={"axis": IntsAttr((axis,))})

    def verify_(self) -> None:
        if self.axis.data not in ((1,), (2,), (3,)):
            raise VerifyException("the axis of a concat is 1 (height), 2 (width) or 3 (depth)")
        at = self.axis.data[0] - 1
        total = list(nhwc(self.result))
        for value in self.inputs:
            shape = list(nhwc(value))
            total[at] -= shape[at]
            if [*shape[:at], *shape[at + 1 :]] != [*total[:at], *total[at + 1 :]]:
                raise VerifyException(f"operand {shape} does not fit {nhwc(self.result)} along axis {at + 1}")
            if element_of(value) != element_of(self.result):
                raise VerifyException("a concat keeps the element type")
            if is_brick(value) != is_brick(self.result):
                raise VerifyException("a concat keeps the layout")
            if space_of(value) != space_of(self.result):
                raise VerifyException("the operands of a concat lie in the memory of its result")
        if total[at] != 0:
            raise VerifyException("the operands of a concat fill its result exactly")
        if at == 2 and is_brick(self.result) and any(nhwc(value)[2] % BRICK for value in self.inputs[:-1]):
            raise VerifyException(f"a concat of bricks joins at multiples of {BRICK} channels")


def keeps_rows(op: Operation) -> bool:
    """Whether an operation is a view whose rows consist of the same rows of its operands: a slice or a concat."""
    if isinstance(op, SliceOp):
        same = nhwc(op.source)[0] == nhwc(op.result)[0]
        return same and op.offsets.data[0] == 0 and op.strides.data[0] == 1
    return isinstance(op, ConcatOp) and op.axis.data[0] != 1


def row_sources(value: SSAValue) -> list[SSAValue]:
    """Of what the rows of a feature map consist: the same rows of these; of itself if it is no view that keeps rows."""
    sources: dict[SSAValue, None] = {}
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one.owner, Operation) and keeps_rows(one.owner):
            waiting += reversed(one.owner.operands)
        else:
            sources[one] = None
    return list(sources)
