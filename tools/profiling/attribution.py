"""
Which operator, command or cascade each cycle and byte belongs to.

Every cycle of a program belongs to one command, and for one cause:

- While a kernel runs, to that kernel. The kernel's cycles are what it takes by itself, for what it is no quicker than
  (`npuc.hardware.cycles.bound_of`); before that its fill, where no other kernel hides it; and what it is slowed down by
  a transfer that uses the same memory (`shared`).
- While no kernel but a transfer runs, to that transfer: nothing else goes on, so it is waited for.
- While nothing runs, to what starts next: its commands are still on their way, or the NPU waits (`wait`).

So the cycles of all rows add up to the cycles of all programs, and so do launches and bytes. A command works for the
main operator of its location. Where that names none, commands of one kind and shape are one row. A cascade is what
operators do between them whose launches alternate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from npuc.analysis.timeline import Event, Life, Timeline, launch_bound
from npuc.dialects.locations import Source, first_name, source_name, sources
from npuc.dialects.npu_cmd import DmaOp, ElementwiseOp, LaunchOp, PoolOp
from npuc.tools.profiling.profile import Profile

By = Literal["operator", "command", "cascade"]
CAUSES = {
    "mac": "MAC array",
    "weights": "weight decoding",
    "output": "output stage",
    "latency": "short blocks",
    "port 0": "memory on port 0",
    "port 1": "memory on port 1",
    "shared": "port shared with a transfer",
    "fill": "fill",
    "transfer": "waiting for a transfer",
    "wait": "waiting",
}
"""Why cycles pass, with what people are told."""


@dataclass
class Row:
    """What is known of an operator, a command or a cascade. Cycles, and bytes."""

    name: str
    sources: tuple[Source, ...]
    """Source operators, those first that count for the whole; empty where the file does not tell."""
    program: str
    events: list[Event] = field(default_factory=list[Event])
    causes: Counter[str] = field(default_factory=Counter[str])
    """Cycles that belong to the row, by `CAUSES`."""
    macs: int = 0
    read: Counter[str] = field(default_factory=Counter[str])
    """Bytes by area."""
    written: Counter[str] = field(default_factory=Counter[str])
    holds: int = 0
    """Most bytes of SRAM that at one time hold what the row has written."""
    alive: int = 0
    """Most bytes of SRAM that hold anything while one of the row's commands runs."""

    @property
    def cycles(self) -> int:
        """All that belong to the row."""
        return self.causes.total()

    @property
    def bound(self) -> str:
        """The cause of most of them."""
        return max(self.causes, key=lambda cause: self.causes[cause], default="wait")

    @property
    def launches(self) -> int:
        """Kernels."""
        return sum(event.is_kernel for event in self.events)

    @property
    def transfers(self) -> int:
        """DMAs."""
        return len(self.events) - self.launches

    @property
    def kind(self) -> str:
        """Type of the operator, of the first where there are several; else the kind of the command."""
        return self.sources[0].operator.type if self.sources else self.name.split(" ")[0]


def rows(profile: Profile, by: By = "operator") -> list[Row]:
    """The rows of all programs, in the order of their first command."""
    table: list[Row] = []
    for program, one in profile.timelines.items():
        keys = _keys(one, by)
        known: dict[object, Row] = {}
        causes = charge(one, profile)
        lives = one.lives(profile.scarce)
        for event, key, spent in zip(one.events, keys, causes, strict=True):
            row = known.get(key)
            if row is None:
                row = known[key] = Row(title(event) if by == "command" else "", (), program)
            row.events.append(event)
            row.causes.update(spent)
            row.macs += 0 if event.cost is None else event.cost.macs
            row.read.update(event.read)
            row.written.update(event.written)
        for row in known.values():
            entries = dict.fromkeys(source for event in row.events for source in sources(event.op.location))
            # The main operators of all commands first.
            main = dict.fromkeys(s for event in row.events for s in sources(event.op.location)[:1])
            row.sources = tuple({s.operator: s for s in (*main, *entries)}.values())
            row.name = row.name or _name(row, by)
        _measure_memory(list(known.values()), lives)
        table += known.values()
    return table


def charge(one: Timeline, profile: Profile) -> list[Counter[str]]:
    """For each event of a program the cycles that belong to it, by cause; see the module's text."""
    spent = [Counter[str]() for _ in one.events]
    kernels = [(event.start, event.end, number) for number, event in enumerate(one.events) if event.is_kernel]
    transfers = [(event.start, event.end, number) for number, event in enumerate(one.events) if not event.is_kernel]
    kernels.sort()
    transfers.sort()
    ended = -1
    for start, end, number in kernels:
        spent[number].update(_of_kernel(one.events[number], start == ended, profile))
        ended = end
    starts = sorted((event.start, number) for number, event in enumerate(one.events))
    gaps = list(_gaps(kernels, one.cycles))
    at = next_start = 0
    for begin, end in gaps:
        time = begin
        while at < len(transfers) and transfers[at][1] <= begin:
            at += 1
        inside = at
        while time < end:
            if inside < len(transfers) and transfers[inside][0] <= time:
                until = min(transfers[inside][1], end)
                spent[transfers[inside][2]]["transfer"] += until - time
                inside += 1
            else:
                until = min(transfers[inside][0], end) if inside < len(transfers) else end
                while next_start + 1 < len(starts) and starts[next_start][0] <= time:
                    next_start += 1
                spent[starts[next_start][1]]["wait"] += until - time
            time = max(time, until)
    return [+one for one in spent]


def _gaps(kernels: Iterable[tuple[int, int, int]], cycles: int) -> Iterator[tuple[int, int]]:
    """When no kernel runs."""
    time = 0
    for start, end, _ in kernels:
        if start > time:
            yield time, start
        time = end
    if time < cycles:
        yield time, cycles


def _of_kernel(event: Event, follows: bool, profile: Profile) -> dict[str, int]:
    """The cycles of one launch; `follows`: another one ended when it began."""
    op, cost = event.op, event.cost
    assert isinstance(op, LaunchOp)
    assert cost is not None
    length = event.end - event.start
    hidden = follows and op.blockdep is not None and op.blockdep.data[0] > 0
    fill = 0 if hidden else min(cost.fill_cycles, length)
    own = min(cost.cycles, length - fill)
    return {launch_bound(op, profile.machine, profile.setup): own, "fill": fill, "shared": length - fill - own}


def _keys(one: Timeline, by: By) -> list[object]:
    """For each event what it is a part of."""
    if by == "command":
        return [event.index for event in one.events]
    keys: list[object] = []
    for event in one.events:
        known = sources(event.op.location)
        keys.append(known[0].operator if known else _shape(event))
    if by == "operator":
        return keys
    # Operators from the first launch to the last; those that meet are one cascade.
    reach: dict[object, tuple[int, int]] = {}
    for number, (event, key) in enumerate(zip(one.events, keys, strict=True)):
        if event.is_kernel:
            reach[key] = reach.get(key, (number, number))[0], number
    group: dict[object, int] = {}
    count, end = -1, -1
    for key, (first, last) in sorted(reach.items(), key=lambda item: item[1]):
        if first > end:
            count += 1
        end = max(end, last)
        group[key] = count
    return [group.get(key, key) for key in keys]


def _shape(event: Event) -> str:
    """What commands without a source operator have in common that belong together."""
    op = event.op
    if isinstance(op, DmaOp):
        return source_name(op.location) or "dma"
    ofm = op.ofm_map.data
    return source_name(op.location) or f"{_kind(op)} ?x{ofm.width}x{ofm.depth}"


def _kind(op: LaunchOp) -> str:
    kind = f" {op.kind.data}" if isinstance(op, PoolOp | ElementwiseOp) else ""
    return f"{op.name.removeprefix('npu_cmd.')}{kind}"


def title(event: Event) -> str:
    """`conv 24x24x16` or `dma 1008`, with the tensor's name where it is known."""
    op = event.op
    if isinstance(op, DmaOp):
        text = f"dma {op.size.data[0]}"
    else:
        ofm = op.ofm_map.data
        text = f"{_kind(op)} {ofm.height}x{ofm.width}x{ofm.depth}"
    name = first_name(source_name(op.location))
    return f"{text} {name}" if name else text


def _name(row: Row, by: By) -> str:
    """`3 CONV_2D conv1`, or `3-5 CONV_2D + DEPTHWISE_CONV_2D` for a cascade."""
    if not row.sources:
        return _shape(row.events[0])
    main = list(dict.fromkeys(sources(event.op.location)[0] for event in row.events if sources(event.op.location)))
    if by == "cascade" and len(operators := dict.fromkeys(source.operator for source in main)) > 1:
        numbers = sorted(operator.number for operator in operators)
        return f"{numbers[0]}-{numbers[-1]} {' + '.join(dict.fromkeys(o.type for o in operators))}"
    operator, tensor = main[0]
    where = f"{operator.subgraph}:" if operator.subgraph else ""
    return f"{where}{operator.number} {operator.type} {first_name(tensor)}".rstrip()


def _measure_memory(table: list[Row], lives: list[Life]) -> None:
    """Fills in what rows hold of SRAM, from the lives of what lies there."""
    owner = {id(event): number for number, row in enumerate(table) for event in row.events}
    held: list[list[tuple[int, int]]] = [[] for _ in table]
    changes: list[tuple[int, int]] = []
    for life in lives:
        size = life.span.end - life.span.start
        steps = ((life.start, size), (life.end, -size))
        changes += steps
        if life.writer is not None:
            held[owner[id(life.writer)]] += steps
    for one, steps in zip(table, held, strict=True):
        one.holds = max((height for _, height in profile_of(steps)), default=0)
    heights = profile_of(changes)
    at = 0
    pairs = [(event, row) for row in table for event in row.events]
    for event, row in sorted(pairs, key=lambda pair: pair[0].start):
        while at + 1 < len(heights) and heights[at + 1][0] <= event.start:
            at += 1
        number = at
        while number < len(heights) and heights[number][0] < max(event.end, event.start + 1):
            row.alive = max(row.alive, heights[number][1])
            number += 1


def profile_of(changes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Heights over time, from changes: what goes at a time goes before what comes."""
    heights: list[tuple[int, int]] = []
    height = 0
    for time, change in sorted(changes):
        height += change
        if heights and heights[-1][0] == time:
            heights[-1] = time, height
        else:
            heights.append((time, height))
    return heights
