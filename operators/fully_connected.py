"""
FULLY_CONNECTED with constant weights: a 1x1 convolution; `support/weighted.py` says how it accumulates and is scaled.

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
from npuc.operators.support import rules, weighted
from npuc.operators.support.builder import Builder, CannotConvert, per_tensor, shape_of
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


def convert(build: Builder, op: FullyConnectedOp) -> list[SSAValue]:
    """FULLY_CONNECTED with constant weights, as a 1x1 convolution over one row with a column a batch."""
    x = per_tensor(op.input)
    weights = weighted.weight_quantization(op.filter, 0)
    if op.weights_format.data != "DEFAULT":
        raise CannotConvert(f"weights in the format {op.weights_format.data}")
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


def takes_several_steps(op: FullyConnectedOp) -> bool:
    """Whether no single rescale rounds as LiteRT does, but several 32-bit operations do."""
    if quantization(op.filter) is None or tfl.constant_value(op.filter) is None:
        return False
    try:
        return bool(weighted_sums.scaling(op).steps)
    except weighted_sums.CannotScale:
        return False


def lower(op: FullyConnectedOp, emit: QuantizedEmitter) -> None:
    """Replace a fully connected operator by the kernels of its steps."""
    input_, output, weights = quantized(op.input), quantized(op.output), weighted.weight_quantization(op.filter, 0)
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
    low, high = fixed_point.activation_limits(
        op.fused_activation_function.data, output.scale, output.zero_point, output.storage_limits
    )
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


OPERATORS = (
    Operator(
        op=FullyConnectedOp,
        kernels="one CONV; nine kernels where one scale does not round as LiteRT does",
        check=check,
        convert=convert,
        lower=lower,
        directly=takes_several_steps,
        data=("input",),
        batches=True,
    ),
)
