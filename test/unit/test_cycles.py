from itertools import product
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from property_tests import examples

from npuc.dialects.npu_schedule import copying
from npuc.hardware.accelerators import ACCELERATORS, Block, accelerator
from npuc.hardware.cycles import (
    NEARLY,
    PORT_WEIGHT,
    Places,
    best_block,
    dma_cost,
    dma_cycles,
    kernel_cost,
    mac_steps,
)
from npuc.hardware.memory import memory_setup
from npuc.hardware.parameters import DEFAULT
from npuc.hardware.shram import Dims, Kernel, legal_blocks, prefers_part_kernel

U55 = accelerator("ethos-u55-128")
SHARED = memory_setup(U55)
U65 = accelerator("ethos-u65-512")
DEDICATED = memory_setup(U65)
FLASH = 7 * 64 / 400
"""Bytes a cycle: 7 bursts of 64 bytes are the first whole ones to reach 400 bytes in 400 cycles."""
START = DEFAULT.start_cycles

CONV = Kernel(
    "conv",
    Dims(32, 32, 16),
    Dims(32, 32, 16),
    kernel=(3, 3),
    pad=(1, 1, 1, 1),
    ifm_format="nhcwb16",
    ofm_format="nhcwb16",
)
ADD = Kernel(
    "elementwise",
    Dims(8, 8, 16),
    Dims(8, 8, 16),
    operation="add",
    ifm2=Dims(8, 8, 16),
    ifm_format="nhcwb16",
    ifm2_format="nhcwb16",
    ofm_format="nhcwb16",
)


def test_convolution_by_hand() -> None:
    """
    A 3x3 convolution of 32x32x16 in blocks of 8x8x16 on 128 MACs, 8 bytes a cycle of SRAM, 1.12 of flash.

    A block of 8 x 4 micro-blocks takes 9 steps of 4 * 32 cycles, twice in depth: 2304; its 1024 elements leave in half
    a cycle each: 512. There are 16 blocks; the last one's output is not hidden.
    """
    cost = kernel_cost(U55, SHARED, CONV, Block(8, 8, 16))
    assert cost.blocks == 16
    assert cost.mac_cycles == 16 * 2304
    assert cost.output_cycles == 16 * 512
    assert cost.compute_cycles == cost.cycles == START + 16 * 2304 + 512
    assert cost.macs == 32 * 32 * 16 * 16 * 9
    # 4 rows of blocks read 10 rows each, less one at the top and one at the bottom; columns likewise.
    assert cost.ifm_read == 38 * 38 * 16
    assert cost.weights_read == 16 * 16 * 16 * 9
    assert cost.scales_read == 160
    assert cost.ofm_written == 32 * 32 * 16
    assert cost.port_cycles == ((38 * 38 * 16 + 32 * 32 * 16) // 8, ceil((16 * 16 * 16 * 9 + 160) / FLASH))
    # Latencies of 32 and 32, and 10 x 10 x 16 bytes of the first block.
    assert cost.fill_cycles == 64 + 10 * 10 * 16 // 8
    assert cost.traffic == 38 * 38 * 16 + 16 * 2304 + 160 + 32 * 32 * 16


def test_elementwise_by_hand() -> None:
    cost = kernel_cost(U55, SHARED, ADD, Block(8, 8, 16))
    assert (cost.mac_cycles, cost.macs) == (0, 0)
    assert cost.output_cycles == 8 * 8 * 16 * 1.5
    assert cost.ifm_read == cost.ifm2_read == cost.ofm_written == 1024
    assert cost.weights_read == cost.scales_read == 0
    assert kernel_cost(U55, SHARED, ADD._replace(ifm2_scalar=True), Block(8, 8, 16)).ifm2_read == 0
    broadcast = kernel_cost(U55, SHARED, ADD._replace(ifm2=Dims(1, 1, 16)), Block(8, 8, 16))
    assert broadcast.ifm2_read == 16


def test_a_broadcast_operand_is_fetched_where_blocks_need_another_part() -> None:
    """Blocks go in depth first, then along the width, then down; a part is not fetched twice in a row."""
    deep = ADD._replace(ifm=Dims(8, 8, 32), ofm=Dims(8, 8, 32), ifm2_format="nhwc", ifm_bits=32, ofm_bits=32)
    block = Block(4, 4, 16)

    def read(*dims: int) -> int:
        return kernel_cost(U55, SHARED, deep._replace(ifm2=Dims(*dims)), block).ifm2_read

    assert read(1, 1, 1) == 4
    assert read(1, 1, 32) == 2 * 2 * 32 * 4, "all channels for each block of the area"
    assert read(1, 8, 1) == 2 * 8 * 4
    assert read(8, 1, 1) == 8 * 4
    assert read(8, 8, 1) == 8 * 8 * 4
    assert read(1, 8, 32) == 2 * 8 * 32 * 4
    assert read(8, 1, 32) == 8 * 2 * 32 * 4
    one = deep._replace(ifm=Dims(1917, 1, 1), ofm=Dims(1917, 1, 1), ifm2=Dims(1, 1, 1), ifm_format="nhwc")
    cost = kernel_cost(U55, SHARED, one._replace(ofm_format="nhwc"), Block(32, 2, 8), Places(ifm2="constants"))
    assert cost.port_cycles[1] == ceil(128 / FLASH), "one burst of flash"


def test_tiny_blocks_wait_for_memory() -> None:
    """Four blocks are under way at most: one of (32 + 32 + 2 * 16 * 1.5) / 4 = 28 cycles for 2 x 16 elements."""
    small = kernel_cost(U55, SHARED, ADD, Block(1, 2, 16))
    assert small.output_cycles == 8 * 8 * 16 * 1.5
    assert small.cycles == START + 32 * 48
    fast = kernel_cost(U55, SHARED, ADD._replace(operation="min"), Block(1, 2, 16))
    assert fast.output_cycles == 32 * 16
    assert fast.cycles == START + 32 * (64 + 16) // 4


def test_steps_of_the_array() -> None:
    conv = CONV._replace(ifm=Dims(32, 32, 40))
    assert mac_steps(conv, part_kernel=False) == 9 * 2
    assert mac_steps(conv, part_kernel=True) == 3 * 5
    assert mac_steps(conv._replace(ifm_bits=16), part_kernel=False) == 9 * 3
    assert mac_steps(conv._replace(ifm_bits=16), part_kernel=True) == 5 * 5
    assert mac_steps(conv._replace(kernel=(10, 4)), part_kernel=True) == (8 + 2) * 5
    assert mac_steps(conv._replace(kernel=(10, 1), dilation=(2, 1)), part_kernel=True) == (1 + 1 + 1) * 5
    assert mac_steps(CONV._replace(kind="depthwise"), part_kernel=False) == 3
    assert mac_steps(CONV._replace(kind="max_pool"), part_kernel=False) == 9
    assert mac_steps(CONV._replace(kind="max_pool", kernel=(1, 1)), part_kernel=False) == 4
    assert mac_steps(ADD, part_kernel=False) == 0


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (5, 1), (7, 7), (8, 8)])
def test_the_preferred_order_of_weights_takes_no_more_steps(size: tuple[int, int], bits: int) -> None:
    for depth in range(9, 200):
        conv = CONV._replace(ifm=Dims(32, 32, depth), kernel=size, ifm_bits=bits)
        chosen = prefers_part_kernel(depth, size, bits)
        assert mac_steps(conv, chosen) <= mac_steps(conv, not chosen)


def test_shallow_blocks_are_bound_by_weights() -> None:
    """With one micro-block in the area the array waits until 32 x 8 weights are decoded, 8 a cycle."""
    full = Kernel("conv", Dims(1, 1, 320), Dims(1, 1, 128))
    assert kernel_cost(U55, SHARED, full, Block(1, 2, 128)).mac_cycles == 10 * 32 * 16


def test_two_cores_halve_the_depth() -> None:
    conv = CONV._replace(ofm=Dims(32, 32, 32))
    one = accelerator("ethos-u65-256")
    near = Places(weights="cache")
    single = kernel_cost(one, memory_setup(one), conv, Block(8, 16, 32), near)
    double = kernel_cost(U65, DEDICATED, conv, Block(8, 16, 32), near)
    assert double.mac_cycles * 2 == single.mac_cycles
    assert double.output_cycles * 2 == single.output_cycles
    # Where the scales come from DRAM they are slower than the cores.
    assert kernel_cost(U65, DEDICATED, conv, Block(8, 16, 32)).output_cycles > double.output_cycles
    # One channel keeps one core busy only.
    thin = CONV._replace(ofm=Dims(32, 32, 1))
    assert (
        kernel_cost(U65, DEDICATED, thin, Block(8, 16, 8)).mac_cycles
        == kernel_cost(one, memory_setup(one), thin, Block(8, 16, 8)).mac_cycles
    )


def test_what_slows_a_kernel() -> None:
    block = Block(8, 8, 16)
    base = kernel_cost(U55, SHARED, CONV, block)
    assert kernel_cost(U55, SHARED, CONV._replace(lut=True), block).output_cycles == 2 * base.output_cycles
    wide = kernel_cost(U55, SHARED, CONV._replace(ifm_bits=16, ofm_bits=16), block)
    assert wide.output_cycles * 2 == base.output_cycles * 3
    assert wide.ofm_written == 2 * base.ofm_written
    assert kernel_cost(U55, SHARED, CONV, block, weight_bytes=100).weights_read == 1600
    buffered = kernel_cost(U55, SHARED, CONV, block, Places(weights="cache"))
    assert buffered.port_cycles[1] == 0
    assert buffered.port_cycles[0] > base.port_cycles[0]


def test_short_runs_waste_bursts() -> None:
    """16 of 32 channels of NHWC are half a burst of 32 bytes; all of them, row after row, are whole ones."""
    pool = Kernel("max_pool", Dims(16, 16, 32), Dims(16, 16, 32))
    part = kernel_cost(U55, SHARED, pool, Block(8, 8, 16))
    whole = kernel_cost(U55, SHARED, pool, Block(8, 8, 32))
    assert part.traffic == whole.traffic
    assert part.port_cycles[0] == 2 * whole.port_cycles[0]


def test_upscaling_reads_half_the_rows() -> None:
    up = CONV._replace(ifm=Dims(16, 16, 16), upscale="zeros")
    cost = kernel_cost(U55, SHARED, up, Block(8, 16, 16))
    assert cost.ifm_read == 19 * 17 * 16


def test_illegal_block_is_refused() -> None:
    with pytest.raises(ValueError, match="needs more SHRAM than ethos-u55-128 has"):
        kernel_cost(U55, SHARED, CONV, Block(32, 32, 16))


def test_dma() -> None:
    burst = ceil(START + 64 + 1024 / FLASH)
    assert dma_cycles(SHARED.constants, SHARED.arena, 1024) == burst
    assert dma_cycles(SHARED.constants, SHARED.arena, 1000) == burst, "whole bursts"
    assert dma_cycles(SHARED.constants, None, 256) == ceil(START + 64 + 256 / FLASH)
    assert dma_cost(SHARED.constants, SHARED.arena, 1024).port_cycles == (128, ceil(1024 / FLASH))
    inside = dma_cost(SHARED.arena, SHARED.arena, 1024)
    assert inside == (START + 256, (256, 0)), "it reads and writes through one port"


def test_dma_either_way() -> None:
    """24 reads of 64 bytes are under way in the 500 cycles that one takes, and 12 writes in 250."""
    out, back = dma_cost(DEDICATED.arena, DEDICATED.cache, 1 << 20), dma_cost(DEDICATED.cache, DEDICATED.arena, 1 << 20)
    rate = 24 * 64 / 500
    assert out == (ceil(START + 500 + (1 << 20) / rate), (1 << 16, ceil((1 << 20) / rate)))
    assert back == (ceil(START + 250 + (1 << 20) / rate), out.port_cycles)


def test_weights_arrive_as_fast_as_their_cores_ask_for_them() -> None:
    """A core has 16 reads of 64 bytes under way, each of which takes 500 cycles of DRAM; the memory 24."""
    one = accelerator("ethos-u65-256")
    full = Kernel("conv", Dims(1, 1, 512), Dims(1, 1, 512))
    block, size = Block(2, 4, 64), 512 * 512
    single = kernel_cost(one, memory_setup(one), full, block, weight_bytes=size)
    assert single.cycles == START + ceil(size / (16 * 64 / 500))
    double = kernel_cost(U65, DEDICATED, full, block, weight_bytes=size)
    assert double.cycles - START == double.port_cycles[1] == ceil((size + 5120) / (24 * 64 / 500))


@st.composite
def kernels(draw: st.DrawFn) -> Kernel:
    kind = draw(st.sampled_from(["conv", "depthwise", "avg_pool", "elementwise"]))
    height, width, depth = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(1, 150))
    ofm = Dims(height, width, depth)
    formats = st.sampled_from(["nhwc", "nhcwb16"])
    common = {
        "ifm_bits": draw(st.sampled_from([8, 16])),
        "ifm_format": draw(formats),
        "ofm_format": draw(formats),
    }
    common["ofm_bits"] = common["ifm_bits"]
    if kind == "elementwise":
        second = Dims(*(draw(st.sampled_from([1, size])) for size in ofm))
        return Kernel(kind, ofm, ofm, operation="mul", ifm2=second, **common)
    size, stride = draw(st.integers(1, 5)), draw(st.integers(1, 2))
    ifm_depth = draw(st.integers(1, 150)) if kind == "conv" else depth
    ifm = Dims((height - 1) * stride + size, (width - 1) * stride + size, ifm_depth)
    part = kind == "conv" and draw(st.booleans())
    return Kernel(kind, ifm, ofm, (size, size), (stride, stride), part_kernel=part, **common)


@examples(60)
@given(kernels(), st.sampled_from(list(ACCELERATORS)), st.sampled_from(["constants", "cache"]))
@example(
    # Strides leave gaps between blocks that nobody reads: narrow ones move less.
    Kernel("depthwise", Dims(29, 9, 33), Dims(15, 5, 33), (1, 1), (2, 2), ifm_format="nhcwb16"),
    "ethos-u55-256",
    "constants",
)
@example(
    # The last block is out sooner if it is smaller.
    Kernel("conv", Dims(4, 9, 3), Dims(4, 9, 19)),
    "ethos-u55-32",
    "constants",
)
def test_best_block_is_nearly_the_best_of_all(kernel: Kernel, name: str, weights: str) -> None:
    """Bounds lose next to nothing against trying each legal block."""
    acc = accelerator(name)
    setup = memory_setup(acc)
    places = Places(weights="cache" if weights == "cache" else "constants")

    def score(block: Block) -> float:
        cost = kernel_cost(acc, setup, kernel, block, places)
        return cost.cycles + PORT_WEIGHT * sum(cost.port_cycles)

    legal = list(legal_blocks(acc, kernel))
    chosen = best_block(acc, setup, kernel, places)
    assert chosen in legal
    # Estimates are rounded up to whole cycles, ports to whole ones too.
    assert score(chosen) <= min(map(score, legal)) / (1 - NEARLY) + 2


@examples(60)
@given(kernels(), st.sampled_from(list(ACCELERATORS)), st.data())
def test_costs_hang_together(kernel: Kernel, name: str, data: st.DataObject) -> None:
    acc = accelerator(name)
    setup = memory_setup(acc)
    blocks = list(legal_blocks(acc, kernel))
    block = data.draw(st.sampled_from(blocks))
    cost = kernel_cost(acc, setup, kernel, block)
    assert cost.cycles >= max(cost.mac_cycles, cost.output_cycles, *cost.port_cycles) > 0
    assert cost.cycles >= cost.macs / acc.total_macs / (2 if kernel.kind == "avg_pool" else 1)
    assert cost.ofm_written >= kernel.ofm.elements * kernel.ofm_bits // 8
    if kernel.stride == (1, 1):
        assert cost.ifm_read >= kernel.ifm.elements * kernel.ifm_bits // 8, "all of the IFM is read at least once"


@examples(100)
@given(kernels(), st.sampled_from(list(ACCELERATORS)), st.data())
def test_ifm_traffic_is_what_the_blocks_need(kernel: Kernel, name: str, data: st.DataObject) -> None:
    """The closed form equals adding up the rows and columns of each block."""
    acc = accelerator(name)
    block = data.draw(st.sampled_from(list(legal_blocks(acc, kernel))))

    def fetched(size: int, step: int, window: int, stride: int) -> int:
        return sum((min(step, size - start) - 1) * stride + window for start in range(0, size, step))

    rows = fetched(kernel.ofm.height, block.height, kernel.kernel[0], kernel.stride[0])
    columns = fetched(kernel.ofm.width, block.width, kernel.kernel[1], kernel.stride[1])
    depth = kernel.ifm.depth
    if kernel.ifm_format == "nhcwb16":
        depth = -(-depth // 16) * 16
    if kernel.kind == "conv":
        depth *= -(-kernel.ofm.depth // block.depth)
    cost = kernel_cost(acc, memory_setup(acc), kernel, block)
    assert cost.ifm_read == rows * columns * depth * kernel.ifm_bits // 8


@pytest.mark.parametrize("name", ACCELERATORS)
def test_no_form_of_a_copy_is_quicker_than_the_one_that_it_has(name: str) -> None:
    """Average pool or maximum, as bytes or as pairs of bytes, dense or with columns of the result apart."""
    acc = accelerator(name)
    setup = memory_setup(acc)

    def cycles(kernel: Kernel) -> int:
        return kernel_cost(acc, setup, kernel, best_block(acc, setup, kernel)).cycles

    for bits, depth, apart in product((8, 16, 32), (1, 2, 3, 7, 12, 24), (False, True)):
        dims = Dims(24, 20, depth)
        chosen = cycles(copying(dims, bits, "nhwc", "nhwc")._replace(ofm_apart=apart))
        for unit in {8, min(bits, 16)}:
            part = dims._replace(depth=depth * bits // unit)
            pool = Kernel("avg_pool", part, part, ifm_bits=unit, ofm_bits=unit, ofm_apart=apart)
            scalar = pool._replace(kind="elementwise", operation="max", ifm2=Dims(1, 1, 1), ifm2_scalar=True)
            assert chosen <= 1.02 * min(cycles(pool), cycles(scalar)), (bits, depth, apart, unit)


def test_columns_that_lie_apart_are_runs_of_their_own() -> None:
    """One pixel of 4 bytes at a time is as slow as one of 32, the shortest access, on either side."""
    acc = accelerator("ethos-u55-128")
    setup = memory_setup(acc)
    kernel = Kernel("max_pool", Dims(16, 16, 4), Dims(16, 16, 4))
    block = best_block(acc, setup, kernel)
    dense, read, written = (
        kernel_cost(acc, setup, one, block).port_cycles[0]
        for one in (kernel, kernel._replace(ifm_apart=True), kernel._replace(ofm_apart=True))
    )
    assert dense == 2 * 16 * 16 * 4 // 8
    assert read == written == (16 * 16 * 4 + 16 * 16 * 32) // 8
