"""
CONV_2D with constant weights; `support/weighted.py` says how it accumulates and is scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import rules, weighted
from npuc.operators.support.builder import Builder, CannotConvert, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


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


def check(op: Conv2DOp) -> None:
    weighted.check_weights(op)
    weighted.check_window(op)
    rules.require(rules.shape(op.filter)[3] == rules.shape(op.input)[3], "convolutions must not be grouped", op.filter)


def convert(build: Builder, op: Conv2DOp) -> list[SSAValue]:
    """CONV_2D with constant weights and one group."""
    shape = shape_of(op.filter)
    if shape_of(op.input)[-1] != shape[3]:
        raise CannotConvert("a grouped convolution")
    return weighted.convolution(build, op, tosa.Conv2DOp, weighted.weight_quantization(op.filter, 0), shape, shape[0])


OPERATORS = (Operator(op=Conv2DOp, kernels="one CONV", check=check, convert=convert, data=("input",)),)
