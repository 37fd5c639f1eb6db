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
"""Weights that are sure to share a coding."""
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
ZERO_RUN_SHARE = 0.08
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
    coded: dict[int, np.ndarray]
    """For sections with zero runs: places of the weights that are coded, from `start`; zeros between them are runs."""

    def palette(self, section: int) -> Palette:
        """The palette of one section."""
        codes = self.palette_codes[section, : self.palette_size[section]]
        return Palette(codes, int(self.direct_offset[section]), int(self.entry_bits[section]))

    def runs(self, section: int) -> np.ndarray:
        """Zeros before the first and after every coded weight of a section with zero runs."""
        length = self.stop[section] - self.start[section]
        return np.diff(self.coded[section], prepend=-1, append=length) - 1


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
    section_first = _find_sections(counts, blocks)
    sections = _choose_palettes(batch, blocks, section_first, np.add.reduceat(counts, section_first, dtype=np.float64))
    section_of_block = np.repeat(np.arange(len(section_first)), np.diff(section_first, append=len(counts)))
    with_runs = sections.zdiv != NO_ZERO_RUNS
    counts[with_runs[section_of_block], 0] = 0
    for section, coded in sections.coded.items():
        if not batch.symbols[sections.start[section] + coded[0]]:
            counts[section_first[section], 0] = 1  # all is zero, and one of it is coded

    index_of = _index_tables(sections, batch.codes)
    words, positions = _block_bits(counts, sections, section_of_block, index_of)
    part_first = partition(words, section_of_block, lambda nodes: nodes.min(axis=1) + SLICE_OVERHEAD)
    states = np.repeat(np.add.reduceat(words, part_first).argmin(axis=1), np.diff(part_first, append=len(counts)))

    first_block = _cut_at_changes(section_of_block, states)
    state, section = states[first_block], section_of_block[first_block]
    first = blocks.start[first_block] - sections.start[section]
    stop = np.append(blocks.start[first_block[1:]], blocks.stop[-1]) - sections.start[section]
    bits = np.add.reduceat(words[np.arange(len(words)), states], first_block).astype(np.int64)
    unary = np.add.reduceat(positions[np.arange(len(words)), states], first_block).astype(np.int64)
    bits += -unary % UNARY_POSITIONS
    for one in sections.coded:
        mine = slice(*np.searchsorted(section, (one, one + 1)))
        edges = np.searchsorted(sections.coded[one], np.append(first[mine], stop[mine][-1]))
        first[mine], stop[mine] = edges[:-1], edges[1:]
        bits[mine] += _run_bits(sections.runs(one), edges, int(sections.zdiv[one]))
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
    per_stream = -(-np.diff(batch.bounds) // BLOCK)
    stream = np.repeat(np.arange(len(per_stream)), per_stream)
    number = np.arange(len(stream)) - np.repeat(np.cumsum(per_stream) - per_stream, per_stream)
    start = batch.bounds[stream] + number * BLOCK
    return _Blocks(start, np.minimum(start + BLOCK, batch.bounds[stream + 1]), stream, number)


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


def _find_sections(counts: np.ndarray, blocks: _Blocks) -> np.ndarray:
    """The first block of each section: where it pays to start a new palette."""
    leaf_first = np.flatnonzero(blocks.number % LEAF_BLOCKS == 0)
    leaves = np.add.reduceat(counts, leaf_first, axis=0, dtype=np.float64)
    return leaf_first[partition(leaves, blocks.stream[leaf_first], _estimated_bits)]


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
    start = np.arange(len(values))
    best = cost(values)
    while True:
        first_of_group = np.flatnonzero(np.diff(group, prepend=-1))
        number = np.arange(len(group)) - np.repeat(first_of_group, np.diff(first_of_group, append=len(group)))
        left = np.flatnonzero(number % 2 == 0)
        if len(left) == len(group):
            return np.flatnonzero(begins)
        values = np.add.reduceat(values, left, axis=0)
        group, start = group[left], start[left]
        split, joined = np.add.reduceat(best, left), cost(values)
        inside = np.repeat(joined <= split, np.diff(start, append=len(begins)))
        inside[start] = False
        begins[inside] = False
        best = np.minimum(split, joined)


class _Palettes:
    """The best palette for each section, tried size by size: a palette of n holds the n most frequent codes."""

    def __init__(self, counts: np.ndarray) -> None:
        """`counts` is (section, code)."""
        self.order = np.argsort(-counts, axis=1, kind="stable")[:, :PALETTE_LIMIT]
        self._frequency = np.take_along_axis(counts, self.order, axis=1)
        # Nothing is indexed above the highest code in use plus the palette.
        counts = counts[:, : int(np.flatnonzero(counts.any(axis=0))[-1]) + 1]
        sections = len(counts)
        self.bits = np.full(sections, np.inf)
        """Of the section with its best single coding and the palette."""
        self.size = np.zeros(sections, np.int64)
        self.direct_offset = np.zeros(sections, np.int64)
        self.entry_bits = np.zeros(sections, np.int64)
        different = (counts > 0).sum(axis=1)
        for size in PALETTE_SIZES:
            bits, direct_offset, entry_bits = self._try(counts, size)
            better = (bits < self.bits) & (size <= different + 1)
            self.bits[better] = bits[better]
            self.size[better] = size
            self.direct_offset[better] = direct_offset[better]
            self.entry_bits[better] = entry_bits[better]

    def _try(self, counts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bits, direct offset and entry bits of each section with a palette of this size."""
        palette = self.order[:, :size]
        codes = counts.shape[1]
        padded = np.zeros((len(counts), CODES + PALETTE_LIMIT))
        rest = padded[:, :CODES]
        rest[:, :codes] = counts
        np.put_along_axis(rest, palette, 0, axis=1)
        present = rest[:, :codes] > 0
        some = present.any(axis=1)
        direct_offset = np.where(some, np.minimum(present.argmax(axis=1), DIRECT_OFFSET_LIMIT), 0)
        last_index = np.where(some, codes - 1 - present[:, ::-1].argmax(axis=1) - direct_offset, -1) + size

        by_index = np.zeros((len(counts), min(codes + size, CODES)))
        by_index[:, :size] = self._frequency[:, :size]
        code = np.arange(by_index.shape[1] - size) + direct_offset[:, None]
        by_index[:, size:] = np.take_along_axis(padded, code, axis=1)
        bits = (by_index @ WORD_BITS[: by_index.shape[1]]).min(axis=1)
        if size:
            entry_bits = _bit_length(palette.max(axis=1))
            uncompressed = np.where(some, np.inf, counts.sum(axis=1) * _INDEX_BITS[size])
        else:
            entry_bits = _bit_length(last_index)
            uncompressed = counts.sum(axis=1) * entry_bits
        bits = np.minimum(bits, uncompressed) + size * entry_bits
        bits[last_index >= CODES] = np.inf
        return bits, direct_offset, entry_bits

    def replace(self, section: int, other: "_Palettes", other_section: int) -> None:
        """Take over another choice for one section."""
        for mine, theirs in (
            (self.order, other.order),
            (self.bits, other.bits),
            (self.size, other.size),
            (self.direct_offset, other.direct_offset),
            (self.entry_bits, other.entry_bits),
        ):
            mine[section] = theirs[other_section]


_INDEX_BITS = np.array([max(size - 1, 0).bit_length() for size in range(PALETTE_LIMIT + 1)])
"""Bits of an uncompressed index into a palette of a size."""


def _bit_length(values: np.ndarray) -> np.ndarray:
    """Bits that hold each value, at least the 2 that an entry has."""
    return np.maximum(np.ceil(np.log2(np.maximum(values, 0) + 1)), 2).astype(np.int64)


def _choose_palettes(batch: Batch, blocks: _Blocks, first: np.ndarray, counts: np.ndarray) -> Sections:
    """Palettes and zero runs for sections that begin at these blocks and have these counts of symbols."""
    stream = blocks.stream[first]
    start, stop = blocks.start[first], blocks.stop[np.append(first[1:], len(blocks.start)) - 1]
    by_code = np.zeros((len(first), CODES))
    np.put_along_axis(by_code, batch.codes[stream], counts, axis=1)
    chosen = _Palettes(by_code)
    zdiv = np.full(len(first), NO_ZERO_RUNS)
    coded: dict[int, np.ndarray] = {}

    candidates = np.flatnonzero(by_code[:, 0] > ZERO_RUN_SHARE * (stop - start))
    if len(candidates):
        nonzero = by_code[candidates]
        nonzero[:, 0] = 0
        nonzero[~nonzero.any(axis=1), 0] = 1  # a slice cannot be without weights
        codings = _Palettes(nonzero)
        for i, section in enumerate(candidates.tolist()):
            if codings.bits[i] >= chosen.bits[section]:
                continue
            symbols = batch.symbols[start[section] : stop[section]]
            places = np.flatnonzero(symbols)
            if not len(places):
                places = np.zeros(1, np.int64)
            runs = np.diff(places, prepend=-1, append=len(symbols)) - 1
            run_bits = [int((runs >> div).sum()) + (1 + div) * len(runs) for div in range(4)]
            div = int(np.argmin(run_bits))
            if codings.bits[i] + run_bits[div] < chosen.bits[section]:
                zdiv[section], coded[section] = div, places
                chosen.replace(section, codings, i)
    return Sections(
        stream, start, stop, chosen.order, chosen.size, chosen.direct_offset, chosen.entry_bits, zdiv, coded
    )


def _index_tables(sections: Sections, codes: np.ndarray) -> np.ndarray:
    """Symbol -> index in each section; anything for a symbol that does not occur there."""
    index = np.arange(CODES) - sections.direct_offset[:, None] + sections.palette_size[:, None]
    entry = np.arange(sections.palette_codes.shape[1])
    section, entry = np.nonzero(entry < sections.palette_size[:, None])
    index[section, sections.palette_codes[section, entry]] = entry
    index = np.clip(index, 0, CODES - 1).astype(np.uint16)
    return np.take_along_axis(index, codes[sections.stream], axis=1)


def _block_bits(
    counts: np.ndarray, sections: Sections, section_of_block: np.ndarray, index_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of the code words of each block in each coding, and unary positions of these."""
    words = np.empty((len(counts), STATES))
    positions = np.zeros((len(counts), STATES))
    size = sections.palette_size[section_of_block]
    width = np.where(size, _INDEX_BITS[size], sections.entry_bits[section_of_block])
    # With runs in between, the remainders of a chunk of 8 must fit a word.
    barred = (sections.zdiv[section_of_block] != NO_ZERO_RUNS) & (width > 8)
    step = COUNT_AT_ONCE // BLOCK
    for first in range(0, len(counts), step):
        some = slice(first, first + step)
        key = index_of[section_of_block[some]] + np.arange(0, len(counts[some]) * CODES, CODES)[:, None]
        by_index = np.bincount(key.reshape(-1), counts[some].reshape(-1), len(key) * CODES).reshape(-1, CODES)
        words[some, :RICE_CODINGS] = by_index @ WORD_BITS
        positions[some, :RICE_CODINGS] = by_index @ WORD_POSITIONS
        in_palette = np.arange(CODES) < np.where(size[some], size[some], CODES)[:, None]
        barred[some] |= (by_index * ~in_palette).any(axis=1)
        words[some, UNCOMPRESSED] = by_index.sum(axis=1) * width[some]
    words[barred, UNCOMPRESSED] += IMPOSSIBLE
    return words, positions


def _cut_at_changes(section_of_block: np.ndarray, states: np.ndarray) -> np.ndarray:
    """First blocks of slices: where section or coding change, and wherever a slice would get too long."""
    change = np.flatnonzero(np.diff(section_of_block, prepend=-1) | np.diff(states, prepend=-1))
    since = np.arange(len(states)) - np.repeat(change, np.diff(change, append=len(states)))
    return np.flatnonzero(since % SLICE_BLOCKS == 0)


def _run_bits(runs: np.ndarray, edges: np.ndarray, zdiv: int) -> np.ndarray:
    """Bits of the zero runs in slices of a section that are cut at these coded weights."""
    first, stop = edges[:-1] + (edges[:-1] > 0), edges[1:] + 1
    positions_before = np.cumsum(np.append(0, (runs >> zdiv) + 1))
    positions = positions_before[stop] - positions_before[first]
    return positions + -positions % run_positions(zdiv) + (stop - first) * zdiv
