"""Compressed weight streams: from volumes to bytes, many at once."""

from collections.abc import Sequence

import numpy as np

from npuc.hardware.weights.order import WeightOrder, traverse

Request = tuple[np.ndarray, WeightOrder]
ALIGNMENT = 16
SLICE_LIMIT = 32767


def encode(requests: Sequence[Request]) -> list[list[bytes]]:
    """
    The streams of each request, one per core; empty where a core has no channel.

    A request is an O,H,W,I volume of weights less their zero point (integers in -255..255; a depthwise volume is
    C,H,W,1) with its order. Streams are padded to 16 bytes, decode to exactly the weights, and depend on nothing but
    the request. Raises ValueError for weights that do not fit.
    """
    return [[_encode_stream(traverse(w, order, core)) for core in range(order.cores)] for w, order in requests]


def encoded_sizes(requests: Sequence[Request]) -> list[list[int]]:
    """The lengths in bytes of the streams that `encode` gives for the same requests."""
    return [[len(stream) for stream in streams] for streams in encode(requests)]


def _encode_stream(weights: np.ndarray) -> bytes:
    """A stream of uncompressed slices."""
    if not len(weights):
        return b""
    if weights.min() < -255 or weights.max() > 255:
        raise ValueError("weights less their zero point must lie in -255..255")
    codes = np.where(weights >= 0, 2 * weights, 1 - 2 * weights).astype(np.uint16)
    width = max(2, int(codes.max()).bit_length())
    fields: list[np.ndarray] = []
    for start in range(0, len(codes), SLICE_LIMIT):
        part = codes[start : start + SLICE_LIMIT]
        header = 6 | (len(part) - 1) << 3 | 7 << 18 | 1 << 22 | (width - 2) << 33
        fields.append(_bits(np.array([header]), 36))
        fields.append(_bits(part, width))
    bits = np.concatenate([*fields, np.ones(3, np.uint8)])
    padded = np.ones(-(-len(bits) // (8 * ALIGNMENT)) * 8 * ALIGNMENT, np.uint8)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").tobytes()


def _bits(values: np.ndarray, width: int) -> np.ndarray:
    return (values[:, None] >> np.arange(width) & 1).astype(np.uint8).reshape(-1)
