"""
What planners take a whole schedule to cost, held against the timeline of its commands, and the plan of transfers.
"""

from __future__ import annotations

from statistics import median
from unittest.mock import patch

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.timeline import timeline
from npuc.dialects.npu import FORWARDS_ATTR
from npuc.dialects.npu_cmd import ProgramOp
from npuc.hardware.parameters import DEFAULT, HIGH, LOW, CostParameters
from npuc.planning.buffers import Planned
from npuc.planning.levels import Levels
from npuc.planning.network import scheduled_functions
from npuc.planning.prefetch import Transfer, plan
from npuc.planning.schedules import Schedules, _changes, planned_cycles  # pyright: ignore[reportPrivateUsage]
from npuc.tools.ir import load_module, make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import COMMANDS, EMIT, SCHEDULE, Target, pipeline
from npuc.tools.profiling.profile import profile

NETWORKS = ("digits_cnn", "residual_net", "separable_net", "int16x8_net", "unet", "tour")

SHORT = 15000
"""Cycles below which a few waits that addresses decide are more than a twentieth."""


def planned_and_emitted(data: bytes, target: Target) -> tuple[int, int]:
    """Cycles by the planner before there are commands, and by the commands."""
    ctx = make_context()
    module = load_module(ctx, data, "model", "tflite")
    chain = parse_passes(pipeline(target), available_passes())
    names = [one.name for one in chain]
    lowering = names.index(COMMANDS[0])
    run_passes(ctx, module, chain[:lowering], file="model", verify_each=False)
    planned = planned_cycles(module)
    run_passes(ctx, module, chain[lowering : names.index(EMIT)], file="model", verify_each=False)
    return planned, emitted(module)


def emitted(module: ModuleOp, parameters: CostParameters = DEFAULT) -> int:
    """Cycles of all programs of a module."""
    machine, setup = machine_of(module), setup_of(module).with_parameters(parameters)
    return sum(timeline(one, machine, setup).cycles for one in module.ops if isinstance(one, ProgramOp))


def test_the_planner_says_what_the_commands_take(models) -> None:
    off: list[float] = []
    for accelerator in ("ethos-u55-128", "ethos-u55-256", "ethos-u65-512"):
        for name in NETWORKS:
            data = models[name].path.read_bytes()
            for strategy in ("performance", "size"):
                planned, cycles = planned_and_emitted(data, Target(accelerator, strategy=strategy))
                off.append(abs(planned / cycles - 1))
                assert off[-1] <= 0.05 or cycles < SHORT, (accelerator, name, strategy)
    assert median(off) <= 0.01


def test_what_a_cascade_gives_up_and_what_a_transfer_waits_for_is_known(models) -> None:
    """
    The input of a cascade, once it is read, makes place for weights of what comes next; a transfer that finds no place
    beside what the launch before it reads waits for that.
    """
    data = models["tour"].path.read_bytes()
    for accelerator, limit in (("ethos-u55-256", 39576), ("ethos-u55-256", 51576), ("ethos-u65-512", 40000)):
        planned, cycles = planned_and_emitted(data, Target(accelerator, limit=limit))
        assert abs(planned / cycles - 1) <= 0.01, (accelerator, limit)


def test_who_loses_most_is_given_what_the_last_before_it_has() -> None:
    planned: Planned = Planned({}, {"a": 100, "b": 0, "c": 50, "d": 0}, {"a": 5, "b": 9, "c": 30, "d": 1})  # pyright: ignore
    assert list(_changes(planned, 1000)) == [("a", 99), ("a", 99)]


def test_more_memory_makes_no_schedule_slower(models) -> None:
    """Also by the commands, over the limits for which the planner of cascades changes its mind."""
    data = models["tour"].path.read_bytes()
    best: int | None = None
    for limit in range(24 * 1024, 64 * 1024, 3000):
        cycles = profile(compile_tflite(data, Target("ethos-u55-256", limit=limit)).data).cycles
        assert best is None or cycles <= best * 1.005, limit
        best = cycles if best is None else min(best, cycles)


def test_what_is_needed_last_is_planned_first() -> None:
    """Launch 1 has time for one transfer. Both could take it, the one that is needed later could also take launch 2."""

    def cycles(size: int) -> int:
        return size

    transfers = [Transfer(100, 2, 2, cycles, "arena", 100), Transfer(100, 3, 3, cycles, "arena", 100)]
    pieces, held = plan(transfers, [0, 100, 100, 0], {"arena": Levels([-1000] * 4)})
    assert pieces == [{1: 100}, {2: 100}]
    # Launch 0 has no time for what is issued behind launch 1, and launch 1 has none left.
    assert held == {1, 2}
    pieces, held = plan(transfers[:1], [100, 100, 0, 0], {"arena": Levels([-1000] * 4)})
    assert (pieces, held) == ([{1: 100}], set())


def test_forwards_what_is_needed_first_finds_memory_first() -> None:
    """The last transfer needs the time of launches 2 and 1; from launch 1 on there is memory for one of the two."""
    transfers = [
        Transfer(300, 2, 2, lambda size: size, "arena", 300),
        Transfer(2048, 3, 3, lambda size: size, "arena", 2048),
    ]
    idle, excess = [0, 1500, 1500, 0], [-4000, -2200, -4000, -4000]
    pieces, _ = plan(transfers, idle, {"arena": Levels(excess)})
    assert [min(parts, default=None) for parts in pieces] == [None, 1]
    pieces, _ = plan(transfers, idle, {"arena": Levels(excess)}, forwards=True)
    assert [min(parts, default=None) for parts in pieces] == [1, 2]


def test_transfers_are_planned_forwards_where_that_is_quicker_whatever_the_machine_is_like(models) -> None:
    ctx = make_context()
    data = models["residual_net"].path.read_bytes()
    module = load_module(ctx, data, "model", "tflite")
    chain = parse_passes(pipeline(Target("ethos-u55-256", limit=11264)), available_passes())
    names = [one.name for one in chain]
    lowering, emit = names.index(COMMANDS[0]), names.index(EMIT)
    run_passes(ctx, module, chain[:lowering], file="model", verify_each=False)
    other = module.clone()
    turned = [one for one in scheduled_functions(other) if one.attributes.pop(FORWARDS_ATTR, None) is not None]
    assert turned
    for one in (module, other):
        run_passes(ctx, one, chain[lowering:emit], file="model", verify_each=False)
    for parameters in (DEFAULT, LOW, HIGH):
        assert emitted(module, parameters) < emitted(other, parameters)


def row_of_layers(count: int, depth: int) -> str:
    """Fully connected layers, one behind the other, whose weights are random."""
    random, lines = np.random.default_rng(1), list[str]()
    line, weights = f"tensor<1x1x1x{depth}xi8>", f"tensor<{depth}x1x1x{depth}xi8>"
    for n in range(count):
        data = random.integers(-90, 90, depth * depth).astype(np.int8).tobytes().hex().upper()
        lines.append(f"""
    %w{n} = npu_schedule.constant dense<"0x{data}"> : {weights}
    %s{n} = npu_schedule.scales {{bias = dense<5> : tensor<{depth}xi64>, multiplier = dense<1073741824> :
      tensor<{depth}xi32>, shift = dense<34> : tensor<{depth}xi8>}} : !npu_schedule.scales<{depth}>
    %x{n + 1} = npu_schedule.conv2d %x{n}, %w{n}, %s{n} window <1x1> zero_points <0, 0>
      scale <per_channel, double_round> activation <-128, 127>
      : ({line}, {weights}, !npu_schedule.scales<{depth}>) -> {line}""")
    target = '"ethos-u65-512", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"'
    return f"""builtin.module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0(%x0: {line}) -> {line} attributes {{npu.region}} {{{"".join(lines)}
    func.return %x{count} : {line}
  }}
}}
"""


def test_choices_of_buffers_are_mixed_where_memories_may_be_quicker_than_they_are_taken_to_be() -> None:
    """Some weights in place, as all would be by the defaults, and some in buffers, as all would be by `LOW`."""
    ctx, text = make_context(), row_of_layers(5, 64).encode()
    chain = parse_passes(",".join((*SCHEDULE, *COMMANDS)), available_passes())
    modules: list[ModuleOp] = []
    for mixed in (Schedules._mixed, lambda *_: []):  # pyright: ignore
        with patch.object(Schedules, "_mixed", mixed):
            modules.append(load_module(ctx, text, "model", "mlir"))
            run_passes(ctx, modules[-1], chain, file="model", verify_each=False)
    mixed, plain = modules
    for parameters in (DEFAULT, LOW, HIGH):
        assert emitted(mixed, parameters) < emitted(plain, parameters)


def test_a_transfer_without_room_for_its_buffer_stays() -> None:
    excess = {"arena": Levels([-200, -50, -200])}
    pieces, _ = plan([Transfer(100, 2, 2, lambda size: size, "arena", 100)], [500, 500, 500], excess)
    assert pieces == [{}]
