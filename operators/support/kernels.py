"""
Building blocks that both conversions to `npu_schedule` use: kernels, views and constants, placed before one
operation and named after it.

Tensors keep the rank and element type that the level above gave them; a kernel sees each of its operands through an
`npu_schedule.reshape` as 1 x H x W x C, and its result is seen through another as what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isqrt, prod
from typing import TYPE_CHECKING, Any, TypeVar

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, LocationAttr, StringAttr, TensorType, UnitAttr, i8, i32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.dialects.constants import from_numpy
from npuc.dialects.npu import (
    Activation,
    ActivationAttr,
    Element,
    IntsAttr,
    OperandScales,
    OperandScalesAttr,
    Scale,
    ScaleAttr,
    Window,
    WindowAttr,
)
from npuc.hardware.limits import MAX_EXTENT, MAX_STRIDE
from npuc.operators.support.deferred import deferred

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from npuc.dialects import npu_schedule
else:
    (npu_schedule,) = deferred("npuc.dialects.npu_schedule")

OperationT = TypeVar("OperationT", bound=Operation)

IDENTITY = Scale("natural", 1, 0)
"""A scale that changes nothing, in any rounding mode."""

UNSCALED = OperandScales("both", 1, 1)
"""ADD and SUB of operands as they are."""


def tensor(value: SSAValue | Attribute) -> TensorType[Any]:
    """The static tensor type of a value; anything else is a bug of the pass that calls."""
    type_ = value.type if isinstance(value, SSAValue) else value
    assert isinstance(type_, TensorType)
    return type_


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    """The shape of a static tensor."""
    return tensor(value).get_shape()


def feature_map_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """
    1 x H x W x C for a tensor of any rank: missing dimensions are 1, surplus ones and the batch are folded into the
    height. The innermost dimension stays the depth.
    """
    padded = (1,) * (4 - len(shape)) + tuple(shape)
    return (1, prod(padded[:-2]), padded[-2], padded[-1])


_ROWS_OF_A_LAUNCH = 64
"""So many rows of a narrow map take an elementwise kernel about as long as another launch: 20 on U55, 80 on U65."""


def folded(count: int) -> tuple[int, int]:
    """
    Height and width, as near to a square as there is, of a feature map of `count` columns that may stand anywhere.

    Long rows are moved in whole bursts and fill blocks; several rows can be cut into stripes. One column if `count` is
    a prime number.
    """
    width = isqrt(count)
    while count % width:
        width -= 1
    return count // width, width


def rectangles(count: int) -> tuple[tuple[int, int], ...]:
    """
    Heights and widths of maps that together hold `count` columns: the one of `folded`, or a nearly square one and a
    small rest, where the one is so much higher that its rows cost more than another launch of every kernel.
    """
    height, width = folded(count)
    root = isqrt(count)
    widest = min(range(max(root // 2, 1), root + 1), key=lambda w: (count % w, -w))
    rest = count % widest
    if height - count // widest - rest <= _ROWS_OF_A_LAUNCH:
        return ((height, width),)
    return ((count // widest, widest), folded(rest))


def batch_map(batch: int) -> tuple[int, int]:
    """Height and width of a map whose elements are so many rows of a matrix."""
    # A block is at least as high as wide where it can be: 12 is 3 rows of 4.
    width, height = folded(batch)
    return height, width


def full_range(type_: SSAValue | Attribute) -> Activation:
    """The clamp that lets every value of the element type pass; 32-bit kernels have the 16-bit one, without effect."""
    element = Element.of(tensor(type_).element_type)
    return Activation(*(element.range if element.bits <= 16 else (-(1 << 15), (1 << 15) - 1)))


class Emitter:
    """
    Inserts operations before `anchor`, with its location if none is given. One for each operation that is lowered.
    """

    def __init__(self, anchor: Operation, location: LocationAttr | None = None):
        self.anchor = anchor
        self.location = anchor.location if location is None else location

    def insert(self, op: OperationT) -> OperationT:
        """Put `op` before the anchor."""
        op.location = self.location
        Rewriter.insert_op(op, InsertPoint.before(self.anchor))
        return op

    # Views and constants

    def view(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """`value` under another shape of as many elements; reshapes of reshapes collapse."""
        if shape_of(value) == tuple(shape):
            return value
        while isinstance(value.owner, npu_schedule.ReshapeOp):
            value = value.owner.source
            if shape_of(value) == tuple(shape):
                return value
        return self.insert(npu_schedule.ReshapeOp(value, TensorType(tensor(value).element_type, list(shape)))).result

    def feature_map(self, value: SSAValue) -> SSAValue:
        """`value` as 1 x H x W x C."""
        return self.view(value, feature_map_shape(shape_of(value)))

    def constant(self, array: NDArray[Any], element_type: Attribute | None = None) -> SSAValue:
        """A constant of an array's values and shape."""
        return self.dense(from_numpy(array, element_type))

    def dense(self, value: DenseIntOrFPElementsAttr) -> SSAValue:
        """A constant in the attribute's type."""
        return self.insert(npu_schedule.ConstantOp(value)).result

    def slice(
        self, value: SSAValue, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int] = (1, 1, 1)
    ) -> SSAValue:
        """A box of a feature map; offsets, sizes and strides, which may be negative, in height, width, depth."""
        if tuple(sizes) == shape_of(value)[1:] and min(strides) > 0:
            return value
        result = TensorType(tensor(value).element_type, [1, *sizes])
        return self.insert(npu_schedule.SliceOp(value, offsets, result, strides)).result

    def transpose(self, value: SSAValue) -> SSAValue:
        """A feature map with height and width exchanged."""
        _, height, width, depth = shape_of(value)
        return self.insert(
            npu_schedule.TransposeOp(value, TensorType(tensor(value).element_type, [1, width, height, depth]))
        ).result

    def copy(self, value: SSAValue) -> SSAValue:
        """
        A feature map's bytes in memory of their own; in parts where it has more rows, columns or channels than a kernel
        can have.
        """
        shape = shape_of(value)[1:]
        # Elements of 32 bits are copied as two of 16.
        deepest = MAX_EXTENT // max(tensor(value).element_type.width.data // 16, 1)
        for axis, (extent, most) in enumerate(zip(shape, (MAX_EXTENT,) * 2 + (deepest,), strict=True)):
            if extent > most:
                parts: list[SSAValue] = []
                for start in range(0, extent, most):
                    offsets, sizes = [0, 0, 0], list(shape)
                    offsets[axis], sizes[axis] = start, min(most, extent - start)
                    parts.append(self.copy(self.slice(value, offsets, sizes)))
                return self.concat(parts, axis + 1)
        return self.insert(npu_schedule.CopyOp(value)).result

    def concat(self, values: Sequence[SSAValue], axis: int) -> SSAValue:
        """Feature maps side by side along axis 1, 2 or 3; the operands must be nobody else's to place."""
        if len(values) == 1:
            return values[0]
        shape = list(shape_of(values[0]))
        shape[axis] = sum(shape_of(v)[axis] for v in values)
        return self.insert(
            npu_schedule.ConcatOp(values, axis, TensorType(tensor(values[0]).element_type, shape))
        ).result

    # Kernels

    def scales(self, bias: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any]) -> SSAValue:
        """Bias, multiplier and shift for each channel, any integer arrays of one dimension."""
        import numpy as np

        unsigned = multiplier.astype(np.uint32).view(np.int32)
        return self.insert(
            npu_schedule.ScalesOp(
                from_numpy(bias.astype(np.int64), i64), from_numpy(unsigned, i32), from_numpy(shift.astype(np.int8), i8)
            )
        ).result

    def convolution(
        self,
        kind: type[npu_schedule.Conv2DOp | npu_schedule.DepthwiseConv2DOp],
        ifm: SSAValue,
        weights: SSAValue,
        scales: SSAValue,
        result_type: TensorType[Any],
        *,
        window: Window,
        zero_points: tuple[int, int],
        rounding: Scale,
        weight_zero_point: int = 0,
        activation: Activation | None = None,
    ) -> SSAValue:
        """A convolution; `rounding` is a per-channel scale."""
        properties: dict[str, Attribute] = {
            "window": WindowAttr(window),
            "zero_points": IntsAttr(zero_points),
            "scale": ScaleAttr(rounding),
            "activation": ActivationAttr(activation or full_range(result_type)),
        }
        if weight_zero_point:
            properties["weight_zero_point"] = IntsAttr((weight_zero_point,))
        return self.insert(
            kind.of({"ifm": [ifm], "weights": [weights], "scales": [scales]}, properties, [result_type])
        ).result

    def pool(
        self,
        kind: str,
        ifm: SSAValue,
        result_type: TensorType[Any],
        *,
        window: Window | None = None,
        zero_points: tuple[int, int] = (0, 0),
        scale: Scale | None = None,
        activation: Activation | None = None,
        table: SSAValue | None = None,
    ) -> SSAValue:
        """A pool; `average` of 1x1 is how anything is rescaled, clamped or looked up."""
        properties: dict[str, Attribute] = {
            "kind": StringAttr(kind),
            "window": WindowAttr(window or Window()),
            "zero_points": IntsAttr(zero_points),
            "activation": ActivationAttr(activation or full_range(result_type)),
        }
        if scale is not None:
            properties["scale"] = ScaleAttr(scale)
        return self.insert(
            npu_schedule.PoolOp.of({"ifm": [ifm], "table": _present(table)}, properties, [result_type])
        ).result

    def windows(
        self,
        ifm: SSAValue,
        window: Window,
        result_type: TensorType[Any],
        make: Callable[[SSAValue, Window, TensorType[Any]], SSAValue],
    ) -> SSAValue:
        """
        One kernel of a window by `make`, or, where the window moves by more than the NPU can, one for each OFM row
        (or column), which read their part of the IFM and write next to each other.
        """
        _, ofm_h, ofm_w, depth = result_type.get_shape()
        if ofm_h == 1:
            window = replace(window, stride_y=1)
        if ofm_w == 1:
            window = replace(window, stride_x=1)
        if max(window.stride_y, window.stride_x) <= MAX_STRIDE:
            return make(ifm, window, result_type)
        axis = 1 if window.stride_y > MAX_STRIDE else 2
        parts: list[SSAValue] = []
        for index in range(result_type.get_shape()[axis]):
            offset, size = [0, 0, 0], list(shape_of(ifm)[1:])
            if axis == 1:
                first, count, before, after = _window_rows(
                    index, window.stride_y, window.dilated_height, window.top, size[0]
                )
                part = replace(window, stride_y=1, top=before, bottom=after)
                type_ = TensorType(result_type.element_type, [1, 1, ofm_w, depth])
            else:
                first, count, before, after = _window_rows(
                    index, window.stride_x, window.dilated_width, window.left, size[1]
                )
                part = replace(window, stride_x=1, left=before, right=after)
                type_ = TensorType(result_type.element_type, [1, ofm_h, 1, depth])
            offset[axis - 1], size[axis - 1] = first, count
            parts.append(self.windows(self.slice(ifm, offset, size), part, type_, make))
        return self.concat(parts, axis)

    def elementwise(
        self,
        kind: str,
        ifm: SSAValue,
        ifm2: SSAValue | None,
        result_type: TensorType[Any],
        *,
        zero_points: Sequence[int] | None = None,
        scale: Scale | None = None,
        operand_scales: OperandScales | None = None,
        activation: Activation | None = None,
        is_reversed: bool = False,
        table: SSAValue | None = None,
    ) -> SSAValue:
        """An elementwise kernel."""
        properties: dict[str, Attribute] = {
            "kind": StringAttr(kind),
            "zero_points": IntsAttr(tuple(zero_points or (0,) * (2 if ifm2 is None else 3))),
            "activation": ActivationAttr(activation or full_range(result_type)),
        }
        if scale is not None:
            properties["scale"] = ScaleAttr(scale)
        if operand_scales is not None:
            properties["operand_scales"] = OperandScalesAttr(operand_scales)
        if is_reversed:
            properties["reversed"] = UnitAttr()
        return self.insert(
            npu_schedule.ElementwiseOp.of(
                {"ifm": [ifm], "ifm2": _present(ifm2), "table": _present(table)}, properties, [result_type]
            )
        ).result

    def look_up(self, ifm: SSAValue, table: SSAValue, element_type: Attribute) -> SSAValue:
        """A copy of a feature map through a table of entries of `element_type`, that of the least value first."""
        result_type = TensorType(element_type, list(shape_of(ifm)))
        clamp = replace(full_range(result_type), function="table")
        # The index is of the result's type.
        points = (0, clamp.low - full_range(ifm).low)
        return self.pool("average", ifm, result_type, zero_points=points, scale=IDENTITY, activation=clamp, table=table)

    def replace(self, results: Sequence[SSAValue]) -> None:
        """The anchor's results become `results`, each seen in the shape it had; the anchor goes."""
        for old, new in zip(self.anchor.results, results, strict=True):
            new = self.view(new, shape_of(old))
            if old.name_hint and new.name_hint is None:
                new.name_hint = old.name_hint
            old.replace_all_uses_with(new)
        Rewriter.erase_op(self.anchor)


def _window_rows(index: int, stride: int, size: int, pad: int, length: int) -> tuple[int, int, int, int]:
    """First IFM row, number of rows, and padding before and after, of the window of OFM row `index`."""
    start = index * stride - pad
    first, last = max(start, 0), min(start + size, length)
    return first, last - first, first - start, start + size - last


def constant_of(value: SSAValue) -> DenseIntOrFPElementsAttr | None:
    """The value of an `npu_schedule.constant`, also seen through reshapes (the attribute keeps its own shape)."""
    while isinstance(value.owner, npu_schedule.ReshapeOp):
        value = value.owner.source
    return value.owner.value if isinstance(value.owner, npu_schedule.ConstantOp) else None


def _present(value: SSAValue | None) -> list[SSAValue]:
    """An optional operand as a list."""
    return [] if value is None else [value]
