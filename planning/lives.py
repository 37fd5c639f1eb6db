"""
What a schedule needs in memory: when everything in the scarce memory is alive, and how high the allocator piles it.

Planners add up what is alive. An allocator may have to leave gaps between buffers, so that the sum is not always
enough. `Memory` answers what a schedule needs before there are commands: values of the host live over the whole
network, values and buffers of a region over its launches (`npuc.planning.evaluation`), and
`npuc.analysis.allocation` finds addresses for them as `npu-cmd-allocate` will.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from npuc.analysis.allocation import LiveRange, Needs, Rule, needs, usage
from npuc.analysis.host import Span, host_times
from npuc.analysis.machine import scarce_space_of
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.npu import InvokeOp
from npuc.dialects.npu_schedule import ConstantOp, rolling_of, space_of
from npuc.planning.evaluation import Program
from npuc.planning.network import Network, Overlap, rounded
from npuc.planning.prefetch import Plan


class Laid(NamedTuple):
    """What is going to share memory once a cut stands in the IR."""

    over: list[Overlap]
    """Results of cascades over operands."""
    in_place: dict[SSAValue, SSAValue]
    """By the root of an OFM that of the operand whose place it takes."""


STEPS = 1 << 32
"""More launches than a region has: times of launches lie between those of the host's operations."""


class Life(NamedTuple):
    """Bytes of the scarce memory, from one launch of a region to another, both included."""

    first: int
    """-1: it is there when the region begins."""
    last: int
    """The number of launches: it is needed when the region ends."""
    size: int


class Lives(NamedTuple):
    """What a region needs in the scarce memory."""

    arguments: list[Life | None]
    """Its operands; None for those that lie elsewhere."""
    results: list[Life | None]
    own: list[Life]
    """What nobody else sees, buffers of weights included."""
    launches: int
    rules: list[Rule]
    """Which results lie over operands of their cascades; numbers count `own`, `arguments` and `results`, in order."""


def lives_of(network: Network, program: Program, plan: Plan, laid: Laid | None = None) -> Lives:
    """
    The lives in the schedule of a region, where transfers are issued as planned. What shares memory stands in the IR,
    or is `laid`.
    """
    count, storage = len(program.launches), network.storage
    block = network.function.body.block
    last = block.last_op
    given = set(block.args)
    returned = [storage.root(value) for value in last.operands] if isinstance(last, ReturnOp) else []
    left = set(returned)
    owners = {} if laid is None else _owners(laid.in_place, left)
    spans: dict[SSAValue, tuple[int, int]] = {}
    rolling: dict[SSAValue, int] = {}
    """Rows of rolling buffers."""
    starts = iter((*program.starts, count))
    begin, stop = 0, next(starts)
    for number, launch in enumerate(program.launches):
        while number >= stop:
            begin, stop = stop, next(starts)
        work = launch.run.work
        if work.rolling:
            rolling[work.writes] = work.rolling
        # A cascade makes all its buffers before its first launch; results of the region are there already.
        made = number if owners.get(work.writes, work.writes) in left else begin
        for value, first in ((work.writes, made), *((root, number) for _, root in work.reads)):
            root = owners.get(value, value)
            spans[root] = (min(first, spans[root][0]), number) if root in spans else (first, number)
    for root, number in program.brought.items():
        first = min(plan.pieces[number], default=program.transfers[number].after)
        start, end = spans.get(root, (first, first))  # A hand may have nothing read it.
        spans[root] = min(first, start), max(first, end)

    def life(root: SSAValue) -> Life | None:
        if isinstance(root.owner, ConstantOp) or (space_of(root) != network.space and root not in rolling):
            return None
        first, end = spans.get(root, (count, -1))
        if root in given:
            first = -1
        return Life(first, count if root in left else end, _size(network, root, rolling.get(root)))

    inner = {root: one for root in spans if root not in given and root not in left and (one := life(root)) is not None}
    own = list(inner.values())
    arguments, results = [life(value) for value in block.args], [life(root) for root in returned]
    ends = {one.last for one in (*own, *arguments) if one is not None} | {buffer.last for buffer in program.buffers}
    for buffer in program.buffers:
        first = min(plan.pieces[buffer.brought_by], default=buffer.first)
        if first < program.transfers[buffer.brought_by].after and first not in ends:
            # Nothing gives way right behind that launch, so that all that meets the next one is the same.
            first += 1
        own.append(Life(first, buffer.last, buffer.size))
    numbers = {root: number for number, root in enumerate(inner)}
    numbers |= {root: len(own) + number for number, root in enumerate((*block.args, *returned))}
    rules = [
        Rule(numbers[one.upper], numbers[one.lower], one.at, one.behind)
        for one in (network.overlaps if laid is None else laid.over)
        if one.upper in numbers and one.lower in numbers
    ]
    return Lives(arguments, results, own, count, rules)


def _owners(in_place: Mapping[SSAValue, SSAValue], left: Container[SSAValue]) -> dict[SSAValue, SSAValue]:
    """The root whose bytes others are, too: the first that is written, or what the region leaves."""
    owners: dict[SSAValue, SSAValue] = {}
    for root, old in in_place.items():
        owner = owners.get(old, old)
        if root in left:
            owners |= {one: root for one, other in owners.items() if other is owner} | {owner: root}
        else:
            owners[root] = owner
    return owners


def _size(network: Network, root: SSAValue, rows: int | None) -> int:
    """Bytes of a root, in a rolling buffer of so many rows, or where the IR has one."""
    rows = rows or rolling_of(root)
    if rows is not None:
        return rows * network.storage.place(root).stride_y
    return storage_bytes(tensor_type(root))


@dataclass
class _Value:
    """A value of the host, or one that a region has or gives where there is none: bytes, and when they are needed."""

    start: int
    end: int
    size: int
    number: int = 0
    """Among all that needs an address."""


class Memory:
    """The scarce memory of a module; `put` says what is known of its regions."""

    def __init__(self, module: ModuleOp, functions: Sequence[FuncOp]):
        self._lives: dict[str, Lives] = {}
        self._spans: dict[str, list[Span]] = {}
        self._invokes: list[tuple[InvokeOp, Span]] = []
        host = host_times(module)
        self._values = host.values if scarce_space_of(module) == "arena" else {}
        for op, span in host.spans.items():
            if isinstance(op, InvokeOp):
                self._invokes.append((op, span))
                self._spans.setdefault(op.callee.string_value(), []).append(span)
        now = host.end
        for function in functions:
            name = function.sym_name.data
            if name not in self._spans:
                now += 1
                self._spans[name] = [Span(now, now)]
        self._invoked = {op.callee.string_value() for op, _ in self._invokes}
        self._total = sum(rounded(one.size) for one in self._values.values())

    def of(self, network: Network) -> RegionView:
        """What one region is asked about."""
        return RegionView(self, network)

    def put(self, function: FuncOp, lives: Lives) -> None:
        """From now on a region needs this."""
        self._total = self.total(function, lives)
        self._lives[function.sym_name.data] = lives

    def total(self, function: FuncOp, lives: Lives) -> int:
        """Bytes of all that there ever is if a region needs this: no placement takes more."""
        name = function.sym_name.data
        before = self._lives.get(name)
        more = sum(rounded(one.size) for one in self._mine(name, lives))
        return self._total + more - (sum(rounded(one.size) for one in self._mine(name, before)) if before else 0)

    def _mine(self, name: str, lives: Lives) -> list[Life]:
        """What is not among the values of the host."""
        ends = () if name in self._invoked else (*lives.arguments, *lives.results)
        return [*lives.own, *(one for one in ends if one)]

    def ranges(self, function: FuncOp, lives: Lives) -> tuple[list[LiveRange], list[Rule], range]:
        """
        All live ranges of the network if a region needs this, which may lie over which others, and the times of its
        launches.
        """
        begin = self._spans[function.sym_name.data][0].start * STEPS + 1
        return *self._ranges({**self._lives, function.sym_name.data: lives}), range(begin, begin + lives.launches)

    def _ranges(self, regions: dict[str, Lives]) -> tuple[list[LiveRange], list[Rule]]:
        """All live ranges of the network, launches between the times of the host, and their rules."""
        values = {
            value: _Value(one.start * STEPS, one.end * STEPS + STEPS - 1, one.size)
            for value, one in self._values.items()
        }
        own: list[_Value] = []
        named: dict[str, list[_Value | None]] = {}
        """By region what its rules count."""
        for name, lives in regions.items():
            spans = self._spans[name]
            begin, end = spans[0].start * STEPS, max(span.end for span in spans) * STEPS + STEPS - 1
            # What runs again needs its memory until then.
            again = len(spans) > 1 or spans[0].end > spans[0].start
            named[name] = []
            for number, one in enumerate((*lives.own, *lives.arguments, *lives.results)):
                if one is None or (number >= len(lives.own) and name in self._invoked):
                    named[name].append(None)
                    continue
                stop = end if again or one.last == lives.launches else begin + 1 + one.last
                own.append(_Value(begin + 1 + one.first, max(stop, begin + 1 + one.first), one.size))
                named[name].append(own[-1])
        for op, span in self._invokes:
            name = op.callee.string_value()
            if name in regions and len(self._spans[name]) == 1 and span.end == span.start:
                self._join(op, span, regions[name], values)
                named[name][len(regions[name].own) :] = [values.get(value) for value in (*op.arguments, *op.res)]
        everything = [*values.values(), *own]
        for number, one in enumerate(everything):
            one.number = number
        rules: list[Rule] = []
        for name, those in named.items():
            for rule in regions[name].rules:
                upper, lower = those[rule.upper], those[rule.lower]
                if upper is not None and lower is not None:
                    rules.append(rule._replace(upper=upper.number, lower=lower.number))
        return [LiveRange(one.start, one.end, one.size) for one in everything], rules

    def _join(self, op: InvokeOp, span: Span, lives: Lives, values: dict[SSAValue, _Value]) -> None:
        """The host's values do not need all of the region's time where it is the last to read or the first to write."""
        begin = span.start * STEPS + 1
        ends: dict[SSAValue, int] = {}
        for value, life in zip(op.arguments, lives.arguments, strict=True):
            if life is not None:
                ends[value] = max(begin + life.last, ends.get(value, 0))
        for value, end in ends.items():
            if value in values and self._values[value].end == span.end:
                values[value].end = end
        for value, life in zip(op.res, lives.results, strict=True):
            if life is not None and value in values:
                values[value].start = begin + life.first


class RegionView:
    """The memory as one region is asked about it, all others as they have been put there."""

    def __init__(self, memory: Memory, network: Network):
        self._memory, self._network = memory, network

    def used(self, program: Program, limit: int) -> list[int]:
        """
        For each launch the bytes of all that is alive meanwhile, no transfer moved; or what makes no difference to
        transfers that keep to `limit` bytes.
        """
        lives = lives_of(self._network, program, program.unmoved)
        total = self._memory.total(self._network.function, lives)
        if 2 * total <= limit:
            # Everything at once, and each buffer once more. So many regions are not looked through for each of them.
            return [total] * lives.launches
        ranges, rules, times = self._memory.ranges(self._network.function, lives)
        return _alive(ranges, rules, times)

    def needs(self, program: Program, plan: Plan, enough: int) -> Needs:
        """
        What is needed at each launch, transfers issued as planned. Addresses are looked for until all keep to `enough`
        bytes.
        """
        lives = lives_of(self._network, program, plan)
        total = self._memory.total(self._network.function, lives)
        if total <= enough:
            return Needs.anyhow(total, lives.launches)
        ranges, rules, times = self._memory.ranges(self._network.function, lives)
        return needs(ranges, times, enough, rules)


class CutMemory:
    """
    The scarce memory of a region whose cut does not stand in the IR yet. What the host keeps meanwhile counts, other
    regions do not.
    """

    def __init__(self, network: Network, laid: Laid):
        self._network, self._laid = network, laid

    def used(self, program: Program, limit: int) -> list[int]:
        """For each launch the bytes of all that is alive meanwhile, no transfer moved."""
        return _alive(*self._ranges(program, program.unmoved), range(len(program.launches)))

    def needs(self, program: Program, plan: Plan, enough: int) -> Needs:
        """What is needed at each launch; addresses are looked for until all keep to `enough` bytes."""
        ranges, rules = self._ranges(program, plan)
        return needs(ranges, range(len(program.launches)), enough, rules)

    def _ranges(self, program: Program, plan: Plan) -> tuple[list[LiveRange], list[Rule]]:
        """What needs an address, its times launches, and which of that may lie over what."""
        network = self._network
        lives = lives_of(network, program, plan, self._laid)
        given = list(network.function.body.block.args)
        for number, (value, life) in enumerate(zip(given, lives.arguments, strict=True)):
            tensor = network.tensor_of(value)
            if life is not None and tensor is not None and network.tensors[tensor].last >= len(network.items):
                lives.arguments[number] = life._replace(last=lives.launches)
        ranges: list[LiveRange] = []
        numbers: dict[int, int] = {}
        for number, life in enumerate((*lives.own, *lives.arguments, *lives.results)):
            if life is not None:
                numbers[number] = len(ranges)
                ranges.append(LiveRange(life.first, max(life.first, life.last), life.size))
        rules = [
            rule._replace(upper=numbers[rule.upper], lower=numbers[rule.lower])
            for rule in lives.rules
            if rule.upper in numbers and rule.lower in numbers
        ]
        if network.host_bytes:
            ranges.append(LiveRange(-1, lives.launches, network.host_bytes))
        return ranges, rules


def _alive(ranges: Sequence[LiveRange], rules: Sequence[Rule], times: range) -> list[int]:
    """Bytes of all that is alive at each time, by their sum."""
    curve = usage(ranges, rules)
    starts = [time for time, _ in curve]
    return [curve[bisect_right(starts, time) - 1][1] if starts and time >= starts[0] else 0 for time in times]
