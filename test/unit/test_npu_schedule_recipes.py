"""
Every recipe of the two conversions to `npu_schedule`, held against LiteRT's answers.

The test models are brought down to kernels on tensors, which a NumPy model of the machine's rules then computes. It is
written from the rules alone and shares nothing with the compiler or the simulator; what it does not know is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden import interpreter, make_inputs, run
from network import Network
from numpy.typing import NDArray
from tiny_writer import Tensor
from xdsl.context import Context
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from npuc.analysis.storage import Storage
from npuc.dialects.constants import as_numpy, numpy_dtype
from npuc.dialects.npu import OperandScales, Scale, Window
from npuc.dialects.npu_schedule import (
    ConcatOp,
    ConstantOp,
    ConvKernelOp,
    CopyOp,
    DepthwiseConv2DOp,
    ElementwiseOp,
    KernelOp,
    PoolOp,
    ReshapeOp,
    ScalesOp,
    SliceOp,
    TransposeOp,
)
from npuc.dialects.tfl import TflOp
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.lowering.tosa_to_npu_schedule.pooling import mean_scale
from npuc.operators.support.fixed_point import quantize_multiplier
from npuc.operators.support.kernels import rectangles
from npuc.operators.support.legality import cpu_reason
from npuc.registry import all_passes
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.profiling.profile import Profile, profile

Array = NDArray[Any]


# The machine's rules ------------------------------------------------------------------------------------------------


def scaled(acc: Array, multiplier: Array, shift: Array, rounding: str) -> Array:
    """round(acc * multiplier >> shift), exact in Python integers where 64 bits would not do."""
    product = acc.astype(object) * multiplier.astype(object) if np.abs(acc).max(initial=0) >= 1 << 31 else None
    if product is None:
        product = acc.astype(np.int64) * multiplier.astype(np.int64)
    shift = shift.astype(object if product.dtype == object else np.int64)
    one = np.ones_like(shift)

    def half_up(value: Array, by: Array) -> Array:
        return (value + ((one << by) >> 1)) >> by

    if rounding == "natural":
        return half_up(product, shift)
    assert rounding == "double_round"
    first = half_up(product, np.minimum(shift, 31 * one))
    rest = np.maximum(shift - 31, 0 * one)
    half = (one << rest) >> 1
    return np.where(first >= 0, (first + half) >> rest, -((-first + half) >> rest))


def by_tensor(acc: Array, scale: Scale) -> Array:
    assert scale.multiplier is not None
    assert scale.shift is not None
    return scaled(acc, np.array(scale.multiplier), np.array(scale.shift), scale.rounding)


SIGMOID_PLUS_ONE = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46),
    *(49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)


def built_in(x: Array, function: str) -> Array:
    nodes = np.round(65536 / (1 + np.exp(-np.arange(257) / 24.0))).astype(np.int64)
    nodes[list(SIGMOID_PLUS_ONE)] += 1
    u = np.abs(x)
    bits = 9 if function == "sigmoid" else 8
    i, f = np.minimum(u >> bits, 255), u & (1 << bits) - 1
    top = 0x7FFF << 10 if function == "sigmoid" else 0xFFFF << 8
    r = np.where(u >> bits >= 255, top, (nodes[i] << bits) + f * (nodes[i + 1] - nodes[i]))
    if function == "sigmoid":
        return np.where(x >= 0, (r + 512) >> 10, ((1 << 25) - r + 511) >> 10)
    return np.where(x >= 0, (r - (1 << 23) + 128) >> 8, ((1 << 23) - r + 127) >> 8)


def finish(op: KernelOp, value: Array, table: Array | None) -> Array:
    """From the scaled accumulator to the OFM: zero point, function, clamp, table."""
    dtype = numpy_dtype(op.result.type.element_type)
    activation = op.activation.data
    if dtype.itemsize == 4 and table is None:
        return np.clip(value, -(1 << 31), (1 << 31) - 1).astype(np.int64).astype(dtype)
    value = value + op.zero_points.data[-1]
    if activation.function in ("sigmoid", "tanh"):
        value = built_in(value, activation.function)
    value = np.clip(value, activation.low, activation.high).astype(np.int64)
    if table is None:
        limits = np.iinfo(dtype)
        return np.clip(value, limits.min, limits.max).astype(dtype)
    if table.size == 256:
        signed = activation.low < 0
        return table[value + 128 if signed else value].astype(dtype)
    words = table.view(np.uint32).astype(np.int64)
    index, fraction = (value + 32768) >> 7, value & 127
    base, slope = (words[index] & 0xFFFF), words[index] >> 16
    base, slope = ((part ^ 0x8000) - 0x8000 for part in (base, slope))
    return (base + ((slope * fraction + 64) >> 7)).astype(dtype)


def windows(ifm: Array, window: Window, shape: tuple[int, ...], fill: int) -> Array:
    """(OFM rows, OFM columns, window rows, window columns, depth) of the upscaled, padded IFM."""
    if window.upscale != "none":
        up = np.zeros((ifm.shape[0] * 2, ifm.shape[1] * 2, ifm.shape[2]), ifm.dtype)
        up[::2, ::2] = ifm
        ifm = up if window.upscale == "zeros" else ifm.repeat(2, 0).repeat(2, 1)
    padded = np.pad(
        ifm, ((window.top, window.bottom), (window.left, window.right), (0, 0)), constant_values=fill
    )  # fmt: skip
    rows = np.arange(shape[1])[:, None] * window.stride_y + np.arange(window.height) * window.dilation_y
    columns = np.arange(shape[2])[:, None] * window.stride_x + np.arange(window.width) * window.dilation_x
    return padded[rows[:, None, :, None], columns[None, :, None, :]]


def convolution(op: ConvKernelOp, ifm: Array, weights: Array, scales: ScalesOp) -> Array:
    shape = op.result.type.get_shape()
    seen = windows(ifm[0] - op.zero_points.data[0], op.window.data, shape, 0)
    weights = weights.astype(np.int64) - (op.weight_zero_point.data[0] if op.weight_zero_point else 0)
    form = "yxhwc,chw->yxc" if isinstance(op, DepthwiseConv2DOp) else "yxhwi,ohwi->yxo"
    acc = np.einsum(form, seen, weights[..., 0] if isinstance(op, DepthwiseConv2DOp) else weights, optimize=True)
    bias, multiplier, shift = (as_numpy(a).astype(np.int64) for a in (scales.bias, scales.multiplier, scales.shift))
    assert np.abs(acc).max(initial=0) < 1 << (31 if op.ifm.type.element_type.bitwidth == 8 else 39)
    return scaled(acc + bias, multiplier & 0xFFFFFFFF, shift, op.scale.data.rounding)[None]


def pool(op: PoolOp, ifm: Array) -> Array:
    shape, window, kind = op.result.type.get_shape(), op.window.data, op.kind.data
    ifm = ifm[0] - op.zero_points.data[0]
    if kind == "sum":
        return by_tensor(ifm.sum(-1, keepdims=True), op.scale.data)[None]
    if kind == "max":
        return windows(ifm, window, shape, -(1 << 40)).max((2, 3))[None]
    total = windows(ifm, window, shape, 0).sum((2, 3))
    if not any((window.top, window.left, window.bottom, window.right)):
        return by_tensor(total, op.scale.data)[None]
    assert op.scale is None
    assert max(window.height, window.width) <= 8
    n = windows(np.ones_like(ifm), window, shape, 0).sum((2, 3))
    return (np.sign(total) * ((np.abs(total) + n // 2) // n))[None]


def elementwise(op: ElementwiseOp, a: Array, b: Array | None) -> Array:
    kind, bits = op.kind.data, op.ifm.type.element_type.bitwidth
    points = op.zero_points.data
    if bits == 32:
        assert points[:-1] == (0,) * (len(points) - 1)
    a = a - points[0]
    if b is not None:
        b = b - points[1]
    if kind in ("abs", "lrelu"):
        if kind == "abs":
            return by_tensor(np.abs(a), op.scale.data)
        return np.where(a >= 0, a, by_tensor(a, op.scale.data))
    if kind == "clz":
        return np.where(a < 0, 0, 32 - np.ceil(np.log2(a + 1.0))).astype(np.int64)
    assert b is not None
    if kind in ("min", "max"):
        assert bits < 32
        assert op.scale is None
        return np.minimum(a, b) if kind == "min" else np.maximum(a, b)
    first, second = (b, a) if op.is_reversed is not None else (a, b)
    if kind == "shl":
        assert bits == 32
        return first << second
    if kind == "shr":
        assert bits == 32
        assert op.scale.data.rounding == "natural"
        return (first + ((1 << second) >> 1)) >> second
    scale = op.scale.data
    if bits == 32:
        assert scale.multiplier == 1
        result = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[kind](first, second)
        return by_tensor(result, scale)
    if kind == "mul":
        return by_tensor(a * b, scale)
    return add_sub(a, b, kind, op.operand_scales.data, scale, bits, is_reversed=op.is_reversed is not None)


def add_sub(
    a: Array, b: Array, kind: str, operand: OperandScales, scale: Scale, bits: int, *, is_reversed: bool = False
) -> Array:
    """ADD and SUB of 8 and 16 bits: one operand scaled in full, rounded twice, the other shifted one bit less."""
    left = {8: 20, 16: 15}[bits]
    if operand.which == "both":
        # Other scales on 8 bits round in a way that is only inferred.
        assert (operand.a, operand.b, scale.multiplier, scale.shift) == (1, 1, 1, 0)
    else:
        assert operand.shift >= 31 - left

        def rounded(x: Array) -> Array:
            x = (x * operand.a + (1 << 30 - left)) >> 31 - left
            rest = operand.shift - (31 - left)
            half = (1 << rest) >> 1
            return np.where(x >= 0, (x + half) >> rest, -((-x + half) >> rest))

        a, b = (rounded(a), b << left - 1) if operand.which == "ifm" else (a << left - 1, rounded(b))
    first, second = (b, a) if is_reversed else (a, b)
    return by_tensor(first + second if kind == "add" else first - second, scale)


def execute(function: FuncOp, inputs: list[Array]) -> list[Array]:
    """Compute a region."""
    values: dict[SSAValue, Any] = dict(zip(function.args, inputs, strict=True))

    def wide(value: SSAValue) -> Array:
        return values[value].astype(np.int64)

    def table(op: Any) -> Array | None:
        return values[op.table] if op.table is not None else None

    for op in function.body.block.ops:
        result: Any
        match op:
            case ReturnOp():
                return [values[v] for v in op.operands]
            case ConstantOp():
                result = as_numpy(op.value)
            case ScalesOp():
                result = op
            case ReshapeOp():
                result = values[op.source].reshape(op.result.type.get_shape())
            case SliceOp():
                index = zip(op.offsets.data, op.strides.data, op.result.type.get_shape()[1:], strict=True)
                result = values[op.source][np.ix_([0], *(o + s * np.arange(n) for o, s, n in index))]
            case TransposeOp():
                result = values[op.source].transpose(0, 2, 1, 3)
            case ConcatOp():
                result = np.concatenate([values[v] for v in op.inputs], op.axis.data[0])
            case CopyOp():
                result = values[op.ifm]
            case ConvKernelOp():
                acc = convolution(op, wide(op.ifm), values[op.weights], values[op.scales])
                result = finish(op, acc, table(op))
            case PoolOp():
                result = finish(op, pool(op, wide(op.ifm)), table(op))
            case ElementwiseOp():
                second = wide(op.ifm2) if op.ifm2 is not None else None
                acc = np.broadcast_to(elementwise(op, wide(op.ifm), second), op.result.type.get_shape())
                result = finish(op, acc, table(op))
            case _:
                raise AssertionError(f"no rule for {op.name}")
        assert result is op or result.shape == op.results[0].type.get_shape()
        values[op.results[0]] = result
    raise AssertionError("a function ends in a return")


# The tests ----------------------------------------------------------------------------------------------------------

PIPELINE = ("convert-tfl-to-tosa", "convert-tosa-to-npu-schedule", "convert-tfl-to-npu-schedule")


def lower(data: bytes, passes: tuple[str, ...] = PIPELINE) -> FuncOp:
    module = import_tflite(data)
    for name in passes:
        all_passes()[name]()().apply(Context(), module)
        module.verify()
    function = module.body.block.first_op
    assert isinstance(function, FuncOp)
    return function


def compare(function: FuncOp, golden: Any) -> int:
    """Number of outputs found equal to LiteRT's."""
    count = 0
    for inputs, outputs in golden:
        found = execute(function, list(inputs.values()) if isinstance(inputs, dict) else list(inputs))
        for got, expected in zip(found, outputs, strict=True):
            np.testing.assert_array_equal(got, expected)
            count += 1
    return count


OPTIMISED = (
    PIPELINE[0],
    "tosa-fold-pad",
    *PIPELINE[1:],
    "npu-schedule-fuse-activations",
    "npu-schedule-tabulate",
    "npu-schedule-collapse-luts",
    "npu-schedule-fold-views",
)


@pytest.mark.parametrize("passes", [PIPELINE, OPTIMISED], ids=["plain", "fused"])
def test_every_model_of_npu_operators_alone(each_model: Any, passes: tuple[str, ...]) -> None:
    model = each_model
    if not model.comparisons or len(model.npu) != len(model.operators):
        pytest.skip("not wholly for the NPU")
    function = lower(model.path.read_bytes(), passes)
    storage = Storage(function)
    assert all(storage.root(value) in storage.roots for value in function.body.block.last_op.operands)
    assert compare(function, model.golden()) == model.comparisons


def mean(n: Network, x: Tensor, axes: list[int]) -> Tensor:
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return n.add_op("MEAN", [x, n.ints("axes", axes)], [n.tensor("mean", shape, x.scales()[0] * 0.7)], keep_dims=True)


def resize(n: Network, x: Tensor, size: tuple[int, int], **options: bool) -> Tensor:
    shape = (1, *size, x.shape[3])
    return n.add_op("RESIZE_NEAREST_NEIGHBOR", [x, n.ints("size", size)], [n.like(x, "resize", shape)], **options)


def softmax(n: Network, x: Tensor, beta: float) -> Tensor:
    zero = -128 if n.dtype == "int8" else 0
    return n.add_op("SOFTMAX", [x], [n.tensor("softmax", x.shape, 1 / 256, zero)], beta=beta)


def table_chain(n: Network) -> Tensor:
    between = n.quantize(n.unary("TANH", n.input((1, 3, 4, 5)), 1 / 128, 0), 0.02, 3)
    return n.unary("LOGISTIC", between, 1 / 256, -128 if n.dtype == "int8" else 0)


def logistic_near_a_tie(n: Network) -> Tensor:
    """The logistic of 2/256 is a hair below a half step: float32 arithmetic decides."""
    zero = -128 if n.dtype == "int8" else 0
    return n.unary("LOGISTIC", n.input((1, 256), 1 / 256, zero), 1 / 256, zero)


NOT_OF_16_BITS = ("softmax", "table_chain", "logistic")
ODD: dict[str, Callable[[Network], Tensor]] = {
    "wide_stride_valid": lambda n: n.conv(n.input((1, 9, 24, 3)), 5, (3, 6), (2, 4), "VALID"),
    "wide_stride_same": lambda n: n.conv(n.input((1, 23, 19, 3)), 5, (5, 3), (4, 5)),
    "wide_stride_depthwise": lambda n: n.depthwise(n.input((1, 23, 19, 3)), (3, 5), (7, 4)),
    "wide_stride_average_pool": lambda n: n.pool("AVERAGE_POOL_2D", n.input((1, 21, 17, 3)), (5, 4), (5, 4), "SAME"),
    "wide_stride_max_pool": lambda n: n.pool("MAX_POOL_2D", n.input((1, 21, 17, 3)), (5, 4), (4, 6), "VALID"),
    "depth_multiplier": lambda n: n.depthwise(n.input((1, 6, 7, 5)), multiplier=3),
    "dilation_3": lambda n: n.conv(n.input((1, 14, 12, 3)), 4, dilation=(3, 4)),
    "dilation_6_depthwise": lambda n: n.depthwise(n.input((1, 16, 12, 3)), dilation=(6, 1)),
    "transposed_one_row": lambda n: n.transpose_conv(n.input((1, 1, 7, 5)), 4, (3, 4), (1, 2), "VALID"),
    "transposed_5x5": lambda n: n.transpose_conv(n.input((1, 4, 5, 3)), 4, (5, 5), (2, 2)),
    "add_both_broadcast": lambda n: n.binary("ADD", n.input((1, 4, 1, 6)), n.input((1, 1, 5, 6))),
    "sub_both_broadcast": lambda n: n.binary("SUB", n.input((1, 1, 5, 1)), n.input((1, 4, 1, 6))),
    "mul_ranks": lambda n: n.binary("MUL", n.input((5, 6)), n.input((1, 4, 1, 6))),
    "mean_tall": lambda n: mean(n, n.input((1, 70, 6, 4)), [1, 2]),
    "mean_tall_only_height": lambda n: mean(n, n.input((1, 70, 6, 4)), [1]),
    "mean_many": lambda n: mean(n, n.input((1, 80, 90, 2)), [1, 2]),
    "mean_depth": lambda n: mean(n, n.input((1, 5, 1, 33)), [3]),
    "mean_width_and_depth": lambda n: mean(n, n.input((1, 5, 4, 9)), [2, 3]),
    "mean_all": lambda n: mean(n, n.input((1, 5, 4, 9)), [0, 1, 2, 3]),
    "mean_rank_3": lambda n: mean(n, n.input((4, 1, 9)), [2]),
    "resize_8": lambda n: resize(n, n.input((1, 3, 2, 5)), (24, 16)),
    "resize_8_align_corners": lambda n: resize(n, n.input((1, 3, 2, 5)), (17, 9), align_corners=True),
    "resize_one_axis": lambda n: resize(n, n.input((1, 1, 5, 3)), (1, 20)),
    "resize_from_1x1": lambda n: resize(n, n.input((1, 1, 1, 3)), (5, 7)),
    "softmax_sharp": lambda n: softmax(n, n.input((3, 40), scale=0.9), 2.5),
    "softmax_sharpest": lambda n: softmax(n, n.input((3, 7), scale=300.0), 1.0),
    "softmax_flat": lambda n: softmax(n, n.input((1, 2, 3, 10), scale=0.001), 0.5),
    "softmax_prime_rows": lambda n: softmax(n, n.input((131, 3), scale=0.1), 1.0),
    "softmax_one_class": lambda n: softmax(n, n.input((4, 1)), 1.0),
    "pad_all_sides": lambda n: n.pad(n.input((1, 3, 4, 5)), [(0, 0), (1, 2), (3, 0), (2, 1)]),
    "concat_rank_2": lambda n: n.concat([n.input((3, 4), 0.1, 0), n.input((2, 4), 0.1, 0)], 0),
    "table_chain": table_chain,
    "logistic_near_a_tie": logistic_near_a_tie,
    "conv_requantised": lambda n: n.quantize(n.conv(n.input((1, 6, 6, 3)), 4), 0.04, 0),
    "split_rank_3": lambda n: n.concat(n.split(n.input((4, 6, 5)), 2, 1)[::-1], 0),
}


def test_rectangles_hold_every_count_and_none_is_a_long_column() -> None:
    for count in range(1, 3000):
        maps = rectangles(count)
        assert sum(height * width for height, width in maps) == count
        # Nearly a square, but for a rest, or not much higher.
        assert sum(height for height, _ in maps) <= 2.5 * math.isqrt(count) + 66
        assert len(maps) == 1 or maps[0][0] * maps[0][1] > 0.9 * count


def test_a_prime_number_of_rows_costs_a_softmax_little() -> None:
    """One row more than a rectangle: a few launches more, and no memory but the row's."""
    profiles: dict[int, Profile] = {}
    for rows in (1008, 1009):
        n = Network(3)
        data = n.model(softmax(n, n.input((rows, 7), scale=0.1), 1.0)).to_bytes()
        profiles[rows] = profile(compile_tflite(data, Target("ethos-u55-128", strategy="size")).data)
    assert profiles[1009].cycles < 1.1 * profiles[1008].cycles
    assert profiles[1009].sram < 1.01 * profiles[1008].sram


@pytest.mark.parametrize("passes", [PIPELINE, OPTIMISED], ids=["plain", "fused"])
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_odd_forms(name: str, dtype: str, passes: tuple[str, ...]) -> None:
    """Shapes, strides and parameters beyond what networks usually have, held against LiteRT itself."""
    pytest.importorskip("ai_edge_litert")
    if dtype == "int16" and name.startswith(NOT_OF_16_BITS):
        pytest.skip("not of 16 bits")
    network = Network(list(ODD).index(name), dtype)
    data = network.model(ODD[name](network)).to_bytes()
    for op in import_tflite(data).walk():
        if isinstance(op, TflOp) and op.operands:
            assert cpu_reason(op) is None
    cases = make_inputs(interpreter(data), 1)
    function = lower(data, passes)
    assert compare(function, [(case, run(data, case)) for case in cases]) == len(cases)


# Proofs of forms ------------------------------------------------------------------------------------------------------


def tflite_scaled(x: Array, real: float) -> Array:
    """MultiplyByQuantizedMultiplier of a factor below 1, step by step."""
    mantissa, exponent = math.frexp(real)
    multiplier = round(mantissa * (1 << 31))
    assert exponent <= 0
    product = x * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)
    remainder, threshold = high & (1 << -exponent) - 1, ((1 << -exponent) - 1 >> 1) + (high < 0)
    return (high >> -exponent) + (remainder > threshold)


@pytest.mark.parametrize("kind", ["add", "sub"])
def test_the_full_scale_form_of_add_and_sub_is_tflites_on_all_pairs(kind: str) -> None:
    """
    All 256 x 256 pairs of 8-bit operands under 60 sets of scales, among them equal scales and far ones. TFLite shifts
    both operands left by 20 and multiplies both; the machine multiplies one and shifts the other by 19.
    """
    rng = np.random.default_rng(7)
    a = np.arange(-128, 128, dtype=np.int64)[:, None] - 5
    b = np.arange(-128, 128, dtype=np.int64)[None, :] + 77
    for _ in range(60):
        s1, s2, so = (float(np.float32(2.0 ** rng.uniform(-12, 4))) for _ in range(3))
        if rng.random() < 0.2:
            s2 = s1
        twice = 2 * max(s1, s2)
        so = max(so, twice / (1 << 20) * 1.1)
        x, y = tflite_scaled(a << 20, s1 / twice), tflite_scaled(b << 20, s2 / twice)
        expected = tflite_scaled(x + y if kind == "add" else x - y, twice / ((1 << 20) * so))
        which, (multiplier, shift) = (
            ("ifm", quantize_multiplier(s1 / twice)) if s1 <= s2 else ("ifm2", quantize_multiplier(s2 / twice))
        )
        scale = Scale("double_round", *quantize_multiplier(twice / ((1 << 20) * so)))
        found = add_sub(a, b, kind, OperandScales(which, multiplier, shift=shift - 20), scale, 8)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("low", "high", "most"), [(-128, 255, 1 << 16), (-(1 << 15), (1 << 15) - 1, 1 << 14)])
def test_the_scale_of_an_average_divides_with_ties_away_from_zero(low: int, high: int, most: int) -> None:
    """Next to each tie and each whole number, where a division could go wrong, for windows of many sizes."""
    rng = np.random.default_rng(3)
    for count in (*range(1, 300), *rng.integers(300, most, 100).tolist(), most):
        k = np.unique(rng.integers(low, high + 1, 400))
        total = (np.concatenate([2 * k * count, (2 * k + 1) * count])[:, None] + np.arange(-2, 3)).reshape(-1) // 2
        total = total[(total >= low * count) & (total <= high * count)]
        expected = np.sign(total) * ((np.abs(total) + count // 2) // count)
        np.testing.assert_array_equal(by_tensor(total, mean_scale(count)), expected, err_msg=str(count))
