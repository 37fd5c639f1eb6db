"""
`convert-tosa-to-npu-schedule`: NPU kernels for what is left in TOSA.

Assumes: static shapes, constant weights, zero points and scales.
Decides: which `tosa.rescale` becomes part of the kernel before it (each that follows a convolution, and those that
make ADD, SUB, MUL and ABS of 8 or 16 bits), how tensors of any rank and batch are seen as height x width x depth, and
how strides, dilations and windows beyond the NPU's are expressed: of several forms the one that the cost model calls
quickest. Every other operation becomes a kernel of its own.
Leaves: `tfl` and `quant` operations to `convert-tfl-to-npu-schedule`; clamps and tables as kernels to
`npu-schedule-fuse-activations`; slices and concats with a copy each to `npu-schedule-fold-views`. A TOSA operation
that has no kernel is an error.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.dialects import tosa
from npuc.dialects.locations import OperationError, concerning
from npuc.dialects.npu import regions_of
from npuc.dialects.quant import machine_tensor
from npuc.lowering.npu_regions import erase_unused, own_results
from npuc.lowering.tosa_to_npu_schedule.convolution import lower_convolution
from npuc.lowering.tosa_to_npu_schedule.data import (
    lower_concat,
    lower_gather,
    lower_pad,
    lower_reshape,
    lower_reverse,
    lower_slice,
    lower_tile,
    lower_transpose,
)
from npuc.lowering.tosa_to_npu_schedule.elementwise import (
    fuse_leaky_relu,
    fuse_rescale,
    lower_binary,
    lower_clamp,
    lower_clz,
    lower_rescale,
    lower_table,
)
from npuc.lowering.tosa_to_npu_schedule.pooling import lower_pool
from npuc.operators.support.kernels import Emitter

Convolution = tosa.Conv2DOp | tosa.DepthwiseConv2DOp | tosa.TransposeConv2DOp


@dataclass(frozen=True)
class ConvertTosaToNpuSchedulePass(ModulePass):
    """Lower `tosa` to kernels."""

    name = "convert-tosa-to-npu-schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in regions_of(op):
            convert(function)


def convert(function: FuncOp) -> None:
    """Lower all `tosa` operations of one region."""
    for op in list(function.body.block.ops):
        with concerning(op):
            _fuse(op)
    erase_unused(function)
    for op in list(function.body.block.ops):
        with concerning(op):
            _lower(op)
    erase_unused(function)
    # The constants that are left are feature maps; all others have been read as numbers.
    for op in list(function.body.block.ops):
        if isinstance(op, tosa.ConstOp):
            emit = Emitter(op)
            emit.replace([emit.dense(op.values)])
    values = [*function.args, *function.body.block.last_op.operands] if function.body.block.last_op else []
    # Else the conversion of what is left does that.
    whole = not any(op.dialect_name() == "tfl" for op in function.body.block.ops)
    if whole and all(machine_tensor(value.type) == value.type for value in values):
        own_results(function)


def _fuse(op: Operation) -> None:
    if isinstance(op, tosa.RescaleOp):
        if isinstance(op.input.owner, Convolution):
            lower_convolution(op.input.owner, op, Emitter(op))
        else:
            fuse_rescale(op, Emitter(op))
    elif isinstance(op, tosa.MinimumOp | tosa.MaximumOp):
        fuse_leaky_relu(op, Emitter(op))


def _lower(op: Operation) -> None:
    emit = Emitter(op)
    match op:
        case tosa.Conv2DOp() | tosa.DepthwiseConv2DOp() | tosa.TransposeConv2DOp():
            lower_convolution(op, None, emit)
        case tosa.AvgPool2DOp() | tosa.MaxPool2DOp():
            lower_pool(op, emit)
        case tosa.RescaleOp():
            lower_rescale(op, emit)
        case tosa.ClampOp():
            lower_clamp(op, emit)
        case tosa.TableOp():
            lower_table(op, emit)
        case (
            tosa.AddOp() | tosa.SubOp() | tosa.MulOp() | tosa.MinimumOp() | tosa.MaximumOp() | tosa.LogicalLeftShiftOp()
        ):
            lower_binary(op, emit)
        case tosa.ClzOp():
            lower_clz(op, emit)
        case tosa.ReshapeOp():
            lower_reshape(op, emit)
        case tosa.ConcatOp():
            lower_concat(op, emit)
        case tosa.SliceOp():
            lower_slice(op, emit)
        case tosa.PadOp():
            lower_pad(op, emit)
        case tosa.TileOp():
            lower_tile(op, emit)
        case tosa.GatherOp():
            lower_gather(op, emit)
        case tosa.TransposeOp():
            lower_transpose(op, emit)
        case tosa.ReverseOp():
            lower_reverse(op, emit)
        case tosa.IdentityOp():
            emit.replace([op.input1])
        case tosa.ConstOp() | tosa.ConstShapeOp():
            pass
        case _:
            if op.dialect_name() == "tosa":
                raise OperationError(op, "the NPU has no kernel for it")
