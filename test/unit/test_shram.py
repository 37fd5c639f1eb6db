import csv
from pathlib import Path

import pytest

from npuc.hardware.accelerators import ACCELERATORS, Block, accelerator
from npuc.hardware.shram import (
    Dims,
    Kernel,
    ShramLayout,
    acc_bits,
    ifm_block,
    illegal_reason,
    kernel_problem,
    layout,
    legal_blocks,
)

CONV = Kernel("conv", Dims(32, 32, 16), Dims(32, 32, 40), kernel=(3, 3), pad=(1, 1, 1, 1))
ADD = Kernel("elementwise", Dims(32, 32, 16), Dims(32, 32, 16), operation="add", ifm2=Dims(32, 32, 16))
POOL = Kernel("avg_pool", Dims(8, 8, 64), Dims(1, 1, 64), kernel=(8, 8))


def test_layouts_seen_in_real_streams() -> None:
    """Register values of vela 5.2.0 for mlperf_kws_int8 and mlperf_resnet8_int8, ethos-u55-128."""
    acc = accelerator("ethos-u55-128")
    first = Kernel(
        "conv",
        Dims(49, 10, 1),
        Dims(25, 5, 16),
        kernel=(10, 4),
        stride=(2, 2),
        pad=(4, 5, 1, 1),
        part_kernel=True,
    )
    assert layout(acc, first, Block(10, 6, 16)) == ShramLayout(10, 10, 14, 22)
    assert layout(acc, ADD, Block(8, 32, 16)) == ShramLayout(22, 10, 22, 22)


def test_ifm_block_covers_stride_dilation_and_upscaling() -> None:
    acc = accelerator("ethos-u55-256")
    block = Block(8, 8, 16)
    assert ifm_block(acc, CONV, block) == Block(10, 10, 16)
    assert ifm_block(acc, CONV._replace(stride=(2, 1)), block) == Block(18, 10, 16)
    assert ifm_block(acc, CONV._replace(dilation=(2, 2)), block) == Block(12, 12, 16)
    assert ifm_block(acc, CONV._replace(kernel=(20, 1)), block) == Block(16, 8, 16), "sub-kernels have 8 rows at most"
    assert ifm_block(acc, CONV._replace(upscale="nearest"), block) == Block(6, 6, 16)
    assert ifm_block(acc, CONV._replace(upscale="zeros"), block) == Block(6, 6, 16)
    assert ifm_block(acc, CONV._replace(ifm=Dims(32, 32, 100)), block).depth == 32
    assert ifm_block(acc, CONV._replace(ifm=Dims(32, 32, 100), part_kernel=True), block).depth == 16
    assert ifm_block(acc, CONV._replace(ifm=Dims(32, 32, 3), ifm_bits=16), block).depth == 4
    assert ifm_block(acc, POOL, block).depth == 16


def test_accumulators_are_wide_for_16_bit_sums_only() -> None:
    assert acc_bits(CONV) == 32
    assert acc_bits(CONV._replace(ifm_bits=16)) == 40
    assert acc_bits(POOL._replace(ifm_bits=16)) == 32


def test_tables_take_room_from_accumulators_on_small_parts_only() -> None:
    block = Block(8, 8, 16)
    for name, moved in (("ethos-u55-64", 2), ("ethos-u55-128", 0)):
        plain = layout(accelerator(name), CONV, block)
        table = layout(accelerator(name), CONV._replace(lut=True), block)
        assert plain is not None
        assert table is not None
        assert plain.ab_start - table.ab_start == moved


@pytest.mark.parametrize("name", ACCELERATORS)
@pytest.mark.parametrize("kernel", [CONV, ADD, POOL, CONV._replace(ofm=Dims(32, 32, 3))])
def test_legal_blocks_and_explain_agree(name: str, kernel: Kernel) -> None:
    acc = accelerator(name)
    blocks = list(legal_blocks(acc, kernel))
    legal = set(blocks)
    assert 0 < len(legal) == len(blocks)
    unit = acc.ofm_ublock
    for height in range(unit.height, 33, 2 * unit.height):
        for width in range(unit.width, 65, 3 * unit.width):
            for depth in (unit.depth, 16, 24, 32, 48):
                block = Block(height, width, depth)
                reason = illegal_reason(acc, kernel, block)
                assert (reason is None) == (layout(acc, kernel, block) is not None)
                assert reason is None or block not in legal


@pytest.mark.parametrize("name", ACCELERATORS)
def test_buffers_never_meet(name: str) -> None:
    acc = accelerator(name)
    for kernel in (CONV, CONV._replace(ifm_bits=16), POOL):
        for block in legal_blocks(acc, kernel):
            found = layout(acc, kernel, block)
            assert found is not None
            assert 2 < found.ib_end <= found.ab_start < found.lut_start <= acc.shram_banks
            assert found.ib_end % 2 == found.ab_start % 2 == 0


def test_shallow_blocks_are_whole_bricks() -> None:
    acc = accelerator("ethos-u55-128")
    assert {block.depth for block in legal_blocks(acc, CONV)} == {16, 32, 40}
    assert {block.depth for block in legal_blocks(acc, CONV._replace(ofm=Dims(32, 32, 3)))} == {8}
    assert illegal_reason(acc, CONV, Block(8, 8, 24)) == (
        "block depth 24 is neither a multiple of 16 nor all of OFM depth 40"
    )


def test_explain_names_what_is_wrong() -> None:
    acc = accelerator("ethos-u55-128")
    assert illegal_reason(acc, CONV, Block(8, 8, 16)) is None
    assert illegal_reason(acc, CONV, Block(8, 7, 16)) == (
        "block width 7 is not a multiple of 2 from 2 to 64 (ethos-u55-128)"
    )
    assert illegal_reason(acc, CONV, Block(64, 8, 16)) == (
        "block height 64 is not a multiple of 1 from 1 to 32 (ethos-u55-128)"
    )
    assert illegal_reason(acc, CONV, Block(16, 16, 32)) == (
        "block 16x16x32 needs more SHRAM than ethos-u55-128 has: input of 12 and accumulators of 64 banks in 20"
    )
    assert illegal_reason(acc, ADD, Block(32, 32, 16)) == (
        "block 32x32x16 needs more SHRAM than ethos-u55-128 has: operands of 32 banks in 20"
    )


@pytest.mark.parametrize("kernel", [CONV, ADD, POOL, ADD._replace(ifm2=None, ifm2_scalar=True)])
def test_possible_kernels_have_no_problem(kernel: Kernel) -> None:
    for acc in ACCELERATORS.values():
        assert kernel_problem(acc, kernel) is None


@pytest.mark.parametrize(
    ("kernel", "line"),
    [
        (CONV._replace(stride=(4, 1)), "stride 4x1: each must be 1 to 3"),
        (CONV._replace(dilation=(1, 3)), "dilation 1x3: each must be 1 or 2"),
        (CONV._replace(kernel=(65, 1)), "conv kernel 65x1: at most 64 rows and 4096 elements, dilated"),
        (
            CONV._replace(kernel=(33, 1), dilation=(2, 1)),
            "conv kernel 65x1: at most 64 rows and 4096 elements, dilated",
        ),
        (CONV._replace(kernel=(0, 1)), "kernel 0x1 is empty"),
        (CONV._replace(pad=(1, 1, 128, 1)), "padding of 128 at the left: must be 0 to 127"),
        (CONV._replace(pad=(1, 1, -1, 1)), "padding of -1 at the left: must be 0 to 127"),
        (CONV._replace(pad=(0, 0, 1, 1)), "OFM 32x32x40 needs 34x32 of an IFM that has 32x32"),
        (CONV._replace(pad=(20, 20, 1, 1)), "OFM 32x32x40 would be made of padding only"),
        (CONV._replace(ifm_bits=32), "conv does not take a 32-bit IFM"),
        (CONV._replace(ofm_bits=4), "elements of 8 and 4 bits: only 8, 16 and 32 exist"),
        (CONV._replace(ifm=Dims(32, 32, 65537)), "IFM 32x32x65537: each dimension must be 1 to 65536"),
        (CONV._replace(operation="add"), "elementwise, and nothing else, names an operation"),
        (POOL._replace(pad=(1, 1, 1, 1), kernel=(9, 9)), "padded avg_pool kernel 9x9: at most 8x8"),
        (POOL._replace(ofm=Dims(1, 1, 32)), "avg_pool from depth 64 to 32: both must be equal"),
        (POOL._replace(ofm_bits=32), "avg_pool from 8 to 32 bits: both must be 8 or 16"),
        (POOL._replace(kind="max_pool", ofm_bits=16), "max_pool from 8 to 16 bits: both must be 8 or both 16"),
        (ADD._replace(stride=(2, 2)), "elementwise has no kernel, stride, dilation or padding"),
        (ADD._replace(ifm2=Dims(32, 16, 16)), "IFM2 32x16x16 does not broadcast to OFM 32x32x16"),
        (ADD._replace(ifm2=None), "add needs a second operand"),
        (ADD._replace(ifm=Dims(1, 1, 16)), "IFM 1x1x16 is not of the extent of OFM 32x32x16; only IFM2 is broadcast"),
        (ADD._replace(operation="abs"), "abs has no second operand"),
        (ADD._replace(operation="clz", ifm2=None), "clz from 8 to 8 bits: both must be 32"),
        (
            Kernel("reduce_sum", Dims(4, 4, 16), Dims(4, 4, 16)),
            "reduce_sum makes an OFM of depth 1, not 16",
        ),
        (
            Kernel("reduce_sum", Dims(4, 4, 16), Dims(4, 4, 1), ifm_bits=32, ofm_bits=32, ifm_format="nhcwb16"),
            "reduce_sum of two cores or 32 bits reads nhwc only",
        ),
    ],
)
def test_impossible_kernels_are_explained(kernel: Kernel, line: str) -> None:
    assert kernel_problem(accelerator("ethos-u55-128"), kernel) == line


def read_layouts() -> list[dict[str, str]]:
    """
    Kernels, blocks and SHRAM registers as vela 5.2.0 (both cores, all accelerators) set them for public networks.

    Two launches of each combination of what the formulas depend on, out of 476,141 that agree (docs/hardware.md).
    """
    with (Path(__file__).parent / "shram_layouts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_layouts_of_real_streams() -> None:
    rows = read_layouts()
    assert len(rows) > 400
    for row in rows:

        def numbers(key: str, row: dict[str, str] = row) -> list[int]:
            return [int(number) for number in row[key].split("x")]

        second = row["second"]
        ofm = Dims(*numbers("ofm"))
        kernel = Kernel(
            kind=row["kind"],
            ifm=Dims(*numbers("ifm")),
            ofm=ofm,
            kernel=tuple(numbers("kernel")),
            stride=tuple(numbers("stride")),
            dilation=tuple(numbers("dilation")),
            operation=row["operation"].strip("-"),
            ifm_bits=int(row["ifm_bits"]),
            upscale=row["upscale"],
            ifm2=ofm if second == "fm" else None,
            ifm2_scalar=second == "scalar",
            lut=row["lut"] == "1",
            part_kernel=row["part_kernel"] == "1",
        )
        found = layout(accelerator(row["accelerator"]), kernel, Block(*numbers("block")))
        assert found is not None, row
        assert (found.ib_end, found.ab_start) == (int(row["ib_end"]), int(row["ab_start"])), row
        if second == "fm":
            assert found.ib2_start == int(row["ib2_start"]), row
