"""
Who needs memory when, over a whole network of linear programs.

The time axis runs over the host's operations and, inside an invocation, over the commands. A buffer lives from its
`alloc` to its `free`; a value that the host hands to or takes from the NPU lives from whoever writes it to its last
reader, and is one item in every program.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from npuc.analysis.allocation import LiveRange, usage
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import InvokeOp, Space
from npuc.dialects.npu_cmd import BufferOp, FreeOp, InputOp, MemoryOp, OutputOp, ProgramOp


@dataclass
class Item:
    """Buffers that share one address, and when they are needed."""

    ops: list[BufferOp]
    start: int
    end: int

    @property
    def size(self) -> int:
        return max(op.buffer.size for op in self.ops)


@dataclass
class LiveRanges:
    """What needs an address in the arena or the fast memory, and the time of every command."""

    items: list[Item]
    times: dict[Operation, int]

    def usage(self, space: Space) -> list[int]:
        """Bytes of a memory that are alive at each time."""
        ranges = [LiveRange(i.start, i.end, i.size) for i in self.items if i.ops[0].buffer.space == space]
        found: list[int] = []
        total = 0
        for time, after in [*usage(ranges), (1 + max(self.times.values(), default=0), 0)]:
            found += [total] * (time - len(found))
            total = after
        return found


def live_ranges(module: ModuleOp) -> LiveRanges:
    """Live ranges of all buffers of a module: programs, in the order in which the host invokes them if there is one."""
    programs = [p for p in module.ops if isinstance(p, ProgramOp)]
    times: dict[Operation, int] = {}
    by_name = {p.sym_name.data: p for p in programs}
    items: list[Item] = []
    hosted: dict[SSAValue, Item] = {}
    invoked: set[str] = set()
    now = 0
    for function in (f for f in module.ops if isinstance(f, FuncOp)):
        if not any(isinstance(op, InvokeOp) for op in function.walk()):
            continue
        written: dict[SSAValue, int] = dict.fromkeys(function.body.block.args, now)
        for op in function.body.block.ops:
            now += 1
            if isinstance(op, InvokeOp):
                program = by_name.get(op.callee.string_value())
                if program is None:
                    raise OperationError(op, f"it names @{op.callee.string_value()}, and there is no such program")
                invoked.add(program.sym_name.data)
                now = _walk(program, op, now, items, hosted, written, times)
            else:
                for value in op.operands:
                    if value in hosted:
                        hosted[value].end = now
                written |= dict.fromkeys(op.results, now)
    for program in programs:
        if program.sym_name.data not in invoked:
            now = _walk(program, None, now + 1, items, hosted, {}, times)
    return LiveRanges(items, times)


def _walk(
    program: ProgramOp,
    invoke: InvokeOp | None,
    start: int,
    items: list[Item],
    hosted: dict[SSAValue, Item],
    written: dict[SSAValue, int],
    all_times: dict[Operation, int],
) -> int:
    """Add the buffers of one program that runs from time `start`; returns the time at which it ends."""
    times: dict[Operation, int] = {op: start + index for index, op in enumerate(program.body.block.ops)}
    all_times |= times
    end = start + len(times)
    for op in times:
        if not isinstance(op, BufferOp) or isinstance(op, MemoryOp) or op.buffer.space == "shram":
            continue
        uses = [times[use.operation] for use in op.result.uses]
        if isinstance(op, InputOp | OutputOp):
            is_input = isinstance(op, InputOp)
            item = Item([op], start if is_input else min(uses, default=end), max(uses, default=start))
            if not is_input:
                item.end = end
            if invoke is None:
                items.append(item)
                continue
            values = invoke.arguments if is_input else invoke.res
            index = op.index.data[0]
            if index >= len(values):
                what = "operand" if is_input else "result"
                raise OperationError(invoke, f"it has no {what} {index} for @{program.sym_name.data}")
            value = values[index]
            known = hosted.get(value)
            if known is None:
                if is_input:
                    item.start = written.get(value, start)
                hosted[value] = item
                items.append(item)
            else:
                known.ops.append(op)
                known.end = max(known.end, item.end)
        else:
            frees = [times[u.operation] for u in op.result.uses if isinstance(u.operation, FreeOp)]
            items.append(Item([op], times[op], min(frees, default=end)))
    return end
