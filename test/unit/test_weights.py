"""Compressed weight streams, read back by the simulator's decoder, which shares no code with the encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from bench.weights import weight_requests
from npuc.hardware.weights import WeightOrder, encode, encoded_sizes
from npuc.hardware.weights.coding import NO_ZERO_RUNS, UNCOMPRESSED, Palette, Slice, write_end, write_slices
from npuc.hardware.weights.order import traverse
from npuc.simulator.weights import decode_weight_stream

ORDER = WeightOrder("conv", False, 8, (1, 1), 32, 8, 8, 1)
ONE_BY_ONE = WeightOrder("depthwise", False, 8, (1, 1), 4, 4, 8, 1)
"""With a multiple of 4 channels and 2x2 kernels the stream holds the weights of a volume and nothing else."""


def volume(weights: np.ndarray) -> np.ndarray:
    """A volume whose stream is just these weights (and up to 15 zeros)."""
    padded = np.zeros(-(-len(weights) // 16) * 16, np.int16)
    padded[: len(weights)] = weights
    return np.ascontiguousarray(padded.reshape(-1, 4, 4).transpose(0, 2, 1)).reshape(-1, 2, 2, 1)


def assert_decodes(requests: list[tuple[np.ndarray, WeightOrder]]) -> list[list[bytes]]:
    """Encode, decode, compare; the streams."""
    result = encode(requests)
    assert encoded_sizes(requests) == [[len(stream) for stream in streams] for streams in result]
    for (weights, order), streams in zip(requests, result, strict=True):
        assert len(streams) == order.cores
        for core, stream in enumerate(streams):
            expected = traverse(weights, order, core)
            assert len(stream) % 16 == 0
            if len(expected):
                np.testing.assert_array_equal(decode_weight_stream(stream), expected)
            else:
                assert stream == b""
    return result


def weights_of_kind(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weights that lead the search to different choices."""
    if kind == "uniform":
        return rng.integers(-255, 256, count)
    if kind == "wide uint8":
        return rng.integers(0, 256, count) - int(rng.integers(0, 256))
    if kind == "peaked":
        return np.rint(rng.laplace(0, rng.uniform(0.2, 30), count)).clip(-128, 127)
    if kind == "sparse":
        return rng.integers(-128, 128, count) * (rng.random(count) < rng.uniform(0, 0.6))
    if kind == "few values":
        return rng.choice(rng.integers(-255, 256, int(rng.integers(1, 40))), count)
    if kind == "zeros":
        return np.zeros(count)
    assert kind == "parts"  # different data in one stream
    parts = np.array_split(np.empty(count), int(rng.integers(2, 6)))
    kinds = rng.choice(["wide uint8", "peaked", "sparse", "few values", "zeros"], len(parts))
    return np.concatenate([weights_of_kind(str(k), len(part), rng) for k, part in zip(kinds, parts, strict=True)])


KINDS = ["uniform", "wide uint8", "peaked", "sparse", "few values", "zeros", "parts"]


@examples(60)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 60000)), min_size=1, max_size=6), st.integers(0, 1 << 32)
)
def test_streams_decode_to_the_weights(wanted: list[tuple[str, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_decodes([(volume(weights_of_kind(kind, count, rng)), ONE_BY_ONE) for kind, count in wanted])


@examples(60)
@given(st.data(), st.integers(0, 1 << 32))
def test_volumes_of_every_order_decode_to_the_weights(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    requests: list[tuple[np.ndarray, WeightOrder]] = []
    for _ in range(data.draw(st.integers(1, 5))):
        depthwise = data.draw(st.booleans())
        o, h, w, i = (data.draw(st.integers(1, limit)) for limit in (40, 9, 9, 1 if depthwise else 40))
        order = WeightOrder(
            kind="depthwise" if depthwise else "conv",
            part_kernel=not depthwise and data.draw(st.booleans()),
            ifm_bits=data.draw(st.sampled_from([8, 16])),
            dilation=(data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))),
            block_depth=data.draw(st.sampled_from([4, 8, 12, 16, 32])),
            ofm_ublock_depth=data.draw(st.sampled_from([4, 8])),
            ifm_ublock_depth=8,
            cores=data.draw(st.integers(1, 2)),
        )
        weights = weights_of_kind(data.draw(st.sampled_from(KINDS)), o * h * w * i, rng)
        requests.append((weights.astype(np.int16).reshape(o, h, w, i), order))
    assert_decodes(requests)


def slice_bits(one: Slice) -> int:
    """The length of a slice by the format, symbol by symbol."""
    bits = 23 + one.new_palette * (13 + len(one.palette.codes) * one.palette.entry_bits)
    size = len(one.palette.codes)
    if one.state == UNCOMPRESSED:
        bits += len(one.indices) * ((size - 1).bit_length() if size else one.palette.entry_bits)
    else:
        div, truncated = one.state % 6, one.state >= 6
        quotients = [int(i) >> div for i in one.indices]
        positions = sum(1 if truncated else q // 2 + 1 for q in quotients)
        seconds = sum(min(q, 1) if truncated else (q + 1) // 2 for q in quotients)
        bits += -(-positions // 12) * 12 + seconds + div * len(quotients)
    if one.runs is not None:
        chunk = 12 if one.zdiv < 3 else 8
        positions = sum((int(run) >> one.zdiv) + 1 for run in one.runs)
        bits += -(-positions // chunk) * chunk + one.zdiv * len(one.runs)
    return bits


def weight_of(index: int, palette: Palette) -> int:
    """The weight that an index stands for."""
    size = len(palette.codes)
    code = int(palette.codes[index]) if index < size else index - size + palette.direct_offset
    return -(code >> 1) if code & 1 else code >> 1


@pytest.mark.parametrize("state", range(13))
@pytest.mark.parametrize("zdiv", [0, 1, 2, 3, NO_ZERO_RUNS])
@pytest.mark.parametrize("palette_size", [0, 2, 5, 32])
def test_every_coding_decodes(state: int, zdiv: int, palette_size: int) -> None:
    """Slices written with a given coding, whether or not the search would ever choose it."""
    rng = np.random.default_rng([state, zdiv, palette_size])
    palette = Palette(rng.permutation(np.arange(2, 200))[:palette_size], 3 if palette_size else 0, 8)
    if state == UNCOMPRESSED:
        limit = palette_size or 256
    else:
        limit = min((3 if state >= 6 else 32) << state % 6, 512 - 3)
    slices: list[Slice] = []
    position = 0
    expected: list[int] = []
    for number, count in enumerate([1, 11, 12, 13, 700, 3]):
        indices = rng.integers(0, limit, count).astype(np.uint16)
        new = number == 0
        runs = None if zdiv == NO_ZERO_RUNS else rng.geometric(rng.choice([0.02, 0.3, 0.9]), count + new) - 1
        slices.append(Slice(indices, state, zdiv, runs, palette, new, position))
        position += slice_bits(slices[-1])
        zeros = [0] * (count + new) if runs is None else runs.tolist()
        if new:
            expected += [0] * zeros.pop(0)
        for index, run in zip(indices.tolist(), zeros, strict=True):
            expected += [weight_of(index, palette)] + [0] * run
    end = -(-(position + 3) // 128) * 128
    words = np.zeros(end // 64 + 1, np.uint64)
    write_slices(words, slices)
    write_end(words, position, end)
    assert decode_weight_stream(words.tobytes()[: end // 8]).tolist() == expected


def test_a_slice_holds_at_most_32767_weights_and_a_stream_many_slices() -> None:
    rng = np.random.default_rng(5)
    for kind in ("peaked", "uniform", "zeros"):
        assert_decodes([(volume(weights_of_kind(kind, 100_000, rng)), ONE_BY_ONE)])


def test_streams_do_not_depend_on_what_is_encoded_with_them() -> None:
    rng = np.random.default_rng(6)
    requests = [(volume(weights_of_kind(kind, 5000, rng)), ONE_BY_ONE) for kind in KINDS]
    together = encode(requests)
    assert together == [encode([request])[0] for request in requests]
    assert together == encode(requests)
    assert encode(requests[::-1]) == together[::-1]


def test_a_core_without_a_channel_has_no_stream() -> None:
    order = WeightOrder("conv", False, 8, (1, 1), 16, 8, 8, 2)
    (one, none), (first, second) = assert_decodes(
        [(np.full((1, 1, 1, 8), 3, np.int16), order), (np.full((2, 1, 1, 8), 3, np.int16), order)]
    )
    assert one
    assert none == b""
    assert first == second
    assert encode([]) == encoded_sizes([]) == []


@pytest.mark.parametrize("wrong", [-256, 256, 1000])
def test_weights_that_have_no_code_are_refused(wrong: int) -> None:
    weights = np.full((1, 1, 1, 1), wrong, np.int16)
    for function in (encode, encoded_sizes):
        with pytest.raises(ValueError, match=r"-255\.\.255"):
            function([(weights, ORDER)])


def test_different_parts_of_a_stream_get_palettes_of_their_own() -> None:
    """Two halves with four values each are worth less together than the sum."""
    rng = np.random.default_rng(7)
    low, high = rng.choice([-100, 17, 55, 90], 20000), rng.choice([-77, 3, 31, 120], 20000)
    (both,), (first,), (second,) = encoded_sizes(
        [(volume(part), ONE_BY_ONE) for part in (np.concatenate([low, high]), low, high)]
    )
    assert both < 1.1 * (first + second)
    assert first <= 20000 // 4 * 1.05 + 16


def test_zeros_cost_little_where_they_are_many() -> None:
    rng = np.random.default_rng(8)
    sparse = rng.integers(-128, 128, 40000) * (rng.random(40000) < 0.05)
    ((size,),) = encoded_sizes([(volume(sparse), ONE_BY_ONE)])
    entropy = 40000 * (0.05 * (8 - np.log2(0.05)) - 0.95 * np.log2(0.95)) / 8
    assert size < 1.1 * entropy


def test_weights_of_the_test_models_decode(each_model: Any) -> None:
    assert_decodes(list(weight_requests(each_model.path)))


def test_shared_models_decode_and_are_no_larger_than_with_another_encoder(shared_models: Path | None) -> None:
    if shared_models is None:
        pytest.skip("no shared models")
    requests = [request for file in sorted(shared_models.rglob("*.tflite")) for request in weight_requests(file)]
    size = sum(len(stream) for streams in assert_decodes(requests) for stream in streams)
    assert len(requests) >= 379
    assert size <= 10070640, "vela 5.2.0's mlw_codec needs less (bench/weights.py)"
