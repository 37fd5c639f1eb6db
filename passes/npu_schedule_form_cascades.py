"""
Carry out what has been planned: kernels with one `cascade` number move into one `npu_schedule.cascade`.

Assumes `cascade`, `stripe` and `rolling` where somebody, most likely `npu-schedule-plan-cascades`, has written them;
without them nothing changes. Decides nothing. The cascade takes the place of its last kernel: whatever stands between
its kernels and needs one of their results moves behind it, and results that are used outside are yielded. An error if
that is impossible, because a cascade would need its own result, or if a rolling buffer would be too low.
Leaving it out costs memory and changes no result: a kernel outside of a cascade runs whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import CascadeOp, ElementwiseOp, KernelOp, YieldOp
from npuc.dialects.views import keeps_rows, row_sources


@dataclass(frozen=True)
class NpuScheduleFormCascadesPass(ModulePass):
    """Move kernels that are planned as cascades into cascades."""

    name = "npu-schedule-form-cascades"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.ops if isinstance(f, FuncOp)]:
            while planned := planned_cascades(function):
                # Anew each time: forming one cascade may move kernels of another.
                number = min(planned)
                form(number, planned[number])


def planned_cascades(function: FuncOp) -> dict[int, list[KernelOp]]:
    """Kernels of a function that are not in a cascade yet, by the number of the one that they are planned for."""
    planned: dict[int, list[KernelOp]] = {}
    for block in function.body.blocks:
        for op in block.ops:
            if isinstance(op, KernelOp) and op.cascade is not None:
                planned.setdefault(op.cascade.data[0], []).append(op)
    return planned


def _with_views(members: list[KernelOp], results: Collection[SSAValue]) -> list[Operation]:
    """Some kernels, and the views that keep rows through which only they see their results, in program order."""
    inside = set[Operation](members)
    ordered: list[Operation] = []
    op: Operation | None = members[-1]
    while op is not None:
        if keeps_rows(op) and all(source in results for source in row_sources(op.results[0])):
            if all(use.operation in inside for use in op.results[0].uses):
                inside.add(op)
        if op in inside:
            ordered.append(op)
        op = None if op is members[0] else op.prev_op
    return ordered[::-1]


def form(number: int, members: list[KernelOp]) -> CascadeOp:
    """The cascade of some kernels, given in program order; it replaces them."""
    last = members[-1]
    results = {op.result for op in members}
    body_ops = _with_views(members, results)
    inside = set[Operation](body_ops)
    results |= {op.results[0] for op in body_ops}
    behind: list[Operation] = []
    waiting = set[SSAValue](results)
    op: Operation | None = members[0]
    while op is not None and op is not last:
        following = op.next_op
        if op not in inside and any(operand in waiting for one in op.walk() for operand in one.operands):
            behind.append(op)
            waiting.update(op.results)
        op = following
    for op in members:
        if isinstance(op, ElementwiseOp) and op.in_place is not None:
            raise OperationError(op, f"a kernel of cascade {number} cannot be in_place")
        if any(operand in waiting and operand not in results for operand in op.operands):
            raise OperationError(op, f"cascade {number} needs what is made of its own results")
    leaving = [op.result for op in members if any(use.operation not in inside for use in op.result.uses)]
    for op in behind:
        op.detach()
    outside = {value: [use for use in value.uses if use.operation not in inside] for value in leaving}
    place = InsertPoint.after(last)
    body = Block()
    for op in members:
        op.cascade = None
    for op in body_ops:
        op.detach()
        body.add_op(op)
    body.add_op(YieldOp(leaving))
    cascade = CascadeOp(Region(body), [value.type for value in leaving])
    cascade.location = last.location
    Rewriter.insert_op([cascade, *behind], place)
    for value, output in zip(leaving, cascade.outputs, strict=True):
        for use in outside[value]:
            use.operation.operands[use.index] = output
    try:
        cascade.unrolled()
    except VerifyException as error:
        raise OperationError(last, f"cascade {number}: {error}") from error
    return cascade
