"""
The boundary of an NPU region: what both conversions to `npu_schedule` leave in order when they are done.
"""

from __future__ import annotations

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from npuc.analysis.storage import base_of, makes_bytes, whole_views_of
from npuc.dialects.locations import result_locations
from npuc.dialects.npu_schedule import ConcatOp
from npuc.operators.support.kernels import Emitter, shape_of


def erase_unused(function: FuncOp) -> None:
    """Erase what nothing uses, users before what they use; everything in a region is free of side effects."""
    for op in reversed(list(function.body.block.ops)):
        if op.results and not any(result.uses for result in op.results):
            Rewriter.erase_op(op)


def own_results(function: FuncOp) -> None:
    """
    Give each result of a region storage of its own: copies of arguments and constants that are returned, of
    values returned twice, and of those that a concat has placed elsewhere.
    """
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    locations = result_locations(end.location)
    taken: set[SSAValue] = set()
    for index, value in enumerate(end.operands):
        base = base_of(value)
        placed = any(isinstance(use.operation, ConcatOp) for member in whole_views_of(base) for use in member.uses)
        if makes_bytes(base) and base not in taken and not placed:
            taken.add(base)
            continue
        emit = Emitter(end, locations[index] if index < len(locations) else None)
        copied = emit.copy(emit.feature_map(value))
        end.operands[index] = emit.view(copied, shape_of(value))
