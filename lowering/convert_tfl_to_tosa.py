"""
`convert-tfl-to-tosa`: tfl operations as integer arithmetic, exact to LiteRT's reference kernels.

Assumes static shapes, 8- or 16-bit quantisation and constant weights: what the partition lets into an NPU region.
Works on the functions marked `npu.region` if the module has any, else on all.

Decides how each operator is written, one small file a family in tfl_to_tosa/: rounding modes, multipliers, tables.
Operators that tosa would shatter stay tfl and go to npu_schedule directly: SOFTMAX, MEAN, HARD_SWISH,
RESIZE_NEAREST_NEIGHBOR, LOGISTIC and TANH on 16 bit, and FULLY_CONNECTED where it takes several steps to round as
LiteRT does. What else cannot be written exactly is an error in an NPU region and stays as it is elsewhere.

Leaves function types alone: `quant.scast` stands between a quantised value (an argument, a result, an operand of an
operation that stays tfl) and its integers. Every operation has the location of the tfl operation that it came from;
the last of them makes that operation's tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import is_region, regions_of
from npuc.dialects.quant import StorageCastOp, storage_tensor
from npuc.lowering.tfl_to_tosa import activation, convolution, elementwise, movement, pooling
from npuc.lowering.tfl_to_tosa.builder import Builder, CannotConvert

CONVERSIONS: dict[type[Operation], Callable[[Builder, Any], list[SSAValue]]] = {
    tfl.AbsOp: elementwise.absolute,
    tfl.AddOp: elementwise.add_sub,
    tfl.AveragePool2DOp: pooling.pool_2d,
    tfl.ConcatenationOp: movement.concatenation,
    tfl.Conv2DOp: convolution.conv_2d,
    tfl.DepthwiseConv2DOp: convolution.depthwise_conv_2d,
    tfl.ExpandDimsOp: movement.reshape,
    tfl.FullyConnectedOp: convolution.fully_connected,
    tfl.LeakyReluOp: activation.leaky_relu,
    tfl.LogisticOp: activation.logistic,
    tfl.MaxPool2DOp: pooling.pool_2d,
    tfl.MaximumOp: elementwise.minimum_maximum,
    tfl.MinimumOp: elementwise.minimum_maximum,
    tfl.MulOp: elementwise.mul,
    tfl.PadOp: movement.pad,
    tfl.PadV2Op: movement.pad,
    tfl.QuantizeOp: activation.quantize,
    tfl.Relu0To1Op: activation.relu,
    tfl.Relu6Op: activation.relu,
    tfl.ReluN1To1Op: activation.relu,
    tfl.ReluOp: activation.relu,
    tfl.ReshapeOp: movement.reshape,
    tfl.SliceOp: movement.slice_,
    tfl.SplitOp: movement.split,
    tfl.SplitVOp: movement.split,
    tfl.SqueezeOp: movement.reshape,
    tfl.StridedSliceOp: movement.strided_slice,
    tfl.SubOp: elementwise.add_sub,
    tfl.TanhOp: activation.tanh,
    tfl.TransposeConvOp: convolution.transpose_conv,
    tfl.TransposeOp: movement.transpose,
}
"""How each operator is written."""

DIRECT: tuple[type[Operation], ...] = (
    tfl.SoftmaxOp,
    tfl.MeanOp,
    tfl.HardSwishOp,
    tfl.ResizeNearestNeighborOp,
)
"""Operators that always go to npu_schedule as they are."""


def goes_directly(op: Operation) -> bool:
    """Whether an operation stays tfl on its way to npu_schedule."""
    match op:
        case tfl.LogisticOp() | tfl.TanhOp():
            return activation.is_16_bit(op)
        case tfl.FullyConnectedOp():
            return convolution.takes_several_steps(op)
        case _:
            return isinstance(op, DIRECT)


@dataclass(frozen=True)
class ConvertTflToTosaPass(ModulePass):
    """tfl operations as integer arithmetic, exact to LiteRT's reference kernels."""

    name = "convert-tfl-to-tosa"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in regions_of(op):
            for block in function.body.blocks:
                _convert(block, in_region=is_region(function))


def _convert(block: Block, in_region: bool) -> None:
    build = Builder()
    converted: list[Operation] = []
    for op in list(block.ops):
        build.at = op
        conversion = CONVERSIONS.get(type(op))
        if conversion is None or goes_directly(op):
            if in_region and isinstance(op, tfl.TflOp) and not goes_directly(op) and not _is_source(op):
                raise OperationError(op, "it is in an NPU region, but nothing converts it")
            op.operands = [build.quantized(operand) for operand in op.operands]
            continue
        try:
            results = conversion(build, op)
            _check_types(op, results)
        except CannotConvert as error:
            if in_region:
                raise OperationError(op, f"it is in an NPU region, but cannot be converted: {error}") from error
            op.operands = [build.quantized(operand) for operand in op.operands]
            continue
        for result, plain in zip(op.results, results, strict=True):
            build.define(result, plain)
        converted.append(op)
    for op in reversed(converted):
        Rewriter.erase_op(op)
    # Weights and shapes that nothing reads any more, and what a refused conversion had begun.
    for op in reversed(list(block.ops)):
        left_over = isinstance(op, tfl.ConstantOp | StorageCastOp) or op.dialect_name() == "tosa"
        if left_over and not any(result.uses for result in op.results):
            Rewriter.erase_op(op)


def _check_types(op: Operation, results: list[SSAValue]) -> None:
    for result, plain in zip(op.results, results, strict=True):
        if plain.type != storage_tensor(result.type):
            raise CannotConvert(f"its operands make {plain.type} of what it says is {result.type}")


def _is_source(op: Operation) -> bool:
    return isinstance(op, tfl.ConstantOp | tfl.NoValueOp | tfl.PseudoTensorOp)
