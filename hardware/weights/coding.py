"""
The compressed weight stream, bit by bit: codes, the cost of a coding, and the packing of slices.

A weight becomes an index (through a palette, or directly), an index becomes a Golomb-Rice code word: a quotient in
unary and `div` bits of remainder. The words of twelve unary positions travel together as a chunk, their remainders with
the chunk after. docs/weights.md tells the format; nothing here decides anything, see `search`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MAX_WEIGHT = 255
CODES = 512
PALETTE_LIMIT = 32
DIRECT_OFFSET_LIMIT = 31
SLICE_LIMIT = 32767
"""Coded weights in one slice; the field would hold one more, which the reference encoder never uses."""
STREAM_ALIGNMENT = 16

HEADER_BITS = 23
PALETTE_HEADER_BITS = 13
NO_ZERO_RUNS = 6
UNCOMPRESSED_DIV = 7
END_BITS = 3
"""ZDIV = 7, all ones, and so is the padding behind it."""

RICE_CODINGS = 12
"""States 0..5 are Golomb-Rice codings with that divisor, 6..11 the same with quotients of at most 2 (truncated)."""
UNCOMPRESSED = 12
STATES = 13

UNARY_POSITIONS = 12
IMPOSSIBLE = 1e9
"""Bits a code word costs that a coding does not have: more than any stream of legal ones."""


def code_of(weight: np.ndarray) -> np.ndarray:
    """Sign-magnitude code of a weight: 0, 2, 3, 4, 5 ... for 0, 1, -1, 2, -2 ..."""
    return np.where(weight >= 0, 2 * weight, 1 - 2 * weight)


def _word_tables() -> tuple[np.ndarray, np.ndarray]:
    """For each index and Golomb-Rice coding: unary positions, and bits altogether (512 x 12)."""
    index = np.arange(CODES)
    positions = np.ones((CODES, RICE_CODINGS))
    bits = np.empty((CODES, RICE_CODINGS))
    for div in range(6):
        quotient = index >> div
        positions[:, div] = (quotient >> 1) + 1
        bits[:, div] = np.where(quotient <= 31, quotient + 1 + div, IMPOSSIBLE)
        bits[:, 6 + div] = np.where(quotient <= 2, np.minimum(quotient, 1) + 1 + div, IMPOSSIBLE)
    return positions, bits


WORD_POSITIONS, WORD_BITS = _word_tables()


def run_positions(zdiv: int) -> int:
    """Unary positions of zero runs in a chunk."""
    return 12 if zdiv < 3 else 8


@dataclass(frozen=True)
class Palette:
    """
    What the slices of a section share: how codes become indices.

    Indices below len(codes) name an entry; index i above it is the code i - len(codes) + direct_offset.
    """

    codes: np.ndarray
    direct_offset: int
    entry_bits: int
    """Bits of an entry; with no entries, of an uncompressed value."""

    @property
    def uncompressed_bits(self) -> int:
        """Bits of an uncompressed index."""
        return (len(self.codes) - 1).bit_length() if len(self.codes) else self.entry_bits

    @property
    def header_bits(self) -> int:
        """Bits that introducing the palette costs."""
        return PALETTE_HEADER_BITS + len(self.codes) * self.entry_bits


@dataclass(frozen=True)
class Slice:
    """Weights (as indices) coded in one way, with the zero runs around them if there are any."""

    indices: np.ndarray
    """uint16, 1 to 32767 of them."""
    state: int
    """0..11: Golomb-Rice codings, 12: uncompressed."""
    zdiv: int
    """Divisor of the zero runs, or NO_ZERO_RUNS."""
    runs: np.ndarray | None
    """Zeros after each weight; a slice with a new palette has one more in front."""
    palette: Palette
    new_palette: bool
    position: int
    """Where its first bit goes."""


def write_slices(words: np.ndarray, slices: Sequence[Slice]) -> None:
    """Add the bits of the slices to the little-endian 64-bit words, which are 0 where they will stand."""
    _write_headers(words, slices)
    alike: dict[tuple[int, int, int], list[Slice]] = {}
    for one in slices:
        width = one.palette.uncompressed_bits if one.state == UNCOMPRESSED else one.state % 6
        alike.setdefault((one.state, width, one.zdiv), []).append(one)
    for (state, width, zdiv), group in alike.items():
        _write_bodies(words, group, state, width, zdiv)


def write_end(words: np.ndarray, position: int, end: int) -> None:
    """Set the bits from `position` to the 64-bit boundary `end`: end marker and padding."""
    words[position >> 6] |= np.uint64((0xFFFFFFFFFFFFFFFF << (position & 63)) & 0xFFFFFFFFFFFFFFFF)
    words[(position >> 6) + 1 : end >> 6] = np.uint64(0xFFFFFFFFFFFFFFFF)


def _put(words: np.ndarray, position: np.ndarray, value: np.ndarray) -> None:
    """Add values of up to 64 bits at bit positions, in any order; no two of them share a bit, so addition is `or`."""
    at, shift = position >> 6, (position & 63).astype(np.uint64)
    np.add.at(words, at, value << shift)
    over = (value >> np.uint64(1)) >> (np.uint64(63) - shift)
    crossing = np.flatnonzero(over)
    np.add.at(words, at[crossing] + 1, over[crossing])


def _write_headers(words: np.ndarray, slices: Sequence[Slice]) -> None:
    positions: list[int] = []
    values: list[int] = []
    for one in slices:
        uncompressed = one.state == UNCOMPRESSED
        wdiv, truncated = (UNCOMPRESSED_DIV, 0) if uncompressed else (one.state % 6, one.state // 6)
        header = one.zdiv | (len(one.indices) - 1) << 3 | wdiv << 18 | truncated << 21 | one.new_palette << 22
        if one.new_palette:
            size = max(len(one.palette.codes) - 1, 0)
            header |= (one.palette.direct_offset | size << 5 | (one.palette.entry_bits - 2) << 10) << HEADER_BITS
        positions.append(one.position)
        values.append(header)
        if one.new_palette:
            start = one.position + HEADER_BITS + PALETTE_HEADER_BITS
            positions.extend(start + i * one.palette.entry_bits for i in range(len(one.palette.codes)))
            values.extend(one.palette.codes.tolist())
    _put(words, np.array(positions, np.int64), np.array(values, np.uint64))


@dataclass(frozen=True)
class _Chunks:
    """The chunks of one symbol stream over several slices."""

    per_slice: np.ndarray
    completed: np.ndarray
    """Symbols that end in each chunk."""
    unary: np.ndarray
    """The unary part that every chunk has."""
    extra: np.ndarray
    """The second unary part (weights only) and ..."""
    extra_bits: np.ndarray
    """... its length."""
    remainder: np.ndarray
    """The remainders of the completed symbols."""


def _write_bodies(words: np.ndarray, slices: Sequence[Slice], state: int, width: int, zdiv: int) -> None:
    """Slices with the same coding of weights and runs. `width` is that of a weight's remainder."""
    unary_bits = 0 if state == UNCOMPRESSED else UNARY_POSITIONS
    counts = np.array([len(one.indices) for one in slices])
    indices = np.concatenate([one.indices for one in slices])
    if state == UNCOMPRESSED:
        weights = _uncompressed_chunks(indices, counts, width, interleaved=zdiv != NO_ZERO_RUNS)
    else:
        weights = _weight_chunks(indices, counts, width, truncated=state >= 6)
    start = np.array(
        [one.position + HEADER_BITS + (one.palette.header_bits if one.new_palette else 0) for one in slices]
    )

    # A row for each step of the bit stream: unary parts of both symbols, then the remainders of the step before.
    runs = None
    if zdiv == NO_ZERO_RUNS:
        rows = weights.per_slice + 1
        weight_row = np.arange(len(weights.unary)) + np.repeat(np.arange(len(slices)), weights.per_slice)
        run_row = np.empty(0, np.int64)
    else:
        lists = [one.runs for one in slices if one.runs is not None]
        runs = _run_chunks(np.concatenate(lists), np.array([len(r) for r in lists]), zdiv)
        rows, weight_row, run_row = _interleave(weights, runs)
    run_bits = run_positions(zdiv)
    lengths = np.zeros((int(rows.sum()), 2 if runs is None else 3), np.int64)
    lengths[weight_row, 0] = unary_bits + weights.extra_bits
    lengths[run_row, 0] += run_bits
    lengths[weight_row + 1, 1] = weights.completed * width
    if runs is not None:
        lengths[run_row + 1, 2] = runs.completed * zdiv
    position = np.cumsum(lengths.reshape(-1)).reshape(lengths.shape)
    position -= lengths
    first_row = np.cumsum(rows) - rows
    position += np.repeat(start - position[first_row, 0], rows)[:, None]

    if unary_bits:
        gap = np.full(len(weight_row), unary_bits, np.uint64)
        if runs is not None:
            has_run = np.zeros(len(lengths), bool)
            has_run[run_row] = True
            gap[has_run[weight_row]] += np.uint64(run_bits)
        _put(words, position[weight_row, 0], weights.unary | weights.extra << gap)
    if width:
        _put(words, position[weight_row + 1, 1], weights.remainder)
    if runs is not None:
        has_weight = np.zeros(len(lengths), np.int64)
        has_weight[weight_row] = unary_bits
        _put(words, position[run_row, 0] + has_weight[run_row], runs.unary)
        if zdiv:
            _put(words, position[run_row + 1, 2], runs.remainder)


def _interleave(weights: _Chunks, runs: _Chunks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    When each chunk of weights and of runs is sent, as rows over all slices: (rows per slice, weight row, run row).

    Weights may be up to 8 symbols ahead of the runs; the decoder holds no more.
    """
    rows: list[int] = []
    weight_row: list[int] = []
    run_row: list[int] = []
    row = 0
    for weights_after, runs_after in zip(_symbols_after(weights), _symbols_after(runs), strict=True):
        first = row
        weight_chunks, run_chunks = len(weights_after), len(runs_after)
        weight_chunk = run_chunk = weights_sent = runs_sent = 0
        while weight_chunk < weight_chunks or run_chunk < run_chunks:
            ahead = weights_sent - runs_sent
            if ahead < 8 and weight_chunk < weight_chunks:
                weights_sent = weights_after[weight_chunk]
                weight_chunk += 1
                weight_row.append(row)
            if ahead >= 0 and run_chunk < run_chunks:
                runs_sent = runs_after[run_chunk]
                run_chunk += 1
                run_row.append(row)
            row += 1
        row += 1  # the last remainders
        rows.append(row - first)
    return np.array(rows), np.array(weight_row), np.array(run_row)


def _symbols_after(chunks: _Chunks) -> Iterator[list[int]]:
    """For each slice: the symbols sent after each of its chunks."""
    start = 0
    for count in chunks.per_slice.tolist():
        yield np.cumsum(chunks.completed[start : start + count]).tolist()
        start += count


def _uncompressed_chunks(values: np.ndarray, counts: np.ndarray, width: int, *, interleaved: bool) -> _Chunks:
    """Chunks without a unary part; where runs do not show its extent, a chunk is whatever fits a word."""
    capacity = 12 if width <= 5 else 8
    if not interleaved:
        capacity = min(capacity, 64 // width)
    chunks = -(-counts // capacity)
    completed = _full_chunks(chunks, chunks * capacity - counts, capacity)
    none = np.zeros(len(completed), np.uint64)
    remainder = _pack_remainders(values, completed, width, capacity)
    return _Chunks(chunks, completed, none, none, none.astype(np.int64), remainder)


def _full_chunks(chunks: np.ndarray, left: np.ndarray, capacity: int) -> np.ndarray:
    """Symbols in each chunk if all chunks of a slice are full but for what is left over in the last."""
    completed = np.full(int(chunks.sum()), capacity)
    completed[np.cumsum(chunks) - 1] -= left
    return completed


def _weight_chunks(indices: np.ndarray, counts: np.ndarray, div: int, *, truncated: bool) -> _Chunks:
    """
    Golomb-Rice chunks of weights.

    A unary position adds 0 or 1 and ends its symbol, or adds 2; then, unless truncated, the symbol goes on.
    """
    quotient = (indices >> div).astype(np.uint8)
    if truncated:
        chunks = -(-counts // UNARY_POSITIONS)
        completed = _full_chunks(chunks, chunks * UNARY_POSITIONS - counts, UNARY_POSITIONS)
        added = _by_chunk(quotient, completed, UNARY_POSITIONS)
    else:
        layout = _lay_out((quotient >> 1) + np.uint8(1), counts, UNARY_POSITIONS)
        chunks = layout.chunks
        added = np.full((int(chunks.sum()), UNARY_POSITIONS), 2, np.uint8)
        added.reshape(-1)[layout.last_position] = quotient & 1
        added.reshape(-1)[layout.tail] = 0
        completed = _ENDED_COUNT[_fours(added)].sum(axis=1)
        completed[np.cumsum(chunks) - 1] -= layout.left
    some, twos, ones = (table[_fours(added)] for table in (_SOME, _TWOS, _SOME_COUNT))
    ones_before = np.cumsum(ones, axis=1)
    unary = some[:, 0] | some[:, 1] << np.uint64(4) | some[:, 2] << np.uint64(8)
    extra = twos[:, 0] | twos[:, 1] << ones_before[:, 0] | twos[:, 2] << ones_before[:, 1]
    remainder = _pack_remainders(indices, completed, div, UNARY_POSITIONS)
    return _Chunks(chunks, completed, unary, extra, ones_before[:, 2].astype(np.int64), remainder)


def _fours(added: np.ndarray) -> np.ndarray:
    """
    Twelve unary positions, each 0, 1 or 2, as three numbers of four base-3 digits, which the tables below take.

    The product gathers the digits of four bytes, with their weights 1, 3, 9 and 27, in the top byte.
    """
    return (added.view("<u4") * np.uint32(27 | 9 << 8 | 3 << 16 | 1 << 24)) >> np.uint32(24)


def _run_chunks(runs: np.ndarray, counts: np.ndarray, zdiv: int) -> _Chunks:
    """Golomb-Rice chunks of zero runs, the quotient in plain unary: as many ones, then a zero."""
    positions = run_positions(zdiv)
    layout = _lay_out((runs >> zdiv) + 1, counts, positions)
    bits = np.ones(int(layout.chunks.sum()) * positions, np.uint64)
    bits[layout.last_position] = 0
    bits[layout.tail] = 0
    bits = bits.reshape(-1, positions)
    unary = (bits << np.arange(positions, dtype=np.uint64)).sum(axis=1)
    completed = np.bincount(layout.last_position // positions, minlength=len(unary))
    remainder = _pack_remainders(runs, completed, zdiv, positions)
    none = np.zeros(len(unary), np.uint64)
    return _Chunks(layout.chunks, completed, unary, none, none.astype(np.int64), remainder)


class _Layout(NamedTuple):
    """Symbols of a group of slices, laid one after the other over unary positions."""

    last_position: np.ndarray
    """Of each symbol."""
    chunks: np.ndarray
    """Per slice; each starts with a fresh chunk."""
    left: np.ndarray
    """Unused positions in the last chunk of each slice, and ..."""
    tail: np.ndarray
    """... where all of them are."""


def _lay_out(extents: np.ndarray, counts: np.ndarray, positions: int) -> _Layout:
    """Give each symbol its extent of positions; `counts` symbols to a slice, `positions` to a chunk."""
    ends = np.cumsum(extents, dtype=np.int64)
    slice_ends = ends[np.cumsum(counts) - 1]
    extent = np.diff(slice_ends, prepend=0)
    chunks = -(-extent // positions)
    chunk_ends = np.cumsum(chunks) * positions
    if len(counts) > 1:
        ends += np.repeat(chunk_ends - chunks * positions - (slice_ends - extent), counts)
    ends -= 1
    left = chunks * positions - extent
    tail = np.repeat(chunk_ends - np.cumsum(left), left) + np.arange(int(left.sum()))
    return _Layout(ends, chunks, left, tail)


def _by_chunk(values: np.ndarray, completed: np.ndarray, capacity: int) -> np.ndarray:
    """A row for each chunk with its symbols, then zeros."""
    rows = np.zeros((len(completed), capacity), values.dtype)
    rows[np.arange(capacity) < completed[:, None]] = values
    return rows


def _pack_remainders(values: np.ndarray, completed: np.ndarray, width: int, capacity: int) -> np.ndarray:
    """The low `width` bits of the symbols of each chunk side by side in one word."""
    packed = np.zeros(len(completed), np.uint64)
    if width:
        rows = _by_chunk(values & ((1 << width) - 1), completed, capacity)
        for place in range(capacity):
            packed |= rows[:, place].astype(np.uint64) << np.uint64(place * width)
    return packed


def _quad_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For four unary positions adding 0, 1 or 2: which add, which of those add 2, how many add, how many end."""
    digits = np.arange(81)[:, None] // 3 ** np.arange(4) % 3
    adds = digits > 0
    some = (adds << np.arange(4)).sum(axis=1)
    twos = ((digits == 2) << (np.cumsum(adds, axis=1) - adds)).sum(axis=1)
    return (
        some.astype(np.uint64),
        twos.astype(np.uint64),
        adds.sum(axis=1).astype(np.uint64),
        (digits < 2).sum(axis=1),
    )


_SOME, _TWOS, _SOME_COUNT, _ENDED_COUNT = _quad_tables()
