"""The order of weights in a stream, against the loops of docs/weights.md written out plainly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.hardware.shram import prefers_part_kernel
from npuc.hardware.weights import WeightOrder
from npuc.hardware.weights.order import traverse


def expected_order(volume: np.ndarray, order: WeightOrder, core: int) -> list[int]:
    """Element by element, as the hardware asks for them."""
    volume = volume[core :: order.cores]
    channels, height, width, ifm_depth = volume.shape
    depthwise, part_kernel = order.kind == "depthwise", order.part_kernel
    ofm_ublock, ifm_ublock = order.ofm_ublock_depth, 1 if depthwise else order.ifm_ublock_depth
    block = (order.block_depth + 1) // 2 if (order.cores, core) == (2, 0) else order.block_depth // order.cores
    ifm_block = 16 if part_kernel or order.ifm_bits == 16 else 32
    limit_h, limit_w = 8 // order.dilation[0], 8 // order.dilation[1]
    stream: list[int] = []

    def emit(o: int, y: int, x: int, i: int, inside: bool) -> None:
        inside = inside and o < channels and i < ifm_depth
        stream.append(int(volume[o, y, x, i]) if inside else 0)

    for ob in range(0, channels, block):
        for ib in range(0, 1 if depthwise else ifm_depth, ifm_block):
            if depthwise:
                id_ = ifm_ublock
            else:
                id_ = min(ifm_block, ifm_depth - ib) if part_kernel else ifm_block
            for sy in range(0, height, limit_h):
                for sx in range(0, width, limit_w):
                    sh, sw = min(limit_h, height - sy), min(limit_w, width - sx)
                    elements = sh * sw
                    if part_kernel or depthwise:
                        step = 2 if part_kernel and order.ifm_bits == 16 else 4
                        elements = (elements + step - 1) // step * step
                    for iu_outer in range(0, id_ if part_kernel else 1, ifm_ublock):
                        for ou in range(0, min(block, channels - ob), ofm_ublock):
                            for e in range(elements):
                                ky, kx = e // sw, e % sw
                                for iu_inner in range(0, 1 if part_kernel else id_, ifm_ublock):
                                    for oz in range(ofm_ublock):
                                        for iz in range(ifm_ublock):
                                            i = ib + iu_outer + iu_inner + iz
                                            emit(ob + ou + oz, sy + ky, sx + kx, i, ky < sh)
    return stream


@st.composite
def orders(draw: st.DrawFn) -> WeightOrder:
    kind = draw(st.sampled_from(["conv", "depthwise"]))
    return WeightOrder(
        kind=kind,
        part_kernel=kind == "conv" and draw(st.booleans()),
        ifm_bits=draw(st.sampled_from([8, 16])),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        block_depth=draw(st.sampled_from([4, 8, 12, 16, 21, 24, 32, 128])),
        ofm_ublock_depth=draw(st.sampled_from([4, 8])),
        ifm_ublock_depth=8,
        cores=draw(st.integers(1, 2)),
    )


@examples(150)
@given(orders(), st.integers(1, 40), st.integers(1, 11), st.integers(1, 11), st.integers(1, 70), st.data())
def test_order_is_that_of_the_loops(order: WeightOrder, o: int, h: int, w: int, i: int, data: st.DataObject) -> None:
    if order.kind == "depthwise":
        i = 1
    if o * h * w * i > 6000:  # keeps the plain loops quick; every single extent still reaches its end
        h, w = (h, 1) if data.draw(st.booleans()) else (1, w)
    dtype = data.draw(st.sampled_from([np.uint8, np.int16]))
    # Different values next to each other, none of them the zero of the padding.
    volume = (np.arange(o * h * w * i) % 251 + 1).astype(dtype).reshape(o, h, w, i)
    for core in range(order.cores):
        assert traverse(volume, order, core).tolist() == expected_order(volume, order, core)


def conv(**changes: object) -> WeightOrder:
    fields = {
        "kind": "conv",
        "part_kernel": False,
        "ifm_bits": 8,
        "dilation": (1, 1),
        "block_depth": 16,
        "ofm_ublock_depth": 8,
        "ifm_ublock_depth": 8,
        "cores": 1,
    }
    return WeightOrder(**(fields | changes))  # pyright: ignore[reportArgumentType]


def test_channels_are_dealt_to_two_cores_in_turn() -> None:
    volume = np.arange(1, 22, dtype=np.int16).reshape(21, 1, 1, 1)
    order = conv(cores=2)
    assert [order.core_block_depth(core) for core in (0, 1)] == [8, 8]
    for core in (0, 1):
        stream = traverse(volume, order, core)
        assert stream[stream != 0].tolist() == list(range(1 + core, 22, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pool"}, "'conv' or 'depthwise'"),
        ({"kind": "depthwise", "part_kernel": True}, "no part-kernel order"),
        ({"ifm_bits": 32}, "8 or 16 bits"),
        ({"dilation": (1, 3)}, "dilation"),
        ({"block_depth": 1, "cores": 2}, "block depth 1"),
    ],
)
def test_orders_that_no_accelerator_has_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conv(**changes)


def test_depthwise_volumes_have_one_input_channel() -> None:
    with pytest.raises(ValueError, match="not 2"):
        traverse(np.zeros((4, 3, 3, 2), np.int16), conv(kind="depthwise"), 0)


@pytest.mark.parametrize(
    ("ifm_depth", "kernel", "ifm_bits", "expected"),
    [
        (3, (3, 3), 8, True),
        (8, (1, 1), 8, True),
        (16, (3, 3), 8, True),  # 9/12 of the array against 16/32
        (32, (3, 3), 8, False),  # 9/12 against all of it
        (32, (2, 2), 8, True),  # a tie goes to part-kernel
        (24, (1, 1), 8, False),  # 1/4 against 24/32
        (24, (3, 3), 16, True),  # 9/10 against 24/32
        (16, (3, 3), 16, False),
    ],
)
def test_traversal_that_uses_more_of_the_array_is_preferred(
    ifm_depth: int, kernel: tuple[int, int], ifm_bits: int, expected: bool
) -> None:
    assert prefers_part_kernel(ifm_depth, kernel, ifm_bits) is expected
