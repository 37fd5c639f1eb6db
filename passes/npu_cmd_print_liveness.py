"""
Print who needs memory when: a table of all buffers with a time line, to stderr, since stdout is the module's.

Assumes linear programs, allocated or not, and leaves the module as it is. For each memory that has buffers: the most
bytes alive at one time (no placement can do with less), the command at which that is, and what has been allocated. Then
a line for each buffer, by address if there is one: `#` where it lives, `|` at the peak as far as it does not. The last
line shows how full the memory is, from `.` through 1 to 9 ninths of the peak. Time runs from left to right over the
commands of all programs in the order in which the host invokes them; of a long one several share a column.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.analysis.allocation import LiveRange
from npuc.analysis.live_ranges import Item, LiveRanges, live_ranges
from npuc.dialects.locations import describe, source_name
from npuc.dialects.npu import Space
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp
from npuc.dialects.tfl import tensor_name

COLUMNS = 64
"""Of the time line."""


@dataclass(frozen=True)
class NpuCmdPrintLivenessPass(ModulePass):
    """Print buffers, live ranges, peak and lower bound."""

    name = "npu-cmd-print-liveness"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        lives = live_ranges(op)
        for space in ("arena", "fast"):
            if any(item.space == space for item in lives.items):
                sys.stderr.write(liveness_table(lives, space))


def liveness_table(lives: LiveRanges, space: Space) -> str:
    """The table of one memory that has buffers, lines ending in newlines."""
    items = [item for item in lives.items if item.space == space]
    usage = lives.usage(space)
    start, end = min(item.start for item in items), max(item.end for item in items)
    usage += [0] * (end + 1 - len(usage))
    peak = max(usage)
    at = usage.index(peak)
    step = -(-(end + 1 - start) // COLUMNS)
    columns = range(start, end + 1, step)
    command = next((op for op, time in lives.times.items() if time == at), None)
    where = "" if command is None else f", first at {_command(command)}"
    lines = [f"{space}: {peak} bytes alive at one time at most{where}"]
    if all(item.address is not None for item in items):
        lines[0] += f"; {max(_address(item) + _rounded(item) for item in items)} allocated"
    lines.append(f"{'bytes':>9} {'address':>9} {'from':>6} {'to':>6}  {'time':{len(columns)}}  buffer")
    for item in sorted(items, key=lambda i: (_address(i), i.start, -i.size)):
        address = "-" if item.address is None else str(item.address)
        bar = "".join(_mark(item, low, low + step, at) for low in columns)
        lines.append(f"{item.size:>9} {address:>9} {item.start:>6} {item.end:>6}  {bar}  {_name(item, lives.times)}")
    levels = [max(usage[low : low + step]) for low in columns]
    lines.append(" " * 35 + "".join("." if level == 0 else str(max(1, 9 * level // peak)) for level in levels))
    return "\n".join(lines) + "\n"


def _mark(item: Item, low: int, high: int, peak: int) -> str:
    if item.start < high and item.end >= low:
        return "#"
    return "|" if low <= peak < high else "."


def _address(item: Item) -> int:
    """Where a buffer lies; -1 if that is not known yet."""
    return -1 if item.address is None else item.address


def _rounded(item: Item) -> int:
    return LiveRange(item.start, item.end, item.size).rounded


def _command(op: Operation) -> str:
    program = op.parent_op()
    assert isinstance(program, ProgramOp)
    return f"{describe(op)} of @{program.sym_name.data}"


def _name(item: Item, times: dict[Operation, int]) -> str:
    """The buffer's own name, and the source tensor of the command that writes it first; a host's value by its name."""
    if not item.ops:
        return "host" if item.value is None else f"host ({tensor_name(item.value)})"
    buffer = item.ops[0].result
    hint = f"%{buffer.name_hint}" if buffer.name_hint else item.ops[0].name.removeprefix("npu_cmd.")
    writers: list[Operation] = []
    for op in (use.operation for use in buffer.uses):
        written = op.ofm if isinstance(op, LaunchOp) else op.destination if isinstance(op, DmaOp) else None
        if written is buffer:
            writers.append(op)
    first = min(writers, key=times.__getitem__, default=None)
    name = "" if first is None else source_name(first.location)
    return f"{hint} ({name})" if name else hint
