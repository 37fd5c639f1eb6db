"""
`npu-schedule-collapse-luts`: what comes behind a kernel value by value, in 8 bits, is one table of that kernel.

Assumes: rescales, clamps and tables by themselves are average pools of one element, as the conversions write them;
`npu-schedule-fuse-activations` has taken what costs no table.
Decides: where the only user of an 8-bit result is such a pool of the same type, the two become one kernel: the pool's
256 results are computed here. A table behind a table, or a rescale behind one, is one table.
Leaves: results that others read too, other widths, changes of signedness, and kernels with a function of their own.
Leaving it out costs a kernel each and changes no result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.storage import base_of
from npuc.dialects.constants import as_numpy, from_numpy
from npuc.dialects.npu import ActivationAttr, Scale, Window
from npuc.dialects.npu_schedule import ConstantOp, KernelOp, PoolOp, ReshapeOp, element_of
from npuc.passes.npu_schedule_fuse_activations import is_only_use, put_in_place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class NpuScheduleCollapseLutsPass(ModulePass):
    """Make one table of what follows a kernel value by value."""

    name = "npu-schedule-collapse-luts"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pool in list(op.walk()):
            if isinstance(pool, PoolOp) and works_by_value(pool):
                collapse(pool)


def works_by_value(op: PoolOp) -> bool:
    """Whether each 8-bit result of a pool depends on one value of the same type alone, by a rule known here."""
    return (
        op.kind.data == "average"
        and op.window.data == Window()
        and op.scale is not None
        and op.scale.data.multiplier is not None
        and op.scale.data.rounding in ("natural", "double_round")
        and element_of(op.ifm) == element_of(op.result)
        and element_of(op.ifm).bits == 8
        and op.activation.data.function in ("none", "table")
        and (op.table is None or _constant(op.table) is not None)
        and all(decision is None for decision in (op.block, op.stripe, op.rolling))
    )


def collapse(pool: PoolOp) -> None:
    """Let the kernel before `pool` look up what that computes, if nothing else reads the kernel's result."""
    base = base_of(pool.ifm)
    kernel = base.owner
    if not isinstance(kernel, KernelOp) or not is_only_use(base, pool.ifm):
        return
    before = kernel.activation.data
    table = results_of(pool)
    if before.function == "table":
        inner = None if kernel.table_value is None else _constant(kernel.table_value)
        if inner is None or inner.dtype != table.dtype or inner.size != table.size:
            return
        low = element_of(base).range[0]
        table = table[inner.astype("int64") - low]
    elif before.function != "none":
        return
    constant = ConstantOp(from_numpy(table))
    constant.location = pool.location
    Rewriter.insert_op(constant, InsertPoint.before(pool))
    properties: dict[str, Attribute] = dict(kernel.properties)
    properties["activation"] = ActivationAttr(replace(before, function="table"))
    operands = {name: kernel.values_of(name) for name, _ in kernel.get_irdl_definition().operands}
    operands["table"] = [constant.result]
    put_in_place(kernel, operands, properties, pool)


def results_of(pool: PoolOp) -> NDArray[np.integer]:
    """The results of a pool for all 256 values, from the least up."""
    import numpy as np

    low, high = element_of(pool.ifm).range
    input_zp, output_zp = pool.zero_points.data
    assert pool.scale is not None
    clamp = pool.activation.data
    values = [
        min(max(scaled(value - input_zp, pool.scale.data) + output_zp, clamp.low), clamp.high)
        for value in range(low, high + 1)
    ]
    results = np.array(values, np.int8 if low < 0 else np.uint8)
    table = None if pool.table is None else _constant(pool.table)
    return results if table is None else table[results.astype(np.int64) - low]


def scaled(value: int, scale: Scale) -> int:
    """`value` times the scale, rounded as the machine does."""
    assert scale.multiplier is not None
    assert scale.shift is not None
    product, shift = value * scale.multiplier, scale.shift
    if scale.rounding == "double_round" and shift > 31:
        first, rest = (product + (1 << 30)) >> 31, shift - 31
        half = (1 << rest) >> 1
        return (first + half) >> rest if first >= 0 else -((-first + half) >> rest)
    return (product + ((1 << shift) >> 1)) >> shift


def _constant(value: SSAValue) -> NDArray[np.integer] | None:
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.source
    if not isinstance(value.owner, ConstantOp):
        return None
    attribute: DenseIntOrFPElementsAttr = value.owner.value
    assert isinstance(attribute.type, TensorType)
    return as_numpy(attribute)
