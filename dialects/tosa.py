"""
TOSA 1.0: integer tensor arithmetic with every zero point, scale and rounding written out.

Names, operands, attributes and assembly are those of LLVM 24 (`tosa-opt` reads what is printed here and its text is
read here): zero points, multipliers, shifts, pads and shapes are operands made by `tosa.const` and
`tosa.const_shape`, and `tosa.rescale` names its rounding. Every operation is pure. docs/dialects/tosa.md gives the
reasons and the extensions of the accepted types:

* `ui8` wherever TOSA has `i8`, so that unsigned networks stay unsigned;
* `tosa.minimum` and `tosa.maximum` of 8 and 16 bits;
* `tosa.rescale` from `i48` with a 32-bit multiplier, as TFLite has it for FULLY_CONNECTED and 32-bit biases;
* a dynamic dimension (`?`) agrees with any other.

Verifiers check shapes as far as they are static and shape operands as far as they are constant.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self, TypeAlias, cast

from xdsl.dialects.builtin import (
    AnyFloat,
    BoolAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    FunctionType,
    IndexType,
    IntAttr,
    IntegerAttr,
    IntegerType,
    Signedness,
    TensorType,
    i1,
    i32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue, TypeAttribute, TypedAttribute
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import Commutative, ConstantLike, Pure
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


def _agree(found: int, wanted: int) -> bool:
    """Dimensions agree; -1 is `?`."""
    return found == wanted or found == -1 or wanted == -1


def tensor_type(value: SSAValue) -> Tensor:
    """The type of a tensor operand or result."""
    assert isinstance(value.type, TensorType)  # by the operand's or result's constraint
    return value.type


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a tensor, -1 where a dimension is dynamic."""
    return tensor_type(value).get_shape()


def _element(value: SSAValue) -> Attribute:
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
        if len(found) != len(wanted) or not all(map(_agree, found, wanted)):
            raise self._fail(f"{what} is {_text(found)} but must be {_text(wanted)}")

    def _check_element(self, value: SSAValue, wanted: Attribute, what: str) -> None:
        found = _element(value)
        self._check(found == wanted, f"{what} holds {found} but must hold {wanted}")

    def _check_zero_point(self, zero_point: SSAValue, of: SSAValue, what: str) -> None:
        """
        One element of `of`'s type; other than 0 only where TOSA has zero points: at 8 bit, and unsigned 16. A signless
        one for an unsigned type has the same bits (Arm's converter writes so).
        """
        self._check_shape(shape_of(zero_point), (1,), what)
        element_type = _element(of)
        if not (is_unsigned(element_type) and _element(zero_point) == IntegerType(width_of(element_type))):
            self._check_element(zero_point, element_type, what)
        if width_of(element_type) not in (8, 16) or (width_of(element_type) == 16 and not is_unsigned(element_type)):
            if isinstance(element_type, IntegerType):
                self._check(scalar_value(zero_point) in (0, None), f"{what} must be 0 for {element_type}")


def _text(shape: Sequence[int]) -> str:
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


# Elementwise ------------------------------------------------------------------------------------


class ElementwiseOp(TosaOp, ABC):
    """Operands of one rank, each dimension equal to the result's or 1."""

    def _check_broadcast(self, inputs: Sequence[SSAValue]) -> None:
        out = shape_of(self.results[0])
        for value in inputs:
            found = shape_of(value)
            fits = len(found) == len(out) and all(_agree(f, o) or f == 1 for f, o in zip(found, out, strict=True))
            self._check(fits, f"an operand of shape {_text(found)} does not broadcast to {_text(out)}")
        for axis, size in enumerate(out):
            largest = [shape_of(value)[axis] for value in inputs]
            self._check(size in (-1, 1) or any(_agree(d, size) for d in largest), f"no operand has {size} at {axis}")


class BinaryOp(ElementwiseOp, ABC):
    """Two operands and a result of one element type, with broadcasting."""

    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, input1: SSAValue, input2: SSAValue, result_type: Tensor):
        super().__init__(operands=[input1, input2], result_types=[result_type])
        if "nan_mode" in self.get_irdl_definition().properties:
            self.properties["nan_mode"] = NanModeAttr(NanMode.PROPAGATE)

    def verify_(self) -> None:
        self._check_broadcast((self.input1, self.input2))
        self._check_element(self.input2, _element(self.input1), "input2")
        self._check_result_element()

    def _check_result_element(self) -> None:
        self._check_element(self.output, _element(self.input1), "the result")


class ComparisonOp(BinaryOp, ABC):
    """A binary operation that answers in `i1`."""

    def _check_result_element(self) -> None:
        self._check_element(self.output, i1, "the result")


class LogicalOp(BinaryOp, ABC):
    """A binary operation on `i1`."""

    def _check_result_element(self) -> None:
        self._check_element(self.input1, i1, "input1")
        self._check_element(self.output, i1, "the result")


class IntegerBinaryOp(BinaryOp, ABC):
    """A binary operation on integers."""

    def _check_result_element(self) -> None:
        self._check(isinstance(_element(self.input1), IntegerType), "operands must be integers")
        super()._check_result_element()


@irdl_op_definition
class AddOp(BinaryOp):
    """a + b."""

    name = "tosa.add"
    traits = traits_def(Commutative())


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b."""

    name = "tosa.sub"


@irdl_op_definition
class MulOp(ElementwiseOp):
    """a * b; of `i32` operands (a * b + (1 << shift - 1)) >> shift. 8- and 16-bit operands give `i32` and no shift."""

    name = "tosa.mul"
    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    shift = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Commutative())

    def __init__(self, input1: SSAValue, input2: SSAValue, shift: SSAValue, result_type: Tensor):
        super().__init__(operands=[input1, input2, shift], result_types=[result_type])

    def verify_(self) -> None:
        self._check_broadcast((self.input1, self.input2))
        self._check_element(self.input2, _element(self.input1), "input2")
        self._check_shape(shape_of(self.shift), (1,), "shift")
        self._check_element(self.shift, IntegerType(8), "shift")
        element_type = _element(self.input1)
        if isinstance(element_type, IntegerType):
            self._check_element(self.output, i32, "the result")
            if (shift := scalar_value(self.shift)) is not None:
                self._check(0 <= shift <= 63, f"shift is {shift} but must be 0 to 63")
                self._check(shift == 0 or element_type == i32, "only i32 operands are shifted")
        else:
            self._check_element(self.output, element_type, "the result")


@irdl_op_definition
class MinimumOp(BinaryOp):
    """The lesser of a and b."""

    name = "tosa.minimum"
    nan_mode = opt_prop_def(NanModeAttr)
    traits = traits_def(Commutative())


@irdl_op_definition
class MaximumOp(BinaryOp):
    """The greater of a and b."""

    name = "tosa.maximum"
    nan_mode = opt_prop_def(NanModeAttr)
    traits = traits_def(Commutative())


@irdl_op_definition
class PowOp(BinaryOp):
    """a to the power b, for floats."""

    name = "tosa.pow"

    def _check_result_element(self) -> None:
        self._check(isinstance(_element(self.input1), AnyFloat), "operands must be floats")
        super()._check_result_element()


@irdl_op_definition
class IntdivOp(IntegerBinaryOp):
    """a / b, towards zero."""

    name = "tosa.intdiv"


@irdl_op_definition
class LogicalLeftShiftOp(IntegerBinaryOp):
    """a << b, the bits beyond the width lost."""

    name = "tosa.logical_left_shift"


@irdl_op_definition
class LogicalRightShiftOp(IntegerBinaryOp):
    """a >> b, zeros shifted in."""

    name = "tosa.logical_right_shift"


@irdl_op_definition
class ArithmeticRightShiftOp(IntegerBinaryOp):
    """a >> b, the sign shifted in; `round` adds the last bit shifted out."""

    name = "tosa.arithmetic_right_shift"
    round = prop_def(BoolAttr)


@irdl_op_definition
class BitwiseAndOp(IntegerBinaryOp):
    """a & b."""

    name = "tosa.bitwise_and"
    traits = traits_def(Commutative())


@irdl_op_definition
class BitwiseOrOp(IntegerBinaryOp):
    """a | b."""

    name = "tosa.bitwise_or"
    traits = traits_def(Commutative())


@irdl_op_definition
class BitwiseXorOp(IntegerBinaryOp):
    """a ^ b."""

    name = "tosa.bitwise_xor"
    traits = traits_def(Commutative())


@irdl_op_definition
class LogicalAndOp(LogicalOp):
    """a and b."""

    name = "tosa.logical_and"
    traits = traits_def(Commutative())


@irdl_op_definition
class LogicalOrOp(LogicalOp):
    """a or b."""

    name = "tosa.logical_or"
    traits = traits_def(Commutative())


@irdl_op_definition
class LogicalXorOp(LogicalOp):
    """a or b, not both."""

    name = "tosa.logical_xor"
    traits = traits_def(Commutative())


@irdl_op_definition
class EqualOp(ComparisonOp):
    """a == b."""

    name = "tosa.equal"
    traits = traits_def(Commutative())


@irdl_op_definition
class GreaterOp(ComparisonOp):
    """a > b."""

    name = "tosa.greater"


@irdl_op_definition
class GreaterEqualOp(ComparisonOp):
    """a >= b."""

    name = "tosa.greater_equal"


class UnaryOp(TosaOp, ABC):
    """One operand and a result of one type; a class says which element types it takes."""

    ELEMENTS: ClassVar[str] = "any"

    input1 = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, input1: SSAValue, result_type: Attribute | None = None):
        super().__init__(operands=[input1], result_types=[result_type or input1.type])

    def verify_(self) -> None:
        self._check_shape(shape_of(self.output), shape_of(self.input1), "the result")
        self._check_element(self.output, _element(self.input1), "the result")
        element_type = _element(self.input1)
        takes = {
            "any": True,
            "integer": isinstance(element_type, IntegerType),
            "float": isinstance(element_type, AnyFloat),
            "i32": element_type == i32,
            "i1": element_type == i1,
        }[self.ELEMENTS]
        self._check(takes, f"the operand holds {element_type} but must hold {self.ELEMENTS}")


@irdl_op_definition
class AbsOp(UnaryOp):
    """The absolute value."""

    name = "tosa.abs"


@irdl_op_definition
class IdentityOp(UnaryOp):
    """The operand itself."""

    name = "tosa.identity"


@irdl_op_definition
class ClzOp(UnaryOp):
    """Leading zero bits of an `i32`; 32 for 0."""

    name = "tosa.clz"
    ELEMENTS: ClassVar[str] = "i32"


@irdl_op_definition
class BitwiseNotOp(UnaryOp):
    """~a."""

    name = "tosa.bitwise_not"
    ELEMENTS: ClassVar[str] = "integer"


@irdl_op_definition
class LogicalNotOp(UnaryOp):
    """not a."""

    name = "tosa.logical_not"
    ELEMENTS: ClassVar[str] = "i1"


@irdl_op_definition
class CeilOp(UnaryOp):
    """Rounded up."""

    name = "tosa.ceil"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class FloorOp(UnaryOp):
    """Rounded down."""

    name = "tosa.floor"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class ExpOp(UnaryOp):
    """e to the power a."""

    name = "tosa.exp"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class LogOp(UnaryOp):
    """The natural logarithm."""

    name = "tosa.log"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class ReciprocalOp(UnaryOp):
    """1 / a."""

    name = "tosa.reciprocal"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / square root of a."""

    name = "tosa.rsqrt"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e to the power -a)."""

    name = "tosa.sigmoid"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class TanhOp(UnaryOp):
    """The hyperbolic tangent."""

    name = "tosa.tanh"
    ELEMENTS: ClassVar[str] = "float"


@irdl_op_definition
class NegateOp(TosaOp):
    """output_zp - (a - input1_zp), saturated."""

    name = "tosa.negate"
    input1 = operand_def(TensorType)
    input1_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        self._check_shape(shape_of(self.output), shape_of(self.input1), "the result")
        self._check_element(self.output, _element(self.input1), "the result")
        self._check_zero_point(self.input1_zp, self.input1, "input1_zp")
        self._check_zero_point(self.output_zp, self.output, "output_zp")


@irdl_op_definition
class ClampOp(TosaOp):
    """The operand limited to `min_val` .. `max_val`."""

    name = "tosa.clamp"
    min_val = prop_def(TypedAttribute)
    max_val = prop_def(TypedAttribute)
    nan_mode = opt_prop_def(NanModeAttr)
    input = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, min_val: int, max_val: int):
        element_type = _element(value)
        assert isinstance(element_type, IntegerType)
        super().__init__(
            operands=[value],
            properties={
                "min_val": IntegerAttr(min_val, element_type),
                "max_val": IntegerAttr(max_val, element_type),
                "nan_mode": NanModeAttr(NanMode.PROPAGATE),
            },
            result_types=[value.type],
        )

    def verify_(self) -> None:
        self._check_shape(shape_of(self.output), shape_of(self.input), "the result")
        element_type = _element(self.input)
        self._check_element(self.output, element_type, "the result")
        low, high = self.min_val, self.max_val
        if not (
            (isinstance(low, IntegerAttr) and isinstance(high, IntegerAttr))
            or (isinstance(low, FloatAttr) and isinstance(high, FloatAttr))
        ):
            raise self._fail("min_val and max_val must be numbers")
        self._check(low.type == high.type == element_type, f"min_val and max_val must be {element_type}")
        self._check(low.value.data <= high.value.data, "min_val is greater than max_val")


@irdl_op_definition
class SelectOp(ElementwiseOp):
    """Where the first operand is true the second, elsewhere the third."""

    name = "tosa.select"
    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    input3 = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, condition: SSAValue, then: SSAValue, otherwise: SSAValue, result_type: Tensor):
        super().__init__(operands=[condition, then, otherwise], result_types=[result_type])

    def verify_(self) -> None:
        self._check_broadcast((self.input1, self.input2, self.input3))
        self._check_element(self.input1, i1, "input1")
        self._check_element(self.input2, _element(self.output), "input2")
        self._check_element(self.input3, _element(self.output), "input3")


@irdl_op_definition
class TableOp(TosaOp):
    """
    Lookup: 8-bit values in 256 entries of any 8-bit type (the least value first); `i16` values in 513 entries, linearly
    interpolated to an `i32` of 7 more bits.
    """

    name = "tosa.table"
    input1 = operand_def(TensorType)
    table = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, table: SSAValue, result_type: Tensor):
        super().__init__(operands=[value, table], result_types=[result_type])

    def verify_(self) -> None:
        self._check_shape(shape_of(self.output), shape_of(self.input1), "the result")
        element_type = _element(self.input1)
        if width_of(element_type) == 8:
            self._check_shape(shape_of(self.table), (256,), "the table")
            self._check(width_of(_element(self.table)) == 8, "the table of 8-bit values must hold 8-bit values")
            self._check_element(self.output, _element(self.table), "the result")
        else:
            self._check(element_type == IntegerType(16), f"no table for {element_type}")
            self._check_shape(shape_of(self.table), (513,), "the table")
            self._check_element(self.table, IntegerType(16), "the table")
            self._check_element(self.output, i32, "the result")


@irdl_op_definition
class CastOp(TosaOp):
    """The same values in another type: integers narrowed by dropping high bits, floats rounded to nearest even."""

    name = "tosa.cast"
    input = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, value: SSAValue, element_type: Attribute):
        super().__init__(operands=[value], result_types=[TensorType(element_type, list(shape_of(value)))])

    def verify_(self) -> None:
        self._check_shape(shape_of(self.output), shape_of(self.input), "the result")


@irdl_op_definition
class RescaleOp(TosaOp):
    """
    Change of scale and zero point: ((a - input_zp) * multiplier >> shift, rounded) + output_zp, saturated.

    `multiplier` and `shift` have one element, or one for each of the last dimension when `per_channel`. Multipliers are
    `i32` (`scale32`) or `i16`; the shift counts from the product's last bit, 2 to 62. A signless 8- or 16-bit type is
    read as unsigned when `input_unsigned` or `output_unsigned` says so; `ui8` must say so.
    """

    name = "tosa.rescale"
    scale32 = prop_def(BoolAttr)
    rounding_mode = prop_def(RoundingModeAttr)
    per_channel = prop_def(BoolAttr)
    input_unsigned = prop_def(BoolAttr)
    output_unsigned = prop_def(BoolAttr)
    input = operand_def(TensorType)
    multiplier = operand_def(TensorType)
    shift = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        multiplier: SSAValue,
        shift: SSAValue,
        input_zp: SSAValue,
        output_zp: SSAValue,
        result_type: Tensor,
        *,
        rounding_mode: RoundingMode,
        per_channel: bool = False,
        scale32: bool = True,
    ):
        """`input_unsigned` and `output_unsigned` follow from the types."""
        super().__init__(
            operands=[value, multiplier, shift, input_zp, output_zp],
            properties={
                "input_unsigned": BoolAttr.from_bool(is_unsigned(_element(value))),
                "output_unsigned": BoolAttr.from_bool(is_unsigned(result_type.element_type)),
                "per_channel": BoolAttr.from_bool(per_channel),
                "rounding_mode": RoundingModeAttr(rounding_mode),
                "scale32": BoolAttr.from_bool(scale32),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        shape = shape_of(self.input)
        self._check_shape(shape_of(self.output), shape, "the result")
        for value, unsigned, what in (
            (self.input, self.input_unsigned, "input"),
            (self.output, self.output_unsigned, "output"),
        ):
            element_type = _element(value)
            self._check(width_of(element_type) in (8, 16, 32, 48), f"cannot rescale {element_type}")
            if is_unsigned(element_type):
                self._check(bool(unsigned), f"{what}_unsigned must be true for {element_type}")
            self._check(not unsigned or width_of(element_type) <= 16, f"{what}_unsigned is for 8 and 16 bit only")
        channels = shape[-1] if shape else 1
        count = (channels,) if self.per_channel else (1,)
        self._check_shape(shape_of(self.multiplier), count, "multiplier")
        self._check_shape(shape_of(self.shift), count, "shift")
        self._check_element(self.multiplier, i32 if self.scale32 else IntegerType(16), "multiplier")
        self._check_element(self.shift, IntegerType(8), "shift")
        self._check(
            bool(self.scale32) or self.rounding_mode.data != RoundingMode.DOUBLE_ROUND, "DOUBLE_ROUND needs scale32"
        )
        for zero_point, value, unsigned, what in (
            (self.input_zp, self.input, self.input_unsigned, "input_zp"),
            (self.output_zp, self.output, self.output_unsigned, "output_zp"),
        ):
            if unsigned and width_of(_element(value)) == 16:
                self._check_shape(shape_of(zero_point), (1,), what)
                self._check_element(zero_point, _element(value), what)
            else:
                self._check_zero_point(zero_point, value, what)


# Convolution, pooling, products -----------------------------------------------------------------


class WindowOp(TosaOp, ABC):
    """An operation with a sliding window over its first operand, in NHWC."""

    pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)

    def _window(self, name: str, count: int) -> tuple[int, ...]:
        values = integers(self.properties[name])
        self._check(len(values) == count, f"{name} must have {count} numbers")
        return values

    def _check_window(self, kernel: tuple[int, int], dilation: tuple[int, int], channels: int) -> None:
        """The result's size: (size - 1 + pads - (kernel - 1) * dilation) / stride + 1, without remainder."""
        top, bottom, left, right = pad = self._window("pad", 4)
        stride = self._window("stride", 2)
        self._check(min(pad) >= 0, "pad must not be negative")
        self._check(min(stride) >= 1, "stride must be at least 1")
        self._check(min(dilation) >= 1, "dilation must be at least 1")
        shape = shape_of(self.operands[0])
        sizes: list[int] = []
        for size, pads, k, s, d in zip(shape[1:3], (top + bottom, left + right), kernel, stride, dilation, strict=True):
            if size == -1 or k == -1:
                sizes.append(-1)
                continue
            steps = size - 1 + pads - (k - 1) * d
            self._check(steps >= 0, f"the window of {(k - 1) * d + 1} does not fit in {size} + {pads}")
            self._check(steps % s == 0, f"the window does not end at the edge: {steps} is not a multiple of stride {s}")
            sizes.append(steps // s + 1)
        self._check_shape(shape_of(self.results[0]), (shape[0], *sizes, channels), "the result")


class ConvolutionOp(WindowOp, ABC):
    """
    Sum over the window of (input - input_zp) * (weight - weight_zp), plus bias, in `acc_type`; the pad counts as
    `input_zp`.
    """

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    weight_zp = operand_def(TensorType)
    acc_type = prop_def(TypeAttribute)
    dilation = prop_def(DenseArrayBase)
    local_bound = opt_prop_def(BoolAttr)
    output = result_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        input_zp: SSAValue,
        weight_zp: SSAValue,
        result_type: Tensor,
        *,
        pad: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
    ):
        """`pad` is top, bottom, left, right; `stride` and `dilation` are y, x."""
        super().__init__(
            operands=[value, weight, bias, input_zp, weight_zp],
            properties={
                "acc_type": accumulator_type(_element(value)),
                "dilation": numbers(dilation),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def _check_convolution(self, channels: int) -> None:
        self._check_accumulator(channels)
        dilation = self._window("dilation", 2)
        kernel = self.kernel_size
        self._check_window(kernel, (dilation[0], dilation[1]), channels)

    def _check_accumulator(self, channels: int) -> None:
        wanted = accumulator_type(_element(self.input))
        if isinstance(wanted, IntegerType):
            self._check(self.acc_type == wanted, f"acc_type must be {wanted} for {_element(self.input)}")
            self._check_element(self.output, wanted, "the result")
        bias = shape_of(self.bias)
        self._check(len(bias) == 1 and (_agree(bias[0], channels) or bias[0] == 1), f"bias must have {channels} values")
        self._check_element(self.bias, _element(self.output), "bias")
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.weight_zp, self.weight, "weight_zp")

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the window."""
        shape = shape_of(self.weight)
        return shape[1], shape[2]


@irdl_op_definition
class Conv2DOp(ConvolutionOp):
    """Convolution of NHWC with weights [OC, KH, KW, IC]."""

    name = "tosa.conv2d"

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        channels = shape_of(self.weight)
        self._check_shape(shape_of(self.input)[3:], channels[3:], "the depth of input")
        self._check_convolution(channels[0])


@irdl_op_definition
class DepthwiseConv2DOp(ConvolutionOp):
    """Convolution of each channel by itself with weights [KH, KW, C, M]; result channel c * M + m."""

    name = "tosa.depthwise_conv2d"

    @property
    def kernel_size(self) -> tuple[int, int]:
        shape = shape_of(self.weight)
        return shape[0], shape[1]

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        channels, multiplier = shape_of(self.weight)[2:]
        self._check_shape(shape_of(self.input)[3:], (channels,), "the depth of input")
        self._check_convolution(-1 if -1 in (channels, multiplier) else channels * multiplier)


@irdl_op_definition
class TransposeConv2DOp(TosaOp):
    """
    Each input element adds its product with the weights [OC, KH, KW, IC] to a window of the result, which is grown by
    `out_pad` (top, bottom, left, right; negative numbers crop it).
    """

    name = "tosa.transpose_conv2d"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    weight_zp = operand_def(TensorType)
    acc_type = prop_def(TypeAttribute)
    out_pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    local_bound = opt_prop_def(BoolAttr)
    output = result_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        input_zp: SSAValue,
        weight_zp: SSAValue,
        result_type: Tensor,
        *,
        out_pad: Sequence[int],
        stride: Sequence[int],
    ):
        super().__init__(
            operands=[value, weight, bias, input_zp, weight_zp],
            properties={
                "acc_type": accumulator_type(_element(value)),
                "out_pad": numbers(out_pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_rank(self.input, 4, "input")
        self._check_rank(self.weight, 4, "weight")
        batch, height, width, depth = shape_of(self.input)
        channels, kernel_h, kernel_w, weight_depth = shape_of(self.weight)
        self._check(_agree(depth, weight_depth), f"the depth of input is {depth} but must be {weight_depth}")
        pad = integers(self.out_pad)
        stride = integers(self.stride)
        self._check(len(pad) == 4, "out_pad must have 4 numbers")
        self._check(len(stride) == 2 and min(stride) >= 1, "stride must be 2 numbers of at least 1")
        self._check(
            min(pad[:2]) > -kernel_h and min(pad[2:]) > -kernel_w, "out_pad must crop less than the whole kernel"
        )
        sizes = [
            -1 if -1 in (size, k) else (size - 1) * s + before + after + k
            for size, k, s, before, after in (
                (height, kernel_h, stride[0], pad[0], pad[1]),
                (width, kernel_w, stride[1], pad[2], pad[3]),
            )
        ]
        self._check_shape(shape_of(self.output), (batch, *sizes, channels), "the result")
        wanted = accumulator_type(_element(self.input))
        if isinstance(wanted, IntegerType):
            self._check(self.acc_type == wanted, f"acc_type must be {wanted} for {_element(self.input)}")
            self._check_element(self.output, wanted, "the result")
        self._check_element(self.bias, _element(self.output), "bias")
        bias = shape_of(self.bias)
        self._check(len(bias) == 1 and (_agree(bias[0], channels) or bias[0] == 1), f"bias must have {channels} values")
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.weight_zp, self.weight, "weight_zp")


class PoolOp(WindowOp, ABC):
    """A window of `kernel` (y, x) over each channel by itself."""

    kernel = prop_def(DenseArrayBase)
    output = result_def(TensorType)

    def _check_pool(self) -> None:
        value = self.operands[0]
        self._check_rank(value, 4, "input")
        kernel = self._window("kernel", 2)
        self._check(min(kernel) >= 1, "kernel must be at least 1")
        top, bottom, left, right = self._window("pad", 4)
        self._check(max(top, bottom) < kernel[0] and max(left, right) < kernel[1], "pad must be less than the kernel")
        self._check_window((kernel[0], kernel[1]), (1, 1), shape_of(value)[3])
        self._check_element(self.output, _element(value), "the result")


@irdl_op_definition
class MaxPool2DOp(PoolOp):
    """The greatest value of each window; the pad takes no part."""

    name = "tosa.max_pool2d"
    input = operand_def(TensorType)
    nan_mode = opt_prop_def(NanModeAttr)

    def __init__(
        self, value: SSAValue, result_type: Tensor, *, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
    ):
        super().__init__(
            operands=[value],
            properties={
                "kernel": numbers(kernel),
                "nan_mode": NanModeAttr(NanMode.PROPAGATE),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_pool()


@irdl_op_definition
class AvgPool2DOp(PoolOp):
    """
    The mean of each window's valid elements (the pad is not counted), of values less `input_zp`, to nearest with ties
    away from zero, plus `output_zp`.
    """

    name = "tosa.avg_pool2d"
    acc_type = prop_def(TypeAttribute)
    input = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)

    def __init__(
        self,
        value: SSAValue,
        input_zp: SSAValue,
        output_zp: SSAValue,
        result_type: Tensor,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
    ):
        super().__init__(
            operands=[value, input_zp, output_zp],
            properties={
                "acc_type": i32,
                "kernel": numbers(kernel),
                "pad": numbers(pad),
                "stride": numbers(stride),
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        self._check_pool()
        self._check_zero_point(self.input_zp, self.input, "input_zp")
        self._check_zero_point(self.output_zp, self.output, "output_zp")
        if isinstance(_element(self.input), IntegerType):
            self._check(self.acc_type == i32, "acc_type must be i32")


@irdl_op_definition
class MatMulOp(TosaOp):
    """Product of [N, H, C] and [N, C, W], each less its zero point, in the accumulator's type."""

    name = "tosa.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    a_zp = operand_def(TensorType)
    b_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def verify_(self) -> None:
        for value, what in ((self.a, "a"), (self.b, "b"), (self.output, "the result")):
            self._check_rank(value, 3, what)
        a, b = shape_of(self.a), shape_of(self.b)
        self._check(_agree(a[0], b[0]) and _agree(a[2], b[1]), f"cannot multiply {_text(a)} by {_text(b)}")
        self._check_shape(shape_of(self.output), (a[0], a[1], b[2]), "the result")
        self._check_element(self.b, _element(self.a), "b")
        wanted = accumulator_type(_element(self.a))
        if isinstance(wanted, IntegerType):
            self._check_element(self.output, wanted, "the result")
        self._check_zero_point(self.a_zp, self.a, "a_zp")
        self._check_zero_point(self.b_zp, self.b, "b_zp")


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
            result_types=[TensorType(_element(value), shape)],
        )

    def verify_(self) -> None:
        shape = list(shape_of(self.input))
        shape[self._axis(len(shape))] = 1
        self._check_shape(shape_of(self.output), shape, "the result")
        self._check_element(self.output, _element(self.input), "the result")


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
        self._check(_element(self.output) in (i32, i64), "the result must hold i32 or i64")


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
            self._check_element(value, _element(self.output), "an operand")
        sizes = [shape_of(value)[axis] for value in self.input1]
        if -1 not in sizes:
            self._check(_agree(out[axis], sum(sizes)), f"the result has {out[axis]} but must have {sum(sizes)}")


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
        self._check_element(self.output, _element(self.input1), "the result")
        out = shape_of(self.output)
        wanted = self._check_numbers(self.shape, len(out), "shape")
        if wanted is not None:
            self._check_shape(out, wanted, "the result")
        before, after = tensor_type(self.input1), tensor_type(self.output)
        if before.has_static_shape() and after.has_static_shape():
            self._check(
                _count(before.get_shape()) == _count(out), f"{_text(before.get_shape())} cannot become {_text(out)}"
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
        self._check_element(self.output, _element(self.input1), "the result")
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
        self._check_element(self.output, _element(self.input1), "the result")
        self._check_element(self.pad_const, _element(self.input1), "pad_const")
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
        self._check_element(self.output, _element(self.input1), "the result")
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
        self._check_element(self.output, _element(self.input1), "the result")


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
        self._check_element(self.output, _element(self.input1), "the result")


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
        self._check(_agree(values[0], indices[0]), "values and indices must have one batch")
        self._check(_element(self.indices) in (i32, i64), "indices must hold i32 or i64")
        self._check_shape(shape_of(self.output), (values[0], indices[1], values[2]), "the result")
        self._check_element(self.output, _element(self.values), "the result")


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
        self._check_element(self.input, _element(self.values_in), "input")
        self._check_element(self.values_out, _element(self.values_in), "the result")


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
        element_type = _element(self.input)
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


TOSA = Dialect(
    "tosa",
    [
        AbsOp,
        AddOp,
        ArgMaxOp,
        ArithmeticRightShiftOp,
        AvgPool2DOp,
        BitwiseAndOp,
        BitwiseNotOp,
        BitwiseOrOp,
        BitwiseXorOp,
        CastOp,
        CeilOp,
        ClampOp,
        ClzOp,
        ConcatOp,
        ConstOp,
        ConstShapeOp,
        Conv2DOp,
        DepthwiseConv2DOp,
        EqualOp,
        ExpOp,
        FloorOp,
        GatherOp,
        GreaterEqualOp,
        GreaterOp,
        IdentityOp,
        IntdivOp,
        LogOp,
        LogicalAndOp,
        LogicalLeftShiftOp,
        LogicalNotOp,
        LogicalOrOp,
        LogicalRightShiftOp,
        LogicalXorOp,
        MatMulOp,
        MaxPool2DOp,
        MaximumOp,
        MinimumOp,
        MulOp,
        NegateOp,
        PadOp,
        PowOp,
        ReciprocalOp,
        ReduceAllOp,
        ReduceAnyOp,
        ReduceMaxOp,
        ReduceMinOp,
        ReduceProductOp,
        ReduceSumOp,
        RescaleOp,
        ReshapeOp,
        ResizeOp,
        ReverseOp,
        RsqrtOp,
        ScatterOp,
        SelectOp,
        SigmoidOp,
        SliceOp,
        SubOp,
        TableOp,
        TanhOp,
        TileOp,
        TransposeConv2DOp,
        TransposeOp,
    ],
    [NanModeAttr, ResizeModeAttr, RoundingModeAttr, ShapeType],
)
