"""
`convert-tfl-to-npu-schedule`: NPU kernels for the operators that TOSA would shatter, and the end of quantised types.

Assumes: NPU regions from which `convert-tosa-to-npu-schedule` has taken everything else; operands as the partition's
legality predicate allows them; others are an error in its words.
Decides nothing by itself: the record of each operator (npuc.operators) has its recipe, exact to LiteRT's reference
kernel.
Leaves: regions wholly in `npu_schedule`. Arguments and results have their storage types; the host's `npu.invoke` keeps
the quantised ones.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.locations import OperationError, concerning
from npuc.dialects.npu import regions_of
from npuc.dialects.quant import StorageCastOp, machine_tensor
from npuc.lowering.npu_regions import erase_unused, own_results
from npuc.operators import operator_of
from npuc.operators.support.legality import cpu_reason
from npuc.operators.support.quantized import QuantizedEmitter


@dataclass(frozen=True)
class ConvertTflToNpuSchedulePass(ModulePass):
    """Lower what is left of `tfl` to kernels and drop quantised types."""

    name = "convert-tfl-to-npu-schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in regions_of(op):
            for inner in list(function.body.block.ops):
                with concerning(inner):
                    _lower(inner)
            drop_quantisation(function)
            erase_unused(function)
            left = [i for i in function.body.block.ops if i.dialect_name() not in ("npu_schedule", "func")]
            if left:
                raise OperationError(left[0], "the NPU has no kernel for it")
            own_results(function)


def _lower(op: Operation) -> None:
    record = operator_of(op)
    if record is None or record.lower is None or not isinstance(op, tfl.TflOp) or not record.goes_directly(op):
        return
    reason = cpu_reason(op)
    if reason is not None:
        raise OperationError(op, reason)
    record.lower(op, QuantizedEmitter(op))


def drop_quantisation(function: FuncOp) -> None:
    """Give arguments and results of a region their storage types; casts between the two kinds of type disappear."""
    block = function.body.block
    for op in list(block.ops):
        if isinstance(op, StorageCastOp):
            op.result.replace_all_uses_with(_stored(op.input, op))
            Rewriter.erase_op(op)
    for argument in block.args:
        Rewriter.replace_value_with_new_type(argument, machine_tensor(argument.type))
    end = block.last_op
    assert isinstance(end, ReturnOp)
    for index, value in enumerate(end.operands):
        end.operands[index] = _stored(value, end)
    function.function_type = FunctionType.from_lists(
        [arg.type for arg in block.args], [value.type for value in end.operands]
    )


def _stored(value: SSAValue, user: Operation) -> SSAValue:
    """What a cast of `value` or a return yields: an argument as it will be, a constant's integers, a plain value."""
    if tfl.constant_value(value) is not None:
        return QuantizedEmitter(user).storage(value)
    return value
