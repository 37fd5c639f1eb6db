"""
Operators without weights: a model of each is drawn at random, and legality, lowering and LiteRT must agree on it.

Scales lie from 2^-40 to 2^40, zero points often at the ends, shapes have up to five dimensions and any batch. What must
hold is in test/models/one_operator.py. An operator has 14 examples here, and one in sixty that stands between others,
since the whole suite must be quick; 50 times as many, under tight limits too, are drawn with NPUC_NIGHTLY=1.
"""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import (
    ACTIVATIONS,
    LARGEST,
    MOVED_RANKS,
    NO_SCALARS,
    TYPES,
    Draw,
    Shape,
    draw_like,
    draw_moved,
    draw_shape,
    draw_tensor,
    ints,
    model,
    one_in,
    signed_axis,
)
from hypothesis import given
from hypothesis import strategies as st
from one_operator import (
    HAS_LITERT,
    RANGES,
    WEIGHTED,
    arrays,
    check,
    check_surrounded,
    examples,
    near,
    scales,
    targets,
    zero_points,
)
from tiny_writer import Model, Op, Subgraph, Tensor, constant

from npuc.operators.support.legality import supported_operators

# A drawer an operator: gives a model of it


def binary(draw: Draw, name: str) -> Model:
    """Two operands that broadcast, one of which may be constant, or the other itself."""
    types = (*TYPES, "int32") if name in ("MINIMUM", "MAXIMUM") else TYPES
    dtype, shape = draw(st.sampled_from(types)), draw_shape(draw, (*NO_SCALARS, 5, 6))
    if name not in ("MINIMUM", "MAXIMUM") and draw(one_in(8)):
        return _plain_binary(draw, name, shape)
    a = draw_tensor(draw, "a", _broadcast(draw, shape), dtype)
    b = draw_tensor(draw, "b", _broadcast(draw, shape), dtype, a.scales()[0])
    result = np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    (scale_a,), (scale_b,) = a.scales(), b.scales()
    if name in ("MINIMUM", "MAXIMUM"):
        b = draw_like(draw, "b", b.shape, a)
        y = draw_like(draw, "y", result, a)
        return _operands(draw, name, a, b, y)
    y = draw_tensor(draw, "y", result, dtype, scale_a * scale_b if name == "MUL" else max(scale_a, scale_b))
    options = {} if name == "MUL" else {"pot_scale_int16": draw(st.booleans())}
    return _operands(draw, name, a, b, y, activation=draw(ACTIVATIONS), **options)


def _plain_binary(draw: Draw, name: str, shape: Shape) -> Model:
    """Of int32, with a constant: taken where no value can overflow."""
    x, most = Tensor("x", shape, "int32"), draw(st.sampled_from((0, 1)))
    values = draw(arrays(_broadcast(draw, shape), most if name == "MUL" else 0, most, "int32"))
    return model([x], [Tensor("y", shape, "int32")], name, [x, constant("constant", values)])


def _operands(draw: Draw, name: str, a: Tensor, b: Tensor, y: Tensor, **options: Any) -> Model:
    if draw(one_in(5)):
        b.data = _values(draw, b)
    elif a.shape == b.shape and draw(one_in(8)):
        b = a
    operands = [b, a] if draw(one_in(4)) else [a, b]
    return model([t for t in dict.fromkeys(operands) if t.data is None], [y], name, operands, **options)


def _values(draw: Draw, tensor: Tensor) -> np.ndarray:
    low, high = RANGES[tensor.dtype]
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return random.integers(low, high, tuple(tensor.shape), tensor.dtype, endpoint=True)


def _broadcast(draw: Draw, shape: Shape) -> Shape:
    """`shape`, or with some sizes of 1 in place of its own, or without its first dimensions."""
    if draw(st.booleans()):
        return shape
    sizes = [1 if draw(one_in(3)) else size for size in shape]
    return tuple(sizes[draw(st.integers(0, len(sizes))) if draw(st.booleans()) else 0 :])


def unary(draw: Draw, name: str) -> Model:
    """One operand; the result's scale is near to its own or far off."""
    types = (*TYPES[:2] * 2, "int16") if name in ("HARD_SWISH", "RELU_0_TO_1", "RELU_N1_TO_1") else TYPES
    dtype, shape = draw(st.sampled_from(types)), draw_shape(draw)
    x = draw_tensor(draw, "x", shape, dtype, None if draw(one_in(4)) else 1 / 32)
    y = draw_tensor(draw, "y", shape, dtype, x.scales()[0])
    options: dict[str, Any] = {}
    if name == "LEAKY_RELU":
        alphas = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 4.0, 1e-8, -0.3)
        options["alpha"] = draw(st.one_of(st.sampled_from(alphas), st.floats(-3, 3, width=32)))
    return model([x], [y], name, [x], **options)


FUNCTION_RESULTS = {
    "LOGISTIC": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
    "TANH": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)},
    "SOFTMAX": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
}


def function(draw: Draw, name: str) -> Model:
    """An operator whose result's quantisation is fixed; now and then another."""
    dtype = draw(st.sampled_from(TYPES))
    shape = draw_shape(draw, (1, 2, 3, 4, 5), 150) if name == "SOFTMAX" else draw_shape(draw)
    low, high = RANGES[dtype]
    usual = near(16 / (high - low + 1), -4, 4)
    x = Tensor("x", shape, dtype, draw(st.one_of(usual, usual, scales())), draw(zero_points(dtype)))
    scale, zero = FUNCTION_RESULTS[name][dtype]
    y = Tensor("y", shape, dtype, scale, zero)
    if draw(one_in(12)):
        y = draw_tensor(draw, "y", shape, dtype, scale)
    options: dict[str, Any] = {}
    if name == "SOFTMAX":
        options["beta"] = draw(st.sampled_from((1.0, 1.0, 0.5, 10.0, 1e-3, 1e4)))
    return model([x], [y], name, [x], **options)


def quantize(draw: Draw, name: str) -> Model:
    """From any type of integers to any."""
    source, target = draw(st.sampled_from((*TYPES, "int32"))), draw(st.sampled_from((*TYPES, "int32")))
    shape = draw_shape(draw)
    x = draw_tensor(draw, "x", shape, source)
    return model([x], [draw_tensor(draw, "y", shape, target, x.scales()[0])], name, [x])


def pool(draw: Draw, name: str) -> Model:
    """Any window, stride and padding; the result's size is the operator's."""
    dtype = draw(st.sampled_from(TYPES))
    size = [draw(st.sampled_from((1, 2, 3, 5, 8, 13, 17, 40, 70, 300))) for _ in range(2)]
    size[1] = min(size[1], max(1, LARGEST // size[0]))
    batch, depth = draw(st.sampled_from((1, 1, 1, 1, 2))), draw(st.sampled_from((1, 2, 3, 8, 9, 17)))
    padding = draw(st.sampled_from(("SAME", "VALID")))
    kernel: list[int] = []
    stride: list[int] = []
    counts: list[int] = []
    for whole in size:
        most = whole if padding == "VALID" else 2 * whole + 2
        kernel.append(draw(st.one_of(st.integers(1, min(most, 9)), st.integers(1, most))))
        stride.append(draw(st.sampled_from((1, 1, 2, 2, 3, 4, 5, 9))))
        counts.append(-(-whole // stride[-1]) if padding == "SAME" else (whole - kernel[-1]) // stride[-1] + 1)
    x = draw_tensor(draw, "x", (batch, *size, depth), dtype)
    y = draw_like(draw, "y", (batch, *counts, depth), x)
    return model(
        [x], [y], name, [x], padding=padding, activation=draw(ACTIVATIONS), stride_h=stride[0], stride_w=stride[1],
        filter_height=kernel[0], filter_width=kernel[1],
    )  # fmt: skip


def mean(draw: Draw, name: str) -> Model:
    """Over any axes."""
    dtype, shape = draw(st.sampled_from(TYPES)), draw_shape(draw, NO_SCALARS)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    keep = draw(st.booleans()) or (len(axes) == len(shape) and not draw(one_in(6)))
    result = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or keep]
    x = draw_tensor(draw, "x", shape, dtype)
    y = draw_tensor(draw, "y", result, dtype, x.scales()[0])
    operand = ints("axes", [signed_axis(draw, axis, len(shape)) for axis in axes])
    return model([x], [y], name, [x, operand], keep_dims=keep)


def reshape(draw: Draw, name: str) -> Model:
    """The same elements in another shape."""
    shape = draw_shape(draw, (*MOVED_RANKS, 0))
    x = draw_moved(draw, "x", shape)
    if name == "EXPAND_DIMS":
        axis = draw(st.integers(0, len(shape)))
        y = draw_like(draw, "y", (*shape[:axis], 1, *shape[axis:]), x)
        return model([x], [y], name, [x, ints("axis", signed_axis(draw, axis, len(shape) + 1))])
    if name == "SQUEEZE":
        dropped = [axis for axis, size in enumerate(shape) if size == 1 and draw(st.booleans())]
        if not dropped:
            dropped = [axis for axis, size in enumerate(shape) if size == 1]
        y = draw_like(draw, "y", [size for axis, size in enumerate(shape) if axis not in dropped], x)
        return model([x], [y], name, [x], squeeze_dims=[signed_axis(draw, axis, len(shape)) for axis in dropped])
    left, target = math.prod(shape), []
    for _ in range(draw(st.integers(0, 5))):
        size = draw(st.sampled_from([size for size in range(1, left + 1) if left % size == 0]))
        target.append(size)
        left //= size
    target = target if left == 1 and draw(st.booleans()) else [*target, left]
    y = draw_like(draw, "y", tuple(target), x)
    if draw(st.booleans()) and target:
        target[draw(st.integers(0, len(target) - 1))] = -1
    return model([x], [y], name, [x, ints("shape", np.array(target, np.int32))], new_shape=target)


def concatenation(draw: Draw, name: str) -> Model:
    """Up to four operands along any axis, of which two may be the same."""
    shape = draw_shape(draw, MOVED_RANKS)
    axis = draw(st.integers(0, len(shape) - 1))
    first = draw_moved(draw, "x0", shape)
    values = [first]
    for index in range(draw(st.integers(0, 3))):
        size = draw(st.sampled_from((1, 2, 3, 5, 8, 16)))
        value = draw_like(draw, f"x{index + 1}", (*shape[:axis], size, *shape[axis + 1 :]), first)
        values.append(first if draw(one_in(6)) else value)
    total = sum(value.shape[axis] for value in values)
    y = draw_like(draw, "y", (*shape[:axis], total, *shape[axis + 1 :]), first)
    activation = "RELU" if draw(one_in(10)) else "NONE"
    inputs = list(dict.fromkeys(values))
    if len(inputs) > 1 and draw(one_in(5)):
        inputs[-1].data = _values(draw, inputs[-1])
        del inputs[-1]
    return model(inputs, [y], name, values, axis=signed_axis(draw, axis, len(shape)), activation=activation)


def split(draw: Draw, name: str) -> Model:
    """Equal parts along any axis, or of given sizes, one of which may be left open."""
    shape = list(draw_shape(draw, MOVED_RANKS))
    axis, count = draw(st.integers(0, len(shape) - 1)), draw(st.integers(1, 5))
    sizes = [shape[axis]] * count
    if name == "SPLIT_V":
        sizes = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    whole = [*shape[:axis], sum(sizes), *shape[axis + 1 :]]
    x = draw_moved(draw, "x", whole)
    ys = [draw_like(draw, f"y{i}", [*shape[:axis], size, *shape[axis + 1 :]], x) for i, size in enumerate(sizes)]
    along = ints("axis", signed_axis(draw, axis, len(shape)))
    if name == "SPLIT":
        return model([x], ys, name, [along, x], num_splits=count)
    if draw(st.booleans()):
        sizes[draw(st.integers(0, count - 1))] = -1
    return model([x], ys, name, [x, ints("sizes", sizes), along], num_splits=count)


def slice_(draw: Draw, name: str) -> Model:
    """Any box."""
    shape = draw_shape(draw, MOVED_RANKS)
    begin = [draw(st.integers(0, size - 1)) if draw(st.booleans()) else 0 for size in shape]
    sizes = [draw(st.integers(1, whole - first)) for first, whole in zip(begin, shape, strict=True)]
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", sizes, x)
    given = [-1 if first + size == whole and draw(st.booleans()) else size
             for first, size, whole in zip(begin, sizes, shape, strict=True)]  # fmt: skip
    return model([x], [y], name, [x, ints("begin", begin), ints("size", given)])


def strided_slice(draw: Draw, name: str) -> Model:
    """Any bounds, from either end, steps either way, and masks, as Python slices them."""
    shape = draw_shape(draw, MOVED_RANKS)
    bounds: list[tuple[int, int, int]] = []
    masks = dict.fromkeys(("begin_mask", "end_mask", "shrink_axis_mask", "ellipsis_mask", "new_axis_mask"), 0)
    result: list[int] = []
    ellipsis = draw(st.integers(0, 4 * len(shape)))
    offset = draw(one_in(4))
    skipped = draw(st.integers(0, 2))
    for axis, whole in enumerate(shape):
        if len(result) < 5 and draw(one_in(12)):
            masks["new_axis_mask"] |= 1 << len(bounds)
            bounds.append((0, 0, 1))
            result.append(1)
        if ellipsis <= axis < ellipsis + skipped:
            if axis == ellipsis:
                masks["ellipsis_mask"] |= 1 << len(bounds)
                bounds.append((0, 0, 1))
            result.append(whole)
            continue
        first = draw(st.integers(0, whole - 1))
        last = draw(st.integers(first + 1, whole + 1))
        step = draw(st.sampled_from((1, 1, 1, 1, 2, 3, 7, -1, -2)))
        if step < 0:
            first, last = min(last, whole - 1), first - 1
        open_begin, open_end, shrinks = draw(one_in(3)), draw(one_in(3)) or last < 0, draw(one_in(6))
        masks["begin_mask"] |= open_begin << len(bounds)
        masks["end_mask"] |= open_end << len(bounds)
        masks["shrink_axis_mask"] |= shrinks << len(bounds)
        if not shrinks:
            taken = slice(None if open_begin else first, None if open_end else last, step)
            result.append(len(range(*taken.indices(whole))))
        from_end = (first - whole, last - whole if last < whole else last)
        if offset:
            start = (0 if step > 0 else whole - 1) if open_begin else first
            bounds.append((from_end[0] if draw(st.booleans()) else first, last - start, 1 if shrinks else step))
            continue
        bounds.append((*(from_end if draw(st.booleans()) else (first, last)), 1 if shrinks else step))
    while bounds and not masks["ellipsis_mask"] and draw(one_in(6)):
        # The last dimensions need not be named.
        at = len(bounds) - 1
        if any(mask >> at for mask in (masks["new_axis_mask"], masks["shrink_axis_mask"])) or at == 0:
            break
        bounds.pop()
        masks = {mask: value & ~(1 << at) for mask, value in masks.items()}
        result[-1] = shape[-1] if len(result) and result else 1
        break
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", result, x)
    operands = [ints(what, [bound[i] for bound in bounds]) for i, what in enumerate(("begin", "end", "strides"))]
    return model([x], [y], name, [x, *operands], offset=offset, **masks)


def pad(draw: Draw, name: str) -> Model:
    """Any amounts, on the batch too."""
    shape = draw_shape(draw, MOVED_RANKS, 300)
    padded = [draw(one_in(3)) for _ in shape]
    amounts = [[draw(st.integers(0, 4)) if wanted else 0 for _ in range(2)] for wanted in padded]
    x = draw_moved(draw, "x", shape)
    y = draw_like(draw, "y", [size + sum(around) for size, around in zip(shape, amounts, strict=True)], x)
    operands = [x, ints("amounts", amounts)]
    if name == "PADV2":
        low, high = RANGES[x.dtype]
        value = np.array([draw(st.integers(low, high))], x.dtype)
        scaled = {"scale": x.scales()[0], "zero": x.zeros()[0]} if x.scales() else {}
        operands.append(constant("value", value, **scaled))
    return model([x], [y], name, operands)


DRAWERS: dict[str, Callable[[Draw, str], Model]] = {
    "ABS": unary,
    "ADD": binary,
    "AVERAGE_POOL_2D": pool,
    "CONCATENATION": concatenation,
    "EXPAND_DIMS": reshape,
    "HARD_SWISH": unary,
    "LEAKY_RELU": unary,
    "LOGISTIC": function,
    "MAX_POOL_2D": pool,
    "MAXIMUM": binary,
    "MEAN": mean,
    "MINIMUM": binary,
    "MUL": binary,
    "PAD": pad,
    "PADV2": pad,
    "QUANTIZE": quantize,
    "RELU6": unary,
    "RELU_0_TO_1": unary,
    "RELU_N1_TO_1": unary,
    "RELU": unary,
    "RESHAPE": reshape,
    "SLICE": slice_,
    "SOFTMAX": function,
    "SPLIT": split,
    "SPLIT_V": split,
    "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_slice,
    "SUB": binary,
    "TANH": function,
}


for path in sorted(Path(__file__).parents[1].glob("operators/draw_*.py")):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    drawers = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(drawers)
    DRAWERS |= drawers.DRAWERS


def test_every_operator_is_drawn() -> None:
    assert {*DRAWERS, *WEIGHTED} == supported_operators()


@pytest.mark.parametrize("operator", DRAWERS)
def test_operator(operator: str) -> None:
    outcomes: Counter[str] = Counter()

    # A softmax is many kernels.
    @examples(6 if operator == "SOFTMAX" else 14)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        model = DRAWERS[operator](data.draw, operator)
        reason = check(model, target=data.draw(targets())).reason
        outcomes["refused" if reason else "taken"] += 1
        outcomes[f"  {reason and reason.split(': tensor')[0]}"] += 1

    run()
    print(operator, dict(outcomes))
    assert outcomes["taken"] >= 3


def test_an_operator_between_others() -> None:
    compared = 0

    @examples(60)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        nonlocal compared
        operator = data.draw(st.sampled_from(sorted({*DRAWERS} - {"SOFTMAX"})))
        compared += check_surrounded(DRAWERS[operator](data.draw, operator), data.draw(targets(tight=True)))

    run()
    assert compared or not HAS_LITERT


@pytest.mark.parametrize("classes", [1, 2, 7, 40])
@pytest.mark.parametrize("scale", [0.004, 0.1, 0.7])
def test_a_softmax_of_8_bits_to_16(classes: int, scale: float) -> None:
    shape = (3, classes)
    x, y = Tensor("x", shape, "int8", scale, 9), Tensor("y", shape, "int16", 1 / 65536, -32768)
    assert check(model([x], [y], "SOFTMAX", [x], beta=1.0)).reason is None


@pytest.mark.parametrize("alpha", [-0.5, -0.75, -0.4375, -1.0, -3.0])
@pytest.mark.parametrize("scale", [2.0**-7, 2.0**-4, 3 * 2.0**-6])
def test_ties_of_a_leaky_relu_with_a_negative_alpha(alpha: float, scale: float) -> None:
    shape = (1, 1, 16, 16)
    x, y = Tensor("x", shape, "int8", scale, 127), Tensor("y", shape, "int8", 2.0**-4, 0)
    every = np.arange(-128, 128).astype(np.int8).reshape(shape)
    check(Model(Subgraph([x], [y], [Op("LEAKY_RELU", [x], [y], alpha=alpha)])), [[every]])


@pytest.mark.parametrize("dtype", TYPES)
def test_a_mean_of_as_many_elements_as_there_may_be(dtype: str) -> None:
    """Sums reach the ends of the accumulator."""
    x, y = (
        Tensor("x", (1, 255, 257, 1), dtype, 0.5, RANGES[dtype][0] * (dtype != "int16")),
        Tensor("y", (1, 1), dtype, 0.5),
    )
    check(model([x], [y], "MEAN", [x, ints("axes", [1, 2])]))


def test_a_maximum_over_the_depth_of_more_pixels_than_a_map_has_rows() -> None:
    x, y = Tensor("x", (1, 300, 300, 3), "int8", 0.5), Tensor("y", (1, 300, 300), "int8", 0.5)
    check(model([x], [y], "REDUCE_MAX", [x, ints("axes", [3])]))


@pytest.mark.parametrize("scale", [None, 0.5])
def test_places_in_64_bits_leave_a_region_as_they_are(scale: float | None) -> None:
    x, y = Tensor("x", (1, 4, 9, 8), "uint8", scale), Tensor("y", (1, 4, 8), "int64")
    assert check(model([x], [y], "ARG_MAX", [x, ints("axis", 2)], output_type="int64")).reason is None


@pytest.mark.parametrize(
    ("dtype", "factor", "mode"),
    [("int8", 16, "half_pixel_centers"), ("uint8", 16, "align_corners"), ("int16", 8, "half_pixel_centers")],
)
def test_large_factors_of_a_bilinear_resize(dtype: str, factor: int, mode: str) -> None:
    """So many phases that their weights, and the sums of one axis, only just fit."""
    less = int(mode == "align_corners")
    size = [(extent - less) * factor + less for extent in (2, 3)]
    x, y = Tensor("x", (1, 2, 3, 2), dtype, 0.5, 0), Tensor("y", (1, *size, 2), dtype, 0.5, 0)
    assert check(model([x], [y], "RESIZE_BILINEAR", [x, ints("size", size)], **{mode: True})).reason is None
