"""
Decide which inputs of the network lie outside of the arena: `external` in the types of arguments of regions.

Assumes a target on the module, and that views stay as they are. Where the target says `external_inputs`, each input
that only regions read becomes external wherever they read it: it takes no memory of the arena, is addressed through a
base pointer of its own, and is read from the memory on the other port. There are base pointers for the first five
operands of a region. Inputs that the host reads, too, stay in the arena, as all do without this pass. A module without
a host function has the arguments of its regions for inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.host import main_function, why_in_arena
from npuc.analysis.storage import Storage, tensor_type
from npuc.dialects.feature_maps import stored
from npuc.dialects.npu import EXTERNAL_REGIONS, InvokeOp, regions_of, target_of
from npuc.dialects.npu_schedule import is_brick


@dataclass(frozen=True)
class NpuSchedulePlaceInputsPass(ModulePass):
    """Write `external` into the types of inputs."""

    name = "npu-schedule-place-inputs"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not target_of(op).external_inputs:
            return
        regions = {function.sym_name.data: function for function in regions_of(op) if function.body.blocks}
        main = main_function(op)
        chosen: dict[FuncOp, set[int]] = {}
        if main is None:
            for function in regions.values():
                chosen[function] = set(range(len(function.body.block.args)))
        else:
            for function, index in _read_by_regions(op, main, regions):
                chosen.setdefault(function, set()).add(index)
        for function, indices in chosen.items():
            storage = Storage(function)
            for index in sorted(indices)[: len(EXTERNAL_REGIONS)]:
                for value in storage.members(function.body.block.args[index]):
                    layout = "nhcwb16" if is_brick(value) else "nhwc"
                    Rewriter.replace_value_with_new_type(value, stored(tensor_type(value), layout, "external"))
            types = function.function_type
            inputs = [argument.type for argument in function.body.block.args]
            function.function_type = FunctionType.from_lists(inputs, list(types.outputs))


def _read_by_regions(module: ModuleOp, main: FuncOp, regions: dict[str, FuncOp]) -> Iterator[tuple[FuncOp, int]]:
    """Regions and the numbers of their operands that are inputs which need not lie in the arena."""
    invokes = [op for f in module.ops if isinstance(f, FuncOp) for op in f.body.ops if isinstance(op, InvokeOp)]
    names = [op.callee.string_value() for op in invokes]
    # A region that is invoked twice may be given something else the second time.
    once = {name for name in names if names.count(name) == 1}
    external: set[SSAValue] = set()
    for value in main.body.block.args:
        if why_in_arena(value) is None and all(
            isinstance(use.operation, InvokeOp) and use.operation.callee.string_value() in once for use in value.uses
        ):
            external.add(value)
    for op in invokes:
        for index, value in enumerate(op.arguments):
            if value in external:
                yield regions[op.callee.string_value()], index
