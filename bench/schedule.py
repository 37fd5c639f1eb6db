"""
Memory and cycles of schedules, ours beside vela's two cores and beside earlier files of ours, by one cost model.

    python bench/schedule.py --vela VELA [--cache DIR] [--baseline DIR] [--match REGEX] [--accelerators A] [--modes M]
    python bench/schedule.py --each-pass [--match REGEX] [--accelerators A,B] [--modes M,N]

The networks are those that lie in the shared folder itself and our own (bench/networks.py); `--models DIR` takes those
of another folder. Every file is decoded and run through npuc.tools.profiling, so no compiler's own estimate counts,
at each end of what is uncertain in the cost model (`ENDS`).

Memory is what a runtime needs for the file: its scratch tensor, values of the host included, and with Dedicated_Sram
the cache beside it. Vela has four points a network: two cores, two strategies. What of ours stands beside a point:

- where the arena is slow (Dedicated_Sram): our schedule for performance; the cache of the mode is there for all;
- elsewhere: our cycles at no more memory than vela took at that point (Performance with --arena-cache-size). Points at
  which vela took 8 KiB or less are printed and not counted.

A ratio is our cycles over vela's. A point is won where that is below 1 at both ends, and lost where it is above 1.02 at
either (`!`); one that is won at one end alone is open, which is no win (`?`). Networks of which we leave more operators
on the CPU than the better core are printed and not counted (`c`), nor are points where vela leaves more than we (`v`).
Last stand our schedules without a limit beside those of the better core (the one with fewer cycles, under Size with
less memory): memory, and cycles, which should be no more than `MOST_CYCLES` of the other's.
With --baseline, our schedules without a limit stand beside DIR/NETWORK.ACCELERATOR.MODE.STRATEGY.tflite as well
(ACCELERATOR.MODE.SYSTEM with --system-config).
With --each-pass our own schedules stand beside those that come out when one pass is left out, each in turn: what it is
good for. `--cache` keeps vela's files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from math import exp, log
from pathlib import Path

from networks import ROOT, SHARED, Network, networks

from npuc.hardware.accelerators import accelerator
from npuc.hardware.memory import default_names, memory_setup
from npuc.tools.errors import UserError
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import COMMANDS, LOWERING, OPTIONAL, SCHEDULE, Target, pipeline
from npuc.tools.sweep import pool
from npuc.tools.sweep.measure import profiled
from npuc.tools.sweep.plan import OURS, Combination
from npuc.tools.sweep.vela import compile_by_vela, vela_version

STRATEGIES = ("Performance", "Size")
CORES = ("legacy", "regor")
ENDS = ("low", "high")
"""The ends of what is uncertain in the cost model: every file is profiled at each."""
LEAST_COUNTED = 8 * 1024
"""Bytes: what vela did in less is printed and not counted where memory is compared."""
LOST, WORSE = 1.02, 1.01
"""Ratios above which a point of vela's is lost, and above which a schedule is worse than that of the baseline."""
MOST_CYCLES = {"Performance": 0.95, "Size": 1.05}
"""What our schedule without a limit may take of the cycles of vela's better core where their memory is compared."""


@dataclass(frozen=True)
class Machine:
    """An accelerator with a memory mode and a system configuration, None for the usual one."""

    accelerator: str
    mode: str
    other_system: str | None = None

    @property
    def system(self) -> str:
        """The name of the system configuration that both compilers take."""
        return self.other_system or default_names(accelerator(self.accelerator))[0]

    @property
    def slow_arena(self) -> bool:
        """Whether there is a cache beside an arena in slow memory."""
        return memory_setup(accelerator(self.accelerator), (), self.system, self.mode).spilling

    def target(self, strategy: str, limit: int | None = None) -> Target:
        size = strategy == "Size"
        return Target(self.accelerator, None, self.system, self.mode, limit, "size" if size else "performance")

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.accelerator, self.mode, self.other_system)))


@dataclass(frozen=True)
class Schedule:
    """
    What a compiled file needs: bytes of the arena and of the cache beside it, cycles at each of `ENDS`, and how many
    operators stay on the CPU.
    """

    arena: int
    cache: int
    cycles: tuple[int, ...]
    cpu: int

    @property
    def memory(self) -> int:
        return self.arena + self.cache


@dataclass(frozen=True)
class Point:
    """One of vela's files, and what stands beside it of ours: None where that could not be made."""

    strategy: str
    core: str
    vela: Schedule
    ours: Schedule | None

    @property
    def ratios(self) -> list[float]:
        """Our cycles over vela's at each of `ENDS`; none if either has none."""
        if self.ours is None:
            return []
        return [ours / theirs for ours, theirs in zip(self.ours.cycles, self.vela.cycles, strict=True) if theirs]


@dataclass
class Row:
    """What was measured of one network on one machine; `failures` says in a line each what could not be."""

    network: str
    group: str
    machine: Machine
    ours: dict[str, Schedule] = field(default_factory=dict[str, Schedule])
    baseline: dict[str, Schedule] = field(default_factory=dict[str, Schedule])
    points: list[Point] = field(default_factory=list[Point])
    failures: list[str] = field(default_factory=list[str])

    @property
    def leaves_more(self) -> bool:
        """Whether more operators stay on the CPU than with the better of vela's cores."""
        ours = min((one.cpu for one in self.ours.values()), default=0)
        return bool(self.points) and ours > min(point.vela.cpu for point in self.points)

    def why_not_counted(self, point: Point) -> str:
        """A letter, or nothing for a point that counts."""
        if self.leaves_more:
            return "c"
        if not point.vela.cycles[0] or (point.ours is not None and point.vela.cpu > point.ours.cpu):
            return "v"
        if not self.machine.slow_arena and point.vela.memory <= LEAST_COUNTED:
            return "s"
        return ""


# Measuring


def made_of(
    network: str, machine: Machine, strategy: str = "Performance", sha256: str = "", compiler: str = OURS
) -> Combination:
    """What a file is compiled with."""
    place = network, sha256, machine.accelerator, machine.system, machine.mode
    return Combination(*place, "Size" if strategy == "Size" else "Performance", compiler=compiler)


def measured(data: bytes, machine: Machine, name: str) -> Schedule:
    """What a compiled file needs; no cycles where all of it stays on the CPU."""
    row = profiled(data, made_of(name, machine))
    cache = (row.sram or 0) if machine.slow_arena else 0
    return Schedule(row.arena or 0, cache, (row.cycles_low or 0, row.cycles_high or 0), row.cpu_operators or 0)


def by_us(
    network: Network, machine: Machine, strategy: str, limit: int | None = None, left_out: frozenset[str] = frozenset()
) -> Schedule:
    """What our compiler makes of a network, some passes left out; raises UserError if it does not fit the limit."""
    target = machine.target(strategy, limit)
    passes = pipeline(target, left_out) if left_out else None
    compiled = compile_tflite(network.read(), target, name=network.name, passes=passes)
    return measured(compiled.data, machine, network.name)


def file_name(network: Network, machine: Machine, strategy: str) -> str:
    """What files of a compiler are called, before the ending."""
    return ".".join((network.name, *str(machine).split(", "), strategy))


def by_vela(command: str, cache: str, network: Network, machine: Machine, strategy: str, core: str) -> bytes:
    """What vela makes of a network, kept in the cache; raises UserError with the last line that it wrote."""
    model = network.read()
    made = made_of(network.name, machine, strategy, hashlib.sha256(model).hexdigest(), f"vela {core}")
    return compile_by_vela(command, model, made, cache)


@dataclass(frozen=True)
class Work:
    """One network on one machine."""

    network: Network
    machine: Machine
    strategies: tuple[str, ...]


def compare(work: Work, vela: str | None, cache: str, baseline: str | None) -> Row:
    """Everything that is measured of a network on a machine."""
    network, machine = work.network, work.machine
    row = Row(network.name, network.group, machine)
    # Where the arena is slow, that for performance stands beside every point.
    for strategy in dict.fromkeys((*work.strategies, *(("Performance",) if machine.slow_arena else ()))):
        try:
            row.ours[strategy] = by_us(network, machine, strategy)
        except UserError as error:
            row.failures.append(str(error))
        earlier = Path(baseline or "", f"{file_name(network, machine, strategy)}.tflite")
        if baseline is not None and earlier.exists():
            row.baseline[strategy] = measured(earlier.read_bytes(), machine, network.name)
    if vela is None:
        return row
    at_limit: dict[int, Schedule | None] = {}
    for strategy, core in product(work.strategies, CORES):
        try:
            data = by_vela(vela, cache, network, machine, strategy, core)
            theirs = measured(data, machine, network.name)
        except UserError as error:
            row.failures.append(str(error))
            continue
        ours = row.ours.get("Performance")
        if not machine.slow_arena and theirs.cycles[0]:
            if theirs.memory not in at_limit:
                at_limit[theirs.memory] = within(network, machine, theirs.memory, row)
            ours = at_limit[theirs.memory]
        row.points.append(Point(strategy, core, theirs, ours))
    return row


def within(network: Network, machine: Machine, limit: int, row: Row) -> Schedule | None:
    """Our quickest schedule for a limit in bytes; None, and a line among the failures, if there is none."""
    try:
        return by_us(network, machine, "Performance", limit)
    except UserError as error:
        row.failures.append(str(error))
        return None


# Telling


def mean(ratios: Iterable[float]) -> float:
    """The geometric mean; 1 of nothing."""
    logarithms = [log(ratio) for ratio in ratios]
    return exp(sum(logarithms) / len(logarithms)) if logarithms else 1.0


def mark(ratios: Sequence[float]) -> str:
    """How a point came out at the ends of the model: lost at either, won at one alone, or nothing to be said."""
    if not ratios or max(ratios) > LOST:
        return "!"
    return "?" if min(ratios) < 1 < max(ratios) else ""


def of_schedule(one: Schedule | None) -> str:
    """KiB, with the cache apart if there is one, and thousand cycles at the first of `ENDS`."""
    if one is None:
        return f"{'no schedule':>24}"
    memory = f"{one.arena / 1024:.1f}" + (f"+{one.cache / 1024:.1f}" if one.cache else "")
    return f"{memory:>14} {one.cycles[0] / 1000:9.1f}"


def of_ratios(ratios: Sequence[float], letters: str) -> str:
    """The ratios at the ends of the model, and what they mean."""
    return f"{'/'.join(f'{ratio:.3f}' for ratio in ratios):>{6 * len(ENDS)}} {letters:2}"


def print_row(row: Row) -> None:
    """A line a strategy: our schedule without a limit, and for each core its own, ours at that, and the ratio."""
    for strategy in STRATEGIES:
        points = [point for point in row.points if point.strategy == strategy]
        if strategy not in row.ours and not points:
            continue
        cells = [f"{row.network[:40]:40} {strategy[:4]:4} {of_schedule(row.ours.get(strategy))}"]
        for point in points:
            letters = row.why_not_counted(point) + mark(point.ratios)
            cells.append(f"{of_schedule(point.vela)} {of_schedule(point.ours)} {of_ratios(point.ratios, letters)}")
        print(" | ".join(cells), flush=True)
    for line in row.failures:
        print(f"    {line}", flush=True)


def print_summary(machine: Machine, rows: Sequence[Row]) -> None:
    """Geometric means, points won and lost, and what is worse than the baseline."""
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row for row in rows if row.group == group]
        counted = [(row, p) for row in of_group for p in row.points if not row.why_not_counted(p)]
        for strategy, core in [("", ""), *product(STRATEGIES, CORES)]:
            chosen = [p for _, p in counted if strategy in p.strategy and core in p.core]
            if chosen:
                print(f"{machine}, {group}, {f'{strategy} {core}'.strip() or 'all points'}: {told(chosen)}")
        for row, p in counted:
            if mark(p.ratios):
                what = of_ratios(p.ratios, mark(p.ratios)).strip() if p.ratios else "no schedule"
                print(f"    {row.network} {p.strategy} {p.core}: {what}")
        left = [row.network for row in of_group if row.leaves_more]
        if left:
            print(f"    not counted, more operators on the CPU: {', '.join(left)}")
        if any(row.baseline for row in of_group):
            print_baseline(machine, group, of_group)
        if not machine.slow_arena:
            for strategy in STRATEGIES:
                print_default(machine, group, strategy, of_group)
    sys.stdout.flush()


def print_default(machine: Machine, group: str, strategy: str, rows: Sequence[Row]) -> None:
    """Our schedules without a limit beside those of the better of vela's cores under the same strategy."""
    sides = [(row, row.ours[strategy], better(row, strategy)) for row in rows if strategy in row.ours]
    pairs = [(row.network, ours, theirs) for row, ours, theirs in sides if theirs is not None and theirs.cycles[0]]
    pairs = [pair for pair in pairs if pair[1].cpu == pair[2].cpu]
    large = [pair for pair in pairs if pair[2].memory > LEAST_COUNTED]
    title = f"{machine}, {group}, {strategy} beside the better core"
    if large:
        memory = {name: ours.memory / theirs.memory for name, ours, theirs in large}
        cycles = {name: cycle_ratios(ours, theirs) for name, ours, theirs in large}
        means = "/".join(f"{mean(ratios[end] for ratios in cycles.values()):.3f}" for end in range(len(ENDS)))
        worst = max(memory, key=lambda name: memory[name])
        most = MOST_CYCLES[strategy]
        slower = [f"{name} {max(ratios):.3f}" for name, ratios in cycles.items() if max(ratios) > most]
        print(
            f"{title}: memory {mean(memory.values()):.3f} (worst {memory[worst]:.3f}, {worst}), cycles {means}; "
            f"{len(large)} networks, above {most} in cycles: {', '.join(slower) or 'none'}"
        )
    small = [pair for pair in pairs if pair not in large]
    if small:
        worse = [
            f"{name} {max(cycle_ratios(ours, theirs)):.3f} in {ours.memory} of {theirs.memory} bytes"
            for name, ours, theirs in small
            if ours.memory > theirs.memory or max(cycle_ratios(ours, theirs)) > 1
        ]
        print(f"{title}, up to {LEAST_COUNTED // 1024} KiB: {len(small)} networks, worse: {', '.join(worse) or 'none'}")


def better(row: Row, strategy: str) -> Schedule | None:
    """Of what vela's cores make the one with the fewest cycles, or the least memory under Size; None if none does."""
    theirs = [point.vela for point in row.points if point.strategy == strategy]

    def key(one: Schedule) -> tuple[float, float]:
        cycles = mean(map(float, one.cycles)) if one.cycles[0] else 0.0
        return (one.memory, cycles) if strategy == "Size" else (cycles, one.memory)

    return min(theirs, key=key, default=None)


def cycle_ratios(ours: Schedule, theirs: Schedule) -> list[float]:
    """Our cycles over theirs at each of `ENDS`."""
    return [a / b for a, b in zip(ours.cycles, theirs.cycles, strict=True)]


def told(points: Sequence[Point]) -> str:
    """The geometric means at each end, memory, and how many points came out how."""
    fitting = [point for point in points if point.ratios]
    if not fitting:
        return f"{len(points)} points, no schedule at any"
    means = "/".join(f"{mean(point.ratios[end] for point in fitting):.3f}" for end in range(len(ENDS)))
    memory = mean(p.ours.memory / p.vela.memory for p in fitting if p.ours and p.ours.memory and p.vela.memory)
    marks = [mark(point.ratios) for point in points]
    won = sum(not m and max(p.ratios) < 1 for m, p in zip(marks, points, strict=True))
    return (
        f"cycles {means}, memory {memory:.3f}; {len(points)} points, {won} won, "
        f"{marks.count('!')} lost by more than {LOST - 1:.0%}, {marks.count('?')} open"
    )


def print_baseline(machine: Machine, group: str, rows: Sequence[Row]) -> None:
    """Our schedules without a limit beside those of the baseline."""
    pairs = [(row, s, row.ours[s], earlier) for row in rows for s, earlier in row.baseline.items() if s in row.ours]
    pairs = [pair for pair in pairs if pair[2].cycles[0] and pair[3].cycles[0]]
    cycles = [[now / then for now, then in zip(a.cycles, b.cycles, strict=True)] for _, _, a, b in pairs]
    memory = [a.memory / max(b.memory, 1) for _, _, a, b in pairs]
    # The cache of a mode is there to be used.
    larger = [a.arena / max(b.arena, 1) if machine.slow_arena else a.memory / max(b.memory, 1) for _, _, a, b in pairs]
    means = "/".join(f"{mean(ratios[end] for ratios in cycles):.3f}" for end in range(len(ENDS)))
    print(f"{machine}, {group}, beside the baseline: cycles {means}, memory {mean(memory):.3f}; {len(pairs)} schedules")
    for (row, strategy, now, then), ratios, size in zip(pairs, cycles, larger, strict=True):
        words = [word for word, ratio in (("slower", max(ratios)), ("larger", size)) if ratio > WORSE]
        if words:
            figures = f"{of_schedule(then).strip()} -> {of_schedule(now).strip()}"
            print(f"    {row.network} {strategy}: {' and '.join(words)}: {figures}")


@dataclass(frozen=True)
class LeftOut:
    """Our schedule of a network with all passes, and those without one of them each."""

    network: str
    strategy: str
    whole: Schedule
    without: dict[str, Schedule]

    def ratios(self, name: str) -> tuple[float, list[float]]:
        """Memory, and cycles at each of `ENDS`, without a pass over those with all."""
        one = self.without[name]
        cycles = [a / b for a, b in zip(one.cycles, self.whole.cycles, strict=True) if b]
        return one.memory / max(self.whole.memory, 1), cycles


def each_pass(work: Work) -> list[LeftOut]:
    """A network on a machine without each pass that only optimises."""
    names = [name for name in (*LOWERING, *SCHEDULE, *COMMANDS) if name in OPTIONAL]
    return [
        LeftOut(
            work.network.name,
            strategy,
            by_us(work.network, work.machine, strategy),
            {n: by_us(work.network, work.machine, strategy, left_out=frozenset({n})) for n in names},
        )
        for strategy in work.strategies
    ]


def print_each_pass(machine: Machine, items: Sequence[Work], jobs: int) -> None:
    """What each pass is good for on one machine: a line a network and strategy, then one a pass."""
    columns = f"KiB (arena+cache), thousand cycles (at {ENDS[0]}); memory and cycles without a pass over those"
    print(f"\n{machine}: {columns}")
    shown: list[LeftOut] = []
    for work, answer in pool.each(each_pass, items, jobs):
        if isinstance(answer, pool.Died):
            print(f"{work.network.name}: {answer}", flush=True)
            continue
        for one in answer:
            changes = [f"{short(name)} {of_change(*one.ratios(name))}" for name in one.without if changed(one, name)]
            print(f"{one.network[:40]:40} {one.strategy[:4]:4} {of_schedule(one.whole)} | {', '.join(changes)}")
            shown.append(one)
        sys.stdout.flush()
    for name in shown[0].without if shown else ():
        cells: list[str] = []
        for strategy in dict.fromkeys(one.strategy for one in shown):
            pairs = [one.ratios(name) for one in shown if one.strategy == strategy and one.whole.cycles[0]]
            cycles = [mean(cycles[end] for _, cycles in pairs) for end in range(len(ENDS))]
            cells.append(f"{strategy} {of_change(mean(memory for memory, _ in pairs), cycles)}")
        print(f"{machine}, without {short(name):24} {', '.join(cells)}", flush=True)


def changed(one: LeftOut, name: str) -> bool:
    """Whether a pass makes a difference that two decimals show."""
    memory, cycles = one.ratios(name)
    return any(abs(ratio - 1) >= 0.005 for ratio in (memory, *cycles))


def of_change(memory: float, cycles: Sequence[float]) -> str:
    """A ratio of memory, and those of cycles."""
    return f"{memory:.2f} {'/'.join(f'{ratio:.2f}' for ratio in cycles)}"


def short(name: str) -> str:
    """The name of a pass without its level."""
    return name.removeprefix("npu-schedule-").removeprefix("npu-cmd-")


# The command


def versions(vela: str | None) -> str:
    """Our commit, and vela's version."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    ours = f"npuc {commit.stdout.strip() or 'of no repository'}"
    return ours if vela is None else f"{ours}, {vela_version(vela)}"


def print_comparison(machine: Machine, rows: Iterator[Row]) -> list[Row]:
    """The table of one machine; gives its rows."""
    width, ratio = 24, 6 * len(ENDS) + 3
    print(f"\n{machine}: KiB (arena+cache), thousand cycles (at {ENDS[0]}), our cycles over vela's")
    columns = " | ".join(f"{f'vela {core}':>{width}} {'ours at that':>{width}} {'ratio':>{ratio}}" for core in CORES)
    print(f"{'':45} {'ours':>{width}} | {columns}")
    shown: list[Row] = []
    for row in rows:
        print_row(row)
        shown.append(row)
    print_summary(machine, shown)
    return shown


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", metavar="COMMAND")
    parser.add_argument("--each-pass", action="store_true", help="what each pass adds, instead of vela's schedules")
    parser.add_argument("--models", type=Path, default=SHARED, metavar="DIR")
    parser.add_argument("--match", default="", metavar="REGEX", help="networks of which this is part of the name")
    parser.add_argument("--accelerators", default="ethos-u65-512,ethos-u65-256,ethos-u55-256,ethos-u55-128")
    parser.add_argument("--modes", default="Dedicated_Sram_384KB,Shared_Sram,Sram_Only")
    parser.add_argument("--system-config", metavar="NAME", help="instead of each accelerator's usual one")
    parser.add_argument("--optimise", default=",".join(STRATEGIES))
    parser.add_argument("--cache", metavar="DIR", help="where vela's files are kept")
    parser.add_argument("--baseline", metavar="DIR", help="earlier files of ours to stand beside")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="networks at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all that was measured")
    args = parser.parse_args()
    if not (args.vela or args.each_pass or args.baseline):
        parser.error("--vela COMMAND, --baseline DIR or --each-pass")
    strategies = tuple(s for s in STRATEGIES if s in args.optimise.split(","))
    print(f"$ python {' '.join(sys.argv)}\n{versions(args.vela)}; the model at: {', '.join(ENDS)}", flush=True)
    chosen = [network for network in networks(args.models) if re.search(args.match, network.name)]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = args.cache or folder
        Path(cache).mkdir(parents=True, exist_ok=True)
        for machine in machines(args.accelerators.split(","), args.modes.split(","), args.system_config):
            items = [Work(network, machine, strategies) for network in chosen]
            if args.each_pass:
                print_each_pass(machine, items, args.jobs)
                continue
            function = partial(compare, vela=args.vela, cache=cache, baseline=args.baseline)
            answers = pool.each(function, items, args.jobs)
            rows += print_comparison(machine, (row_of(work, answer) for work, answer in answers))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def machines(accelerators: Sequence[str], modes: Sequence[str], system: str | None) -> Iterator[Machine]:
    """Every pair that exists: an accelerator of the first generation has no slow arena, and is shown in one mode."""
    for name in accelerators:
        for mode in modes:
            if name.startswith("ethos-u65") or mode == "Shared_Sram":
                yield Machine(name, mode, system)


def row_of(work: Work, answer: Row | pool.Died) -> Row:
    """What a worker measured, or a row that says how it died."""
    if isinstance(answer, Row):
        return answer
    return Row(work.network.name, work.network.group, work.machine, failures=[f"{work.network.name}: {answer}"])


if __name__ == "__main__":
    main()
