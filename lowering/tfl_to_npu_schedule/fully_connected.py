"""
FULLY_CONNECTED whose rounding takes several steps: a convolution to 32-bit sums, then a quotient and its correction.

    %s = conv2d %x           sum * factor, 32 bits
    %q = mul %s, reciprocal  the quotient, at most one off
    %d = mul %q, divisor
    %z = sub %s, %d          what is left over
    %l = mul %z, left
    %r = mul %q, rest
    %e = sub %l, %r          the same, with more bits
    %c = mul %e, correction  -1, 0 or 1
    %y = add %q, %c          zero point, activation

`analysis/half_away.py` says why this is exact; the constants differ by channel, the shifts do not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import SSAValue

from npuc.analysis import half_away
from npuc.analysis.fixed_point import activation_limits
from npuc.analysis.half_away import Steps
from npuc.analysis.weighted_sums import scaling
from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale, Window
from npuc.dialects.npu_schedule import Conv2DOp
from npuc.lowering.npu_kernels import IDENTITY, batch_map, shape_of
from npuc.lowering.tfl_to_npu_schedule.common import QuantizedEmitter, quantized


def lower_fully_connected(op: tfl.FullyConnectedOp, emit: QuantizedEmitter) -> None:
    """Replace a fully connected operator by the kernels of its steps."""
    input_, output, weights = quantized(op.input), quantized(op.output), quantized(op.filter)
    steps = scaling(op).steps
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
        Conv2DOp,
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
    low, high = activation_limits(
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
