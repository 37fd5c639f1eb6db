"""
`npu-schedule-fold-views`: no copies where the machine can read or write in place.

Assumes: the conversions' caution: each operand of a concat is copied to its place, each slice is copied out.
Decides: a kernel writes straight into the concat that its result was copied to, also through a reshape whose bytes
strides can follow, with rows and columns exchanged, or backwards, and other kernels read it there; kernels read slices
(also every n-th row or column) and transposes where they lie; copies of copies are one; slices that are joined side by
side and are all of a feature map are joined as that. A result of the region keeps memory of its own, and each value is
placed once.
Leaves: copies of arguments, constants and slices into a concat, which move bytes in any case, copies whose removal
would ask for a reshape that no strides express, or for a kernel that reads backwards (no stream of others shows that),
and those that save cycles by the cost model, since kernels read or write columns that lie apart in short runs.
Leaving it out costs copies and memory and changes no result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue, Use
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.machine import machine_of, places_of, setup_of
from npuc.analysis.storage import (
    Storage,
    base_of,
    inside,
    is_returned,
    makes_bytes,
    placing_uses,
    seen_by_all,
    whole_views_of,
)
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import find_target
from npuc.dialects.npu_schedule import (
    ConcatOp,
    CopyOp,
    KernelOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
    YieldOp,
    nhwc,
)
from npuc.hardware.cycles import PORT_WEIGHT, best_block, kernel_cost
from npuc.hardware.shram import Kernel


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
            for concat in [c for c in function.body.walk() if isinstance(c, ConcatOp)]:
                joins = concat
                while copies := _parts_of_one(joins):
                    joins, whole = _joined_whole(joins, copies)
                    fold(Storage(function), whole)


def fold(storage: Storage, copy: CopyOp) -> bool:
    """Take out one copy if its source can stand for it and kernels do not take longer; whether it could."""
    source, result = copy.ifm, copy.result
    if source.type != result.type or not _may_stand_for(source, result):
        return False
    uses = list(result.uses)
    # Where the result is placed or returned the source moves there; it may, too, where nothing else reads it.
    # Else only views of the result move.
    group = whole_views_of(result)
    if placing_uses(group) or any(map(is_returned, group)) or _reads_alone(copy):
        moved = [source]
    else:
        views = SliceOp | ReshapeOp | TransposeOp
        moved = [use.operation.results[0] for use in uses if isinstance(use.operation, views)]
    before = _launches(storage, [result, *(value for value in moved if value is source)])
    for use in uses:
        use.operation.operands[use.index] = source
    try:
        for value in moved:
            for member in storage.moved(value):
                storage.place(member)
        folds = _pays(storage, copy, before)
    except OperationError:
        folds = False
    if not folds:
        for use in uses:
            use.operation.operands[use.index] = result
        for value in (source, result):
            storage.moved(value)
        return False
    Rewriter.erase_op(copy)
    return True


def _parts_of_one(concat: ConcatOp) -> list[CopyOp]:
    """Copies of slices that stand side by side in a concat as they do in a feature map, all of which they are."""
    axis = concat.axis.data[0] - 1
    run: list[CopyOp] = []
    end = 0
    for value in concat.inputs:
        copy = value.owner
        part = copy.ifm.owner if isinstance(copy, CopyOp) else None
        if not isinstance(copy, CopyOp) or not isinstance(part, SliceOp) or not _is_only_read(copy, concat):
            run = []
            continue
        first, size, full = part.offsets.data, nhwc(part.result), nhwc(part.source)
        across = [number for number in range(3) if number != axis]
        if part.strides.data != (1, 1, 1) or any(first[n] or size[n] != full[n] for n in across):
            run = []
            continue
        source = run[0].ifm.owner if run else None
        if not isinstance(source, SliceOp) or source.source is not part.source or first[axis] != end:
            run = []
        if run or not first[axis]:
            run.append(copy)
            end = first[axis] + size[axis]
        if len(run) > 1 and end == full[axis]:
            return run
    return []


def _is_only_read(copy: CopyOp, concat: ConcatOp) -> bool:
    """Whether a copy stands once in a concat, and but for that only kernels and copies read it."""
    uses = [use.operation for use in copy.result.uses]
    return uses.count(concat) == 1 and all(op is concat or isinstance(op, KernelOp | CopyOp) for op in uses)


def _joined_whole(concat: ConcatOp, copies: Sequence[CopyOp]) -> tuple[ConcatOp, CopyOp]:
    """
    Join one copy of all of a feature map in place of copies of its parts; who reads one of these reads the slice.
    Returns the new concat and that copy.
    """
    slices = [copy.ifm for copy in copies]
    part = slices[0].owner
    assert isinstance(part, SliceOp)
    whole = CopyOp(part.source, part.source.type)
    whole.location = copies[0].location
    Rewriter.insert_op(whole, InsertPoint.before(copies[0]))
    at = list(concat.inputs).index(copies[0].result)
    joined = list(concat.inputs)
    joined[at : at + len(copies)] = [whole.result]
    new = ConcatOp(joined, concat.axis.data[0], concat.result.type)
    new.location = concat.location
    Rewriter.replace_op(concat, new)
    for copy, view in zip(copies, slices, strict=True):
        Rewriter.replace_op(copy, [], [view])
        if not view.uses:
            assert isinstance(view.owner, SliceOp)
            Rewriter.erase_op(view.owner)
    return new, whole


def _reads_alone(copy: CopyOp) -> bool:
    """Whether nothing but a copy reads a kernel's result, so that this may lie as the readers of the copy want it."""
    base = base_of(copy.ifm)
    last = seen_by_all(base)[-1]
    return makes_bytes(base) and last is copy.ifm and all(use.operation is copy for use in last.uses)


class _Launch(NamedTuple):
    """A launch as its feature maps lie, and whether it reads one of them backwards."""

    kernel: Kernel
    goes_back: bool


def _launch(storage: Storage, op: KernelOp | CopyOp) -> _Launch:
    inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps
    return _Launch(storage.launch(op), any(map(storage.goes_back, inputs)))


def _launches(storage: Storage, values: Sequence[SSAValue]) -> dict[KernelOp | CopyOp, _Launch]:
    """The launches of the kernels and copies that make or read what lies together with some values."""
    launches: dict[KernelOp | CopyOp, _Launch] = {}
    for value in values:
        for member in inside(value):
            for op in (member.owner, *(use.operation for use in member.uses)):
                if isinstance(op, KernelOp | CopyOp) and op not in launches:
                    launches[op] = _launch(storage, op)
    return launches


def _pays(storage: Storage, copy: CopyOp, before: Mapping[KernelOp | CopyOp, _Launch]) -> bool:
    """Whether no kernel whose maps lie otherwise now reads backwards, and they take no longer than with the copy."""
    now = {op: _launch(storage, op) for op in before if op is not copy}
    changed = [op for op, launch in now.items() if launch != before[op]]
    if any(now[op].goes_back and not before[op].goes_back for op in changed):
        return False
    if not changed or find_target(copy) is None:
        return True
    machine, setup = machine_of(copy), setup_of(copy)

    def cycles(op: KernelOp | CopyOp, launch: Kernel) -> float:
        places = places_of(op)
        try:
            block = op.block.data if op.block is not None else best_block(machine, setup, launch, places)
            cost = kernel_cost(machine, setup, launch, block, places)
        except ValueError as error:
            raise OperationError(op, str(error)) from error
        return cost.cycles + sum(cost.port_cycles) * PORT_WEIGHT

    gain = sum(cycles(op, before[op].kernel) - cycles(op, now[op].kernel) for op in changed)
    return gain + cycles(copy, before[copy].kernel) >= 0


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
