"""
What the rules of operators are made of. A rule that is broken raises `Refused`: the rule in one line, then the tensor
that breaks it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

from xdsl.dialects.builtin import DYNAMIC_INDEX, AnyFloat, DenseArrayBase, IntegerAttr, StringAttr, TensorType
from xdsl.ir import Operation, SSAValue

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType, quantization, storage_tensor, to_float32
from npuc.operators.support.axes import Axis
from npuc.operators.support.broadcasting import broadcast_of

if TYPE_CHECKING:
    from npuc.operators.support.weighted_sums import WeightedOp

MAX_DIMENSION = 65535
MAX_LAUNCHES = 64
"""
Most kernels that an operator is split into: by broadcasting, or where the machine lacks its stride or window. Each
costs a launch and commands, for little but moved data. Kernels of matrix products do more, and have their own limit.
"""


MAX_STEPS = (1 << 31) - (1 << 17)
"""Beyond these a limit, rounded to float32, and a zero point do not fit 32 bits together."""

FLOATS = "the NPU does not compute with floats"
"""The rule that keeps float and hybrid networks on the CPU."""
BORDER = "floats at the border, which --integer-io drops"
"""What is said before it of QUANTIZE and DEQUANTIZE at the inputs and outputs of a network."""


class Refused(Exception):
    """A rule is broken: the line that says so."""


def operator_name(op: Operation) -> str:
    """The operator's name in the TFLite schema, for messages: `CONV_2D`, or the code of a custom operator."""
    if isinstance(op, tfl.BuiltinOp):
        return op.operator_name.data
    if isinstance(op, tfl.CustomOp):
        return op.custom_code.data
    return op.name.removeprefix("tfl.").upper()


def refusal(rule: str, value: SSAValue) -> str:
    """The line that says that `value` breaks a rule."""
    sizes = "x".join("?" if size == DYNAMIC_INDEX else str(size) for size in shape(value))
    name = " ".join(tfl.tensor_name(value).split())
    return f"{rule}: tensor '{name}' ({sizes})"


def refuse(rule: str, value: SSAValue) -> NoReturn:
    """Says that `value` breaks a rule."""
    raise Refused(refusal(rule, value))


def require(condition: bool, rule: str, value: SSAValue) -> None:
    """Refuses unless `condition` holds."""
    if not condition:
        refuse(rule, value)


def shape(value: SSAValue) -> tuple[int, ...]:
    """The shape of a tensor, with `DYNAMIC_INDEX` for what is open; empty for what is none."""
    return value.type.get_shape() if isinstance(value.type, TensorType) else ()


def element(value: SSAValue) -> UniformQuantizedType:
    """How a tensor is quantised; one that is not is refused."""
    type_ = quantization(value)
    if type_ is None:
        require(not is_float(value), FLOATS, value)
        refuse("tensors must be quantised to 8 or 16 bit integers", value)
    return type_


def is_float(value: SSAValue) -> bool:
    """Whether a tensor holds floats."""
    return isinstance(value.type, TensorType) and isinstance(value.type.element_type, AnyFloat)


def shape_signature(value: SSAValue) -> Sequence[int]:
    """The shape with -1 where the file leaves a dimension open; empty if it leaves none."""
    info = tfl.tensor_info(value)
    signature = None if info is None else info.data.get("shape_signature")
    return tuple(signature.iter_values()) if isinstance(signature, DenseArrayBase) else ()


def integers(value: SSAValue, rule: str) -> list[int]:
    """The integers of a constant operand, flat."""
    array = tfl.constant_array(value)
    if array is None:
        refuse(rule, value)
    return [int(element) for element in array.reshape(-1)]


def same_storage(op: Operation | WeightedOp, values: Sequence[SSAValue], result: SSAValue) -> None:
    """For operators whose operands have the type of the result, by whatever scale."""
    for value in values:
        if element(value).storage_type != element(result).storage_type:
            refuse(f"{op.name.removeprefix('tfl.').upper()} must have operands of its result's type", value)


def same_quantization(op: Operation, values: Sequence[SSAValue], result: SSAValue) -> None:
    """For operators that move values or compare them as they are."""
    for value in values:
        if not isinstance(value.type, TensorType) or not isinstance(result.type, TensorType):
            continue
        kind = "quantisation" if quantization(value) != quantization(result) else "type"
        alike = value.type.element_type == result.type.element_type
        require(alike, f"{operator_name(op)} must have operands of its result's {kind}", value)


def same_elements(op: Operation, source: SSAValue, result: SSAValue) -> None:
    """For operators that move bytes as TFLite does, whatever the quantisation of the result says."""
    types = (storage_tensor(source.type), storage_tensor(result.type))
    if isinstance(types[0], TensorType) and isinstance(types[1], TensorType):
        alike = types[0].element_type == types[1].element_type
        require(alike, f"{operator_name(op)} must have operands of its result's type", source)


def values(value: SSAValue) -> tuple[int, int]:
    """Least and greatest of a tensor's values less its zero point."""
    type_ = element(value)
    least, greatest = type_.storage_limits
    return least - type_.zero_point, greatest - type_.zero_point


def require_scalable(values: tuple[int, int], factor: float, result: SSAValue) -> None:
    """
    TFLite multiplies by a factor of 1 or more in two steps: it shifts left, in 32 bits, and multiplies by a fraction.
    Where the first step overflows its result is no multiple of the value.
    """
    mantissa, exponent = math.frexp(factor)
    left = max(exponent + (mantissa >= 1 - 2.0**-32), 0)
    fits = math.isfinite(factor) and left < 32 and -(1 << 31) <= values[0] << left and values[1] << left < 1 << 31
    require(fits, f"values times the scales' quotient, {factor:.4g}, must fit 32 bits", result)


def require_shape(result: SSAValue, expected: Sequence[int]) -> None:
    """The shape that the file gives a result must be the one that its operator makes: runtimes go by the latter."""
    if shape(result) != tuple(expected):
        refuse(f"the shape must be the one that the operator makes, {'x'.join(map(str, expected))}", result)


def axes(
    input_: SSAValue, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: str
) -> tuple[Axis, Axis]:
    """Rows and columns of TFLite's window over an NHWC input; with SAME the smaller half of the padding is before."""
    both: list[Axis] = []
    for size, taps, step, spread in zip(shape(input_)[1:3], kernel, stride, dilation, strict=True):
        reach = (taps - 1) * spread + 1
        count = -(-size // step) if padding == "SAME" else (size - reach) // step + 1
        before = max((count - 1) * step + reach - size, 0) // 2
        both.append(Axis(size, count, taps, step, spread, before))
    return both[0], both[1]


def check_activation(activation: StringAttr, result: SSAValue) -> None:
    """A fused activation is one that a clamp does, and its limits are within reach."""
    allowed = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
    require(activation.data in allowed, f"the fused activation must be one of {', '.join(allowed)}", result)
    check_limits(result, activation.data)


def check_limits(result: SSAValue, activation: str) -> None:
    """TFLite brings the limits of an activation to the result's scale in 32 bits."""
    from npuc.operators.support.fixed_point import ACTIVATION_LIMITS  # which brings in NumPy

    limit = max(abs(one or 0.0) for one in ACTIVATION_LIMITS[activation])
    steps = limit / element(result).scale
    require(steps < MAX_STEPS, f"the activation's limit, {limit:g}, must be below 2^31 steps of the scale", result)


class Strided(Protocol):
    """An operation whose window moves."""

    @property
    def stride_h(self) -> IntegerAttr: ...
    @property
    def stride_w(self) -> IntegerAttr: ...


def strides(op: Strided) -> tuple[int, int]:
    """How far a window moves, down and to the right."""
    return op.stride_h.value.data, op.stride_w.value.data


def check_binary(op: tfl.BinaryOp) -> None:
    check_activation(getattr(op, "fused_activation_function", tfl.NO_ACTIVATION), op.output)
    same_storage(op, [op.lhs, op.rhs], op.output)
    require_shape(op.output, broadcast_shape(shape(op.lhs), shape(op.rhs), op.output))


def broadcast_shape(one: Sequence[int], other: Sequence[int], result: SSAValue) -> tuple[int, ...]:
    """The shape of what two operands of an element-wise operator make, which must not take too many kernels."""
    rank = max(len(one), len(other))
    a, b = ((1,) * (rank - len(shape)) + tuple(shape) for shape in (one, other))
    for sizes in zip(a, b, strict=True):
        require(len({*sizes, 1}) <= 2, "operands must be equal in size, or 1, along each axis", result)
    made = tuple(map(max, a, b))
    kernels = broadcast_of(a, b, made).kernels
    require(kernels <= MAX_LAUNCHES, f"broadcasting must take at most {MAX_LAUNCHES} kernels, not {kernels}", result)
    return made


def powers_of_two(scales: Sequence[float]) -> list[int]:
    """Exponents of those scales that TFLite takes for powers of two."""
    # It loads NumPy, which partitions without 16-bit operators do not need.
    from npuc.operators.support.fixed_point import checked_log2

    logs = [checked_log2(scale) for scale in scales]
    return [log for log in logs if log is not None]


def check_rescaled(op: tfl.UnaryOp) -> None:
    """What is of the operand's type and scaled by the float32 quotient of the scales."""
    check_unary(op)
    factor = to_float32(element(op.input).scale / element(op.output).scale)
    require_scalable(values(op.input), factor, op.output)


def check_unary(op: tfl.UnaryOp) -> None:
    same_storage(op, [op.input], op.output)
    require_shape(op.output, shape(op.input))


def axis_of(axis: int, rank: int, value: SSAValue) -> int:
    """An axis counted from the front."""
    require(-rank <= axis < rank, f"axis {axis} must be one of the {rank} dimensions", value)
    return axis % rank


def without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def check_moved_whole(op: tfl.TflOp, source: SSAValue, result: SSAValue) -> None:
    same_elements(op, source, result)
    size = math.prod(shape(source))
    require(math.prod(shape(result)) == size, f"{operator_name(op)} must keep all {size} elements", result)
