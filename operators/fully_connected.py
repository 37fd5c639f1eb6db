"""
FULLY_CONNECTED: a 1x1 convolution; `support/weighted.py` says how it accumulates and is scaled. With weights that are
computed at run time it is a product of two matrices (`support/matrix_products.py`).

Where its rounding takes several steps it is a convolution to 32-bit sums, then a quotient and its correction.

%s = conv2d %x           sum * factor, 32 bits
    %q = mul %s, reciprocal  the quotient, at most one off
    %d = mul %q, divisor
    %z = sub %s, %d          what is left over
    %l = mul %z, left
    %r = mul %q, rest
    %e = sub %l, %r          the same, with more bits
    %c = mul %e, correction  -1, 0 or 1
    %y = add %q, %c          zero point, activation

`operators/support/half_away.py` says why this is exact; the constants differ by channel, the shifts do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BoolAttr, StringAttr, TensorType, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale, Window
from npuc.dialects.quant import quantization
from npuc.operators.support import matrix_products, rules, weighted
from npuc.operators.support.builder import Builder, per_tensor, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, batch_map
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import npu_schedule, tosa
    from npuc.operators.support import fixed_point, half_away, weighted_sums
    from npuc.operators.support.half_away import Steps
else:
    np, tosa, npu_schedule, fixed_point, half_away, weighted_sums = deferred(
        "numpy",
        "npuc.dialects.tosa",
        "npuc.dialects.npu_schedule",
        "npuc.operators.support.fixed_point",
        "npuc.operators.support.half_away",
        "npuc.operators.support.weighted_sums",
    )


@irdl_op_definition
class FullyConnectedOp(tfl.TflOp):
    """Input of any shape with inner size I (or whose size is a multiple of it), filter O x I, bias of O."""

    name = "tfl.fully_connected"

    input = operand_def(TensorType)
    filter = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    output = result_def(TensorType)
    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    weights_format = prop_def(StringAttr, StringAttr("DEFAULT"))
    keep_num_dims = prop_def(BoolAttr, tfl.FALSE)
    asymmetric_quantize_inputs = prop_def(BoolAttr, tfl.FALSE)
    quantized_bias_type = prop_def(StringAttr, StringAttr("FLOAT32"))
    quant_spec = opt_prop_def(tfl.ConstBytesAttr)
    traits = traits_def(Pure())


def check(op: FullyConnectedOp) -> None:
    if tfl.constant_value(op.filter) is None:
        _check_computed_weights(op)
    else:
        weighted.check_weights(op)
    rules.require(op.weights_format.data == "DEFAULT", "weights must not be shuffled", op.filter)
    channels, depth = rules.shape(op.filter)
    size = math.prod(rules.shape(op.input))
    rules.require(size % depth == 0, f"the input must be rows of {depth}", op.input)
    rows: tuple[int, ...] = (size // depth,)
    if op.keep_num_dims:
        rows = rules.shape(op.input)[:-1]
        rules.require(rules.shape(op.input)[-1] == depth, f"the input must be rows of {depth}", op.input)
    rules.require_shape(op.output, (*rows, channels))


def _check_computed_weights(op: FullyConnectedOp) -> None:
    rules.check_activation(op.fused_activation_function, op.output)
    rules.same_storage(op, [op.input, op.filter], op.output)
    weights = rules.element(op.filter)
    rules.require(not weights.is_per_axis, "weights that are computed must be quantised per tensor", op.filter)
    rules.require(weights.data.storage_width == 8, "weights must be of 8 bits", op.filter)
    shape = rules.shape(op.filter)
    rules.require(len(shape) == 2 and min(shape) >= 1, "computed weights must be a matrix of constant shape", op.filter)
    channels, depth = shape
    if op.bias is not None:
        bias = tfl.constant_value(op.bias)
        fits = bias is not None and bias.get_shape() == (channels,) and bias.get_element_type() == i32
        rules.require(fits, f"biases must be {channels} constants of 32 bits", op.bias)
    rows = math.prod(rules.shape(op.input)) // depth
    matrix_products.check((op.input, op.filter), ((1, rows), (1, channels)), depth, op.output)
    least, greatest = _computed_sums(op)
    rules.require(max(-least, greatest) < 1 << 31, "sums of products with their bias must fit 32 bits", op.output)
    fits = max(-least, greatest) * _computed_factor(op) < 2.0**31 - 512
    rules.require(fits, "scaled sums must fit 32 bits", op.output)
    rounds = _computed_scale(op) is not None
    rules.require(rounds, "scales must be such that a 31-bit multiplier can round as TFLite's doubles do", op.output)


def _computed_sums(op: FullyConnectedOp) -> tuple[int, int]:
    """Least and greatest sum of products and bias."""
    least, greatest = matrix_products.bounds((op.input, op.filter), rules.shape(op.filter)[1])
    bias = tfl.constant_array(op.bias)
    if bias is None:
        return least, greatest
    return least + min(int(bias.min()), 0), greatest + max(int(bias.max()), 0)


def _computed_factor(op: FullyConnectedOp) -> float:
    return quantized(op.input).scale * quantized(op.filter).scale / quantized(op.output).scale


def _computed_scale(op: FullyConnectedOp) -> tuple[int, int] | None:
    """Multiplier and shift that round every sum once, halves away from zero; None if there are none."""
    output = quantized(op.output)
    limits = (limit - output.zero_point for limit in _limits(op))
    return half_away.one_step(_computed_factor(op), half_away.Range(*_computed_sums(op), *limits))


def _limits(op: FullyConnectedOp) -> tuple[int, int]:
    output = quantized(op.output)
    return fixed_point.activation_limits(
        op.fused_activation_function.data, output.scale, output.zero_point, output.storage_limits
    )


def convert(build: Builder, op: FullyConnectedOp) -> list[SSAValue]:
    """FULLY_CONNECTED with constant weights, as a 1x1 convolution over one row with a column a batch."""
    x = per_tensor(op.input)
    weights = weighted.weight_quantization(op.filter)
    channels, depth = shape_of(op.filter)
    count = 1
    for size in shape_of(op.input):
        count *= size
    batch = count // depth
    accumulator = weighted.accumulator_of(x)
    accumulated = build.insert(
        tosa.Conv2DOp(
            build.reshape(build.storage(op.input), (1, 1, batch, depth)),
            build.reshaped_constant(op.filter, (channels, 1, 1, depth)),
            weighted.bias_constant(build, op.bias, channels, accumulator),
            *weighted.zero_points(build, x, weights),
            TensorType(accumulator, [1, 1, batch, channels]),
            pad=(0, 0, 0, 0),
            stride=(1, 1),
            dilation=(1, 1),
        )
    )
    return [build.reshape(weighted.narrow(build, op, accumulated), shape_of(op.output))]


def goes_directly(op: FullyConnectedOp) -> bool:
    """Whether weights are computed, or no single rescale rounds as LiteRT does, but several 32-bit operations do."""
    if quantization(op.filter) is None:
        return False
    if tfl.constant_value(op.filter) is None:
        return True
    try:
        return bool(weighted_sums.scaling(op).steps)
    except weighted_sums.CannotScale:
        return False


def lower(op: FullyConnectedOp, emit: QuantizedEmitter) -> None:
    """Replace a fully connected operator by the kernels of its steps, or of its computed weights."""
    if tfl.constant_value(op.filter) is None:
        _lower_computed_weights(op, emit)
        return
    input_, output, weights = quantized(op.input), quantized(op.output), weighted.weight_quantization(op.filter)
    steps = weighted_sums.scaling(op).steps
    channels, depth = shape_of(op.filter)
    rows = batch_map(prod(shape_of(op.input)) // depth)
    wide = TensorType(i32, [1, *rows, channels])

    def constant(of: Callable[[Steps], int]) -> SSAValue:
        values = [of(step) for step in steps] * (channels // len(steps))
        return emit.constant(np.array(values, np.int32).reshape(1, 1, 1, channels))

    def mul(value: SSAValue, of: Callable[[Steps], int], shift: int) -> SSAValue:
        return emit.elementwise("mul", value, constant(of), wide, scale=Scale("double_round", 1, shift))

    def sub(a: SSAValue, b: SSAValue) -> SSAValue:
        return emit.elementwise("sub", a, b, wide, scale=IDENTITY)

    bias = tfl.constant_array(op.bias)
    factors = np.array([step.factor for step in steps] * (channels // len(steps)))
    stored = tfl.constant_array(op.filter)
    assert stored is not None
    sums = emit.convolution(
        npu_schedule.Conv2DOp,
        emit.view(emit.storage(op.input), (1, *rows, depth)),
        emit.constant(stored.reshape(channels, 1, 1, depth), weights.storage_type),
        emit.scales(np.zeros(channels) if bias is None else bias, factors, np.zeros(channels)),
        wide,
        window=Window(),
        zero_points=(input_.zero_point, 0),
        rounding=Scale("natural"),
        weight_zero_point=weights.zero_points[0],
    )
    quotient = mul(sums, lambda step: step.reciprocal, half_away.QUOTIENT_SHIFT)
    over = sub(sums, mul(quotient, lambda step: step.divisor, 0))
    over = mul(over, lambda step: step.left, 0)
    over = sub(over, mul(quotient, lambda step: step.rest, half_away.REST_SHIFT))
    correction = mul(over, lambda step: step.correction, half_away.CORRECTION_SHIFT)
    low, high = _limits(op)
    result = emit.elementwise(
        "add",
        quotient,
        correction,
        TensorType(output.storage_type, [1, *rows, channels]),
        zero_points=(0, 0, output.zero_point),
        scale=IDENTITY,
        activation=Activation(low, high),
    )
    emit.replace([result])


def _lower_computed_weights(op: FullyConnectedOp, emit: QuantizedEmitter) -> None:
    input_, output, weights = quantized(op.input), quantized(op.output), quantized(op.filter)
    channels, depth = shape_of(op.filter)
    scale = _computed_scale(op)
    assert scale is not None
    rounding, activation = Scale("natural", *scale), Activation(*_limits(op))
    total = matrix_products.product(
        emit,
        emit.view(emit.storage(op.input), (1, 1, prod(shape_of(op.input)) // depth, depth)),
        emit.view(emit.storage(op.filter), (1, 1, channels, depth)),
        (input_.zero_point, weights.zero_point),
        matrix_products.Result(output.storage_type, output.zero_point, rounding, activation),
        tfl.constant_array(op.bias),
    )
    emit.replace([total])


OPERATORS = (
    Operator(
        op=FullyConnectedOp,
        kernels="one CONV, or nine kernels where one scale does not round as LiteRT does; or as BATCH_MATMUL",
        check=check,
        convert=convert,
        lower=lower,
        directly=goes_directly,
        data=("input",),
        batches=True,
    ),
)
