"""
Decide which feature maps lie in a fast memory beside a slow arena: `fast` in the type of a tensor.

Assumes a target on the module, kernels, and formats as they are to stay. Where the arena itself is fast, as in every
memory mode but Dedicated_Sram, nothing changes. Else values that kernels write go to the fast memory, all that share
one storage together (see `npuc.analysis.storage`), but for those that the host sees. Where no schedule would keep to
the limit of the fast memory so, the values that cost least are spilled to the arena (`npuc.planning.placement`): as few
as cascades allow, or as few as kernels allow that run whole, or all, whichever makes the quicker schedule. A function
with a type that says `fast` already is left as it is.
Without this pass all feature maps stay in the arena: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import limit_of, machine_of, scarce_space_of, setup_of
from npuc.analysis.storage import Storage, makes_bytes, tensor_type
from npuc.dialects.feature_maps import stored
from npuc.dialects.npu_schedule import is_brick, space_of
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.placement import placements
from npuc.planning.schedules import region_of, score_as_it_stands
from npuc.planning.tasks import Works


@dataclass(frozen=True)
class NpuSchedulePlaceFeatureMapsPass(ModulePass):
    """Write the memory of feature maps into their types."""

    name = "npu-schedule-place-feature-maps"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = scheduled_functions(op)
        if not functions or scarce_space_of(op) == "arena":
            return
        held = held_by_host(op)
        for function in functions:
            storage = Storage(function)
            if any(space_of(root) == "fast" for root in storage.roots):
                continue
            limit = limit_of(function, "fast")
            assert limit is not None
            machine, setup = machine_of(op), setup_of(op)
            values = {root: list(storage.members(root)) for root in storage.roots if makes_bytes(root)}
            first, *others = placements(function, machine, setup, limit)
            best, least = first, 0.0
            for fast in others:
                _place(values, fast)
                score = score_as_it_stands(Works(Network(function), machine, setup), limit)
                if best is first or score < least:
                    best, least = fast, score
            # The last to be tried, since what is found out about its cascades is asked again by who plans them.
            _place(values, first)
            kept = held.get(function.sym_name.data, NOTHING_HELD)
            if others and region_of(function, kept, machine, setup).score(limit) > least:
                _place(values, best)


def _place(values: dict[SSAValue, list[SSAValue]], fast: Collection[SSAValue]) -> None:
    """Write the memory of all values; `values` has them as they are by now, by the roots as they once were."""
    for root, those in values.items():
        for index, value in enumerate(those):
            layout = "nhcwb16" if is_brick(value) else "nhwc"
            type_ = stored(tensor_type(value), layout, "fast" if root in fast else "arena")
            if type_ != value.type:
                those[index] = Rewriter.replace_value_with_new_type(value, type_)
