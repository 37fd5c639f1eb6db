"""
`npu-schedule-fuse-activations`: clamps and tables become part of the kernel before them.

Assumes: a clamp or a table by itself is an average pool of one element that scales by 1 (in whatever way that is
written), as the conversions write it.
Decides: where the only user of a kernel's result is such a pool, the kernel clamps (both clamps, one after the other,
are one) and looks up itself; at most one table a kernel. Where a pool clamps what several kernels have put together, as
the images of a batch are, each of them does.
Leaves: pools after a result that others read too, after 32-bit results, and a clamp after a table; after what is put
together a table, and what not only kernels have made.
Leaving it out costs a kernel each and changes no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.storage import reshaped_from
from npuc.dialects.locations import fused
from npuc.dialects.npu import Activation, ActivationAttr, Scale, Window
from npuc.dialects.npu_schedule import ConcatOp, CopyOp, KernelOp, PoolOp, ReshapeOp, SliceOp, TransposeOp, element_of


@dataclass(frozen=True)
class NpuScheduleFuseActivationsPass(ModulePass):
    """Fuse clamps and tables into the kernels before them."""

    name = "npu-schedule-fuse-activations"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pool in list(op.walk()):
            if isinstance(pool, PoolOp) and only_activates(pool):
                fuse(pool)


def only_activates(op: PoolOp) -> bool:
    """Whether a pool does nothing but clamp and look up."""
    zero_point, same = op.zero_points.data
    scale = op.scale.data if op.scale is not None else Scale()
    return (
        op.kind.data == "average"
        and op.window.data == Window()
        and zero_point == same
        and scale.multiplier == 1 << (scale.shift or 0)
        and op.activation.data.function in ("none", "table")
        and all(decision is None for decision in (op.block, op.stripe, op.rolling))
    )


def fuse(pool: PoolOp) -> None:
    """Let the kernels that make the IFM of `pool` do its work, if nothing else reads that."""
    made = _makers(pool.ifm)
    if made is None or any(not _takes(kernel, pool) for kernel in made.kernels):
        return
    kernel = made.kernels[0]
    if reshaped_from(pool.ifm).owner is kernel:
        properties: dict[str, Attribute] = dict(kernel.properties)
        properties["activation"] = ActivationAttr(_both(kernel.activation.data, pool.activation.data))
        operands = {name: kernel.values_of(name) for name, _ in kernel.get_irdl_definition().operands}
        operands["table"] = pool.values_of("table")
        put_in_place(kernel, operands, properties, pool)
    elif pool.table is None:
        for kernel in made.kernels:
            kernel.activation = ActivationAttr(_both(kernel.activation.data, pool.activation.data))
        for op in (*made.kernels, *made.movers):
            op.location = fused(op.location, pool.location)
        pool.ifm.name_hint = pool.result.name_hint
        pool.result.replace_all_uses_with(pool.ifm)
        Rewriter.erase_op(pool)


@dataclass(frozen=True)
class _Made:
    """Kernels, and the operations that only move what they make."""

    kernels: list[KernelOp]
    movers: list[Operation]


def _makers(value: SSAValue) -> _Made | None:
    """What makes all of `value`, if nothing else reads any of it; None if something does, or if not kernels make it."""
    kernels: list[KernelOp] = []
    movers: list[Operation] = []
    waiting = [value]
    while waiting:
        value = waiting.pop()
        owner = value.owner
        if len(list(islice(value.uses, 2))) != 1:
            return None
        if isinstance(owner, KernelOp):
            kernels.append(owner)
        elif isinstance(owner, ReshapeOp | TransposeOp | SliceOp | CopyOp | ConcatOp):
            movers.append(owner)
            waiting += owner.operands
        else:
            return None
    return _Made(kernels, movers)


def _takes(kernel: KernelOp, pool: PoolOp) -> bool:
    """Whether a kernel can clamp and look up what `pool` does."""
    if kernel.activation.data.function != "none" or element_of(kernel.result).bits == 32:
        return False
    # Otherwise the index of the table would be of the new type.
    return element_of(kernel.result) == element_of(pool.result)


def put_in_place(
    kernel: KernelOp,
    operands: Mapping[str, Sequence[SSAValue]],
    properties: Mapping[str, Attribute],
    pool: PoolOp,
) -> None:
    """`kernel` with other operands and properties stands where `pool` stood, whose only input it was."""
    kept = {name: value for name, value in properties.items() if name != "operandSegmentSizes"}
    both = type(kernel).of(operands, kept, [kernel.result.type], kernel.attributes)
    both.location = fused(kernel.location, pool.location)
    Rewriter.insert_op(both, InsertPoint.before(pool))
    result: SSAValue = both.result
    if result.type != pool.result.type:
        view = ReshapeOp(result, pool.result.type)
        view.location = both.location
        Rewriter.insert_op(view, InsertPoint.before(pool))
        result = view.result
    result.name_hint = pool.result.name_hint
    pool.result.replace_all_uses_with(result)
    value = pool.ifm
    Rewriter.erase_op(pool)
    while isinstance(value.owner, ReshapeOp):
        view, value = value.owner, value.owner.source
        Rewriter.erase_op(view)
    Rewriter.erase_op(kernel)


def is_only_use(base: SSAValue, value: SSAValue) -> bool:
    """Whether `value`, a reshape of `base` at some remove, and all between them have one use each."""
    while True:
        if len(list(islice(value.uses, 2))) != 1:
            return False
        if value is base:
            return True
        assert isinstance(value.owner, ReshapeOp)
        value = value.owner.source


def _both(first: Activation, second: Activation) -> Activation:
    """One clamp, and the function, in place of two."""
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return replace(second, low=low, high=high)
