"""
An order of the kernels of a region in which less memory is alive at one time, where branches allow another.

Plain data. Only the order within *parts* is free: between two items that every order runs at the same place, because
all others come before or behind them. Each part is looked at for itself, and gets another order only if that lowers its
peak, so that what is done about one does not depend on the others. Runs of items that only depend on each other stay
together, as they have to in cascades: branches take turns, not their kernels.

The search goes through the sets of runs that can have been run first, set by set of equal number, and keeps for each
the order with the lowest peak. What reaches the peak of the given order is left out, so that most searches are short.
It is exact as long as no more than `WIDTH` sets of one number are open; of more the lowest are followed.

What is alive depends on cascades, too, which are planned later: they keep few rows of what lies within a run. So there
are two proposals, one for kernels that run whole and one for cascades (`orders`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xdsl.ir import Operation

from npuc.dialects.npu_schedule import CascadeOp, CopyOp, KernelOp
from npuc.planning.network import Network

MOST_RUNS = 24
"""Parts with more runs keep their order: the search grows with the square of these."""
WIDTH = 64
"""Sets of runs of one number that the search follows."""
ROLLING = 8
"""A rolling buffer is taken to hold so small a part of a feature map."""


@dataclass
class Value:
    """What takes memory from the first item that writes it to the last one that touches it."""

    size: int
    given: bool = False
    """It is there before the first item."""
    kept: bool = False
    """It is needed behind the last item."""
    writers: int = 0
    """The items that write it, one bit each."""
    users: int = 0
    """The items that write or read it."""


@dataclass
class Step:
    """One item: what it has to run behind, and what it touches."""

    before: int
    """The items that it depends on, directly or not, one bit each."""
    writes: Sequence[int]
    uses: Sequence[int]
    """All values that it touches, each once."""
    over: Sequence[int] = ()
    """Values of which its result takes the memory, if it is the last to touch them."""


@dataclass
class Problem:
    """The items of a region in the given order, and what they touch."""

    steps: list[Step] = field(default_factory=list[Step])
    values: list[Value] = field(default_factory=list[Value])

    def at_start(self) -> int:
        """Bytes alive before the first item."""
        return sum(value.size for value in self.values if value.given)


class _After(NamedTuple):
    """Bytes that are alive behind some items, and the most that were while the last of them ran."""

    alive: int
    peak: int


def problem_of(network: Network) -> Problem:
    """The items of a network, which may not hold decisions that depend on their order."""
    problem = Problem([], [Value(t.size, t.first < 0, t.last >= len(network.items)) for t in network.tensors])
    masks: dict[Operation, int] = {}
    for number, item in enumerate(network.items):
        before = 0
        for one in _producers(item.op):
            before |= masks[one]
        masks[item.op] = before | 1 << number
        uses = list(dict.fromkeys((*item.writes, *item.reads)))
        problem.steps.append(Step(before, item.writes, uses, item.over))
        for value in uses:
            problem.values[value].users |= 1 << number
        for value in item.writes:
            problem.values[value].writers |= 1 << number
    return problem


def _producers(op: Operation) -> list[Operation]:
    """The kernels, copies and cascades whose results an operation reads, through views too."""
    found: dict[Operation, None] = {}
    seen = set[Operation]()
    waiting = [op]
    while waiting:
        for value in waiting.pop().operands:
            owner = value.owner
            if isinstance(owner, KernelOp | CopyOp | CascadeOp):
                found[owner] = None
            elif isinstance(owner, Operation) and owner not in seen:
                seen.add(owner)
                waiting.append(owner)
    return list(found)


def peaks(problem: Problem, order: Sequence[int]) -> list[int]:
    """Bytes alive while each item runs, in an order of all of them."""
    found: list[int] = []
    done, alive = 0, problem.at_start()
    for number in order:
        alive, peak = _run(problem, done, alive, (number,))
        done |= 1 << number
        found.append(peak)
    return found


def orders(network: Network) -> list[list[int]]:
    """
    Orders of all items of a network that may need less memory than the given one, as it stands or in cascades: none,
    one or two.
    """
    problem = problem_of(network)
    found = [order for one in (problem, _in_cascades(problem)) if (order := lower_order(one)) is not None]
    return found[:1] if found[1:] == found[:1] else found


def _in_cascades(problem: Problem) -> Problem:
    """The same items, and of what only one run of them touches no more than a cascade keeps."""
    values = list(problem.values)
    for part in _parts(problem):
        for run in _runs(problem, part):
            mask = sum(1 << number for number in run)
            for index in {index for number in run[:-1] for index in problem.steps[number].writes}:
                value = values[index]
                if not value.given and not value.kept and not value.users & ~mask:
                    values[index] = replace(value, size=value.size // ROLLING)
    return Problem(problem.steps, values)


def lower_order(problem: Problem) -> list[int] | None:
    """An order of all items that has a lower peak in one part at least, a higher one in none; None if none is known."""
    count = len(problem.steps)
    given = peaks(problem, range(count))
    order: list[int] = []
    changed = False
    done, alive = 0, problem.at_start()
    for part in _parts(problem):
        best = None
        if len(part) > 2:
            peak = max(given[number] for number in part)
            if _least(problem, max(part, key=given.__getitem__)) < peak:
                best = _search(problem, part, done, alive, peak)
        changed |= best is not None
        for number in best or part:
            alive, _ = _run(problem, done, alive, (number,))
            done |= 1 << number
            order.append(number)
    return order if changed else None


def _parts(problem: Problem) -> list[list[int]]:
    """Items in the given order: each one that all orders run at the same place, and what lies between two such."""
    count = len(problem.steps)
    behind = [0] * count
    for step in problem.steps:
        for other in _bits(step.before):
            behind[other] += 1
    parts: list[list[int]] = []
    open_: list[int] = []
    for number, step in enumerate(problem.steps):
        if step.before.bit_count() + behind[number] == count - 1:
            parts += [open_, [number]] if open_ else [[number]]
            open_ = []
        else:
            open_.append(number)
    return [*parts, open_] if open_ else parts


def _bits(mask: int) -> list[int]:
    return [number for number, bit in enumerate(reversed(f"{mask:b}")) if bit == "1"]


def _least(problem: Problem, number: int) -> int:
    """Bytes that are alive while an item runs, whatever the order: written before it, and needed by it or behind it."""
    step = problem.steps[number]
    early = step.before | 1 << number
    late = 1 << number
    for other, one in enumerate(problem.steps):
        if one.before >> number & 1:
            late |= 1 << other
    least = 0
    for value in problem.values:
        if (value.given or value.writers & early) and (value.kept or value.users & late):
            least += value.size
    return least - _saved(problem, step, late | early)


def _saved(problem: Problem, step: Step, done: int) -> int:
    """Bytes that the result of an item does not need if it is the last of so many to touch one of its operands."""
    for index in step.over:
        value = problem.values[index]
        if value.size and not value.kept and not value.users & ~done:
            return problem.values[step.writes[0]].size
    return 0


def _run(problem: Problem, done: int, alive: int, numbers: Sequence[int]) -> _After:
    """Run some items behind those that are done."""
    peak = 0
    values = problem.values
    for number in numbers:
        step = problem.steps[number]
        for index in step.writes:
            value = values[index]
            if not value.given and not value.writers & done:
                alive += value.size
        done |= 1 << number
        peak = max(peak, alive - (_saved(problem, step, done) if step.over else 0))
        for index in step.uses:
            value = values[index]
            if not value.kept and not value.users & ~done:
                alive -= value.size
    return _After(alive, peak)


class _State(NamedTuple):
    """The best order known of a set of runs; of equal peaks the one nearest to the given order."""

    peak: int
    inversions: int
    alive: int
    last: int
    """The run that was the last."""


def _search(problem: Problem, part: Sequence[int], done: int, alive: int, peak: int) -> list[int] | None:
    """An order of a part, behind what is done, whose peak is below `peak`; None if none is found."""
    runs = _runs(problem, part)
    if len(runs) > MOST_RUNS:
        return None
    masks = [sum(1 << number for number in run) for run in runs]
    needs = [problem.steps[run[0]].before & ~done for run in runs]
    levels = [{done: _State(0, 0, alive, -1)}]
    for _ in runs:
        following: dict[int, _State] = {}
        for mask, state in levels[-1].items():
            earlier = 0
            for index, run in enumerate(runs):
                if masks[index] & mask:
                    continue
                if not needs[index] & ~mask:
                    after = _run(problem, mask, state.alive, run)
                    if after.peak < peak:
                        new = _State(max(state.peak, after.peak), state.inversions + earlier, after.alive, index)
                        now = mask | masks[index]
                        if now not in following or new < following[now]:
                            following[now] = new
                earlier += 1
        if len(following) > WIDTH:
            lowest = sorted(following, key=lambda now: (following[now], now))[:WIDTH]
            following = {now: following[now] for now in lowest}
        if not following:
            return None
        levels.append(following)
    order: list[int] = []
    (now,) = levels[-1]
    for level in reversed(levels[1:]):
        last = level[now].last
        order += reversed(runs[last])
        now &= ~masks[last]
    return order[::-1]


def _runs(problem: Problem, part: Sequence[int]) -> list[list[int]]:
    """The items of a part, those together of which each depends on the one before alone, and nothing else on that."""
    members = sum(1 << number for number in part)
    direct: dict[int, int] = {}
    for number in part:
        before = problem.steps[number].before & members
        indirect = 0
        for other in _bits(before):
            indirect |= problem.steps[other].before
        direct[number] = before & ~indirect
    readers = dict.fromkeys(part, 0)
    for before in direct.values():
        for other in _bits(before):
            readers[other] += 1
    runs: dict[int, list[int]] = {}
    """By the last item of each."""
    for number in part:
        before = direct[number]
        last = before.bit_length() - 1
        if before.bit_count() == 1 and readers[last] == 1 and last in runs:
            runs[number] = [*runs.pop(last), number]
        else:
            runs[number] = [number]
    return sorted(runs.values())
