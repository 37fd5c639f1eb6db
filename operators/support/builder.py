"""
What the operator families share: storage values of quantised tensors, constants made once, and rescaling.

A tfl value is quantised (`tensor<4x!quant.uniform<...>>`), a tosa value plain (`tensor<4xi8>`). `Builder.storage` gives
the plain value of an operand; a family's function returns the plain values of its operation's results.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerType, TensorType, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.dialects import tfl
from npuc.dialects.constants import from_bytes, from_numpy, machine_constant, numpy_dtype
from npuc.dialects.quant import StorageCastOp, UniformQuantizedType, machine_tensor, quantization
from npuc.operators.support.deferred import deferred

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
    from npuc.operators.support.fixed_point import Array
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")

i8 = IntegerType(8)
i16 = IntegerType(16)


class CannotConvert(Exception):
    """An operation that tosa does not express exactly, in one line."""


class Builder:
    """
    Inserts tosa operations before the tfl operation `at`, whose location they take.

    Constants of equal value are shared; each stands before the operation that first needs it. One builder serves one
    block, whose operations it visits in order.
    """

    def __init__(self) -> None:
        self.at: Operation
        self._storage: dict[SSAValue, SSAValue] = {}
        self._converted: set[SSAValue] = set()
        self._quantized: dict[SSAValue, SSAValue] = {}
        self._constants: dict[Attribute, SSAValue] = {}
        self._numbers: dict[tuple[int, Attribute], SSAValue] = {}
        self._shapes: dict[tuple[int, ...], SSAValue] = {}

    def insert(self, op: Operation) -> SSAValue:
        """Places `op` and gives its one result."""
        op.location = self.at.location
        Rewriter.insert_op(op, InsertPoint.before(self.at))
        return op.results[0]

    # Values -------------------------------------------------------------------------------------

    def define(self, value: SSAValue, storage: SSAValue) -> None:
        """Says which plain value holds the integers of a converted operation's result."""
        self._storage[value] = storage
        self._converted.add(value)

    def quantized(self, value: SSAValue) -> SSAValue:
        """`value` for an operation that is not converted: cast back where the operation that made it was converted."""
        if value not in self._converted:
            return value
        plain = self._storage[value]
        if plain.type == value.type:
            return plain
        made = self._quantized.get(value)
        if made is None:
            made = self._quantized[value] = self.insert(StorageCastOp(plain, value.type))
            if isinstance(value.owner, Operation) and isinstance(made.owner, Operation):
                made.owner.location = value.owner.location
        return made

    def storage(self, value: SSAValue) -> SSAValue:
        """The plain value of an operand: `value` itself where it is not quantised."""
        made = self._storage.get(value)
        if made is None:
            made = self._make_storage(value)
            self._storage[value] = made
        return made

    def _make_storage(self, value: SSAValue) -> SSAValue:
        constant = tfl.constant_value(value)
        if constant is not None:
            return self.constant(machine_constant(constant))
        if isinstance(value.owner, StorageCastOp):
            return value.owner.input
        plain = machine_tensor(value.type)
        return value if plain == value.type else self.insert(StorageCastOp(value, plain))

    def constant(self, value: DenseIntOrFPElementsAttr) -> SSAValue:
        """The constant tensor `value`."""
        made = self._constants.get(value)
        if made is None:
            made = self._constants[value] = self.insert(tosa.ConstOp(value))
        return made

    def array(self, values: NDArray[Any], element_type: Attribute) -> SSAValue:
        """A constant of an array that is stored as `element_type` is (see npuc.dialects.constants)."""
        return self.constant(from_numpy(values, element_type))

    def number(self, value: int, element_type: Attribute) -> SSAValue:
        """A constant of one element."""
        made = self._numbers.get((value, element_type))
        if made is None:
            made = self.array(np.array([value], numpy_dtype(element_type)), element_type)
            self._numbers[value, element_type] = made
        return made

    def reshaped_constant(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """A constant operand's integers in another shape, the bytes untouched."""
        constant = tfl.constant_value(value)
        if constant is None:
            raise CannotConvert("an operand that must be constant is not")
        return self.constant(from_bytes(TensorType(constant.get_element_type(), list(shape)), constant.data.data))

    def shape(self, values: Sequence[int]) -> SSAValue:
        """A constant shape."""
        key = tuple(values)
        made = self._shapes.get(key)
        if made is None:
            made = self._shapes[key] = self.insert(tosa.ConstShapeOp(key))
        return made

    # Operations ---------------------------------------------------------------------------------

    def reshape(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """`value` in another shape; itself where it has that shape."""
        type_ = tensor_type(value)
        if tuple(shape) == type_.get_shape():
            return value
        before, after = prod(type_.get_shape()), prod(shape)
        if before != after:
            raise CannotConvert(f"{before} elements do not become {after}")
        return self.insert(tosa.ReshapeOp(value, self.shape(shape), TensorType(type_.element_type, list(shape))))

    def slice(self, value: SSAValue, start: Sequence[int], size: Sequence[int]) -> SSAValue:
        """`size` elements from `start` on; `value` itself where that is all of it."""
        type_ = tensor_type(value)
        if tuple(size) == type_.get_shape():
            return value
        result = TensorType(type_.element_type, list(size))
        return self.insert(tosa.SliceOp(value, self.shape(start), self.shape(size), result))

    def rescale(
        self,
        value: SSAValue,
        element_type: IntegerType,
        scale: tuple[int, int] | tuple[NDArray[Any], NDArray[Any]],
        *,
        input_zp: int = 0,
        output_zp: int = 0,
        rounding: tosa.RoundingMode | None = None,
        scale32: bool = True,
    ) -> SSAValue:
        """
        `value` less `input_zp`, times multiplier >> shift, plus `output_zp`, as `element_type`.

        `scale` is a multiplier and a shift, or arrays of them with one element or one a channel.
        """
        width = i32 if scale32 else i16
        source = tensor_type(value)
        if isinstance(scale[0], int):
            channels, multiplier, shift = 1, self.number(scale[0], width), self.number(int(scale[1]), i8)
        else:
            multipliers, shifts = scale[0], np.asarray(scale[1])
            if (multipliers == multipliers[0]).all() and (shifts == shifts[0]).all():
                multipliers, shifts = multipliers[:1], shifts[:1]
            channels, multiplier, shift = multipliers.size, self.array(multipliers, width), self.array(shifts, i8)
        return self.insert(
            tosa.RescaleOp(
                value,
                multiplier,
                shift,
                self.number(input_zp, source.element_type),
                self.number(output_zp, element_type),
                TensorType(element_type, list(source.get_shape())),
                rounding_mode=rounding or tosa.RoundingMode.DOUBLE_ROUND,
                per_channel=channels > 1,
                scale32=scale32,
            )
        )

    def widen(self, value: SSAValue, zero_point: int, left_shift: int = 0) -> SSAValue:
        """(value - zero_point) << left_shift as `i32`, exactly: a rescale by 2**30 >> (30 - left_shift)."""
        return self.rescale(
            value, i32, (1 << 30, 30 - left_shift), input_zp=zero_point, rounding=tosa.RoundingMode.SINGLE_ROUND
        )

    def activate(self, value: SSAValue, activation: str, type_: UniformQuantizedType) -> SSAValue:
        """`value` limited by a fused activation of the quantisation `type_`; itself where that limits nothing."""
        limits = tosa.value_range(type_.storage_type)
        if activation not in fixed_point.ACTIVATION_LIMITS:
            raise CannotConvert(f"fused activation {activation}")
        least, greatest = fixed_point.activation_limits(activation, type_.scale, type_.zero_point, limits)
        if least > greatest:
            raise CannotConvert(f"fused activation {activation} lets no value through")
        if (least, greatest) == limits:
            return value
        return self.insert(tosa.ClampOp(value, least, greatest))


def scale_of(real: float) -> tuple[int, int]:
    """Multiplier and shift of a real scale."""
    try:
        return fixed_point.quantize_multiplier(real)
    except ValueError as error:
        raise CannotConvert(str(error)) from error


def tensor_type(value: SSAValue) -> TensorType[Any]:
    """The type of a tensor of static shape."""
    assert isinstance(value.type, TensorType)  # operands of tfl and tosa operations are tensors
    if not value.type.has_static_shape():
        raise CannotConvert(f"the shape {value.type} is not static")
    return value.type


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The static shape of a tensor."""
    return tensor_type(value).get_shape()


def storage_type(value: SSAValue) -> TensorType[Any]:
    """The type of a tensor's integers."""
    plain = machine_tensor(tensor_type(value))
    assert isinstance(plain, TensorType)
    return plain


def per_tensor(value: SSAValue, *widths: int) -> UniformQuantizedType:
    """The quantisation of a tensor that must have one scale, stored in one of `widths` bits (8 and 16 by default)."""
    type_ = quantization(value)
    if type_ is None or type_.is_per_axis:
        raise CannotConvert(f"{value.type} is not quantised by one scale")
    if type_.storage_type.width.data not in (widths or (8, 16)):
        raise CannotConvert(f"no arithmetic on {type_.storage_type}")
    if type_.storage_type.width.data == 16 and type_.zero_point != 0:
        raise CannotConvert("16-bit values have a zero point other than 0")
    return type_


def constant_integers(value: SSAValue | None, what: str) -> list[int]:
    """The numbers of a constant operand, row by row."""
    array = tfl.constant_array(value)
    if array is None:
        raise CannotConvert(f"{what} is not constant")
    return [int(v) for v in array.reshape(-1)]


def broadcast(build: Builder, value: SSAValue, rank: int) -> SSAValue:
    """`value` with dimensions of 1 before it, up to `rank`."""
    shape = tensor_type(value).get_shape()
    return build.reshape(value, (*(1,) * (rank - len(shape)), *shape))


def wide(result: SSAValue) -> TensorType[Any]:
    """The type of 32-bit values in the shape of `result`."""
    return TensorType(i32, list(shape_of(result)))


def axis_of(value: int, rank: int) -> int:
    """An axis counted from the front."""
    axis = value + rank if value < 0 else value
    if not 0 <= axis < rank:
        raise CannotConvert(f"axis {value} of rank {rank}")
    return axis


def table(build: Builder, op: tfl.UnaryOp, entries: Array) -> list[SSAValue]:
    """A look-up in a table of 256 entries."""
    element_type = storage_type(op.output).element_type
    result = TensorType(element_type, list(shape_of(op.output)))
    return [build.insert(tosa.TableOp(build.storage(op.input), build.array(entries, element_type), result))]


def is_16_bit(op: tfl.UnaryOp) -> bool:
    """Whether the operand is stored in 16 bits."""
    type_ = quantization(op.input)
    return type_ is not None and type_.storage_type.width.data == 16
