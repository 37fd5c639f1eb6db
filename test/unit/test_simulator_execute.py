"""
Operations executed from words, against definitions written out in loops. What is reported: test_simulator_reports.py.

The streams are assembled here over the register map, their weights in the plain encoding, so nothing of the compiler
and nothing of Arm's is needed.
"""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from npu_assembler import (
    CONSTANTS,
    U55_32,
    U55_64,
    U55_128,
    U55_256,
    U65_256,
    U65_512,
    Assembler,
    arena,
    each,
    from_bytes,
    place,
    plain_stream,
    random_map,
    scale_bytes,
    to_bytes,
)

from npuc.hardware import registers
from npuc.simulator import execute_payload
from npuc.simulator.convolution import Weights, Window, convolve
from npuc.simulator.products import Product


def stream_order(
    weights: np.ndarray, block: int, ofm_ublock: int, depthwise: bool, part_kernel: bool, dilation: tuple[int, int]
) -> list[int]:
    """The traversal of an 8-bit operation, written out loop by loop. `weights` is (O, H, W, I)."""
    channels, height, width, depth = weights.shape
    ib_depth = 16 if part_kernel else 32
    order: list[int] = []
    for ob in range(0, channels, block):
        used = min(block, channels - ob)
        for ib in [0] if depthwise else range(0, depth, ib_depth):
            inner = 8 if depthwise else min(ib_depth, depth - ib) if part_kernel else ib_depth
            for sy, sx in itertools.product(range(0, height, 8 // dilation[0]), range(0, width, 8 // dilation[1])):
                sh, sw = min(8 // dilation[0], height - sy), min(8 // dilation[1], width - sx)
                taps = -(-sh * sw // 4) * 4 if part_kernel or depthwise else sh * sw
                outer = range(0, inner, 8) if part_kernel else [0]
                for iu, ou, tap in itertools.product(outer, range(0, used, ofm_ublock), range(taps)):
                    for late in [0] if part_kernel or depthwise else range(0, inner, 8):
                        for oz, iz in itertools.product(range(ofm_ublock), range(1 if depthwise else 8)):
                            o, i = ob + ou + oz, ib + iu + late + iz
                            y, x = sy + tap // sw, sx + tap % sw
                            inside = ou + oz < used and i < depth and tap < sh * sw
                            order.append(int(weights[o, y, x, i]) if inside else 0)
    return order


def double_round(value: int, scale: int, shift: int) -> int:
    if shift < 31:
        return (value * scale + (1 << shift >> 1)) >> shift
    high = (value * scale + (1 << 30)) >> 31
    rest = shift - 31
    if not rest:
        return high
    size = (abs(high) + (1 << rest - 1)) >> rest
    return size if high >= 0 else -size


def natural_round(value: int, scale: int, shift: int) -> int:
    return (value * scale + (1 << shift >> 1)) >> shift


CONVOLUTIONS = [
    # product, depthwise, part kernel, brick, dtype, (ifm h, w, c), ofm channels, kernel, stride, dilation, pads t l b r
    (U55_128, False, False, False, "i1", (4, 5, 7), 9, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    (U55_128, False, True, True, "i1", (6, 5, 20), 40, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    (U55_32, False, False, True, "u1", (7, 7, 33), 17, (3, 2), (2, 2), (1, 1), (1, 0, 1, 1)),
    (U55_256, False, True, False, "i1", (12, 13, 3), 8, (3, 3), (1, 2), (2, 2), (2, 0, 0, 2)),
    (U55_64, False, False, False, "i1", (12, 11, 2), 3, (10, 9), (1, 1), (1, 1), (0, 0, 0, 0)),
    (U65_512, False, False, True, "i1", (3, 4, 40), 35, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    (U65_512, False, True, False, "i1", (3, 4, 8), 1, (2, 2), (1, 1), (1, 1), (0, 0, 0, 0)),
    (U55_128, True, False, True, "i1", (6, 6, 21), 21, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    (U65_512, True, False, False, "u1", (6, 6, 19), 19, (3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    (U65_256, True, False, False, "i1", (9, 14, 5), 5, (5, 1), (1, 3), (2, 1), (4, 0, 4, 0)),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: tuple):
    product, depthwise, part_kernel, brick, dtype, in_shape, channels, kernel, stride, dilation, pads = case
    rng = np.random.default_rng(7)
    ifm = random_map(1, in_shape, dtype)
    weights = rng.integers(-255, 256, (channels, *kernel, 1 if depthwise else in_shape[2]))
    bias = rng.integers(-5000, 5000, channels)
    scale = rng.integers(1 << 30, 1 << 31, channels)
    shift = rng.integers(38, 45, channels)
    in_zero, out_zero = (3, -7) if dtype == "i1" else (100, 128)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [
        (extent + before + after - span) // step + 1
        for extent, before, after, span, step in zip(in_shape, pads[:2], pads[2:], spans, stride, strict=False)
    ]
    # What the stride leaves over below and to the right is not read.
    after = [
        (n - 1) * step + span - extent - before
        for n, step, span, extent, before in zip(size, stride, spans, in_shape, pads[:2], strict=False)
    ]
    out_shape = size[0], size[1], channels
    asm = Assembler(product)
    streams: list[bytes] = []
    for core in range(product.cores):
        part = weights[core :: product.cores]
        if len(part):
            order = stream_order(
                part, 16 // product.cores, product.ublock[2], depthwise, part_kernel, (dilation[0], dilation[1])
            )
            streams += [scale_bytes(*(a[core :: product.cores] for a in (bias, scale, shift))), plain_stream(order)]
        else:
            streams += [b"", b""]
    values: dict[str, int] = {}
    constants = b""
    for stream, name in zip(streams, ("SCALE", "WEIGHT", "SCALE1", "WEIGHT1"), strict=False):
        values |= {name + "_BASE": len(constants), name + "_LENGTH": len(stream)}
        constants += stream
    rows_used, columns_used = in_shape[0] + min(after[0], 0), in_shape[1] + min(after[1], 0)
    asm.kernel(
        "DEPTHWISE" if depthwise else "CONV",
        0,
        place("OFM", 0x8000, out_shape, dtype, brick),
        place("IFM", 0x100, in_shape, dtype, brick),
        **values,
        KERNEL_HEIGHT_M1=spans[0] - 1,
        KERNEL_WIDTH_M1=spans[1] - 1,
        KERNEL_STRIDE=registers.kernel_stride(*stride, *dilation, part_kernel),
        **{f"IFM_PAD_{side}": max(n, 0) for side, n in zip(("TOP", "LEFT"), pads, strict=False)},
        **{f"IFM_PAD_{side}": max(n, 0) for side, n in zip(("BOTTOM", "RIGHT"), after, strict=True)},
        IFM_ZERO_POINT=in_zero,
        OFM_ZERO_POINT=out_zero,
    )
    memory = arena((0x100, to_bytes(ifm, brick)))
    assert execute_payload(asm.payload(), {0: np.frombuffer(constants, np.uint8), 1: memory}) == []
    padded = np.zeros((60, 60, in_shape[2]), np.int64)
    padded[pads[0] : pads[0] + rows_used, pads[1] : pads[1] + columns_used] = (
        ifm[:rows_used, :columns_used].astype(np.int64) - in_zero
    )
    expected = np.empty(out_shape, np.int64)
    for y, x in itertools.product(range(size[0]), range(size[1])):
        window = padded[y * stride[0] :: dilation[0], x * stride[1] :: dilation[1]][: kernel[0], : kernel[1]]
        if depthwise:
            accumulators = (window * weights[..., 0].transpose(1, 2, 0)).sum((0, 1))
        else:
            accumulators = np.tensordot(weights, window, 3)
        expected[y, x] = each(double_round, accumulators + bias, scale, shift) + out_zero
    limits = np.iinfo(dtype)
    found = from_bytes(memory[0x8000:], out_shape, dtype, brick)
    np.testing.assert_array_equal(found, expected.clip(limits.min, limits.max))
    assert len(np.unique(found)) > min(found.size // 4, 20)


def run_kernel(
    name: str,
    mode: str,
    ifm: np.ndarray,
    ifm2: np.ndarray | int | None = None,
    out_shape: tuple[int, int, int] | None = None,
    out_dtype: str | None = None,
    product: Product = U55_128,
    ofm_fields: dict[str, int] | None = None,
    ifm_fields: dict[str, int] | None = None,
    **values: int,
) -> np.ndarray:
    """One pool or elementwise operation on NHWC maps."""
    modes = {text: code for code, text in (registers.POOL_MODES if name == "POOL" else registers.ELEMENTWISE_MODES)}
    kind = ifm.dtype.str[1:]
    shape = out_shape or (ifm.shape[0], ifm.shape[1], ifm.shape[2])
    asm = Assembler(product)
    parts = [(0x100, to_bytes(ifm))]
    second: dict[str, int] = {}
    if isinstance(ifm2, np.ndarray):
        second = place("IFM2", 0x4000, (ifm2.shape[0], ifm2.shape[1], ifm2.shape[2]), kind)
        bits = {f"broadcast_{axis}": int(ifm2.shape[i] < shape[i]) for i, axis in enumerate("hwc")}
        second["IFM2_BROADCAST"] = registers.pack("IFM2_BROADCAST", **bits)
        parts.append((0x4000, to_bytes(ifm2)))
    elif ifm2 is not None:
        second = place("IFM2", 0, (1, 1, 1), kind) | {"IFM2_BROADCAST": 1 << 7, "IFM2_SCALAR": ifm2}
    asm.kernel(
        name,
        modes[mode],
        place("OFM", 0x8000, shape, out_dtype or kind, **(ofm_fields or {"scale_mode": 1})),
        place("IFM", 0x100, (ifm.shape[0], ifm.shape[1], ifm.shape[2]), kind, **(ifm_fields or {})),
        **{**second, **values},
    )
    memory = arena(*parts)
    assert execute_payload(asm.payload(), {1: memory}) == []
    return from_bytes(memory[0x8000:], shape, out_dtype or kind)


def pool_windows(ifm: np.ndarray, kernel: int, stride: int, pad: int) -> np.ndarray:
    """(rows, columns) lists of the valid elements of each window."""
    rows = (ifm.shape[0] + 2 * pad - kernel) // stride + 1
    windows = np.empty((rows, rows), object)
    for y, x in itertools.product(range(rows), repeat=2):
        top, left = y * stride - pad, x * stride - pad
        windows[y, x] = ifm[max(top, 0) : top + kernel, max(left, 0) : left + kernel].astype(np.int64)
    return windows


def pool_registers(kernel: int, stride: int, pad: int) -> dict[str, int]:
    return {
        "KERNEL_HEIGHT_M1": kernel - 1,
        "KERNEL_WIDTH_M1": kernel - 1,
        "KERNEL_STRIDE": registers.kernel_stride(stride, stride),
        **{f"IFM_PAD_{side}": pad for side in ("TOP", "LEFT", "BOTTOM", "RIGHT")},
    }


def test_max_pool_ignores_padding():
    ifm = random_map(2, (7, 7, 5)) // 2 - 64
    found = run_kernel("POOL", "MAX", ifm, out_shape=(4, 4, 5), **pool_registers(3, 2, 1))
    windows = pool_windows(ifm, 3, 2, 1)
    expected = [[windows[y, x].max((0, 1)) for x in range(4)] for y in range(4)]
    np.testing.assert_array_equal(found, expected)


def test_padded_average_divides_by_the_valid_elements():
    ifm = random_map(3, (7, 7, 5))
    found = run_kernel("POOL", "AVERAGE", ifm, out_shape=(4, 4, 5), **pool_registers(3, 2, 1))
    windows = pool_windows(ifm, 3, 2, 1)
    for y, x in itertools.product(range(4), repeat=2):
        total, count = windows[y, x].sum((0, 1)), windows[y, x].shape[0] * windows[y, x].shape[1]
        size = (np.abs(total) * 2 + count) // (2 * count)
        np.testing.assert_array_equal(found[y, x], np.where(total < 0, -size, size))


def test_average_with_a_scale():
    ifm = random_map(4, (6, 6, 6))
    found = run_kernel(
        "POOL",
        "AVERAGE",
        ifm,
        out_shape=(2, 2, 6),
        ofm_fields={"scale_mode": 1, "round": 2},
        **{**pool_registers(3, 3, 0), "OFM_SCALE": 0x80000001 | 34 << 32, "IFM_ZERO_POINT": 5, "OFM_ZERO_POINT": 5},
    )
    total = (ifm.astype(np.int64) - 5).reshape(2, 3, 2, 3, 6).sum((1, 3))
    expected = each(natural_round, total, np.array(0x80000001), np.array(34)) + 5
    np.testing.assert_array_equal(found, expected.clip(-128, 127))


def test_an_average_widens_bytes_to_32_bits():
    """As regor's SQUARED_DIFFERENCE brings its operands to one scale."""
    ifm = random_map(3, (4, 3, 8))
    found = run_kernel("POOL", "AVERAGE", ifm, out_dtype="i4", OFM_SCALE=128, IFM_ZERO_POINT=-7)
    np.testing.assert_array_equal(found, (ifm.astype(np.int64) + 7) * 128)


def test_reduce_sum():
    ifm = random_map(5, (3, 4, 30), "i4") >> 8
    found = run_kernel("POOL", "REDUCE_SUM", ifm, out_shape=(3, 4, 1), OFM_SCALE=1)
    np.testing.assert_array_equal(found[..., 0], ifm.sum(2))


@pytest.mark.parametrize(("mode", "expected"), [(1, lambda a: a.repeat(2, 0).repeat(2, 1)), (2, None)])
def test_upscaling(mode: int, expected: Callable[[np.ndarray], np.ndarray] | None):
    ifm = random_map(6, (3, 3, 4))
    found = run_kernel("POOL", "AVERAGE", ifm, out_shape=(6, 6, 4), IFM_UPSCALE=mode, OFM_SCALE=1)
    if expected is None:
        spread = np.zeros((6, 6, 4), np.int8)
        spread[::2, ::2] = ifm
        np.testing.assert_array_equal(found, spread)
    else:
        np.testing.assert_array_equal(found, expected(ifm))


@pytest.mark.parametrize("mode", ["MIN", "MAX"])
def test_minimum_and_maximum_broadcast(mode: str):
    a, b = random_map(7, (3, 4, 5)), random_map(8, (1, 1, 5))
    found = run_kernel("ELEMENTWISE", mode, a, b, ofm_fields={})
    np.testing.assert_array_equal(found, (np.minimum if mode == "MIN" else np.maximum)(a, b))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2"])
def test_multiplication(dtype: str):
    a, b = random_map(9, (3, 4, 5), dtype), random_map(10, (3, 1, 5), dtype)
    zero = 0 if dtype == "i2" else 17
    shift = 52 if dtype == "i2" else 39
    found = run_kernel(
        "ELEMENTWISE",
        "MUL",
        a,
        b,
        **{"IFM_ZERO_POINT": zero, "IFM2_ZERO_POINT": zero, "OFM_ZERO_POINT": zero},
        OFM_SCALE=0x5A827999 | shift << 32,
    )
    product = (a.astype(np.int64) - zero) * (b.astype(np.int64) - zero)
    expected = each(double_round, product, np.array(0x5A827999), np.array(shift)) + zero
    np.testing.assert_array_equal(found, expected.clip(np.iinfo(dtype).min, np.iinfo(dtype).max))


@pytest.mark.parametrize(("dtype", "left"), [("i1", 20), ("i2", 15)])
@pytest.mark.parametrize("mode", ["opa32", "opb32"])
@pytest.mark.parametrize("reverse", [False, True])
def test_subtraction_scales_one_operand(dtype: str, left: int, mode: str, reverse: bool):
    a, b = random_map(11, (3, 4, 5), dtype), 0x35
    scale, shift = 0x60C98CA3, 13 if left == 20 else 18
    found = run_kernel(
        "ELEMENTWISE",
        "SUB",
        a,
        b,
        ifm_fields={"scale_mode": 1 if mode == "opa32" else 2},
        OPA_SCALE=scale | shift << 32,
        OPB_SCALE=0,
        IFM2_BROADCAST=1 << 7 | reverse << 6,
        OFM_SCALE=0x41726B1E | (30 + left - 1) << 32,
    )
    first, second = a.astype(np.int64), np.full(a.shape, b, np.int64)
    if reverse:
        first, second = second, first

    def operand(x: int) -> int:
        high = (x * scale + (1 << 30 - left)) >> 31 - left
        rest = shift - (31 - left)
        size = (abs(high) + (1 << rest >> 1)) >> rest
        return size if high >= 0 else -size

    if mode == "opa32":
        total = each(operand, first) - (second << left - 1)
    else:
        total = (first << left - 1) - each(operand, second)
    expected = each(double_round, total, np.array(0x41726B1E), np.array(30 + left - 1))
    np.testing.assert_array_equal(found, expected.clip(np.iinfo(dtype).min, np.iinfo(dtype).max))
    assert len(np.unique(found)) > 10


def test_leaky_relu_and_absolute_value():
    a = random_map(12, (3, 4, 5), "i2")
    found = run_kernel("ELEMENTWISE", "LRELU", a, OFM_SCALE=0x4CCCCCCD | 33 << 32)
    scaled = each(double_round, a.astype(np.int64), np.array(0x4CCCCCCD), np.array(33))
    np.testing.assert_array_equal(found, np.where(a < 0, scaled, a))
    found = run_kernel("ELEMENTWISE", "ABS", a, OFM_SCALE=1 << 30 | 31 << 32)
    np.testing.assert_array_equal(
        found, each(double_round, np.abs(a.astype(np.int64)), np.array(1 << 30), np.array(31))
    )


def test_32_bit_operations_use_the_shift_only_and_saturate():
    a, b = random_map(13, (2, 4, 5), "i4"), random_map(14, (2, 4, 5), "i4")
    a[0, 0, 0] = b[0, 0, 0] = -(1 << 31)
    limits = np.iinfo("i4")
    product = a.astype(np.int64) * b
    found = run_kernel("ELEMENTWISE", "MUL", a, b, OFM_SCALE=0x40000000 | 31 << 32, OFM_ZERO_POINT=99)
    high = (product.astype(object) + (1 << 30)) >> 31
    np.testing.assert_array_equal(found, high.astype(np.int64).clip(limits.min, limits.max))
    assert found[0, 0, 0] == limits.max
    total = (a.astype(np.int64) + b).clip(limits.min, limits.max)
    np.testing.assert_array_equal(run_kernel("ELEMENTWISE", "ADD", a, b), total)


def test_shifts_and_leading_zeros():
    a = random_map(15, (2, 4, 5), "i4")
    a[0, 0, :4] = [0, 1, -1, 1 << 30]
    by = np.arange(5, dtype=np.int32).reshape(1, 1, 5) * 7
    found = run_kernel("ELEMENTWISE", "SHR", a, by, ofm_fields={"round": 2})
    np.testing.assert_array_equal(found, each(natural_round, a.astype(np.int64), np.array(1), by + np.zeros_like(a)))
    small = a >> 24
    np.testing.assert_array_equal(run_kernel("ELEMENTWISE", "SHL", small, by // 4, ofm_fields={}), small << by // 4)
    expected = each(lambda v: 32 - (v & 0xFFFFFFFF).bit_length(), a)
    np.testing.assert_array_equal(run_kernel("ELEMENTWISE", "CLZ", a, ofm_fields={}), expected)


def activate(values: np.ndarray, activation: int, table: bytes, product: Product = U55_128, **more: int) -> np.ndarray:
    """A copy through an average pool, with an activation and a table loaded by DMA."""
    asm = Assembler(product)
    if table:
        asm.dma((CONSTANTS, 0), (0, product.lut_base), len(table), internal=True)
        asm.op("DMA_WAIT")
    shape = values.shape[0], values.shape[1], values.shape[2]
    kind = values.dtype.str[1:]
    ofm = place("OFM", 0x8000, shape, kind, scale_mode=1)
    settings = {"IFM_IB_END": 10, "AB_START": 10, "ACTIVATION": activation} | more
    asm.kernel("POOL", 1, ofm, place("IFM", 0x100, shape, kind), **settings)
    memory = arena((0x100, to_bytes(values)))
    constants = np.frombuffer(table, np.uint8)
    assert execute_payload(asm.payload(), {0: constants, 1: memory}) == []
    return from_bytes(memory[0x8000:], shape, kind)


@pytest.mark.parametrize("product", [U55_32, U55_128, U65_512])
def test_lookup_of_8_bits(product: Product):
    table = np.random.default_rng(1).permutation(256).astype(np.uint8)
    values = np.arange(-128, 128).astype(np.int8).reshape(4, 4, 16)
    found = activate(values, registers.pack("ACTIVATION", function=16), table.tobytes(), product)
    np.testing.assert_array_equal(found.reshape(-1).view(np.uint8), table)


def test_lookup_of_16_bits_interpolates():
    nodes = (20000 * np.sin(np.arange(513) / 30)).astype(np.int64)
    words = (nodes[:512] & 0xFFFF) | ((np.diff(nodes) & 0xFFFF) << 16)
    values = random_map(16, (4, 4, 16), "i2")
    found = activate(values, registers.pack("ACTIVATION", function=16), words.astype("<u4").tobytes())
    index = (values.astype(np.int64) + 32768) >> 7
    slope = np.diff(nodes)[index]
    np.testing.assert_array_equal(found, nodes[index] + ((slope * (values & 127).astype(np.int64) + 64) >> 7))


def test_tanh_and_sigmoid_of_tflite():
    values = np.array([-32768, -20000, -4096, -100, 0, 1, 77, 5000, 12345, 32767], np.int16).reshape(1, 2, 5)
    # What LiteRT 2's int16 TANH and LOGISTIC give for these at input scale 2^-12, to which OFM_SCALE 3 belongs.
    tanh = activate(values, registers.pack("ACTIVATION", function=3), b"", OFM_SCALE=3)
    assert tanh.reshape(-1).tolist() == [-32767, -32764, -24956, -800, 0, 8, 616, 27520, 32611, 32767]
    sigmoid = activate(values, registers.pack("ACTIVATION", function=4), b"", OFM_SCALE=3)
    assert sigmoid.reshape(-1).tolist() == [11, 247, 8812, 16184, 16384, 16386, 16538, 25303, 31234, 32757]


def test_tiles_wrap_rows():
    ifm = random_map(17, (6, 4, 5))
    base = place("IFM", 0x100, (6, 4, 5))
    # Rows 0..3 lie at 0x200, rows 4 and 5 at the start of the buffer.
    base |= {"IFM_HEIGHT0_M1": 3, "IFM_HEIGHT1_M1": 3, "IFM_BASE0": 0x200, "IFM_BASE2": 0x100}
    asm = Assembler()
    asm.kernel("POOL", 0, place("OFM", 0x8000, (6, 4, 5)), base)
    memory = arena((0x200, to_bytes(ifm[:4])), (0x100, to_bytes(ifm[4:])))
    assert execute_payload(asm.payload(), {1: memory}) == []
    np.testing.assert_array_equal(from_bytes(memory[0x8000:], (6, 4, 5)), ifm)


def test_negative_strides_reverse_an_axis():
    ifm = random_map(18, (3, 4, 5))
    ofm = place("OFM", 0x8000 + 3 * 5, (3, 4, 5)) | {"OFM_STRIDE_X": -5}
    asm = Assembler()
    asm.kernel("POOL", 0, ofm, place("IFM", 0x100, (3, 4, 5)))
    memory = arena((0x100, to_bytes(ifm)))
    assert execute_payload(asm.payload(), {1: memory}) == []
    np.testing.assert_array_equal(from_bytes(memory[0x8000:], (3, 4, 5)), ifm[:, ::-1])


def test_long_rows_of_patches_are_not_copied_at_once():
    # 12289 patches of 4096 elements would be 201 MB.
    values = np.random.default_rng(20).integers(-128, 128, (1, 16384, 1)).astype(np.float32)
    weights = Weights(np.ones((4096, 1), np.float32), 4096)
    tracemalloc.start()
    [(first, end, found)] = convolve(values, 128, weights, Window((1, 1), (1, 1), (1, 4096), (1, 12289)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (first, end) == (0, 1)
    expected = np.convolve(values.reshape(-1).astype(np.int64), np.ones(4096, np.int64), "valid")
    np.testing.assert_array_equal(found[:, 0], expected)
    assert peak < 64 << 20
