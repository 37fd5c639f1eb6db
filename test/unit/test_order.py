"""The order of kernels: legal, never worse than the given one, and the best that keeps chains together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from execute_region import context, execute, parse, region_of
from property_tests import seeds
from random_region import random_region
from schedule_reference import evaluate
from xdsl.dialects.func import FuncOp

from npuc.analysis.machine import machine_of, setup_of
from npuc.dialects.npu import ORDERED_ATTR
from npuc.passes.npu_schedule_order_kernels import NpuScheduleOrderKernelsPass
from npuc.planning.cascades import Planner
from npuc.planning.network import Network
from npuc.planning.order import MOST_RUNS, Problem, Step, Value, lower_order, peaks
from npuc.planning.tasks import Works


def drawn(seed: int, count: int) -> Problem:
    """A random region: each item reads one or two of the results before it; the first value is given."""
    rng = np.random.default_rng(seed)
    problem = Problem([], [Value(int(rng.integers(1, 50)), given=True)])
    for number in range(count):
        reads = sorted({int(rng.integers(0, number + 1)) for _ in range(rng.integers(1, 3))})
        before = 0
        for value in reads:
            if value:
                before |= problem.steps[value - 1].before | 1 << value - 1
            problem.values[value].users |= 1 << number
        problem.values.append(Value(int(rng.integers(1, 50)), writers=1 << number, users=1 << number))
        over = [reads[-1]] if rng.random() < 0.3 and reads[-1] else []
        if over:
            problem.values[-1].size = problem.values[over[0]].size
        problem.steps.append(Step(before, [number + 1], [number + 1, *reads], over))
    for value in problem.values[1:]:
        value.kept = value.users == value.writers
    return problem


def legal_orders(problem: Problem, done: int = 0) -> Iterator[list[int]]:
    """All orders in which every item runs behind those that it depends on."""
    steps = problem.steps
    if done == (1 << len(steps)) - 1:
        yield []
    for number, step in enumerate(steps):
        if not done >> number & 1 and not step.before & ~done:
            for rest in legal_orders(problem, done | 1 << number):
                yield [number, *rest]


def is_legal(problem: Problem, order: list[int]) -> bool:
    done = 0
    for number in order:
        if problem.steps[number].before & ~done:
            return False
        done |= 1 << number
    return done == (1 << len(problem.steps)) - 1


@pytest.mark.parametrize("seed", range(60))
def test_an_order_is_legal_and_has_a_lower_peak(seed: int) -> None:
    problem = drawn(seed, 4 + seed % 30)
    given = peaks(problem, range(len(problem.steps)))
    order = lower_order(problem)
    if order is not None:
        assert is_legal(problem, order)
        lower = peaks(problem, order)
        assert max(lower) <= max(given)
        assert sorted(lower) != sorted(given)


def chained(problem: Problem) -> list[tuple[int, int]]:
    """Pairs of items of which the second depends on the first alone, and nothing else on that."""
    count = len(problem.steps)
    direct: list[set[int]] = []
    for step in problem.steps:
        before = {n for n in range(count) if step.before >> n & 1}
        direct.append({n for n in before if not any(problem.steps[other].before >> n & 1 for other in before)})
    readers = [sum(n in before for before in direct) for n in range(count)]
    return [(one, n) for n, before in enumerate(direct) if len(before) == 1 for one in before if readers[one] == 1]


@pytest.mark.parametrize("seed", range(40))
def test_no_order_is_better_that_keeps_chains_together(seed: int) -> None:
    problem = drawn(seed, 8)
    pairs = chained(problem)
    given = list(range(8))
    best = max(peaks(problem, given))
    for order in legal_orders(problem):
        if all(order.index(second) == order.index(first) + 1 for first, second in pairs):
            best = min(best, max(peaks(problem, order)))
    assert max(peaks(problem, lower_order(problem) or given)) <= best


def test_chains_take_turns_whole() -> None:
    """Two branches whose large maps lie in the middle, the kernels of both by turns: one after the other."""
    problem = Problem()
    given = Value(10, given=True, users=0b11)
    problem.values = [given, *(Value(size, writers=1 << n, users=1 << n) for n, size in enumerate((90, 80, 5, 5, 10)))]
    reads = ((0,), (0,), (1,), (2,), (3, 4))
    before = (0, 0, 0b1, 0b10, 0b1111)
    for number, (those, needed) in enumerate(zip(reads, before, strict=True)):
        problem.steps.append(Step(needed, [number + 1], [number + 1, *those]))
        for value in those:
            problem.values[value].users |= 1 << number
    problem.values[-1].kept = True
    assert max(peaks(problem, range(5))) == 180
    assert lower_order(problem) == [0, 2, 1, 3, 4]
    assert max(peaks(problem, [0, 2, 1, 3, 4])) == 105


def test_a_chain_stays_as_it_is() -> None:
    problem = drawn(1, 1)
    assert lower_order(problem) is None


def least_peak(function: FuncOp) -> int:
    """Bytes that the best cascades of a region need."""
    network = Network(function)
    return Planner(network, Works(network, machine_of(function), setup_of(function))).least_peak()


def test_ordered_random_regions_equal_their_evaluation() -> None:
    """Regions with views, copies and concats: another order is exact, and needs no more memory."""
    changed = 0
    for seed in seeds(100):
        made = random_region(seed, '"ethos-u65-256"' if seed % 3 == 0 else '"ethos-u55-128"')
        module = parse(made.text)
        function = region_of(module)
        before = least_peak(function)
        NpuScheduleOrderKernelsPass("size").apply(context(), module)
        if ORDERED_ATTR not in function.attributes:
            continue
        module.verify()
        changed += 1
        assert least_peak(function) <= before
        wanted = evaluate(region_of(parse(made.text)), made.arguments)
        found = execute(module, made.arguments)
        assert not found.reports, "\n".join([f"seed {seed}", *map(str, found.reports)])
        for have, want in zip(found.results, wanted, strict=True):
            np.testing.assert_array_equal(have, want, err_msg=f"seed {seed}")
    assert changed > 5


@pytest.mark.parametrize(("branches", "changed"), [(MOST_RUNS, True), (MOST_RUNS + 1, False)])
def test_parts_with_many_runs_keep_their_order(branches: int, changed: bool) -> None:
    """Wide results, each made narrow, all read: the work of a search grows with the square of these."""
    problem = Problem([], [Value(1, users=(1 << branches) - 1, given=True)])
    for number in range(branches):
        problem.values.append(Value(50, writers=1 << number, users=1 << number | 1 << branches + number))
        problem.steps.append(Step(0, [number + 1], [number + 1, 0], []))
    for number in range(branches):
        item = branches + number
        problem.values.append(Value(1, writers=1 << item, users=1 << item | 1 << 2 * branches))
        problem.steps.append(Step(1 << number, [item + 1], [item + 1, number + 1], []))
    last = 2 * branches
    problem.values.append(Value(1, writers=1 << last, users=1 << last, kept=True))
    narrow = list(range(branches + 1, 2 * branches + 1))
    problem.steps.append(Step((1 << last) - 1, [last + 1], [last + 1, *narrow], []))
    assert (lower_order(problem) is not None) == changed
