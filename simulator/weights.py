"""
Decodes the compressed weight stream and the scale stream, from bytes to integers.

The stream interleaves chunks of variable length, so only the chunk boundaries are found one by one; every field
of every chunk is then read at once. `ones` and `done`, computed for all bit positions of the stream in one sweep,
make the walk over the boundaries two table look-ups a chunk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_UNARY_BITS = 12
_END = 7
_SWEEP = 1 << 14
_INDICES = 1024
_NOTHING = np.zeros(0, np.int64)


class WeightStreamError(ValueError):
    """A weight stream that the hardware would not decode: one line, with the bit at which it went wrong."""


def _deposit_table() -> NDArray[np.uint32]:
    """Four unary positions from 4 bits of WUNARY0 and (above) up to 4 of WUNARY1: four bytes, each 0, 1 or 2."""
    table = np.zeros(256, np.uint32)
    for key in range(256):
        first, second = key & 15, key >> 4
        for position in range(4):
            if first >> position & 1:
                table[key] |= np.uint32((1 + (second & 1)) << 8 * position)
                second >>= 1
    return table


_DEPOSIT = _deposit_table()


class _Chunks(NamedTuple):
    """Where the fields of one slice lie, in bits. `*_at` has an entry for each chunk that carries the field."""

    weights_at: NDArray[np.int64]
    weight_seconds_at: NDArray[np.int64]
    weight_remainders_at: NDArray[np.int64]
    runs_at: NDArray[np.int64]
    run_remainders_at: NDArray[np.int64]
    end: int


class _Bits:
    """A byte string as little-endian bits; reads beyond its end are errors only where a symbol needs them."""

    def __init__(self, data: bytes):
        self.data = data
        self.count = 8 * len(data)
        buffer = np.zeros(len(data) + 8, np.uint8)
        buffer[: len(data)] = np.frombuffer(data, np.uint8)
        self._windows: NDArray[np.uint32] = np.ndarray((len(data) + 5,), np.dtype("<u4"), buffer.data, 0, (1,))
        self._tables: tuple[bytes, bytes] | None = None

    def read(self, position: int, width: int) -> int:
        if position + width > self.count:
            raise WeightStreamError(f"weight stream cut short at bit {position} of {self.count}")
        start = position >> 3
        return int.from_bytes(self.data[start : start + 5], "little") >> (position & 7) & ((1 << width) - 1)

    def gather(self, positions: NDArray[np.int64], mask: int | NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The bits at each position, up to 24 of them, masked."""
        if positions.size and int(positions.max()) > self.count:
            raise WeightStreamError(f"weight stream cut short at bit {self.count}")
        words = self._windows[positions >> 3]
        return words >> (positions & 7).astype(np.uint32) & np.asarray(mask, np.uint32)

    def tables(self) -> tuple[bytes, bytes]:
        """
        For a chunk at each bit: the ones in WUNARY0, and the ones in a WUNARY1 that follows at once.

        A one in WUNARY1 is a symbol that goes on, so 12 less those are the symbols that the chunk completes.
        """
        if self._tables is None:
            count = len(self.data)
            ones = np.empty((count, 8), np.uint8)
            seconds = np.empty((count, 8), np.uint8)
            one = np.uint32(1)
            for start in range(0, count, _SWEEP):
                window = self._windows[start : min(start + _SWEEP, count)].copy()
                for shift in range(8):
                    first = np.bitwise_count(window & np.uint32(0xFFF))
                    ones[start : start + _SWEEP, shift] = first
                    mask = (one << first) - one
                    seconds[start : start + _SWEEP, shift] = np.bitwise_count(window >> np.uint32(_UNARY_BITS) & mask)
                    window >>= one
            self._tables = ones.tobytes(), seconds.tobytes()
        return self._tables


def _walk_weights(bits: _Bits, position: int, count: int, divisor: int, truncated: bool) -> _Chunks:
    """Chunk boundaries of a Golomb-Rice slice without zero runs."""
    ones, seconds = bits.tables()
    starts: list[int] = []
    append = starts.append
    pending, left = 0, count
    try:
        if truncated:
            for _ in range(-(-count // _UNARY_BITS)):
                append(position)
                position += _UNARY_BITS + ones[position] + pending
                pending = _UNARY_BITS * divisor
            left = count - _UNARY_BITS * len(starts)
        while left > 0:
            # No chunk completes more than 12 symbols, so this many are there for sure; then look again.
            for _ in range(-(-left // _UNARY_BITS)):
                append(position)
                done = _UNARY_BITS - seconds[position]
                position += _UNARY_BITS + ones[position] + pending
                pending = done * divisor
                left -= done
    except IndexError:
        raise WeightStreamError(f"weight stream cut short at bit {position} of {bits.count}") from None
    # What the last chunk would complete beyond the count is padding and has no remainder.
    end = position + pending + left * divisor
    at = np.array(starts, np.int64)
    after = at + _UNARY_BITS
    after += np.frombuffer(ones, np.uint8)[at]
    return _Chunks(at, at + _UNARY_BITS, np.append(after[1:], position), _NOTHING, _NOTHING, end)


def _walk_runs(
    bits: _Bits, position: int, weights: int, runs: int, divisor: int, truncated: bool, plain: int, run_divisor: int
) -> _Chunks:
    """
    Chunk boundaries of a slice with zero runs.

    `plain` is the number of uncompressed weights in a chunk, or 0 where the weights are Golomb-Rice coded.
    """
    ones, _ = bits.tables()
    run_bits = 12 if run_divisor < 3 else 8
    weights_at: list[int] = []
    weight_seconds_at: list[int] = []
    weight_remainders_at: list[int] = []
    runs_at: list[int] = []
    run_remainders_at: list[int] = []
    weights_sent = runs_sent = weight_tail = run_tail = 0
    while True:
        balance = weights_sent - runs_sent
        has_weights = balance < 8 and weights_sent < weights
        has_runs = balance >= 0 and runs_sent < runs
        tails = weight_tail, run_tail
        weight_tail = run_tail = 0
        second = 0
        if position >= bits.count and (has_weights or has_runs):
            raise WeightStreamError(f"weight stream cut short at bit {position} of {bits.count}")
        if has_weights:
            weights_at.append(position)
            if plain:
                done = plain
            else:
                second = ones[position]
                position += _UNARY_BITS
                done = _UNARY_BITS
            weight_tail = min(done, weights - weights_sent)
        if has_runs:
            runs_at.append(position)
            run_tail = min(run_bits - bits.read(position, run_bits).bit_count(), runs - runs_sent)
            position += run_bits
            runs_sent += run_tail
        if has_weights:
            weight_seconds_at.append(position)
            if second and not truncated:
                done = _UNARY_BITS - bits.read(position, second).bit_count()
                weight_tail = min(done, weights - weights_sent)
            position += second
            weights_sent += weight_tail
        if len(weights_at) > len(weight_remainders_at) + has_weights:
            weight_remainders_at.append(position)
        position += tails[0] * divisor
        if len(runs_at) > len(run_remainders_at) + has_runs:
            run_remainders_at.append(position)
        position += tails[1] * run_divisor
        if not (has_weights or has_runs):
            found = (weights_at, weight_seconds_at, weight_remainders_at, runs_at, run_remainders_at)
            return _Chunks(*(np.array(at, np.int64) for at in found), end=position)


def _remainders(
    bits: _Bits, at: NDArray[np.int64], done: NDArray[np.int64], width: int, count: int
) -> NDArray[np.uint32]:
    """The `count` remainders of `width` bits, of which chunk i holds `done[i]` from bit `at[i]` on."""
    starts = at - (np.cumsum(done) - done) * width
    return bits.gather(np.repeat(starts, done) + np.arange(count, dtype=np.int64) * width, (1 << width) - 1)


def _weight_indices(
    bits: _Bits, chunks: _Chunks, count: int, divisor: int, truncated: bool, plain: int
) -> NDArray[np.uint32]:
    total = len(chunks.weights_at)
    if plain:
        done = np.full(total, plain, np.int64)
        done[-1] = count - plain * (total - 1)
        return _remainders(bits, chunks.weight_remainders_at, done, divisor, count)
    first = bits.gather(chunks.weights_at, 0xFFF)
    ones = np.bitwise_count(first)
    second = bits.gather(chunks.weight_seconds_at, (np.uint32(1) << ones) - np.uint32(1))
    values = np.empty((total, 3), np.uint32)
    for group in range(3):
        part = first >> np.uint32(4 * group) & np.uint32(15)
        values[:, group] = _DEPOSIT[part | (second & np.uint32(15)) << np.uint32(4)]
        second >>= np.bitwise_count(part)
    flat = values.view(np.uint8).reshape(-1)
    if truncated:
        quotients = flat[:count].astype(np.uint32)
        ends = np.arange(count)
    else:
        ends = np.flatnonzero(flat != 2)[:count]
        sums = np.cumsum(flat, dtype=np.uint32)[ends]
        quotients = np.diff(sums, prepend=np.uint32(0))
    if not divisor:
        return quotients
    done = np.bincount(ends // _UNARY_BITS, minlength=total)
    return quotients << np.uint32(divisor) | _remainders(bits, chunks.weight_remainders_at, done, divisor, count)


def _zero_runs(bits: _Bits, chunks: _Chunks, count: int, divisor: int) -> NDArray[np.int64]:
    width = 12 if divisor < 3 else 8
    words = bits.gather(chunks.runs_at, (1 << width) - 1)
    flat = (words[:, None] >> np.arange(width, dtype=np.uint32) & np.uint32(1)).astype(np.uint8).reshape(-1)
    ends = np.flatnonzero(flat == 0)[:count]
    quotients = np.diff(ends, prepend=-1) - 1
    if not divisor:
        return quotients
    done = np.bincount(ends // width, minlength=len(words))
    return quotients << divisor | _remainders(bits, chunks.run_remainders_at, done, divisor, count).astype(np.int64)


def _index_table(palette: list[int], direct_offset: int) -> NDArray[np.int16]:
    """Weight of each index; the indices beyond the code space hold 512, which is no weight."""
    codes = np.concatenate([np.asarray(palette, np.int64), np.arange(_INDICES - len(palette)) + direct_offset])
    weights = np.where(codes & 1, -(codes >> 1), codes >> 1)
    weights[codes > 511] = 512
    return weights.astype(np.int16)


def decode_weight_stream(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> NDArray[np.int16]:
    """
    The weights of one padded stream in stream order, -255..255, with the zeros that pad the order.

    Raises WeightStreamError for a stream that is cut short, lacks its end marker or uses an undefined code.
    """
    bits = _Bits(bytes(data))
    parts: list[NDArray[np.int16]] = []
    position = 0
    table: NDArray[np.int16] | None = None
    palette: list[int] = []
    palette_bits = 0
    zero_runs = False
    ended = False
    while bits.count - position >= 8 or (not ended and position < bits.count):
        at = position
        run_divisor = bits.read(position, 3)
        if run_divisor == _END:
            position = (position + 3 + 7) & ~7
            table, ended = None, True
            if bits.data[position >> 3 :].strip(b"\xff") == b"":
                break
            continue
        ended = False
        if run_divisor in (4, 5):
            raise WeightStreamError(f"weight stream slice at bit {at}: zero-run divisor {run_divisor} is not defined")
        header = bits.read(position + 3, 20)
        position += 23
        count = (header & 0x7FFF) + 1
        divisor = header >> 15 & 7
        truncated = bool(header >> 18 & 1)
        new_palette = bool(header >> 19 & 1)
        if divisor == 6:
            raise WeightStreamError(f"weight stream slice at bit {at}: weight divisor 6 is not defined")
        if new_palette:
            palette_header = bits.read(position, 13)
            position += 13
            size = palette_header >> 5 & 31
            palette_bits = (palette_header >> 10) + 2
            palette = []
            if size:
                palette = [bits.read(position + i * palette_bits, palette_bits) for i in range(size + 1)]
                position += palette_bits * (size + 1)
            table = _index_table(palette, palette_header & 31)
            zero_runs = run_divisor != 6
        elif table is None:
            raise WeightStreamError(f"weight stream slice at bit {at}: the first slice has no palette block")
        elif zero_runs != (run_divisor != 6):
            raise WeightStreamError(f"weight stream slice at bit {at}: zero runs change without a palette block")
        plain = 0
        if divisor == 7:
            divisor = (len(palette) - 1).bit_length() if palette else palette_bits
            plain = 8 if divisor > 5 else 12
        if zero_runs:
            runs = count + new_palette
            chunks = _walk_runs(bits, position, count, runs, divisor, truncated, plain, run_divisor)
        elif plain:
            runs = 0
            starts = np.arange(position, position + count * divisor, plain * divisor)
            chunks = _Chunks(starts, _NOTHING, starts, _NOTHING, _NOTHING, position + count * divisor)
        else:
            runs = 0
            chunks = _walk_weights(bits, position, count, divisor, truncated)
        if chunks.end > bits.count:
            raise WeightStreamError(f"weight stream cut short at bit {bits.count}: the slice at bit {at} needs more")
        indices = _weight_indices(bits, chunks, count, divisor, truncated, plain)
        # Quotients are unary and so have no bound of their own.
        weights = table[np.minimum(indices, _INDICES - 1)]
        if int(weights.max()) == 512 or int(indices.max()) >= _INDICES:
            raise WeightStreamError(f"weight stream slice at bit {at}: a weight index beyond 511")
        if runs:
            zeros = _zero_runs(bits, chunks, runs, run_divisor)
            before = np.cumsum(zeros)
            spread = np.zeros(count + int(before[-1]), np.int16)
            spread[np.arange(count) + (before[:count] if new_palette else before - zeros)] = weights
            weights = spread
        parts.append(weights)
        position = chunks.end
    if not ended:
        raise WeightStreamError(f"weight stream of {len(bits.data)} bytes has no end marker")
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


class Scales(NamedTuple):
    """One entry a channel: bias (40-bit signed), scale (32-bit unsigned), shift (0..63)."""

    bias: NDArray[np.int64]
    scale: NDArray[np.int64]
    shift: NDArray[np.int64]


def decode_scale_stream(data: bytes | NDArray[np.uint8], channels: int) -> Scales:
    """The 10-byte entries of `channels` channels; raises ValueError for too few bytes or a reserved bit that is set."""
    raw = np.frombuffer(bytes(data), np.uint8)
    if raw.size < 10 * channels:
        raise ValueError(f"scale stream of {raw.size} bytes holds fewer than {channels} entries of 10 bytes")
    entries = raw[: 10 * channels].reshape(channels, 10).astype(np.int64)
    if channels and int(entries[:, 9].max()) > 63:
        raise ValueError("scale stream: reserved bits 7:6 of a shift are set")
    bias = entries[:, :5] @ (1 << 8 * np.arange(5, dtype=np.int64))
    bias -= (bias >> 39) << 40
    scale = entries[:, 5:9] @ (1 << 8 * np.arange(4, dtype=np.int64))
    return Scales(bias, scale, entries[:, 9])
