"""
`npu-schedule-fold-views`: no copies where the machine can read or write in place.

Assumes: the conversions' caution: each operand of a concat is copied to its place, each slice is copied out.
Decides: a kernel writes straight into the concat that its result was copied to, also through a reshape whose bytes
strides can follow, with rows and columns exchanged, or backwards, and other kernels read it there; kernels read slices
(also every n-th row or column) and transposes where they lie; copies of copies are one. A result of the region keeps
memory of its own, and each value is placed once.
Leaves: copies of arguments, constants and slices into a concat, which move bytes in any case, and copies whose
removal would ask for a reshape that no strides express.
Leaving it out costs copies and memory and changes no result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue, Use
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.storage import Storage, base_of, is_returned, makes_bytes, placing_uses, whole_views_of
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import ConcatOp, CopyOp, ReshapeOp, SliceOp, TransposeOp, YieldOp


@dataclass(frozen=True)
class NpuScheduleFoldViewsPass(ModulePass):
    """Remove copies that views can stand for."""

    name = "npu-schedule-fold-views"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.body.block.ops if isinstance(f, FuncOp)]:
            storage = Storage(function)
            # Last copies first, so that where a concat lies is known before anything is placed in it.
            for copy in reversed([c for c in function.body.walk() if isinstance(c, CopyOp)]):
                fold(storage, copy)


def fold(storage: Storage, copy: CopyOp) -> bool:
    """Take out one copy if its source can stand for it; whether it could."""
    source, result = copy.ifm, copy.result
    if source.type != result.type or not _may_stand_for(source, result):
        return False
    uses = list(result.uses)
    # Where the result is placed or returned the source moves there; else only views of the result move.
    group = whole_views_of(result)
    if placing_uses(group) or any(map(is_returned, group)):
        moved = [source]
    else:
        views = SliceOp | ReshapeOp | TransposeOp
        moved = [use.operation.results[0] for use in uses if isinstance(use.operation, views)]
    for use in uses:
        use.operation.operands[use.index] = source
    try:
        for value in moved:
            for member in storage.moved(value):
                storage.place(member)
    except OperationError:
        for use in uses:
            use.operation.operands[use.index] = result
        for value in (source, result):
            storage.moved(value)
        return False
    Rewriter.erase_op(copy)
    return True


def _may_stand_for(source: SSAValue, result: SSAValue) -> bool:
    """Whether `source` may be placed and returned as `result` is, next to what is done with it already."""
    settled = sum(1 for _ in _settling_uses(result))
    base = base_of(source)
    if not makes_bytes(base):
        return not settled
    return not settled or (settled == 1 and next(_settling_uses(base), None) is None)


def _settling_uses(value: SSAValue) -> Iterator[Use]:
    """The uses of a value and its whole views that ask for memory in a certain place, or of its own."""
    for member in whole_views_of(value):
        for use in member.uses:
            if isinstance(use.operation, ConcatOp | YieldOp | ReturnOp):
                yield use
