"""The runtimes of the host: pieces, kernels that are lacking, state from run to run, operators left out, crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from network import Network
from tiny_writer import Model, Op, Sparse, Subgraph, Tensor, constant

from npuc.simulator import Session, load
from npuc.simulator.compare import Comparer
from npuc.simulator.inputs import random_inputs
from npuc.simulator.isolation import Crash, HostError, Isolated, SourceError, tried
from npuc.simulator.litert import Host, Kernels, Reference, _Pieces
from npuc.simulator.tflite import read_model
from npuc.tools import npu_run
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

pytest.importorskip("ai_edge_litert")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


def comparer(data: bytes) -> Comparer:
    return Comparer(load(compile_tflite(data, Target("ethos-u55-128")).data), data)


# -- a process of its own


class Fragile:
    """What runs in the process."""

    def add(self, a: int, b: int) -> int:
        return a + b

    def refuse(self) -> None:
        raise HostError("not this")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


def test_calls_are_answered_from_another_process():
    isolated = Isolated(Fragile, "adding")
    assert isolated.call("add", 2, 3) == 5
    with pytest.raises(HostError, match="not this"):
        isolated.call("refuse")
    assert isolated.call("add", 4, 3) == 7


def test_a_process_that_dies_is_one_line_and_so_is_every_call_after_it():
    isolated = Isolated(Fragile, "adding")
    for _ in range(2):
        with pytest.raises(Crash) as error:
            isolated.call("die")
        assert str(error.value) == "adding took its process down: SIGSEGV"


def test_the_process_ends_with_its_parent():
    """However that ends; two of them, because the second holds the first one's pipe as well."""
    program = (
        "import os, signal\n"
        "from npuc.simulator.isolation import Isolated\n"
        "kept = [Isolated(dict, 'keeping') for _ in range(2)]\n"
        "print(*(one.call('get', 0, None) or one._process.pid for one in kept), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # It waits for the end of the output, which the processes would hold open.
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(ended.stdout.split()) == 2


ASKS_FOREVER = """
import os
from npuc.simulator.isolation import Isolated

class Endless:
    def number(self):
        return os.getpid()

    def spin(self):
        while True:
            pass

isolated = Isolated(Endless, "spinning")
print(isolated.call("number"), flush=True)
isolated.call("spin")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_runs_forever_ends_with_the_one_that_asks(number: int):
    with subprocess.Popen([sys.executable, "-c", ASKS_FOREVER], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        served = int(asking.stdout.readline())
        asking.send_signal(number)
        asking.wait()
    end = time.monotonic() + 10
    while (runs := _runs(served)) and time.monotonic() < end:
        time.sleep(0.05)
    if runs:
        os.kill(served, signal.SIGKILL)
    assert not runs


def _runs(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_cannot_be_made_is_said():
    def refuse() -> None:
        raise HostError("not at all")

    with pytest.raises(HostError, match="not at all"):
        Isolated(refuse, "making")


@pytest.mark.parametrize(
    ("runs_npu", "told"), [(True, "o.tflite: running the source model"), (False, "c.tflite: a CPU")]
)
def test_a_crash_of_litert_is_one_line_that_names_the_model(
    models,
    runs_npu: bool,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    data = models["stateful"].path.read_bytes()
    (tmp_path / "o.tflite").write_bytes(data)
    (tmp_path / "c.tflite").write_bytes(compile_tflite(data, Target("ethos-u55-128")).data)
    monkeypatch.setattr("npuc.simulator.litert._Pieces.run", die)
    reference = ["--reference", str(tmp_path / "o.tflite")] if runs_npu else []
    assert npu_run.main([str(tmp_path / "c.tflite"), *reference]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"npu-run: error: {tmp_path / told}")
    assert captured.err.endswith("took its process down: SIGSEGV\n")
    assert captured.err.count("\n") == 1


# -- which kernels


def test_only_operators_that_the_reference_kernels_lack_run_in_the_default_ones(models):
    reference = Reference(models["newer_versions"].path.read_bytes())
    host = Host(reference.model, range(5), together=True)
    assert [(piece.operators, piece.kernels) for piece in host.plan.pieces] == [
        ((0,), Kernels.REFERENCE),
        ((1,), Kernels.DEFAULT),
        ((2,), Kernels.REFERENCE),
        ((3,), Kernels.DEFAULT),
        ((4,), Kernels.REFERENCE),
    ]
    assert [str(note) for note in reference.notes] == [
        "run in LiteRT's default kernels, because LiteRT's reference kernels lack or misread them: "
        "operator 1 (DEPTH_TO_SPACE), operator 3 (TILE)"
    ]
    for inputs, outputs in models["newer_versions"].golden():
        found = reference.run(dict(enumerate(inputs)))
        for index, output in zip(reference.model.outputs, outputs, strict=True):
            np.testing.assert_array_equal(found[index], output)


def test_what_a_composite_runs_is_looked_at_for_lacking_kernels(models):
    """Its subgraph is named in the second table of options."""
    data = models["newer_versions"].path.read_bytes()
    whole = schema.ModelT.InitFromPackedBuf(data, 0)
    (main,) = whole.subgraphs
    (at,) = (n for n, one in enumerate(main.operators) if whole.operatorCodes[one.opcodeIndex].version == 3)
    tile = main.operators[at]
    inner = schema.SubGraphT()
    inner.tensors, inner.name = main.tensors, "inner"
    inner.inputs, inner.outputs, inner.operators = tile.inputs[:1], tile.outputs, [tile]
    whole.subgraphs.append(inner)
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.STABLEHLO_COMPOSITE, 127, 1
    whole.operatorCodes.append(code)
    composite = schema.OperatorT()
    composite.opcodeIndex, composite.inputs, composite.outputs = (
        len(whole.operatorCodes) - 1,
        inner.inputs,
        tile.outputs,
    )
    composite.builtinOptions2Type = schema.BuiltinOptions2.StableHLOCompositeOptions
    composite.builtinOptions2 = schema.StableHLOCompositeOptionsT()
    composite.builtinOptions2.name, composite.builtinOptions2.decompositionSubgraphIndex = "test.tile", 1
    # An empty map of attributes, as a flexbuffer.
    composite.builtinOptions2.compositeAttributes = np.array([0, 0, 1, 0, 0, 36, 1], np.uint8)
    main.operators[at] = composite
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    alone, expected = Reference(bytes(builder.Output())), Reference(data)
    assert any("STABLEHLO_COMPOSITE" in str(note) for note in alone.notes)
    inputs = random_inputs(expected.model, 0)
    (output, *_) = expected.model.outputs
    np.testing.assert_array_equal(alone.run(inputs)[output], expected.run(inputs)[output])


def test_a_model_in_pieces_gives_what_it_gives_whole(models):
    for name in ("residual", "if_with_subgraphs", "several_inputs", "negative_axes"):
        model = read_model(models[name].path.read_bytes())
        host = Host(model, range(len(model.operators)))
        assert len(host.plan.pieces) == len(model.operators)
        for inputs, outputs in list(models[name].golden())[:2]:
            values = {index: inputs[position] for position, index in enumerate(model.inputs)}
            found = host.run(range(len(model.operators)), values)
            for index, output in zip(model.outputs, outputs, strict=True):
                np.testing.assert_array_equal(found[index], output)


# -- state


def invoked(data: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """LiteRT's outputs of the whole model, invoked with one input after the other."""
    from golden import interpreter

    litert = interpreter(data)
    outputs: list[np.ndarray] = []
    for value in inputs:
        litert.set_tensor(litert.get_input_details()[0]["index"], value)
        litert.invoke()
        outputs.append(litert.get_tensor(litert.get_output_details()[0]["index"]).copy())
    return outputs


@pytest.mark.parametrize("name", ["streaming", "stateful"])
def test_state_goes_on_from_run_to_run_as_in_litert(models, name: str):
    data = models[name].path.read_bytes()
    beside = comparer(data)
    assert beside.keeps_state
    inputs = [random_inputs(beside.original, 0, invocation)[0] for invocation in range(4)]
    expected = invoked(data, inputs)
    (output,) = beside.original.outputs
    alone = []
    for _ in range(2):
        for invocation, value in enumerate(inputs):
            found = beside.run({0: value}, invocation=invocation)
            assert found.exact
            assert found.reports == []
            (ours,) = found.result.outputs.values()
            np.testing.assert_array_equal(ours, expected[invocation])
            np.testing.assert_array_equal(
                beside.reference.run({0: value}, carry=False)[output], invoked(data, [value])[0]
            )
            alone.append((ours != invoked(data, [value])[0]).any())
            # That run has changed the reference's state; bring it back.
            for again in range(invocation + 1):
                beside.reference.run({0: inputs[again]}, carry=again > 0)
    assert any(alone)


def test_the_tool_invokes_what_keeps_state_several_times(models, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = models["streaming"].path.read_bytes()
    (tmp_path / "o.tflite").write_bytes(data)
    (tmp_path / "c.tflite").write_bytes(compile_tflite(data, Target("ethos-u55-128")).data)
    arguments = [str(tmp_path / "c.tflite"), "--reference", str(tmp_path / "o.tflite"), "--runs", "1"]
    assert npu_run.main(arguments) == 0
    note = "note: not compared, because they only name a resource: 'ring'"
    assert capsys.readouterr().out.splitlines() == [note, *(f"seed 0, invocation {i}: exact" for i in range(3))]
    assert npu_run.main([*arguments, "--invocations", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [note, "seed 0: exact"]
    assert npu_run.main([*arguments, "--invocations", "0"]) == 1
    assert capsys.readouterr().err == "npu-run: error: --invocations 0: at least one is needed\n"


def test_state_that_is_lost_shows_from_the_second_invocation_on(models):
    beside = comparer(models["streaming"].path.read_bytes())
    host = beside.session.host
    assert host is not None
    assigns = [op.index for op in beside.session.model.operators if op.kind == "144"]
    for index in assigns:
        del host.piece_of[index]
    found = [beside.run(seed=0, invocation=invocation).exact for invocation in range(3)]
    assert found == [True, False, False]


# -- operators left out


def test_what_depends_on_a_custom_operator_is_not_compared(models):
    beside = comparer(models["custom_beside"].path.read_bytes())
    assert beside.notes == [
        "left out, because no runtime here has a kernel: operator 1 (SecretSauce)",
        "compared with 3 of the 6 tensors that the reference makes",
    ]
    found = beside.run(seed=0, trace=True)
    assert found.exact
    assert found.reports == []
    recognised = [step.equals for step in found.steps if step.equals]
    assert [line.split(" of ")[-1] for line in recognised] == [f"operator {i} (CONV_2D)" for i in (0, 2, 4)]


def test_an_operator_that_takes_sparse_weights_for_dense_is_left_out():
    """LiteRT's CONV_2D would read beyond the values that are stored."""
    n = Network(3)
    x = n.input((1, 4, 4, 8))
    y, z = n.conv(x, 8), n.conv(x, 8)
    weights = n.ops[-1].inputs[1]
    assert weights is not None
    assert weights.data is not None
    weights.data = weights.data * (n.rng.random(weights.shape) < 0.2)
    weights.sparse = Sparse((0, 1, 2, 3), (3,))
    beside = comparer(n.model(y, z, weights).to_bytes())
    assert beside.notes == [
        "left out, because no runtime here has a kernel that reads sparse constants: operator 1 (CONV_2D)",
        "compared with 1 of the 2 tensors that the reference makes",
    ]
    assert beside.run(seed=0).exact


def test_a_fault_beside_a_custom_operator_is_found(models):
    from dataclasses import replace
    from types import MappingProxyType

    beside = comparer(models["custom_beside"].path.read_bytes())
    wrong = []
    for index, program in list(beside.session.programs.items()):
        for at, op in enumerate(program.ops):
            if op.name != "CONV":
                continue
            state = MappingProxyType({**op.state, "OFM_ZERO_POINT": op.state["OFM_ZERO_POINT"] + 1 & 0xFFFF})
            ops = (*program.ops[:at], replace(op, state=state), *program.ops[at + 1 :])
            beside.session.programs[index] = replace(program, ops=ops)
            wrong.append(not beside.run(seed=0).exact)
        beside.session.programs[index] = program
    # The one behind it nobody can tell.
    assert sorted(wrong) == [False, True, True, True]


def test_where_nothing_can_be_compared_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    n = Network(1)
    x = n.input((1, 6, 6, 4))
    n.add_op("CUSTOM", [x], [y := n.like(x, "secret", x.shape)], custom="SecretSauce")
    data = n.model(n.conv(y, 8)).to_bytes()
    with pytest.raises(SourceError, match="nothing can be compared: left out"):
        comparer(data)
    (tmp_path / "o.tflite").write_bytes(data)
    (tmp_path / "c.tflite").write_bytes(compile_tflite(data, Target("ethos-u55-128")).data)
    assert npu_run.main([str(tmp_path / "c.tflite"), "--reference", str(tmp_path / "o.tflite")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_the_state_that_an_operator_left_out_would_change_is_not_compared():
    """ASSIGN_VARIABLE of a custom operator's result: what is read a run later is unknown."""
    n = Network(2)
    x = n.input((1, 4, 4, 8))
    ring = Tensor("ring", (), "resource")
    n.add_op("VAR_HANDLE", [], [ring], shared_name="ring")
    n.add_op("READ_VARIABLE", [ring], [kept := n.like(x, "kept", x.shape)])
    n.add_op("CUSTOM", [x], [y := n.like(x, "secret", x.shape)], custom="SecretSauce")
    from tiny_writer import Op

    n.ops.append(Op("ASSIGN_VARIABLE", [ring, y], []))
    model = read_model(n.model(n.binary("ADD", x, kept), n.conv(x, 4)).to_bytes())
    plan = Host(model, range(len(model.operators)), together=True).plan
    assert set(plan.left_out) == {2}
    assert plan.dependent == {0, 1, 3, 4}


def test_a_source_model_that_litert_refuses_is_named(models, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = models["op_add"].path.read_bytes()
    (tmp_path / "c.tflite").write_bytes(compile_tflite(data, Target("ethos-u55-128")).data)
    bad = Network(3)
    x = bad.input((1, 8, 8, 8))
    axes = bad.ints("axes", [7])
    bad.add_op("MEAN", [x, axes], [bad.like(x, "mean", (1, 8, 8))])
    source = bad.model(bad.ops[-1].outputs[0]).to_bytes()
    with pytest.raises(SourceError, match="LiteRT"):
        Reference(source).run({0: np.zeros((1, 8, 8, 8), np.int8)})
    (tmp_path / "o.tflite").write_bytes(source)
    assert npu_run.main([str(tmp_path / "c.tflite"), "--reference", str(tmp_path / "o.tflite")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("npu-run: error: ")
    assert error.count("\n") == 1


def test_the_npu_reads_zero_points_for_what_is_left_out(models):
    session = Session(
        load(compile_tflite(models["custom_in_the_middle"].path.read_bytes(), Target("ethos-u55-128")).data)
    )
    result = session.run()
    assert result.reports == []
    assert len({values.tobytes() for values in (session.run(seed=seed).outputs.popitem()[1] for seed in range(3))}) == 1


# -- types and operators that kernels refuse


def with_operator(code: str, type_: int, result_type: int, custom: str = "") -> bytes:
    """A convolution, and beside it an operator of two more inputs of shape 2x3."""
    n = Network(3)
    model = schema.ModelT.InitFromPackedBuf(n.model(n.conv(n.input((1, 4, 4, 4)), 8)).to_bytes(), 0)
    graph = model.subgraphs[0]
    first = len(graph.tensors)
    for name, kind in (("a", type_), ("b", type_), ("c", result_type)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, np.array([2, 3], np.int32), kind, 0
        graph.tensors.append(tensor)
    added, operator = schema.OperatorCodeT(), schema.OperatorT()
    number = getattr(schema.BuiltinOperator, code)
    added.builtinCode, added.deprecatedBuiltinCode, added.version = number, min(number, 127), 1
    added.customCode = custom or None
    operator.opcodeIndex = len(model.operatorCodes)
    operator.inputs, operator.outputs = np.array([first, first + 1], np.int32), np.array([first + 2], np.int32)
    model.operatorCodes.append(added)
    graph.operators.append(operator)
    graph.inputs = np.array([*graph.inputs, first, first + 1], np.int32)
    graph.outputs = np.array([*graph.outputs, first + 2], np.int32)
    return packed(model)


def packed(model) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_strings_are_drawn_and_compared():
    kinds = schema.TensorType
    beside = comparer(with_operator("EQUAL", kinds.STRING, kinds.BOOL))
    assert beside.notes == []
    results = [beside.run(seed=seed) for seed in range(3)]
    assert all(found.exact for found in results)
    drawn = np.concatenate([found.result.outputs["c"].reshape(-1) for found in results])
    assert set(drawn.tolist()) == {True, False}


def test_an_operator_of_types_that_no_kernel_takes_is_left_out():
    kinds = schema.TensorType
    beside = comparer(with_operator("ADD", kinds.FLOAT64, kinds.FLOAT64))
    left_out, compared = beside.notes
    assert "FLOAT64" in left_out
    assert left_out.endswith(": operator 1 (ADD)")
    assert compared == "compared with 1 of the 2 tensors that the reference makes"
    assert beside.run().exact


def test_a_custom_operator_that_takes_its_kernel_down_is_left_out():
    """LiteRT knows it, and reads options that are not there."""
    kinds = schema.TensorType
    beside = comparer(with_operator("CUSTOM", kinds.FLOAT32, kinds.FLOAT32, "TFLite_Detection_PostProcess"))
    assert beside.notes[0].endswith(": operator 1 (TFLite_Detection_PostProcess)")
    assert beside.run().exact


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda: "well", "well"),
        (lambda: 1 / 0, "division by zero"),
        (os.abort, "it takes its process down: SIGABRT"),
        (lambda: os._exit(3), "it takes its process down: exit code 3"),
    ],
)
def test_what_is_tried_takes_nobody_else_down(action, said: str):
    assert tried(action, "it") == said


def test_what_a_case_runs_is_looked_at(models):
    whole = schema.ModelT.InitFromPackedBuf(models["newer_versions"].path.read_bytes(), 0)
    inner = schema.ModelT.InitFromPackedBuf(with_operator("CUSTOM", 0, 0, "SecretSauce"), 0)
    bodies = inner.subgraphs[0]
    for operator in bodies.operators:
        operator.opcodeIndex += len(whole.operatorCodes)
    for tensor in bodies.tensors:
        tensor.buffer = 0
    whole.operatorCodes += inner.operatorCodes
    whole.subgraphs += [bodies]
    code, case = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.STABLEHLO_CASE, 127, 1
    case.opcodeIndex = len(whole.operatorCodes)
    whole.operatorCodes.append(code)
    main = whole.subgraphs[0]
    case.inputs, case.outputs = main.inputs, np.array([len(main.tensors)], np.int32)
    main.tensors.append(main.tensors[main.inputs[0]])
    case.builtinOptions2Type = schema.BuiltinOptions2.StablehloCaseOptions
    case.builtinOptions2 = schema.StablehloCaseOptionsT()
    case.builtinOptions2.branchSubgraphIndices = np.array([1], np.int32)
    main.operators.append(case)
    pieces = _Pieces(read_model(packed(whole)), [], True)
    codes = pieces._codes(len(main.operators) - 1)
    assert [one.customCode for one in codes if one.customCode] == [b"SecretSauce"]


def test_outputs_of_one_name_are_all_written(tmp_path: Path):
    n = Network(1)
    outputs = [n.conv(n.input((1, 4, 4, 8)), 8) for _ in range(3)]
    outputs[0].name = outputs[2].name = "same"
    data = n.model(*outputs).to_bytes()
    compiled = tmp_path / "compiled"
    compiled.write_bytes(compile_tflite(data, Target("ethos-u55-128")).data)
    assert npu_run.main([str(compiled), "--runs", "1", "--output", str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as written:
        assert {*written.files} == {"same:0", outputs[1].name, "same:2"}


@pytest.mark.parametrize(("dtype", "kernels"), [("int8", Kernels.DEFAULT), ("uint8", Kernels.REFERENCE)])
def test_a_sum_of_values_with_signs_runs_in_the_default_kernels(dtype: str, kernels: Kernels) -> None:
    x, y = Tensor("x", (1, 4), dtype, 0.5), Tensor("y", (1, 1), dtype, 1.0)
    operator = Op("SUM", [x, constant("axis", np.array([1], np.int32))], [y], keep_dims=True)
    reference = Reference(Model(Subgraph([x], [y], [operator])).to_bytes())
    assert [piece.kernels for piece in Host(reference.model, range(1), together=True).plan.pieces] == [kernels]
    (found,) = reference.run({0: np.array([[1, 2, 3, 5]], dtype)}).values()
    assert found.tolist() == [[6]]  # 5.5, rounded away from zero
