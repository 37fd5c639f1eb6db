"""
Give every buffer and every value of the host an address: constants one after the other, the arena by live ranges over
the whole network.

Assumes linear programs without addresses and, where there is a host function, that it calls each of them through
`npu.invoke`. The time axis runs over the host's operations and, inside an invocation, over the commands: a buffer
lives from its `alloc` to its `free`; a value of the host lives from whoever writes it to its last reader, and has one
address in every program (`npuc.analysis.host`). Where `npu_cmd.overlap` says so, one may lie over another that dies. So
a runtime needs no byte beyond the arena for what has a known size, and values that no region touches take what regions
use at other times. Equal constants share their place, also between programs.

Decides addresses, on buffers and as `arena_offset` of the host's tensors, in place of any that the source file had; a
tensor whose size is not known has none. Writes the sizes on the module: `npu.arena_size` with the bound below which no
allocation of these live ranges can be (`npu.arena_bound`), `npu.read_only_size`, and `npu.fast_size` where there is a
fast memory beside a slow arena, used or not. Where that, or else the arena, is larger than the limit of the target, it
is an error that names the size that this schedule needs. Where it is larger than `npu.sram_limit`, which a pass or a
hand wrote on the programs for their schedule to keep to, all is right: `npu.sram_limit_missed` on the module says by
how many bytes. The whole pipeline does not come to that; one with passes left out may.
Within the size that is found, what transfers and kernels write lies apart from what the launches before them read last,
as far as there is memory for both, so that it need not wait for them.
Leaves table slots in SHRAM to `npu-cmd-assign-lut-slots`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from npuc.analysis.allocation import ALIGNMENT, allocate, lower_bound
from npuc.analysis.host import invoking_functions
from npuc.analysis.live_ranges import Item, LiveRanges, live_ranges
from npuc.analysis.machine import LimitError, scarce_space_of, setup_of, written_limit
from npuc.dialects.npu import MISSED_ATTR, TARGET_ATTR, IntsAttr, Space, target_of
from npuc.dialects.npu_cmd import ConstantOp, ProgramOp
from npuc.dialects.tfl import INTERMEDIATES, set_arena_offsets, without_arena_offset

APART_TRIES = 500
"""Orders tried to lay apart what launches would wait for; where there are such addresses, few take as many."""


@dataclass(frozen=True)
class NpuCmdAllocatePass(ModulePass):
    """Find addresses for all buffers."""

    name = "npu-cmd-allocate"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = [p for p in op.ops if isinstance(p, ProgramOp)]
        self._place_constants(op, programs)
        for function in invoking_functions(op):
            _forget_offsets(function)
        lives = live_ranges(op)
        has_target = TARGET_ATTR in op.attributes
        spaces: tuple[Space, ...] = ("arena", "fast")
        for space in spaces:
            here = [item for item in lives.items if item.space == space]
            if here or space == "arena" or (has_target and setup_of(op).spilling):
                self._place(op, lives, here, space)
        if not has_target:
            return
        setup, limit, written = setup_of(op), target_of(op).sram_limit, [written_limit(p) for p in programs]
        size = op.attributes[f"npu.{scarce_space_of(op)}_size"]
        assert isinstance(size, IntegerAttr)
        # Programs that are limited differently, or not at all, are somebody's own: the memory is theirs together.
        missed = size.value.data - max((size.value.data if one is None else one for one in written), default=0)
        if written and missed > 0:
            op.attributes[MISSED_ATTR] = IntegerAttr(missed, i64)
        if limit is None and setup.spilling:
            limit = setup.arena_cache_size
        if limit is not None and size.value.data > limit:
            name, need = "fast memory" if setup.spilling else "arena", size.value.data
            message = f"the {name} needs {need} bytes, the limit is {limit}: the smallest"
            raise LimitError(f"{message} limit for this schedule is {need}", limit, need)

    def _place_constants(self, module: ModuleOp, programs: list[ProgramOp]) -> None:
        places: dict[tuple[bytes, int], int] = {}
        end = 0
        for program in programs:
            for op in program.body.block.ops:
                if not isinstance(op, ConstantOp):
                    continue
                size = op.result.type.size
                key = (op.value.data.data, size)
                if key not in places:
                    places[key] = end
                    end += -(-size // ALIGNMENT) * ALIGNMENT
                op.address = IntsAttr((places[key],))
        module.attributes["npu.read_only_size"] = IntegerAttr(end, i64)

    def _place(self, module: ModuleOp, lives: LiveRanges, items: list[Item], space: Space) -> None:
        rules = lives.rules_among(items)
        placement = allocate([item.live_range for item in items], rules=rules)
        bound = placement.bound
        for transfers in (False, True):
            ranges = lives.apart(items, placement.height, transfers)
            if lower_bound(ranges, rules) > placement.height:
                continue  # which proves that there is no such placement
            apart = allocate(ranges, APART_TRIES, placement.height, rules)
            if apart.height <= placement.height:
                placement = apart
                break
        for item, address in zip(items, placement.addresses, strict=True):
            for op in item.ops:
                op.address = IntsAttr((address,))
        hosted = zip(items, placement.addresses, strict=True)
        set_arena_offsets({item.value: address for item, address in hosted if item.value is not None})
        module.attributes[f"npu.{space}_size"] = IntegerAttr(placement.height, i64)
        module.attributes[f"npu.{space}_bound"] = IntegerAttr(bound, i64)


def _forget_offsets(function: FuncOp) -> None:
    """Drop the offsets of the source file's plan, which could not know what the regions need."""
    values = (*function.body.block.args, *(result for op in function.walk() for result in op.results))
    set_arena_offsets(dict.fromkeys(values))
    for op in function.walk():
        inner = op.attributes.get(INTERMEDIATES)
        if isinstance(inner, ArrayAttr):
            op.attributes[INTERMEDIATES] = ArrayAttr([without_arena_offset(one) for one in inner])
