"""
What the simulator reports of broken streams, and what it refuses to execute: streams assembled over the register map,
as those of test_simulator_execute.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from npu_assembler import (
    ARENA,
    CONSTANTS,
    U55_32,
    U55_128,
    U65_256,
    U65_512,
    Assembler,
    arena,
    from_bytes,
    place,
    plain_stream,
    random_map,
    scale_bytes,
    to_bytes,
)

from npuc.hardware import registers
from npuc.simulator import ExecutionError, Report, StreamError, execute_payload, parse_payload
from npuc.simulator.execute import Executor
from npuc.simulator.memory import Memory, Region
from npuc.simulator.products import Product


def copy(asm: Assembler, source: int, target: int, shape: tuple[int, int, int] = (8, 4, 16), **values: int) -> None:
    asm.kernel("POOL", 0, place("OFM", target, shape), place("IFM", source, shape), **values)


def kinds(asm: Assembler, constants: int = 1024, memory: np.ndarray | None = None) -> list[str]:
    data = arena() if memory is None else memory
    return [report.kind for report in execute_payload(asm.payload(), {0: np.zeros(constants, np.uint8), 1: data})]


def reported(asm: Assembler, defined: int = 0x1000) -> list[Report]:
    """What is reported where of an arena only the first `defined` bytes were written."""
    memory = Memory("arena", 1 << 16)
    memory.written[:defined] = True
    program = parse_payload(asm.payload())
    executor = Executor(program.product, {ARENA: Region(ARENA, memory, 0, memory.size)})
    executor.run(program)
    return executor.reports


@pytest.mark.parametrize(("wait", "expected"), [(None, ["hazard"]), (0, []), (1, ["hazard"])])
def test_kernel_after_dma(wait: int | None, expected: list[str]):
    asm = Assembler()
    asm.dma((CONSTANTS, 0), (ARENA, 0x100), 512)
    if wait is not None:
        asm.op("DMA_WAIT", wait)
    copy(asm, 0x100, 0x1000)
    assert kinds(asm) == expected


@pytest.mark.parametrize(("product", "waits", "expected"), [(U55_128, 1, 0), (U65_256, 1, 0), (U65_256, 2, 1)])
def test_older_dma_is_done_when_the_younger_may_stay(product: Product, waits: int, expected: int):
    asm = Assembler(product)
    asm.dma((CONSTANTS, 0), (ARENA, 0x100), 512)
    asm.dma((CONSTANTS, 512), (ARENA, 0x4000), 512)
    asm.op("DMA_WAIT", waits)
    copy(asm, 0x100, 0x1000)
    assert len(kinds(asm)) == expected


@pytest.mark.parametrize(("wait", "expected"), [(None, ["hazard"]), (1, ["hazard"]), (0, [])])
def test_dma_after_kernel(wait: int | None, expected: list[str]):
    asm = Assembler()
    copy(asm, 0x100, 0x1000)
    if wait is not None:
        asm.op("KERNEL_WAIT", wait)
    asm.dma((CONSTANTS, 0), (ARENA, 0x100), 512)
    assert kinds(asm) == expected


def test_a_third_kernel_means_the_first_is_done():
    asm = Assembler()
    copy(asm, 0x100, 0x1000)
    copy(asm, 0x4000, 0x5000)
    copy(asm, 0x6000, 0x7000)
    asm.dma((CONSTANTS, 0), (ARENA, 0x100), 512)
    assert kinds(asm) == []


@pytest.mark.parametrize("blockdep", range(4))
def test_blockdep_between_producer_and_consumer(blockdep: int):
    asm = Assembler()
    copy(asm, 0x100, 0x1000)
    copy(asm, 0x1000, 0x2000, BLOCKDEP=blockdep)
    # Eight blocks of 2 x 2: the first three read what blocks far from the last have written.
    assert kinds(asm) == []
    asm = Assembler()
    copy(asm, 0x100, 0x1000, (4, 2, 16))
    copy(asm, 0x1000, 0x2000, (4, 2, 16), BLOCKDEP=blockdep)
    # Two blocks: block 0 reads what is last but one.
    assert kinds(asm) == (["hazard"] if blockdep > 1 else [])


def test_overwriting_the_input_of_the_predecessor_is_in_order():
    asm = Assembler()
    copy(asm, 0x100, 0x1000, (4, 2, 16))
    copy(asm, 0x4000, 0x100, (4, 2, 16), BLOCKDEP=3)
    assert kinds(asm) == []


def test_overwriting_the_output_of_the_predecessor_is_not():
    asm = Assembler()
    copy(asm, 0x100, 0x1000, (2, 2, 16))
    copy(asm, 0x4000, 0x1000, (2, 2, 16), BLOCKDEP=1)
    assert kinds(asm) == ["hazard"]


def test_interleaved_maps_do_not_overlap():
    # Two kernels write even and odd columns of one map: their hulls meet, their bytes do not.
    asm = Assembler()
    for column in range(2):
        ofm = place("OFM", 0x1000 + 16 * column, (4, 4, 16)) | {"OFM_STRIDE_X": 32, "OFM_STRIDE_Y": 128}
        asm.kernel("POOL", 0, ofm, place("IFM", 0x100, (4, 4, 16)), BLOCKDEP=3)
    assert kinds(asm) == []


def test_accumulators_destroy_a_table_on_small_parts():
    def program(product: Product) -> Assembler:
        asm = Assembler(product)
        asm.dma((CONSTANTS, 0), (0, product.lut_base), 256, internal=True)
        asm.op("DMA_WAIT")
        copy(asm, 0x100, 0x1000, IFM_IB_END=6, AB_START=product.banks - 4)
        lookup = {"ACTIVATION": registers.pack("ACTIVATION", function=16), "IFM_IB_END": 6, "AB_START": 6}
        copy(asm, 0x4000, 0x5000, **lookup)
        return asm

    assert kinds(program(U55_32)) == ["uninitialised"]
    # Where the table's banks are reserved, reaching into them is itself the fault.
    assert "shram" in kinds(program(U55_128))


def test_shram_buffers_that_meet():
    asm = Assembler()
    copy(asm, 0x100, 0x1000, IFM_IB_END=12, AB_START=10)
    copy(asm, 0x100, 0x1000, IFM_IB_END=2, AB_START=10)
    copy(asm, 0x100, 0x1000, OFM_BLK_WIDTH_M1=2)
    assert kinds(asm) == ["shram"] * 3


def test_misaligned_dma():
    asm = Assembler()
    asm.dma((CONSTANTS, 8), (ARENA, 0x100), 16)
    assert kinds(asm) == ["alignment"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"IFM_BASE0": 0xFFFF0}, r"accesses its IFM at bytes 0xffff0\.\.0x1001f0 of region 1"),
        ({"OFM_REGION": 0, "OFM_BASE0": 0}, r"writes OFM to region 0 .* read-only"),
        ({"IFM_REGION": 5}, "uses region 5, which the operator does not provide"),
        ({"ACC_FORMAT": 2}, "floating point accumulators"),
        ({"IFM_PAD_TOP": 60, "KERNEL_HEIGHT_M1": 3}, "its padding covers all of its input"),
        ({"OFM_STRIDE_X": -16, "OFM_BASE0": 0}, "accesses its OFM at bytes -0x30"),
        ({"ACTIVATION": registers.pack("ACTIVATION", clip_range=3)}, "clip range without a lookup table"),
        ({"ACTIVATION_MIN": 5, "ACTIVATION_MAX": 4}, "empty clip range"),
        ({"ACTIVATION": registers.pack("ACTIVATION", function=3)}, "TANH or SIGMOID on a int8"),
    ],
)
def test_what_cannot_be_executed(values: dict[str, int], message: str):
    asm = Assembler()
    copy(asm, 0x100, 0x1000, **values)
    with pytest.raises(ExecutionError, match=message) as error:
        kinds(asm)
    assert "word" in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_the_wrong_length():
    stream = plain_stream([1] * 8 * 32)
    for extra, message in ((-1, "needs more"), (1, "needs only")):
        constants = scale_bytes(np.zeros(8), np.ones(8), np.zeros(8)) + plain_stream([1] * (8 * 32 + extra))
        asm = Assembler()
        values = {"SCALE_BASE": 0, "SCALE_LENGTH": 80, "WEIGHT_BASE": 80, "WEIGHT_LENGTH": len(constants) - 80}
        asm.kernel("CONV", 0, place("OFM", 0x8000, (1, 1, 8)), place("IFM", 0x100, (1, 1, 8)), **values)
        with pytest.raises(ExecutionError, match=message):
            execute_payload(asm.payload(), {0: np.frombuffer(constants, np.uint8), 1: arena()})
    assert len(stream) % 16 == 0


def test_operations_without_their_registers_are_refused():
    asm = Assembler()
    asm.op("POOL")
    with pytest.raises(StreamError, match=r"word 0 .*reads NPU_SET_OFM_PRECISION, which no word sets"):
        kinds(asm)


def test_a_thousand_mutated_payloads_are_refused_or_run():
    asm = Assembler()
    stream = plain_stream(list(range(-128, 128)))
    constants = scale_bytes(np.arange(8), np.full(8, 1 << 30), np.full(8, 40)) + stream
    asm.dma((CONSTANTS, 0), (ARENA, 0x4000), len(constants))
    asm.op("DMA_WAIT")
    where = {"SCALE_BASE": 0x4000, "SCALE_LENGTH": 80, "WEIGHT_BASE": 0x4050, "WEIGHT_LENGTH": len(stream)}
    regions = {"SCALE_REGION": ARENA, "WEIGHT_REGION": ARENA}
    ofm, ifm = place("OFM", 0x1000, (4, 4, 8)), place("IFM", 0x100, (4, 4, 8))
    asm.kernel("CONV", 0, ofm, ifm, **where, **regions)
    copy(asm, 0x1000, 0x2000, (4, 4, 8), BLOCKDEP=0)
    payload = asm.payload()
    data = np.frombuffer(constants, np.uint8)
    assert execute_payload(payload, {0: data, 1: arena()}) == []
    rng = np.random.default_rng(3)
    refused = harmless = 0
    for _ in range(1000):
        mutated = bytearray(payload)
        for position in rng.integers(0, len(payload), rng.integers(1, 4)):
            mutated[position] ^= 1 << rng.integers(0, 8)
        if rng.integers(0, 10) == 0:
            del mutated[int(rng.integers(0, len(mutated))) :]
        try:
            execute_payload(bytes(mutated), {0: data, 1: arena()})
        except StreamError as error:
            refused += str(error).count("word") >= 1 and "\n" not in str(error)
        else:
            harmless += 1
    assert refused + harmless == 1000
    assert refused > 300


@pytest.mark.parametrize(("scale", "expected"), [(1 << 31, []), (0x7FFFE000, ["inferred"])])
def test_8_bit_addition_with_16_bit_scales_is_reported_where_no_rule_is_proven(scale: int, expected: list[str]):
    asm = Assembler()
    ifm = place("IFM", 0x100, (16, 16, 1)), place("IFM2", 0x200, (16, 16, 1))
    ofm = place("OFM", 0x1000, (16, 16, 1), scale_mode=1)
    # (a + b) / 2, where rounding twice turns what the second scale leaves just below a half into a tie.
    asm.kernel("ELEMENTWISE", 1, ofm, ifm[0], **ifm[1], OPA_SCALE=32768, OPB_SCALE=32768, OFM_SCALE=scale | 47 << 32)
    a = np.arange(-128, 128, dtype=np.int8).reshape(16, 16, 1)
    assert kinds(asm, memory=arena((0x100, to_bytes(a)), (0x200, to_bytes(np.roll(a, 1))))) == expected


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((8, 4, 16), {"OFM_STRIDE_Y": 0}),
        ((8, 4, 16), {"OFM_STRIDE_X": 0}),
        # As many bytes as the hull has, but some twice and others never.
        ((2, 2, 4), {"OFM_STRIDE_Y": 0, "OFM_STRIDE_X": 12}),
        ((2, 2, 4), {"OFM_STRIDE_Y": 7, "OFM_STRIDE_X": 4}),
        ((2, 2, 4), {"OFM_STRIDE_Y": -6, "OFM_STRIDE_X": 4}),
        ((8, 4, 16), {"OFM_HEIGHT0_M1": 3, "OFM_HEIGHT1_M1": 3, "OFM_BASE2": 0x1000}),
        ((8, 4, 16), {"OFM_WIDTH0_M1": 1, "OFM_BASE1": 0x101F}),
    ],
)
def test_an_ofm_that_has_a_byte_twice_is_refused(shape: tuple[int, int, int], values: dict[str, int]):
    asm = Assembler()
    asm.kernel("POOL", 0, place("OFM", 0x1000, shape) | values, place("IFM", 0x100, shape))
    with pytest.raises(ExecutionError, match=r"word \d+\) has an OFM whose strides or tiles put two elements"):
        kinds(asm)


def test_maps_that_interleave_without_a_common_byte_run():
    # Columns 12 bytes apart, rows in between: no stride is beyond what lies within it, but every byte is there once.
    asm = Assembler()
    ofm = place("OFM", 0x1000, (3, 4, 4)) | {"OFM_STRIDE_X": 12, "OFM_STRIDE_Y": 4}
    asm.kernel("POOL", 0, ofm, place("IFM", 0x100, (3, 4, 4)))
    ifm = random_map(19, (3, 4, 4))
    memory = arena((0x100, to_bytes(ifm)))
    assert kinds(asm, memory=memory) == []
    np.testing.assert_array_equal(from_bytes(memory[0x1000:], (4, 3, 4)), ifm.transpose(1, 0, 2))


def test_a_map_as_long_as_its_hull_may_have_a_hole():
    asm = Assembler()
    copy(asm, 0x100, 0x1004, (1, 1, 8))
    # Bytes 0..3 and 12..15, both twice: the eight that the first kernel writes lie between them.
    ifm = place("IFM", 0x1000, (2, 2, 4)) | {"IFM_STRIDE_Y": 0, "IFM_STRIDE_X": 12}
    asm.kernel("POOL", 0, place("OFM", 0x3000, (2, 2, 4)), ifm, BLOCKDEP=3)
    assert kinds(asm) == []


THREE_BY_THREE = {f"IFM_PAD_{side}": 1 for side in ("TOP", "LEFT", "BOTTOM", "RIGHT")} | {
    "KERNEL_HEIGHT_M1": 2,
    "KERNEL_WIDTH_M1": 2,
}


def in_place(name: str, param: int, ofm: dict[str, int], ifm: dict[str, int], **values: int) -> list[str]:
    asm = Assembler()
    asm.kernel(name, param, ofm, ifm, **values)
    reports = execute_payload(asm.payload(), {1: arena()})
    assert all("overwrites of its own IFM" in str(report) for report in reports)
    return [report.kind for report in reports]


MAP, ELSEWHERE = (16, 16, 16), 0x4000


@pytest.mark.parametrize(
    ("ofm", "values", "expected"),
    [
        # Each element over itself.
        (place("OFM", 0x100, MAP), {}, []),
        # All in one block, which has read before it writes.
        (place("OFM", 0x110, (2, 2, 16)), {}, []),
        (place("OFM", 0x100, (2, 2, 16)), THREE_BY_THREE, []),
        # Columns and rows that later blocks of 2 x 2 still need.
        (place("OFM", 0x100, MAP), THREE_BY_THREE, ["hazard"]),
        (place("OFM", 0x110, MAP), {}, ["hazard"]),
        (place("OFM", 0x100, MAP, brick=True), {}, []),
        (place("OFM", 0x100, (16, 16, 32), brick=True), {}, ["hazard"]),
        (place("OFM", 0x100, MAP, "i1") | {"OFM_STRIDE_Y": 16, "OFM_STRIDE_X": 256}, {}, ["hazard"]),
        # Behind what is read: a row further up, or the last row of a block that no block after it needs.
        (place("OFM", 0x100 - 0x100, MAP), {}, []),
        (place("OFM", 0x100 + 0xF00, (1, 16, 16)), {"OFM_BLK_WIDTH_M1": 15}, []),
    ],
)
def test_a_pool_over_its_own_input(ofm: dict[str, int], values: dict[str, int], expected: list[str]):
    shape = ofm["OFM_HEIGHT_M1"] + 1, ofm["OFM_WIDTH_M1"] + 1, ofm["OFM_DEPTH_M1"] + 1
    assert in_place("POOL", 0, ofm, place("IFM", 0x100, shape), **values) == expected


@pytest.mark.parametrize(
    ("ofm", "ifm", "ifm2", "expected"),
    [
        (0x100, 0x100, (0x4000, MAP), []),
        (0x100, 0x4000, (0x100, MAP), []),
        (0x100, 0x4000, (0x100, (1, 16, 16)), ["hazard"]),
        (0x100, 0x4000, (0x100, (16, 1, 16)), ["hazard"]),
        (0x100, 0x4000, (0x100, (16, 16, 1)), ["hazard"]),
        (0x101, 0x100, (0x4000, MAP), ["hazard"]),
    ],
)
def test_an_elementwise_operation_over_its_own_input(
    ofm: int, ifm: int, ifm2: tuple[int, tuple[int, int, int]], expected: list[str]
):
    second = place("IFM2", *ifm2)
    bits = {f"broadcast_{axis}": int(n == 1) for axis, n in zip("hwc", ifm2[1], strict=True)}
    second["IFM2_BROADCAST"] = registers.pack("IFM2_BROADCAST", **bits)
    values = place("IFM", ifm, MAP) | second
    assert in_place("ELEMENTWISE", 0, place("OFM", ofm, MAP, scale_mode=1), values) == expected


def test_narrower_results_over_their_own_input_come_behind_what_is_read():
    shape = 1, 16, 16
    for wide, narrow, expected in (("i4", "i1", []), ("i1", "i4", ["hazard"])):
        second = place("IFM2", 0x4000, shape, wide)
        found = in_place(
            "ELEMENTWISE",
            0,
            place("OFM", 0x100, shape, narrow, scale_mode=1),
            place("IFM", 0x100, shape, wide) | second,
        )
        assert found == expected


@pytest.mark.parametrize(
    ("product", "blocks", "expected"), [(U55_128, 1, []), (U65_512, 1, ["hazard"]), (U55_128, 2, ["hazard"])]
)
def test_a_convolution_over_its_own_input(product: Product, blocks: int, expected: list[str]):
    # One block reads its whole input before it writes, but two cores do so each for itself.
    shape = 2, 2 * blocks, 8
    stream = plain_stream([1] * (8 // product.cores * 32))
    scales = scale_bytes(*(np.full(8 // product.cores, value) for value in (0, 1 << 30, 38)))
    asm = Assembler(product)
    names = ("SCALE", "WEIGHT", "SCALE1", "WEIGHT1")[: 2 * product.cores]
    values = {f"{name}_BASE": (0, 0x100)[i % 2] for i, name in enumerate(names)}
    values |= {f"{name}_LENGTH": len((scales, stream)[i % 2]) for i, name in enumerate(names)}
    if product.cores == 2:
        # Four channels a core still take a ublock of eight.
        stream = plain_stream([1] * 8 * 32)
        values |= {"WEIGHT_LENGTH": len(stream), "WEIGHT1_LENGTH": len(stream)}
    # The OFM transposed, so that no element keeps its place.
    ofm = place("OFM", 0x100, (shape[1], shape[0], 8)) | {"OFM_STRIDE_X": 8 * shape[1], "OFM_STRIDE_Y": 8}
    ofm |= {"OFM_BLK_HEIGHT_M1": 1}
    asm.kernel("CONV", 0, ofm, place("IFM", 0x100, (shape[1], shape[0], 8)), **values)
    constants = np.zeros(0x400, np.uint8)
    constants[: len(scales)] = np.frombuffer(scales, np.uint8)
    constants[0x100 : 0x100 + len(stream)] = np.frombuffer(stream, np.uint8)
    found = execute_payload(asm.payload(), {0: constants, 1: arena()})
    assert [report.kind for report in found] == expected


@pytest.mark.parametrize(("target", "what"), [(0x4000, "its scales"), (0x4050, "its weights")])
def test_a_convolution_over_its_own_weights(target: int, what: str):
    stream = plain_stream([1] * 8 * 32)
    scales = scale_bytes(np.zeros(8), np.full(8, 1 << 30), np.full(8, 38))
    data = [(0x4000, np.frombuffer(scales, np.uint8)), (0x4050, np.frombuffer(stream, np.uint8))]
    where = {"SCALE_BASE": 0x4000, "SCALE_LENGTH": 80, "WEIGHT_BASE": 0x4050, "WEIGHT_LENGTH": len(stream)}
    asm = Assembler()
    shape = 1, 1, 8
    asm.kernel(
        "CONV", 0, place("OFM", target, shape), place("IFM", 0x100, shape), **where, SCALE_REGION=1, WEIGHT_REGION=1
    )
    found = execute_payload(asm.payload(), {1: arena(*data)})
    assert [report.kind for report in found] == ["hazard"]
    assert f"overwrites {what} while it reads them" in str(found[0])


@pytest.mark.parametrize(("target", "expected"), [(0x110, ["hazard"]), (0x100, []), (0x300, [])])
def test_dma_onto_its_own_source(target: int, expected: list[str]):
    asm = Assembler()
    asm.dma((ARENA, 0x100), (ARENA, target), 512)
    assert kinds(asm) == expected


def test_lanes_beside_a_brick_map_lose_what_they_held():
    asm = Assembler()
    copy(asm, 0x100, 0x1000, (4, 4, 16))
    narrow = place("OFM", 0x1000, (4, 4, 8), brick=True), place("IFM", 0x400, (4, 4, 8), brick=True)
    asm.kernel("POOL", 0, *narrow)
    # Its eight channels are there, the others of the brick may hold anything.
    asm.kernel("POOL", 0, place("OFM", 0x2000, (4, 4, 8)), place("IFM", 0x1000, (4, 4, 8), brick=True))
    assert reported(asm) == []
    asm.kernel("POOL", 0, place("OFM", 0x3000, (4, 4, 16)), place("IFM", 0x1000, (4, 4, 16), brick=True))
    assert [report.kind for report in reported(asm)] == ["uninitialised"]


def test_lanes_beside_a_brick_map_are_carried_along():
    asm = Assembler()
    asm.kernel("POOL", 0, place("OFM", 0x2000, (4, 4, 8), brick=True), place("IFM", 0x400, (4, 4, 8), brick=True))
    asm.op("KERNEL_WAIT", 0)
    asm.dma((ARENA, 0x2000), (ARENA, 0x3000), 256)
    asm.op("DMA_WAIT", 0)
    asm.kernel("POOL", 0, place("OFM", 0x4000, (4, 4, 8)), place("IFM", 0x3000, (4, 4, 8), brick=True))
    assert reported(asm) == []
    # They are no more defined than before, and what nobody has made is not carried.
    asm.kernel("POOL", 0, place("OFM", 0x5000, (4, 4, 16)), place("IFM", 0x3000, (4, 4, 16), brick=True))
    asm.dma((ARENA, 0x2000), (ARENA, 0x6000), 512)
    assert [report.kind for report in reported(asm)] == ["uninitialised"] * 2


@pytest.mark.parametrize(("base", "expected"), [(0x1008, ["hazard"]), (0x1040, [])])
def test_lanes_beside_a_brick_map_are_written_in_the_order(base: int, expected: list[str]):
    # Into the lanes of the first element, or behind the last brick, while the kernel may still write.
    for write in (lambda a: a.dma((CONSTANTS, 0), (ARENA, base), 8), lambda a: copy(a, 0, base, (1, 1, 8), BLOCKDEP=3)):
        asm = Assembler(U65_256)
        asm.kernel("POOL", 0, place("OFM", 0x1000, (2, 2, 8), brick=True), place("IFM", 0x100, (2, 2, 8)))
        write(asm)
        assert kinds(asm) == expected


def test_lanes_outside_the_region_are_nobodys():
    asm = Assembler()
    asm.kernel("POOL", 0, place("OFM", 0xFFC0, (2, 2, 8), brick=True), place("IFM", 0x100, (2, 2, 8)))
    assert kinds(asm, memory=np.zeros(0xFFF8, np.uint8)) == []


POOL_MODES = {name: code for code, name in registers.POOL_MODES}
ELEMENTWISE_MODES = {name: code for code, name in registers.ELEMENTWISE_MODES}
HALF = 1 << 30 | 31 << 32
SMALL = (8, 4, 16)
SCALAR = {"IFM2_BROADCAST": 1 << 7}


def operation(
    mode: str,
    types: tuple[str, str] = ("i1", "i1"),
    shapes: tuple[tuple[int, int, int], tuple[int, int, int]] = (SMALL, SMALL),
    product: Product = U55_128,
    **values: int,
) -> Assembler:
    """One pool or elementwise operation: IFM and IFM2 from 0x100 and 0x3000, OFM from 0x8000."""
    (ifm, ofm), (source, result) = types, shapes
    asm = Assembler(product)
    name, _, kind = mode.partition(" ")
    code = (POOL_MODES if name == "POOL" else ELEMENTWISE_MODES)[kind]
    second = place("IFM2", 0x3000, source, ifm) if name == "ELEMENTWISE" else {}
    fields = {"scale_mode": 1, "round": 2} if kind == "SHR" else {"scale_mode": 1}
    if product.u65:
        asm.set(PARALLEL_MODE=values.pop("PARALLEL_MODE", product.cores - 1))
    asm.kernel(
        name, code, place("OFM", 0x8000, result, ofm, **fields), place("IFM", 0x100, source, ifm), **second | values
    )
    return asm


@pytest.mark.parametrize(
    ("asm", "message"),
    [
        # Scales where nothing is scaled.
        (operation("POOL MAX", OFM_SCALE=HALF), "OFM_SCALE other than 1"),
        *((operation(f"ELEMENTWISE {m}", OFM_SCALE=HALF), "OFM_SCALE other than 1") for m in ("MIN", "MAX")),
        *(
            (operation(f"ELEMENTWISE {m}", ("i4", "i4"), OFM_SCALE=HALF), "OFM_SCALE other than 1")
            for m in ("CLZ", "SHL", "SHR")
        ),
        (operation("ELEMENTWISE ADD", OPA_SCALE=1 | 40 << 32), "or with a shift, in scale mode 0"),
        (operation("ELEMENTWISE ADD", ("i4", "i4"), OPA_SCALE=2), "scales 32-bit operands"),
        (operation("ELEMENTWISE SUB", ("i4", "i4"), OPB_SCALE=2), "scales 32-bit operands"),
        # Types.
        *(
            (operation(mode, types), "takes .* to .*, for which no rule is proven")
            for mode, types in [
                ("POOL MAX", ("i1", "i2")),
                ("POOL MAX", ("i2", "u1")),
                ("POOL MAX", ("i1", "u1")),
                ("POOL MAX", ("i4", "i4")),
                ("POOL AVERAGE", ("u1", "i4")),
                ("POOL AVERAGE", ("i2", "i4")),
                ("POOL AVERAGE", ("i4", "i1")),
                ("ELEMENTWISE CLZ", ("i4", "i1")),
                ("ELEMENTWISE CLZ", ("i2", "i2")),
                ("ELEMENTWISE SHL", ("i4", "u1")),
                ("ELEMENTWISE SHR", ("i2", "i2")),
                ("ELEMENTWISE MIN", ("i2", "u1")),
                ("ELEMENTWISE MAX", ("i1", "u1")),
                ("ELEMENTWISE ABS", ("i4", "i4")),
                ("ELEMENTWISE LRELU", ("i2", "i1")),
            ]
        ),
        # Scalars and zero points that their type does not hold; two readings differ in an unsigned 0xFFFF.
        (operation("ELEMENTWISE MUL", **SCALAR, IFM2_SCALAR=0x1234), "IFM2_SCALAR 4660, which is no int8"),
        (operation("ELEMENTWISE MUL", ("u1", "u1"), **SCALAR, IFM2_SCALAR=0xFFFF), "IFM2_SCALAR -1, which is no uint8"),
        (operation("ELEMENTWISE MUL", IFM_ZERO_POINT=200), "IFM_ZERO_POINT 200, which is no int8"),
        (operation("ELEMENTWISE MUL", ("u1", "u1"), IFM2_ZERO_POINT=-1), "IFM2_ZERO_POINT -1, which is no uint8"),
        (operation("POOL MAX", IFM_ZERO_POINT=-129), "IFM_ZERO_POINT -129, which is no int8"),
        # Kernels, strides and padding.
        (
            operation("POOL MAX", shapes=((13, 13, 16), (4, 4, 16)), KERNEL_STRIDE=registers.kernel_stride(4, 4)),
            "strides 4 x 4",
        ),
        (operation("POOL MAX", shapes=((300, 1, 16), (1, 1, 16)), KERNEL_HEIGHT_M1=299), "300 x 1 kernel, larger"),
        (
            operation("POOL AVERAGE", shapes=((300, 1, 16), (1, 1, 16)), KERNEL_HEIGHT_M1=299),
            "300 x 1 kernel, larger",
        ),
        (
            operation(
                "POOL AVERAGE",
                shapes=((20, 4, 16), (2, 4, 16)),
                **{"KERNEL_HEIGHT_M1": 19, "IFM_PAD_TOP": 1},
            ),
            "20 x 1 kernel and padding",
        ),
        (
            operation("POOL AVERAGE", shapes=((8, 4, 16), (8, 4, 16)), **THREE_BY_THREE, OFM_SCALE=HALF),
            "OFM_SCALE other",
        ),
        *(
            (operation(f"POOL {m}", shapes=(SMALL, (28, 4, 16)), IFM_PAD_TOP=20), "in the padding as a whole")
            for m in ("MAX", "AVERAGE")
        ),
        (operation("POOL MAX", shapes=(SMALL, (8, 5, 16)), IFM_PAD_RIGHT=1), "in the padding as a whole"),
        (operation("POOL REDUCE_SUM", ("i4", "i4"), (SMALL, (9, 4, 1)), IFM_PAD_TOP=1), "is padded"),
        (
            operation(
                "POOL MAX",
                shapes=((1, 1, 8192), (1, 1, 8192)),
                **{"KERNEL_HEIGHT_M1": 255, "KERNEL_WIDTH_M1": 255, "IFM_PAD_TOP": 127, "IFM_PAD_LEFT": 127},
                **{"IFM_PAD_BOTTOM": 128, "IFM_PAD_RIGHT": 128},
            ),
            "536870912 elements with its padding",
        ),
        (operation("POOL MAX", product=U65_256, PARALLEL_MODE=1), "PARALLEL_MODE 1 on ethos-u65-256"),
        (operation("POOL MAX", product=U65_512, PARALLEL_MODE=0), "PARALLEL_MODE 0 on ethos-u65-512"),
    ],
)
def test_states_without_a_proven_rule_are_refused(asm: Assembler, message: str):
    with pytest.raises(ExecutionError, match=rf"word \d+\).*{message}"):
        kinds(asm)


def test_an_operand_scale_that_the_mode_does_not_read_is_refused():
    asm = Assembler()
    second = place("IFM2", 0x3000, SMALL)
    ifm = place("IFM", 0x100, SMALL, scale_mode=1)
    values = second | {"OPA_SCALE": HALF, "OPB_SCALE": 777}
    asm.kernel("ELEMENTWISE", ELEMENTWISE_MODES["ADD"], place("OFM", 0x8000, SMALL, scale_mode=1), ifm, **values)
    with pytest.raises(ExecutionError, match="OPB_SCALE in scale mode 1"):
        kinds(asm)


@pytest.mark.parametrize(("height", "width"), [(65, 1), (1, 4097), (64, 65)])
def test_convolutions_beyond_the_largest_kernel_are_refused(height: int, width: int):
    asm = Assembler()
    ofm, ifm = place("OFM", 0x8000, (1, 1, 8)), place("IFM", 0x100, (height, width, 8))
    streams = {f"{name}_{what}": 16 for name in ("WEIGHT", "SCALE") for what in ("BASE", "LENGTH")}
    asm.kernel("CONV", 0, ofm, ifm, KERNEL_HEIGHT_M1=height - 1, KERNEL_WIDTH_M1=width - 1, **streams)
    with pytest.raises(ExecutionError, match=f"{height} x {width} kernel, larger"):
        kinds(asm)


@pytest.mark.parametrize(
    ("asm", "expected"),
    [
        (operation("POOL MAX", IFM_IB_END=7), ["shram"]),
        (operation("POOL MAX", AB_START=13), ["shram"]),
        (operation("ELEMENTWISE MIN", IFM2_IB_START=11), ["shram"]),
        (operation("POOL MAX", shapes=((8, 4, 32), (8, 4, 32)), OFM_BLK_DEPTH_M1=7), ["inferred"]),
        (operation("POOL MAX", shapes=((8, 4, 8), (8, 4, 8)), OFM_BLK_DEPTH_M1=7), []),
    ],
)
def test_registers_that_no_stream_holds_are_reported(asm: Assembler, expected: list[str]):
    assert kinds(asm) == expected


def test_sums_beyond_the_accumulators_are_reported():
    ones = np.full(1 << 12, 0x7F, np.uint8)
    for name, types, shapes in (
        ("POOL REDUCE_SUM", ("i4", "i4"), ((1, 1, 16), (1, 1, 1))),
        ("ELEMENTWISE ADD", ("i2", "i2"), (SMALL, SMALL)),
        ("ELEMENTWISE MUL", ("i2", "i4"), (SMALL, SMALL)),
    ):
        scales = {"OPA_SCALE": 0xFFFF, "OPB_SCALE": 0xFFFF} if "ADD" in name else {}
        zero = {"IFM_ZERO_POINT": -32768, "IFM2_ZERO_POINT": -32768} if "MUL" in name else {}
        memory = arena((0x100, ones), (0x3000, ones))
        assert kinds(operation(name, types, shapes, **scales, **zero), memory=memory) == ["overflow"], name
        memory = arena((0x100, ones), (0x3000, ones))
        assert kinds(operation(name, types, shapes, **scales, **zero, ACC_FORMAT=1), memory=memory) == [], name


@pytest.mark.parametrize("address", [0, U55_128.lut_base - 16])
def test_dma_into_shram_below_the_lookup_tables_is_refused(address: int):
    asm = Assembler()
    copy(asm, 0x100, 0x1000)
    asm.dma((CONSTANTS, 0), (0, address), 32, internal=True)
    with pytest.raises(ExecutionError, match="writes SHRAM below its lookup tables"):
        kinds(asm)


def test_a_region_that_cannot_be_written_is_read_only():
    asm = Assembler()
    copy(asm, 0x100, 0x1000)
    with pytest.raises(ExecutionError, match=r"writes OFM to region 1 .* read-only"):
        execute_payload(asm.payload(), {1: np.frombuffer(bytes(1 << 16), np.uint8)})
