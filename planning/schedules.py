"""
Whole schedules of a region side by side: how each of them is cut, which weights are buffered, and what it takes.

The last word on a schedule has the evaluation of the whole program (`npuc.planning.evaluation`). The planner of
cascades finds the best cut for a limit by what segments take each for itself, and buffers are chosen kernel by kernel;
here what comes of both is timed, and the quickest wins: cuts and buffers that were chosen for the limit that is given,
for lower ones, and no buffers at all.

Buffers are planned by sums of what is alive. What the winner really needs of a memory in which there may have to be
gaps is asked of that memory, and what it lacks is taken from what buffers may have.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, takewhile
from math import sqrt
from typing import NamedTuple

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.allocation import ALIGNMENT
from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import (
    UNLIMITED,
    machine_of,
    scarce_space_of,
    setup_of,
    transfer_limit_of,
    transfers_forwards,
)
from npuc.dialects.npu import AREAS
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.cycles import LAUNCH_WORDS, WORD_BYTES
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.parameters import HIGH, LOW
from npuc.planning.buffers import BufferPlanner, Cuts, Decision, Decisions, pinned
from npuc.planning.cascades import Planner, Segment
from npuc.planning.evaluation import Issues, Program, RegionMemory, program_of
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.tasks import Task, Work, Works, policy_for_buffers, setups_to_compare

CLOSE = 1.005
"""
A score that is no more than the best by this factor is as good: then transfers keep to the lowest limit, and are not
turned round.
"""
LOWER_LIMITS = 2
"""So many lower limits are tried for the choice of buffers: with more memory it may take buffers that do not pay."""
CUTS = 5
"""So many cuts are timed: the best ones for the limit and for lower limits, as the planner of cascades has it."""
MORE_LIMITS = 5
"""So many are tried where it is settled."""
REGRET = 1.02
"""The quickest choice of buffers is reconsidered that takes longer by this factor at `LOW` than the one for that."""
MIXED = 8
"""Of two such choices so many mixtures are tried."""
TURNED = 3
"""Of so many choices, the best first, transfers are planned in the other direction, too, as long as that pays."""
STEPS = 32
"""The lower limits for which cuts are looked for are so many even steps from the least limit to that of no cascade."""
LARGER_LIMITS = 8
"""So many limits are tried where the smallest asks for too many commands."""
LOWER_CUTS = 6
"""So many cuts for lower limits are tried where results that lie over operands find no addresses within one."""
ROUNDS = 8
"""So often buffers are planned anew because the allocator leaves gaps."""


class Buffered(NamedTuple):
    """What has been decided about the weights of tasks, and the cycles of the program that comes of it."""

    cycles: int
    low: int
    """The cycles at `LOW`, where that makes a difference."""
    decisions: dict[Work, Decision]
    limit: int
    """Bytes that transfers keep to: with more memory they may come so early that they are in the way."""
    forwards: bool = False
    """Transfers are given time in the order in which they are needed, not the last first."""

    @property
    def score(self) -> float:
        """
        What schedules are compared by, less is better: the geometric mean of the cycles and of those at `LOW`. So what
        gains by one end of the parameters and loses as much by the other is no gain.
        """
        return sqrt(self.cycles * self.low)


class _Costed(NamedTuple):
    """Tasks whose costs are those of one setup, and what plans buffers for them."""

    tasks: Sequence[Task]
    setup: MemorySetup
    planner: BufferPlanner


class Schedules:
    """Times schedules of one machine whose buffers lie in `area`."""

    def __init__(self, area: Area, machine: Accelerator, setup: MemorySetup):
        self.area: Area = area
        self.machine, self.setup = machine, setup
        # Where a memory may be quicker than it is taken to be, waiting less for it may pay.
        self._setups = setups_to_compare(setup)
        self._planners = [BufferPlanner(area, machine, one) for one in self._setups]
        self.buffers_help = setup.memory(area).bytes_per_cycle > setup.constants.bytes_per_cycle

    def bare_cycles(self, tasks: Sequence[Task], limit: int, forwards: bool = False) -> int:
        """Cycles with no buffers but those that stand in the IR."""
        program = self.program(tasks, pinned(tasks))
        return program.cycles(program.issues(limit, forwards))

    def buffered(self, tasks: Sequence[Task], limit: int, cuts: Cuts, memory: RegionMemory) -> Buffered:
        """
        The buffers that are planned, or none but those that stand in the IR if that is quicker. `cuts` are those of
        other regions, and are added to.

        `memory` says what they need in it. Where that is more than the limit, because there have to be gaps, transfers
        are issued later, or the tasks meanwhile are taken to need so much more and buffers are planned again: what is
        quicker.
        """
        best = self._placed(tasks, limit, cuts, memory)
        for work, decision in best.decisions.items():
            cuts.setdefault(work.key, decision.cuts)
        return best

    def _placed(self, tasks: Sequence[Task], limit: int, cuts: Cuts, memory: RegionMemory) -> Buffered:
        """The quickest of those that fit, planned for what is left beside gaps; none if there are none."""
        costed, crowded = self._costed(tasks), tasks
        fitting: list[Buffered] = []
        seen: list[Buffered] = []
        enough: tuple[int, int] | None = None
        for _ in range(ROUNDS):
            best = self._planned(crowded, limit, cuts)
            if any(best[2:] == one[2:] for one in seen):
                break  # The same decisions.
            seen.append(best)
            program = self.program(tasks, best.decisions)
            placed = program.placed(best.limit, memory, limit, best.forwards)
            if len(seen) == 1 and placed.needs.height <= limit and not any(placed.gaps):
                return best
            if enough is None:
                # What is needed without buffers, none can help.
                least = self.program(tasks, pinned(tasks)).placed(0, memory, limit).needs
                enough = max(limit, least.top), max(limit, least.height)
            if placed.needs.top <= enough[0] and placed.needs.height <= enough[1]:
                issues = program.issued(placed.plan)
                fitting.append(self._scored(program, best.decisions, best.limit, best.forwards, issues))
            if not any(placed.gaps):
                break  # Nothing that could be planned otherwise.
            ends = pairwise((*program.starts, len(program.launches)))
            crowded = [
                replace(task, used=task.used + max(placed.gaps[start:stop], default=0))
                for task, (start, stop) in zip(crowded, ends, strict=True)
            ]
        if not fitting:
            return self._tried(costed, limit, [], cuts)[0]
        return min(fitting, key=lambda one: one.score)

    def _planned(self, tasks: Sequence[Task], limit: int, cuts: Cuts) -> Buffered:
        """The quickest of what is planned for the limit, for lower ones and without buffers."""
        costed = self._costed(tasks)
        limits = self._limits(tasks, limit, MORE_LIMITS)
        tried = self._tried(costed, limit, [(less, one) for one in costed for less in limits], cuts)
        tried += self._mixed(tasks, tried, limit)
        return self._for_transfers(tasks, tried, limits[1:])

    def program(self, tasks: Sequence[Task], decisions: Decisions) -> Program:
        """What tasks become by decisions."""
        return program_of(tasks, decisions, self.area, self.machine, self.setup)

    def _mixed(self, tasks: Sequence[Task], tried: Sequence[Buffered], limit: int) -> list[Buffered]:
        """
        The quickest choice with what the quickest at `LOW` decides about some weights, as far as that is better by both
        together; none where that is not much quicker there.
        """
        first, other = min(tried, key=lambda one: one.cycles), min(tried, key=lambda one: one.low)
        if other.low * REGRET > first.low:
            return []
        alike: dict[Hashable, list[Work]] = {}
        for work in reversed(first.decisions):
            alike.setdefault(work.key, []).append(work)  # Equal weights are cut alike.
        differ = [works for works in alike.values() if any(first.decisions[w] != other.decisions[w] for w in works)]
        chosen = first
        for number in range(min(MIXED, len(differ))):
            changed = {work: other.decisions[work] for works in differ[number::MIXED] for work in works}
            decisions = {**chosen.decisions, **changed}
            program = self.program(tasks, decisions)
            if program.peak <= limit:
                chosen = min(chosen, self._scored(program, decisions, limit), key=lambda one: one.score)
        return [chosen]

    def _for_transfers(self, tasks: Sequence[Task], tried: Sequence[Buffered], lower: Sequence[int]) -> Buffered:
        """
        The best choice, with the lowest of some limits for transfers that is as good; or one with transfers planned
        forwards, if that is quicker whatever the machine is like.
        """
        ordered = sorted(tried, key=lambda one: one.score)
        best = ordered[0]
        program = self.program(tasks, best.decisions)
        kept = [self._scored(program, best.decisions, less) for less in lower if less >= program.peak]
        kept.append(best)
        least = min(one.score for one in kept)
        chosen = min((one for one in kept if one.score <= least * CLOSE), key=lambda one: one.limit)
        other = chosen
        for one in ordered[:TURNED] if lower else ():
            program = program if one is best else self.program(tasks, one.decisions)
            if not program.competing:
                continue
            turned = self._scored(program, one.decisions, one.limit, forwards=True)
            other = min(other, turned, key=lambda one: one.score)
            if turned.score >= one.score:
                break
        if other.score * CLOSE >= chosen.score:
            return chosen
        ends = zip(self._at_ends(tasks, other), self._at_ends(tasks, chosen), strict=True)
        holds = other.cycles <= chosen.cycles and all(turned <= as_it_was for turned, as_it_was in ends)
        return other if holds else chosen

    def _at_ends(self, tasks: Sequence[Task], one: Buffered) -> list[int]:
        """The cycles of a schedule at both ends of what is uncertain, its transfers issued as they will be."""
        program = self.program(tasks, one.decisions)
        issues = program.issues(one.limit, one.forwards)
        return [program.cycles_under(self.setup.with_parameters(end), issues) for end in (LOW, HIGH)]

    def quick(self, tasks: Sequence[Task], limit: int, lower: bool = False) -> Buffered:
        """
        The buffers that are planned for a limit, or none if that is quicker: to compare schedules by. It looks at the
        choices for `lower` limits if that is asked for.
        """
        costed = self._costed(tasks)
        limits = self._limits(tasks, limit) if lower else [limit]
        plans = [(less, costed[0]) for less in limits] + [(limit, one) for one in costed[1:]]
        return min(self._tried(costed, limit, plans, {}), key=lambda one: one.score)

    def decided(self, tasks: Sequence[Task], decisions: Decisions, limit: int) -> Buffered:
        """What has been decided about works of the same kernels in other blocks, as far as it is about buffers."""
        by_op = {work.op: one for work, one in decisions.items()}
        works = (work for task in tasks for work in task.works if work.op in by_op)
        same = {work: by_op[work.op] for work in works}
        return self._scored(self.program(tasks, same), same, limit)

    def _costed(self, tasks: Sequence[Task]) -> list[_Costed]:
        """The tasks by the costs as they are taken to be, and as low as they can be where that makes a difference."""
        others = [[task.under(setup) for task in tasks] for setup in self._setups[1:]]
        return [_Costed(*one) for one in zip([tasks, *others], self._setups, self._planners, strict=True)]

    def _tried(
        self, costed: Sequence[_Costed], limit: int, plans: Sequence[tuple[int, _Costed]], cuts: Cuts
    ) -> list[Buffered]:
        """The choice of no buffers, and those that are planned for some limits and costs, timed for one limit."""
        choices = [pinned(costed[0].tasks)]
        works = [work for task in costed[0].tasks for work in task.works]
        for less, (tasks, setup, planner) in plans if self.buffers_help else ():
            planned = planner.plan(tasks, less, dict(cuts))
            choices.append({work: planned[same] for work in works if (same := work.under(setup)) in planned})
        unlike = [choice for number, choice in enumerate(choices) if choice not in choices[:number]]
        tasks = costed[0].tasks
        return [self._scored(self.program(tasks, choice), choice, limit) for choice in unlike]

    def _scored(
        self,
        program: Program,
        decisions: dict[Work, Decision],
        limit: int,
        forwards: bool = False,
        issues: Issues | None = None,
    ) -> Buffered:
        """A program by each of some costs. When transfers are issued is planned by the first, unless that is known."""
        issues = issues or program.issues(limit, forwards)
        cycles = [program.cycles_under(setup, issues) for setup in self._setups]
        return Buffered(cycles[0], cycles[-1], decisions, limit, forwards)

    def _limits(self, tasks: Sequence[Task], limit: int, count: int = LOWER_LIMITS) -> list[int]:
        """The limit, and the last of a row below it that does not depend on it: in steps of half a power of two."""
        used = max((task.used for task in tasks), default=0)
        if limit >= used + sum(work.size for task in tasks for work in task.works):
            return [limit]  # There is memory for all that could be in a buffer.
        row = (used + (scale << power) // 4 for power in range(10, 40) for scale in (4, 6))
        lower = list(takewhile(lambda less: less < limit, row))
        return [limit, *lower[-count:]]


class Region:
    """The schedules of one region, before there are cascades."""

    def __init__(self, network: Network, machine: Accelerator, setup: MemorySetup):
        self.network, self.machine, self.setup = network, machine, setup
        self.works = Works(network, machine, setup)
        near = policy_for_buffers(AREAS[network.space], machine, setup)
        self._near_works = Works(network, machine, setup, near)
        self._schedules = Schedules(AREAS[network.space], machine, setup)
        self._bares: dict[tuple[Segment, ...], int] = {}
        self._heights: dict[tuple[tuple[Segment, ...], int], int] = {}

    @cached_property
    def planner(self) -> Planner:
        """Values the ways to cut the region into cascades."""
        return Planner(self.network, self.works)

    @property
    def buffered_peak(self) -> int:
        """Bytes needed if every item runs as it stands and has all its weights in a buffer."""
        tasks = [self.works.of_item(number) for number in range(len(self.network.items))]
        self.works.measure(work for task in tasks for work in task.works)
        return max((task.used + (0 if task.cascade else task.works[0].size) for task in tasks), default=0)

    def tasks(self, cut: Sequence[Segment], works: Works | None = None) -> list[Task]:
        """What segments become, in blocks for weights in place unless other `works` are given."""
        works = works or self.works
        tasks: list[Task] = []
        for one in cut:
            if one.rows:
                choice, launches = self.planner.choice(one), self.planner.launches(one)
                tasks.append(works.of_cascade(one.start, choice.stripes, choice.rolling, launches, one.memory))
            else:
                tasks.append(works.of_item(one.start))
        works.measure(work for task in tasks for work in task.works)
        return tasks

    def cut(self, limit: int) -> list[Segment]:
        """
        The cut within a limit whose whole schedule, buffers of weights included, is quickest: of the best cuts for the
        limit and for lower ones by the estimates of the planner of cascades. PassFailedException if none keeps to it.
        """
        cuts = self._fitting(self._cuts(limit), limit)
        if len(cuts) == 1:
            return cuts[0]

        def score(cut: Sequence[Segment]) -> float:
            schedules, near = self._schedules, self.tasks(cut, self._near_works)
            least = schedules.quick(self.tasks(cut), limit, lower=True).score
            return min(least, schedules.quick(near, limit, lower=True).score) if schedules.buffers_help else least

        return min(cuts, key=score)

    def height(self, cut: Sequence[Segment], limit: int) -> int:
        """
        Bytes that a cut takes where results lie over operands, at least its peak; addresses are looked for until they
        keep to `limit`.
        """
        if all(one.over < 0 for one in cut):
            return max(one.memory for one in cut)
        key = tuple(cut), limit
        if key not in self._heights:
            self._heights[key] = self.planner.directions(cut, limit).height
        return self._heights[key]

    def _fitting(self, cuts: list[list[Segment]], limit: int) -> list[list[Segment]]:
        """
        Those cuts for which there are addresses within a limit. If there are for none, one for a lower limit, or one of
        which no result lies over an operand; if that is not to be had, the one that takes least.
        """
        heights = [self.height(cut, limit) for cut in cuts]
        if min(heights) > limit:
            cuts = [*cuts, self.planner.quickest(limit, buffers=False)]
            heights.append(self.height(cuts[-1], limit))
        fitting = [cut for cut, height in zip(cuts, heights, strict=True) if height <= limit]
        lower, least = limit, self.planner.least_peak()
        height, best = min(zip(heights, cuts, strict=True))
        for _ in range(LOWER_CUTS):
            lower -= max(ALIGNMENT, (height - limit) // 2)
            if fitting or lower < least:
                break
            cut = self.planner.quickest(lower)
            height = self.height(cut, limit)
            height, best = min((height, cut), (height, best))
            fitting = [cut] if height <= limit else []
        if fitting:
            return fitting
        try:
            return [self.planner.quickest(limit, overlaps=False)]
        except PassFailedException:
            return [best]

    def score(self, limit: int) -> float:
        """That of the schedule within a limit, to compare regions by that differ in what lies where."""
        return self._schedules.quick(self.tasks(self.planner.quickest(limit)), limit).score

    def _cuts(self, limit: int) -> list[list[Segment]]:
        """The best cut for the limit, and for as many lower limits as have others."""
        least, plain = self.planner.least_peak(), self.network.plain_peak
        steps = sorted({least + (plain - least) * step // STEPS for step in range(STEPS + 1)}, reverse=True)
        cuts: list[list[Segment]] = []
        alike = set[tuple[tuple[int, ...], ...]]()
        """How they are cut, whatever lies over an operand: that makes a difference in memory alone."""
        for lower in (limit, *(step for step in steps if step < limit)):
            cut = self.planner.quickest(lower)
            alike.add(tuple(one[:3] for one in cut))
            if len(alike) > CUTS:
                break
            if cut not in cuts:
                cuts.append(cut)
        return cuts

    def least_limit(self, slowdown: float) -> int:
        """
        The smallest limit for which the quickest schedule takes at most `slowdown` times the cycles of the quickest of
        all, all weights read in place: what buffers gain is no reason to give a schedule more memory.

        If the commands of that cut add more bytes to the file than it saves in memory, a larger limit for which they
        do not.
        """
        planner = self.planner
        sizes = sorted({segment.memory for segments in planner.segments for segment in segments})
        least, plain = planner.least_peak(), self.network.plain_peak
        sizes = [size for size in sizes if size >= least]
        most = slowdown * self._bare(sizes[-1])
        low, high = 0, len(sizes) - 1
        while low < high:
            middle = (low + high) // 2
            if self._bare(sizes[middle]) <= most:
                high = middle
            else:
                low = middle + 1
        least = self._least_fitting(sizes[low:])
        larger = [size for size in sizes[low:] if least <= size < plain]
        if least not in larger and least < plain:
            larger.insert(0, least)
        for limit in larger[:: -(-len(larger) // LARGER_LIMITS) or 1]:
            if self._more_command_bytes(planner.quickest(limit, buffers=False)) <= plain - limit:
                return limit
        return max(plain, least)

    def _least_fitting(self, sizes: Sequence[int]) -> int:
        """
        The first of some limits for which the quickest cut, all weights read in place, finds addresses; of those
        between the lowest and what its cut takes only some are tried.
        """
        heights = [self.height(self.planner.quickest(sizes[0], buffers=False), sizes[0])]
        between = [size for size in sizes if size < heights[0]]
        for size in between[:: -(-len(between) // LARGER_LIMITS) or 1]:
            heights.append(self.height(self.planner.quickest(size, buffers=False), size))
            if heights[-1] <= size:
                return size
        return max(sizes[0], heights[0])

    def _bare(self, limit: int) -> int:
        """Cycles of the quickest schedule within a limit, all weights read in place."""
        cut = tuple(self.planner.quickest(limit, buffers=False))
        if cut not in self._bares:
            self._bares[cut] = self._schedules.bare_cycles(self.tasks(cut), limit)
        return self._bares[cut]

    def _more_command_bytes(self, cut: Sequence[Segment]) -> int:
        """Bytes of commands that a cut adds to those of items that run as they stand."""
        more = sum(self.planner.launch_count(one) - (one.stop - one.start + 1) for one in cut if one.rows)
        return more * LAUNCH_WORDS * WORD_BYTES


_regions: dict[FuncOp, tuple[Hashable, Region]] = {}
"""The regions of the module that was asked about last."""


def region_of(function: FuncOp, held: Held, machine: Accelerator, setup: MemorySetup) -> Region:
    """The schedules of a region as it stands; what has been found out about it before is kept while it stays so."""
    state = (
        held,
        machine,
        setup,
        tuple((op, tuple(op.operands), tuple(op.properties.items())) for op in function.walk() if op is not function),
    )
    for other in [one for one in _regions if one.parent is not function.parent]:
        del _regions[other]
    known = _regions.get(function)
    if known is None or known[0] != state:
        known = state, Region(Network(function, held), machine, setup)
        _regions[function] = known
    return known[1]


def score_as_it_stands(network: Network, machine: Accelerator, setup: MemorySetup, limit: int) -> float:
    """That of the schedule of a region that the IR holds, its weights through buffers within a limit."""
    works = Works(network, machine, setup)
    tasks = works.of_network()
    works.measure(work for task in tasks for work in task.works)
    return Schedules(AREAS[network.space], machine, setup).quick(tasks, limit).score


def planned_cycles(module: ModuleOp) -> int:
    """Cycles of all regions of a module as their schedules stand in the IR, before there are commands."""
    machine, setup, space = machine_of(module), setup_of(module), scarce_space_of(module)
    held = held_by_host(module)
    total = 0
    for function in scheduled_functions(module):
        network = Network(function, held.get(function.sym_name.data, NOTHING_HELD))
        limit = transfer_limit_of(function, space)
        tasks = Works(network, machine, setup).of_network()
        limit, forwards = UNLIMITED if limit is None else limit, transfers_forwards(function)
        total += Schedules(AREAS[space], machine, setup).bare_cycles(tasks, limit, forwards)
    return total
