"""Compressed weight streams: from volumes to bytes, many at once."""

from collections.abc import Sequence

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
    """The lengths in bytes of the streams that `encode` gives for the same requests."""
    result = [[0] * order.cores for _, order in requests]
    for places, batch in _batches(requests):
        for (request, core), size in zip(places, plan(batch).stream_bytes.tolist(), strict=True):
            result[request][core] = size
    return result


def _batches(requests: Sequence[Request]) -> list[tuple[list[tuple[int, int]], Batch]]:
    """
    The ordered streams as (request, core) and symbols, byte-sized ones and wide ones apart.

    A symbol is a weight cut to its low bits, 8 of them if the weights of the volume then stay different, else 9. So
    weight 0 is symbol 0, and the padding can be done on symbols.
    """
    places: dict[int, list[tuple[int, int]]] = {8: [], 9: []}
    streams: dict[int, list[np.ndarray]] = {8: [], 9: []}
    codes: dict[int, list[np.ndarray]] = {8: [], 9: []}
    for number, (weights, order) in enumerate(requests):
        if not weights.size:
            continue
        low, high = min(int(weights.min()), 0), max(int(weights.max()), 0)
        if low < -MAX_WEIGHT or high > MAX_WEIGHT:
            raise ValueError(f"weights less their zero point must lie in -255..255, not {low}..{high}")
        bits = 8 if high - low < 256 else 9
        symbols = weights.astype(np.uint8) if bits == 8 else (weights & 511).astype(np.uint16)
        first = low if bits == 8 else -MAX_WEIGHT - 1
        weight_of = (np.arange(1 << bits) - first) % (1 << bits) + first
        for core in range(order.cores):
            stream = traverse(symbols, order, core)
            if len(stream):
                places[bits].append((number, core))
                streams[bits].append(stream)
                codes[bits].append(code_of(weight_of))
    return [
        (
            places[bits],
            Batch(
                np.concatenate(streams[bits]),
                np.cumsum([0] + [len(stream) for stream in streams[bits]]),
                np.array(codes[bits]) % CODES,  # -256, which is no weight, goes where no other code is
            ),
        )
        for bits in (8, 9)
        if streams[bits]
    ]


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
    after = np.cumsum(plan.slice_stop - plan.slice_first)
    piece = np.searchsorted(after, np.arange(0, after[-1], WRITE_AT_ONCE) + WRITE_AT_ONCE)
    first = 0
    for last in piece.tolist():
        last = min(last + 1, len(position))
        write_slices(words, [_slice(batch, plan, i, int(position[i])) for i in range(first, last)])
        first = last
    last_slice = np.append(first_slice[1:], len(stream)) - 1
    for at, end in zip((position + plan.slice_bits)[last_slice].tolist(), ends.tolist(), strict=True):
        write_end(words, at, end * 8)
    data = words.astype("<u8").tobytes()
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _slice(batch: Batch, plan: Plan, number: int, position: int) -> Slice:
    """One slice of the plan, with its weights."""
    section = int(plan.slice_section[number])
    first, stop = int(plan.slice_first[number]), int(plan.slice_stop[number])
    symbols = batch.symbols[plan.sections.start[section] : plan.sections.stop[section]]
    runs = None
    if section in plan.sections.coded:
        symbols = symbols[plan.sections.coded[section][first:stop]]
        runs = plan.sections.runs(section)[first + (first > 0) : stop + 1]
    else:
        symbols = symbols[first:stop]
    return Slice(
        indices=plan.index_of[section][symbols],
        state=int(plan.slice_state[number]),
        zdiv=int(plan.sections.zdiv[section]),
        runs=runs,
        palette=plan.sections.palette(section),
        new_palette=first == 0,
        position=position,
    )
