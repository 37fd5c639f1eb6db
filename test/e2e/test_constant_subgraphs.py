"""What a network computes from constants alone is computed when it is compiled, as LiteRT does at run time."""

from __future__ import annotations

import golden
import numpy as np
import pytest
from network import Network
from tiny_writer import Model, Tensor

from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target


def constant_branches(dtype: str) -> Model:
    """Operators of all kinds on constants, each of whose results is added to the input."""
    n = Network(71, dtype)
    x = n.input((1, 6, 6, 8))
    scale = x.scales()[0]

    def given() -> Tensor:
        return n.constant((1, 6, 6, 8), scale, 0 if dtype == "int16" else None)

    one = 1 / (1 << (15 if dtype == "int16" else 8))
    low = {"int8": -128, "uint8": 0, "int16": 0}[dtype]
    made = [
        n.conv(given(), 8),
        n.depthwise(given()),
        n.pool("AVERAGE_POOL_2D", given(), (3, 3), (1, 1), "SAME"),
        n.pool("MAX_POOL_2D", given(), (3, 3), (1, 1), "SAME"),
        n.binary("ADD", given(), given()),
        n.binary("MUL", given(), given()),
        n.unary("LOGISTIC", given(), one, low),
        n.unary("RELU", given()),
        n.reshape(n.fully_connected(n.reshape(given(), (36, 8)), 8), (1, 6, 6, 8)),
    ]
    for branch in made:
        x = n.binary("ADD", x, branch)
    return n.model(x)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_constants_are_what_litert_computes(dtype: str) -> None:
    data = constant_branches(dtype).to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128"))
    # What goes to kernels without tosa is left to the host.
    left = {"LOGISTIC": 1, "FULLY_CONNECTED": 1} if dtype == "int16" else {}
    assert compiled.summary.cpu_operators == left
    assert compiled.summary.npu_operators == 9 + (dtype == "int16")  # and the RESHAPE of a result
    # It also runs what is left to the host.
    pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed: nothing to compare with")
    session = Session(load(compiled.data))
    limits = np.iinfo(dtype)
    for seed in range(3):
        values = np.random.default_rng(seed).integers(limits.min, limits.max, (1, 6, 6, 8), dtype)
        result = session.run({0: values})
        assert result.reports == []
        (expected,) = golden.run(data, [values])
        assert np.array_equal(next(iter(result.outputs.values())), expected)
