"""
The arithmetic of TOSA 1.0 on NumPy arrays, exact in every bit.

Arrays have the type of their elements: int8 for `i8`, uint8 for `ui8`, int16, int32, int64 for `i48`, bool for `i1`,
float32. Images are NHWC. Where TOSA leaves a result open (an accumulator overflows) a kernel raises
`ArithmeticError` rather than guess. Sums of products go through the floating-point matrix product where its
mantissa holds every partial sum exactly, which is what makes whole networks run in fractions of a second.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pads = tuple[int, int, int, int]
Pair = tuple[int, int]


def _limits(width: int) -> tuple[int, int]:
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def _within(values: Array, width: int, what: str) -> Array:
    low, high = _limits(width)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ArithmeticError(f"{what} overflows {width} bits")
    return values


def _magnitude(values: Array) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def _exact_float(count: int, a: Array, b: Array) -> type[np.float32] | type[np.float64]:
    """The float type in which `count` products of elements of `a` and `b` sum without rounding, in any order."""
    bound = count * _magnitude(a) * _magnitude(b)
    if bound < 1 << 24:
        return np.float32
    if bound < 1 << 53:
        return np.float64
    raise ArithmeticError(f"a sum of {count} products may overflow 53 bits")


# Scaling ----------------------------------------------------------------------------------------


def scale_32(values: Array, multiplier: Array, shift: Array, double_round: bool) -> Array:
    """
    values * multiplier >> shift, to nearest, ties up; with `double_round` and shift > 31 as TFLite rounds in two steps.

    `values` (int64) holds `i32` or `i48`; `multiplier` is not negative, `shift` is 2 to 62; both broadcast against
    `values`. Source: TOSA 1.0, apply_scale_32.
    """
    if int(shift.min(initial=2)) < 2 or int(shift.max(initial=2)) > 62 or int(multiplier.min(initial=0)) < 0:
        raise ArithmeticError("a scale needs a multiplier of at least 0 and a shift of 2 to 62")
    multiplier, shift = multiplier.astype(np.int64), shift.astype(np.int64)
    if _magnitude(values) * _magnitude(multiplier) >= 1 << 62:
        values = values.astype(object)  # of Python's integers: slow, for great 48-bit sums only
    product = values * multiplier
    product += np.int64(1) << (shift - 1)
    if double_round and bool((shift > 31).any()):
        first_step = np.where(shift > 31, np.int64(1 << 30), np.int64(0))
        product += np.where(values >= 0, first_step, -first_step)
    product >>= shift
    return _within(product, 64, "a rescaled value").astype(np.int64)


def rescale(
    values: Array,
    multiplier: Array,
    shift: Array,
    input_zp: int,
    output_zp: int,
    output_type: np.dtype[Any],
    double_round: bool,
) -> Array:
    """`tosa.rescale`: `multiplier` and `shift` have one element, or one for each of the last dimension."""
    scaled = scale_32(values.astype(np.int64) - input_zp, multiplier, shift, double_round)
    scaled = _within(scaled, 32, "a rescaled value") + output_zp
    limits = np.iinfo(output_type)
    return np.clip(scaled, limits.min, limits.max).astype(output_type)


def reciprocal_scale(count: Array) -> tuple[Array, Array]:
    """
    Multiplier and shift that divide by `count` (at least 1), ties away from zero. Source: TOSA 1.0, reciprocal_scale.

    The one added to 2**30 makes the multiplier a little too great, so that a negative tie falls below the half.
    """
    bits = np.array([int(n - 1).bit_length() for n in count.ravel()], np.int64).reshape(count.shape)
    return (np.int64((1 << 30) + 1) << bits) // count, bits + 30


# Windows ----------------------------------------------------------------------------------------


def _padded(values: Array, pad: Pads, fill: int | float = 0) -> Array:
    top, bottom, left, right = pad
    return np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def _taps(values: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[int, int, Array]]:
    """For each element (y, x) of the window, the view of `values` that it sees, one element a window position."""
    rows = (values.shape[1] - 1 - (kernel[0] - 1) * dilation[0]) // stride[0] + 1
    columns = (values.shape[2] - 1 - (kernel[1] - 1) * dilation[1]) // stride[1] + 1
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            top, left = y * dilation[0], x * dilation[1]
            yield (
                y,
                x,
                values[
                    :,
                    top : top + (rows - 1) * stride[0] + 1 : stride[0],
                    left : left + (columns - 1) * stride[1] + 1 : stride[1],
                ],
            )


def _accumulated(sums: Array, bias: Array, width: int) -> Array:
    total = sums.astype(np.int64) + bias.astype(np.int64)
    return _within(total, width, "an accumulator").astype(np.int32 if width == 32 else np.int64)


def conv2d(
    values: Array, weights: Array, bias: Array, zero_points: Pair, pad: Pads, stride: Pair, dilation: Pair, width: int
) -> Array:
    """
    `tosa.conv2d`: NHWC by [OC, KH, KW, IC], the zero points of input and weights taken off, in `width` bits.

    `bias` has OC elements or one.
    """
    outputs, height, columns, depth = weights.shape
    x = _padded(values.astype(np.int32) - zero_points[0], pad)
    w = weights.astype(np.int32) - zero_points[1]
    kind = _exact_float(height * columns * depth, x, w)
    x, w = x.astype(kind), w.astype(kind)
    if depth >= 16 or height * columns == 1:
        sums = sum(tap @ w[:, i, j].T for i, j, tap in _taps(x, (height, columns), stride, dilation))
    else:  # One product over the whole window: the taps alone would be too thin.
        window = np.concatenate([tap for _, _, tap in _taps(x, (height, columns), stride, dilation)], axis=3)
        sums = window @ w.reshape(outputs, -1).T
    return _accumulated(np.asarray(sums), bias, width)


def depthwise_conv2d(
    values: Array, weights: Array, bias: Array, zero_points: Pair, pad: Pads, stride: Pair, dilation: Pair, width: int
) -> Array:
    """`tosa.depthwise_conv2d`: NHWC by [KH, KW, C, M], result channel c * M + m; as `conv2d`."""
    height, columns, depth, multiplier = weights.shape
    x = _padded(values.astype(np.int32) - zero_points[0], pad)
    w = weights.astype(np.int32) - zero_points[1]
    kind = np.int32 if height * columns * _magnitude(x) * _magnitude(w) < 1 << 31 else np.int64
    x, w = x.astype(kind), w.astype(kind)
    sums: Array | None = None
    for i, j, tap in _taps(x, (height, columns), stride, dilation):
        product = tap * w[i, j, :, 0] if multiplier == 1 else tap[..., None] * w[i, j]
        if sums is None:
            sums = product
        else:
            sums += product
    assert sums is not None  # a kernel has at least one element
    return _accumulated(sums.reshape(*sums.shape[:3], depth * multiplier), bias, width)


def transpose_conv2d(
    values: Array, weights: Array, bias: Array, zero_points: Pair, out_pad: Pads, stride: Pair, width: int
) -> Array:
    """`tosa.transpose_conv2d`: NHWC by [OC, KH, KW, IC], the result grown or cropped by `out_pad`."""
    outputs, kernel_h, kernel_w, depth = weights.shape
    batch, rows, columns = values.shape[:3]
    x = values.astype(np.int32) - zero_points[0]
    w = weights.astype(np.int32) - zero_points[1]
    kind = _exact_float(kernel_h * kernel_w * depth, x, w)
    x, w = x.astype(kind), w.astype(kind)
    full = np.zeros((batch, (rows - 1) * stride[0] + kernel_h, (columns - 1) * stride[1] + kernel_w, outputs), kind)
    for i, j, place in _taps(full, (kernel_h, kernel_w), stride, (1, 1)):
        place += x @ w[:, i, j].T
    top, bottom, left, right = out_pad
    full = full[:, max(-top, 0) : full.shape[1] - max(-bottom, 0), max(-left, 0) : full.shape[2] - max(-right, 0)]
    grown = _padded(full, (max(top, 0), max(bottom, 0), max(left, 0), max(right, 0)))
    return _accumulated(grown, bias, width)


def max_pool2d(values: Array, kernel: Pair, stride: Pair, pad: Pads) -> Array:
    """`tosa.max_pool2d`: the pad takes no part."""
    lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    taps = _taps(_padded(values, pad, lowest), kernel, stride, (1, 1))
    result = next(taps)[2].copy()
    for _, _, tap in taps:
        np.maximum(result, tap, out=result)
    return result


def avg_pool2d(values: Array, zero_points: Pair, kernel: Pair, stride: Pair, pad: Pads) -> Array:
    """`tosa.avg_pool2d` on integers: the mean of the valid elements, ties away from zero."""
    x = _padded(values.astype(np.int32) - zero_points[0], pad)
    sums = _within(sum(tap.astype(np.int64) for _, _, tap in _taps(x, kernel, stride, (1, 1))), 32, "a sum")  # pyright: ignore[reportArgumentType]
    valid = _padded(np.ones((1, *values.shape[1:3], 1), np.int64), pad)
    count = np.asarray(sum(tap for _, _, tap in _taps(valid, kernel, stride, (1, 1))))
    multiplier, shift = reciprocal_scale(count)
    limits = np.iinfo(values.dtype)
    mean = scale_32(sums, multiplier, shift, double_round=False) + zero_points[1]
    return np.clip(mean, limits.min, limits.max).astype(values.dtype)


def matmul(a: Array, b: Array, zero_points: Pair, width: int) -> Array:
    """`tosa.matmul`: [N, H, C] by [N, C, W]."""
    x, y = a.astype(np.int32) - zero_points[0], b.astype(np.int32) - zero_points[1]
    kind = _exact_float(x.shape[2], x, y)
    return _accumulated(x.astype(kind) @ y.astype(kind), np.zeros(1, np.int64), width)


# Elementwise and the rest -----------------------------------------------------------------------


def exact_binary(function: Any, a: Array, b: Array) -> Array:
    """`function` (np.add, np.subtract) in the operands' type; an overflow of an integer is an error."""
    if a.dtype.kind == "f":
        return function(a, b)
    width = 8 * a.dtype.itemsize
    return _within(function(a.astype(np.int64), b.astype(np.int64)), width, "a sum").astype(a.dtype)


def multiply(a: Array, b: Array, shift: int) -> Array:
    """`tosa.mul`: integers give int32, (a * b, half added) >> shift."""
    if a.dtype.kind == "f":
        return a * b
    product = a.astype(np.int64) * b.astype(np.int64)
    if shift:
        product = (product + (np.int64(1) << (shift - 1))) >> shift
    return _within(product, 32, "a product").astype(np.int32)


def arithmetic_right_shift(a: Array, b: Array, round_: bool) -> Array:
    """a >> b; `round_` adds the last bit shifted out."""
    result = a >> b
    if round_:
        result = result + np.where(b > 0, (a >> np.maximum(b - 1, 0)) & 1, 0)
    return result.astype(a.dtype)


def logical_right_shift(a: Array, b: Array) -> Array:
    """a >> b with zeros shifted in."""
    unsigned = a.view(f"u{a.dtype.itemsize}")
    return (unsigned >> b.astype(unsigned.dtype)).astype(unsigned.dtype).view(a.dtype)


def count_leading_zeros(a: Array) -> Array:
    """Leading zero bits of int32 values; 32 for 0."""
    # The exponent of the exact float64: a value below 2**k has at most k bits.
    bits = np.frexp(a.view(np.uint32).astype(np.float64))[1]
    return (32 - bits).astype(np.int32)


def divide(a: Array, b: Array) -> Array:
    """a / b towards zero; a divisor of 0 is an error."""
    if not b.all():
        raise ArithmeticError("division by zero")
    quotient = np.abs(a.astype(np.int64)) // np.abs(b.astype(np.int64))
    signed = np.where((a < 0) != (b < 0), -quotient, quotient)
    return _within(signed, 8 * a.dtype.itemsize, "a quotient").astype(a.dtype)


def table(values: Array, entries: Array) -> Array:
    """`tosa.table`: 256 entries for 8-bit values; 513 for int16, interpolated over 128 steps to int32."""
    if values.dtype.itemsize == 1:
        return entries[values.astype(np.int64) - np.iinfo(values.dtype).min]
    position = values.astype(np.int32) + 32768
    index, step = position >> 7, position & 127
    base, following = entries[index].astype(np.int32), entries[index + 1].astype(np.int32)
    return (base << 7) + (following - base) * step


def exact_sum(values: Array, axis: int) -> Array:
    """The sum along `axis`, which stays as 1; an overflow is an error."""
    if values.dtype.kind == "f":
        return values.sum(axis=axis, keepdims=True)
    total = values.sum(axis=axis, keepdims=True, dtype=np.int64)
    return _within(total, 8 * values.dtype.itemsize, "a sum").astype(values.dtype)


def cast(values: Array, target: np.dtype[Any]) -> Array:
    """`tosa.cast`: integers lose high bits, floats round to even and saturate."""
    if target.kind == "b":
        return values != 0
    if values.dtype.kind == "f" and target.kind in "iu":
        limits = np.iinfo(target)
        return np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max).astype(target)
    return values.astype(target)


def resize(values: Array, scale: Sequence[int], offset: Pair, border: Pair, bilinear: bool) -> Array:
    """`tosa.resize`: bilinear integers come out multiplied by both numerators (int32 of 8 bit, int64 of 16)."""
    size = values.shape[1:3]
    axes: list[tuple[Array, Array, Array]] = []
    for i in range(2):
        numerator, denominator = scale[2 * i], scale[2 * i + 1]
        count = ((size[i] - 1) * numerator - offset[i] + border[i]) // denominator + 1
        position = np.arange(count, dtype=np.int64) * denominator + offset[i]
        index, rest = position // numerator, position % numerator
        low, high = np.clip(index, 0, size[i] - 1), np.clip(index + 1, 0, size[i] - 1)
        axes.append((low, high, rest))
    (y0, y1, dy), (x0, x1, dx) = axes
    if not bilinear:
        rows = np.where(2 * dy >= scale[0], y1, y0)
        columns = np.where(2 * dx >= scale[2], x1, x0)
        return values[:, rows][:, :, columns]
    if values.dtype.kind == "f":
        wide, fy, fx = values, dy.astype(values.dtype) / scale[0], dx.astype(values.dtype) / scale[2]
        one_y = one_x = 1
    else:
        wide, fy, fx, one_y, one_x = values.astype(np.int64), dy, dx, scale[0], scale[2]
    fy, fx = fy[None, :, None, None], fx[None, None, :, None]
    across = [wide[:, rows][:, :, x0] * (one_x - fx) + wide[:, rows][:, :, x1] * fx for rows in (y0, y1)]
    result = across[0] * (one_y - fy) + across[1] * fy
    if values.dtype.kind == "f":
        return result.astype(values.dtype)
    return result.astype(np.int32 if values.dtype.itemsize == 1 else np.int64)


def scatter(values: Array, indices: Array, updates: Array) -> Array:
    """`tosa.scatter`: an index that comes twice is an error."""
    result = values.copy()
    for batch, places in enumerate(indices):
        if len(np.unique(places)) != len(places):
            raise ArithmeticError("an index is written twice")
        result[batch, places] = updates[batch]
    return result
