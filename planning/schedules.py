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

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, takewhile
from math import inf, sqrt
from typing import NamedTuple

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.allocation import ALIGNMENT
from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import (
    UNLIMITED,
    limit_of,
    machine_of,
    scarce_space_of,
    setup_of,
    transfer_limit_of,
    transfers_forwards,
)
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import ElementwiseOp, KernelOp
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.cycles import LAUNCH_WORDS, WORD_BYTES
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.parameters import HIGH, LOW
from npuc.planning.buffers import BufferPlanner, Cuts, Decision, Decisions, Planned, pinned
from npuc.planning.cascades import Planner, Segment
from npuc.planning.evaluation import Issues, Program, RegionMemory, program_of
from npuc.planning.lives import CutMemory, Laid, Memory, lives_of
from npuc.planning.network import Network, Overlap, scheduled_functions
from npuc.planning.tasks import Task, Work, Works, policy_for_buffers, setups_to_compare

CLOSE = 1.005
"""
A score that is no more than the best by this factor is as good: then transfers keep to the lowest limit, and are not
turned round.
"""
LOWER_LIMITS = 5
"""So many lower limits are tried for the choice of buffers: with more memory it may take buffers that do not pay."""
CUTS = 5
"""So many cuts are timed: the best ones for the limit and for lower limits, as the planner of cascades has it."""
REGRET = 1.02
"""The quickest choice of buffers is reconsidered that takes longer by this factor at `LOW` than the one for that."""
MIXED = 8
"""Of two such choices so many mixtures are tried."""
CHANGES = 8
"""So many changes to the best choice of buffers are tried."""
LOSS = 0.002
"""The part of all cycles that a kernel must lose for lack of memory to be looked at."""
TURNED = 3
"""Of so many choices, the best first, transfers are planned in the other direction, too, as long as that pays."""
STEPS = 32
"""The lower limits for which cuts are looked for are so many even steps from the least limit to that of no cascade."""
LOWER_CUTS = 6
"""So many cuts for lower limits are tried where results that lie over operands find no addresses within one."""
PLACED = 4
"""For so many cuts and blocks, the best first, addresses are looked for, until one of them is the best with gaps."""
LESS = 4
"""So often buffers of a cut are planned anew for less, as long as addresses leave gaps."""
NEAR = 1.005
"""Limits that differ by no more than this factor are alike."""
BLOCKS = 1.25
"""Blocks of the other kind are tried for a limit whose schedule is too slow by no more than this factor."""
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


class _Proposal(NamedTuple):
    """Buffers that are planned for a limit by some costs."""

    planned: Planned
    limit: int
    costed: _Costed


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
            if not program.buffers:
                return best  # Nothing that could be planned otherwise, nor be in anybody's way.
            placed = program.placed(best.limit, memory, limit, best.forwards)
            if len(seen) == 1 and placed.needs.height <= limit and not any(placed.gaps):
                return best
            if enough is None:
                # What is needed without buffers, none can help.
                least = self.program(tasks, pinned(tasks)).placed(0, memory, limit).needs
                enough = max(limit, least.top), max(limit, least.height)
            if placed.needs.top <= enough[0] and placed.needs.height <= enough[1]:
                issues = program.issued(placed.plan, placed.apart)
                fitting.append(self._scored(program, best.decisions, best.limit, best.forwards, issues))
            if not any(placed.gaps):
                break  # Nothing that could be planned otherwise.
            ends = pairwise((*program.starts, len(program.launches)))
            crowded = [
                replace(task, used=task.used + max(placed.gaps[start:stop], default=0))
                for task, (start, stop) in zip(crowded, ends, strict=True)
            ]
        if enough is not None and all(one.score > seen[0].score * CLOSE for one in fitting):
            fitting += self._with_memory_left(tasks, limit, cuts, memory, enough, seen[0], fitting)
        if not fitting:
            return self._tried(costed, limit, [])[0]
        return min(fitting, key=lambda one: one.score)

    def _with_memory_left(
        self,
        tasks: Sequence[Task],
        limit: int,
        cuts: Cuts,
        memory: RegionMemory,
        enough: tuple[int, int],
        missed: Buffered,
        known: Sequence[Buffered],
    ) -> list[Buffered]:
        """
        A choice that is planned for less than another one takes, which finds no addresses within `limit`, so that what
        is left is enough for the gaps, wherever they are; none if that is not to be had, or not better than what is
        known.
        """
        best = missed
        for _ in range(ROUNDS):
            best = self._planned(tasks, self.program(tasks, best.decisions).peak - ALIGNMENT, cuts)
            program = self.program(tasks, best.decisions)
            if not program.buffers or any(best.score >= one.score for one in known):
                break
            placed = program.placed(best.limit, memory, limit, best.forwards)
            if placed.needs.top <= enough[0] and placed.needs.height <= enough[1]:
                issues = program.issued(placed.plan, placed.apart)
                return [self._scored(program, best.decisions, best.limit, best.forwards, issues)]
        return []

    def _planned(self, tasks: Sequence[Task], limit: int, cuts: Cuts) -> Buffered:
        """The quickest of what is planned for the limit, for lower ones and without buffers."""
        costed = self._costed(tasks)
        is_scarce = limit < max((task.used for task in tasks), default=0) + sum(
            work.size for task in tasks for work in task.works
        )
        limits = self._limits(tasks, limit) if is_scarce else [limit]
        proposals = self._proposed([(less, one) for one in costed for less in limits], cuts)
        tried = self._tried(costed, limit, proposals)
        if is_scarce:
            tried.append(self._changed(costed, limit, _quickest(tried), proposals, cuts))
        tried += self._mixed(tasks, tried, limit)
        return self._for_transfers(tasks, _no_slower(tried), limits[1:])

    def program(self, tasks: Sequence[Task], decisions: Decisions) -> Program:
        """What tasks become by decisions."""
        return program_of(tasks, decisions, self.area, self.machine, self.setup)

    def _changed(
        self, costed: Sequence[_Costed], limit: int, best: Buffered, proposals: Sequence[_Proposal], cuts: Cuts
    ) -> Buffered:
        """
        The best choice, changed as long as that makes it quicker: who loses most for lack of memory gets what somebody
        before it has taken. That one has to do with less, and all behind it choose again.
        """
        works = [work for task in costed[0].tasks for work in task.works]
        base = next((one for one in proposals if self._decisions(works, one) == best.decisions), None)
        most: dict[Work, int] = {}
        seen = set[tuple[Work, int]]()
        for _ in range(CHANGES if base is not None else 0):
            assert base is not None
            change = next((one for one in _changes(base.planned, best.cycles) if one not in seen), None)
            if change is None:
                break
            seen.add(change)
            less = {**most, change[0]: change[1]}
            other = base._replace(planned=base.costed.planner.plan(base.costed.tasks, base.limit, dict(cuts), less))
            decisions = self._decisions(works, other)
            changed = self._scored(self.program(costed[0].tasks, decisions), decisions, limit)
            if changed.score < best.score:
                best, base, most = changed, other, less
        return best

    def _mixed(self, tasks: Sequence[Task], tried: Sequence[Buffered], limit: int) -> list[Buffered]:
        """
        The quickest choice with what the quickest at `LOW` decides about some weights, as far as that is better by both
        together, and by the defaults no slower than no buffers; none where that is not much quicker there.
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
                mixture = self._scored(program, decisions, limit)
                if mixture.cycles <= tried[0].cycles:
                    chosen = min(chosen, mixture, key=lambda one: one.score)
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

    def quick(self, tasks: Sequence[Task], limit: int) -> Buffered:
        """The buffers that are planned for a limit, or none if that is quicker: to compare schedules by."""
        costed = self._costed(tasks)
        proposals = self._proposed([(limit, one) for one in costed], {})
        none, *others = self._choices(costed, proposals)
        tried = [self._scored(self.program(tasks, choice), choice, limit) for choice in others]
        if tried and not any(decision.buffers or len(decision.cuts) > 2 for decision in none.values()):
            # What kernels take by themselves often says enough of no buffers.
            least = [sum(task.kernel_cycles for task in one.tasks) for one in costed]
            best = min(tried, key=lambda one: one.score)
            if max(one.cycles for one in tried) <= least[0] and best.score < sqrt(least[0] * least[-1]):
                return best
        return _quickest([self._scored(self.program(tasks, none), none, limit), *tried])

    def placed_score(self, tasks: Sequence[Task], best: Buffered, memory: RegionMemory) -> float:
        """
        That of a choice with transfers issued as addresses allow, or of one that is planned for less; that of no
        buffers if there are addresses for none within its limit.
        """
        limit, score = best.limit, inf
        for _ in range(LESS):
            program = self.program(tasks, best.decisions)
            if not program.buffers or best.score >= score:
                break
            placed = program.placed(best.limit, memory, limit, best.forwards)
            if placed.apart:
                return best.score
            if placed.needs.height <= limit:
                issues = program.issued(placed.plan, placed.apart)
                score = min(score, self._scored(program, best.decisions, best.limit, best.forwards, issues).score)
            best = self.quick(tasks, program.peak - ALIGNMENT)
        return min(score, self._tried(self._costed(tasks), limit, [])[0].score)

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

    def _proposed(self, plans: Sequence[tuple[int, _Costed]], cuts: Cuts) -> list[_Proposal]:
        """What is planned for some limits and costs; nothing where buffers are no quicker than the constants."""
        return [
            _Proposal(costed.planner.plan(costed.tasks, limit, dict(cuts)), limit, costed)
            for limit, costed in (plans if self.buffers_help else ())
        ]

    def _decisions(self, works: Sequence[Work], proposal: _Proposal) -> dict[Work, Decision]:
        """What is proposed for works, by whatever costs."""
        planned, setup = proposal.planned.decisions, proposal.costed.setup
        return {work: planned[same] for work in works if (same := work.under(setup)) in planned}

    def _choices(self, costed: Sequence[_Costed], proposals: Sequence[_Proposal]) -> list[dict[Work, Decision]]:
        """No buffers but those that stand in the IR, and what is proposed that is unlike that and each other."""
        tasks = costed[0].tasks
        works = [work for task in tasks for work in task.works]
        choices = [pinned(tasks), *(self._decisions(works, one) for one in proposals)]
        return [choice for number, choice in enumerate(choices) if choice not in choices[:number]]

    def _tried(self, costed: Sequence[_Costed], limit: int, proposals: Sequence[_Proposal]) -> list[Buffered]:
        """The choice of no buffers, and those that are proposed, timed for one limit."""
        tasks, choices = costed[0].tasks, self._choices(costed, proposals)
        return [self._scored(self.program(tasks, choice), choice, limit) for choice in choices]

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

    def _limits(self, tasks: Sequence[Task], limit: int) -> list[int]:
        """The limit, and the last of a row below it that does not depend on it: four to each power of two."""
        used = max((task.used for task in tasks), default=0)
        row = (used + (scale << power) // 4 for power in range(4, 40) for scale in (4, 5, 6, 7))
        lower = list(takewhile(lambda less: less < limit, row))
        return [limit, *lower[-LOWER_LIMITS:]]


def _no_slower(tried: Sequence[Buffered]) -> list[Buffered]:
    """The choices that by the defaults take no longer than the first one, without buffers, whatever they gain else."""
    return [one for one in tried if one.cycles <= tried[0].cycles]


def _quickest(tried: Sequence[Buffered]) -> Buffered:
    """The best of some choices, the first of which has no buffers."""
    return min(_no_slower(tried), key=lambda one: one.score)


def _changes(planned: Planned, cycles: int) -> Iterator[tuple[Work, int]]:
    """
    Whose buffers could be smaller for others' sake, and the bytes that each may take then, what promises most first.
    `cycles`: of the whole.
    """
    order = list(planned.largest)
    for number in sorted(range(len(order)), key=lambda number: -planned.lost[order[number]]):
        if planned.lost[order[number]] < LOSS * cycles:
            return
        for work in reversed(order[:number]):
            if size := planned.largest[work]:
                yield work, size - 1
                break


class Region:
    """The schedules of one region, before there are cascades."""

    def __init__(self, network: Network, machine: Accelerator, setup: MemorySetup):
        self.network, self.machine, self.setup = network, machine, setup
        self.works = Works(network, machine, setup)
        near = policy_for_buffers(AREAS[network.space], machine, setup)
        self._near_works = Works(network, machine, setup, near)
        self._schedules = Schedules(AREAS[network.space], machine, setup)
        self._tasks: dict[tuple[Segment, bool], Task] = {}
        """What segments become, in blocks for weights in buffers or in place."""
        self._heights: dict[tuple[tuple[Segment, ...], int], int] = {}
        self._quickest_cuts: dict[int, list[Segment]] = {}
        self._placeables: dict[int, list[Segment]] = {}
        self._choices: dict[tuple[tuple[Segment, ...], int, bool], Buffered] = {}
        self._better: dict[int, bool] = {}
        """Whether blocks for weights in buffers are better for a limit."""

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

    def tasks(self, cut: Sequence[Segment], near: bool = False) -> list[Task]:
        """What segments become, in blocks for weights in place, or in buffers if they are to be `near`."""
        works = self._near_works if near else self.works
        new = [one for one in cut if (one, near) not in self._tasks]
        for one in new:
            if one.rows:
                choice, launches = self.planner.choice(one), self.planner.launches(one)
                task = works.of_cascade(one.start, choice.stripes, choice.rolling, launches, one.memory, one.over)
            else:
                task = works.of_item(one.start)
            self._tasks[one, near] = task
        works.measure(work for one in new for work in self._tasks[one, near].works)
        return [self._tasks[one, near] for one in cut]

    def cut(self, limit: int) -> list[Segment]:
        """
        The cut within a limit whose whole schedule, buffers of weights included, is quickest: of the best cuts for the
        limit and for lower ones by the estimates of the planner of cascades. PassFailedException if none keeps to it.
        """
        cuts = self._fitting(self._cuts(limit), limit)
        if len(cuts) == 1:
            return cuts[0]

        ordered = sorted(
            (self._score(cut, limit, near), number, near) for number, cut in enumerate(cuts) for near in self._kinds
        )
        best, least = cuts[ordered[0][1]], inf
        for score, number, near in ordered[:PLACED]:
            if score >= least:
                break
            score = self._placed_score(cuts[number], limit, near)
            if score < least:
                best, least = cuts[number], score
        return best

    def _placed_score(self, cut: Sequence[Segment], limit: int, near: bool) -> float:
        """That of a cut as a whole schedule as far as there are addresses for its buffers and transfers."""
        choice = self._choice(cut, limit, near)
        memory = CutMemory(self.network, self.laid(cut, limit))
        return self._schedules.placed_score(self.tasks(cut, near), choice, memory)

    def laid(self, cut: Sequence[Segment], limit: int) -> Laid:
        """What shares memory in a cut."""
        laid, network, planner = Laid([], {}), self.network, self.planner
        is_over = any(one.over >= 0 for one in cut)
        upwards = planner.directions(cut, limit).upwards if is_over else [False] * len(cut)
        for segment, up in zip(cut, upwards, strict=True):
            item = network.items[segment.start]
            if segment.over >= 0:
                op, rules = network.items[segment.stop].op, planner.rules(segment)
                assert isinstance(op, KernelOp)
                assert rules is not None
                under = planner.overlaps.value(segment.over, segment.start, segment.stop)
                root = network.storage.root
                laid.over.append(Overlap(root(op.result), root(under), rules[up].at, rules[up].behind))
            elif not segment.rows and item.saved and isinstance(item.op, ElementwiseOp):
                operands = [item.op.feature_maps[number] for number in network.storage.all_reusable(item.op)]
                sizes = [network.tensors[index].size for index in item.over]
                value = next(value for value, size in zip(operands, sizes, strict=True) if size)
                laid.in_place[network.storage.root(item.op.result)] = network.storage.root(value)
        return laid

    @property
    def _kinds(self) -> list[bool]:
        """Whether blocks are those for weights in buffers: what is tried."""
        return [False, True] if self._schedules.buffers_help else [False]

    def _score(self, cut: Sequence[Segment], limit: int, near: bool) -> float:
        """That of a cut as a whole schedule, in blocks for weights in place, or in buffers if they are to be `near`."""
        return self._choice(cut, limit, near).score

    def _choice(self, cut: Sequence[Segment], limit: int, near: bool) -> Buffered:
        """The buffers of a cut, chosen to compare it by."""
        key = tuple(cut), limit, near
        if key not in self._choices:
            self._choices[key] = self._schedules.quick(self.tasks(cut, near), limit)
        return self._choices[key]

    def _quickest(self, limit: int) -> list[Segment]:
        """The best cut for a limit by the estimates of the planner of cascades."""
        if limit not in self._quickest_cuts:
            self._quickest_cuts[limit] = self.planner.quickest(limit)
        return self._quickest_cuts[limit]

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
        return self._score(self._quickest(limit), limit, near=False)

    def _cuts(self, limit: int) -> list[list[Segment]]:
        """The best cut for the limit, and for as many lower limits as have others."""
        least, plain = self.planner.least_peak(), self.network.plain_peak
        steps = sorted({least + (plain - least) * step // STEPS for step in range(STEPS + 1)}, reverse=True)
        cuts: list[list[Segment]] = []
        alike = set[tuple[tuple[int, ...], ...]]()
        """How they are cut, whatever lies over an operand: that makes a difference in memory alone."""
        for lower in (limit, *(step for step in steps if step < limit)):
            cut = self._quickest(lower)
            alike.add(tuple(one[:3] for one in cut))
            if len(alike) > CUTS:
                break
            if cut not in cuts:
                cuts.append(cut)
        return cuts

    def timed(self, limit: int, like: int | None = None) -> float:
        """
        The score of the best cut for a limit as a whole schedule, in the better blocks; or in those of the kind that is
        better for the limit `like`. Infinite if there are no addresses for its results.
        """
        cut = self._placeable(limit)
        if self.height(cut, limit) > limit:
            return inf
        if like in self._better:
            return self._score(cut, limit, self._better[like])
        score, self._better[limit] = min((self._score(cut, limit, near), near) for near in self._kinds)
        return score

    def _placeable(self, limit: int) -> list[Segment]:
        """The best cut for a limit for whose results there are addresses, as far as there is one."""
        if limit not in self._placeables:
            self._placeables[limit] = self._fitting([self._quickest(limit)], limit)[0]
        return self._placeables[limit]

    def more_command_bytes(self, limit: int) -> int:
        """Bytes of commands that the best cut for a limit adds to those of items that run as they stand."""
        cut = self._placeable(limit)
        more = sum(self.planner.launch_count(one) - (one.stop - one.start + 1) for one in cut if one.rows)
        return more * LAUNCH_WORDS * WORD_BYTES


def least_limit(regions: Sequence[Region], least: int, most: int, slowdown: float) -> int:
    """
    A small limit, found by halving, from `least` up to `most` bytes in which regions that share a memory take together
    no more than `slowdown` times what they take in `most`, by the scores of whole schedules for which there are
    addresses.

    Their commands must add no more bytes to the file than that saves of memory. The next smaller limit that could be
    meant is at most `NEAR` times as large.
    """
    sizes = {segment.memory for one in regions for segments in one.planner.segments for segment in segments}
    limits = sorted({least, most, *(size for size in sizes if least < size < most)})
    low, high = 0, len(limits) - 1
    best = sum(region.timed(most) for region in regions) if high else 0.0
    while limits[high] > limits[low] * NEAR:
        middle = (low + high) // 2
        limit = limits[middle]
        score = inf
        if sum(region.more_command_bytes(limit) for region in regions) <= most - limit:
            score = sum(region.timed(limit, most) for region in regions)
            if best * slowdown < score <= best * slowdown * BLOCKS:
                score = sum(region.timed(limit) for region in regions)
        if score <= best * slowdown and score < inf:
            high = middle
            best = min(best, score)
        else:
            low = middle + 1
    return limits[high]


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


def score_as_it_stands(works: Works, limit: int) -> float:
    """That of the schedule of a region that the IR holds, its weights through buffers within a limit."""
    tasks = works.of_network()
    works.measure(work for task in tasks for work in task.works)
    return Schedules(AREAS[works.network.space], works.machine, works.setup).quick(tasks, limit).score


def planned_cycles(module: ModuleOp) -> int:
    """
    Cycles of all regions of a module as their schedules stand in the IR, before there are commands; transfers are
    issued as the addresses of all that is alive allow.
    """
    machine, setup, space = machine_of(module), setup_of(module), scarce_space_of(module)
    functions, held = scheduled_functions(module), held_by_host(module)
    memory, schedules = Memory(module, functions), Schedules(AREAS[space], machine, setup)
    networks = [Network(one, held.get(one.sym_name.data, NOTHING_HELD)) for one in functions]
    programs: list[Program] = []
    for network in networks:
        tasks = Works(network, machine, setup).of_network()
        programs.append(schedules.program(tasks, pinned(tasks)))
        memory.put(network.function, lives_of(network, programs[-1], programs[-1].unmoved))
    total = 0
    for network, program in zip(networks, programs, strict=True):
        limits = limit_of(network.function, space), transfer_limit_of(network.function, space)
        most, kept = (UNLIMITED if limit is None else limit for limit in limits)
        placed = program.placed(kept, memory.of(network), most, transfers_forwards(network.function))
        memory.put(network.function, lives_of(network, program, placed.plan))
        total += program.cycles(program.issued(placed.plan, placed.apart))
    return total
