"""
Who needs memory when, over a whole network of linear programs.

The time axis runs over the host's operations (`npuc.analysis.host`) and, inside an invocation, over the commands. A
buffer lives from its `alloc` to its `free`; a value of the host, whether regions touch it or not, from whoever writes
it to its last reader, and is one item in every program. `npu_cmd.overlap` says which of them may overlap, and how.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from npuc.analysis.allocation import LiveRange, Rule, usage
from npuc.analysis.host import Span, host_times
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import InvokeOp, Space
from npuc.dialects.npu_cmd import (
    AllocOp,
    BufferOp,
    DmaOp,
    FreeOp,
    InputOp,
    LaunchOp,
    MemoryOp,
    OutputOp,
    OverlapOp,
    ProgramOp,
)
from npuc.dialects.tfl import arena_offset, tensor_name


@dataclass
class Item:
    """What shares one address: buffers of programs, or a value of the host and the buffers that are it in programs."""

    ops: list[BufferOp]
    start: int
    end: int
    value: SSAValue | None = None
    """The host's, if it is one."""
    value_size: int = 0
    """Its bytes."""

    @property
    def live_range(self) -> LiveRange:
        """What an address is to be found for."""
        return LiveRange(self.start, self.end, self.size)

    @property
    def size(self) -> int:
        return max([self.value_size, *(op.buffer.size for op in self.ops)])

    @property
    def address(self) -> int | None:
        """Where it lies; None if that is not known yet."""
        if not self.ops:
            return None if self.value is None else arena_offset(self.value)
        return None if self.ops[0].address is None else self.ops[0].address.data[0]

    @property
    def space(self) -> Space:
        """The memory that it lies in; what the host reads and writes lies in the arena."""
        return self.ops[0].buffer.space if self.ops else "arena"


@dataclass
class LiveRanges:
    """What needs an address in the arena or the fast memory, and the time of every command."""

    items: list[Item]
    times: dict[Operation, int]
    rules: list[Rule] = field(default_factory=list[Rule])
    """Which items may lie over which others."""

    def rules_among(self, items: Sequence[Item]) -> list[Rule]:
        """Those that concern two of these, by their numbers there."""
        numbers = {id(item): number for number, item in enumerate(items)} if self.rules else {}
        found: list[Rule] = []
        for rule in self.rules:
            upper, lower = (numbers.get(id(self.items[number])) for number in rule[:2])
            if upper is not None and lower is not None:
                found.append(rule._replace(upper=upper, lower=lower))
        return found

    def usage(self, space: Space) -> list[int]:
        """Bytes of a memory that are alive at each time."""
        items = [item for item in self.items if item.space == space]
        curve = usage([item.live_range for item in items], self.rules_among(items))
        found: list[int] = []
        total = 0
        for time, after in [*curve, (1 + max(self.times.values(), default=0), 0)]:
            found += [total] * (time - len(found))
            total = after
        return found

    def apart(self, items: Sequence[Item], most: int, transfers: bool) -> list[LiveRange]:
        """
        The live ranges of some items of one memory, each begun by launches that are issued before it, as far as what is
        alive at one time stays within `most` bytes: those that transfers write alone (`transfers`), or all.

        Where something lies that a launch is the last to read, what comes behind it would have to wait for that launch,
        though there is memory for both. Two launches can be under way when a transfer could begin.
        """
        ranges = [item.live_range for item in items]
        rules = self.rules_among(items)
        ruled = {number for rule in rules for number in rule[:2]}
        used: list[int] = []
        total = 0
        for time, after in [*usage(ranges, rules), (1 + max((one.end for one in ranges), default=0), 0)]:
            used += [total] * (time - len(used))
            total = after
        # Those that transfers write first: these take longer than the ends of launches do.
        for number, item in sorted(enumerate(items), key=lambda one: not _is_brought(one[1])):
            # What may lie over another is to do so.
            for start in self._launches_before(item, transfers) if number not in ruled else ():
                one = ranges[number]
                if max(used[start : one.start], default=0) + one.rounded > most:
                    break
                for time in range(start, one.start):
                    used[time] += one.rounded
                ranges[number] = LiveRange(start, one.end, one.size)
        return ranges

    def _launches_before(self, item: Item, transfers: bool) -> list[int]:
        """When the launches before a buffer of a program are issued, the last first; none for what is not asked for."""
        if item.value is not None or len(item.ops) != 1:
            return []
        (buffer,) = item.ops
        brought = _is_brought(item)
        if self.times.get(buffer) != item.start or (transfers and not brought):
            return []
        found: list[int] = []
        op = buffer.prev_op
        while op is not None and len(found) < 1 + brought:
            if isinstance(op, LaunchOp):
                found.append(self.times[op])
            op = op.prev_op
        return found


def _is_brought(item: Item) -> bool:
    """Whether a transfer fills a buffer, or reads it."""
    return any(isinstance(use.operation, DmaOp) for op in item.ops for use in op.result.uses)


def live_ranges(module: ModuleOp) -> LiveRanges:
    """Live ranges of all buffers of a module: programs, in the order in which the host invokes them if there is one."""
    programs = {p.sym_name.data: p for p in module.ops if isinstance(p, ProgramOp)}

    def invoked(op: InvokeOp) -> ProgramOp:
        program = programs.get(op.callee.string_value())
        if program is None:
            raise OperationError(op, f"it names @{op.callee.string_value()}, and there is no such program")
        return program

    def length(op: InvokeOp) -> int:
        return sum(1 for _ in invoked(op).body.block.ops) + 1

    host = host_times(module, length)
    found = LiveRanges([], {})
    hosted = {v: Item([], one.start, one.end, v, one.size) for v, one in host.values.items()}
    spans = [(op, span) for op, span in host.spans.items() if isinstance(op, InvokeOp)]
    runs: dict[ProgramOp, list[Span]] = {}
    for op, span in spans:
        runs.setdefault(invoked(op), []).append(span)
    for program, (first, *_) in runs.items():
        _walk(program, first.start, found)
    for op, span in spans:
        program = invoked(op)
        again = len(runs[program]) > 1 or span.end - span.start >= length(op)
        if again:
            _extend(program, span.end, found)
        _join(op, program, hosted, None if again else span, found)
    found.items = [*hosted.values(), *found.items]
    now = host.end
    for program in programs.values():
        if program not in runs:
            start, now = now + 1, _walk(program, now + 1, found)
            found.items += [_edge(op, Span(start, now), found.times) for op in _edges(program)]
    _add_rules(programs.values(), found)
    return found


def _add_rules(programs: Iterable[ProgramOp], found: LiveRanges) -> None:
    """Find out which items may overlap."""
    overlaps = [op for program in programs for op in program.body.block.ops if isinstance(op, OverlapOp)]
    owners: dict[SSAValue, int] = {}
    if overlaps:
        owners |= {op.result: number for number, item in enumerate(found.items) for op in item.ops}
    for op in overlaps:
        if op.source not in owners or op.under not in owners:
            raise OperationError(op, "it names a buffer that gets no address")
        last = max(found.times[use.operation] for use in op.under.uses)
        if found.items[owners[op.under]].end > last and not isinstance(op.under.owner, AllocOp):
            raise OperationError(op, "the host needs later what a buffer is to lie over")
        if any((rule.upper, rule.lower) == (owners[op.source], owners[op.under]) for rule in found.rules):
            raise OperationError(op, "how two buffers overlap is said twice")
        found.rules.append(Rule(owners[op.source], owners[op.under], op.distance, op.at_least is not None))


def _walk(program: ProgramOp, start: int, found: LiveRanges) -> int:
    """
    Add the commands of a program that runs from time `start`, and the buffers that are its own; returns the time at
    which it ends.
    """
    times: dict[Operation, int] = {op: start + index for index, op in enumerate(program.body.block.ops)}
    end = start + len(times)
    found.times |= times
    for op in times:
        if not isinstance(op, BufferOp) or isinstance(op, MemoryOp | InputOp | OutputOp) or op.buffer.space == "shram":
            continue
        frees = [times[u.operation] for u in op.result.uses if isinstance(u.operation, FreeOp)]
        found.items.append(Item([op], times[op], min(frees, default=end)))
    return end


def _extend(program: ProgramOp, end: int, found: LiveRanges) -> None:
    """A program runs again up to time `end`: its buffers are needed until then."""
    for item in found.items:
        if item.ops[0].parent_op() is program:
            item.end = max(item.end, end)


def _edges(program: ProgramOp) -> list[InputOp | OutputOp]:
    """Operands and results in the arena."""
    return [op for op in program.body.block.ops if isinstance(op, InputOp | OutputOp) and op.buffer.space != "external"]


def _edge(op: InputOp | OutputOp, span: Span, times: dict[Operation, int]) -> Item:
    """An operand, from the start of its program to its last use, or a result, from its first use to the end."""
    uses = [times[use.operation] for use in op.result.uses]
    if isinstance(op, InputOp):
        return Item([op], span.start, max(uses, default=span.start))
    return Item([op], min(uses, default=span.end), span.end)


def _join(
    invoke: InvokeOp, program: ProgramOp, hosted: dict[SSAValue, Item], span: Span | None, found: LiveRanges
) -> None:
    """
    Make the operands and results of a program one with the host's values.

    Those that the host needs no longer, or only from then on, do not need all of the program's `span`; None where it
    runs more than once.
    """
    ends: dict[SSAValue, int] = {}
    for op in _edges(program):
        values = invoke.arguments if isinstance(op, InputOp) else invoke.res
        index = op.index.data[0]
        if index >= len(values):
            what = "operand" if isinstance(op, InputOp) else "result"
            raise OperationError(invoke, f"it has no {what} {index} for @{program.sym_name.data}")
        value = values[index]
        if value not in hosted:
            name = tensor_name(value) or "an operand"
            raise OperationError(invoke, f"{name} is a constant, or external in another region: it is not in the arena")
        hosted[value].ops.append(op)
        if span is not None:
            edge = _edge(op, span, found.times)
            if isinstance(op, InputOp):
                ends[value] = max(edge.end, ends.get(value, edge.end))
            else:
                hosted[value].start = edge.start
    for value, end in ends.items():
        if span is not None and hosted[value].end == span.end:
            hosted[value].end = end
