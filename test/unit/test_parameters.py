"""The ends of what is not known: each figure of the low end makes things no dearer, each of the high end no cheaper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from npuc.hardware.accelerators import accelerator
from npuc.hardware.clock import Clock
from npuc.hardware.cycles import Places, best_block, dma_cycles, kernel_cost
from npuc.hardware.memory import Memory, MemorySetup, memory_setup
from npuc.hardware.parameters import DEFAULT, HIGH, LOW, CostParameters
from npuc.hardware.shram import Dims, Kernel

ACCELERATORS = {
    name: accelerator(name) for name in ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512")
}
CONV = Kernel("conv", Dims(17, 9, 40), Dims(17, 9, 24), (3, 3), pad=(1, 1, 1, 1), ifm_format="nhcwb16")
SHALLOW = Kernel("max_pool", Dims(40, 3, 8), Dims(20, 3, 8), (2, 1), (2, 1))
SCALED = Kernel("elementwise", Dims(40, 40, 300), Dims(40, 40, 300), operation="min", ifm2=Dims(1, 1, 300))
FULL = Kernel("conv", Dims(1, 1, 400), Dims(1, 1, 300))
PLACES = (Places(), Places("arena", "constants", "arena"), Places(ofm="arena", weights="cache"))
DIRECTED = [field.name for field in fields(CostParameters) if field.name != "fair_ports"]
"""Parameters with a low and a high end."""


def ask(name: str) -> Iterator[Callable[[CostParameters], int]]:
    """Questions about costs, of one launch, one transfer and of sequences, as a function of the parameters."""
    acc = ACCELERATORS[name]
    plain = memory_setup(acc)

    def in_sequence(setup: MemorySetup) -> int:
        clock = Clock(acc, setup)
        for kernel in (CONV, SHALLOW, SCALED, FULL):
            clock.transfer(5000, setup.constants, setup.cache)
            clock.launch(kernel_cost(acc, setup, kernel, best_block(acc, plain, kernel)), kernel is SHALLOW)
            clock.wait_transfers(0)
        return clock.cycles

    for kernel in (CONV, SHALLOW, SCALED, FULL):
        for places in PLACES:
            block = best_block(acc, plain, kernel, places)
            for part in ("cycles", "fill_cycles"):
                yield lambda parameters, kernel=kernel, block=block, places=places, part=part: getattr(
                    kernel_cost(acc, plain.with_parameters(parameters), kernel, block, places), part
                )
    for length in (256, 1000, 30000):
        for areas in (("constants", "cache"), ("arena", "cache"), ("cache", "arena")):
            yield lambda parameters, length=length, areas=areas: dma_cycles(
                *(plain.with_parameters(parameters).memory(area) for area in areas), length
            )
    yield lambda parameters: in_sequence(plain.with_parameters(parameters))


def test_every_end_lies_on_its_side() -> None:
    moved: dict[str, set[str]] = {"low": set(), "high": set()}
    for question in (question for name in ACCELERATORS for question in ask(name)):
        middle = question(DEFAULT)
        assert question(LOW) <= middle <= question(HIGH)
        for field in DIRECTED:
            low = question(replace(DEFAULT, **{field: getattr(LOW, field)}))
            high = question(replace(DEFAULT, **{field: getattr(HIGH, field)}))
            assert low <= middle <= high, field
            if low < middle:
                moved["low"].add(field)
            if middle < high:
                moved["high"].add(field)
    for side, end in (("low", LOW), ("high", HIGH)):
        different = {field for field in DIRECTED if getattr(end, field) != getattr(DEFAULT, field)}
        assert moved[side] == different, "every parameter that has an end is felt somewhere"


def test_rates_by_hand() -> None:
    flash = Memory("OffChipFlash", "Axi1", 0.5, 128, 64, 0)
    assert flash.read_rate == 4 * 64 / 400, "4 bursts of 64 bytes are the first to reach 200 bytes in 400 cycles"
    assert replace(flash, parameters=replace(DEFAULT, gate_cycles=0)).read_rate == 0.5
    dram = Memory("Dram", "Axi1", 12, 128, 500, 250, cores=2)
    assert dram.read_rate == dram.weight_rate == 24 * 64 / 500
    assert dram.write_rate == 12 * 64 / 250
    assert replace(dram, cores=1).weight_rate == 16 * 64 / 500
    assert replace(dram, parameters=LOW).read_rate == 64 * 64 / 500
    assert replace(dram, read_latency=100).read_rate == 12
    assert (dram.shortest_access, replace(dram, parameters=LOW).shortest_access) == (128, 64)


def test_a_setup_carries_its_parameters() -> None:
    setup = memory_setup(ACCELERATORS["ethos-u65-512"])
    assert setup.parameters == DEFAULT
    low = setup.with_parameters(LOW)
    assert low.parameters == low.memory("cache").parameters == low.memory("arena").parameters == LOW
    assert low != setup
    assert low.with_parameters(DEFAULT) == setup
