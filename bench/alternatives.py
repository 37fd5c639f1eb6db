"""
What the alternatives to decisions of the scheduler would bring: our schedules beside those that each of them makes.

    python bench/alternatives.py [--only NAME] [--match REGEX] [--models DIR]

Each alternative stands in the place of the function that decides, and nothing else is changed; docs/rationale.md says
what follows. A row is a network on one machine at one limit; the figures are the SRAM and the cycles of the alternative
over ours, cycles at both ends of the cost model: above 1 the alternative is worse. Limits are none, bytes, or
multiples of what our own schedule for the strategy Size takes: both schedules have the same memory to spend.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any
from unittest.mock import patch

from networks import SHARED, Network, networks
from schedule import ENDS, Machine, Schedule, by_us
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis import allocation
from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.storage import storage_bytes, tensor_type
from npuc.dialects.npu_schedule import KernelOp
from npuc.planning import buffers, cascades, evaluation, placement, prefetch, residency, schedules, staging
from npuc.planning.cascades import Planner, Segment
from npuc.planning.network import scheduled_functions
from npuc.planning.tasks import Task
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import LOWERING, SCHEDULE, pipeline
from npuc.tools.profiling.profile import profile_module

U55 = Machine("ethos-u55-256", "Shared_Sram")
U65 = Machine("ethos-u65-512", "Dedicated_Sram_384KB")
PLAN = "npu-schedule-plan-cascades"
SMALL = "mlperf_kws|mlperf_resnet8|mlperf_vww|tflm_person_detect"


@dataclass(frozen=True)
class Alternative:
    """
    Another way to decide: what stands in the place of what, or a pass that is left out. `limits` are those at which it
    is compared: None for none, bytes, or (a float) a multiple of the memory that our own schedule for Size takes.
    """

    question: str
    patches: Callable[[], Sequence[Any]] = tuple
    leave_out: frozenset[str] = frozenset()
    machines: Sequence[Machine] = (U55, U65)
    limits: Sequence[float | None] = (None, 1.25, 1.0)
    match: str = SMALL

    @contextmanager
    def in_place(self) -> Generator[None]:
        """While it decides."""
        allocation._search.cache_clear()  # pyright: ignore[reportPrivateUsage]
        with ExitStack() as stack:
            for one in self.patches():
                stack.enter_context(one)
            yield
        allocation._search.cache_clear()  # pyright: ignore[reportPrivateUsage]


def forwards(*given: Any) -> prefetch.Plan:
    """`prefetch.plan` in one direction only: who is needed first takes the time before it."""
    return prefetch.plan(*given[:3], forwards=True)


def backwards(*given: Any) -> prefetch.Plan:
    """`prefetch.plan` in one direction only: who is needed last takes the time before it."""
    return prefetch.plan(*given[:3])


def grown(planner: Planner, limit: int, buffers: bool = True, overlaps: bool = True) -> list[Segment]:
    """
    `Planner.quickest` greedily. In program order: an item that fits by itself runs whole. One that does not begins a
    cascade, which takes in the items behind it as long as that lowers its memory or the next one would not fit by
    itself; then its stripes are the tallest that fit.
    """
    count, cut = len(planner.segments), list[Segment]()
    while (start := cut[-1].stop + 1 if cut else 0) < count:
        alone = Segment(start, start, 0, planner.network.alone(start))
        best = alone
        for stop in range(start + 1, count if alone.memory > limit else start):
            if best.memory <= limit and planner.network.alone(stop) <= limit:
                break
            longer = min((s for s in planner.segments[stop] if s.start == start), key=lambda s: s.memory, default=None)
            if longer is None:
                break
            if longer.memory < max(best.memory, planner.network.alone(stop)):
                best = longer
        fitting = [s for s in planner.segments[best.stop] if s.start == start and s.memory <= limit]
        if not fitting:
            raise PassFailedException(f"grown cascades need {best.memory} bytes")
        cut.append(max(fitting, key=lambda s: s.rows))
    return cut


def first_cut(self: schedules.Region, limit: int) -> list[list[Segment]]:
    """`Region._cuts`: the one for the limit."""
    return [self.planner.quickest(limit)]


def always_staged(self: Any, numbers: Sequence[int], value: SSAValue) -> tuple[Sequence[int], list[Any]]:
    """`Staging._best`: whatever lies in slow memory is brought whole for as many as there is memory for."""
    together = self._together(numbers, self._near(numbers[0], value).memory)
    return together or numbers[:1], [self._near(number, value) for number in together]


def always_buffered(choices: Sequence[Any]) -> Any:
    """`buffers._pick`: the quickest of those that go through buffers, if any fits."""
    return min([one for one in choices if one.way.buffers] or choices, key=lambda one: one.cycles)


def by_size(self: Any, root: SSAValue) -> float:
    """`_Placement._spill_cycles` such that the largest value goes first."""
    size = storage_bytes(tensor_type(root))
    return -float(size * size)


def by_size_only(ranges: Sequence[allocation.LiveRange], rules: object) -> Iterator[list[int]]:
    """`allocation._orders`: the largest first."""
    yield sorted(range(len(ranges)), key=lambda number: -ranges[number].rounded)


def first_fit() -> Sequence[Any]:
    """One order, and no other is tried."""
    return (
        patch.object(allocation, "_orders", by_size_only),
        patch.object(allocation, "ORDERS", 1),
        patch.object(allocation, "TRIES", 0),
        patch.object(allocation, "QUESTION_TRIES", 0),
    )


def without_bare(
    self: schedules.Schedules, tasks: Sequence[Task], limit: int, cuts: buffers.Cuts, memory: evaluation.RegionMemory
) -> schedules.Buffered:
    """`Schedules.buffered`: the buffers that are planned for the limit, whatever they bring."""
    decisions = self._planners[0].plan(tasks, limit, cuts)  # pyright: ignore[reportPrivateUsage]
    for work, decision in decisions.items():
        cuts.setdefault(work.key, decision.cuts)
    return schedules.Buffered(0, 0, decisions, limit)


def nothing_resident(front: Sequence[residency.Resident], *_: object) -> Sequence[residency.Resident]:
    """`residency.extended`: the kernels of a cascade read their weights in place."""
    return front


ALTERNATIVES = {
    "arena": Alternative(
        "feature maps stay in the slow arena",
        leave_out=frozenset({"npu-schedule-place-feature-maps"}),
        machines=(U65,),
        limits=(None,),
    ),
    "spill-by-size": Alternative(
        "the largest value is spilled first",
        lambda: [patch.object(placement._Placement, "_spill_cycles", by_size)],  # pyright: ignore
        machines=(U65,),
        limits=(8 << 10, 12 << 10, 16 << 10, 24 << 10),
    ),
    "forwards": Alternative(
        "transfers are always given time in the order in which they are needed",
        lambda: [patch.object(module, "plan", forwards) for module in (prefetch, evaluation)],
        match=f"{SMALL}|micro_speech",
    ),
    "backwards": Alternative(
        "transfers are always given time in the reverse of the order in which they are needed",
        lambda: [patch.object(module, "plan", backwards) for module in (prefetch, evaluation)],
        match=f"{SMALL}|micro_speech",
    ),
    "always-staged": Alternative(
        "operands always go through SRAM, if there is memory",
        lambda: [patch.object(staging.Staging, "_best", always_staged)],
        match=f"{SMALL}|own_silu_detector_128",
    ),
    "always-buffered": Alternative(
        "weights always go through SRAM, if there is memory",
        lambda: [
            patch.object(buffers, "_pick", always_buffered),
            patch.object(schedules.Schedules, "buffered", without_bare),
        ],
    ),
    "never-resident": Alternative(
        "kernels of cascades read their weights in place",
        lambda: [patch.object(module, "extended", nothing_resident) for module in (cascades, buffers)],
        limits=(1.5, 1.25, 1.1),
    ),
    "greedy": Alternative(
        "cascades are grown where a kernel does not fit",
        lambda: [patch.object(Planner, "quickest", grown), patch.object(schedules.Region, "_cuts", first_cut)],
        limits=(1.5, 1.25, 1.0),
    ),
    "no-competition": Alternative(
        "the sums of the planners have the last word, no whole schedule is timed",
        lambda: [
            patch.object(schedules.Region, "_cuts", first_cut),
            patch.object(schedules.Schedules, "buffered", without_bare),
        ],
        limits=(None, 1.5, 1.1),
    ),
    "first-fit": Alternative("the largest first, each at the lowest free address", first_fit),
    "linear": Alternative("all feature maps are NHWC", leave_out=frozenset({"npu-schedule-select-formats"})),
}


def schedules_of(network: Network, machine: Machine, limit: int | None, one: Alternative) -> tuple[Schedule, Schedule]:
    """Ours and the alternative's; UserError where one of them is not to be had."""
    ours = by_us(network, machine, "Performance", limit)
    with one.in_place():
        return ours, by_us(network, machine, "Performance", limit, one.leave_out)


def count_views(network: Network, machine: Machine) -> tuple[int, int]:
    """How many feature maps kernels read, and how many of them are no kernel's result: what views and cascades give."""
    ctx = make_context()
    module = load_module(ctx, network.read(), network.name, "tflite")
    target = machine.target("Performance")
    passes = ",".join((target.text, *LOWERING, *SCHEDULE[: 1 + SCHEDULE.index("npu-schedule-fold-views")]))
    run_passes(ctx, module, parse_passes(passes, available_passes()))
    read = [value for op in module.walk() if isinstance(op, KernelOp) for value in op.feature_maps]
    return len(read), sum(not isinstance(value.owner, KernelOp) for value in read)


def least_memory(network: Network, machine: Machine) -> tuple[int, int]:
    """The least bytes in which grown cascades run, and those of the dynamic programme; the region that needs most."""
    grown_need = need = 0
    for region in regions_of(network, machine, None)[1]:
        planner = region.planner
        need = max(need, planner.least_peak())
        for limit in sorted({segment.memory for segments in planner.segments for segment in segments}):
            try:
                grown(planner, limit)
            except PassFailedException:
                continue
            grown_need = max(grown_need, limit)
            break
    return grown_need, need


def regions_of(network: Network, machine: Machine, limit: int | None) -> tuple[ModuleOp, list[schedules.Region]]:
    """The regions of a network before cascades are planned."""
    ctx = make_context()
    module = load_module(ctx, network.read(), network.name, "tflite")
    passes = pipeline(machine.target("Performance", limit)).split(",")
    text = ",".join(passes[: passes.index(PLAN)])
    run_passes(ctx, module, parse_passes(text, available_passes()))
    held = held_by_host(module)
    return module, [
        schedules.region_of(one, held.get(one.sym_name.data, NOTHING_HELD), machine_of(one), setup_of(one))
        for one in scheduled_functions(module)
    ]


def figures(network: Network, machine: Machine, limit: int) -> tuple[int, int, int]:
    """Cycles of a schedule: the sum of its segments, the whole before there are commands, and the emitted commands."""
    module, regions = regions_of(network, machine, limit)
    parts = whole = 0
    for region in regions:
        cut = region.cut(limit)
        parts += sum(region.planner.cycles(segment, limit) for segment in cut)
        whole += region._schedules.buffered(region.tasks(cut), limit, {}).cycles  # pyright: ignore
    passes = pipeline(machine.target("Performance", limit)).split(",")
    text = ",".join(passes[passes.index(PLAN) : -1])
    run_passes(make_context(), module, parse_passes(text, available_passes()))
    return parts, whole, profile_module(module, network.name, (), None, None).cycles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ALTERNATIVES, help="one alternative")
    parser.add_argument("--match", default="", help="networks whose name matches; default: a few small ones")
    parser.add_argument("--models", type=Path, default=SHARED, help="default: %(default)s")
    parser.add_argument("--count-views", action="store_true", help="only count what kernels read through views")
    parser.add_argument(
        "--figures", action="store_true", help="only print what a schedule is taken to cost, and by whom"
    )
    options = parser.parse_args()
    if options.figures:
        for network in networks(options.models):
            if re.search(options.match or SMALL, network.name):
                print(f"{network.name:28} least memory, grown and ours: {least_memory(network, U55)}")
                least = by_us(network, U55, "Size").arena
                for spent in (1.0, 1.25, 1.5, 2.0):
                    parts, whole, emitted = figures(network, U55, int(spent * least))
                    print(f"{network.name:28} {spent * least / 1024:6.1f} KiB  {emitted // 1000:5} kilocycles", end="")
                    print(f"  sum of segments {parts / emitted:.3f}  whole schedule {whole / emitted:.3f}", flush=True)
        return
    if options.count_views:
        for network in networks(options.models):
            if re.search(options.match, network.name):
                read, views = count_views(network, U65)
                print(f"{network.name:28} {read:5} feature maps read, {views} of them no kernel's result", flush=True)
        return
    sizes: dict[tuple[str, str], int] = {}
    for name, one in ALTERNATIVES.items():
        if options.only not in (None, name):
            continue
        print(f"{name}: {one.question}", flush=True)
        ratios: list[float] = []
        chosen = [net for net in networks(options.models) if re.search(options.match or one.match, net.name)]
        for network in chosen:
            for machine in one.machines:

                def size(network: Network = network, machine: Machine = machine) -> int:
                    key = network.name, str(machine)
                    if key not in sizes:
                        schedule = by_us(network, machine, "Size")
                        sizes[key] = schedule.cache if machine.slow_arena else schedule.arena
                    return sizes[key]

                for spent in one.limits:
                    limit = int(spent * size()) // 16 * 16 if isinstance(spent, float) else spent
                    text = "no limit" if limit is None else f"{limit / 1024:.1f} KiB"
                    place = f"  {network.name:28} {machine.accelerator:14} {text:>9}"
                    try:
                        ours, other = schedules_of(network, machine, limit, one)
                    except UserError as error:
                        print(f"{place}  {str(error).splitlines()[0]}", flush=True)
                        continue
                    cycles = [theirs / mine for theirs, mine in zip(other.cycles, ours.cycles, strict=True)]
                    ratios += cycles
                    text = "  ".join(f"{ratio:.3f}" for ratio in cycles)
                    kept = f"{ours.memory / 1024:6.1f} KiB x {other.memory / ours.memory:.3f}"
                    print(f"{place}  {kept}   {ours.cycles[0] // 1000:5} kilocycles x {text}", flush=True)
        if ratios:
            mean = exp(sum(map(log, ratios)) / len(ratios))
            print(f"  cycles, geometric mean {mean:.3f}, {min(ratios):.3f} to {max(ratios):.3f} ({' and '.join(ENDS)})")


if __name__ == "__main__":
    main()
