"""
What every operation on feature maps asks of their types: height, width and depth, elements, layout, memory.
"""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import NoneAttr, TensorType
from xdsl.ir import Attribute, BlockArgument, OpResult, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.npu import Element, FeatureMapSpace, LayoutAttr
from npuc.hardware.shram import BRICK, Format

VALUES = (OpResult, BlockArgument)
"""All that an `SSAValue` is: asking for these is quicker than for an abstract class."""


def type_of(value: SSAValue | Attribute) -> Attribute:
    """The type of a value, or a type itself."""
    return value.type if isinstance(value, VALUES) else cast(Attribute, value)


def nhwc(value: SSAValue | Attribute) -> tuple[int, int, int]:
    """Height, width and depth of a feature map; anything but a static 1 x H x W x C tensor is an error."""
    type_ = type_of(value)
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a feature map, got {type_}")
    shape = [size.data for size in type_.shape.data]
    if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
        raise VerifyException(f"a feature map is a static tensor 1xHxWxC, got {type_}")
    return shape[1], shape[2], shape[3]


def element_of(value: SSAValue | Attribute) -> Element:
    """Element type of a feature map."""
    type_ = type_of(value)
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a feature map, got {type_}")
    return Element.of(type_.element_type)


def is_brick(value: SSAValue | Attribute) -> bool:
    """Whether a feature map is stored in bricks of 16 channels."""
    type_ = type_of(value)
    if not isinstance(type_, TensorType) or not isinstance(type_.encoding, LayoutAttr):
        return False
    return type_.encoding.layout.data == "nhcwb16"


def layout_of(value: SSAValue | Attribute) -> Format:
    """How a feature map is stored."""
    return "nhcwb16" if is_brick(value) else "nhwc"


def space_of(value: SSAValue | Attribute) -> FeatureMapSpace:
    """The memory of a feature map that is no constant: what its type says."""
    type_ = type_of(value)
    if isinstance(type_, TensorType) and isinstance(type_.encoding, LayoutAttr):
        return cast(FeatureMapSpace, type_.encoding.space.data)
    return "arena"


def verify_written(value: SSAValue) -> None:
    """What the NPU writes lies in memory of its own."""
    if space_of(value) == "external":
        raise VerifyException("only operands of a region are external: the NPU does not write there")


def form_of(value: SSAValue) -> tuple[tuple[int, int, int], int, bool, FeatureMapSpace]:
    """What two feature maps have in common of which one fits in the place of the other."""
    return nhwc(value), element_of(value).bits, is_brick(value), space_of(value)


def row_bytes(value: SSAValue) -> int:
    """Bytes from row to row of a feature map without gaps."""
    _, width, depth = nhwc(value)
    return width * (-(-depth // BRICK) * BRICK if is_brick(value) else depth) * element_of(value).size


def stored(type_: TensorType[Attribute], layout: Format, space: FeatureMapSpace) -> TensorType[Attribute]:
    """The type of a feature map in another layout or memory."""
    plain = layout == "nhwc" and space == "arena"
    return TensorType(type_.element_type, type_.get_shape(), NoneAttr() if plain else LayoutAttr(layout, space))
