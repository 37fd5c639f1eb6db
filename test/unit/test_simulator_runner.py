"""Whole files: CPU operators around an `ethos-u` one, comparison, trace, the tool and its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from npu_assembler import Assembler, place

from npuc.hardware import registers
from npuc.simulator import FileError, Session, load, run
from npuc.simulator.compare import Comparer, first_difference
from npuc.tools import npu_run

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

SHAPE = (1, 4, 4, 16)
RELU, ABS, CUSTOM = 19, 101, 32
ARENA_SIZE = 1024
FIRST, SECOND = 256, 512


def tensor(name: str, shape: tuple[int, ...], buffer: int = 0, kind: str = "INT8"):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), getattr(schema.TensorType, kind), buffer
    if kind == "INT8":
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [0.5], [0]
    return made


def operator(code: int, inputs: list[int], outputs: list[int], options: bytes = b""):
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    if options:
        made.customOptions = np.frombuffer(options, np.uint8)
    return made


def pack(tensors: list, operators: list, outputs: list[int], buffers: list[bytes], offsets: list[int] | None) -> bytes:
    import flatbuffers

    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = []
    for code, name in ((RELU, None), (CUSTOM, "ethos-u")):
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.customCode, made.version = name, 2 if code == RELU else 1
        model.operatorCodes.append(made)
    if offsets is not None:
        buffers = [*buffers, np.array([0, 1, len(offsets), *offsets], np.int32).tobytes()]
        entry = schema.MetadataT()
        entry.name, entry.buffer = "OfflineMemoryAllocation", len(buffers)
        model.metadata = [entry]
    model.buffers = [schema.BufferT() for _ in range(len(buffers) + 1)]
    for buffer, data in zip(model.buffers[1:], buffers, strict=True):
        buffer.data = np.frombuffer(data, np.uint8)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [0], outputs
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def original() -> bytes:
    names = ("in", "first", "second", "out")
    return pack(
        [tensor(name, SHAPE) for name in names],
        [operator(0, [i], [i + 1]) for i in range(3)],
        [3],
        [],
        None,
    )


def compiled(clip: int = 0, options: bytes = b"\x01\x04\x01", offset: int = SECOND) -> bytes:
    """RELU on the CPU, RELU as a clipping copy on the NPU, RELU on the CPU."""
    asm = Assembler()
    shape = (4, 4, 16)
    asm.kernel("POOL", 0, place("OFM", SECOND, shape), place("IFM", FIRST, shape), ACTIVATION_MIN=clip)
    payload = asm.payload()
    tensors = [
        tensor("in", SHAPE),
        tensor("first", SHAPE),
        tensor("second", SHAPE),
        tensor("out", SHAPE),
        tensor("stream", (len(payload),), 1, "UINT8"),
        tensor("constants", (16,), 2, "UINT8"),
        tensor("scratch", (ARENA_SIZE,), 0, "UINT8"),
    ]
    operators = [operator(0, [0], [1]), operator(1, [4, 5, 6, 6, 1], [2], options), operator(0, [2], [3])]
    offsets = [0, FIRST, offset, -1, -1, -1, 0]
    return pack(tensors, operators, [3], [payload, bytes(16)], offsets)


def test_a_file_runs_whole_and_equals_its_source():
    comparison = Comparer(load(compiled()), original()).run(seed=4, trace=True)
    assert comparison.exact
    assert comparison.reports == []
    assert [step.equals for step in comparison.steps] == ["equals 'first' of operator 0 (RELU)"]
    assert len(np.unique(comparison.result.outputs["out"])) > 50


def test_inputs_by_name_position_or_seed():
    model = load(compiled())
    value = np.full(SHAPE, -3, np.int8)
    value[0, 1, 2, 3] = 9
    by_name = run(model, {"in": value}).outputs["out"]
    np.testing.assert_array_equal(by_name, np.maximum(value, 0))
    np.testing.assert_array_equal(run(model, {0: value}).outputs["out"], by_name)
    first, again, other = (run(model, seed=seed).outputs["out"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    with pytest.raises(FileError, match="takes int8"):
        run(model, {"in": value.astype(np.int16)})


def test_the_first_wrong_operation_is_named():
    comparison = Comparer(load(compiled(clip=3)), original()).run(seed=4)
    assert not comparison.exact
    assert str(comparison.first_wrong).startswith("NPU_OP_POOL MAX (operation 0, word")
    assert "resembles 'second' of operator 1 (RELU)" in str(comparison.first_wrong)
    assert "3, the reference has" in str(comparison.first_wrong)


def test_a_tensor_that_nothing_wrote_is_reported():
    # The CPU reads elsewhere than the NPU wrote.
    result = Session(load(compiled(offset=SECOND + 128))).run()
    assert [report.kind for report in result.reports] == ["uninitialised"]
    assert "'second'" in result.reports[0].message


def test_first_difference():
    a = np.zeros((1, 2, 3), np.int8)
    b = a.copy()
    assert first_difference("x", a.reshape(2, 3), b) is None
    b[0, 1, 2] = 7
    assert (
        str(first_difference("x", a, b)) == "'x' differs in 1 of 6 elements, first at [0, 1, 2]: 0, the reference has 7"
    )


def test_the_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.tflite").write_bytes(compiled())
    (tmp_path / "wrong.tflite").write_bytes(compiled(clip=3))
    (tmp_path / "o.tflite").write_bytes(original())
    value = np.full(SHAPE, 5, np.int8)
    np.savez(tmp_path / "in.npz", **{"in": value})
    reference = ["--reference", str(tmp_path / "o.tflite")]
    assert npu_run.main([str(tmp_path / "c.tflite"), *reference, "--seed", "7", "--runs", "2"]) == 0
    assert capsys.readouterr().out == "seed 7: exact\nseed 8: exact\n"
    output = tmp_path / "out.npz"
    arguments = ["--input", str(tmp_path / "in.npz"), "--output", str(output), "--trace"]
    assert npu_run.main([str(tmp_path / "c.tflite"), *arguments]) == 0
    assert "writes OFM arena[0x200:0x300]" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(output)["out"], value)
    assert npu_run.main([str(tmp_path / "wrong.tflite"), *reference, "--runs", "1"]) == 1
    assert "first wrong: NPU_OP_POOL MAX" in capsys.readouterr().out


@pytest.mark.parametrize("length", [0, 4, 100, 900])
def test_damaged_files_are_refused_in_one_line(length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "c.tflite"
    path.write_bytes(compiled()[:length])
    assert npu_run.main([str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("npu-run: error: ")
    assert error.count("\n") == 1


def test_other_custom_options_are_refused():
    with pytest.raises(FileError, match="custom options 010401ff are not the driver's"):
        Session(load(compiled(options=b"\x01\x04\x01\xff")))


def test_mutated_files_never_crash():
    data = compiled()
    rng = np.random.default_rng(5)
    # Only the bytes that the simulator reads itself: what reaches LiteRT is LiteRT's own business.
    start = data.index(registers.PAYLOAD_FOURCC.to_bytes(4, "little"))
    refused = 0
    for _ in range(200):
        mutated = bytearray(data)
        mutated[int(rng.integers(start, start + 400))] ^= 1 << int(rng.integers(0, 8))
        try:
            run(bytes(mutated))
        except ValueError as error:
            refused += "\n" not in str(error)
    assert refused > 50
    for position in rng.integers(0, len(data), 500):
        mutated = bytearray(data)
        mutated[int(position)] ^= 1 << int(rng.integers(0, 8))
        try:
            load(bytes(mutated))
        except FileError:
            refused += 1
