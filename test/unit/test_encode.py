"""npu_cmd -> words and back, on programs small enough to check by eye."""

import random
import shutil
import struct
import subprocess

import numpy as np
import pytest
from tiny_writer import Model, Op, Subgraph, Tensor, constant
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, PassFailedException

from npuc.dialects.npu import NPU
from npuc.dialects.npu_cmd import NPU_CMD, ConvOp, ElementwiseOp, PoolOp, ProgramOp
from npuc.hardware import registers
from npuc.hardware.accelerators import accelerator
from npuc.hardware.registers import Register, set_words
from npuc.lowering.command_stream.decode import Memory, decode, read_commands
from npuc.lowering.command_stream.encode import encode
from npuc.lowering.command_stream.payload import unwrap, wrap
from npuc.lowering.command_stream.print_asm import annotate
from npuc.lowering.convert_tfl_to_npu_cmd import ConvertTflToNpuCmdPass
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.lowering.tflite.tflite_schema import TFLiteError
from npuc.tools.ir import make_context

U55 = accelerator("ethos-u55-128")
U65 = accelerator("ethos-u65-512")
MEMORIES = {space: Memory(1 << 20) for space in ("read_only", "arena", "fast", "shram")}

# The first kernel of a keyword spotting network: command_stream facts from a stream that runs on hardware.
CONV = """
npu_cmd.program @npu_0 {
  %x = npu_cmd.input index <0> address <11360> : !npu.buffer<490, arena>
  %y = npu_cmd.alloc address <0> : !npu.buffer<8000, arena>
  %w = npu_cmd.alloc address <11856> : !npu.buffer<1120, arena>
  npu_cmd.wait dma pending <0>
  npu_cmd.conv ifm %x <49x10x1xi8, nhwc, zero_point 83> ofm %y <25x5x16xi8, nhcwb16, zero_point -128, strides 320 16 80>
    weights %w <160, 960> scales %w <0, 160> window <10x4, stride 2x2, pad 4 1 5 1> part_kernel
    scale <per_channel, double_round> activation <-128, 127>
    block <10x6x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <0>
    : !npu.buffer<490, arena>, !npu.buffer<8000, arena>, !npu.buffer<1120, arena>, !npu.buffer<1120, arena>
  npu_cmd.stop
}
"""

TABLE_AND_SCALAR = """
npu_cmd.program @npu_0 {
  %x = npu_cmd.input index <0> address <64> : !npu.buffer<64, arena>
  %t = npu_cmd.constant address <0> dense<"0x00"> : tensor<1024xui8> -> !npu.buffer<1024, read_only>
  %s = npu_cmd.alloc address <22528> : !npu.buffer<1024, shram>
  %y = npu_cmd.output index <0> address <256> : !npu.buffer<256, arena>
  npu_cmd.dma from %t to %s size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, shram>
  npu_cmd.wait dma pending <0>
  npu_cmd.elementwise sub ifm %x <4x4x4xi8, nhwc, zero_point -3> ofm %y <4x4x4xi32, nhwc, zero_point 127>
    scalar <-9, -3> reversed operand_scales <ifm 1623821475, shift 13>
    scale <1098017566, shift 48, double_round> activation <table, -128, 127> table %s clip_range <3>
    block <4x4x8> shram <ib_end 22, ab_start 22, acc 32>
    : !npu.buffer<64, arena>, !npu.buffer<256, arena>, !npu.buffer<1024, shram>
  npu_cmd.stop
}
"""


def parse(text: str) -> ProgramOp:
    ctx = Context()
    for dialect in (Builtin, NPU, NPU_CMD):
        ctx.load_dialect(dialect)
    module = Parser(ctx, text).parse_module()
    module.verify()
    (program,) = module.ops
    assert isinstance(program, ProgramOp)
    return program


def states(words, acc):
    """What the machine reads at each operation, from the words alone."""
    current, found = {}, []
    for _, target, operand in read_commands(words):
        if isinstance(target, Register):
            current[target.name] = operand
            continue
        mode = dict(target.params).get(operand, "")
        groups = registers.groups_read(target.name, mode, current, acc.cores)
        names = [name for group in groups for name in registers.GROUPS[group]]
        if groups:
            names += registers.extra_registers_read(target.name, mode, current)
        found.append((target.name, operand, {name: current[name] for name in names}))
    return found


def test_the_registers_of_a_convolution():
    conv = states(encode(parse(CONV), U55), U55)[1]
    assert conv[:2] == ("CONV", 0)
    expected = {
        "IFM_REGION": 1, "IFM_BASE0": 11360, "IFM_BASE1": 0, "IFM_BASE2": 0, "IFM_BASE3": 0,
        "IFM_HEIGHT0_M1": 48, "IFM_HEIGHT1_M1": 48, "IFM_WIDTH0_M1": 9, "IFM_DEPTH_M1": 0,
        "IFM_STRIDE_Y": 10, "IFM_STRIDE_X": 1, "IFM_STRIDE_C": 1, "IFM_ZERO_POINT": 83, "IFM_PRECISION": 0x01,
        "IFM_UPSCALE": 0, "IFM_PAD_TOP": 4, "IFM_PAD_LEFT": 1, "IFM_PAD_BOTTOM": 5, "IFM_PAD_RIGHT": 1,
        "OFM_REGION": 1, "OFM_BASE0": 0, "OFM_BASE1": 0, "OFM_BASE2": 0, "OFM_BASE3": 0, "OFM_HEIGHT_M1": 24,
        "OFM_WIDTH_M1": 4, "OFM_DEPTH_M1": 15, "OFM_HEIGHT0_M1": 24, "OFM_HEIGHT1_M1": 24, "OFM_WIDTH0_M1": 4,
        "OFM_STRIDE_Y": 320, "OFM_STRIDE_X": 16, "OFM_STRIDE_C": 80, "OFM_ZERO_POINT": 0xFF80, "OFM_PRECISION": 0x41,
        "KERNEL_HEIGHT_M1": 9, "KERNEL_WIDTH_M1": 3, "KERNEL_STRIDE": 7,
        "WEIGHT_REGION": 1, "WEIGHT_BASE": 12016, "WEIGHT_LENGTH": 960,
        "SCALE_REGION": 1, "SCALE_BASE": 11856, "SCALE_LENGTH": 160,
        "ACTIVATION": 0, "ACTIVATION_MIN": 0xFF80, "ACTIVATION_MAX": 0x7F,
        "OFM_BLK_HEIGHT_M1": 9, "OFM_BLK_WIDTH_M1": 5, "OFM_BLK_DEPTH_M1": 15,
        "IFM_IB_END": 10, "AB_START": 14, "ACC_FORMAT": 0, "BLOCKDEP": 0,
    }  # fmt: skip
    assert conv[2] == expected


def test_the_registers_of_table_scalar_and_reversed_operands():
    dma, _, sub, _ = states(encode(parse(TABLE_AND_SCALAR), U55), U55)
    assert (dma[2]["DMA0_DST_REGION"], dma[2]["DMA0_DST"], dma[2]["DMA0_LEN"]) == (0x103, 22528, 1024)
    assert sub[:2] == ("ELEMENTWISE", 2)
    state = sub[2]
    assert state["ACTIVATION"] == 0x3010
    assert state["IFM2_BROADCAST"] == 1 << 7 | 1 << 6
    assert (state["IFM2_SCALAR"], state["IFM2_ZERO_POINT"]) == (0xFFF7, 0xFFFD)
    assert state["OFM_PRECISION"] == 0x105
    # The scaled operand is the IFM, which is operand B once they are exchanged.
    assert state["IFM_PRECISION"] == 0x201
    assert (state["OPA_SCALE"], state["OPB_SCALE"]) == (13 << 32 | 1623821475, 0)
    assert state["OFM_SCALE"] == 48 << 32 | 1098017566


def test_the_region_of_a_scalar_is_set_once():
    """Nothing reads it, but Linux 6.19 takes no scalar in a stream that has not set it."""
    kernel = TABLE_AND_SCALAR[TABLE_AND_SCALAR.index("npu_cmd.elementwise") : TABLE_AND_SCALAR.index("npu_cmd.stop")]
    words = encode(parse(TABLE_AND_SCALAR.replace("npu_cmd.stop", kernel + "npu_cmd.stop")), U55)
    names = [target.name for _, target, _ in read_commands(words)]
    assert names.count("ELEMENTWISE") == 2
    assert names.count("IFM2_REGION") == 1
    assert names.index("IFM2_REGION") < names.index("ELEMENTWISE")


@pytest.mark.parametrize("text", [CONV, TABLE_AND_SCALAR])
def test_decoding_gives_back_the_state_of_every_operation(text):
    words = encode(parse(text), U55)
    program = decode(words, U55, "again", MEMORIES)
    program.verify()
    assert encode(program, U55) == words


def test_only_changes_are_written_and_waits_stand_before_their_operation():
    words = encode(parse(CONV.replace("npu_cmd.stop", CONV[CONV.index("npu_cmd.conv") : CONV.index("npu_cmd.stop")]
                                      .replace("blockdep <0>", "blockdep <3>") + "npu_cmd.stop")), U55)  # fmt: skip
    commands = [(target.name, operand) for _, target, operand in read_commands(words)]
    first = commands.index(("CONV", 0))
    assert commands[first - 1] == ("DMA_WAIT", 0)
    assert commands[first + 1 :] == [("BLOCKDEP", 3), ("CONV", 0), ("STOP", 0xFFFF)]


def test_two_cores_have_two_streams_and_say_so_first():
    text = CONV.replace("<160, 960>", "<160, 480, 640, 480>").replace("<0, 160>", "<0, 80, 80, 80>")
    words = encode(parse(text), U65)
    assert tuple(words[:1]) == set_words("PARALLEL_MODE", 1)
    state = states(words, U65)[1][2]
    assert (state["WEIGHT_BASE"], state["WEIGHT1_BASE"]) == (11856 + 160, 11856 + 640)
    assert (state["SCALE1_BASE"], state["SCALE1_LENGTH"]) == (11856 + 80, 80)
    assert encode(decode(words, U65, "again", MEMORIES), U65) == words


def test_rolling_buffers_and_unused_tiles():
    rolled = CONV.replace("zero_point 83>", "zero_point 83, offset 200, tiles 10 29 49 0 0 0>")
    state = states(encode(parse(rolled), U55), U55)[1][2]
    assert (state["IFM_HEIGHT0_M1"], state["IFM_HEIGHT1_M1"], state["IFM_WIDTH0_M1"]) == (28, 48, 9)
    # The tile below continues at the start of the buffer; those to the right hold nothing.
    assert [state[f"IFM_BASE{tile}"] for tile in range(4)] == [11560, 0, 11360, 0]
    program = decode(encode(parse(rolled), U55), U55, "again", MEMORIES)
    assert encode(program, U55) == encode(parse(rolled), U55)


def test_what_is_read_back_as_attributes():
    (conv,) = (op for op in decode(encode(parse(CONV), U55), U55, "again", MEMORIES).walk() if isinstance(op, ConvOp))
    (source,) = (op for op in parse(CONV).walk() if isinstance(op, ConvOp))
    for name in ("window", "scale", "activation", "block", "shram", "blockdep", "part_kernel"):
        assert conv.properties[name] == source.properties[name]
    assert conv.ofm_map == source.ofm_map
    assert (conv.weight_ranges.data, conv.scale_ranges.data) == ((12016, 960), (11856, 160))
    program = decode(encode(parse(TABLE_AND_SCALAR), U55), U55, "again", MEMORIES)
    (sub,) = (op for op in program.walk() if isinstance(op, ElementwiseOp))
    assert sub.operand_scales is not None
    assert sub.operand_scales.data.which == "ifm"
    assert sub.scalar is not None
    assert sub.scalar.data == (-9, -3)


POOL = """
npu_cmd.program @npu_0 {
  %x = npu_cmd.input index <0> address <0> : !npu.buffer<1024, arena>
  %y = npu_cmd.output index <0> address <1024> : !npu.buffer<16, arena>
  npu_cmd.pool average ifm %x <8x8x16xui8, nhwc, zero_point 200> ofm %y <1x1x16xui8, nhwc> window <8x8>
    scale <2147483649, shift 37, natural> activation <0, 255> block <1x2x16> shram <ib_end 10, ab_start 14, acc 32>
    : !npu.buffer<1024, arena>, !npu.buffer<16, arena>
  npu_cmd.stop
}
"""


def test_a_pool_of_unsigned_bytes():
    words = encode(parse(POOL), U55)
    state = states(words, U55)[0][2]
    assert state["OFM_PRECISION"] == 0x8100
    assert (state["IFM_ZERO_POINT"], state["ACTIVATION_MAX"]) == (200, 255)
    (pool,) = (op for op in decode(words, U55, "again", MEMORIES).walk() if isinstance(op, PoolOp))
    assert (pool.kind.data, pool.ifm_map.data.zero_point, pool.activation.data.high) == ("average", 200, 255)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("alloc address <0>", "alloc"), r"npu_cmd.conv: %y has no address"),
        (("block <10x6x16>", "block <33x6x16>"), "OFM_BLK_HEIGHT_M1 cannot hold 33"),
        (("<160, 960>", "<160, 950>"), "WEIGHT_LENGTH 950 is not a multiple of 16"),
        (("address <0> :", "address <8> :"), "OFM_BASE0 8 is not a multiple of 16"),
        (("<160, 960>", "<160, 960, 0, 0>"), "an offset and a length for each of 1 cores"),
        (("npu_cmd.stop", ""), "@npu_0 does not end with npu_cmd.stop"),
        (("stride 2x2", "stride 5x2"), "strides of 1 to 4"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(change, message):
    with pytest.raises(PassFailedException, match=message) as error:
        encode(parse(CONV.replace(*change)), U55)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([0x0000_03FF], "word 0 of the command stream, 0x000003ff, is no command"),
        ([0x0000_4000], "cut short in NPU_SET_IFM_BASE0, word 0"),
        ([0x0000_0002], "NPU_OP_CONV at word 0 reads NPU_SET_OFM_HEIGHT_M1, which no word sets"),
        ([0x0000_0001], "no such operation"),
        ([0x0003_0107], "NPU_SET_IFM_UPSCALE at word 0: mode cannot be 3"),
        ([0x0100_0100], "NPU_SET_IFM_PAD_TOP at word 0: 0x100 has bits that the register has not"),
        ([0x0000_0123], "ethos-u55-128 has no such register"),
        ([], "without NPU_OP_STOP"),
        ([0xFFFF_0000, 0xFFFF_0000], "word 1 of the command stream comes after"),
    ],
)
def test_what_cannot_be_decoded_names_the_word(words, message):
    with pytest.raises(PassFailedException, match=message):
        decode(words, U55, "x", MEMORIES)


def test_payload():
    payload = wrap([0xFFFF_0000], U55)
    assert payload[:4] == b"COP1"
    # The stream starts 16-byte aligned: config, version, three NOPs, its own header.
    assert payload[16:] == bytes([5, 0, 0, 0] * 3 + [2, 0, 1, 0]) + (0xFFFF_0000).to_bytes(4, "little")
    assert unwrap(payload) == (U55, (0xFFFF_0000,))
    long = [0] * 0x2_0001
    assert unwrap(wrap(long, U65)) == (U65, tuple(long))
    with pytest.raises(ValueError, match="at most 16777216 bytes"):
        wrap([0] * (1 << 22 | 1), U55)
    for bad in (b"", b"COP", b"COP2" + payload[4:], payload[:-4], payload[:8], payload[:28]):
        with pytest.raises(ValueError, match=r"payload|stream"):
            unwrap(bad)


def payloads(file: bytes) -> list[bytes]:
    """The driver payloads in a TFLite file: byte vectors, each with its length before it."""
    found, at = [], file.find(b"COP1")
    while at >= 0:
        (length,) = struct.unpack_from("<I", file, at - 4)
        found.append(file[at : at + length])
        at = file.find(b"COP1", at + length)
    return found


def check_machine_states(file: bytes) -> int:
    """Decodes and encodes all streams of a file; how many operations stand on the same state, which is all."""
    compared = 0
    for payload in payloads(file):
        acc, words = unwrap(payload)
        huge = {space: Memory(1 << 40) for space in MEMORIES}
        program = decode(words, acc, "p", huge)
        program.verify()
        wanted, found = states(words, acc), states(encode(program, acc), acc)
        for _, _, state in [*wanted, *found]:
            if state.get("IFM2_BROADCAST", 0) & 1 << 7:
                state["IFM2_PRECISION"] &= ~registers.pack("IFM2_PRECISION", format=1)  # a scalar has no layout
        assert wanted == found
        compared += len(wanted)
        assert len(list(annotate(words))) == len(list(read_commands(words)))
    return compared


def test_machine_states_of_a_stream_by_vela(shared_models):
    if shared_models is None:
        pytest.skip("the shared models are not here")
    assert check_machine_states((shared_models / "vela" / "tflm_person_detect_vela.tflite").read_bytes()) > 100


@pytest.mark.parametrize("accelerator_config", ["ethos-u55-32", "ethos-u65-512"])
@pytest.mark.parametrize("core", ["regor", "legacy"])
def test_machine_states_of_streams_that_vela_makes(models, tmp_path, accelerator_config, core):
    vela = shutil.which("vela")
    if vela is None:
        pytest.skip("vela is not installed")
    names = ("residual_net", "int16x8_net", "uint8_net", "op_softmax", "op_transpose_conv")
    legacy = ["--debug-force-legacy-core"] if core == "legacy" else []
    compared = 0
    for name in names:
        command = [vela, str(models[name].path), "--accelerator-config", accelerator_config, "--output-dir", tmp_path]
        subprocess.run([*command, *legacy], check=True, capture_output=True)
        compared += check_machine_states((tmp_path / f"{name}_vela.tflite").read_bytes())
    assert compared > 50


def compiled(payload: bytes, options: bytes = b"\x01\x04\x01", parts: int = 1, is_constant: bool = True) -> bytes:
    """A compiled file: `parts` operators, all of them writing one tensor."""
    x, y = Tensor("x", (1, 8, 8, 16), "uint8"), Tensor("y", (1, 1, 1, 16), "uint8")
    data = np.frombuffer(payload, np.uint8)
    stream = constant("stream", data) if is_constant else Tensor("stream", data.shape, "uint8")
    read_only = constant("read_only", np.zeros(16, np.uint8))
    scratch = Tensor("scratch", (2048,), "uint8")
    inputs = [stream, read_only, scratch, scratch, x]
    ops = [Op("CUSTOM", inputs, [y], custom="ethos-u", custom_options=options) for _ in range(parts)]
    plan = {"x": 0, "y": 1024, "scratch": 0}
    subgraph = Subgraph([x], [y], ops)
    offsets = [plan.get(tensor.name, -1) for tensor in subgraph.tensors()]
    allocation = struct.pack(f"<{3 + len(offsets)}i", 0, 1, len(offsets), *offsets)
    return Model(subgraph, metadata={"OfflineMemoryAllocation": allocation}).to_bytes()


def decoded(file: bytes) -> str:
    module = import_tflite(file)
    ConvertTflToNpuCmdPass().apply(make_context(), module)
    module.verify()
    return str(module)


def test_several_operators_may_write_parts_of_one_tensor():
    text = decoded(compiled(wrap(encode(parse(POOL), U55), U55), parts=2))
    assert text.count("npu.invoke") == 2
    assert text.count("npu_cmd.output index <0> address <1024>") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": b"\x02\x04\x01"}, "its options are not those of an Ethos-U payload"),
        ({"is_constant": False}, "its command stream is no constant"),
        ({"payload": b"COP2"}, "a driver payload starts with COP1"),
        ({"payload": b"COP1"}, "a driver payload without command stream"),
        ({"payload": wrap([0x3FF], U55)}, "word 0 of the command stream, 0x000003ff, is no command"),
    ],
)
def test_a_compiled_file_that_cannot_be_decoded(change, message):
    with pytest.raises(PassFailedException, match=r"tfl.custom \(y\): .*" + message):
        decoded(compiled(**({"payload": wrap(encode(parse(POOL), U55), U55)} | change)))


def test_damaged_payloads_are_decoded_or_refused_in_one_line():
    rng = random.Random(1)
    sound = wrap(encode(parse(TABLE_AND_SCALAR), U55), U55)
    refused: list[str] = []
    for _ in range(300):
        damaged = bytearray(sound)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        try:
            decoded(compiled(bytes(damaged)))
        except (DiagnosticException, TFLiteError) as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert not any("\n" in message for message in refused)
