"""What a sequence costs: queues, waits, overlap and shared ports, on costs small enough to add up by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from npuc.hardware.accelerators import Accelerator, accelerator
from npuc.hardware.clock import Clock, Run
from npuc.hardware.cycles import LAUNCH_WORDS, KernelCost, dma_cycles, fetch_cycles
from npuc.hardware.memory import memory_setup
from npuc.hardware.parameters import CostParameters

U55, U65 = accelerator("ethos-u55-128"), accelerator("ethos-u65-512")
SHARED, DEDICATED = memory_setup(U55), memory_setup(U65)
COMMANDS = fetch_cycles(SHARED, LAUNCH_WORDS)
SIZE = 4096
TRANSFER = dma_cycles(SHARED.constants, SHARED.arena, SIZE)


def cost(cycles: int, fill: int = 0, ports: tuple[int, int] = (0, 0)) -> KernelCost:
    return KernelCost(cycles, cycles, cycles, cycles, ports, fill, 0, 1, 0, 0, 0, 0, 0)


def bring(clock: Clock) -> None:
    clock.transfer(SIZE, SHARED.constants, SHARED.arena)


def test_nothing_takes_no_time() -> None:
    assert Clock(U55, SHARED).cycles == 0


def test_kernels_follow_each_other() -> None:
    clock = Clock(U55, SHARED)
    for _ in range(5):
        clock.launch(cost(1000), True)
    assert clock.cycles == 5000


def test_fill_is_hidden_only_behind_the_kernel_before() -> None:
    log: list[Run] = []
    clock = Clock(U55, SHARED, log)
    clock.launch(cost(1000, fill=30), True)
    clock.launch(cost(1000, fill=30), True)
    clock.launch(cost(1000, fill=30), False)
    bring(clock)
    clock.wait_transfers(0)
    clock.launch(cost(1000, fill=30), True)
    clock.finish()
    lengths = [run.end - run.start for run in log]
    assert lengths[:3] == [1030, 1000, 1030], "the first has nothing before it, the third may not overlap"
    assert log[3].end > log[2].end
    assert lengths[4] == 1030, "it may overlap, but comes behind a pause"


def test_transfers_run_beside_kernels() -> None:
    clock = Clock(U55, SHARED)
    bring(clock)
    clock.launch(cost(1000), False)
    assert clock.cycles == max(TRANSFER, COMMANDS + 1000) == TRANSFER
    clock.wait_transfers(0)
    clock.launch(cost(1000), False)
    assert clock.cycles == TRANSFER + 1000


@pytest.mark.parametrize(("acc", "most"), [(U55, 1), (U65, 2)])
def test_a_full_queue_holds_the_command_processor(acc: Accelerator, most: int) -> None:
    log: list[Run] = []
    setup = SHARED if acc is U55 else DEDICATED
    clock = Clock(acc, setup, log)
    for _ in range(most + 1):
        clock.transfer(SIZE, setup.constants, setup.cache)
    clock.launch(cost(10), False)
    clock.finish()
    assert log[-1].start >= log[0].end, "the last transfer is issued when the first has ended"
    assert [run.stall > 0 for run in log] == [False] * most + [True, False]


def test_waits_hold_until_so_many_are_outstanding() -> None:
    log: list[Run] = []
    clock = Clock(U55, SHARED, log)
    clock.launch(cost(1000), False)
    clock.launch(cost(1000), False)
    clock.wait_kernels(1)
    bring(clock)
    clock.wait_kernels(0)
    bring(clock)
    clock.finish()
    assert [run.start for run in log] == [0, 1000, 1000, log[2].end]
    assert log[2].end > 2000


def test_short_kernels_wait_for_their_commands() -> None:
    clock = Clock(U55, SHARED)
    for _ in range(10):
        clock.launch(cost(5), True)
    assert clock.cycles == 9 * COMMANDS + 5


@pytest.mark.parametrize(
    ("uses", "kernel_speed", "transfer_speed"),
    [
        ((1000, 0), 0.875, 1),  # what the transfer writes takes an eighth of port 0
        ((800, 0), 1, 1),  # there is enough of it for both
        ((0, 1000), 0.5, 0.5),  # each gets half of the port that both want whole
        ((0, 400), 1, 0.6),  # the kernel wants less than half, and gets it
        ((1000, 1000), 0.5, 0.5),  # the port that is short most decides
    ],
)
@pytest.mark.parametrize("first", ["kernel", "transfer"])
def test_kernels_and_transfers_share_ports(
    uses: tuple[int, int], kernel_speed: float, transfer_speed: float, first: str
) -> None:
    """Flash at 1 byte a cycle on port 1 and SRAM at 8 on port 0; the latency of the transfer is left out."""
    plain = SHARED.with_parameters(CostParameters(gate_cycles=0, start_cycles=0))
    flash = replace(plain.constants, read_latency=0)
    log: list[Run] = []
    clock = Clock(U55, plain, log)
    for what in ("kernel", "transfer") if first == "kernel" else ("transfer", "kernel"):
        if what == "kernel":
            clock.launch(cost(1000, ports=uses), False)
        else:
            clock.transfer(SIZE, flash, plain.arena)
    clock.finish()
    kernel, transfer = log if first == "kernel" else log[::-1]
    alone = max(0, transfer.start - kernel.start)
    beside = (1000 - alone) / kernel_speed
    assert kernel.end - kernel.start == pytest.approx(alone + beside, abs=1)
    assert transfer.end - transfer.start == pytest.approx(SIZE + beside * (1 - transfer_speed), abs=2)


def test_a_kernel_may_go_first() -> None:
    """With `fair_ports` off the transfer gets what the kernel leaves."""
    plain = SHARED.with_parameters(CostParameters(fair_ports=False))
    whole = dma_cycles(plain.constants, plain.arena, SIZE)
    clock = Clock(U55, plain, log := [])
    clock.launch(cost(1000, ports=(0, 1000)), False)
    clock.transfer(SIZE, plain.constants, plain.arena)
    clock.finish()
    assert log[0].end - log[0].start == 1000
    assert log[1].end == pytest.approx(1000 + whole, abs=whole - SIZE / plain.constants.read_rate)
    assert log[1].end > 1000 + SIZE / plain.constants.read_rate


def test_feature_maps_go_out_and_come_back() -> None:
    """In Dedicated_Sram transfers run between DRAM and SRAM either way; they take turns, for there is one engine."""
    log: list[Run] = []
    clock = Clock(U65, DEDICATED, log)
    clock.transfer(SIZE, DEDICATED.cache, DEDICATED.arena)
    clock.transfer(SIZE, DEDICATED.arena, DEDICATED.cache)
    clock.finish()
    assert log[0].end == dma_cycles(DEDICATED.cache, DEDICATED.arena, SIZE)
    assert log[1].start == log[0].end
    assert log[1].end - log[1].start == dma_cycles(DEDICATED.arena, DEDICATED.cache, SIZE)


def test_a_copy_goes_on_alone() -> None:
    clock = Clock(U55, SHARED, [])
    bring(clock)
    clock.launch(cost(3000), False)
    before = clock.cycles
    other = clock.copy()
    other.wait_transfers(0)
    other.launch(cost(2000), False)
    assert other.cycles == TRANSFER + 2000
    assert clock.cycles == before
    clock.launch(cost(5000), True)
    assert clock.cycles == COMMANDS + 8000
    assert other.cycles == TRANSFER + 2000


def random_commands(draw: random.Random, count: int) -> list[tuple[str, int, int, int]]:
    kinds = ("launch", "launch", "transfer", "wait_transfers", "wait_kernels")
    return [
        (draw.choice(kinds), draw.randint(0, 2), draw.choice((3, 200, 3000)), draw.randint(0, 100))
        for _ in range(count)
    ]


def tell(clock: Clock, commands: list[tuple[str, int, int, int]]) -> None:
    for kind, pending, size, share in commands:
        if kind == "launch":
            clock.launch(cost(size, share, (size, size * share // 100)), pending > 0)
        elif kind == "transfer":
            clock.transfer(size * 3, DEDICATED.constants, DEDICATED.cache)
        elif kind == "wait_transfers":
            clock.wait_transfers(pending)
        else:
            clock.wait_kernels(pending)


def test_asking_for_the_time_and_copying_change_nothing() -> None:
    draw = random.Random(7)
    for _ in range(100):
        commands = random_commands(draw, 40)
        whole = Clock(U65, DEDICATED)
        tell(whole, commands)
        asked = Clock(U65, DEDICATED)
        ends: list[int] = []
        for command in commands:
            tell(asked, [command])
            ends.append(asked.cycles)
            asked = asked.copy()
        assert ends[-1] == whole.cycles


def test_engines_run_one_thing_at_a_time_and_in_order() -> None:
    draw = random.Random(8)
    for _ in range(100):
        log: list[Run] = []
        clock = Clock(U65, DEDICATED, log)
        commands = random_commands(draw, 40)
        tell(clock, commands)
        clock.finish()
        issued = [kind for kind, *_ in commands if kind in ("launch", "transfer")]
        assert len(log) == len(issued)
        for engine in ("launch", "transfer"):
            runs = [run for run, kind in zip(log, issued, strict=True) if kind == engine]
            assert all(one.end <= other.start for one, other in pairwise(runs))
        assert clock.cycles == max((run.end for run in log), default=0)
