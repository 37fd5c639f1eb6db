"""Plans and limits of cascades: errors in one line, invariants of the limit, and random cuts that stay exact."""

import re

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_region import Made, random_region
from schedule_reference import evaluate
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.cascades import Network, Planner
from npuc.analysis.machine import machine_of, setup_of
from npuc.dialects.npu import LIMIT_ATTR, IntsAttr
from npuc.dialects.npu_schedule import CascadeOp, KernelOp, nhwc
from npuc.hardware.accelerators import ACCELERATORS
from npuc.passes.npu_schedule_limit_sram import NpuScheduleLimitSramPass
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import profile
from npuc.tools.pipeline import Target

PLAN = (
    "npu-schedule-plan-cascades",
    "npu-schedule-form-cascades",
    "npu-schedule-reuse-ifm",
    "npu-schedule-select-blocks",
)


def planner_of(module: ModuleOp) -> Planner:
    function = region_of(module)
    return Planner(Network(function), machine_of(function), setup_of(function))


def limited(module: ModuleOp, limit: int) -> ModuleOp:
    region_of(module).attributes[LIMIT_ATTR] = IntegerAttr(limit, i64)
    return module


def size_of(module: ModuleOp, what: str = "size") -> int:
    size = module.attributes[f"npu.arena_{what}"]
    assert isinstance(size, IntegerAttr)
    return size.value.data


def chain(target: str = '"ethos-u55-128"') -> str:
    """conv 8 -> 32, pools, conv 32 -> 8 on 24 rows, with a residual sum around the second pool."""
    conv = """
    %w{n} = npu_schedule.constant dense<{v}> : tensor<{o}x1x1x{i}xi8>
    %s{n} = npu_schedule.scales {{bias = dense<5> : tensor<{o}xi64>, multiplier = dense<1073741824> : tensor<{o}xi32>,
      shift = dense<34> : tensor<{o}xi8>}} : !npu_schedule.scales<{o}>
    {r} = npu_schedule.conv2d {x}, %w{n}, %s{n} window <1x1> zero_points <0, 0> scale <per_channel, double_round>
      activation <-128, 127> : (tensor<1x24x12x{i}xi8>, tensor<{o}x1x1x{i}xi8>, !npu_schedule.scales<{o}>)
      -> tensor<1x24x12x{o}xi8>"""
    return f"""builtin.module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0(%x: tensor<1x24x12x8xi8>) -> tensor<1x24x12x8xi8> attributes {{npu.region}} {{
    {conv.format(n=0, v=3, o=32, i=8, x="%x", r="%a")}
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
      : (tensor<1x24x12x32xi8>) -> tensor<1x24x12x32xi8>
    %c = npu_schedule.pool max %b window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127>
      : (tensor<1x24x12x32xi8>) -> tensor<1x24x12x32xi8>
    %d = npu_schedule.elementwise min %b, %c zero_points <0, 0, 0> activation <-128, 127>
      : (tensor<1x24x12x32xi8>, tensor<1x24x12x32xi8>) -> tensor<1x24x12x32xi8>
    {conv.format(n=1, v=2, o=8, i=32, x="%d", r="%e")}
    func.return %e : tensor<1x24x12x8xi8>
  }}
}}
"""


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Not shrinking: a seed says nothing about size, and each try is a simulation."""
INPUT = np.random.default_rng(3).integers(-128, 128, (1, 24, 12, 8)).astype(np.int8)


# -- errors


def test_a_cascade_that_needs_its_own_result_is_refused() -> None:
    module = parse(chain())
    for op in region_of(module).walk():
        if isinstance(op, KernelOp) and (op.name, nhwc(op.result)[2]) != ("npu_schedule.pool", 32):
            op.cascade = IntsAttr((0,))
    with pytest.raises(PassFailedException, match="cascade 0 needs what is made of its own results"):
        apply(module, ["npu-schedule-form-cascades"])


def test_a_rolling_buffer_that_is_too_low_is_refused() -> None:
    module = parse(chain())
    for op in region_of(module).walk():
        if isinstance(op, KernelOp):
            op.cascade, op.stripe, op.rolling = IntsAttr((0,)), IntsAttr((1,)), IntsAttr((2,))
    with pytest.raises(PassFailedException, match=r"cascade 0: [0-9]+ rows are alive in a rolling buffer of 2"):
        apply(module, ["npu-schedule-form-cascades"])


def test_a_limit_below_the_smallest_schedule_names_the_smallest() -> None:
    module = parse(chain('"ethos-u55-128", "", "", limit 2000'))
    least = planner_of(module).least_peak()
    with pytest.raises(PassFailedException, match=f"limit is 2000 bytes of SRAM, the smallest possible is {least}$"):
        NpuScheduleLimitSramPass().apply(None, module)  # pyright: ignore
    fits = parse(chain(f'"ethos-u55-128", "", "", limit {least}'))
    found = execute(fits, [INPUT], ["npu-schedule-limit-sram", *PLAN, *LOWERING])
    assert size_of(found.module) == least


# -- invariants of the limit (docs/schedule.md)


def test_b1_the_limit_is_state_of_the_function() -> None:
    """Every pass reads `npu.sram_limit`, which need not be what the target says."""
    module = limited(parse(chain('"ethos-u55-128", "", "", limit 1000000')), 9000)
    apply(module, ["npu-schedule-limit-sram", *PLAN, *LOWERING])
    assert size_of(module) <= 9000


def test_b2_performance_and_size_differ_in_the_limit_only() -> None:
    size = parse(chain())
    NpuScheduleLimitSramPass("size", 1.1).apply(None, size)  # pyright: ignore
    limit = region_of(size).attributes[LIMIT_ATTR]
    assert isinstance(limit, IntegerAttr)
    given_one = parse(chain(f'"ethos-u55-128", "", "", limit {limit.value.data}'))
    NpuScheduleLimitSramPass("performance").apply(None, given_one)  # pyright: ignore
    apply(size, PLAN)
    apply(given_one, PLAN)
    assert str(region_of(size)) == str(region_of(given_one))


def test_b3_the_peak_stays_below_that_of_the_minimal_schedule() -> None:
    module = parse(chain())
    least = planner_of(module).least_peak()
    apply(limited(module, least), [*PLAN, *LOWERING])
    assert size_of(module) == size_of(module, "bound") == least


def test_b4_what_fits_as_it_stands_is_not_cascaded() -> None:
    module = parse(chain())
    network = Network(region_of(module))
    for limit in (network.plain_peak, network.buffered_peak(machine_of(module))):
        apply(limited(module, limit), PLAN)
        assert not [op for op in module.walk() if isinstance(op, CascadeOp)]


def test_b5_size_never_takes_more_than_the_limit_of_the_target() -> None:
    module = parse(chain('"ethos-u55-128", "", "", limit 12000'))
    NpuScheduleLimitSramPass("size", 1.0).apply(None, module)  # pyright: ignore
    assert region_of(module).attributes[LIMIT_ATTR] == IntegerAttr(12000, i64)


def test_b7_rolling_buffers_and_what_lives_across_are_counted_once() -> None:
    """The memory that a plan predicts for each segment is what the allocator finds."""
    planner = planner_of(parse(chain()))
    for limit in range(planner.least_peak(), planner.network.plain_peak, 1500):
        predicted = max(segment.memory for segment in planner.quickest(limit))
        module = limited(parse(chain()), limit)
        apply(module, [*PLAN, *LOWERING])
        assert size_of(module, "bound") == predicted <= limit


def test_b8_a_slow_arena_does_not_make_the_limit_zero() -> None:
    """In Dedicated_Sram the cache limits nothing that lies in the arena."""
    module = parse(chain('"ethos-u65-256", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB", limit 1000'))
    NpuScheduleLimitSramPass("size").apply(None, module)  # pyright: ignore
    limit = region_of(module).attributes[LIMIT_ATTR]
    assert isinstance(limit, IntegerAttr)
    assert limit.value.data >= planner_of(module).least_peak() > 0


def test_b10_more_memory_never_makes_a_plan_slower() -> None:
    planner = planner_of(parse(chain()))
    whole = planner.network.plain_peak
    limits = [*range(planner.least_peak(), whole, 100), whole]
    cycles = [sum(map(planner.cycles, planner.quickest(limit))) for limit in limits]
    assert cycles == sorted(cycles, reverse=True)
    assert (
        cycles[0]
        > cycles[-1]
        == sum(planner.cycles(segment) for segments in planner.segments for segment in segments if not segment.rows)
    )


def test_b10_room_for_weights_is_not_spent_on_taller_stripes(models) -> None:
    """
    The network of the tour has a cascade that is bound by the weights of its second kernel. Between the limits below
    there is room for taller stripes, or for those weights.
    """
    cycles: list[int] = []
    for limit in range(32 * 1024, 47 * 1024, 2048):
        target = Target("ethos-u55-128", limit=limit)
        cycles.append(profile(compile_tflite(models["tour"].path.read_bytes(), target).data).cycles)
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[-1] < 0.9 * cycles[0]


def test_b11_a_single_kernel_has_no_cascade() -> None:
    head, _, rest = chain().partition("    %b = ")
    head = head.replace("-> tensor<1x24x12x8xi8> attr", "-> tensor<1x24x12x32xi8> attr")
    module = parse(head + "    func.return %a : tensor<1x24x12x32xi8>\n" + rest[rest.index("  }\n") :])
    planner = planner_of(module)
    assert planner.least_peak() == planner.network.plain_peak


# -- random cuts


def region(seed: int, accelerator: str) -> Made:
    """A random region before weight buffers are made: they get what a plan leaves."""
    made = random_region(seed, f'"{accelerator}"')
    return Made(re.sub(r" buffers <\d>", "", made.text), made.arguments)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], str]:
    """A seed, pairs of (length, rows a launch) of runs of kernels, and an accelerator."""
    runs = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8)), min_size=1, max_size=6))
    return draw(st.integers(0, 10**6)), runs, draw(st.sampled_from(list(ACCELERATORS)))


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(cuts())
def test_random_cuts_and_stripes_are_exact(case: tuple[int, list[tuple[int, int]], str]) -> None:
    """Segments and stripe heights that the test chose, not the planner: exact, and as much memory as predicted."""
    seed, runs, accelerator = case
    made = region(seed, accelerator)
    module = parse(made.text)
    wanted = evaluate(region_of(parse(made.text)), made.arguments)
    planner = planner_of(module)
    at, number = 0, 100
    for length, rows in runs:
        stop = min(at + length, len(planner.network.items)) - 1
        fitting = [s for s in (planner.segments[stop] if stop >= at else []) if s.start == at and s.rows]
        if fitting:
            segment = fitting[rows % len(fitting)]
            choice = planner.choice(segment)
            for item, stripe, rolling in zip(
                planner.network.items[at : stop + 1], choice.stripes, choice.rolling, strict=True
            ):
                assert isinstance(item.op, KernelOp)
                item.op.cascade, item.op.stripe = IntsAttr((number,)), IntsAttr((stripe,))
                item.op.rolling = None if rolling is None else IntsAttr((rolling,))
            number += 1
        at = stop + 1
    found = execute(module, made.arguments, ["npu-schedule-form-cascades", "npu-schedule-select-blocks", *LOWERING])
    assert not found.reports
    for have, want in zip(found.results, wanted, strict=True):
        np.testing.assert_array_equal(have, want)


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(list(ACCELERATORS)))
def test_random_limits_are_kept_and_exact(seed: int, share: float, accelerator: str) -> None:
    """Any limit between the least possible and all."""
    made = region(seed, accelerator)
    module = parse(made.text)
    wanted = evaluate(region_of(parse(made.text)), made.arguments)
    planner = planner_of(module)
    least = planner.least_peak()
    limit = least + round(share * (planner.network.plain_peak - least))
    found = execute(limited(module, limit), made.arguments, [*PLAN, *LOWERING])
    assert not found.reports
    assert size_of(found.module, "bound") <= limit
    for have, want in zip(found.results, wanted, strict=True):
        np.testing.assert_array_equal(have, want)
