"""
`npu-schedule-fold-views`: no copies where the machine can read or write in place.

Assumes: the conversions' caution: each operand of a concat is copied to its place, each slice is copied out.
Decides: a kernel writes straight into the concat that its result was copied to, also through a reshape whose bytes
strides can follow, and other kernels read it there; kernels read slices (also every n-th row or column) where they
lie; copies of copies are one. A result of the region keeps memory of its own, and each value is placed once.
Leaves: copies of arguments, constants and slices into a concat, which move bytes in any case, and copies whose
removal would ask for a reshape that no strides express.
Leaving it out costs copies and memory and changes no result.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.storage import Storage, base_of, makes_bytes, placing_uses, reshapes_of
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import ConcatOp, CopyOp, ReshapeOp, SliceOp


@dataclass(frozen=True)
class NpuScheduleFoldViewsPass(ModulePass):
    """Remove copies that views can stand for."""

    name = "npu-schedule-fold-views"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            # Last copies first, so that where a concat lies is known before anything is placed in it.
            for copy in reversed([c for c in function.body.walk() if isinstance(c, CopyOp)]):
                fold(function, copy)


def fold(function: FuncOp, copy: CopyOp) -> bool:
    """Take out one copy if its source can stand for it; whether it could."""
    source, result = copy.ifm, copy.result
    if source.type != result.type or not _may_stand_for(source, result):
        return False
    uses = list(result.uses)
    for use in uses:
        use.operation.operands[use.index] = source
    try:
        _check(Storage(function), base_of(source))
    except OperationError:
        for use in uses:
            use.operation.operands[use.index] = result
        return False
    Rewriter.erase_op(copy)
    return True


def _may_stand_for(source: SSAValue, result: SSAValue) -> bool:
    """Whether `source` may be placed and returned as `result` is, next to what is done with it already."""
    copied = reshapes_of(result)
    base = base_of(source)
    if not makes_bytes(base):
        return not placing_uses(copied) and not _returns(copied)
    placed, returned = len(placing_uses(copied)), _returns(copied)
    if not placed and not returned:
        return True
    group = reshapes_of(base)
    return placed + returned + len(placing_uses(group)) + _returns(group) == 1


def _returns(group: list[SSAValue]) -> int:
    return sum(isinstance(use.operation, ReturnOp) for member in group for use in member.uses)


def _check(storage: Storage, value: SSAValue) -> None:
    """Raise OperationError unless all that lies in the storage of `value` has a place there."""
    for member in reshapes_of(value):
        storage.place(member)
        for use in member.uses:
            if isinstance(use.operation, SliceOp):
                _check(storage, use.operation.result)
    if isinstance(value.owner, ConcatOp):
        for operand in value.owner.inputs:
            _check(storage, base_of(operand))
    elif isinstance(value.owner, ReshapeOp):
        storage.place(value)
