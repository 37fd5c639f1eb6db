"""`--integer-io` drops the float borders of a network, and the comparison with its source quantises."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from network import Network
from tiny_writer import Model, Tensor

from npuc.simulator import load
from npuc.simulator.compare import Comparer
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ai_edge_litert") is None, reason="LiteRT is not installed")


def float_borders(dtype: str) -> Model:
    """Floats in, floats out; the second input is read as floats as well, so that it stays."""
    n = Network(41, dtype)
    images = [Tensor(f"image_{i}", (1, 8, 6, 4), "float32") for i in range(2)]
    n.inputs += images
    a, b = (n.add_op("QUANTIZE", [one], [n.tensor("q", (1, 8, 6, 4), n.scale(0.02))]) for one in images)
    kept = n.add_op("COS", [images[1]], [Tensor("cos", (1, 8, 6, 4), "float32")])
    y = n.conv(n.binary("ADD", a, b), 8)
    scores = n.add_op("DEQUANTIZE", [y], [Tensor("scores", y.shape, "float32")])
    return n.model(scores, kept)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_borders_go_and_the_rest_is_exact(dtype: str) -> None:
    data = float_borders(dtype).to_bytes()
    plain = compile_tflite(data, Target("ethos-u55-128"))
    assert plain.summary.cpu_operators == {"QUANTIZE": 2, "DEQUANTIZE": 1, "COS": 1}
    assert sum("--integer-io" in reason for reason in plain.summary.cpu_reasons) == 2
    assert len([line for line in plain.summary.text().splitlines() if "floats" in line]) == 2
    compiled = compile_tflite(data, Target("ethos-u55-128", integer_io=True))
    assert compiled.summary.cpu_operators == {"QUANTIZE": 1, "COS": 1}
    model = load(compiled.data)
    assert [model.tensors[i].dtype.name for i in model.inputs] == [dtype, "float32"]
    assert [model.tensors[i].dtype.name for i in model.outputs] == [dtype, "float32"]
    comparer = Comparer(model, data)
    levels: set[int] = set()
    for seed in range(4):
        comparison = comparer.run(seed=seed)
        assert comparison.exact
        assert comparison.reports == []
        assert comparison.unwritten == []
        levels |= set(np.unique(next(iter(comparison.result.outputs.values()))).tolist())
    assert len(levels) > 100


def test_a_wrong_result_is_noticed() -> None:
    data = float_borders("int8").to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128", integer_io=True))
    changed = float_borders("int8")
    assert not isinstance(changed.subgraphs, list)
    for op in changed.subgraphs.ops:
        if op.name == "CONV_2D":
            assert op.inputs[2] is not None
            assert op.inputs[2].data is not None
            op.inputs[2].data[0] += 4000
    assert not Comparer(load(compiled.data), changed.to_bytes()).run().exact
