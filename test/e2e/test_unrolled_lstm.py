"""An LSTM that a converter has unrolled, with an open batch and a first state that it fills in, is all on the NPU."""

from __future__ import annotations

from typing import Literal

import golden
import numpy as np
import pytest
from network import Network
from tiny_writer import Model, Tensor

from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

STEPS, FEATURES, UNITS = 3, 6, 8


def unrolled_lstm(dtype: str) -> Model:
    """As Keras' LSTM(unroll=True): a slice, two products, four gates and a new state at each step."""
    n = Network(61, dtype)
    x = n.input((1, STEPS, FEATURES))
    x.signature = [-1, STEPS, FEATURES]
    whole = n.add_op("SHAPE", [x], [Tensor("whole", (3,), "int32")], out_type=2)
    bounds = [n.ints("bound", value) for value in ([0], [1], [1])]
    batch = n.add_op("STRIDED_SLICE", [whole, *bounds], [Tensor("batch", (), "int32")], shrink_axis_mask=1)
    size = n.add_op("PACK", [batch, n.ints("units", UNITS)], [Tensor("size", (2,), "int32")], values_count=2)
    zero = Tensor("zero", (), "float32", data=np.zeros((), np.float32))
    zeros = n.add_op("FILL", [size, zero], [Tensor("zeros", (1, UNITS), "float32")])
    cell_scale = 3.0 / (1 << (15 if dtype == "int16" else 7))
    span = 1 / (1 << (15 if dtype == "int16" else 7))
    cell = n.add_op("QUANTIZE", [zeros], [n.tensor("cell", (1, UNITS), cell_scale, 0)])
    hidden = n.add_op("QUANTIZE", [zeros], [n.tensor("hidden", (1, UNITS), span, 0)])
    for step in range(STEPS):
        part = n.like(x, "part", (1, FEATURES))
        ends = [n.ints("end", value) for value in ((0, step, 0), (0, step + 1, 0), (1, 1, 1))]
        n.add_op("STRIDED_SLICE", [x, *ends], [part], begin_mask=5, end_mask=5, shrink_axis_mask=2)
        part.signature = [-1, FEATURES]
        gates = n.fully_connected(part, 4 * UNITS)
        gates = n.binary("ADD", gates, n.fully_connected(hidden, 4 * UNITS))
        i, f, g, o = n.split(gates, 4, 1)
        low = 0 if dtype == "int16" else -128
        one = 1 / (1 << (15 if dtype == "int16" else 8))
        i, f, o = (n.unary("LOGISTIC", gate, one, low) for gate in (i, f, o))
        g = n.unary("TANH", g, span, 0)
        cell = n.binary("ADD", n.binary("MUL", f, cell, cell_scale, 0), n.binary("MUL", i, g, span, 0), cell_scale, 0)
        hidden = n.binary("MUL", o, n.unary("TANH", cell, span, 0), span, 0)
    return n.model(n.fully_connected(hidden, 4))


@pytest.mark.parametrize(("dtype", "strategy"), [("int8", "performance"), ("int8", "size"), ("int16", "performance")])
def test_all_on_the_npu_and_exact(dtype: str, strategy: Literal["performance", "size"]) -> None:
    data = unrolled_lstm(dtype).to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128", strategy=strategy))
    assert not compiled.summary.cpu_operators, compiled.summary.cpu_reasons
    session = Session(load(compiled.data))
    assert len(session.model.npu_operators) == 1
    limits = np.iinfo(dtype)
    for seed in range(3):
        values = np.random.default_rng(seed).integers(limits.min, limits.max, (1, STEPS, FEATURES), dtype)
        result = session.run({0: values})
        assert result.reports == []
        pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed: nothing to compare with")
        (expected,) = golden.run(data, [values])
        assert np.array_equal(next(iter(result.outputs.values())), expected)
