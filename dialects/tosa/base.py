"""
What all operations have in common: attributes, facts about types, and their form as text; constants.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeAlias, cast

from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FunctionType,
    IndexType,
    IntAttr,
    IntegerType,
    Signedness,
    TensorType,
    i32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

Tensor: TypeAlias = TensorType[Attribute]

i8 = IntegerType(8)
i16 = IntegerType(16)
i48 = IntegerType(48)


# Attributes and types ---------------------------------------------------------------------------


class RoundingMode(StrEnum):
    SINGLE_ROUND = "SINGLE_ROUND"
    INEXACT_ROUND = "INEXACT_ROUND"
    DOUBLE_ROUND = "DOUBLE_ROUND"


class NanMode(StrEnum):
    PROPAGATE = "PROPAGATE"
    IGNORE = "IGNORE"


class ResizeMode(StrEnum):
    NEAREST_NEIGHBOR = "NEAREST_NEIGHBOR"
    BILINEAR = "BILINEAR"


@irdl_attr_definition
class RoundingModeAttr(EnumAttribute[RoundingMode]):
    """
    How `tosa.rescale` rounds: SINGLE_ROUND to nearest, ties up; DOUBLE_ROUND first to 31 fractional bits, ties up, then
    to nearest, ties away from zero (TFLite's two steps); INEXACT_ROUND either.
    """

    name = "tosa.rounding_mode"

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> RoundingMode:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(RoundingMode)


@irdl_attr_definition
class NanModeAttr(EnumAttribute[NanMode]):
    """What a comparison does with NaN; without effect on integers."""

    name = "tosa.nan_mode"

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> NanMode:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(NanMode)


@irdl_attr_definition
class ResizeModeAttr(EnumAttribute[ResizeMode]):
    """The interpolation of `tosa.resize`."""

    name = "tosa.resize_mode"

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> ResizeMode:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(ResizeMode)


# Written as bare words in the custom form.
_WORDS: dict[str, dict[str, Attribute]] = {
    "rounding_mode": {mode: RoundingModeAttr(mode) for mode in RoundingMode},
    "nan_mode": {mode: NanModeAttr(mode) for mode in NanMode},
    "mode": {mode: ResizeModeAttr(mode) for mode in ResizeMode},
}


@irdl_attr_definition
class ShapeType(ParametrizedAttribute, TypeAttribute):
    """`!tosa.shape<N>`: N whole numbers known when compiling (a shape, a list of pads, a start)."""

    name = "tosa.shape"
    rank: IntAttr

    def __init__(self, rank: int):
        super().__init__(IntAttr(rank))

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_int(self.rank.data)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return (IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False)),)


# Facts about types ------------------------------------------------------------------------------


def is_unsigned(element_type: Attribute) -> bool:
    """Whether `element_type` is an unsigned integer type (`ui8`, `ui16`)."""
    return isinstance(element_type, IntegerType) and element_type.signedness.data == Signedness.UNSIGNED


def width_of(element_type: Attribute) -> int:
    """Bits of an integer element type; 0 for any other."""
    return element_type.width.data if isinstance(element_type, IntegerType) else 0


def value_range(element_type: IntegerType) -> tuple[int, int]:
    """Least and greatest value: signless types are signed."""
    width = element_type.width.data
    if is_unsigned(element_type):
        return 0, (1 << width) - 1
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def accumulator_type(element_type: Attribute) -> Attribute:
    """TOSA's accumulator for an input: `i32` for 4 and 8 bit, `i48` for 16 bit, the type itself for floats."""
    return {4: i32, 8: i32, 16: i48}.get(width_of(element_type), element_type)


def agree(found: int, wanted: int) -> bool:
    """Dimensions agree; -1 is `?`."""
    return found == wanted or found == -1 or wanted == -1


def tensor_type(value: SSAValue) -> Tensor:
    """The type of a tensor operand or result."""
    assert isinstance(value.type, TensorType)  # by the operand's or result's constraint
    return value.type


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a tensor, -1 where a dimension is dynamic."""
    return tensor_type(value).get_shape()


def element_of(value: SSAValue) -> Attribute:
    return tensor_type(value).element_type


def constant_attribute(value: SSAValue) -> DenseIntOrFPElementsAttr[Any] | None:
    """The constant that `value` is, or None when no `tosa.const` or `tosa.const_shape` makes it."""
    owner = value.owner
    return owner.values if isinstance(owner, ConstOp | ConstShapeOp) else None


def _whole_numbers(constant: DenseIntOrFPElementsAttr[Any]) -> Iterator[int]:
    return cast("Iterator[int]", constant.iter_values())


def shape_values(value: SSAValue) -> tuple[int, ...] | None:
    """The numbers of a shape operand, or None when it is not a constant."""
    constant = constant_attribute(value)
    return None if constant is None else tuple(_whole_numbers(constant))


def scalar_value(value: SSAValue) -> int | None:
    """The number of a constant with one element (a zero point, a shift), or None when it is not one."""
    constant = constant_attribute(value)
    if constant is None or len(constant) != 1 or not isinstance(constant.get_element_type(), IntegerType | IndexType):
        return None
    return next(_whole_numbers(constant))


# The common form of an operation ----------------------------------------------------------------


class TosaOp(IRDLOperation, ABC):
    """
    Base of all operations: `tosa.name %a, %b {attributes} : (types) -> type`.

    The attribute dictionary lists properties by name, enumerations as bare words, and leaves out `nan_mode` when it
    says the default.
    """

    traits = traits_def(Pure())

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_ssa_value)
        entries = sorted((self.properties | self.attributes).items())
        entries = [(k, v) for k, v in entries if not (isinstance(v, NanModeAttr) and v.data == NanMode.PROPAGATE)]
        if entries:
            printer.print_string(" ")
            with printer.in_braces():
                printer.print_list(entries, lambda entry: _print_entry(printer, *entry))
        printer.print_string(" : ")
        printer.print_attribute(FunctionType.from_lists(self.operand_types, self.result_types))

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        position = parser.pos
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        attributes: dict[str, Attribute] = {}

        def entry() -> None:
            key = parser.parse_identifier()
            attributes[key] = _parse_entry(parser, key)

        parser.parse_optional_comma_separated_list(parser.Delimiter.BRACES, entry)
        parser.parse_punctuation(":")
        type_ = parser.parse_function_type()
        names = cls.get_irdl_definition().properties
        if "nan_mode" in names:
            attributes.setdefault("nan_mode", NanModeAttr(NanMode.PROPAGATE))
        return cls.create(
            operands=parser.resolve_operands(operands or (), type_.inputs.data, position),
            result_types=type_.outputs.data,
            properties={k: v for k, v in attributes.items() if k in names},
            attributes={k: v for k, v in attributes.items() if k not in names},
        )

    def _fail(self, message: str) -> VerifyException:
        return VerifyException(f"{self.name}: {message}")

    def _check(self, holds: bool, message: str) -> None:
        if not holds:
            raise self._fail(message)

    def _check_rank(self, value: SSAValue, rank: int, what: str) -> None:
        self._check(len(shape_of(value)) == rank, f"{what} must have rank {rank}, not {len(shape_of(value))}")

    def _check_shape(self, found: Sequence[int], wanted: Sequence[int], what: str) -> None:
        if len(found) != len(wanted) or not all(map(agree, found, wanted)):
            raise self._fail(f"{what} is {as_text(found)} but must be {as_text(wanted)}")

    def _check_element(self, value: SSAValue, wanted: Attribute, what: str) -> None:
        found = element_of(value)
        self._check(found == wanted, f"{what} holds {found} but must hold {wanted}")

    def _check_zero_point(self, zero_point: SSAValue, of: SSAValue, what: str) -> None:
        """
        One element of `of`'s type; other than 0 only where TOSA has zero points: at 8 bit, and unsigned 16. A signless
        one for an unsigned type has the same bits (Arm's converter writes so).
        """
        self._check_shape(shape_of(zero_point), (1,), what)
        element_type = element_of(of)
        if not (is_unsigned(element_type) and element_of(zero_point) == IntegerType(width_of(element_type))):
            self._check_element(zero_point, element_type, what)
        if width_of(element_type) not in (8, 16) or (width_of(element_type) == 16 and not is_unsigned(element_type)):
            if isinstance(element_type, IntegerType):
                self._check(scalar_value(zero_point) in (0, None), f"{what} must be 0 for {element_type}")


def as_text(shape: Sequence[int]) -> str:
    return "x".join("?" if d == -1 else str(d) for d in shape) or "a scalar"


def _print_entry(printer: Printer, key: str, value: Attribute) -> None:
    printer.print_identifier_or_string_literal(key)
    printer.print_string(" = ")
    if isinstance(value, RoundingModeAttr | NanModeAttr | ResizeModeAttr):
        printer.print_string(value.data)
    else:
        printer.print_attribute(value)


def _parse_entry(parser: Parser, key: str) -> Attribute:
    parser.parse_punctuation("=")
    words = _WORDS.get(key)
    if words is not None and (word := parser.parse_optional_identifier()) is not None:
        if word not in words:
            parser.raise_error(f"{key} must be one of {', '.join(words)}")
        return words[word]
    return parser.parse_attribute()


def numbers(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """`array<i64: ...>`, as `pad`, `stride`, `dilation` and `kernel` are written."""
    return DenseArrayBase.from_list(i64, list(values))


def integers(attribute: Attribute) -> tuple[int, ...]:
    """The numbers of an `array<i64: ...>`."""
    assert isinstance(attribute, DenseArrayBase)
    return tuple(int(value) for value in cast("DenseArrayBase[IntegerType]", attribute).get_values())


# Constants --------------------------------------------------------------------------------------


@irdl_op_definition
class ConstOp(IRDLOperation):
    """A constant tensor; printed in generic form, as upstream prints it."""

    name = "tosa.const"
    values = prop_def(BaseAttr[DenseIntOrFPElementsAttr[Any]](DenseIntOrFPElementsAttr))
    output = result_def(TensorType)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, values: DenseIntOrFPElementsAttr[Any]):
        super().__init__(properties={"values": values}, result_types=[values.get_type()])

    def verify_(self) -> None:
        if self.values.get_type() != self.output.type:
            raise VerifyException(f"tosa.const: values of {self.values.get_type()} cannot be {self.output.type}")


@irdl_op_definition
class ConstShapeOp(TosaOp):
    """A constant shape: `tosa.const_shape {values = dense<[1, 8]> : tensor<2xindex>} : () -> !tosa.shape<2>`."""

    name = "tosa.const_shape"
    values = prop_def(BaseAttr[DenseIntOrFPElementsAttr[Any]](DenseIntOrFPElementsAttr))
    output = result_def(ShapeType)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, values: Sequence[int]):
        data = DenseIntOrFPElementsAttr.from_list(TensorType(IndexType(), [len(values)]), list(values))
        super().__init__(properties={"values": data}, result_types=[ShapeType(len(values))])

    def verify_(self) -> None:
        assert isinstance(self.output.type, ShapeType)
        self._check(isinstance(self.values.get_element_type(), IndexType), "values must be of type index")
        self._check_shape(self.values.get_shape(), (self.output.type.rank.data,), "values")
