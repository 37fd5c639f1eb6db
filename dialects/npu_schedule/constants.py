"""
What a kernel reads that is known at compile time, and the buffers that weights pass through on their way to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntAttr, TensorType
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    result_def,
    traits_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.constants import as_numpy
from npuc.dialects.feature_maps import space_of
from npuc.dialects.npu import BufferType, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray


@irdl_attr_definition
class ScalesType(ParametrizedAttribute, TypeAttribute):
    """`!npu_schedule.scales<16>`: bias, multiplier and shift of 16 channels."""

    name = "npu_schedule.scales"
    channels: IntAttr

    def __init__(self, channels: int):
        super().__init__(IntAttr(channels))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return (IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False)),)

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.channels.data))


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Weights (O, H, W, I), a table, or a feature map that is known at compile time; lives in read-only memory."""

    name = "npu_schedule.constant"
    value = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: DenseIntOrFPElementsAttr):
        super().__init__(properties={"value": value}, result_types=[value.type])

    def print(self, printer: Printer) -> None:
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)
        printer.print_string(" ")
        printer.print_attribute(self.value)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        attributes = parser.parse_optional_attr_dict()
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected dense<...>")
        op = cls(value)
        op.attributes.update(attributes)
        return op

    def verify_(self) -> None:
        if self.value.type != self.result.type:
            raise VerifyException(f"the value is a {self.value.type}, the result a {self.result.type}")
        if space_of(self.result) != "arena":
            raise VerifyException("a constant lies in read-only memory: transfer it to another")


@irdl_op_definition
class ScalesOp(IRDLOperation):
    """
    Per-channel bias (40 bits), multiplier (32 bits, unsigned) and shift (0 to 63) of a convolution:
    `round((acc + bias) * multiplier >> shift)`.
    """

    name = "npu_schedule.scales"
    bias = prop_def(DenseIntOrFPElementsAttr)
    multiplier = prop_def(DenseIntOrFPElementsAttr)
    shift = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(ScalesType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "attr-dict `:` type($result)"

    def __init__(
        self,
        bias: DenseIntOrFPElementsAttr,
        multiplier: DenseIntOrFPElementsAttr,
        shift: DenseIntOrFPElementsAttr,
    ):
        super().__init__(
            properties={"bias": bias, "multiplier": multiplier, "shift": shift},
            result_types=[ScalesType(prod(bias.get_shape()))],
        )

    @property
    def values(self) -> tuple[NDArray, NDArray, NDArray]:
        """Bias, multiplier (the 32 bits taken as unsigned) and shift of each channel."""
        import numpy as np

        bias, multiplier, shift = map(as_numpy, (self.bias, self.multiplier, self.shift))
        return bias, multiplier.astype(np.int64) & 0xFFFFFFFF, shift

    def verify_(self) -> None:
        from npuc.hardware.weights import scales_problem

        for name, attr, bits in (
            ("bias", self.bias, 64),
            ("multiplier", self.multiplier, 32),
            ("shift", self.shift, 8),
        ):
            type_ = attr.type
            if type_.get_shape() != (self.result.type.channels.data,) or str(type_.get_element_type()) != f"i{bits}":
                raise VerifyException(f"{name} must be tensor<{self.result.type.channels.data}xi{bits}>, got {type_}")
        problem = scales_problem(*self.values)
        if problem is not None:
            raise VerifyException(problem)


@irdl_op_definition
class WeightBuffersOp(IRDLOperation):
    """
    Buffers that the depth slices of a kernel pass through, in the order of the slices: each one memory of its own, of
    its own size. It is alive from the transfer of the first slice into it to the last kernel that reads from it, and
    kernels that name one buffer share it: what it holds already is not transferred again.
    """

    name = "npu_schedule.weight_buffers"
    outputs = var_result_def(BufferType)
    assembly_format = "attr-dict `:` type($outputs)"

    def __init__(self, sizes: Sequence[int], space: Space):
        super().__init__(result_types=[[BufferType(size, space) for size in sizes]])

    def verify_(self) -> None:
        if not self.outputs:
            raise VerifyException("no buffer: weights that are read in place need none")
        for buffer in self.outputs:
            if buffer.type.space not in ("arena", "fast") or buffer.type.size % 16:
                raise VerifyException(
                    f"weights pass through writable memory, a multiple of 16 bytes, not {buffer.type}"
                )
