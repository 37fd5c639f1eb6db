"""The weight decoder against streams of Arm's encoder (committed as bytes) and against plain encodings made here."""

import numpy as np
import pytest

from npuc.simulator.weights import WeightStreamError, decode_scale_stream, decode_weight_stream

# Streams of ethos-u-vela 5.2.0's mlw_codec.encode, without their 0xFF padding, for the sources of `_source`.
ARM_STREAMS = {
    "palette": "7e0c6020046f5a9d51ab79b598ad96a9d559b59aad96a9d519b59a578bd96a995a9d55abd96a995a9d51ab79b598ad96a9d5"
    "59b59aad96a9d519b59a578bd96a995a9d55abd96a995a9d51ab79b598ad96a9d55901f8",
    "sparse": "8b006c11bbbd4e9f4b1e8e066ba54aa18e436110b899ada40d09225cbb619bc0366cdb8e2e6bb7d9deb66d61dbf8",
    "zero": "030040001000fefef1ffffff3ff0",
    "laplace": "7e0c4cf0390089402c87d12085723d4ce654904549d814791cb99522f8cd2f685103683c69a16b31bc11da8ab0c09132b186fe"
    "02c19a44a9fabc91a4125891bb4b4ac6b93c9a489aca72f90364ce90e6d22725dd651aad2b9486d330bb426999c534a78c46651c7114d943355"
    "0fa20737bd12081cc51fa051cdeec02540c02c0175f03b479687be223b8626c834614472a4b111c02303493a4807c454a8240494f84242dcae5"
    "7237646a3a97495fc8f3b250e250c89e08536b0a3327261a4fde75196e833a89c94d84ba6c9f37215935c229470a66610e05ce9bdb55c091d43"
    "fb3490a8007b11f640641b1887df05abc562d6b20a26c2c745aa78282c7567dc21b2821cfecd4a4e03299a49e180ae57231fc",
}


def _source(name: str) -> np.ndarray:
    i = np.arange(400)
    return {
        "palette": np.array([0, 3, -7, 120])[i * i % 7 % 4],
        "sparse": np.where(i * 7 % 23 == 0, i % 90 - 45, 0),
        "zero": i * 0,
        "laplace": (i * 37 % 101 - 50) * (i * 53 % 97 - 48) // 120,
    }[name]


def pack_bits(fields: list[tuple[int, int]]) -> bytes:
    """(value, width) fields, then the end marker and 0xFF up to a multiple of 16 bytes."""
    value = position = 0
    for bits, width in [*fields, (7, 3)]:
        value |= bits << position
        position += width
    total = -(-position // 128) * 128
    value |= ((1 << total) - 1) ^ ((1 << position) - 1)
    return value.to_bytes(total // 8, "little")


def plain(weights: list[int], width: int = 9) -> bytes:
    codes = [2 * w if w >= 0 else 1 - 2 * w for w in weights]
    header = [(6, 3), (len(codes) - 1, 15), (7, 3), (0, 1), (1, 1), (0, 5), (0, 5), (width - 2, 3)]
    return pack_bits([*header, *((code, width) for code in codes)])


@pytest.mark.parametrize("name", ARM_STREAMS)
def test_streams_of_arms_encoder_decode_to_their_source(name: str):
    data = bytes.fromhex(ARM_STREAMS[name])
    data += b"\xff" * (-len(data) % 16)
    np.testing.assert_array_equal(decode_weight_stream(data), _source(name))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 4000])
def test_plain_codes(count: int):
    weights = [(i * 89) % 511 - 255 for i in range(count)]
    assert decode_weight_stream(plain(weights)).tolist() == weights


def test_quotients_that_carry_over_chunks_and_a_direct_offset():
    # Index 40 with divisor 0 takes 21 unary positions, so it spans two chunks; codes start at the direct offset 2.
    indices = [40, 0, 1, 40]
    positions: list[int] = []
    for index in indices:
        positions += [2] * (index // 2) + [index % 2]
    positions += [0] * (-len(positions) % 12)
    fields = [(6, 3), (len(indices) - 1, 15), (0, 3), (0, 1), (1, 1), (2, 5), (0, 5), (7, 3)]
    for start in range(0, len(positions), 12):
        chunk = positions[start : start + 12]
        fields += [(sum((p > 0) << i for i, p in enumerate(chunk)), 12)]
        fields += [(p - 1, 1) for p in chunk if p]
    codes = [index + 2 for index in indices]
    expected = [-(code >> 1) if code & 1 else code >> 1 for code in codes]
    assert decode_weight_stream(pack_bits(fields)).tolist() == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no end marker"),
        (plain([1, 2, 3])[:4], "cut short"),
        (pack_bits([(4, 3), (0, 15), (7, 3), (0, 1), (1, 1), (0, 13)]), "zero-run divisor 4 is not defined"),
        (pack_bits([(6, 3), (0, 15), (6, 3), (0, 1), (1, 1), (0, 13)]), "weight divisor 6 is not defined"),
        (pack_bits([(6, 3), (0, 15), (0, 3), (0, 1), (0, 1)]), "no palette block"),
        (pack_bits([(6, 3), (0, 15), (5, 3), (0, 1), (1, 1), (31, 5), (0, 5), (7, 3), (0xFFF, 12)]), "cut short"),
    ],
)
def test_refusals(data: bytes, message: str):
    with pytest.raises(WeightStreamError, match=message):
        decode_weight_stream(data)


@pytest.mark.parametrize(("chunks", "divisor"), [(22, 0), (60, 0), (6000, 0), (40, 5)])
def test_quotients_without_end_are_refused(chunks: int, divisor: int):
    # All ones: each chunk goes on in the next, so the one index is 24 a chunk, beyond any table.
    fields = [(6, 3), (0, 15), (divisor, 3), (0, 1), (1, 1), (0, 5), (0, 5), (7, 3)]
    fields += [(0xFFF, 12), (0xFFF, 12)] * chunks + [(0, 12), (0, 12 * divisor)]
    with pytest.raises(WeightStreamError, match="weight index beyond 511"):
        decode_weight_stream(pack_bits(fields))


@pytest.mark.parametrize("name", ARM_STREAMS)
def test_damaged_streams_are_refused_or_decoded(name: str):
    data = bytes.fromhex(ARM_STREAMS[name])
    data += b"\xff" * (-len(data) % 16)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256)
        try:
            assert np.abs(decode_weight_stream(bytes(damaged))).max(initial=0) <= 255
        except WeightStreamError as error:
            refused += "\n" not in str(error)
    assert refused > 100


def test_every_truncation_is_refused_or_shorter():
    data = bytes.fromhex(ARM_STREAMS["laplace"])
    for length in range(len(data) - 2):
        with pytest.raises(WeightStreamError):
            decode_weight_stream(data[:length])


def test_scale_entries():
    entry = (-5).to_bytes(5, "little", signed=True) + (0x80000001).to_bytes(4, "little") + bytes([37])
    scales = decode_scale_stream(entry * 2 + b"\0" * 12, 2)
    assert (scales.bias.tolist(), scales.scale.tolist(), scales.shift.tolist()) == (
        [-5, -5],
        [0x80000001] * 2,
        [37] * 2,
    )
    with pytest.raises(ValueError, match="fewer than 4"):
        decode_scale_stream(entry * 3, 4)
    with pytest.raises(ValueError, match="reserved"):
        decode_scale_stream(entry[:9] + b"\x80", 1)
