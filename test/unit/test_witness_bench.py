"""What the witness bench takes for a success, and what for an explanation."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import coverage
import witness
import witness_files
import witness_models

from npuc.simulator import Op, Report, RunResult, load
from npuc.simulator.compare import Comparison, Difference, Intermediate
from npuc.simulator.inputs import random_inputs
from npuc.simulator.litert import Reference
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


def test_nothing_executed_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "models").mkdir()
    arguments = ["--shared", str(tmp_path), "--cache", str(tmp_path), "--models", "nosuch", "--faults", "2"]
    monkeypatch.setattr(sys, "argv", ["witness.py", *arguments])
    assert witness.main() == 1
    printed = capsys.readouterr().out
    assert "FAILED: nothing was executed" in printed
    assert f"FAILED: only 0 of {2 * len(witness.FAULTY)} faults were seeded" in printed


def comparison(maker: str = "", distance: float = 1, outputs: bool = True, report: str = "") -> Comparison:
    op = Op("CONV", "", 0, 0, 0, MappingProxyType({}))
    wrong = Intermediate(op, "should be", "t", f"operator 3 ({maker})", 0.5, distance, "") if maker else None
    reports = [Report(report, "text", (0,))] if report else []
    differences = [Difference("out", (0,), 1, 2, 1, 9)] if outputs else []
    found = Comparison(1, RunResult({}, reports, []), differences, [wrong] if wrong else [])
    return replace(found, first_wrong=wrong)


def test_a_known_difference_must_be_that_one():
    known = witness.Known("why", "FULLY_CONNECTED", 1)
    assert known.fits(comparison("FULLY_CONNECTED"))
    assert not known.fits(comparison("FULLY_CONNECTED", distance=2))
    assert not known.fits(comparison("CONV_2D"))
    assert not known.fits(comparison())
    assert not known.fits(comparison("FULLY_CONNECTED", outputs=False))
    assert not known.fits(comparison("FULLY_CONNECTED", report="hazard"))
    reported = witness.Known("why", "LEAKY_RELU", reports=frozenset({"uninitialised", "shram"}))
    assert reported.fits(comparison("LEAKY_RELU", report="uninitialised"))
    assert reported.fits(comparison("LEAKY_RELU", report="shram"))
    assert not reported.fits(comparison("LEAKY_RELU", report="hazard"))
    assert not reported.fits(comparison("LEAKY_RELU"))


def kernel(name: str, mode: str = "", **state: int) -> Op:
    defaults = {f"IFM_BASE{tile}": 64 for tile in range(4)}
    return Op(name, mode, 0, 0, 0, MappingProxyType({**defaults, "BLOCKDEP": 3, **state}))


LAYER = kernel("CONV", OFM_BASE0=64, OFM_DEPTH_M1=1000, OFM_WIDTH_M1=0)
SOFTMAX = kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000)


@pytest.mark.parametrize(
    ("first", "second", "blockdep"),
    [
        (LAYER, SOFTMAX, 0),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000, BLOCKDEP=2), -1),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000, IFM_BASE0=80), -1),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=999), -1),
        (LAYER, kernel("POOL", "AVERAGE", KERNEL_WIDTH_M1=1000), -1),
        (LAYER, kernel("DEPTHWISE", BLOCKDEP=2), 1),
        (LAYER, kernel("DEPTHWISE", IFM_BASE1=0), -1),
        (Op("DMA_START", "", 0, 0, 0, MappingProxyType({})), SOFTMAX, -1),
    ],
)
def test_a_hazard_is_velas_only_between_kernels_of_that_kind(first: Op, second: Op, blockdep: int):
    assert witness.blockdep_before(first, second)[0] == blockdep


def test_inputs_differ_from_each_other(models):
    from witness_faults import inputs_of

    from npuc.simulator import load
    from npuc.simulator.inputs import KINDS

    found = inputs_of(load(models["digits_cnn"].path.read_bytes()), 0)
    # What npu-run draws is among them, and of that one is constant as the bench has them all.
    assert len({value[0].tobytes() for value in found}) == len(found) - 1
    assert len(found) > len(KINDS)
    assert {int(value[0].min()) for value in found} >= {-128, 127}
    assert all(value[0].dtype == np.int8 for value in found)


def test_an_error_is_explained_by_its_line_and_an_experiment(tmp_path: Path, models):
    case = witness.Case("ethos-u55-128", "legacy", "Size", models["behind_the_flatbuffer"].path)
    target = case.compiled(tmp_path)
    target.parent.mkdir()
    data = case.model.read_bytes()
    lost = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in lost.buffers:
        buffer.offset = buffer.size = 0
    target.write_bytes(witness_files.packed(lost))
    found = witness.execute(case, None, tmp_path)
    assert (found.verdicts, found.unexplained) == ({"refused": 1}, 0)
    # The same line of a file with another fault besides is not explained.
    quantization = lost.subgraphs[0].tensors[-1].quantization
    quantization.scale = quantization.scale * 2
    target.write_bytes(witness_files.packed(lost))
    found = witness.execute(case, None, tmp_path)
    assert (found.verdicts, found.unexplained) == ({"refused": 1}, 1)
    assert found.lines == [f"{case}: CPU operator 0 reads tensor 'weights_0', which nothing has written"]


def misread(source: bytes, past: int, bias: bool) -> bytes:
    """`sparse_operand` with dense weights, from `past` bytes behind the start of the sparse ones on."""
    reference = Reference(source)
    model = schema.ModelT.InitFromPackedBuf(source, 0)
    graph = model.subgraphs[0]
    plain, densify, behind, _ = graph.operators
    (made,) = densify.outputs
    weights = graph.tensors[plain.inputs[1]]
    stored = np.asarray(model.buffers[weights.buffer].data, np.uint8).tobytes()
    begin = source.index(stored) + past
    held = np.frombuffer(source[begin : begin + int(np.prod(weights.shape))], np.uint8)
    made_of_it = reference.run(random_inputs(reference.model, 0))[made].view(np.uint8).reshape(-1)
    for tensor, data in ((weights, held), (graph.tensors[made], made_of_it)):
        buffer = schema.BufferT()
        buffer.data = data
        tensor.sparsity, tensor.buffer = None, len(model.buffers)
        model.buffers.append(buffer)
    if not bias:
        behind.inputs = np.array([*behind.inputs[:2], -1], np.int32)
    graph.operators.remove(densify)
    return witness_files.packed(model)


def test_sparse_weights_taken_for_dense_are_recognised_and_nothing_besides(models):
    source = models["sparse_operand"].path.read_bytes()
    for past, bias, shown in ((0, False, True), (1, False, False), (0, True, False)):
        compiled = compile_tflite(misread(source, past, bias), Target("ethos-u55-128")).data
        assert witness_files.sparse_read_as_dense(load(compiled), source) is shown


def test_every_operator_of_velas_table_is_among_the_models(models: dict[str, Any]) -> None:
    """Of LSTMs there are two among the shared networks."""
    alone = {name.upper() for name, _ in witness_models.models()}
    known = {operator for model in models.values() for operator in model.operators}
    known |= {name.removesuffix("_" + name.rsplit("_", 1)[-1]) for name in alone} | {"UNIDIRECTIONAL_SEQUENCE_LSTM"}
    assert known >= coverage.VELA_TABLE
