"""tfl-fold-dequantize: pairs of DEQUANTIZE and QUANTIZE are one operator on the NPU, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import TYPES, ints, related
from hypothesis import given
from hypothesis import strategies as st
from one_operator import HAS_LITERT, RANGES, examples, scales, zero_points
from tiny_writer import Model, Op, Subgraph, Tensor

from npuc.operators.quantize import FUNCTIONS, MOST_STEPS
from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

if HAS_LITERT:
    import golden


def pair(x: Tensor, y: Tensor) -> bytes:
    """A model of a pair."""
    floats = Tensor("floats", x.shape, "float32")
    return Model(Subgraph([x], [y], [Op("DEQUANTIZE", [x], [floats]), Op("QUANTIZE", [floats], [y])])).to_bytes()


def with_function(name: str, x: Tensor, y: Tensor) -> bytes:
    """A model of a function on floats between a pair, and of the same behind a concatenation with what was there."""
    floats, value, rows, both = (
        Tensor(text, (1, size, 16), "float32")
        for text, size in (("floats", 16), ("value", 16), ("rows", 16), ("both", 32))
    )
    ops = [
        Op("DEQUANTIZE", [x], [floats]),
        Op(name, [floats], [value]),
        Op("TRANSPOSE", [floats, ints("axes", [0, 2, 1])], [rows]),
        Op("CONCATENATION", [value, rows], [both], axis=1),
        Op("QUANTIZE", [both], [y]),
    ]
    return Model(Subgraph([x], [y], ops)).to_bytes()


def every(x: Tensor) -> np.ndarray:
    """All values of a type, in the shape of a tensor that has as many elements."""
    low, high = RANGES[x.dtype]
    return np.arange(low, high + 1).astype(x.dtype).reshape(x.shape)


def shape_for(dtype: str) -> tuple[int, ...]:
    return (1, 16, 16) if dtype != "int16" else (1, 256, 256)


def test_random_pairs() -> None:
    on_npu = 0

    @examples(40)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        nonlocal on_npu
        source, target = data.draw(st.sampled_from(TYPES)), data.draw(st.sampled_from(TYPES))
        scale = data.draw(scales(-20, 20))
        x = Tensor("x", shape_for(source), source, scale, data.draw(zero_points(source)))
        y = Tensor("y", x.shape, target, data.draw(related(scale)), data.draw(zero_points(target)))
        model = pair(x, y)
        compiled = compile_tflite(model, Target("ethos-u55-128"))
        if compiled.summary.cpu_operators:
            most = max(abs(end - x.zeros()[0]) for end in RANGES[source]) * scale / y.scales()[0]
            assert "int16" in (source, target) or most >= MOST_STEPS
            return
        on_npu += 1
        result = Session(load(compiled.data)).run({0: every(x)})
        assert result.reports == []
        if HAS_LITERT:
            (expected,) = golden.run(model, [every(x)])
            assert np.array_equal(result.outputs["y"].reshape(expected.shape), expected)

    run()
    assert on_npu > 10


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize(("dtype", "zero", "scale"), [("int8", -128, 0.0173), ("int8", 5, 0.5), ("uint8", 0, 0.011)])
def test_functions_between(name: str, dtype: str, zero: int, scale: float) -> None:
    """Of all 256 values; of what is no number LiteRT may make anything."""
    x = Tensor("x", (1, 16, 16), dtype, scale, zero)
    y = Tensor("y", (1, 32, 16), dtype, 0.031, 7)
    model = with_function(name, x, y)
    compiled = compile_tflite(model, Target("ethos-u55-128"))
    assert bool(compiled.summary.cpu_operators) == (name == "RSQRT" or (name == "SQRT" and zero == 5))
    if not compiled.summary.cpu_operators:
        result = Session(load(compiled.data)).run({0: every(x)})
        assert result.reports == []
        if HAS_LITERT:
            (expected,) = golden.run(model, [every(x)])
            assert np.array_equal(result.outputs["y"].reshape(expected.shape), expected)


@pytest.mark.parametrize(("scale", "other"), [(1000.0, 1e-5), (1e30, 1e-30)])
def test_what_leaves_32_bits_stays_a_pair(scale: float, other: float) -> None:
    """Of that LiteRT makes anything."""
    x, y = Tensor("x", (1, 16, 16), "int8", scale, 0), Tensor("y", (1, 16, 16), "int8", other, 0)
    assert compile_tflite(pair(x, y), Target("ethos-u55-128")).summary.cpu_operators


@pytest.mark.parametrize(("scale", "zero"), [(0.5, 0), (0.25, -7)])
def test_ties_are_rounded_as_floats_are(scale: float, zero: int) -> None:
    x, y = Tensor("x", (1, 16, 16), "int8", scale, zero), Tensor("y", (1, 16, 16), "int8", 2 * scale, zero)
    compiled = compile_tflite(pair(x, y), Target("ethos-u55-128"))
    assert not compiled.summary.cpu_operators
    steps = every(x).astype(np.int64) - zero
    expected = np.minimum(np.sign(steps) * ((np.abs(steps) + 1) // 2) + zero, 127)
    result = Session(load(compiled.data)).run({0: every(x)})
    assert np.array_equal(result.outputs["y"].reshape(-1), expected.reshape(-1))
