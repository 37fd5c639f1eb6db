"""The scale and bias stream: ten bytes for each output channel."""

from collections.abc import Sequence

import numpy as np

ENTRY_BYTES = 10
ALIGNMENT = 16


def scales_problem(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> str | None:
    """Which value an entry cannot hold, and of which channel; None if all fit."""
    limits = (("bias", -(1 << 39), 1 << 39), ("multiplier", 0, 1 << 32), ("shift", 0, 64))
    for values, (name, low, high) in zip((bias, multiplier, shift), limits, strict=True):
        wrong = np.flatnonzero((values < low) | (values >= high))
        if len(wrong):
            return f"{name} {values[wrong[0]]} of channel {wrong[0]} is outside {low}..{high - 1}"
    return None


def encode_scales(
    bias: Sequence[int] | np.ndarray, multiplier: Sequence[int] | np.ndarray, shift: Sequence[int] | np.ndarray
) -> bytes:
    """
    Pack one entry per channel, padded with zeros to a multiple of 16 bytes.

    An entry is the bias (40-bit signed), the multiplier (32-bit unsigned) and the right shift (6 bits, 0..63), little
    endian; a result is round(accumulator * multiplier / 2^shift). Of two cores each has a stream of its own channels.
    Raises ValueError when the lengths differ or a value does not fit.
    """
    fields = [np.asarray(values, np.int64).reshape(-1) for values in (bias, multiplier, shift)]
    if len({len(values) for values in fields}) != 1:
        raise ValueError(f"scale stream with {' / '.join(str(len(v)) for v in fields)} biases / multipliers / shifts")
    problem = scales_problem(*fields)
    if problem is not None:
        raise ValueError(problem)
    channels = len(fields[0])
    stream = np.zeros(-(-channels * ENTRY_BYTES // ALIGNMENT) * ALIGNMENT, np.uint8)
    entries = stream[: channels * ENTRY_BYTES].reshape(channels, ENTRY_BYTES)
    for values, start, stop in zip(fields, (0, 5, 9), (5, 9, 10), strict=True):
        entries[:, start:stop] = values.astype("<i8").view(np.uint8).reshape(channels, 8)[:, : stop - start]
    return stream.tobytes()
