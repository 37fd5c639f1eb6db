"""
`convert-tfl-to-tosa`: tfl operations as integer arithmetic, exact to LiteRT's reference kernels.

Assumes what the rules of the operators let into an NPU region, which it asks where `tfl-partition` has not. Works on
the functions marked `npu.region` if the module has any, else on all.

Decides nothing by itself: the record of each operator (npuc.operators) says how it is written, with which rounding
modes, multipliers and tables. Operators that tosa would shatter stay tfl and go to npu_schedule directly, as SOFTMAX
does. What else cannot be written exactly is an error in an NPU region and stays as it is elsewhere.

Leaves function types alone: `quant.scast` stands between a quantised value (an argument, a result, an operand of an
operation that stays tfl) and its integers. Every operation has the location of the tfl operation that it came from;
the last of them makes that operation's tensor.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import PARTITIONED_ATTR, is_region, regions_of
from npuc.dialects.quant import StorageCastOp, machine_tensor
from npuc.operators import operator_of
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, CannotConvert
from npuc.operators.support.legality import cpu_reason


@dataclass(frozen=True)
class ConvertTflToTosaPass(ModulePass):
    """tfl operations as integer arithmetic, exact to LiteRT's reference kernels."""

    name = "convert-tfl-to-tosa"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        asked = PARTITIONED_ATTR in op.attributes
        for function in regions_of(op):
            for block in function.body.blocks:
                convert_block(block, in_region=is_region(function), asked=asked)


def convert_block(block: Block, in_region: bool, asked: bool) -> None:
    """
    Operators that have a conversion become tosa; OperationError for others that an NPU region must not have. Unless
    they have been `asked` before, the rules of the operators are.
    """
    build = Builder()
    converted: list[Operation] = []
    for op in list(block.ops):
        build.at = op
        record = operator_of(op)
        if record is None and in_region and isinstance(op, tfl.TflOp) and not _is_source(op):
            raise OperationError(op, "it is in an NPU region, but nothing converts it")
        if record is None or record.convert is None or (isinstance(op, tfl.TflOp) and record.goes_directly(op)):
            op.operands = [build.quantized(operand) for operand in op.operands]
            continue
        try:
            reason = None if asked else cpu_reason(op)
            if reason is not None:
                raise CannotConvert(reason)
            results = record.convert(build, op)
            _check_types(op, results)
        except (CannotConvert, rules.Refused) as error:
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
        if plain.type != machine_tensor(result.type):
            raise CannotConvert(f"its operands make {plain.type} of what it says is {result.type}")


def _is_source(op: Operation) -> bool:
    return isinstance(op, tfl.ConstantOp | tfl.NoValueOp | tfl.PseudoTensorOp)
