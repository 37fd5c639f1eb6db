"""
What TFLM's Ethos-U kernel and Arm's driver find in a file that we emit, read independently of our own schema.

The rules are those of docs/artefacts.md; the flatbuffer is read by the classes that LiteRT ships.
"""

import json
import struct
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, PassFailedException

from npuc.hardware.accelerators import ACCELERATORS, accelerator
from npuc.lowering.command_stream.emit import parts
from npuc.lowering.command_stream.encode import encode
from npuc.lowering.convert_npu_cmd_to_tfl import ConvertNpuCmdToTflPass
from npuc.lowering.convert_tfl_to_npu_cmd import ConvertTflToNpuCmdPass
from npuc.lowering.tflite.export_tflite import export_tflite
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.passes.npu_cmd_allocate import NpuCmdAllocatePass
from npuc.tools.ir import make_context

TWO_REGIONS = (Path(__file__).parents[1] / "lowering" / "convert-npu-cmd-to-tfl.mlir").read_text()
FAST = (
    TWO_REGIONS.replace("u55-128", "u65-256")
    .replace("npu.arena_size = 512", "npu.fast_size = 64 : i64, npu.arena_size = 512")
    .replace("address <22528>", "address <47104>")
)
NO_CONSTANTS = """
module attributes {npu.target = #npu.target<"ethos-u55-64">} {
  func.func @main(%x: tensor<1x2x2x16xi8>) -> tensor<1x2x2x16xi8> {
    %y = npu.invoke @npu_0(%x) : (tensor<1x2x2x16xi8>) -> tensor<1x2x2x16xi8>
    func.return %y : tensor<1x2x2x16xi8>
  }
  npu_cmd.program @npu_0 {
    %x = npu_cmd.input index <0> address <64> : !npu.buffer<64, arena>
    %y = npu_cmd.output index <0> address <0> : !npu.buffer<64, arena>
    npu_cmd.pool max ifm %x <2x2x16xi8, nhwc> ofm %y <2x2x16xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <-128, 127> block <2x2x16> shram <ib_end 10, ab_start 12, acc 32>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena>
    npu_cmd.stop
  }
}
"""


def parse(text: str) -> tuple[Context, ModuleOp]:
    ctx = make_context()
    module = Parser(ctx, text).parse_module()
    module.verify()
    return ctx, module


def emitted(text: str) -> bytes:
    ctx, module = parse(text)
    ConvertNpuCmdToTflPass().apply(ctx, module)
    module.verify()
    return export_tflite(module)


def offline_plan(model) -> list[int]:
    """The arena offsets of all tensors, checked as TFLM checks them."""
    entries = [entry for entry in model.metadata if entry.name == b"OfflineMemoryAllocation"]
    assert len(entries) == 1
    words = struct.unpack(
        f"<{len(model.buffers[entries[0].buffer].data) // 4}i", bytes(model.buffers[entries[0].buffer].data)
    )
    count = sum(len(subgraph.tensors) for subgraph in model.subgraphs)
    assert words[0] == 0
    assert words[2] == count == len(words) - 3
    return list(words[3:])


def walk(data: bytes, machine: str) -> int:
    """
    Prepares and runs every Ethos-U operator as the kernel and the driver do, up to the start of the machine.

    Returns how many there are.
    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    assert data[4:8] == b"TFL3"
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    acc = accelerator(machine)
    plan = offline_plan(model)
    subgraph = model.subgraphs[0]
    for index, tensor in enumerate(subgraph.tensors):
        contents = model.buffers[tensor.buffer].data
        if contents is not None and len(contents):
            # Constants are used where they lie in the file, which is loaded 16-byte aligned.
            raw = bytes(contents)
            if len(raw) >= 64:
                assert data.index(raw) % 16 == 0
            assert plan[index] == -1
        assert plan[index] % 16 == 0 or plan[index] == -1
    found = 0
    arena = []
    for operator in subgraph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if code.builtinCode != schema.BuiltinOperator.CUSTOM or code.customCode != b"ethos-u":
            continue
        found += 1
        # Prepare: some inputs, and options whose flexbuffer root is the 8-bit integer 1.
        assert code.version == 1
        assert len(operator.inputs) > 0
        options = bytes(operator.customOptions)
        assert (options[-1], options[-2] >> 2, options[-2] & 3, options[-3]) == (1, 1, 0, 1)
        assert operator.customOptionsFormat == schema.CustomOptionsFormat.FLEXBUFFERS
        # Eval: input 0 is the payload, the following ones are the base pointers, then the outputs.
        tensors = [subgraph.tensors[index] for index in [*operator.inputs, *operator.outputs]]
        payload, read_only, scratch, fast = tensors[:4]
        for tensor in tensors[:4]:
            assert tensor.type == schema.TensorType.UINT8
            assert len(tensor.shape) == 1
        stream = bytes(model.buffers[payload.buffer].data)
        constants = bytes(model.buffers[read_only.buffer].data)
        assert len(stream) == payload.shape[0]
        assert len(constants) == read_only.shape[0] > 0
        for index in operator.inputs[2:4]:
            assert plan[index] == 0
            assert not model.buffers[subgraph.tensors[index].buffer].data
        for index in [*operator.inputs[4:], *operator.outputs]:
            tensor = subgraph.tensors[index]
            assert 0 <= plan[index] <= plan[index] + int(tensor.shape.prod()) <= scratch.shape[0]
        arena.append((read_only.name, scratch.shape[0], fast.shape[0]))
        drive(stream, acc)
    assert len(set(arena)) <= 1, "all operators share their memories"
    return found


def drive(payload: bytes, acc) -> None:
    """The driver's checks of a payload, word by word."""
    assert len(payload) % 4 == 0
    words = struct.unpack(f"<{len(payload) // 4}I", payload)
    assert payload[:4] == b"COP1"
    at, streams = 1, 0
    while at < len(words):
        match words[at] & 0xFF:
            case 1:
                config, identity = words[at + 1 : at + 3]
                assert config >> 28 == {"U55": 0, "U65": 1}[acc.product]
                assert 1 << (config & 15) == acc.macs * acc.cores
                assert config >> 4 & 15 == 0
                assert config >> 27 & 1 == 0
                assert identity >> 28 == 1
                at += 3
            case 2:
                length = words[at] >> 16 | (words[at] >> 8 & 0xFF) << 16
                assert (at + 1) % 4 == 0, "the command stream is 16-byte aligned"
                assert words[at + length] == 0xFFFF_0000, "the last command is NPU_OP_STOP"
                at += 1 + length
                streams += 1
            case action:
                assert action == 5
                at += 1
    assert at == len(words)
    assert streams == 1


@pytest.mark.parametrize(("text", "machine", "operators"), [
    (TWO_REGIONS, "ethos-u55-128", 2), (FAST, "ethos-u65-256", 2), (NO_CONSTANTS, "ethos-u55-64", 1)
])  # fmt: skip
def test_tflm_and_the_driver_take_the_file(text, machine, operators):
    assert walk(emitted(text), machine) == operators


@pytest.mark.parametrize("machine", ACCELERATORS)
def test_every_machine_finds_its_config_word(machine):
    text = NO_CONSTANTS.replace("ethos-u55-64", machine)
    assert walk(emitted(text), machine) == 1


def test_a_compiled_file_that_is_not_ours(shared_models):
    if shared_models is None:
        pytest.skip("the shared models are not here")
    path = shared_models / "vela" / "tflm_person_detect_vela.tflite"
    ctx = make_context()
    module = import_tflite(path.read_bytes())
    assert walk(export_tflite(module), "ethos-u55-256") == 1
    ConvertTflToNpuCmdPass().apply(ctx, module)
    module.verify()
    ConvertNpuCmdToTflPass().apply(ctx, module)
    assert walk(export_tflite(module), "ethos-u55-256") == 1


def test_a_fast_memory_is_an_input_of_its_own():
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    unused = FAST.replace("fast_size = 64", "fast_size = 0")
    for text, size in ((TWO_REGIONS, 512), (FAST, 64), (unused, 0)):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(emitted(text)))
        for operator in model.subgraphs[0].operators:
            if model.operatorCodes[operator.opcodeIndex].customCode:
                assert (operator.inputs[2] == operator.inputs[3]) == (text is TWO_REGIONS)
                # The driver refuses more than its own fast memory has.
                assert list(model.subgraphs[0].tensors[operator.inputs[3]].shape) == [size]


def test_litert_loads_the_file_and_misses_only_the_operator():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    with pytest.raises(RuntimeError, match="custom op: ethos-u"):
        litert.Interpreter(model_content=emitted(NO_CONSTANTS)).allocate_tensors()


def test_decoding_and_emitting_again_changes_nothing():
    def decoded(data: bytes) -> ModuleOp:
        module = import_tflite(data)
        ConvertTflToNpuCmdPass().apply(make_context(), module)
        module.verify()
        return module

    first = decoded(emitted(TWO_REGIONS))
    text = str(first)
    ConvertNpuCmdToTflPass().apply(make_context(), first)
    again = export_tflite(first)
    assert walk(again, "ethos-u55-128") == 2
    assert str(decoded(again)) == text


def test_parts_for_those_who_load_by_hand():
    _, module = parse(TWO_REGIONS)
    files = parts(module)
    assert sorted(files) == ["memory.json", "npu_0.payload.bin", "npu_1.payload.bin", "read_only.bin"]
    assert files["read_only.bin"] == bytes([7] * 256 + [1] * 16)
    memory = json.loads(files["memory.json"])
    assert memory["arena_size"] == 512
    assert memory["regions"]["npu_1"] == {"inputs": [64, 128], "outputs": [192]}
    acc = accelerator("ethos-u55-128")
    words = encode(next(op for op in module.ops if op.name == "npu_cmd.program"), acc)
    assert files["npu_0.payload.bin"].endswith(struct.pack(f"<{len(words)}I", *words))
    drive(files["npu_0.payload.bin"], acc)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("index <1> address <128>", "index <1>", "%c has no address"),
        ("npu_cmd.input index <0> address <64>", "npu_cmd.input index <0> address <80>",
         "tensor 'a' lies at byte 64 in @npu_0, but at byte 80 in @npu_1"),
        ("input index <1> address <128>", "input index <1> address <120>", "byte 120, which is no multiple of 16"),
        ("input index <1>", "input index <2>", "@npu_1 has no npu_cmd.input 1 for tensor 'c'"),
        ("address <256> dense", "address <240> dense", "two constants that differ lie at byte 240"),
        ("arena_size = 512", "arena_size = 200", "@npu_1 uses 256 bytes of the arena memory, npu.arena_size says 200"),
        ("npu.invoke @npu_1", "npu.invoke @npu_9", "npu.invoke.*: it calls @npu_9, which is no npu_cmd.program"),
        ('npu.target = #npu.target<"ethos-u55-128">, ', "", "the module names no machine"),
    ],
)  # fmt: skip
def test_what_cannot_be_emitted_is_one_line(old, new, message):
    assert old in TWO_REGIONS
    with pytest.raises(DiagnosticException, match=message) as error:
        emitted(TWO_REGIONS.replace(old, new))
    assert "\n" not in str(error.value)


def test_a_region_must_not_write_over_what_is_needed_later():
    text = TWO_REGIONS.replace("address <192>", "address <64>").replace("func.return %d", "func.return %a")
    emitted(TWO_REGIONS.replace("address <192>", "address <64>"))
    emitted(TWO_REGIONS.replace("func.return %d", "func.return %a"))
    with pytest.raises(PassFailedException, match="@npu_1 writes over tensor 'a', which is needed after it"):
        emitted(text)


@pytest.mark.parametrize(
    ("offset", "message"),
    [(480, "tensor 'b' ends at byte 544, npu.arena_size is 512"),
     (144, "tensor 'b' and tensor 'c' are needed at one time and share bytes"),
     (64, "tensor 'a' and tensor 'b' are needed at one time and share bytes")],
)  # fmt: skip
def test_a_tensor_of_the_host_has_a_place_of_its_own(offset, message):
    def at(place: int) -> str:
        return TWO_REGIONS.replace("tfl.abs %a :", f"tfl.abs %a {{tfl.tensors = [{{arena_offset = {place} : i64}}]}} :")

    ctx, module = parse(at(192))
    ConvertNpuCmdToTflPass().apply(ctx, module)
    with pytest.raises(PassFailedException, match=message):
        emitted(at(offset))


def test_a_plan_of_the_source_file_is_not_kept():
    text = TWO_REGIONS.replace("tfl.abs %a :", "tfl.abs %a {tfl.tensors = [{arena_offset = 4096 : i64}]} :")
    assert text != TWO_REGIONS
    ctx, module = parse(text)
    NpuCmdAllocatePass().apply(ctx, module)
    ConvertNpuCmdToTflPass().apply(ctx, module)
    assert "4096" not in str(module)


def test_every_file_has_a_description():
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    mine = TWO_REGIONS.replace("{npu.target", '{tfl.description = "mine", npu.target')
    for text, said in ((TWO_REGIONS, b"written by npuc"), (mine, b"mine")):
        assert schema.Model.GetRootAs(emitted(text)).Description() == said
