"""
RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1: one rescale, and a clamp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.quant import to_float32
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, per_tensor, scale_of
from npuc.operators.support.record import BYTES, NO_KERNEL, Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class ReluOp(tfl.UnaryOp):
    name = "tfl.relu"


@irdl_op_definition
class Relu6Op(tfl.UnaryOp):
    name = "tfl.relu6"


@irdl_op_definition
class ReluN1To1Op(tfl.UnaryOp):
    """Clamp to [-1, 1]."""

    name = "tfl.relu_n1_to_1"


@irdl_op_definition
class Relu0To1Op(tfl.UnaryOp):
    """Clamp to [0, 1]."""

    name = "tfl.relu_0_to_1"


def check_relu(op: ReluOp) -> None:
    rules.check_rescaled(op)


def check_relu6(op: Relu6Op) -> None:
    rules.check_rescaled(op)
    rules.check_limits(op.output, "RELU6")


def check_relu_0_to_1(op: Relu0To1Op) -> None:
    rules.check_rescaled(op)
    rules.check_limits(op.output, "RELU_0_TO_1")


def check_relu_n1_to_1(op: ReluN1To1Op) -> None:
    rules.check_rescaled(op)
    rules.check_limits(op.output, "RELU_N1_TO_1")


RELU_NAMES: dict[type[tfl.UnaryOp], str] = {
    ReluOp: "RELU",
    Relu6Op: "RELU6",
    ReluN1To1Op: "RELU_N1_TO_1",
    Relu0To1Op: "RELU_0_TO_1",
}


def convert(build: Builder, op: tfl.UnaryOp) -> list[SSAValue]:
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


OPERATORS = (
    Operator(
        op=ReluOp,
        kernels="one copy with scale and clip, or the clip of the kernel before",
        check=check_relu,
        convert=convert,
        rank=6,
        batches=True,
        host_cycles=4.0,
    ),
    Operator(op=Relu6Op, kernels="as RELU", check=check_relu6, convert=convert, rank=6, batches=True, host_cycles=4.0),
    Operator(
        op=Relu0To1Op,
        kernels="as RELU",
        check=check_relu_0_to_1,
        convert=convert,
        types=BYTES,
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
    Operator(
        op=ReluN1To1Op,
        kernels="as RELU",
        check=check_relu_n1_to_1,
        convert=convert,
        types=BYTES,
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
