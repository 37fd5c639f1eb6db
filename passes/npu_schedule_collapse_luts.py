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

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.by_value import every_value, results, table_of, takes_table, works_by_value
from npuc.analysis.storage import reshaped_from
from npuc.dialects.constants import from_numpy
from npuc.dialects.npu import ActivationAttr
from npuc.dialects.npu_schedule import ConstantOp, KernelOp, PoolOp, element_of
from npuc.passes.npu_schedule_fuse_activations import is_only_use, put_in_place


@dataclass(frozen=True)
class NpuScheduleCollapseLutsPass(ModulePass):
    """Make one table of what follows a kernel value by value."""

    name = "npu-schedule-collapse-luts"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pool in list(op.walk()):
            if isinstance(pool, PoolOp) and works_by_value(pool) and element_of(pool.ifm) == element_of(pool.result):
                collapse(pool)


def collapse(pool: PoolOp) -> None:
    """Let the kernel before `pool` look up what that computes, if nothing else reads the kernel's result."""
    base = reshaped_from(pool.ifm)
    kernel = base.owner
    if not isinstance(kernel, KernelOp) or not is_only_use(base, pool.ifm):
        return
    if not takes_table(kernel):
        return
    before, inner = kernel.activation.data, table_of(kernel)
    indices = every_value(pool.ifm) if inner is None else inner.astype("int64")
    table = results(pool, {pool.ifm: indices}).astype("int8" if element_of(base).range[0] < 0 else "uint8")
    constant = ConstantOp(from_numpy(table))
    constant.location = pool.location
    Rewriter.insert_op(constant, InsertPoint.before(pool))
    properties: dict[str, Attribute] = dict(kernel.properties)
    properties["activation"] = ActivationAttr(replace(before, function="table"))
    operands = {name: kernel.values_of(name) for name, _ in kernel.get_irdl_definition().operands}
    operands["table"] = [constant.result]
    put_in_place(kernel, operands, properties, pool)
