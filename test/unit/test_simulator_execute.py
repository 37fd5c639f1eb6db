"""
Operations executed from words, against definitions written out in loops; then the reports on broken streams.

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
    ARENA,
    CONSTANTS,
    U55_32,
    U55_64,
    U55_128,
    U55_256,
    U65_256,
    U65_512,
    Assembler,
    place,
    to_bytes,
)

from npuc.hardware import registers
from npuc.simulator import ExecutionError, Report, StreamError, execute_payload, parse_payload
from npuc.simulator.convolution import Weights, Window, convolve
from npuc.simulator.execute import Executor
from npuc.simulator.memory import Memory, Region
from npuc.simulator.products import Product


def from_bytes(data: np.ndarray, shape: tuple[int, int, int], dtype: str = "i1", brick: bool = False) -> np.ndarray:
    height, width, depth = shape
    if not brick:
        return data[: height * width * depth * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
    slots = -(-depth // 16)
    size = height * width * slots * 16 * np.dtype(dtype).itemsize
    bricks = data[:size].view(dtype).reshape(height, slots, width, 16)
    return bricks.transpose(0, 2, 1, 3).reshape(height, width, slots * 16)[..., :depth]


def arena(*parts: tuple[int, np.ndarray], size: int = 1 << 16) -> np.ndarray:
    data = np.zeros(size, np.uint8)
    for offset, part in parts:
        data[offset : offset + part.size] = part
    return data


def plain_stream(weights: list[int]) -> bytes:
    value, position = 0, 0
    fields = [(6, 3), (len(weights) - 1, 15), (7, 3), (0, 1), (1, 1), (0, 5), (0, 5), (7, 3)]
    fields += [(2 * w if w >= 0 else 1 - 2 * w, 9) for w in weights]
    for bits, width in [*fields, (7, 3)]:
        value |= bits << position
        position += width
    total = -(-position // 128) * 128
    return (value | ((1 << total) - (1 << position))).to_bytes(total // 8, "little")


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


def scale_bytes(bias: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> bytes:
    entries = b"".join(
        int(b).to_bytes(5, "little", signed=True) + int(s).to_bytes(4, "little") + bytes([int(h)])
        for b, s, h in zip(bias, scale, shift, strict=True)
    )
    return entries + b"\0" * (-len(entries) % 16)


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


def each(function: Callable[..., int], *arrays: np.ndarray) -> np.ndarray:
    return np.array(np.vectorize(lambda *values: function(*map(int, values)), otypes=[object])(*arrays), np.int64)


def random_map(seed: int, shape: tuple[int, ...], dtype: str = "i1") -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


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


# -- what must be reported


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
                ("POOL AVERAGE", ("i1", "i4")),
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
