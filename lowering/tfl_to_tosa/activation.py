"""
RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, LOGISTIC, TANH and QUANTIZE.

The RELU family and QUANTIZE are one rescale, and a clamp. On 8 bit the others are a `tosa.table` of 256 entries,
computed as LiteRT's reference kernel computes each. A 16-bit LEAKY_RELU is the greater of two values (the lesser for an
alpha of more than 1): the operand rescaled from scale to scale, or itself where they are equal, and the operand
rescaled by alpha too.
"""

from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from npuc.dialects import tfl, tosa
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import quantization, to_float32
from npuc.lowering import fixed_point
from npuc.lowering.fixed_point import Array
from npuc.lowering.tfl_to_tosa.builder import Builder, CannotConvert, per_tensor, scale_of, shape_of, storage_type

RELU_NAMES: dict[type[tfl.UnaryOp], str] = {
    tfl.ReluOp: "RELU",
    tfl.Relu6Op: "RELU6",
    tfl.ReluN1To1Op: "RELU_N1_TO_1",
    tfl.Relu0To1Op: "RELU_0_TO_1",
}


def relu(build: Builder, op: tfl.UnaryOp) -> list[SSAValue]:
    """A RELU by itself: rescaled by the float32 quotient of the scales, then limited."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    scaled = build.rescale(
        build.storage(op.input),
        output.storage_type,
        scale_of(to_float32(x.scale / output.scale)),
        input_zp=x.zero_point,
        output_zp=output.zero_point,
    )
    return [build.activate(scaled, RELU_NAMES[type(op)], output)]


def quantize(build: Builder, op: tfl.QuantizeOp) -> list[SSAValue]:
    """QUANTIZE between integers: rescaled by the double quotient of the scales."""
    x, output = per_tensor(op.input, 8, 16, 32), per_tensor(op.output, 8, 16, 32)
    return [
        build.rescale(
            build.storage(op.input),
            output.storage_type,
            scale_of(x.scale / output.scale),
            input_zp=x.zero_point,
            output_zp=output.zero_point,
        )
    ]


def _table(build: Builder, op: tfl.UnaryOp, entries: Array) -> list[SSAValue]:
    element_type = storage_type(op.output).element_type
    result = TensorType(element_type, list(shape_of(op.output)))
    return [build.insert(tosa.TableOp(build.storage(op.input), build.array(entries, element_type), result))]


def _leaky_factors(op: tfl.LeakyReluOp) -> tuple[float, float]:
    """What LEAKY_RELU scales values by: those of 0 and above, and those below."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    slope = to_float32(to_float32(x.scale * to_float32(op.alpha.value.data)) / output.scale)
    return to_float32(x.scale / output.scale), slope


def _scaled(values: Array, real: float) -> Array:
    if real == 0:
        return np.zeros_like(values)
    multiplier, shift = scale_of(abs(real))
    # For a negative factor LiteRT gives the negated result of the positive one: ties of its first rounding go down.
    scaled = fixed_point.double_round(values, multiplier, shift)
    return scaled if real > 0 else -scaled


def _leaky_values(values: Array, factors: tuple[float, float]) -> Array:
    return np.where(values >= 0, _scaled(values, factors[0]), _scaled(values, factors[1]))


def leaky_relu_choice(op: tfl.LeakyReluOp) -> type[tosa.MinimumOp] | type[tosa.MaximumOp] | None:
    """
    Which of the two rescaled values is a 16-bit LEAKY_RELU's result: the greater, for an alpha of less than 1, or else
    the lesser; tried on all values, as roundings can differ. None where it is neither throughout.
    """
    factors = _leaky_factors(op)
    every = np.arange(-(1 << 15), 1 << 15)
    wanted = _leaky_values(every, factors)
    rescaled = _scaled(every, factors[0]), _scaled(every, factors[1])
    if np.array_equal(np.maximum(*rescaled), wanted):
        return tosa.MaximumOp
    return tosa.MinimumOp if np.array_equal(np.minimum(*rescaled), wanted) else None


def leaky_relu(build: Builder, op: tfl.LeakyReluOp) -> list[SSAValue]:
    """LEAKY_RELU: positive values times the scales' float32 quotient, others times alpha as well."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    factors = _leaky_factors(op)
    if x.storage_type.width.data == 8:

        def entries(stored: Array) -> Array:
            return _leaky_values(stored - x.zero_point, factors) + output.zero_point

        limits = tosa.value_range(output.storage_type)
        return _table(build, op, fixed_point.table_of(entries, limits, numpy_dtype(x.storage_type)))
    if factors[1] < 0 or output.storage_type.width.data != 16:
        raise CannotConvert("a 16-bit LEAKY_RELU of negative alpha")
    choice = leaky_relu_choice(op)
    if choice is None:
        raise CannotConvert(f"a 16-bit LEAKY_RELU of alpha {op.alpha.value.data}")
    source = build.storage(op.input)
    kept, leaked = (
        source if real == 1 else build.rescale(source, output.storage_type, scale_of(real) if real else (0, 31))
        for real in factors
    )
    return [build.insert(choice(kept, leaked, storage_type(op.output)))]


def is_16_bit(op: tfl.UnaryOp) -> bool:
    """Whether the operand is stored in 16 bits."""
    type_ = quantization(op.input)
    return type_ is not None and type_.storage_type.width.data == 16


def logistic(build: Builder, op: tfl.LogisticOp) -> list[SSAValue]:
    """LOGISTIC on 8 bit."""
    return _real_function(build, op, fixed_point.logistic)


def tanh(build: Builder, op: tfl.TanhOp) -> list[SSAValue]:
    """TANH on 8 bit."""
    return _real_function(build, op, np.tanh)


def _real_function(build: Builder, op: tfl.UnaryOp, function: Callable[[Array], Array]) -> list[SSAValue]:
    x, output = per_tensor(op.input, 8), per_tensor(op.output, 8)
    entries = fixed_point.float_table(
        function,
        (x.scale, x.zero_point),
        (output.scale, output.zero_point),
        tosa.value_range(output.storage_type),
        numpy_dtype(x.storage_type),
    )
    return _table(build, op, entries)
