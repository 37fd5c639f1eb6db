"""
Reductions, and operations that move data.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    DenseArrayBase,
    IntegerAttr,
    IntegerType,
    TensorType,
    i32,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    BaseAttr,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
)

from npuc.dialects.tosa.base import (
    NanModeAttr,
    ResizeMode,
    ResizeModeAttr,
    ShapeType,
    Tensor,
    TosaOp,
    accumulator_type,
    agree,
    as_text,
    element_of,
    integers,
    shape_of,
    shape_values,
    tensor_type,
)

# Reductions -------------------------------------------------------------------------------------


class AxisOp(TosaOp, ABC):
    """An operation along one `axis`."""

    axis = prop_def(BaseAttr[IntegerAttr[Any]](IntegerAttr))

    def _axis(self, rank: int) -> int:
        axis = self.axis.value.data
        self._check(0 <= axis < rank, f"axis {axis} is outside rank {rank}")
        return axis


class ReduceOp(AxisOp, ABC):
    """All elements along `axis` become one; the dimension stays, as 1."""

    input = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, axis: int):
        shape = list(shape_of(value))
        shape[axis] = 1
        super().__init__(
            operands=[value],
            properties={"axis": IntegerAttr(axis, 32)},
            result_types=[TensorType(element_of(value), shape)],
        )

    def verify_(self) -> None:
        shape = list(shape_of(self.input))
        shape[self._axis(len(shape))] = 1
        self._check_shape(shape_of(self.output), shape, "the result")
        self._check_element(self.output, element_of(self.input), "the result")


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """The sum."""

    name = "tosa.reduce_sum"


@irdl_op_definition
class ReduceProductOp(ReduceOp):
    """The product."""

    name = "tosa.reduce_product"


@irdl_op_definition
class ReduceMaxOp(ReduceOp):
    """The greatest."""

    name = "tosa.reduce_max"
    nan_mode = opt_prop_def(NanModeAttr)


@irdl_op_definition
class ReduceMinOp(ReduceOp):
    """The least."""

    name = "tosa.reduce_min"
    nan_mode = opt_prop_def(NanModeAttr)


@irdl_op_definition
class ReduceAllOp(ReduceOp):
    """Whether all are true."""

    name = "tosa.reduce_all"


@irdl_op_definition
class ReduceAnyOp(ReduceOp):
    """Whether any is true."""

    name = "tosa.reduce_any"


@irdl_op_definition
class ArgMaxOp(AxisOp):
    """The index of the greatest element along `axis`, the first if several; the dimension goes."""

    name = "tosa.argmax"
    input = operand_def(TensorType)
    nan_mode = opt_prop_def(NanModeAttr)
    output = result_def(TensorType)

    def verify_(self) -> None:
        shape = list(shape_of(self.input))
        shape.pop(self._axis(len(shape)))
        self._check_shape(shape_of(self.output), shape, "the result")
        self._check(element_of(self.output) in (i32, i64), "the result must hold i32 or i64")


# Data movement ----------------------------------------------------------------------------------


@irdl_op_definition
class ConcatOp(AxisOp):
    """The operands one after the other along `axis`."""

    name = "tosa.concat"
    input1 = var_operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, values: Sequence[SSAValue], axis: int, result_type: Tensor):
        super().__init__(
            operands=[list(values)], properties={"axis": IntegerAttr(axis, 32)}, result_types=[result_type]
        )

    def verify_(self) -> None:
        out = shape_of(self.output)
        axis = self._axis(len(out))
        self._check(len(self.input1) > 0, "needs an operand")
        for value in self.input1:
            wanted = (*out[:axis], -1, *out[axis + 1 :])
            self._check_shape(shape_of(value), wanted, "an operand")
            self._check_element(value, element_of(self.output), "an operand")
        sizes = [shape_of(value)[axis] for value in self.input1]
        if -1 not in sizes:
            self._check(agree(out[axis], sum(sizes)), f"the result has {out[axis]} but must have {sum(sizes)}")


class ShapedOp(TosaOp, ABC):
    """An operation of one tensor and shape operands, whose element type stays."""

    def _check_numbers(self, operand: SSAValue, count: int, what: str) -> tuple[int, ...] | None:
        assert isinstance(operand.type, ShapeType)
        self._check(operand.type.rank.data == count, f"{what} must have {count} numbers, not {operand.type.rank.data}")
        return shape_values(operand)


@irdl_op_definition
class ReshapeOp(ShapedOp):
    """The same elements in the same order in another shape."""

    name = "tosa.reshape"
    input1 = operand_def(TensorType)
    shape = operand_def(ShapeType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, shape: SSAValue, result_type: Tensor):
        super().__init__(operands=[value, shape], result_types=[result_type])

    def verify_(self) -> None:
        self._check_element(self.output, element_of(self.input1), "the result")
        out = shape_of(self.output)
        wanted = self._check_numbers(self.shape, len(out), "shape")
        if wanted is not None:
            self._check_shape(out, wanted, "the result")
        before, after = tensor_type(self.input1), tensor_type(self.output)
        if before.has_static_shape() and after.has_static_shape():
            self._check(
                _count(before.get_shape()) == _count(out), f"{as_text(before.get_shape())} cannot become {as_text(out)}"
            )


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


@irdl_op_definition
class SliceOp(ShapedOp):
    """`size` elements of each dimension from `start` on."""

    name = "tosa.slice"
    input1 = operand_def(TensorType)
    start = operand_def(ShapeType)
    size = operand_def(ShapeType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, start: SSAValue, size: SSAValue, result_type: Tensor):
        super().__init__(operands=[value, start, size], result_types=[result_type])

    def verify_(self) -> None:
        self._check_element(self.output, element_of(self.input1), "the result")
        shape, out = shape_of(self.input1), shape_of(self.output)
        self._check(len(shape) == len(out), "the result must have the operand's rank")
        start = self._check_numbers(self.start, len(shape), "start")
        size = self._check_numbers(self.size, len(shape), "size")
        if size is not None:
            self._check_shape(out, size, "the result")
        if start is not None and size is not None:
            for axis, (first, count, length) in enumerate(zip(start, size, shape, strict=True)):
                inside = count == -1 or (first >= 0 and count >= 1 and (length == -1 or first + count <= length))
                self._check(inside, f"{count} elements from {first} on are not inside dimension {axis} of {length}")


@irdl_op_definition
class PadOp(ShapedOp):
    """`pad_const` before and after each dimension: `padding` holds the two counts of each."""

    name = "tosa.pad"
    input1 = operand_def(TensorType)
    padding = operand_def(ShapeType)
    pad_const = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, padding: SSAValue, pad_const: SSAValue, result_type: Tensor):
        super().__init__(operands=[value, padding, pad_const], result_types=[result_type])

    def verify_(self) -> None:
        self._check_element(self.output, element_of(self.input1), "the result")
        self._check_element(self.pad_const, element_of(self.input1), "pad_const")
        self._check_shape(shape_of(self.pad_const), (1,), "pad_const")
        shape = shape_of(self.input1)
        counts = self._check_numbers(self.padding, 2 * len(shape), "padding")
        if counts is not None:
            self._check(all(count >= 0 for count in counts), "padding must not be negative")
            wanted = [
                -1 if size == -1 else size + counts[2 * axis] + counts[2 * axis + 1] for axis, size in enumerate(shape)
            ]
            self._check_shape(shape_of(self.output), wanted, "the result")


@irdl_op_definition
class TileOp(ShapedOp):
    """Each dimension repeated `multiples` times."""

    name = "tosa.tile"
    input1 = operand_def(TensorType)
    multiples = operand_def(ShapeType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        self._check_element(self.output, element_of(self.input1), "the result")
        shape = shape_of(self.input1)
        counts = self._check_numbers(self.multiples, len(shape), "multiples")
        if counts is not None:
            wanted = [-1 if -1 in (size, count) else size * count for size, count in zip(shape, counts, strict=True)]
            self._check_shape(shape_of(self.output), wanted, "the result")


@irdl_op_definition
class ReverseOp(AxisOp):
    """The elements along `axis` from last to first."""

    name = "tosa.reverse"
    input1 = operand_def(TensorType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        self._axis(len(shape_of(self.input1)))
        self._check_shape(shape_of(self.output), shape_of(self.input1), "the result")
        self._check_element(self.output, element_of(self.input1), "the result")


@irdl_op_definition
class TransposeOp(TosaOp):
    """Dimension i of the result is dimension `perms[i]` of the operand."""

    name = "tosa.transpose"
    input1 = operand_def(TensorType)
    perms = prop_def(DenseArrayBase)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, perms: Sequence[int], result_type: Tensor):
        super().__init__(
            operands=[value],
            properties={"perms": DenseArrayBase.from_list(i32, list(perms))},
            result_types=[result_type],
        )

    def verify_(self) -> None:
        shape = shape_of(self.input1)
        perms = integers(self.perms)
        self._check(sorted(perms) == list(range(len(shape))), f"perms must be a permutation of rank {len(shape)}")
        self._check_shape(shape_of(self.output), [shape[axis] for axis in perms], "the result")
        self._check_element(self.output, element_of(self.input1), "the result")


@irdl_op_definition
class GatherOp(TosaOp):
    """result[n, w, c] = values[n, indices[n, w], c]."""

    name = "tosa.gather"
    values = operand_def(TensorType)
    indices = operand_def(TensorType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        self._check_rank(self.values, 3, "values")
        self._check_rank(self.indices, 2, "indices")
        values, indices = shape_of(self.values), shape_of(self.indices)
        self._check(agree(values[0], indices[0]), "values and indices must have one batch")
        self._check(element_of(self.indices) in (i32, i64), "indices must hold i32 or i64")
        self._check_shape(shape_of(self.output), (values[0], indices[1], values[2]), "the result")
        self._check_element(self.output, element_of(self.values), "the result")


@irdl_op_definition
class ScatterOp(TosaOp):
    """values_in, with values_out[n, indices[n, w], c] = input[n, w, c]."""

    name = "tosa.scatter"
    values_in = operand_def(TensorType)
    indices = operand_def(TensorType)
    input = operand_def(TensorType)
    values_out = result_def(TensorType)

    def verify_(self) -> None:
        self._check_rank(self.values_in, 3, "values_in")
        self._check_rank(self.indices, 2, "indices")
        values, indices = shape_of(self.values_in), shape_of(self.indices)
        self._check_shape(shape_of(self.input), (values[0], indices[1], values[2]), "input")
        self._check_shape(shape_of(self.values_out), values, "the result")
        self._check_element(self.input, element_of(self.values_in), "input")
        self._check_element(self.values_out, element_of(self.values_in), "the result")


@irdl_op_definition
class ResizeOp(TosaOp):
    """
    NHWC resampled: `scale` is y_n, y_d, x_n, x_d, `offset` and `border` are y, x. Result row r reads row
    (r * y_d + offset_y) / y_n. BILINEAR multiplies by y_n * x_n (8 bit to `i32`, 16 bit to `i48`).
    """

    name = "tosa.resize"
    input = operand_def(TensorType)
    scale = operand_def(ShapeType)
    offset = operand_def(ShapeType)
    border = operand_def(ShapeType)
    mode = prop_def(ResizeModeAttr)
    output = result_def(TensorType)

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        scale, offset, border = (shape_values(v) for v in (self.scale, self.offset, self.border))
        batch, height, width, depth = shape_of(self.input)
        element_type = element_of(self.input)
        if self.mode.data == ResizeMode.NEAREST_NEIGHBOR:
            self._check_element(self.output, element_type, "the result")
        elif isinstance(element_type, IntegerType):
            self._check_element(self.output, accumulator_type(element_type), "the result")
        if scale is None or offset is None or border is None:
            return
        self._check(len(scale) == 4 and len(offset) == 2 and len(border) == 2, "needs 4, 2 and 2 numbers")
        self._check(min(scale) >= 1, "scale must be at least 1")
        sizes = [-1, -1]
        for i, size in enumerate((height, width)):
            if size != -1:
                steps = (size - 1) * scale[2 * i] - offset[i] + border[i]
                self._check(steps % scale[2 * i + 1] == 0, f"{steps} is not a multiple of {scale[2 * i + 1]}")
                sizes[i] = steps // scale[2 * i + 1] + 1
        self._check_shape(shape_of(self.output), (batch, *sizes, depth), "the result")
