"""Cascades through slices and concats: the parts of a concat lie in one rolling buffer, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of
from property_tests import seeds
from schedule_reference import evaluate
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.utils.exceptions import VerifyException

from npuc.analysis.machine import machine_of, scarce_space_of, setup_of
from npuc.dialects.npu import LIMIT_ATTR, IntsAttr
from npuc.dialects.npu_schedule import CascadeOp, ConcatOp, KernelOp, SliceOp
from npuc.planning.cascades import Planner
from npuc.planning.network import Network
from npuc.planning.tasks import Works

HEIGHT, WIDTH = 14, 6
CLAMP = "activation <-128, 127>"
PLAN = [
    "npu-schedule-plan-cascades",
    "npu-schedule-form-cascades",
    "npu-schedule-overlap-results",
    "npu-schedule-reuse-ifm",
    "npu-schedule-select-blocks",
    *LOWERING,
]


def type_of(depth: int) -> str:
    return f"tensor<1x{HEIGHT}x{WIDTH}x{depth}xi8>"


class Modules:
    """Random modules of kernels side by side, whose results are joined, some of them read through slices."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []

    def new(self, text: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"    {name} = {text}")
        return name

    def pool(self, value: str, depth: int) -> str:
        window = ("1x1", "3x3, pad 1 1 1 1", "5x3, pad 2 1 2 1", "2x1, pad 1 0 0 0")[self.rng.integers(4)]
        type_ = type_of(depth)
        return self.new(
            f"npu_schedule.pool max {value} window <{window}> zero_points <0, 0> {CLAMP} : ({type_}) -> {type_}"
        )

    def binary(self, one: str, other: str, depth: int) -> str:
        type_ = type_of(depth)
        kernel = f"npu_schedule.elementwise max {one}, {other} zero_points <0, 0, 0> {CLAMP}"
        return self.new(f"{kernel} : ({type_}, {type_}) -> {type_}")

    def part(self, value: str, depth: int, first: int) -> str:
        what = f"{{offsets = #npu.ints<0, 0, {first}>, strides = #npu.ints<1, 1, 1>}}"
        return self.new(f"npu_schedule.slice {value} {what} : {type_of(depth)} -> {type_of(16)}")

    def module(self, value: str, depth: int) -> tuple[str, int]:
        """Two or three branches of a map, joined; perhaps one of them read beside the concat."""
        parts: list[tuple[str, int]] = []
        for _ in range(self.rng.integers(2, 4)):
            wide, own = value, depth
            if depth > 16 and self.rng.random() < 0.5:
                wide, own = self.part(value, depth, 16 * int(self.rng.integers(depth // 16))), 16
            if self.rng.random() < 0.2:
                parts.append((self.new(f"npu_schedule.copy {wide} : {type_of(own)} -> {type_of(own)}"), own))
                continue
            made = self.pool(wide, own)
            for _ in range(self.rng.integers(0, 2)):
                made = self.pool(made, own)
            parts.append((made, own))
        total = sum(own for _, own in parts)
        names, types = ", ".join(name for name, _ in parts), ", ".join(type_of(own) for _, own in parts)
        axis = "{axis = #npu.ints<3>}"
        joined = self.new(f"npu_schedule.concat {names} {axis} : ({types}) -> {type_of(total)}")
        if self.rng.random() < 0.4:
            name, own = parts[self.rng.integers(len(parts))]
            if own == 16:
                return self.binary(self.pool(name, 16), self.part(joined, total, total - 16), 16), 16
        return self.pool(joined, total), total

    def text(self, target: str) -> str:
        value, depth = self.pool("%x", 16), 16
        for _ in range(2):
            value, depth = self.module(value, depth)
            if depth > 64:
                value, depth = self.pool(self.part(value, depth, depth - 16), 16), 16
        made = self.pool(value, depth)
        return f"""module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0(%x: {type_of(16)}) -> {type_of(depth)} attributes {{npu.region}} {{
{chr(10).join(self.lines)}
    func.return {made} : {type_of(depth)}
  }}
}}"""


def planner_of(module: ModuleOp) -> Planner:
    function = region_of(module)
    network = Network(function)
    return Planner(network, Works(network, machine_of(function), setup_of(function)))


def joined_inside(module: ModuleOp) -> int:
    """How many concats are read inside of cascades."""
    return sum(isinstance(op, ConcatOp) and isinstance(op.parent_op(), CascadeOp) for op in module.walk())


TARGETS = {"nhwc": '"ethos-u55-128"', "bricks": '"ethos-u55-256"', "fast": '"ethos-u65-256", "", "Dedicated_Sram"'}


@pytest.mark.parametrize("target", TARGETS)
def test_cascades_through_views_are_exact_and_keep_their_limit(target: str) -> None:
    """The smallest schedule, and one between that and no cascade at all."""
    inside = 0
    for seed in seeds(8):
        text = Modules(seed).text(TARGETS[target])
        argument = np.random.default_rng(seed).integers(-128, 128, (1, HEIGHT, WIDTH, 16)).astype(np.int8)
        module = parse(text)
        (wanted,) = evaluate(region_of(parse(text)), [argument])
        before = ["npu-schedule-select-formats"] if target != "nhwc" else []
        apply(module, [*before, "npu-schedule-copies-to-kernels", "npu-schedule-place-feature-maps"])
        planner = planner_of(module)
        least, plain = planner.least_peak(), planner.network.plain_peak
        limit = least if seed % 2 else (least + plain) // 2
        region_of(module).attributes[LIMIT_ATTR] = IntegerAttr(limit, i64)
        planned = module.clone()
        apply(planned, PLAN[:2])
        inside += joined_inside(planned)
        found = execute(module, [argument], PLAN)
        assert not found.reports, "\n".join([f"seed {seed}", *map(str, found.reports)])
        np.testing.assert_array_equal(found.results[0], wanted, err_msg=f"seed {seed}")
        bound = found.module.attributes[f"npu.{scarce_space_of(module)}_bound"]
        assert isinstance(bound, IntegerAttr)
        assert bound.value.data <= limit
    assert inside > 2


@pytest.mark.parametrize("seed", seeds(6))
def test_any_segments_through_views_are_exact(seed: int) -> None:
    """Cuts that the test chose, not the planner."""
    rng = np.random.default_rng(seed)
    text = Modules(seed).text('"ethos-u55-128"')
    argument = rng.integers(-128, 128, (1, HEIGHT, WIDTH, 16)).astype(np.int8)
    module = parse(text)
    (wanted,) = evaluate(region_of(parse(text)), [argument])
    apply(module, ["npu-schedule-copies-to-kernels"])
    planner = planner_of(module)
    items = planner.network.items
    at = 0
    while at < len(items):
        fitting = [one for segments in planner.segments for one in segments if one.start == at]
        segment = fitting[rng.integers(len(fitting))]
        if segment.rows:
            choice = planner.choice(segment)
            members = items[at : segment.stop + 1]
            for item, stripe, rolling in zip(members, choice.stripes, choice.rolling, strict=True):
                assert isinstance(item.op, KernelOp)
                item.op.cascade, item.op.stripe = IntsAttr((at,)), IntsAttr((stripe,))
                item.op.rolling = None if rolling is None else IntsAttr((rolling,))
        at = segment.stop + 1
    found = execute(module, [argument], ["npu-schedule-form-cascades", *LOWERING])
    assert not found.reports
    np.testing.assert_array_equal(found.results[0], wanted)


def cascade(first: str, second: str, views: str) -> ModuleOp:
    """Two pools of 16 channels in a cascade, and views of both that a third one reads."""
    lines = [
        f"%{name} = npu_schedule.pool max %x window <1x1> zero_points <0, 0> {CLAMP} stripe <2> {rolling} : "
        f"({type_of(16)}) -> {type_of(16)}"
        for name, rolling in (("a", first), ("b", second))
    ]
    return parse(f"""func.func @npu_0(%x: {type_of(16)}) -> {type_of(16)} attributes {{npu.region}} {{
    %y = npu_schedule.cascade -> {type_of(16)} {{
      {lines[0]}
      {lines[1]}
      {views}
      %z = npu_schedule.pool max %v window <1x1> zero_points <0, 0> {CLAMP} stripe <2>
           : ({type_of(16)}) -> {type_of(16)}
      npu_schedule.yield %z : {type_of(16)}
    }}
    func.return %y : {type_of(16)}
  }}""")


PART = f"{{offsets = #npu.ints<0, 0, 8>, strides = #npu.ints<1, 1, 1>}} : {type_of(32)} -> {type_of(16)}"
JOINED = f"%c = npu_schedule.concat %a, %b {{axis = #npu.ints<3>}} : ({type_of(16)}, {type_of(16)}) -> {type_of(32)}"


def test_a_slice_of_a_concat_crosses_its_parts() -> None:
    module = cascade("rolling <2>", "rolling <2>", f"{JOINED}\n%v = npu_schedule.slice %c {PART}")
    argument = np.random.default_rng(0).integers(-128, 128, (1, HEIGHT, WIDTH, 16)).astype(np.int8)
    (wanted,) = evaluate(region_of(module), [argument])
    np.testing.assert_array_equal(wanted[..., :8], argument[..., 8:])
    assert any(isinstance(op, SliceOp) for op in module.walk())


@pytest.mark.parametrize(
    ("first", "second", "views", "message"),
    [
        ("rolling <2>", "rolling <4>", f"{JOINED}\n%v = npu_schedule.slice %c {PART}", "is the same for all"),
        (
            "rolling <2>",
            "rolling <2>",
            f"%v = npu_schedule.slice %x {PART.replace('0, 0, 8', '0, 0, 0').replace(type_of(32), type_of(16))}",
            "a view in a cascade is one of what its kernels write",
        ),
        ("rolling <2>", "rolling <2>", f"%v = npu_schedule.reshape %a : {type_of(16)} -> {type_of(16)}", "keep rows"),
    ],
)
def test_views_that_no_cascade_holds(first: str, second: str, views: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        cascade(first, second, views)
