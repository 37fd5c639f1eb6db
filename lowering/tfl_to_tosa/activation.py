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

from npuc.analysis import fixed_point
from npuc.analysis.activations import leaky_relu_choice, leaky_relu_factors, leaky_relu_values
from npuc.analysis.fixed_point import Array
from npuc.dialects import tfl, tosa
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import quantization, to_float32
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


def leaky_relu(build: Builder, op: tfl.LeakyReluOp) -> list[SSAValue]:
    """LEAKY_RELU: positive values times the scales' float32 quotient, others times alpha as well."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    factors = leaky_relu_factors(op)
    scales = [scale_of(abs(real)) if real else (0, 31) for real in factors]
    if x.storage_type.width.data == 8:

        def entries(stored: Array) -> Array:
            return leaky_relu_values(stored - x.zero_point, factors) + output.zero_point

        limits = tosa.value_range(output.storage_type)
        return _table(build, op, fixed_point.table_of(entries, limits, numpy_dtype(x.storage_type)))
    if factors[1] < 0 or output.storage_type.width.data != 16:
        raise CannotConvert("a 16-bit LEAKY_RELU of negative alpha")
    choice = leaky_relu_choice(op)
    if choice is None:
        raise CannotConvert(f"a 16-bit LEAKY_RELU of alpha {op.alpha.value.data}")
    source = build.storage(op.input)
    kept, leaked = (
        source if real == 1 else build.rescale(source, output.storage_type, scale)
        for real, scale in zip(factors, scales, strict=True)
    )
    kind = tosa.MaximumOp if choice == "maximum" else tosa.MinimumOp
    return [build.insert(kind(kept, leaked, storage_type(op.output)))]


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
