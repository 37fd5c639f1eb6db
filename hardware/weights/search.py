"""
Which sections, palettes, zero runs and Golomb-Rice codings a stream gets: the choice that makes it small.

All streams of a call are searched together on histograms of short blocks, so that the work per weight is one count and
the work per stream a share of a few array operations. docs/weights.md tells how the search decides. Any outcome decodes
to the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npuc.hardware.weights.coding import (
    CODES,
    DIRECT_OFFSET_LIMIT,
    END_BITS,
    HEADER_BITS,
    IMPOSSIBLE,
    NO_ZERO_RUNS,
    PALETTE_HEADER_BITS,
    PALETTE_LIMIT,
    RICE_CODINGS,
    SLICE_LIMIT,
    STATES,
    STREAM_ALIGNMENT,
    UNARY_POSITIONS,
    UNCOMPRESSED,
    WORD_BITS,
    WORD_POSITIONS,
    Palette,
    run_positions,
)

BLOCK = 512
"""Weights that are sure to share a coding, ..."""
SHORT_BLOCK, SHORT_STREAM = 64, 2048
"""... fewer in streams up to a length, where there is little to count and every byte shows."""
LEAF_BLOCKS = 16
"""Blocks that are sure to share a palette."""
SLICE_BLOCKS = SLICE_LIMIT // BLOCK
PALETTE_SIZES = (0, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32)
SLICE_OVERHEAD = HEADER_BITS + 6
"""Bits of a further slice: the header, and on average half a chunk of unary positions left unused."""
SECTION_OVERHEAD = 150
"""Bits of a further section: header and palette, ..."""
SECTION_OVERHEAD_PER_CODE = 1.5
"""... of which a section with fewer different codes needs less."""
ZERO_RUN_SHARE = 0.15
"""Zero runs are not tried below this share of zeros: every coded weight costs a bit for its run."""
COUNT_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Batch:
    """Streams to be coded: their symbols one after the other."""

    symbols: np.ndarray
    """uint8 or uint16; symbol 0 is weight 0."""
    bounds: np.ndarray
    """Stream i is symbols[bounds[i]:bounds[i + 1]], never empty."""
    codes: np.ndarray
    """(stream, symbol) -> code."""


@dataclass(frozen=True)
class ZeroRuns:
    """The zeros of a section apart from the weights that are coded."""

    coded: np.ndarray
    """Places of the coded weights in the section; without any other, a zero is coded."""
    lengths: np.ndarray
    """Zeros before the first and after every coded weight."""
    zdiv: int
    """Their Golomb-Rice divisor, 0..3."""

    @staticmethod
    def of(symbols: np.ndarray) -> "ZeroRuns":
        """The runs of a section."""
        coded = np.flatnonzero(symbols)
        if not len(coded):
            coded = np.zeros(1, np.int64)
        lengths = np.concatenate([coded, [len(symbols)]])
        lengths[1:] -= coded + 1
        return ZeroRuns(coded, lengths, int(np.argmin([_rice_bits(lengths, zdiv) for zdiv in range(4)])))

    @property
    def bits(self) -> int:
        """Bits of all code words."""
        return _rice_bits(self.lengths, self.zdiv)

    def slice_bits(self, edges: np.ndarray) -> np.ndarray:
        """Bits of the chunks of slices that lie between these coded weights."""
        first, stop = edges[:-1] + (edges[:-1] > 0), edges[1:] + 1
        positions_before = np.cumsum(np.append(0, (self.lengths >> self.zdiv) + 1))
        positions = positions_before[stop] - positions_before[first]
        return positions + -positions % run_positions(self.zdiv) + (stop - first) * self.zdiv


def _rice_bits(values: np.ndarray, div: int) -> int:
    return int((values >> div).sum()) + (1 + div) * len(values)


@dataclass(frozen=True)
class Sections:
    """Parts of streams that share a palette and the choice of zero runs: an item each in every array."""

    stream: np.ndarray
    start: np.ndarray
    """First and ..."""
    stop: np.ndarray
    """... last symbol but one in the batch."""
    palette_codes: np.ndarray
    """(section, 32), of which ..."""
    palette_size: np.ndarray
    """... so many are used."""
    direct_offset: np.ndarray
    entry_bits: np.ndarray
    zdiv: np.ndarray
    runs: dict[int, ZeroRuns]
    """Of the sections that have them."""

    def palette(self, section: int) -> Palette:
        """The palette of one section."""
        codes = self.palette_codes[section, : self.palette_size[section]]
        return Palette(codes, int(self.direct_offset[section]), int(self.entry_bits[section]))


@dataclass(frozen=True)
class Plan:
    """How every stream of a batch is coded. The slices are in the order of the streams."""

    sections: Sections
    index_of: np.ndarray
    """(section, symbol) -> index, uint16."""
    slice_section: np.ndarray
    slice_first: np.ndarray
    """Coded weights of the section, from first to ..."""
    slice_stop: np.ndarray
    """... before stop."""
    slice_state: np.ndarray
    slice_bits: np.ndarray
    """Headers included."""
    stream_bytes: np.ndarray


def plan(batch: Batch) -> Plan:
    """Decide on sections, palettes, zero runs and slices of every stream."""
    blocks = _cut_into_blocks(batch)
    counts = _count(batch, blocks)
    section_first, section_counts = _find_sections(counts, blocks)
    sections = _choose_palettes(batch, blocks, section_first, section_counts)
    section_of_block = np.repeat(np.arange(len(section_first)), np.diff(section_first, append=len(counts)))
    counts[(sections.zdiv != NO_ZERO_RUNS)[section_of_block], 0] = 0
    for section, runs in sections.runs.items():
        if not batch.symbols[sections.start[section] + runs.coded[0]]:
            counts[section_first[section], 0] = 1

    index_of = _index_tables(sections, batch.codes)
    words, positions = _block_bits(counts, sections, section_first, index_of)
    part_first = partition(words, section_of_block, lambda nodes: nodes.min(axis=1) + SLICE_OVERHEAD)
    states = np.repeat(np.add.reduceat(words, part_first).argmin(axis=1), np.diff(part_first, append=len(counts)))

    first_block = _cut_at_changes(section_of_block, states)
    state, section = states[first_block], section_of_block[first_block]
    first = blocks.start[first_block] - sections.start[section]
    stop = np.append(blocks.start[first_block[1:]], blocks.stop[-1]) - sections.start[section]
    bits = np.add.reduceat(words[np.arange(len(words)), states], first_block).astype(np.int64)
    unary = np.add.reduceat(positions[np.arange(len(words)), states], first_block).astype(np.int64)
    bits += -unary % UNARY_POSITIONS
    for one, runs in sections.runs.items():
        mine = slice(*np.searchsorted(section, (one, one + 1)))
        edges = np.searchsorted(runs.coded, np.append(first[mine], stop[mine][-1]))
        first[mine], stop[mine] = edges[:-1], edges[1:]
        bits[mine] += runs.slice_bits(edges)
    kept = first < stop
    section, first, stop, state, bits = (a[kept] for a in (section, first, stop, state, bits))
    bits += HEADER_BITS
    new = first == 0
    bits[new] += PALETTE_HEADER_BITS + (sections.palette_size * sections.entry_bits)[section[new]]
    stream = sections.stream[section]
    stream_bits = np.bincount(stream, bits, len(batch.bounds) - 1).astype(np.int64) + END_BITS
    stream_bytes = -(-stream_bits // (8 * STREAM_ALIGNMENT)) * STREAM_ALIGNMENT
    return Plan(sections, index_of, section, first, stop, state, bits, stream_bytes)


@dataclass(frozen=True)
class _Blocks:
    start: np.ndarray
    stop: np.ndarray
    stream: np.ndarray
    number: np.ndarray
    """Of the block in its stream."""


def _cut_into_blocks(batch: Batch) -> _Blocks:
    length = np.diff(batch.bounds)
    size = np.where(length <= SHORT_STREAM, SHORT_BLOCK, BLOCK)
    per_stream = -(-length // size)
    stream = np.repeat(np.arange(len(per_stream)), per_stream)
    number = np.arange(len(stream)) - np.repeat(np.cumsum(per_stream) - per_stream, per_stream)
    start = batch.bounds[stream] + number * size[stream]
    return _Blocks(start, np.minimum(start + size[stream], batch.bounds[stream + 1]), stream, number)


def _count(batch: Batch, blocks: _Blocks) -> np.ndarray:
    """How often each symbol occurs in each block (float32: exact, and what a matrix product wants)."""
    alphabet = batch.codes.shape[1]
    counts = np.empty((len(blocks.start), alphabet), np.float32)
    step = COUNT_AT_ONCE // BLOCK
    for first in range(0, len(counts), step):
        some = counts[first : first + step]
        start, stop = blocks.start[first : first + step], blocks.stop[first : first + step]
        key = np.repeat(np.arange(0, some.size, alphabet), stop - start)
        key += batch.symbols[start[0] : stop[-1]]
        some[:] = np.bincount(key, minlength=some.size).reshape(some.shape)
    return counts


def _find_sections(counts: np.ndarray, blocks: _Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Where it pays to start a new palette: the first block of each section, and the counts of each."""
    leaf_first = np.flatnonzero(blocks.number % LEAF_BLOCKS == 0)
    leaves = np.add.reduceat(counts, leaf_first, axis=0)
    first = partition(leaves, blocks.stream[leaf_first], _estimated_bits)
    return leaf_first[first], np.add.reduceat(leaves, first, axis=0)


def _estimated_bits(counts: np.ndarray) -> np.ndarray:
    """Bits of a section with these counts, by its entropy."""
    total = counts.sum(axis=1)
    bits = total * np.log2(np.maximum(total, 1)) - (counts * np.log2(np.maximum(counts, 1))).sum(axis=1)
    return bits + SECTION_OVERHEAD + SECTION_OVERHEAD_PER_CODE * (counts > 0).sum(axis=1)


def partition(values: np.ndarray, group: np.ndarray, cost: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """
    Where parts of equal treatment begin, in groups of consecutive items; `values` add up when items join.

    Bottom-up over a binary tree on each group: a node becomes one part if that costs no more than the best parts of
    its two children.
    """
    begins = np.ones(len(values), bool)
    undecided = np.flatnonzero(np.bincount(group)[group] > 1)
    values, group = values[undecided], group[undecided]
    start = np.arange(len(values))
    begins_among = np.ones(len(values), bool)
    best = cost(values)
    while len(group):
        first_of_group = np.flatnonzero(np.diff(group, prepend=-1))
        number = np.arange(len(group)) - np.repeat(first_of_group, np.diff(first_of_group, append=len(group)))
        left = np.flatnonzero(number % 2 == 0)
        if len(left) == len(group):
            break
        values = np.add.reduceat(values, left, axis=0)
        group, start = group[left], start[left]
        split, joined = np.add.reduceat(best, left), cost(values)
        inside = np.repeat(joined <= split, np.diff(start, append=len(undecided)))
        inside[start] = False
        begins_among[inside] = False
        best = np.minimum(split, joined)
    begins[undecided] = begins_among
    return np.flatnonzero(begins)


class _Palettes:
    """
    The best palette for each row of counts (row, code), tried size by size.

    A palette holds the most frequent codes. `bits` are those of the best single coding and the palette.
    """

    def __init__(self, counts: np.ndarray) -> None:
        last_code = int(np.flatnonzero(counts.any(axis=0))[-1])
        self.codes = np.argsort(-counts, axis=1, kind="stable")[:, :PALETTE_LIMIT]
        self.bits = np.full(len(counts), np.inf)
        self.size, self.direct_offset, self.entry_bits = np.zeros((3, len(counts)), np.int64)
        total, different = counts.sum(axis=1), (counts > 0).sum(axis=1)
        highest = CODES - 1 - (counts[:, ::-1] > 0).argmax(axis=1)
        rows = np.arange(len(counts))[:, None]
        frequency = counts[rows, self.codes]

        rest = counts[:, : last_code + 1].copy()  # without the codes in the palette
        previous = 0
        for size in PALETTE_SIZES:
            if size > different.max() + 1:
                break
            rest[rows, np.minimum(self.codes[:, previous:size], last_code)] = 0
            previous = size
            direct_offset = np.minimum((rest > 0).argmax(axis=1), DIRECT_OFFSET_LIMIT)
            bits = frequency[:, :size] @ _WORD_BITS_BEYOND[:size]
            for offset in sorted(set(direct_offset.tolist())):
                same = np.flatnonzero(direct_offset == offset)
                direct = slice(size, size + rest.shape[1] - offset)
                bits[same] += rest[same, offset:] @ _WORD_BITS_BEYOND[direct]
            bits = bits.min(axis=1)
            if size:
                entry_bits = _bit_length(self.codes[:, :size].max(axis=1))
                uncompressed = np.where(different > size, np.inf, total * _INDEX_BITS[size])
            else:
                entry_bits = _bit_length(highest - direct_offset)
                uncompressed = total * entry_bits
            bits = np.minimum(bits, uncompressed) + size * entry_bits

            better = (bits < self.bits) & (size <= different + 1)
            self.bits[better] = bits[better]
            self.size[better] = size
            self.direct_offset[better] = direct_offset[better]
            self.entry_bits[better] = entry_bits[better]


_WORD_BITS_BEYOND = np.full((CODES + PALETTE_LIMIT, RICE_CODINGS), IMPOSSIBLE, np.float32)
"""WORD_BITS, and what indices would cost that a large palette drives beyond the last."""
_WORD_BITS_BEYOND[:CODES] = WORD_BITS
_INDEX_BITS = np.array([max(size - 1, 0).bit_length() for size in range(PALETTE_LIMIT + 1)])
"""Bits of an uncompressed index into a palette of a size."""


def _bit_length(values: np.ndarray) -> np.ndarray:
    """Bits that hold each value, at least the 2 that an entry has."""
    return np.maximum(np.ceil(np.log2(np.maximum(values, 0) + 1)), 2).astype(np.int64)


def _choose_palettes(batch: Batch, blocks: _Blocks, first: np.ndarray, counts: np.ndarray) -> Sections:
    """Palettes and zero runs for sections that begin at these blocks and have these counts of symbols."""
    stream = blocks.stream[first]
    start, stop = blocks.start[first], blocks.stop[np.append(first[1:], len(blocks.start)) - 1]
    by_code = np.zeros((len(first), CODES), np.float32)
    np.put_along_axis(by_code, batch.codes[stream], counts, axis=1)
    # Sections with enough zeros get a second row of counts, that of a section with zero runs.
    candidates = np.flatnonzero(by_code[:, 0] > ZERO_RUN_SHARE * (stop - start))
    nonzero = by_code[candidates]
    zeros = nonzero[:, 0].copy()
    nonzero[:, 0] = 0
    nonzero[~nonzero.any(axis=1), 0] = 1
    palettes = _Palettes(np.concatenate([by_code, nonzero]))

    chosen = np.arange(len(first))
    zdiv = np.full(len(first), NO_ZERO_RUNS)
    runs: dict[int, ZeroRuns] = {}
    row_with_runs = np.arange(len(first), len(palettes.bits))
    saved = palettes.bits[candidates] - palettes.bits[row_with_runs]
    hopeful = saved > _least_run_bits(zeros, nonzero.sum(axis=1))
    for row, section, gain in zip(row_with_runs[hopeful], candidates[hopeful].tolist(), saved[hopeful], strict=True):
        found = ZeroRuns.of(batch.symbols[start[section] : stop[section]])
        if found.bits < gain:
            runs[section] = found
            zdiv[section] = found.zdiv
            chosen[section] = row
    return Sections(
        stream,
        start,
        stop,
        palettes.codes[chosen],
        palettes.size[chosen],
        palettes.direct_offset[chosen],
        palettes.entry_bits[chosen],
        zdiv,
        runs,
    )


def _least_run_bits(zeros: np.ndarray, coded: np.ndarray) -> np.ndarray:
    """A lower bound on the bits of so many zeros in runs around so many coded weights."""
    div = np.arange(4)
    coded = coded[:, None]
    return ((1 + div) * coded + np.maximum(zeros[:, None] - ((1 << div) - 1) * (coded + 1), 0) / (1 << div)).min(axis=1)


def _index_tables(sections: Sections, codes: np.ndarray) -> np.ndarray:
    """Symbol -> index in each section; anything for a symbol that does not occur there."""
    index = np.arange(CODES) - sections.direct_offset[:, None] + sections.palette_size[:, None]
    entry = np.arange(sections.palette_codes.shape[1])
    section, entry = np.nonzero(entry < sections.palette_size[:, None])
    index[section, sections.palette_codes[section, entry]] = entry
    index = np.clip(index, 0, CODES - 1).astype(np.uint16)
    return np.take_along_axis(index, codes[sections.stream], axis=1)


_WORD_TABLE = np.zeros((CODES, 2 * STATES), np.float32)
"""Bits of an index in each coding, then unary positions."""
_WORD_TABLE[:, :RICE_CODINGS] = WORD_BITS
_WORD_TABLE[:, STATES : STATES + RICE_CODINGS] = WORD_POSITIONS


def _block_bits(
    counts: np.ndarray, sections: Sections, section_first: np.ndarray, index_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of the code words of each block in each coding, and unary positions of these."""
    product = np.empty((len(counts), 2 * STATES), np.float32)
    bounds = np.append(section_first, len(counts)).tolist()
    for section in range(len(section_first)):
        index, palette = index_of[section], sections.palette(section)
        table = _WORD_TABLE.take(index, axis=0)
        width = palette.uncompressed_bits
        table[:, UNCOMPRESSED] = width
        if len(palette.codes):
            table[index >= len(palette.codes), UNCOMPRESSED] = IMPOSSIBLE
        if width > 8 and section in sections.runs:
            table[:, UNCOMPRESSED] = IMPOSSIBLE  # with runs in between, the remainders of a chunk of 8 must fit a word
        mine = slice(bounds[section], bounds[section + 1])
        np.matmul(counts[mine], table, out=product[mine])
    return product[:, :STATES].astype(np.float64), product[:, STATES:]


def _cut_at_changes(section_of_block: np.ndarray, states: np.ndarray) -> np.ndarray:
    """First blocks of slices: where section or coding change, and wherever a slice would get too long."""
    change = np.flatnonzero(np.diff(section_of_block, prepend=-1) | np.diff(states, prepend=-1))
    since = np.arange(len(states)) - np.repeat(change, np.diff(change, append=len(states)))
    return np.flatnonzero(since % SLICE_BLOCKS == 0)
