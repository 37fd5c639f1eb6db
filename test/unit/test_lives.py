"""
What planners say that a schedule needs in memory, held against the live ranges of its commands, and what comes of it
where the allocator has to leave gaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from execute_region import apply, parse, region_of
from hypothesis import given
from hypothesis import strategies as st
from network import Network as Recipe
from property_tests import examples, seeds
from random_region import random_region
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, UnitAttr, i1, i64
from xdsl.ir import Attribute

from npuc.analysis import allocation
from npuc.analysis.allocation import LiveRange, Needs, Rule, in_moments
from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.live_ranges import live_ranges
from npuc.analysis.machine import (
    UNLIMITED,
    limit_of,
    machine_of,
    scarce_space_of,
    setup_of,
    transfer_limit_of,
    transfers_forwards,
    written_limit,
)
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import AREAS, FORWARDS_ATTR, LIMIT_ATTR, TRANSFER_LIMIT_ATTR
from npuc.dialects.npu_cmd import ProgramOp
from npuc.passes import npu_cmd_hoist_dma
from npuc.planning import evaluation
from npuc.planning.buffers import pinned
from npuc.planning.evaluation import Program
from npuc.planning.lives import CutMemory, Memory, lives_of
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.prefetch import Placed, Plan, Transfer, placed_plan
from npuc.planning.schedules import Region, Schedules
from npuc.planning.tasks import Works
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import COMMANDS, EMIT, SCHEDULE, Target, pipeline

TARGETS = (
    Target("ethos-u55-128"),
    Target("ethos-u55-256", strategy="size"),
    Target("ethos-u65-256", memory_mode="Dedicated_Sram_384KB"),
)
LIMIT = 60000
BEHIND_LIMIT = SCHEDULE[SCHEDULE.index("npu-schedule-limit-sram") + 1 :]


def module_limit(module: ModuleOp) -> int:
    """The limit of its only program."""
    (limit,) = (limit_of(one, scarce_space_of(module)) for one in module.ops if isinstance(one, ProgramOp))
    assert limit is not None
    return limit


Ranges = tuple[list[LiveRange], list[Rule]]


def foreseen(module: ModuleOp) -> Ranges:
    """All live ranges of the scarce memory by the schedules that stand in the IR, and which may overlap."""
    machine, setup, space = machine_of(module), setup_of(module), scarce_space_of(module)
    schedules, functions = Schedules(AREAS[space], machine, setup), scheduled_functions(module)
    held = held_by_host(module)
    memory = Memory(module, functions)
    found: Ranges = [], []
    for function in functions:
        network = Network(function, held.get(function.sym_name.data, NOTHING_HELD))
        works = Works(network, machine, setup)
        tasks = works.of_network()
        program = schedules.program(tasks, pinned(tasks))
        limits = transfer_limit_of(function, space), limit_of(function, space)
        limit, most = (UNLIMITED if one is None else one for one in limits)
        placed = program.placed(limit, memory.of(network), most, transfers_forwards(function))
        lives = lives_of(network, program, placed.plan)
        memory.put(function, lives)
        found = memory.ranges(function, lives)[:2]
    return found


def emitted(module: ModuleOp) -> Ranges:
    """The same by its commands."""
    found = live_ranges(module)
    items = [item for item in found.items if item.space == scarce_space_of(module)]
    return [item.live_range for item in items], found.rules_among(items)


def by_time(found: Ranges) -> tuple[list[tuple[int, ...]], list[tuple[object, ...]]]:
    ranges, rules = found
    moments = [(r.start, r.end, r.size) for r in in_moments(ranges)]
    known = [(moments[rule.upper], moments[rule.lower], rule.at, rule.behind) for rule in rules]
    return sorted(moment for moment in moments if moment[2]), sorted(known)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["tour", "unet", "two_islands", "cpu_in_a_diamond", "if_with_subgraphs"])
def test_the_lives_of_a_schedule_are_those_of_its_commands(models, name: str, target: Target) -> None:
    """Values of the host, feature maps and buffers of weights, transfers hoisted: who meets whom, to the byte."""
    ctx = make_context()
    module = load_module(ctx, models[name].path.read_bytes(), name, "tflite")
    chain = parse_passes(pipeline(target), available_passes())
    lowering, allocate = ([one.name for one in chain].index(one) for one in (COMMANDS[0], "npu-cmd-allocate"))
    run_passes(ctx, module, chain[:lowering], file=name, verify_each=False)
    ranges = foreseen(module)
    run_passes(ctx, module, chain[lowering:allocate], file=name, verify_each=False)
    assert by_time(ranges) == by_time(emitted(module))


ACCELERATORS = ('"ethos-u55-32"', '"ethos-u55-256"', '"ethos-u65-256"', '"ethos-u65-512", "", "Dedicated_Sram_384KB"')


def limited(seed: int, target: str, share: float, pinned: bool = True) -> ModuleOp:
    """A random region with a limit between what it needs and what it would take with all weights in buffers."""
    text = random_region(seed, target).text
    module = parse(text if pinned else re.sub(r" (buffers|slices) <[^>]*>", "", text))
    apply(module, ["npu-schedule-place-feature-maps"])
    region = Region(Network(region_of(module)), machine_of(module), setup_of(module))
    least = region.planner.least_peak()
    limit = least + round(share * (region.buffered_peak - least))
    region_of(module).attributes[LIMIT_ATTR] = IntegerAttr(limit, i64)
    return module


@examples(25)
@given(st.integers(0, 10**6), st.sampled_from(ACCELERATORS), st.floats(0, 1))
def test_lives_in_random_regions_are_those_of_the_commands(seed: int, target: str, share: float) -> None:
    module = limited(seed, target, share)
    apply(module, BEHIND_LIMIT)
    ranges = foreseen(module)
    apply(module, COMMANDS[: COMMANDS.index("npu-cmd-allocate")])
    assert by_time(ranges) == by_time(emitted(module))


CUT = [f"npu-schedule-{one}" for one in ("plan-cascades", "form-cascades", "overlap-results", "reuse-ifm")]


@examples(25)
@given(st.integers(0, 10**6), st.sampled_from(ACCELERATORS), st.floats(0, 0.9))
def test_a_cut_needs_what_its_cascades_need(seed: int, target: str, share: float) -> None:
    """Before and after it stands in the IR; where results lie over operands it may take less than was counted on."""
    module = limited(seed, target, share)
    function = region_of(module)
    region = Region(Network(function), machine_of(module), setup_of(module))
    limit = written_limit(function)
    assert limit is not None
    if region.buffered_peak <= limit:
        return  # It is not cut.
    cut = region.cut(limit)
    schedules = Schedules(AREAS[region.network.space], region.machine, region.setup)
    tasks, laid = region.tasks(cut), region.laid(cut, limit)
    planned = CutMemory(region.network, laid).used(schedules.program(tasks, {}), 0)
    apply(module, CUT)
    network = Network(region_of(module))
    tasks = Works(network, region.machine, region.setup).of_network()
    needed = Memory(module, [network.function]).of(network).used(schedules.program(tasks, {}), 0)
    assert len(planned) == len(needed)
    assert all(one >= other for one, other in zip(planned, needed, strict=True))
    assert laid.over or planned == needed


def check_use_of_launches(module: ModuleOp) -> bool:
    """What planners say that launches need is what hoisting counts; false where nothing is counted."""
    asked: list[list[int]] = []
    limit = 0

    def recording(transfers: object, idle: object, used: Mapping[str, Sequence[int]], *others: Any) -> Placed:
        nonlocal limit
        limits, memory = others[:2]
        asked.append(list(used[memory]))
        limit = limits[memory]
        return placed_plan(transfers, idle, used, *others)  # pyright: ignore[reportArgumentType]

    with patch.object(evaluation, "placed_plan", recording), patch.object(npu_cmd_hoist_dma, "placed_plan", recording):
        foreseen(module)
        apply(module, COMMANDS[: COMMANDS.index("npu-cmd-hoist-dma") + 1])
    if len(asked) < 2 or 2 * max(asked[0]) <= limit:
        return False
    assert asked[0] == asked[1]
    return True


@examples(25)
@given(st.integers(0, 10**6), st.sampled_from(ACCELERATORS), st.floats(0.5, 1))
def test_launches_need_what_hoisting_counts(seed: int, target: str, share: float) -> None:
    module = limited(seed, target, share, pinned=False)
    apply(module, BEHIND_LIMIT)
    check_use_of_launches(module)


def test_slices_need_their_buffer_from_their_own_launch_on() -> None:
    """The second of two buffers is taken behind the launch of the first slice, behind which nothing gives way."""
    weights = """
    %w = npu_schedule.constant dense<1> : tensor<48x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<48xi64>, multiplier = dense<1073741824> : tensor<48xi32>,
      shift = dense<30> : tensor<48xi8>} : !npu_schedule.scales<48>"""
    module = parse(
        'module attributes {npu.target = #npu.target<"ethos-u55-128">} {\n'
        "func.func @main(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x48xi8>\n"
        "attributes {npu.region, npu.sram_limit = 9000} {"
        + weights
        + """
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %y = npu_schedule.conv2d %a, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> slices <0, 16, 32, 48> buffers <2>
         : (tensor<1x8x8x16xi8>, tensor<48x1x1x16xi8>, !npu_schedule.scales<48>) -> tensor<1x8x8x48xi8>
    func.return %y : tensor<1x8x8x48xi8>
}}"""
    )
    apply(module, BEHIND_LIMIT)
    assert check_use_of_launches(module)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (FORWARDS_ATTR, IntegerAttr(0, i1), "npu.transfers_forwards stands alone, without false"),
        (TRANSFER_LIMIT_ATTR, UnitAttr(), "npu.transfer_limit is a number of bytes, not unit"),
    ],
)
def test_what_is_written_of_transfers_is_what_it_must_be(name: str, value: Attribute, line: str) -> None:
    module = limited(0, ACCELERATORS[0], 1.0)
    apply(module, BEHIND_LIMIT)
    region_of(module).attributes[name] = value
    with pytest.raises(OperationError, match=line):
        apply(module, COMMANDS)


def test_a_transfer_that_nobody_reads_takes_memory_all_the_same() -> None:
    """As a hand may leave it: 16 bytes beside three maps of 1024."""
    map_, row = "tensor<1x8x8x16xi8>", "tensor<1x1x1x16xi8>"
    add = f"zero_points <0, 0, 0> activation <-128, 127> : ({map_}, {row}) -> {map_}"
    module = parse(f"""builtin.module attributes {{npu.target = #npu.target<"ethos-u55-128">}} {{
  func.func @npu_0(%x: {map_}) -> {map_} attributes {{npu.region}} {{
    %c = npu_schedule.constant dense<3> : {row}
    %near = npu_schedule.transfer %c : ({row}) -> {row}
    %y = npu_schedule.elementwise max %x, %c {add}
    %z = npu_schedule.elementwise max %y, %c {add}
    func.return %z : {map_}
  }}
}}""")
    assert sorted(one.size for one in foreseen(module)[0]) == [16, 1024, 1024, 1024]
    apply(module, ["npu-schedule-buffer-weights", *COMMANDS])


# -- gaps


class Gaps:
    """A memory of one region in which a gap of `lost` bytes lies beside each buffer of weights."""

    def __init__(self, module: ModuleOp, network: Network, lost: int):
        self.view = Memory(module, [network.function]).of(network)
        self.network, self.lost = network, lost

    def used(self, program: Program, limit: int) -> Sequence[int]:
        return self.view.used(program, limit)

    def needs(self, program: Program, plan: Plan, enough: int) -> Needs:
        """What is alive at each launch, and beside buffers a gap."""
        sums = self.view.needs(program, plan, 0).sums
        tops = list(sums)
        for buffer in program.buffers:
            first = min(plan.pieces[buffer.brought_by], default=buffer.first)
            for number in range(first, buffer.last + 1):
                tops[number] += self.lost
        return Needs(sums, tops, max(tops))


@pytest.mark.parametrize("lost", [0, 512, 4096, 1 << 20])
def test_buffers_are_planned_for_what_gaps_leave(models, lost: int) -> None:
    """The answer of the allocator is more than the sum of what is alive, the plan keeps to the limit all the same."""
    ctx = make_context()
    module = load_module(ctx, models["tour"].path.read_bytes(), "tour", "tflite")
    chain = parse_passes(pipeline(Target("ethos-u55-128", limit=LIMIT)), available_passes())
    stop = [one.name for one in chain].index("npu-schedule-buffer-weights")
    run_passes(ctx, module, chain[:stop], file="tour", verify_each=False)
    (function,) = scheduled_functions(module)
    network = Network(function)
    machine, setup = machine_of(module), setup_of(module)
    works, schedules = Works(network, machine, setup), Schedules("arena", machine, setup)
    tasks = works.of_network()
    bare = schedules.bare_cycles(tasks, LIMIT)

    def planned(lost: int) -> tuple[int, int]:
        """Cycles, and the number of buffers."""
        memory = Gaps(module, network, lost)
        best = schedules.buffered(tasks, LIMIT, {}, memory)
        program = schedules.program(tasks, best.decisions)
        placed = program.placed(best.limit, memory, LIMIT, best.forwards)
        assert placed.needs.top <= LIMIT
        return program.cycles(program.issued(placed.plan)), len(program.buffers)

    cycles, buffers = planned(lost)
    best, most = planned(0)
    assert best <= cycles <= bare
    assert buffers <= most
    if lost == 1 << 20:
        assert (cycles, buffers) == (bare, 0)
    elif lost:
        assert 0 < buffers


def test_transfers_come_less_early_before_none_does() -> None:
    """
    A gap that stays wherever launches are taken to need more: only what keeps to less memory finds addresses. Of two
    buffers the larger one stays where it is then, and the smaller one is brought early all the same.
    """
    idle, used = [1000] * 6, [1000] * 6
    transfers = [
        Transfer(512, 5, 5, lambda size: size, "arena", 512),
        Transfer(896, 5, 5, lambda size: size, "arena", 896),
    ]

    def needs(plan: Plan, enough: int) -> Needs:
        """A gap of 1000 bytes at the first launch, which no transfer reaches, once the larger buffer is taken early."""
        top = 3000 if plan.pieces[1] else 2000
        return Needs([1000] * 6, [top, *[1000] * 5], top)

    limits = {"arena": 2500}
    placed = placed_plan(transfers, idle, {"arena": used}, limits, "arena", needs, 2500)
    assert placed.needs.height == 2000
    assert [bool(parts) for parts in placed.plan.pieces] == [True, False]
    assert not placed.apart


def weak(patch: pytest.MonkeyPatch) -> None:
    """An allocator that leaves gaps: first come, first served."""

    def orders(ranges: Sequence[LiveRange], rules: Sequence[Rule]) -> Iterator[list[int]]:
        yield sorted(range(len(ranges)), key=lambda number: ranges[number].start)

    patch.setattr(allocation, "_orders", orders)
    for name, value in (("ORDERS", 1), ("TRIES", 0), ("QUESTION_TRIES", 0)):
        patch.setattr(allocation, name, value)
    allocation._search.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_no_buffer_makes_a_schedule_miss_its_limit() -> None:
    """With an allocator that often leaves gaps: what is allocated is no more than without buffers, or the limit."""
    missed = 0
    with pytest.MonkeyPatch.context() as patch:
        weak(patch)
        for seed in seeds(24):
            target = ACCELERATORS[seed % len(ACCELERATORS)]
            sizes: list[int] = []
            for passes in (BEHIND_LIMIT, [one for one in BEHIND_LIMIT if one != "npu-schedule-buffer-weights"]):
                module = limited(seed, target, seed % 7 / 6, pinned=False)
                apply(module, [*passes, *COMMANDS])
                size, limit = module.attributes[f"npu.{scarce_space_of(module)}_size"], module_limit(module)
                assert isinstance(size, IntegerAttr)
                sizes.append(size.value.data)
            assert sizes[0] <= max(limit, sizes[1])
            missed += sizes[1] > limit
    allocation._search.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert missed < 12


def islands(seed: int) -> bytes:
    """Two or three regions, operators of the host between them, and feature maps that live across these."""
    random, made = Random(seed), Recipe(seed)
    x = made.input((1, random.choice((6, 8, 10)), 8, random.choice((4, 8, 16))))
    kept = [x]
    for island in range(random.randint(2, 3)):
        for _ in range(random.randint(1, 4)):
            x = made.conv(x, random.choice((8, 16, 32, 48)), random.choice(((1, 1), (3, 3))))
            if random.random() < 0.4:
                kept.append(x)
            alike = [one for one in kept if one.shape == x.shape and one is not x]
            if alike and random.random() < 0.6:
                x = made.binary("ADD", x, random.choice(alike))
        if island < 2:
            x = made.on_the_cpu(x)
    read = [one for one in random.sample(kept, min(2, len(kept))) if one is not kept[0]]
    return made.model(x, *(made.conv(one, 8, (1, 1)) for one in read)).to_bytes()


@pytest.mark.parametrize("seed", [11, 99])
def test_no_buffer_of_a_region_makes_another_miss_the_limit(seed: int) -> None:
    """What lives longer than a region has one address, which is that of other regions, too."""
    ctx, target = make_context(), Target("ethos-u55-256")
    before = load_module(ctx, islands(seed), "islands", "tflite")
    chain = parse_passes(pipeline(target), available_passes())
    start, emit = ([one.name for one in chain].index(one) for one in ("npu-schedule-limit-sram", EMIT))
    run_passes(ctx, before, chain[:start], file="islands", verify_each=False)
    functions, held = scheduled_functions(before), held_by_host(before)
    assert len(functions) > 1
    peak = max(Network(one, held.get(one.sym_name.data, NOTHING_HELD)).plain_peak for one in functions)
    with pytest.MonkeyPatch.context() as patch:
        weak(patch)
        for limit in (peak * share // 100 for share in (100, 110, 128, 149)):
            sizes: list[int] = []
            for left_out in ("", "npu-schedule-buffer-weights"):
                module = before.clone()
                for one in scheduled_functions(module):
                    one.attributes[LIMIT_ATTR] = IntegerAttr(limit, i64)
                passes = [one for one in chain[start + 1 : emit] if one.name != left_out]
                run_passes(ctx, module, passes, file="islands", verify_each=False)
                size = module.attributes["npu.arena_size"]
                assert isinstance(size, IntegerAttr)
                sizes.append(size.value.data)
            assert sizes[0] <= max(limit, sizes[1])
    allocation._search.cache_clear()  # pyright: ignore[reportPrivateUsage]
