"""
SOFTMAX in 32-bit fixed point, step by step what TFLite's reference kernels do. With d = x - max(x):

Of 8 bits, e = exp(beta * d) comes from a table of 256 words; the sum of all e / 4096 is brought to [1/2, 1), its
reciprocal found by three Newton steps, and each e multiplied by it and shifted to 8 bits, or to 16 for an int16 result.

Of 16 bits, d is scaled so that exp(d) comes from a table of 16 bits; the sum of all, brought to [1, 2), goes through
another table to its reciprocal, and each e is multiplied by that and shifted to 16 bits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import FloatAttr, IntegerType, TensorType, f32, i16, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale, Window
from npuc.dialects.quant import to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import is_16_bit, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, UNSCALED, full_range, rectangles, tensor
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.operators.support import fixed_point, tables
else:
    np, fixed_point, tables = deferred("numpy", "npuc.operators.support.fixed_point", "npuc.operators.support.tables")


@irdl_op_definition
class SoftmaxOp(tfl.UnaryOp):
    """Over the last dimension, of `beta * input`."""

    name = "tfl.softmax"

    beta = prop_def(FloatAttr, FloatAttr(1.0, f32))


def check(op: SoftmaxOp) -> None:
    result = rules.element(op.output)
    if not _widens(op):
        rules.same_storage(op, [op.input], op.output)
        fits = result.data.storage_width == 8 or result.zero_point == 0
        rules.require(fits, "16 bit tensors must have the zero point 0", op.output)
    rules.require_shape(op.output, rules.shape(op.input))
    if is_16_bit(op):
        near = abs(result.scale - 1 / 32768) < 1e-3 / 32768
        rules.require(near, "SOFTMAX of 16 bits must give a scale of 1/32768", op.output)
        rules.require_scalable((-65535, 0), difference_scale(op), op.input)
    else:
        if _widens(op):
            fixed = abs(result.scale - 1 / 65536) < 1e-3 / 65536 and result.zero_point == -32768
            rules.require(fixed, "SOFTMAX to int16 must give a scale of 1/65536 and a zero point of -32768", op.output)
        elif result.data.signed:
            fixed = abs(result.scale - 1 / 256) < 1e-3 / 256 and result.zero_point == -128
            rules.require(fixed, "SOFTMAX must give a scale of 1/256 and a zero point of -128", op.output)
        # TFLite's kernel aborts unless a step of the input is more than one of the exponential's argument, 2^-26.
        steep = op.beta.value.data * rules.element(op.input).scale > 2.0**-26
        rules.require(steep, "beta times the input's scale must be above 2^-26", op.input)
    rows = math.prod(rules.shape(op.input)[:-1])
    rules.require(rows < 65536, f"SOFTMAX must have fewer than 65536 rows, not {rows}", op.input)


def _widens(op: SoftmaxOp) -> bool:
    """Whether int8 becomes int16."""
    source, target = rules.element(op.input).data, rules.element(op.output).data
    return source.signed and (source.storage_width, target.storage_width) == (8, 16)


REACH = 10.0
"""The exponential of 16 bits is known from -10 to 0; what is less is -10."""


def difference_scale(op: SoftmaxOp) -> float:
    """What TFLite scales a difference of 16-bit values by, to steps of the exponential's argument."""
    return to_float32(rules.element(op.input).scale * to_float32(op.beta.value.data)) / (REACH / 65535)


INTEGER_BITS = 5
"""Integer bits of the scaled difference."""


ACCUMULATION_BITS = 12
"""Integer bits of the sum."""


def lower(op: SoftmaxOp, emit: QuantizedEmitter) -> None:
    """Replace a softmax by its kernels: all dimensions but the last are rows, in rectangles behind the maximum."""
    shape = shape_of(op.input)
    rows, classes = prod(shape[:-1]), shape[-1]
    value = emit.storage(op.input)
    element_type = tensor(value).element_type
    greatest = emit.pool(
        "max",
        emit.view(value, (1, rows, classes, 1)),
        TensorType(element_type, [1, rows, 1, 1]),
        window=Window(1, classes),
    )
    if is_16_bit(op):
        nodes = tables.double_nodes(np.exp, REACH / 65535, 32767, 2 / 65535)
        table = emit.constant(fixed_point.interpolating_table(nodes))
    else:
        table = emit.constant(exp_table(quantized(op.input).scale, op.beta.value.data))
    exponentials: list[SSAValue] = []
    first = 0
    for height, width in rectangles(rows):
        some, top = (
            emit.slice(emit.view(x, (1, rows, 1, depth)), (first, 0, 0), (height * width, 1, depth))
            for x, depth in ((value, classes), (greatest, 1))
        )
        some, top = emit.view(some, (1, height, width, classes)), emit.view(top, (1, height, width, 1))
        if is_16_bit(op):
            exponentials.append(_exponentials_16(emit, some, top, table, difference_scale(op)))
        else:
            exponentials.append(_exponentials(emit, some, top, table))
        first += height * width
    # TFLite's unsigned kernel takes no notice of the result's quantisation.
    result = quantized(op.output)
    zero_point = result.storage_limits[0] if result.data.signed else 0
    # Only now, when nobody needs the input any more.
    results = [
        _normalised_16(emit, part) if is_16_bit(op) else _normalised(emit, part, result.storage_type, zero_point)
        for part in exponentials
    ]
    emit.replace([emit.concat([emit.view(x, (1, prod(shape_of(x)[:3]), 1, classes)) for x in results], 1)])


def _exponentials(emit: QuantizedEmitter, some: SSAValue, top: SSAValue, table: SSAValue) -> SSAValue:
    """exp(beta * (x - max)) as 32-bit fractions of 2^31."""
    # The difference, from -255 to 0, is moved to the range of a signed index.
    return emit.elementwise(
        "sub",
        some,
        top,
        TensorType(i32, list(shape_of(some))),
        zero_points=(0, 0, 127),
        scale=IDENTITY,
        operand_scales=UNSCALED,
        activation=Activation(-128, 127, "table"),
        table=table,
    )


def _exponentials_16(emit: QuantizedEmitter, some: SSAValue, top: SSAValue, table: SSAValue, real: float) -> SSAValue:
    """exp(beta * (x - max)) as 16-bit fractions of 2^15."""
    wide = TensorType(i32, list(shape_of(some)))
    multiplier, shift = fixed_point.quantize_multiplier(real)
    difference = emit.elementwise("sub", some, top, wide, scale=IDENTITY, operand_scales=UNSCALED)
    scale = Scale("double_round", 1, shift)
    argument = emit.elementwise("mul", difference, _number(emit, multiplier), wide, scale=scale)
    return _looked_up(emit, "add", argument, 32767, table)


def _looked_up(emit: QuantizedEmitter, kind: str, value: SSAValue, offset: int, table: SSAValue) -> SSAValue:
    """32-bit values moved by an offset to 16 bits, where they saturate, and through a table."""
    result_type = TensorType(i16, list(shape_of(value)))
    activation = replace(full_range(result_type), function="table")
    return emit.elementwise(
        kind, value, _number(emit, offset), result_type, scale=IDENTITY, activation=activation, table=table
    )


def _number(emit: QuantizedEmitter, constant: int) -> SSAValue:
    return emit.constant(np.full((1, 1, 1, 1), constant, np.int32))


def _normalised_16(emit: QuantizedEmitter, exponentials: SSAValue) -> SSAValue:
    """16-bit exponentials of 1 x H x W x classes, each divided by the sum of its row."""
    _, height, width, classes = shape_of(exponentials)
    # One number a row of the softmax: they fill the depth of a map better than its width.
    column = TensorType(i32, [1, height, 1, width])

    def compute(kind: str, a: SSAValue, b: SSAValue, *, is_reversed: bool = False) -> SSAValue:
        return emit.elementwise(kind, a, b, column, scale=IDENTITY, is_reversed=is_reversed)

    total = emit.pool("sum", exponentials, TensorType(i32, [1, height, width, 1]), scale=IDENTITY)
    total = emit.view(total, (1, height, 1, width))
    headroom = emit.elementwise("clz", total, None, column)
    final_shift = compute("sub", headroom, _number(emit, 31), is_reversed=True)
    # What is left without the leading bit, as a fraction of 2^31, then of 2^16.
    power = emit.elementwise("shl", final_shift, _number(emit, 1), column, is_reversed=True)
    rest = emit.elementwise("shl", compute("sub", total, power), headroom, column)
    fraction = compute("shr", rest, _number(emit, 15))
    nodes = tables.double_nodes(lambda x: 1 / (1 + x), 1 / 65535, -32768, 2 / 65535)
    reciprocals = emit.constant(fixed_point.interpolating_table(nodes))
    reciprocal = _looked_up(emit, "sub", fraction, 32768, reciprocals)
    product = emit.elementwise(
        "mul",
        exponentials,
        emit.view(reciprocal, (1, height, width, 1)),
        TensorType(i32, [1, height, width, classes]),
        scale=IDENTITY,
    )
    return emit.elementwise(
        "shr",
        product,
        emit.view(final_shift, (1, height, width, 1)),
        TensorType(i16, [1, height, width, classes]),
        scale=IDENTITY,
        activation=Activation(0, 32767),
    )


def _normalised(emit: QuantizedEmitter, exponentials: SSAValue, element_type: IntegerType, zero_point: int) -> SSAValue:
    """Exponentials of 1 x H x W x classes, each divided by the sum of its row."""
    _, height, width, classes = shape_of(exponentials)
    column = TensorType(i32, [1, height, width, 1])
    full = TensorType(i32, [1, height, width, classes])

    def compute(kind: str, a: SSAValue, b: SSAValue, shift: int = 0, *, is_reversed: bool = False) -> SSAValue:
        type_ = tensor(a)
        scale = Scale("double_round", 1, shift)
        return emit.elementwise(kind, a, b, type_, scale=scale, is_reversed=is_reversed)

    narrowed = emit.elementwise("shr", exponentials, _number(emit, ACCUMULATION_BITS), full, scale=IDENTITY)
    total = emit.pool("sum", narrowed, column, scale=IDENTITY)
    headroom = emit.elementwise("clz", total, None, column)
    final_shift = compute(
        "sub", headroom, _number(emit, ACCUMULATION_BITS + 31 - element_type.width.data), is_reversed=True
    )
    # Half of the denominator brought to [1/2, 1).
    half = emit.elementwise("shl", total, compute("sub", headroom, _number(emit, 1)), column)
    # x = 48/17 - 32/17 * half, then x += x * (1 - half * x), all with 2 integer bits.
    x = compute("add", compute("mul", half, _number(emit, -1010580540), 31), _number(emit, 1515870810))
    for _ in range(3):
        error = compute("sub", compute("mul", x, half, 31), _number(emit, 1 << 29), is_reversed=True)
        x = compute("add", x, compute("mul", compute("mul", x, error, 31), _number(emit, 4)))
    # 1.0 is one more than fits: the product saturates.
    reciprocal = compute("mul", x, _number(emit, 2))
    product = compute("mul", exponentials, reciprocal, 31)
    return emit.elementwise(
        "shr",
        product,
        final_shift,
        TensorType(element_type, [1, height, width, classes]),
        zero_points=(0, 0, zero_point),
        scale=IDENTITY,
    )


def exp_table(scale: float, beta: float) -> NDArray[Any]:
    """exp(beta * scale * (i - 255)) for i = 0..255 as int32 fractions of 2^31, to the last bit TFLite's."""
    real = min(beta * scale * (1 << 31 - INTEGER_BITS), (1 << 31) - 1.0)
    # A quarter of it has a shift in TOSA's range.
    multiplier, shift = fixed_point.quantize_multiplier(real / 4)
    left = 33 - shift
    least = -(((1 << INTEGER_BITS) - 1 << 31 - INTEGER_BITS) >> left)
    return np.array([0 if d < least else exp_q5(high_mul(d << left, multiplier)) for d in range(-255, 1)], np.int32)


def high_mul(a: int, b: int) -> int:
    """round(a * b / 2^31), ties up; saturates."""
    return min((a * b + (1 << 30)) >> 31, (1 << 31) - 1)


def divide_by_power(a: int, exponent: int) -> int:
    """a / 2^exponent to nearest, ties away from zero."""
    half = (1 << exponent) >> 1
    return (a + half) >> exponent if a >= 0 else -((-a + half) >> exponent)


def exp_q5(a: int) -> int:
    """
    exp of a <= 0 in Q5.26 as a fraction of 2^31: a polynomial on [-1/4, 0) around -1/8, then a product with exp(-2^e)
    for each bit of what is left.
    """
    if a == 0:
        return (1 << 31) - 1
    quarter = 1 << 24
    inside = a % quarter - quarter
    rest = inside - a
    x = (inside << INTEGER_BITS) + (1 << 28)
    x2 = high_mul(x, x)
    x3, x4 = high_mul(x2, x), high_mul(x2, x2)
    tail = divide_by_power(high_mul(divide_by_power(x4, 2) + x3, 715827883) + x2, 1)
    result = 1895147668 + high_mul(1895147668, x + tail)
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, factor in enumerate(factors, start=-2):
        if rest >> 26 + exponent & 1:
            result = high_mul(result, factor)
    return result


OPERATORS = (
    Operator(
        op=SoftmaxOp,
        kernels="28 kernels; 14 of 16 bits",
        check=check,
        lower=lower,
        offset=("output",),
        rank=6,
        batches=True,
    ),
)
