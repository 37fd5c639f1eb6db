"""Whole files: CPU operators around an `ethos-u` one, comparison, trace, the tool and its refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from npu_assembler import Assembler, place

from npuc.hardware import registers
from npuc.simulator import FileError, Session, StreamError, load, run
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
    comparison = Comparer(load(compiled()), original()).run(seed=0, trace=True)
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


VALUE = np.zeros(SHAPE, np.int8)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"nosuch": VALUE}, "'nosuch' is no input of the model, which takes 0 'in'"),
        ({7: VALUE}, "7 is no input of the model"),
        ({-1: VALUE}, "-1 is no input of the model"),
        ({"in": VALUE, 0: VALUE}, "input 0 'in' is given by name and by position"),
        ({"in": VALUE.reshape(1, 4, 16, 4)}, r"input 'in' takes int8 \(1, 4, 4, 16\), not int8 \(1, 4, 16, 4\)"),
        ({0: VALUE.reshape(-1)}, r"not int8 \(256,\)"),
    ],
)
def test_inputs_that_the_model_does_not_take_are_refused(inputs: dict, message: str):
    with pytest.raises(FileError, match=message):
        run(compiled(), inputs)


def test_a_batch_of_one_may_be_left_out():
    np.testing.assert_array_equal(*(run(compiled(), {0: value}).outputs["out"] for value in (VALUE + 3, VALUE[0] + 3)))


@pytest.mark.parametrize(
    ("names", "message"),
    [(["nosuch"], "'nosuch' is no input"), (["7"], "7 is no input"), ([], "is missing, of 0 'in'")],
)
@pytest.mark.parametrize("reference", [False, True])
def test_the_tool_wants_all_inputs_and_no_others(
    names: list[str], message: str, reference: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "c.tflite").write_bytes(compiled())
    (tmp_path / "o.tflite").write_bytes(original())
    np.savez(tmp_path / "in.npz", **{name: VALUE for name in names})
    arguments = [str(tmp_path / "c.tflite"), "--input", str(tmp_path / "in.npz")]
    assert npu_run.main(arguments + ["--reference", str(tmp_path / "o.tflite")] * reference) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_the_first_wrong_operation_is_named():
    comparison = Comparer(load(compiled(clip=3)), original()).run(seed=0)
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c.tflite", "--runs", "0"], "--runs 0: at least one"),
        (["c.tflite", "--runs", "-3"], "--runs -3: at least one"),
        (["c.tflite", "--runs", "2", "--input", "in.npz"], "--runs 2: --input in.npz gives the inputs of one run"),
        (["o.tflite"], "o.tflite: no ethos-u operator"),
        (["o.tflite", "--reference", "o.tflite"], "o.tflite: no ethos-u operator"),
    ],
)
def test_the_tool_refuses_to_run_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    Path("c.tflite").write_bytes(compiled())
    Path("o.tflite").write_bytes(original())
    np.savez("in.npz", **{"in": VALUE})
    assert npu_run.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


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
        except StreamError as error:
            refused += "\n" not in str(error)
    assert refused > 50
    for position in rng.integers(0, len(data), 500):
        mutated = bytearray(data)
        mutated[int(position)] ^= 1 << int(rng.integers(0, 8))
        try:
            load(bytes(mutated))
        except FileError:
            refused += 1


def altered(change: Callable[[Any], None]) -> bytes:
    """The compiled file with something changed in its flatbuffer; tensors are those of `compiled` by name."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(compiled(), 0)
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    change(SimpleNamespace(model=model, operators=model.subgraphs[0].operators, **tensors))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def a_variable_beyond_its_type(file: Any) -> None:
    file.second.isVariable = True
    file.second.quantization.zeroPoint = [300]


def metadata(change: Callable[[bytes], bytes]) -> Callable[[Any], None]:
    def apply(file: Any) -> None:
        buffer = file.model.buffers[file.model.metadata[0].buffer]
        buffer.data = np.frombuffer(change(bytes(bytearray(buffer.data))), np.uint8)

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: setattr(file.scratch, "shape", [2**31 - 1]), "'scratch' of shape"),
        (lambda file: setattr(getattr(file, "in"), "shape", [2**20, 2**20, 2**24]), "'in' of shape"),
        (lambda file: setattr(file.out, "shape", [2**16] * 4), "is larger than 1024 MiB"),
        (lambda file: setattr(file.first, "shape", [1, -4, 4, 16]), "'first' has no fixed shape"),
        (lambda file: setattr(file.first, "shape", [1, 4, 4, 8]), "takes 128 bytes, its operator gives 256"),
        (lambda file: setattr(file.operators[0], "inputs", None), "operator 0|LiteRT"),
        (lambda file: setattr(file.operators[0], "outputs", [-1]), "operator 0"),
        (lambda file: setattr(file.operators[1], "outputs", [-1]), "operator 1"),
        (a_variable_beyond_its_type, "'second' has zero point 300, no int8"),
        (metadata(lambda words: words[:8] + b"\xff\xff\xff\x7f" + words[12:]), "does not hold what it announces"),
        (metadata(lambda words: words + b"\0"), "does not hold what it announces"),
        (metadata(lambda words: words[:-4] + b"\xf0\xff\xff\x7f"), "plans an arena of"),
    ],
)
def test_damage_outside_the_payload_is_one_line(change: Callable[[Any], None], message: str):
    with pytest.raises(StreamError, match=message) as error:
        run(altered(change))
    assert "\n" not in str(error.value)


def test_damage_that_only_the_schema_sees_is_one_line():
    data = bytearray(altered(lambda file: setattr(file.first, "shapeSignature", [7777, 7777, 7777, 7777])))
    at = data.index(np.full(4, 7777, "<i4").tobytes())
    data[at - 4 : at] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(StreamError, match="the model is damaged") as error:
        run(bytes(data))
    assert "\n" not in str(error.value)


def test_an_output_of_any_name_is_written(tmp_path: Path):
    (tmp_path / "c.tflite").write_bytes(altered(lambda file: setattr(file.out, "name", "file")))
    assert npu_run.main([str(tmp_path / "c.tflite"), "--runs", "1", "--output", str(tmp_path / "o.npz")]) == 0
    with np.load(tmp_path / "o.npz") as found:
        assert {name: found[name].shape for name in found.files} == {"file": SHAPE}
