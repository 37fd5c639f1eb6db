"""
What planners take a whole schedule to cost, held against the timeline of its commands, and the plan of transfers.
"""

from __future__ import annotations

from statistics import median

from xdsl.dialects.builtin import ModuleOp

from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.timeline import timeline
from npuc.dialects.npu_cmd import ProgramOp
from npuc.planning.levels import Levels
from npuc.planning.prefetch import Transfer, plan
from npuc.planning.schedules import planned_cycles
from npuc.tools import driver
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import profile
from npuc.tools.pipeline import COMMANDS, EMIT, Target, pipeline

NETWORKS = ("digits_cnn", "residual_net", "separable_net", "int16x8_net", "unet", "tour")

SHORT = 15000
"""Cycles below which a few waits that addresses decide are more than a twentieth."""


def planned_and_emitted(data: bytes, target: Target) -> tuple[int, int]:
    """Cycles by the planner before there are commands, and by the commands."""
    ctx = driver.make_context()
    module = driver.load_module(ctx, data, "model", "tflite")
    chain = driver.parse_passes(pipeline(target), driver.available_passes())
    names = [one.name for one in chain]
    lowering = names.index(COMMANDS[0])
    driver.run_passes(ctx, module, chain[:lowering], file="model", verify_each=False)
    planned = planned_cycles(module)
    driver.run_passes(ctx, module, chain[lowering : names.index(EMIT)], file="model", verify_each=False)
    return planned, emitted(module)


def emitted(module: ModuleOp) -> int:
    """Cycles of all programs of a module."""
    machine, setup = machine_of(module), setup_of(module)
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


def test_a_transfer_without_room_for_its_buffer_stays() -> None:
    excess = {"arena": Levels([-200, -50, -200])}
    pieces, _ = plan([Transfer(100, 2, 2, lambda size: size, "arena", 100)], [500, 500, 500], excess)
    assert pieces == [{}]
