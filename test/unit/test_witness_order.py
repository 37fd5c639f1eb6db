"""The oracle of orders: it shows the harm of each missing wait, and none where the waits are there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from npu_assembler import ARENA, CONSTANTS, U55_128, U65_256, Assembler, place

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from witness_faults import actor_of
from witness_order import Orders, Space

from npuc.simulator import parse_payload
from npuc.simulator.memory import Memory, Region

SHAPE = (8, 4, 16)
SIZE = 8 * 4 * 16


def judge(asm: Assembler, outputs: range = range(0, 1 << 14)) -> str:
    """What an order does to a stream that works on 16 KiB of constants and as much of arena; "" if nothing."""
    program = parse_payload(asm.payload())
    regions = {
        index: Region(index, Memory(name, 1 << 14, np.zeros(1 << 14, np.uint8)), 0, 1 << 14, index == CONSTANTS)
        for index, name in ((CONSTANTS, "constants"), (ARENA, "arena"))
    }
    space = Space(regions, program.product.cores, program.product.banks * 1024)
    actors = [actor_of(op, program.product, space, []) for op in program.ops]
    return Orders(program, actors, space, space.at(ARENA, 0) + np.array(outputs)).harm(shuffles=8)


def copy(asm: Assembler, source: int, target: int, shape: tuple[int, int, int] = SHAPE, **values: int) -> None:
    asm.kernel("POOL", 0, place("OFM", target, shape), place("IFM", source, shape), **values)


@pytest.mark.parametrize(("wait", "harm"), [(None, "reads other bytes"), (1, "reads other bytes"), (0, "")])
def test_a_kernel_after_a_dma(wait: int | None, harm: str):
    asm = Assembler()
    asm.dma((CONSTANTS, 0), (ARENA, 0), SIZE)
    if wait is not None:
        asm.op("DMA_WAIT", wait)
    copy(asm, 0, SIZE)
    assert harm in judge(asm)
    assert bool(harm) == bool(judge(asm))


@pytest.mark.parametrize(("wait", "harmed"), [(None, True), (1, True), (0, False)])
def test_a_dma_over_what_a_kernel_reads(wait: int | None, harmed: bool):
    asm = Assembler()
    copy(asm, 0, 4 * SIZE)
    if wait is not None:
        asm.op("KERNEL_WAIT", wait)
    asm.dma((CONSTANTS, 0), (ARENA, 0), SIZE)
    assert bool(judge(asm)) == harmed


@pytest.mark.parametrize(("product", "harmed"), [(U55_128, False), (U65_256, True)])
def test_two_dmas_run_at_once_only_on_u65(product, harmed: bool):
    asm = Assembler(product)
    asm.dma((CONSTANTS, 0), (ARENA, 0), 256)
    asm.dma((ARENA, 0), (ARENA, 1024), 256)
    assert bool(judge(asm)) == harmed


def test_the_third_kernel_waits_for_the_first():
    asm = Assembler()
    copy(asm, 0, SIZE)
    copy(asm, 4 * SIZE, 5 * SIZE, BLOCKDEP=3)
    copy(asm, SIZE, 2 * SIZE, BLOCKDEP=3)
    assert judge(asm) == ""


@pytest.mark.parametrize(("blockdep", "harmed"), [(0, False), (1, False), (2, True), (3, True)])
def test_blockdep_counts_the_blocks_from_the_end(blockdep: int, harmed: bool):
    asm = Assembler()
    # Blocks of 2 x 2: eight of them, the last but one is columns 0 and 1 of the last rows.
    copy(asm, 0, SIZE)
    rows = SIZE + 6 * 4 * 16
    copy(asm, rows, 4 * SIZE, (2, 2, 16), BLOCKDEP=blockdep, IFM_STRIDE_Y=64)
    assert bool(judge(asm)) == harmed


@pytest.mark.parametrize(("blockdep", "harmed"), [(0, False), (1, True)])
def test_a_kernel_over_its_predecessors_output(blockdep: int, harmed: bool):
    asm = Assembler()
    copy(asm, 0, SIZE, (2, 2, 16))
    copy(asm, 4 * SIZE, SIZE, (2, 2, 16), BLOCKDEP=blockdep)
    copy(asm, SIZE, 6 * SIZE, (2, 2, 16))
    assert bool(judge(asm)) == harmed


def test_a_kernel_may_overwrite_what_its_predecessor_has_read():
    asm = Assembler()
    copy(asm, 0, SIZE)
    copy(asm, 4 * SIZE, 0, BLOCKDEP=3)
    assert judge(asm) == ""


def test_what_nobody_reads_does_no_harm():
    asm = Assembler()
    asm.dma((CONSTANTS, 0), (ARENA, SIZE), 64)
    copy(asm, 0, SIZE)
    assert judge(asm)
    assert judge(asm, range(4 * SIZE, 8 * SIZE)) == ""


@pytest.mark.parametrize(("kernel", "harmed"), [(3, True), (1, False)])
def test_a_kernel_that_overwrites_what_its_own_later_blocks_read(kernel: int, harmed: bool):
    asm = Assembler()
    pad = kernel // 2
    pads = {f"IFM_PAD_{side}": pad for side in ("TOP", "LEFT", "RIGHT", "BOTTOM")}
    copy(asm, 0, 0, **pads, KERNEL_WIDTH_M1=kernel - 1, KERNEL_HEIGHT_M1=kernel - 1)
    assert ("overwrites what block" in judge(asm)) == harmed


def test_a_shifted_copy_onto_itself():
    asm = Assembler()
    copy(asm, 0, 16)
    assert "overwrites what block" in judge(asm)
    asm = Assembler()
    asm.dma((ARENA, 0), (ARENA, 16), 64)
    assert "overwrites its own source" in judge(asm)
