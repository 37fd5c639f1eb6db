"""The NumPy kernels of the tosa interpreter against TOSA's definitions, written out element by element."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.parser import Parser
from xdsl.utils.exceptions import InterpretationError

from npuc.dialects.tosa import TOSA
from npuc.interpreters import tosa_kernels as kernels
from npuc.interpreters.tosa import run

Array = np.ndarray


def apply_scale_32(value: int, multiplier: int, shift: int, double_round: bool) -> int:
    """TOSA 1.0, apply_scale_32."""
    rounding = 1 << (shift - 1)
    if double_round and shift > 31:
        rounding += (1 << 30) if value >= 0 else -(1 << 30)
    return (value * multiplier + rounding) >> shift


@given(
    value=st.integers(-(1 << 31), (1 << 31) - 1),
    multiplier=st.integers(0, (1 << 31) - 1),
    shift=st.integers(2, 62),
    double_round=st.booleans(),
)
def test_scale_32(value: int, multiplier: int, shift: int, double_round: bool) -> None:
    found = kernels.scale_32(np.array([value], np.int64), np.array([multiplier]), np.array([shift]), double_round)
    assert found[0] == apply_scale_32(value, multiplier, shift, double_round)


@given(value=st.integers(-(1 << 47), (1 << 47) - 1), shift=st.integers(30, 62))
def test_scale_48_bits(value: int, shift: int) -> None:
    multiplier = 0x6789ABCD
    found = kernels.scale_32(np.array([value], np.int64), np.array([multiplier]), np.array([shift]), False)
    assert found[0] == apply_scale_32(value, multiplier, shift, False)


@pytest.mark.parametrize(("multiplier", "shift"), [(-1, 31), (1 << 30, 1), (1 << 30, 63)])
def test_scale_needs_a_legal_scale(multiplier: int, shift: int) -> None:
    with pytest.raises(ArithmeticError):
        kernels.scale_32(np.array([1], np.int64), np.array([multiplier]), np.array([shift]), False)


@given(total=st.integers(-(1 << 23), 1 << 23), count=st.integers(1, 1 << 16))
def test_average_rounds_ties_away(total: int, count: int) -> None:
    """TOSA divides by a multiplication; the quotient is TFLite's: to nearest, ties away from zero."""
    multiplier, shift = kernels.reciprocal_scale(np.array([count]))
    found = kernels.scale_32(np.array([total], np.int64), multiplier, shift, False)[0]
    wanted = (abs(total) + count // 2) // count
    if abs(total) <= 32768 * count:  # a mean of 16-bit values
        assert found == (wanted if total >= 0 else -wanted)


def random(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def windows(shape: tuple[int, ...], kernel: Any, stride: Any, dilation: Any, pad: Any) -> Any:
    """For each output row and column: the list of (i, j, y, x) inside the input."""
    top, bottom, left, right = pad
    rows = (shape[1] - 1 + top + bottom - (kernel[0] - 1) * dilation[0]) // stride[0] + 1
    columns = (shape[2] - 1 + left + right - (kernel[1] - 1) * dilation[1]) // stride[1] + 1
    for oy, ox in itertools.product(range(rows), range(columns)):
        seen = [
            (i, j, oy * stride[0] + i * dilation[0] - top, ox * stride[1] + j * dilation[1] - left)
            for i, j in itertools.product(range(kernel[0]), range(kernel[1]))
        ]
        yield oy, ox, [(i, j, y, x) for i, j, y, x in seen if 0 <= y < shape[1] and 0 <= x < shape[2]]


CASES = [
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((2, 3), (2, 1), (1, 1), (0, 1, 0, 0)),
    ((3, 2), (1, 2), (2, 1), (2, 1, 0, 1)),
    ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("depth", [3, 17])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "pad"), CASES)
def test_convolutions(kernel: Any, stride: Any, dilation: Any, pad: Any, depth: int, dtype: Any) -> None:
    width = 48 if dtype == np.int16 else 32
    zero_points = (0 if dtype == np.int16 else 7, 3)
    x, w, b = random((1, 7, 6, depth), dtype, 0), random((4, *kernel, depth), np.int8, 1), np.array([9, -9, 1, 0])
    found = kernels.conv2d(x, w, b, zero_points, pad, stride, dilation, width)
    dw = random((*kernel, depth, 2), np.int8, 2)
    found_deep = kernels.depthwise_conv2d(x, dw, np.array([5]), zero_points, pad, stride, dilation, width)
    wide, weights, deep = (a.astype(np.int64) for a in (x, w, dw))
    for oy, ox, seen in windows(x.shape, kernel, stride, dilation, pad):
        total, totals = b.astype(np.int64), np.full((depth, 2), 5, np.int64)
        for i, j, y, column in seen:
            total = total + (weights[:, i, j] - 3) @ (wide[0, y, column] - zero_points[0])
            totals = totals + (deep[i, j] - 3) * (wide[0, y, column] - zero_points[0])[:, None]
        assert np.array_equal(found[0, oy, ox], total)
        assert np.array_equal(found_deep[0, oy, ox], totals.reshape(-1))


@pytest.mark.parametrize(("kernel", "stride", "dilation", "pad"), CASES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_pools(kernel: Any, stride: Any, dilation: Any, pad: Any, dtype: Any) -> None:
    if dilation != (1, 1):
        pytest.skip("pools have no dilation")
    x = random((1, 7, 6, 5), dtype, 0)
    greatest = kernels.max_pool2d(x, kernel, stride, pad)
    mean = kernels.avg_pool2d(x, (0, 0), kernel, stride, pad)
    for oy, ox, seen in windows(x.shape, kernel, stride, dilation, pad):
        values = np.array([x[0, y, column] for _, _, y, column in seen], np.int64)
        total, n = values.sum(0), len(values)
        assert np.array_equal(greatest[0, oy, ox], values.max(0))
        assert np.array_equal(mean[0, oy, ox], np.sign(total) * ((np.abs(total) + n // 2) // n))


@pytest.mark.parametrize("out_pad", [(0, 0, 0, 0), (-1, 0, -1, -1), (1, 2, 0, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 3)])
def test_transpose_conv2d(stride: Any, out_pad: Any) -> None:
    x, w, b = random((1, 4, 3, 5), np.int8, 0), random((2, 3, 2, 5), np.int8, 1), np.array([100, -100])
    found = kernels.transpose_conv2d(x, w, b, (7, 0), out_pad, stride, 32)
    top, bottom, left, right = out_pad
    shape = (1, 3 * stride[0] + 3 + top + bottom, 2 * stride[1] + 2 + left + right, 2)
    wanted = np.broadcast_to(b, shape).astype(np.int64)
    for y, column, i, j in itertools.product(range(4), range(3), range(3), range(2)):
        oy, ox = y * stride[0] + i + top, column * stride[1] + j + left
        if 0 <= oy < shape[1] and 0 <= ox < shape[2]:
            wanted[0, oy, ox] += w[:, i, j].astype(np.int64) @ (x[0, y, column].astype(np.int64) - 7)
    assert np.array_equal(found, wanted)


def test_small_integers() -> None:
    values = np.array([0, 1, 2, 3, -1, 255, 256, 1 << 30, -(1 << 31)], np.int32)
    assert kernels.count_leading_zeros(values).tolist() == [32, 31, 30, 30, 0, 24, 23, 1, 0]
    seven = np.array([7, -7, 6, -6], np.int32)
    assert kernels.arithmetic_right_shift(seven, np.array(2, np.int32), True).tolist() == [2, -2, 2, -1]
    assert kernels.arithmetic_right_shift(seven, np.array(0, np.int32), True).tolist() == seven.tolist()
    assert kernels.divide(seven, np.array(4, np.int32)).tolist() == [1, -1, 1, -1]
    assert kernels.logical_right_shift(seven, np.array(28, np.int32)).tolist() == [0, 15, 0, 15]
    assert kernels.multiply(seven, seven, 3).tolist() == [6, 6, 5, 5]


def test_tables() -> None:
    entries = np.arange(256).astype(np.uint8)
    assert kernels.table(np.array([-128, 0, 127], np.int8), entries).tolist() == [0, 128, 255]
    assert kernels.table(np.array([0, 255], np.uint8), entries).tolist() == [0, 255]
    nodes = np.arange(-256, 257).astype(np.int16)
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(kernels.table(every, nodes), every)  # 128 steps from node to node, 7 bits more


def test_bilinear_resize_by_two() -> None:
    x = np.array([[0, 10], [20, 30]], np.int8).reshape(1, 2, 2, 1)
    found = kernels.resize(x, (4, 2, 4, 2), (0, 0), (2, 2), bilinear=True)
    assert found.reshape(4, 4).tolist() == [
        [0, 80, 160, 160], [160, 240, 320, 320], [320, 400, 480, 480], [320, 400, 480, 480]
    ]  # fmt: skip
    near = kernels.resize(x, (2, 1, 2, 1), (0, 0), (1, 1), bilinear=False)
    assert near.reshape(4, 4).tolist() == [[0, 10, 10, 10], [20, 30, 30, 30], [20, 30, 30, 30], [20, 30, 30, 30]]


@pytest.mark.parametrize(
    "compute",
    [
        lambda big: kernels.exact_binary(np.add, big, big),
        lambda big: kernels.multiply(big, big, 0),
        lambda big: kernels.exact_sum(np.stack([big, big]), 0),
        lambda big: kernels.matmul(*(np.full((1, 1, 1 << 17), 128, np.int8) for _ in "ab"), (0, 0), 32),
    ],
)
def test_overflow_is_an_error(compute: Any) -> None:
    with pytest.raises(ArithmeticError):
        compute(np.array([1 << 30], np.int32) * 1)


def parse(text: str) -> Any:
    context = Context(allow_unregistered=True)
    for dialect in (Builtin, Func, TOSA):
        context.load_dialect(dialect)
    module = Parser(context, text).parse_module()
    module.verify()
    return module


def test_signless_values_are_read_and_written_as_unsigned() -> None:
    """What Arm's converter writes for an unsigned model: a rescale between `ui8` and `i8`, zero points without sign."""
    module = parse("""
        func.func @main(%x: tensor<4xui8>) -> (tensor<4xi8>, tensor<4xi8>) {
          %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
          %s = "tosa.const"() <{values = dense<30> : tensor<1xi8>}> : () -> tensor<1xi8>
          %a = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
          %b = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
          %y = tosa.rescale %x, %m, %s, %a, %b {input_unsigned = true, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<4xui8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<4xi8>
          %z = tosa.rescale %y, %m, %s, %b, %a {input_unsigned = false, output_unsigned = true, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<4xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<4xi8>
          func.return %y, %z : tensor<4xi8>, tensor<4xi8>
        }""")  # noqa: E501
    signed, back = run(module, [np.array([0, 127, 128, 255], np.uint8)])
    assert signed.tolist() == [-128, -1, 0, 127]
    assert back.view(np.uint8).tolist() == [0, 127, 128, 255]


def test_other_operations_are_refused() -> None:
    module = parse("""
        func.func @main(%x: tensor<4xi8>) -> tensor<4xi8> {
          %y = "other.op"(%x) : (tensor<4xi8>) -> tensor<4xi8>
          func.return %y : tensor<4xi8>
        }""")
    with pytest.raises(InterpretationError):
        run(module, [np.zeros(4, np.int8)])


def test_every_operation_is_interpreted() -> None:
    from npuc.interpreters.tosa import TosaFunctions

    interpreted = {op for op, _ in TosaFunctions._impls()}  # pyright: ignore[reportPrivateUsage]
    assert set(TOSA.operations) <= interpreted
