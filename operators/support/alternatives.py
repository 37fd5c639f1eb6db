"""
Kernels for one and the same result in several forms, of which the quickest is kept.

The cost model has the word: each form is written, and what is not kept is erased. Of a module without a target the
first form is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from npuc.analysis.machine import machine_of, places_of, setup_of
from npuc.analysis.storage import Storage
from npuc.dialects.npu import find_target
from npuc.dialects.npu_schedule import ConcatOp, ConvKernelOp, CopyOp, KernelOp, ReshapeOp, SliceOp, TransposeOp
from npuc.hardware.clock import Clock
from npuc.hardware.cycles import best_block, kernel_cost
from npuc.operators.support.kernels import Emitter

Form = Callable[[], SSAValue]
"""Writes a form and returns its result."""


def quickest(emit: Emitter, forms: Sequence[Form]) -> SSAValue:
    """The result of that form whose kernels, one behind the other, take the fewest cycles; of equals the first."""
    if len(forms) == 1 or find_target(emit.anchor) is None:
        return forms[0]()
    kept: list[Operation] = []
    result: SSAValue | None = None
    least = 0
    for form in forms:
        before = emit.anchor.prev_op
        value = form()
        written = _behind(before, emit.anchor)
        cycles = _cycles([op for op in written if isinstance(op, KernelOp | CopyOp)])
        if result is None or cycles < least:
            kept, written, result, least = written, kept, value, cycles
        for op in reversed(written):
            Rewriter.erase_op(op)
    assert result is not None
    return result


def _behind(before: Operation | None, anchor: Operation) -> list[Operation]:
    """The operations between two, in order."""
    written: list[Operation] = []
    op = anchor.prev_op
    while op is not None and op is not before:
        written.append(op)
        op = op.prev_op
    return written[::-1]


def _cycles(ops: Sequence[KernelOp | CopyOp]) -> int:
    """
    What kernels take in their order. One that does not read what the one before has made overlaps it, and weights that
    an earlier one has are brought from the arena.
    """
    if not ops:
        return 0
    machine, setup, region = machine_of(ops[0]), setup_of(ops[0]), ops[0].parent_op()
    assert isinstance(region, FuncOp)
    storage, clock = Storage(region), Clock(machine, setup)
    brought: set[SSAValue] = set()
    last: SSAValue | None = None
    for op in ops:
        places, launch = places_of(op), storage.launch(op)
        if isinstance(op, ConvKernelOp):
            if op.weights in brought:
                places = places._replace(weights="arena")
            brought.add(op.weights)
        cost = kernel_cost(machine, setup, launch, best_block(machine, setup, launch, places), places)
        read = op.feature_maps if isinstance(op, KernelOp) else (op.ifm,)
        clock.launch(cost, overlaps=last is not None and all(last not in _seen(value) for value in read))
        last = op.result
    clock.finish()
    return clock.cycles


def _seen(value: SSAValue) -> set[SSAValue]:
    """The values that `value` is a view of, itself included."""
    seen = {value}
    waiting = [value]
    while waiting:
        owner = waiting.pop().owner
        if isinstance(owner, ReshapeOp | SliceOp | TransposeOp | ConcatOp):
            waiting += owner.operands
            seen |= set(owner.operands)
    return seen
