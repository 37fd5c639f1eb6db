"""The scale and bias stream."""

import struct

import pytest

from npuc.hardware.weights import encode_scales


def test_an_entry_is_ten_bytes_and_the_stream_is_padded_with_zeros() -> None:
    stream = encode_scales([-1, (1 << 39) - 1, -(1 << 39)], [0x80000001, 0xFFFFFFFF, 0], [37, 63, 0])
    entries = [struct.unpack("<IbIB", stream[i * 10 : i * 10 + 10]) for i in range(3)]
    assert [(low | high << 32, scale, shift) for low, high, scale, shift in entries] == [
        (-1, 0x80000001, 37),
        ((1 << 39) - 1, 0xFFFFFFFF, 63),
        (-(1 << 39), 0, 0),
    ]
    assert stream[30:] == b"\0\0"


@pytest.mark.parametrize(("channels", "length"), [(0, 0), (1, 16), (8, 80), (9, 96)])
def test_length_is_a_multiple_of_sixteen(channels: int, length: int) -> None:
    assert len(encode_scales([7] * channels, [1] * channels, [0] * channels)) == length


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (([0, 1 << 39], [1, 1], [0, 0]), "bias 549755813888 of channel 1"),
        (([-(1 << 39) - 1], [1], [0]), "bias"),
        (([0], [1 << 32], [0]), "multiplier"),
        (([0], [-1], [0]), "multiplier -1 of channel 0"),
        (([0], [1], [64]), "shift 64"),
        (([0], [1], [-1]), "shift -1"),
        (([0], [1, 1], [0]), "1 / 2 / 1"),
    ],
)
def test_what_does_not_fit_is_refused(entry: tuple[list[int], list[int], list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_scales(*entry)
