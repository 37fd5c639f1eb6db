"""
Operations that compute each element by itself.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    AnyFloat,
    BoolAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    TensorType,
    i1,
    i32,
)
from xdsl.ir import Attribute, SSAValue, TypedAttribute
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Commutative

from npuc.dialects.tosa.base import (
    NanMode,
    NanModeAttr,
    RoundingMode,
    RoundingModeAttr,
    Tensor,
    TosaOp,
    agree,
    as_text,
    element_of,
    is_unsigned,
    scalar_value,
    shape_of,
    width_of,
)


class ElementwiseOp(TosaOp, ABC):
    """Operands of one rank, each dimension equal to the result's or 1."""

    def _check_broadcast(self, inputs: Sequence[SSAValue]) -> None:
        out = shape_of(self.results[0])
        for value in inputs:
            found = shape_of(value)
            fits = len(found) == len(out) and all(agree(f, o) or f == 1 for f, o in zip(found, out, strict=True))
            self._check(fits, f"an operand of shape {as_text(found)} does not broadcast to {as_text(out)}")
        for axis, size in enumerate(out):
            largest = [shape_of(value)[axis] for value in inputs]
            self._check(size in (-1, 1) or any(agree(d, size) for d in largest), f"no operand has {size} at {axis}")


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
        self._check_element(self.input2, element_of(self.input1), "input2")
        self._check_result_element()

    def _check_result_element(self) -> None:
        self._check_element(self.output, element_of(self.input1), "the result")


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
        self._check(isinstance(element_of(self.input1), IntegerType), "operands must be integers")
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
        self._check_element(self.input2, element_of(self.input1), "input2")
        self._check_shape(shape_of(self.shift), (1,), "shift")
        self._check_element(self.shift, IntegerType(8), "shift")
        element_type = element_of(self.input1)
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
        self._check(isinstance(element_of(self.input1), AnyFloat), "operands must be floats")
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
        self._check_element(self.output, element_of(self.input1), "the result")
        element_type = element_of(self.input1)
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
        self._check_element(self.output, element_of(self.input1), "the result")
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
        element_type = element_of(value)
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
        element_type = element_of(self.input)
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
        self._check_element(self.input2, element_of(self.output), "input2")
        self._check_element(self.input3, element_of(self.output), "input3")


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
        element_type = element_of(self.input1)
        if width_of(element_type) == 8:
            self._check_shape(shape_of(self.table), (256,), "the table")
            self._check(width_of(element_of(self.table)) == 8, "the table of 8-bit values must hold 8-bit values")
            self._check_element(self.output, element_of(self.table), "the result")
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
                "input_unsigned": BoolAttr.from_bool(is_unsigned(element_of(value))),
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
            element_type = element_of(value)
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
            if unsigned and width_of(element_of(value)) == 16:
                self._check_shape(shape_of(zero_point), (1,), what)
                self._check_element(zero_point, element_of(value), what)
            else:
                self._check_zero_point(zero_point, value, what)
