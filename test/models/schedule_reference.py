"""
NumPy evaluation of `npu_schedule`, written from the arithmetic of docs/hardware.md and nothing else.

The kernels are the plainest that will do: loops over window elements, 64-bit integers, no regard to layout, stripes,
blocks or memory. It is what lowered and simulated programs are held against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from npuc.dialects.constants import as_numpy
from npuc.dialects.npu import Activation, Scale
from npuc.dialects.npu_schedule import (
    CascadeOp,
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
    TransferOp,
    TransposeOp,
    YieldOp,
    element_of,
)

Array = NDArray[np.int64]


def scaled(acc: Array, multiplier: Array | int, shift: Array | int, rounding: str) -> Array:
    """`round(acc * multiplier >> shift)`; arrays broadcast along the last axis. Exact for products below 2**63."""
    product = np.asarray(acc, object) * np.asarray(multiplier, object)
    shift = np.broadcast_to(np.asarray(shift, object), product.shape)
    out = np.empty(product.shape, object)
    for index, p in np.ndenumerate(product):
        out[index] = _rounded(int(p), int(shift[index]), rounding)
    return out.astype(np.int64)


def _rounded(p: int, shift: int, rounding: str) -> int:
    if shift == 0:
        return p
    if rounding == "truncate":
        return (abs(p) >> shift) * (1 if p >= 0 else -1)
    if rounding == "natural" or shift <= 31:
        return (p + (1 << shift - 1)) >> shift
    high = (p + (1 << 30)) >> 31
    rest = shift - 31
    away = (abs(high) + (1 << rest - 1)) >> rest
    return away if high >= 0 else -away


def _window(op: KernelOp, ifm: Array, fill: int) -> list[list[Array]]:
    """For each window element the IFM element that each OFM element sees there, padding as `fill`; upscaled."""
    w = op.sliding
    if w.upscale != "none":
        big = np.zeros((2 * ifm.shape[0], 2 * ifm.shape[1], ifm.shape[2]), np.int64)
        big[::2, ::2] = ifm
        if w.upscale == "nearest":
            big = ifm.repeat(2, 0).repeat(2, 1)
        ifm = big
    height, width = op.result.type.get_shape()[1:3]
    padded = np.full((ifm.shape[0] + 256, ifm.shape[1] + 256, ifm.shape[2]), fill, np.int64)
    padded[w.top : w.top + ifm.shape[0], w.left : w.left + ifm.shape[1]] = ifm
    rows, columns = slice(None, height * w.stride_y, w.stride_y), slice(None, width * w.stride_x, w.stride_x)
    return [
        [padded[y * w.dilation_y :, x * w.dilation_x :][rows, columns] for x in range(w.width)] for y in range(w.height)
    ]


def _finish(op: KernelOp, values: Array, table: Array | None) -> Array:
    """Zero point, clamp and table."""
    element = element_of(op.result)
    if element.bits == 32 and table is None:
        return np.clip(values, -(1 << 31), (1 << 31) - 1)
    clamp: Activation = op.activation.data
    values = np.clip(values + op.zero_points.data[-1], clamp.low, clamp.high)
    if table is None:
        return values
    source = element_of(op.feature_maps[0])
    return table.reshape(-1)[values + (128 if source.signed else 0)]


def _conv(op: ConvKernelOp, ifm: Array, weights: Array, scales: ScalesOp) -> Array:
    if op.weight_zero_point is not None:
        weights = weights - op.weight_zero_point.data[0]
    height, width, depth = op.result.type.get_shape()[1:]
    acc = np.zeros((height, width, depth), np.int64)
    for y, row in enumerate(_window(op, ifm - op.zero_points.data[0], 0)):
        for x, seen in enumerate(row):
            if isinstance(op, DepthwiseConv2DOp):
                acc += seen * weights[:, y, x, 0]
            else:
                acc += seen @ weights[:, y, x, :].T
    acc += as_numpy(scales.bias).astype(np.int64)
    scale: Scale = op.scale.data
    if scale.multiplier is not None:
        return scaled(acc, scale.multiplier, scale.shift, scale.rounding)
    multiplier = as_numpy(scales.multiplier).astype(np.int64) & 0xFFFFFFFF
    return scaled(acc, multiplier, as_numpy(scales.shift).astype(np.int64), scale.rounding)


def _pool(op: PoolOp, ifm: Array) -> Array:
    ifm = ifm - op.zero_points.data[0]
    scale = op.scale.data if op.scale is not None else None
    if op.kind.data == "sum":
        acc = ifm.sum(axis=2, keepdims=True)
    elif op.kind.data == "max":
        seen = [one for row in _window(op, ifm, -(1 << 40)) for one in row]
        return np.max(seen, axis=0)
    else:
        acc = np.sum([one for row in _window(op, ifm, 0) for one in row], axis=0)
        count = np.sum([one for row in _window(op, np.ones_like(ifm), 0) for one in row], axis=0)
        if scale is None:
            return np.sign(acc) * ((2 * np.abs(acc) + count) // (2 * count))
    return acc if scale is None else scaled(acc, scale.multiplier, scale.shift, scale.rounding)


def _operand(values: Array, scale: int, shift: int, bits: int) -> Array:
    """An operand of ADD or SUB that is scaled at full width: two roundings."""
    first = 31 - (20 if bits == 8 else 15)
    high = (values * scale + (1 << first - 1)) >> first
    rest = shift - first
    if rest == 0:
        return high
    return np.sign(high) * ((np.abs(high) + (1 << rest - 1)) >> rest)


def _elementwise(op: ElementwiseOp, a: Array, b: Array | None) -> Array:
    bits = element_of(op.ifm).bits
    zero_points = op.zero_points.data
    a = a - (zero_points[0] if bits != 32 else 0)
    scale = op.scale.data if op.scale is not None else Scale("natural", 1, 0)
    rounding, multiplier, shift = scale.rounding, scale.multiplier or 1, scale.shift or 0
    if b is None:
        match op.kind.data:
            case "abs":
                return scaled(np.abs(a), multiplier, shift, rounding)
            case "lrelu":
                return np.where(a >= 0, a, scaled(a, multiplier, shift, rounding))
            case _:
                return np.vectorize(lambda v: 32 - (int(v) & 0xFFFFFFFF).bit_length())(a).astype(np.int64)
    b = np.broadcast_to(b - (zero_points[1] if bits != 32 else 0), a.shape)
    first, second = (b, a) if op.is_reversed is not None else (a, b)
    match op.kind.data:
        case "min":
            return np.minimum(a, b)
        case "max":
            return np.maximum(a, b)
        case "shr":
            return np.vectorize(lambda v, n: _rounded(int(v), int(n), rounding))(first, second).astype(np.int64)
        case "shl":
            return first << second
        case "mul":
            return scaled(a * b, 1 if bits == 32 else multiplier, shift, rounding)
        case _:
            pass
    if bits != 32 and op.operand_scales is not None:
        s = op.operand_scales.data
        left = 19 if bits == 8 else 14
        if s.which == "both":
            a, b = a * s.a, b * s.b
        else:
            a = _operand(a, s.a, s.shift, bits) if s.which == "ifm" else a << left
            b = _operand(b, s.a, s.shift, bits) if s.which == "ifm2" else b << left
        first, second = (b, a) if op.is_reversed is not None else (a, b)
    total = first + second if op.kind.data == "add" else first - second
    return scaled(total, 1 if bits == 32 else multiplier, shift, rounding)


def evaluate(function: FuncOp, arguments: Sequence[NDArray]) -> list[NDArray]:
    """The results of an NPU region for arrays of its arguments' shapes and types."""
    values: dict[SSAValue, Array] = {}
    for argument, array in zip(function.body.block.args, arguments, strict=True):
        values[argument] = array.astype(np.int64)
    return _run(list(function.body.block.ops), values)


def _run(ops: Sequence[Operation], values: dict[SSAValue, Array]) -> list[NDArray]:
    def box(value: SSAValue) -> Array:
        """A feature map as height, width, depth."""
        found = values[value]
        return found.reshape(found.shape[1:])

    for op in ops:
        match op:
            case ConstantOp():
                values[op.result] = as_numpy(op.value).astype(np.int64)
            case ReshapeOp():
                values[op.result] = values[op.source].reshape(op.result.type.get_shape())
            case SliceOp():
                (y, x, c), (sy, sx, _) = op.offsets.data, op.strides.data
                height, width, depth = op.result.type.get_shape()[1:]
                part = box(op.source)[y::sy, x::sx, c:][:height, :width, :depth]
                values[op.result] = part[None]
            case TransposeOp():
                values[op.result] = values[op.source].transpose(0, 2, 1, 3)
            case ConcatOp():
                values[op.result] = np.concatenate([values[v] for v in op.inputs], op.axis.data[0])
            case CopyOp():
                values[op.result] = values[op.ifm]
            case TransferOp():
                values[op.result] = values[op.source]
            case CascadeOp():
                for outer, inner in zip(op.outputs, _run(list(op.body.block.ops), values), strict=True):
                    values[outer] = inner
            case KernelOp():
                maps = [box(value) for value in op.feature_maps]
                table = None if op.table_value is None else values[op.table_value]
                match op:
                    case ConvKernelOp():
                        assert isinstance(op.scales.owner, ScalesOp)
                        made = _conv(op, maps[0], values[op.weights], op.scales.owner)
                    case PoolOp():
                        made = _pool(op, maps[0])
                    case _:
                        assert isinstance(op, ElementwiseOp)
                        made = _elementwise(op, maps[0], maps[1] if len(maps) > 1 else None)
                values[op.result] = _finish(op, made, table)[None]
            case YieldOp():
                return [values[value] for value in op.values]
            case ReturnOp():
                return [values[value] for value in op.operands]
            case _:
                pass
    raise AssertionError("a block without an end")
