"""
SOFTMAX of 8 bits in 32-bit fixed point, step by step what TFLite's reference kernel does.

With d = x - max(x), e = exp(beta * d) comes from a table of 256 words; the sum of all e / 4096 is brought to
[1/2, 1), its reciprocal found by three Newton steps, and each e multiplied by it and shifted to 8 bits.
"""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import FloatAttr, TensorType, f32, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale, Window
from npuc.operators.support import rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, UNSCALED, rectangles, tensor
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import BYTES, Operator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.operators.support import fixed_point
else:
    np, fixed_point = deferred("numpy", "npuc.operators.support.fixed_point")


@irdl_op_definition
class SoftmaxOp(tfl.UnaryOp):
    """Over the last dimension, of `beta * input`."""

    name = "tfl.softmax"

    beta = prop_def(FloatAttr, FloatAttr(1.0, f32))


def check(op: SoftmaxOp) -> None:
    rules.check_unary(op)
    if rules.element(op.output).data.signed:
        fixed = (
            abs(rules.element(op.output).scale - 1 / 256) < 1e-3 / 256 and rules.element(op.output).zero_point == -128
        )
        rules.require(fixed, "SOFTMAX must give a scale of 1/256 and a zero point of -128", op.output)
    # TFLite's kernel aborts unless a step of the input is more than one of the exponential's argument, 2^-26.
    steep = op.beta.value.data * rules.element(op.input).scale > 2.0**-26
    rules.require(steep, "beta times the input's scale must be above 2^-26", op.input)
    rows = math.prod(rules.shape(op.input)[:-1])
    rules.require(rows < 65536, f"SOFTMAX must have fewer than 65536 rows, not {rows}", op.input)


INTEGER_BITS = 5
"""Integer bits of the scaled difference."""


ACCUMULATION_BITS = 12
"""Integer bits of the sum."""


def lower(op: SoftmaxOp, emit: QuantizedEmitter) -> None:
    """Replace a softmax by its kernels: all dimensions but the last are rows, in rectangles behind the maximum."""
    source, target = quantized(op.input), quantized(op.output)
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
    table = emit.constant(exp_table(source.scale, op.beta.value.data))
    exponentials: list[SSAValue] = []
    first = 0
    for height, width in rectangles(rows):
        some, top = (
            emit.slice(emit.view(x, (1, rows, 1, depth)), (first, 0, 0), (height * width, 1, depth))
            for x, depth in ((value, classes), (greatest, 1))
        )
        # The difference, from -255 to 0, is moved to the range of a signed index.
        part = emit.elementwise(
            "sub",
            emit.view(some, (1, height, width, classes)),
            emit.view(top, (1, height, width, 1)),
            TensorType(i32, [1, height, width, classes]),
            zero_points=(0, 0, 127),
            scale=IDENTITY,
            operand_scales=UNSCALED,
            activation=Activation(-128, 127, "table"),
            table=table,
        )
        exponentials.append(part)
        first += height * width
    # TFLite's unsigned kernel takes no notice of the result's quantisation.
    zero_point = -128 if target.data.signed else 0
    # Only now, when nobody needs the input any more.
    results = [_normalised(emit, part, element_type, zero_point) for part in exponentials]
    emit.replace([emit.concat([emit.view(x, (1, prod(shape_of(x)[:3]), 1, classes)) for x in results], 1)])


def _normalised(emit: QuantizedEmitter, exponentials: SSAValue, element_type: Attribute, zero_point: int) -> SSAValue:
    """Exponentials of 1 x H x W x classes, each divided by the sum of its row."""
    _, height, width, classes = shape_of(exponentials)
    column = TensorType(i32, [1, height, width, 1])
    full = TensorType(i32, [1, height, width, classes])

    def number(constant: int) -> SSAValue:
        return emit.constant(np.full((1, 1, 1, 1), constant, np.int32))

    def compute(kind: str, a: SSAValue, b: SSAValue, shift: int = 0, *, is_reversed: bool = False) -> SSAValue:
        type_ = tensor(a)
        scale = Scale("double_round", 1, shift)
        return emit.elementwise(kind, a, b, type_, scale=scale, is_reversed=is_reversed)

    narrowed = emit.elementwise("shr", exponentials, number(ACCUMULATION_BITS), full, scale=IDENTITY)
    total = emit.pool("sum", narrowed, column, scale=IDENTITY)
    headroom = emit.elementwise("clz", total, None, column)
    final_shift = compute("sub", headroom, number(ACCUMULATION_BITS + 31 - 8), is_reversed=True)
    # Half of the denominator brought to [1/2, 1).
    half = emit.elementwise("shl", total, compute("sub", headroom, number(1)), column)
    # x = 48/17 - 32/17 * half, then x += x * (1 - half * x), all with 2 integer bits.
    x = compute("add", compute("mul", half, number(-1010580540), 31), number(1515870810))
    for _ in range(3):
        error = compute("sub", compute("mul", x, half, 31), number(1 << 29), is_reversed=True)
        x = compute("add", x, compute("mul", compute("mul", x, error, 31), number(4)))
    # 1.0 is one more than fits: the product saturates.
    reciprocal = compute("mul", x, number(2))
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


OPERATORS = (Operator(op=SoftmaxOp, kernels="28 kernels", check=check, lower=lower, types=BYTES, batches=True),)
