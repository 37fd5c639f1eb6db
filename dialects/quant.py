"""
`quant`: the type of a value that stands for real numbers by integers, in upstream MLIR's syntax.

    !quant.uniform<i8:f32, 0.0235:-128>                    per tensor: real = 0.0235 * (stored + 128)
    !quant.uniform<u8:f32, 0.5>                            unsigned storage, zero point 0
    !quant.uniform<i8:f32:3, {0.25, 0.5:-1}>               per axis 3, one `scale[:zero point]` a slice
    !quant.uniform<i8<-127:127>:f32, 0.1>                  storage range narrower than the type's

The type says how to read an integer and nothing else: no rounding, no machine. Scales are float32
values; they print with as few digits as read back to exactly the same float32.
`quant.scast` changes between a quantised tensor and the tensor of its storage integers, and moves no data.
"""

import math
import struct
from dataclasses import dataclass
from functools import cache

from xdsl.dialects.builtin import (
    Float32Type,
    IntegerType,
    Signedness,
    TensorType,
    f32,
    i1,
    i8,
)
from xdsl.ir import Attribute, Data, Dialect, SSAValue, TypeAttribute
from xdsl.irdl import IRDLOperation, irdl_attr_definition, irdl_op_definition, operand_def, result_def, traits_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

STORAGE_WIDTHS = (4, 8, 16, 32, 64)


def to_float32(value: float) -> float:
    """The float32 nearest to `value`, as a Python float; infinite where float32 overflows."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def float32_text(value: float) -> str:
    """The shortest decimal text, always with a point, that reads back to the finite float32 `value`."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if to_float32(float(text)) == value:
            break
    else:
        raise ValueError(f"{value!r} is not a float32 value")
    mantissa, exponent, power = text.partition("e")
    return (mantissa if "." in mantissa else mantissa + ".0") + exponent + power


@dataclass(frozen=True)
class UniformQuantization:
    """
    The parameters of `!quant.uniform`: plain numbers, so that passes read them without unwrapping.

    `scales` and `zero_points` have one element per tensor, or one for each slice along `axis`.
    """

    storage_width: int
    signed: bool
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None
    storage_range: tuple[int, int] | None = None
    """Least and greatest stored value where they are narrower than the storage type's."""


@irdl_attr_definition
class UniformQuantizedType(Data[UniformQuantization], TypeAttribute):
    """`!quant.uniform<...>`, per tensor or per axis. Build it with `per_tensor` or `per_axis`."""

    name = "quant.uniform"

    @staticmethod
    def per_tensor(storage: IntegerType, scale: float, zero_point: int = 0) -> "UniformQuantizedType":
        """Storage type (`i8`, `ui8`, `i16`, `i32` ...), scale (rounded to float32) and zero point."""
        return UniformQuantizedType(
            UniformQuantization(storage.bitwidth, _is_signed(storage), (to_float32(scale),), (zero_point,))
        )

    @staticmethod
    def per_axis(
        storage: IntegerType, axis: int, scales: tuple[float, ...], zero_points: tuple[int, ...] | None = None
    ) -> "UniformQuantizedType":
        """One scale (rounded to float32) and zero point (0 when None) for every slice along `axis`."""
        return UniformQuantizedType(
            UniformQuantization(
                storage.bitwidth,
                _is_signed(storage),
                tuple(to_float32(s) for s in scales),
                zero_points if zero_points is not None else (0,) * len(scales),
                axis,
            )
        )

    @property
    def storage_type(self) -> IntegerType:
        """`i8`, `i16` ... for signed storage, `ui8` ... for unsigned: as the lower levels spell it."""
        return _storage_type(self.data.storage_width, self.data.signed)

    @property
    def expressed_type(self) -> Float32Type:
        return f32

    @property
    def is_per_axis(self) -> bool:
        return self.data.axis is not None

    @property
    def axis(self) -> int | None:
        return self.data.axis

    @property
    def scales(self) -> tuple[float, ...]:
        return self.data.scales

    @property
    def zero_points(self) -> tuple[int, ...]:
        return self.data.zero_points

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor type; raises ValueError for a per-axis one."""
        if self.data.axis is not None:
            raise ValueError("a per-axis type has no single scale")
        return self.data.scales[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor type; raises ValueError for a per-axis one."""
        if self.data.axis is not None:
            raise ValueError("a per-axis type has no single zero point")
        return self.data.zero_points[0]

    @property
    def storage_limits(self) -> tuple[int, int]:
        """Least and greatest integer that may be stored."""
        if self.data.storage_range is not None:
            return self.data.storage_range
        return _type_limits(self.data.storage_width, self.data.signed)

    def verify(self) -> None:
        q = self.data
        if q.storage_width not in STORAGE_WIDTHS:
            raise VerifyException(f"quantised storage must be 4, 8, 16, 32 or 64 bits wide, not {q.storage_width}")
        if not q.scales or len(q.scales) != len(q.zero_points):
            raise VerifyException("a quantised type needs as many zero points as scales, and at least one")
        if q.axis is None and len(q.scales) != 1:
            raise VerifyException("a per-tensor quantised type has one scale")
        if q.axis is not None and q.axis < 0:
            raise VerifyException("the quantised axis must not be negative")
        if any(not (0.0 < s < math.inf) or to_float32(s) != s for s in q.scales):
            raise VerifyException("quantised scales must be positive, finite float32 values")
        least, greatest = _type_limits(q.storage_width, q.signed)
        if q.storage_range is not None and not least <= q.storage_range[0] < q.storage_range[1] <= greatest:
            raise VerifyException("the storage range must lie within the storage type")
        if any(not least <= z <= greatest for z in q.zero_points):
            raise VerifyException("a zero point must be representable in the storage type")

    def print_parameter(self, printer: Printer) -> None:
        q = self.data
        with printer.in_angle_brackets():
            printer.print_string(f"{'i' if q.signed else 'u'}{q.storage_width}")
            if q.storage_range is not None:
                printer.print_string(f"<{q.storage_range[0]}:{q.storage_range[1]}>")
            printer.print_string(":f32")
            slices = ", ".join(
                float32_text(s) + (f":{z}" if z else "") for s, z in zip(q.scales, q.zero_points, strict=True)
            )
            printer.print_string(f", {slices}" if q.axis is None else f":{q.axis}, {{{slices}}}")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> UniformQuantization:
        with parser.in_angle_brackets():
            storage = parser.parse_identifier()
            if storage[0] not in "iu" or not storage[1:].isdecimal():
                parser.raise_error("expected a storage type such as i8 or u8")
            storage_range = None
            if parser.parse_optional_punctuation("<") is not None:
                least = parser.parse_integer()
                parser.parse_punctuation(":")
                storage_range = (least, parser.parse_integer())
                parser.parse_punctuation(">")
            parser.parse_punctuation(":")
            parser.parse_keyword("f32")
            axis = None
            if parser.parse_optional_punctuation(":") is not None:
                axis = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation(",")
            if axis is None:
                slices = [_parse_slice(parser)]
            else:
                slices = parser.parse_comma_separated_list(parser.Delimiter.BRACES, lambda: _parse_slice(parser))
        return UniformQuantization(
            int(storage[1:]),
            storage[0] == "i",
            tuple(scale for scale, _ in slices),
            tuple(zero_point for _, zero_point in slices),
            axis,
            storage_range,
        )


@cache
def _storage_type(width: int, signed: bool) -> IntegerType:
    return IntegerType(width, Signedness.SIGNLESS if signed else Signedness.UNSIGNED)


def _is_signed(storage: IntegerType) -> bool:
    return storage.signedness.data != Signedness.UNSIGNED


def _type_limits(width: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)


def _parse_slice(parser: AttrParser) -> tuple[float, int]:
    scale = to_float32(parser.parse_float())
    return scale, parser.parse_integer() if parser.parse_optional_punctuation(":") is not None else 0


def quantization(value: SSAValue | Attribute) -> UniformQuantizedType | None:
    """The quantised element type of a tensor value or type; None when it is not quantised."""
    type_ = value.type if isinstance(value, SSAValue) else value
    if isinstance(type_, TensorType) and isinstance(type_.element_type, UniformQuantizedType):
        return type_.element_type
    return None


def storage_tensor(type_: Attribute) -> Attribute:
    """`tensor<2x!quant.uniform<u8...>>` -> `tensor<2xui8>`, the type of the stored integers; others as they are."""
    element = quantization(type_)
    if element is None:
        return type_
    assert isinstance(type_, TensorType)
    return TensorType(element.storage_type, type_.shape, type_.encoding)


def machine_tensor(type_: Attribute) -> Attribute:
    """What the NPU holds of a tensor: stored integers; truth values (`i1`) as bytes of 0 or 1; others as they are."""
    if isinstance(type_, TensorType) and type_.element_type == i1:
        return TensorType(i8, type_.shape, type_.encoding)
    return storage_tensor(type_)


@irdl_op_definition
class StorageCastOp(IRDLOperation):
    """
    `quant.scast %x : tensor<4x!quant.uniform<i8:f32, 0.5>> to tensor<4xi8>`, in either direction; also of truth values,
    `tensor<4xi1>`, which are bytes of 0 or 1.

    The integers stay as they are; only what the type says about them changes.
    """

    name = "quant.scast"

    input = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, result_type: Attribute):
        super().__init__(operands=[input], result_types=[result_type])

    def verify_(self) -> None:
        source, target = self.input.type, self.result.type
        if (source == machine_tensor(source)) == (target == machine_tensor(target)):
            raise VerifyException("quant.scast is between one quantised and one plain tensor")
        if machine_tensor(source) != machine_tensor(target):
            raise VerifyException("quant.scast keeps shape and storage type")


QUANT = Dialect("quant", [StorageCastOp], [UniformQuantizedType])
