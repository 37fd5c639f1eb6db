"""Payloads and words that are refused, each with one line that names the word."""

import struct

import pytest

from npuc.hardware import registers
from npuc.simulator import StreamError, parse_payload, parse_words
from npuc.simulator.products import PRODUCT_BY_CONFIG, PRODUCTS

U55, U65 = PRODUCTS[2], PRODUCTS[4]
STOP = registers.operation_word("STOP", registers.STOP_PARAM)
HEAD = [registers.PAYLOAD_FOURCC, 0x00100001, U55.config, 0x10066001, 5, 5, 5]


def payload(*words: int, length: int | None = None, head: list[int] = HEAD) -> bytes:
    count = len(words) if length is None else length
    return struct.pack(f"<{len(head) + 1 + len(words)}I", *head, count << 16 | 2, *words)


def test_registers_keep_their_value_and_each_operation_sees_its_own():
    words: list[int] = []
    dma = {"DMA0_SRC_REGION": 0, "DMA0_SRC": 0x10, "DMA0_DST_REGION": 1, "DMA0_DST": 0x20, "DMA0_LEN": 16}
    for name, value in dma.items():
        words += registers.set_words(name, value)
    start = registers.operation_word("DMA_START")
    words += [start, *registers.set_words("DMA0_DST", 0x40), start, STOP]
    program = parse_payload(payload(*words))
    assert program.product is U55
    assert [op.name for op in program.ops] == ["DMA_START", "DMA_START", "STOP"]
    assert dict(program.ops[0].state) == dma
    assert dict(program.ops[1].state) == dma | {"DMA0_DST": 0x40}
    assert program.ops[1].word == len(words) - 2
    assert str(program.ops[1]) == f"NPU_OP_DMA_START (operation 1, word {len(words) - 2})"


def test_operands_round_trip():
    for register in registers.REGISTERS:
        words = registers.set_words(register.name, register.bits)
        assert len(words) == 1 + register.wide
        assert words[0] & 0x3FF == register.opcode
    assert registers.set_words("OFM_STRIDE_X", -448) == (0x00FF4014, 0xFFFFFE40)
    assert registers.set_words("IFM_PAD_TOP", 4) == (0x00040100,)
    assert registers.set_words("IFM_BASE0", 11360) == (0x00004000, 0x00002C60)
    assert registers.strides(registers.kernel_stride(3, 4)) == (3, 4)
    for refused in (("IFM_PAD_TOP", 128), ("IFM_REGION", 8), ("WEIGHT_LENGTH", 1 << 32)):
        with pytest.raises(ValueError, match="cannot hold"):
            registers.set_words(*refused)


def test_the_products_are_those_of_the_config_words():
    assert [PRODUCT_BY_CONFIG[product.config].name for product in PRODUCTS] == [
        "ethos-u55-32",
        "ethos-u55-64",
        "ethos-u55-128",
        "ethos-u55-256",
        "ethos-u65-256",
        "ethos-u65-512",
    ]
    for product in PRODUCTS:
        assert product.config >> 28 == product.u65
        assert 1 << (product.config & 15) == product.macs
        assert product.config >> 8 & 0xFF == product.banks * product.cores


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "payload word 0: nothing is not 'COP1'"),
        (b"COP2" * 4, "payload word 0: 0x32504f43 is not 'COP1'"),
        (payload(STOP)[:-1], "payload word 8: cut short, 35 bytes are no multiple of 4"),
        (payload(STOP)[:24], "payload word 6: cut short"),
        (payload(STOP, length=2), "payload word 7: command stream of 2 words cut short at 1"),
        (payload(STOP, 0, length=1), "payload word 9: words after the command stream"),
        (payload(STOP, head=[HEAD[0], 1, 0x20003008, *HEAD[3:]]), "payload word 2: config 0x20003008"),
        (payload(STOP, head=[*HEAD[:3], 0x20066001, *HEAD[4:]]), "payload word 3: architecture version 2"),
        (payload(STOP, head=[*HEAD[:4], 9, 5, 5]), "payload word 4: 0x00000009 is no action"),
        (payload(STOP, head=HEAD[:6]), "payload word 7: the command stream is not 16-byte aligned"),
        (payload(STOP, head=[HEAD[0], 5, 5]), "payload word 3: command stream before any config"),
        (payload(), "word 0: cut short, there is no NPU_OP_STOP"),
    ],
)
def test_payloads_that_are_refused(data: bytes, message: str):
    with pytest.raises(StreamError) as error:
        parse_payload(data)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([0x000003FF, STOP], "word 0 (0x000003ff): unknown command 0x3ff"),
        ([0x000040FF, 0, STOP], "word 0 (0x000040ff): unknown two-word command 0x0ff"),
        ([0x00000500, STOP], "word 0 (0x00000500): reserved bits of the command"),
        ([0x00008100, STOP], "word 0 (0x00008100): reserved bits of the command"),
        ([0x00800100, STOP], "word 0 (0x00800100): NPU_SET_IFM_PAD_TOP has reserved bits"),
        ([0x00004000], "word 0 (0x00004000): NPU_SET_IFM_BASE0 cut short"),
        ([STOP, STOP], "word 1 (0xffff0000): words after NPU_OP_STOP"),
        ([0x00000000], "word 0 (0x00000000): NPU_OP_STOP has param 0x0, not 0xffff"),
        ([0x00030005, STOP], "word 0 (0x00030005): NPU_OP_POOL has undefined param 3"),
        ([0x000D0105, STOP], "word 0 (0x000d0105): NPU_SET_IFM_PRECISION has undefined precision 3"),
        ([0x00010123, STOP], "word 0 (0x00010123): NPU_SET_PARALLEL_MODE is no register of ethos-u55-128"),
        ([0x00004090, 0, STOP], "NPU_SET_WEIGHT1_BASE is no register of ethos-u55-128"),
        ([0x00000002, STOP], "NPU_OP_CONV  reads NPU_SET_OFM_PRECISION, which no word sets"),
    ],
)
def test_words_that_are_refused(words: list[int], message: str):
    with pytest.raises(StreamError) as error:
        parse_words(words, U55)
    assert message in str(error.value)


def test_registers_of_the_u65():
    program = parse_words([*registers.set_words("PARALLEL_MODE", 0), STOP], U65)
    assert [op.name for op in program.ops] == ["STOP"]
