"""
The MAC engine: weights back from stream order, and accumulators of whole operations.

Products are summed by BLAS in floating point, in float32 where no partial sum can reach 2^24 and in float64 otherwise
(2^53 is out of reach: 65536 inputs x 4096 taps x 2^16 x 2^8 would be needed), so every sum is exact.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from npuc.simulator.weights import WeightStreamError, decode_weight_stream

_CHUNK = 1 << 18
_LONG_CHUNK = 1 << 22
_CACHE_BYTES = 256 << 20


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


@dataclass(frozen=True, slots=True)
class WeightLayout:
    """What fixes the order of weights in a stream. `channels` and `block_depth` are one core's share of the OFM."""

    channels: int
    height: int
    width: int
    depth: int
    depthwise: bool
    part_kernel_first: bool
    wide_ifm: bool
    block_depth: int
    ofm_ublock: int
    sub_height: int
    sub_width: int


def unpack_weights(stream: NDArray[np.int16], layout: WeightLayout) -> NDArray[np.int16]:
    """
    Weights in stream order as (channels, height, width, depth).

    Raises WeightStreamError if the stream does not hold exactly as many as the traversal needs.
    """
    if layout.channels * layout.height * layout.width * layout.depth > stream.size:
        raise WeightStreamError(f"weight stream holds {stream.size} weights, the operation needs more")
    part = layout.part_kernel_first and not layout.depthwise
    ib_depth = 16 if part or layout.wide_ifm else 32
    ou = layout.ofm_ublock
    full = layout.channels // layout.block_depth
    tail = layout.channels % layout.block_depth
    result = np.zeros((layout.channels, layout.height, layout.width, layout.depth), np.int16)
    # IFM blocks of equal padded depth lie side by side and are moved together.
    if layout.depthwise:
        ifm_groups = [(0, 1, 1)]
    elif part:
        whole, rest = divmod(layout.depth, ib_depth)
        ifm_groups = [(0, whole, ib_depth)] if whole else []
        if rest:
            ifm_groups.append((whole * ib_depth, 1, _round_up(rest, 8)))
    else:
        ifm_groups = [(0, -(-layout.depth // ib_depth), ib_depth)]
    align = (2 if layout.wide_ifm else 4) if part else 4 if layout.depthwise else 1
    subs = [
        (y, x, min(layout.sub_height, layout.height - y), min(layout.sub_width, layout.width - x))
        for y in range(0, layout.height, layout.sub_height)
        for x in range(0, layout.width, layout.sub_width)
    ]
    elements = sum(_round_up(h * w, align) for _, _, h, w in subs)
    position = 0
    for first, blocks, used in ((0, full, layout.block_depth), (full * layout.block_depth, 1, tail)):
        if not blocks or not used:
            continue
        padded = _round_up(used, ou)
        length = padded * elements * sum(count * depth for _, count, depth in ifm_groups)
        if position + blocks * length > stream.size:
            raise WeightStreamError(f"weight stream holds {stream.size} weights, the operation needs more")
        chunk = stream[position : position + blocks * length].reshape(blocks, length)
        position += blocks * length
        start = 0
        for ifm_from, count, depth in ifm_groups:
            span = padded * elements * depth
            group = chunk[:, start : start + count * span].reshape(blocks, count, span)
            start += count * span
            ifm_to = min(ifm_from + count * depth, layout.depth)
            offset = 0
            for y, x, h, w in subs:
                taps = _round_up(h * w, align)
                size = padded * taps * depth
                seg = group[:, :, offset : offset + size]
                offset += size
                # Each to (block, ofm ublock, ofm, tap, ifm block, ifm ...).
                if layout.depthwise:
                    seg = seg.reshape(blocks, padded // ou, taps, ou).transpose(0, 1, 3, 2)
                elif part:
                    seg = seg.reshape(blocks, count, depth // 8, padded // ou, taps, ou, 8)
                    seg = seg.transpose(0, 3, 5, 4, 1, 2, 6)
                else:
                    seg = seg.reshape(blocks, count, padded // ou, taps, depth // 8, ou, 8)
                    seg = seg.transpose(0, 2, 5, 3, 1, 4, 6)
                seg = seg.reshape(blocks, padded, taps, count * depth)[:, :used, : h * w, : ifm_to - ifm_from]
                target = result[first : first + blocks * used].reshape(blocks, used, *result.shape[1:])
                target[:, :, y : y + h, x : x + w, ifm_from:ifm_to] = seg.reshape(blocks, used, h, w, -1)
    if position != stream.size:
        raise WeightStreamError(f"weight stream holds {stream.size} weights, the operation needs only {position}")
    return result


@dataclass(frozen=True, slots=True)
class Weights:
    """
    Weights of one operation, ready to multiply: (taps * depth, channels), or (taps, channels) if depthwise.

    `largest_sum` is the largest sum of absolute weights of a channel.
    """

    matrix: NDArray[np.float32]
    largest_sum: int


class _WeightCache:
    """Decoded weights by their bytes and layout, the least recently used dropped beyond a size."""

    def __init__(self):
        self.entries: OrderedDict[tuple, Weights] = OrderedDict()
        self.bytes = 0

    def get(self, streams: tuple[bytes, ...], layouts: tuple[WeightLayout, ...]) -> Weights:
        key = (streams, layouts)
        found = self.entries.get(key)
        if found is not None:
            self.entries.move_to_end(key)
            return found
        parts = [unpack_weights(decode_weight_stream(s), la) for s, la in zip(streams, layouts, strict=True)]
        if len(parts) == 1:
            weights = parts[0]
        else:
            weights = np.empty((sum(len(part) for part in parts), *parts[0].shape[1:]), np.int16)
            for core, part in enumerate(parts):
                weights[core :: len(parts)] = part
        flat = weights.reshape(len(weights), -1)
        largest = int(np.abs(flat).sum(axis=1, dtype=np.int64).max())
        entry = Weights(np.ascontiguousarray(flat.T, np.float32), largest)
        self.entries[key] = entry
        self.bytes += entry.matrix.nbytes
        while self.bytes > _CACHE_BYTES and len(self.entries) > 1:
            self.bytes -= self.entries.popitem(last=False)[1].matrix.nbytes
        return entry


_CACHE = _WeightCache()
load_weights = _CACHE.get


def forget_weights() -> None:
    """Empties the cache of decoded weights, so that the next run decodes again."""
    _CACHE.entries.clear()
    _CACHE.bytes = 0


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel slides: strides, dilations and undilated kernel size, each (y, x), and the OFM's size."""

    stride: tuple[int, int]
    dilation: tuple[int, int]
    kernel: tuple[int, int]
    output: tuple[int, int]


def _accumulator_type(largest_value: int, largest_sum: int) -> type[np.float32] | type[np.float64]:
    return np.float32 if largest_value * largest_sum < 1 << 24 else np.float64


def convolve(
    padded: NDArray, largest_value: int, weights: Weights, window: Window
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """
    Accumulators by row ranges: (first row, end row, (rows * columns, channels)).

    `padded` is the zero-point-corrected, padded input (height, width, depth), `largest_value` bounds its magnitude.
    """
    kind = _accumulator_type(largest_value, weights.largest_sum)
    data = np.ascontiguousarray(padded, kind)
    matrix = weights.matrix.astype(kind, copy=False)
    rows, columns = window.output
    depth = data.shape[2]
    taps = window.kernel[0] * window.kernel[1]
    patches = _patches(data, window)
    step = max(1, _CHUNK // max(columns * max(matrix.shape[1], taps * depth), 1))
    # A single row may be too long for its patches to be copied at once.
    part = columns if step > 1 else max(1, _LONG_CHUNK // (taps * depth))
    for first in range(0, rows, step):
        end = min(first + step, rows)
        if part < columns:
            pieces = [
                patches[first, start : start + part].reshape(-1, taps * depth) @ matrix
                for start in range(0, columns, part)
            ]
            yield first, end, np.concatenate(pieces).astype(np.int64)
            continue
        chunk = patches[first:end].reshape((end - first) * columns, taps * depth)
        yield first, end, (chunk @ matrix).astype(np.int64)


def _patches(data: NDArray, window: Window) -> NDArray:
    """(rows, columns, kernel height, kernel width, depth) view of the padded input."""
    sy, sx, sc = data.strides
    return as_strided(
        data,
        (*window.output, *window.kernel, data.shape[2]),
        (sy * window.stride[0], sx * window.stride[1], sy * window.dilation[0], sx * window.dilation[1], sc),
    )


def convolve_depthwise(
    padded: NDArray, largest_value: int, weights: Weights, window: Window
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """As `convolve`, channel by channel."""
    kind = _accumulator_type(largest_value, weights.largest_sum)
    data = np.ascontiguousarray(padded, kind)
    matrix = weights.matrix.astype(kind, copy=False)
    rows, columns = window.output
    depth = data.shape[2]
    patches = _patches(data, window)
    taps = [(y, x) for y in range(window.kernel[0]) for x in range(window.kernel[1])]
    step = max(1, _CHUNK // 4 // max(columns * depth, 1))
    for first in range(0, rows, step):
        end = min(first + step, rows)
        total = np.zeros((end - first, columns, depth), kind)
        product = np.empty_like(total)
        for tap, (y, x) in enumerate(taps):
            np.multiply(patches[first:end, :, y, x], matrix[tap], out=product)
            total += product
        yield first, end, total.astype(np.int64).reshape(-1, depth)


def _slide(data: NDArray[np.int64], size: int, step: int, count: int, largest: bool) -> NDArray[np.int64]:
    """Maxima or sums of `count` windows of `size` rows of the first axis, `step` apart."""
    if not largest:
        sums = np.zeros((len(data) + 1, *data.shape[1:]), np.int64)
        np.cumsum(data, axis=0, out=sums[1:])
        starts = np.arange(count) * step
        return sums[starts + size] - sums[starts]
    # Windows of powers of two by doubling; two of them cover the size.
    covered = 1
    while 2 * covered <= size:
        data = np.maximum(data[:-covered], data[covered:])
        covered *= 2
    starts = np.arange(count) * step
    return np.maximum(data[starts], data[starts + size - covered])


def pool(padded: NDArray[np.int64], window: Window, largest: bool) -> NDArray[np.int64]:
    """Maxima or sums over an undilated window: (rows, columns, depth), one direction after the other."""
    rows = _slide(padded, window.kernel[0], window.stride[0], window.output[0], largest)
    columns = _slide(rows.transpose(1, 0, 2), window.kernel[1], window.stride[1], window.output[1], largest)
    return columns.transpose(1, 0, 2)
