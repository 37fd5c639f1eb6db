"""
DEPTHWISE_CONV_2D with constant weights, any depth multiplier; `support/weighted.py` says how it accumulates and is
scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import rules, weighted
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class DepthwiseConv2DOp(tfl.TflOp):
    """NHWC input, filter 1 x H x W x (C * depth_multiplier), bias of the output depth."""

    name = "tfl.depthwise_conv_2d"

    input = operand_def(TensorType)
    filter = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    output = result_def(TensorType)
    padding = prop_def(StringAttr)
    stride_h = prop_def(IntegerAttr)
    stride_w = prop_def(IntegerAttr)
    depth_multiplier = prop_def(IntegerAttr)
    dilation_h_factor = prop_def(IntegerAttr, tfl.ONE)
    dilation_w_factor = prop_def(IntegerAttr, tfl.ONE)
    fused_activation_function = prop_def(StringAttr, tfl.NO_ACTIVATION)
    traits = traits_def(Pure())


def check(op: DepthwiseConv2DOp) -> None:
    weighted.check_weights(op)
    weighted.check_window(op, mixes=False)
    channels, depth = rules.shape(op.input)[3], rules.shape(op.filter)[3]
    rules.require(depth % channels == 0, "each channel must have equally many results", op.filter)
    rules.require(rules.shape(op.filter)[0] == 1, "depthwise weights must begin with a dimension of 1", op.filter)


def convert(build: Builder, op: DepthwiseConv2DOp) -> list[SSAValue]:
    """DEPTHWISE_CONV_2D with constant weights, any depth multiplier."""
    _, height, width, channels = shape_of(op.filter)
    depth = shape_of(op.input)[-1]
    shape = (height, width, depth, channels // depth)
    return weighted.convolution(
        build, op, tosa.DepthwiseConv2DOp, weighted.weight_quantization(op.filter), shape, channels
    )


OPERATORS = (
    Operator(
        op=DepthwiseConv2DOp,
        kernels="one DEPTHWISE, one for each image of a batch; with a depth multiplier a CONV for a few channels",
        check=check,
        convert=convert,
        data=("input",),
        batches=True,
    ),
)
