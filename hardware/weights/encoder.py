"""Compressed weight streams: from volumes to bytes, many at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from npuc.hardware.weights.coding import CODES, MAX_WEIGHT, Slice, code_of, write_end, write_slices
from npuc.hardware.weights.order import WeightOrder, traverse
from npuc.hardware.weights.search import Batch, Plan, plan

Request = tuple[np.ndarray, WeightOrder]
WRITE_AT_ONCE = 1 << 17


def encode(requests: Sequence[Request]) -> list[list[bytes]]:
    """
    The streams of each request, one per core; empty where a core has no channel.

    A request is an O,H,W,I volume of weights less their zero point (integers in -255..255; a depthwise volume is
    C,H,W,1) with its order. Streams are padded to 16 bytes, decode to exactly the weights, and depend on nothing but
    the request. Raises ValueError for weights that do not fit.
    """
    result = [[b""] * order.cores for _, order in requests]
    for places, batch in _batches(requests):
        for (request, core), stream in zip(places, _write(batch, plan(batch)), strict=True):
            result[request][core] = stream
    return result


def encoded_sizes(requests: Sequence[Request]) -> list[list[int]]:
    """
    The lengths in bytes of the streams that `encode` gives for the same requests.

    Costs about half of `encode`.
    """
    sizes = [[0] * order.cores for _, order in requests]
    for places, batch in _batches(requests):
        for (request, core), size in zip(places, plan(batch).stream_bytes.tolist(), strict=True):
            sizes[request][core] = size
    return sizes


def _batches(requests: Sequence[Request]) -> list[tuple[list[tuple[int, int]], Batch]]:
    """
    The ordered streams as (request, core) and symbols, byte-sized ones and wide ones apart.

    A symbol is a weight cut to its low bits, 8 of them if the weights of the volume then stay different, else 9. So
    weight 0 is symbol 0, and the padding can be done on symbols.
    """
    narrow, wide = _Streams(1 << 8), _Streams(1 << 9)
    for number, (weights, order) in enumerate(requests):
        if not weights.size:
            continue
        low, high = min(int(weights.min()), 0), max(int(weights.max()), 0)
        if low < -MAX_WEIGHT or high > MAX_WEIGHT:
            raise ValueError(f"weights less their zero point must lie in -255..255, not {low}..{high}")
        if high - low < 256:
            streams, symbols = narrow, weights.astype(np.uint8)
        else:
            streams, symbols, low = wide, (weights & 511).astype(np.uint16), -MAX_WEIGHT - 1
        for core in range(order.cores):
            streams.add((number, core), traverse(symbols, order, core), low)
    return [(streams.places, streams.batch()) for streams in (narrow, wide) if streams.places]


class _Streams:
    """Collects streams of one alphabet."""

    def __init__(self, alphabet: int) -> None:
        self._alphabet = alphabet
        self.places: list[tuple[int, int]] = []
        self._symbols: list[np.ndarray] = []
        self._codes: list[np.ndarray] = []
        self._codes_from: dict[int, np.ndarray] = {}

    def add(self, place: tuple[int, int], symbols: np.ndarray, low: int) -> None:
        """A stream, unless it is empty; `low` is the least weight that its symbols stand for."""
        if len(symbols):
            self.places.append(place)
            self._symbols.append(symbols)
            if low not in self._codes_from:
                weight = (np.arange(self._alphabet) - low) % self._alphabet + low
                self._codes_from[low] = code_of(weight) % CODES  # -256, which is no weight, goes where no code is
            self._codes.append(self._codes_from[low])

    def batch(self) -> Batch:
        """All of them."""
        bounds = np.cumsum([0] + [len(symbols) for symbols in self._symbols])
        return Batch(np.concatenate(self._symbols), bounds, np.array(self._codes))


def _write(batch: Batch, plan: Plan) -> list[bytes]:
    """The planned streams as bytes."""
    sections = plan.sections
    ends = np.cumsum(plan.stream_bytes)
    starts = ends - plan.stream_bytes
    # Slices follow each other within a stream; the next stream starts at its own place.
    stream = sections.stream[plan.slice_section]
    ahead = np.cumsum(plan.slice_bits) - plan.slice_bits
    first_slice = np.searchsorted(stream, np.arange(len(ends)))
    position = starts[stream] * 8 + ahead - ahead[first_slice][stream]

    words = np.zeros(int(ends[-1]) // 8 + 1, np.uint64)
    pending: list[Slice] = []
    weights = 0
    for one in _slices(batch, plan, position):
        pending.append(one)
        weights += len(one.indices)
        if weights >= WRITE_AT_ONCE:
            write_slices(words, pending)
            pending, weights = [], 0
    write_slices(words, pending)
    last_slice = np.append(first_slice[1:], len(stream)) - 1
    for at, end in zip((position + plan.slice_bits)[last_slice].tolist(), ends.tolist(), strict=True):
        write_end(words, at, end * 8)
    data = words.astype("<u8").tobytes()
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _slices(batch: Batch, plan: Plan, position: np.ndarray) -> Iterator[Slice]:
    """The slices of the plan with their weights, to go to these bit positions."""
    sections = plan.sections
    start, stop, zdiv = sections.start.tolist(), sections.stop.tolist(), sections.zdiv.tolist()
    per_slice = (plan.slice_first.tolist(), plan.slice_stop.tolist(), plan.slice_state.tolist(), position.tolist())
    slices = list(zip(*per_slice, strict=True))
    bounds = np.searchsorted(plan.slice_section, np.arange(len(start) + 1)).tolist()
    for section in range(len(start)):
        palette = sections.palette(section)
        symbols = batch.symbols[start[section] : stop[section]]
        runs = sections.runs.get(section)
        if runs is not None:
            symbols = symbols[runs.coded]
        for first, last, state, at in slices[bounds[section] : bounds[section + 1]]:
            around = None if runs is None else runs.lengths[first + (first > 0) : last + 1]
            indices = plan.index_of[section].take(symbols[first:last])
            yield Slice(indices, state, zdiv[section], around, palette, first == 0, at)
