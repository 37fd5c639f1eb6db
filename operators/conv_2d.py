"""
CONV_2D with constant weights; `support/weighted.py` says how it accumulates and is scaled, `support/convolutions.py`
which kernels it becomes. Grouped ones, which TOSA does not have, become kernels directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Scale
from npuc.operators.support import rules, weighted
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import convolutions, fixed_point, weighted_sums
else:
    np, tosa, convolutions, fixed_point, weighted_sums = deferred(
        "numpy",
        "npuc.dialects.tosa",
        "npuc.operators.support.convolutions",
        "npuc.operators.support.fixed_point",
        "npuc.operators.support.weighted_sums",
    )


@irdl_op_definition
class Conv2DOp(tfl.TflOp):
    """NHWC input, OHWI filter, bias of O; `input` depth is a multiple of `filter` depth (grouped where greater)."""

    name = "tfl.conv_2d"

    input = operand_def(TensorType)
    filter = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    output = result_def(TensorType)
    padding = prop_def(StringAttr)
    stride_h = prop_def(IntegerAttr)
    stride_w = prop_def(IntegerAttr)
    dilation_h_factor = prop_def(IntegerAttr, tfl.ONE)
    dilation_w_factor = prop_def(IntegerAttr, tfl.ONE)
    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    quantized_bias_type = prop_def(StringAttr, StringAttr("FLOAT32"))
    traits = traits_def(Pure())


def groups_of(op: Conv2DOp) -> int:
    """How many parts the channels fall in."""
    return rules.shape(op.input)[3] // rules.shape(op.filter)[3]


def is_grouped(op: Conv2DOp) -> bool:
    """Whether results have products of a part of the channels."""
    sizes = rules.shape(op.input), rules.shape(op.filter)
    return len(sizes[0]) == len(sizes[1]) == 4 and sizes[1][3] > 0 and groups_of(op) > 1


def check(op: Conv2DOp) -> None:
    weighted.check_weights(op)
    weighted.check_window(op, mixes=not is_grouped(op))
    channels, depth = rules.shape(op.input)[3], rules.shape(op.filter)[3]
    divides = channels % depth == 0 and rules.shape(op.filter)[0] % groups_of(op) == 0
    rules.require(divides, "groups must have equal numbers of channels and of results", op.filter)


def convert(build: Builder, op: Conv2DOp) -> list[SSAValue]:
    """CONV_2D with constant weights and one group."""
    shape = shape_of(op.filter)
    return weighted.convolution(build, op, tosa.Conv2DOp, weighted.weight_quantization(op.filter), shape, shape[0])


def lower(op: Conv2DOp, emit: QuantizedEmitter) -> None:
    """Replace a grouped convolution, which TOSA does not have, by its kernels."""
    input_, output, filter_ = quantized(op.input), quantized(op.output), weighted.weight_quantization(op.filter)
    weights, bias, scaling = tfl.constant_array(op.filter), tfl.constant_array(op.bias), weighted_sums.scaling(op)
    assert weights is not None
    channels = weights.shape[0]
    low, high = fixed_point.activation_limits(
        op.fused_activation_function.data, output.scale, output.zero_point, output.storage_limits
    )
    convolution = convolutions.Convolution(
        weights,
        filter_.storage_type,
        (
            np.zeros(channels, np.int64) if bias is None else bias,
            np.broadcast_to(scaling.multipliers, (channels,)),
            np.broadcast_to(scaling.shifts, (channels,)),
        ),
        Scale("double_round" if scaling.twice else "natural"),
        (input_.zero_point, output.zero_point),
        filter_.zero_points[0],
        groups_of(op),
        Activation(low, high),
    )
    dilation = (op.dilation_h_factor.value.data, op.dilation_w_factor.value.data)
    rows, columns = rules.axes(op.input, weights.shape[1:3], rules.strides(op), dilation, op.padding.data)
    emit.replace([convolutions.convolve(emit, emit.storage(op.input), rows, columns, convolution, output.storage_type)])


OPERATORS = (
    Operator(
        op=Conv2DOp,
        kernels="one CONV; one for a few groups, and for each image of a batch unless windows have no overlap",
        check=check,
        convert=convert,
        lower=lower,
        directly=is_grouped,
        data=("input",),
        batches=True,
    ),
)
