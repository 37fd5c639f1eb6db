"""Networks whose file leaves dimensions open compile to what LiteRT makes of them as it allocates them."""

from __future__ import annotations

import golden
import numpy as np
import pytest
from network import Network
from tiny_writer import Model, Tensor

from npuc.lowering.tflite.tflite_schema import read_model
from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target


def open_head(batch_in_shape: bool) -> Model:
    """
    A head whose converter knew neither the batch nor how many anchors there are: where it wrote 1, there are 24.

    The batch of the new shape is computed, or -1.
    """
    n = Network(31)
    x = n.input((1, 4, 6, 4))
    x.signature = [-1, 4, 6, 4]
    y = n.conv(x, 8)
    y.signature = [-1, 4, 6, 8]
    if batch_in_shape:
        whole = n.add_op("SHAPE", [y], [Tensor("whole", (4,), "int32")], out_type=2)
        bounds = [n.ints("bound", value) for value in ([0], [1], [1])]
        batch = n.add_op("STRIDED_SLICE", [whole, *bounds], [Tensor("batch", (), "int32")], shrink_axis_mask=1)
        parts = [batch, n.ints("anchors", -1), n.ints("depth", 8)]
        shape = n.add_op("PACK", parts, [Tensor("shape", (3,), "int32")], values_count=3)
    else:
        shape = n.ints("shape", [-1, 24, 8])
    z = n.add_op("RESHAPE", [y, shape], [n.like(y, "anchors", (1, 1, 8))])
    z.signature = [-1, -1, 8]
    scores = n.tensor("scores", (1, 1, 8), 1 / 256, -128)
    scores.signature = [-1, -1, 8]
    n.add_op("LOGISTIC", [z], [scores])
    rows = n.add_op("RESHAPE", [scores, n.ints("rows", [-1, 8])], [n.like(scores, "rows", (1, 8))])
    rows.signature = [-1, 8]
    result = n.fully_connected(rows, 5)
    result.signature = [-1, 5]
    return n.model(scores, result)


@pytest.mark.parametrize("batch_in_shape", [True, False])
def test_shapes_are_those_that_a_runtime_allocates(batch_in_shape: bool) -> None:
    data = open_head(batch_in_shape).to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128"))
    assert not compiled.summary.cpu_operators, compiled.summary.cpu_reasons
    (subgraph,) = read_model(compiled.data)["subgraphs"]
    assert not any(tensor["shape_signature"] for tensor in subgraph["tensors"])
    values = np.random.default_rng(0).integers(-128, 128, (1, 4, 6, 4), np.int8)
    result = Session(load(compiled.data)).run({0: values})
    assert result.reports == []
    pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed: nothing to compare with")
    expected = golden.run(data, [values])
    assert [one.shape for one in expected] == [(1, 24, 8), (24, 5)]
    for one, other in zip(result.outputs.values(), expected, strict=True):
        assert np.array_equal(one, other)


def keras_layers() -> Model:
    """What Keras layers make of an open batch: a Dense of rank 4, a Conv2DTranspose, a resize to another map's size."""
    n = Network(33)
    x = n.input((1, 4, 6, 4))
    x.signature = [-1, 4, 6, 4]
    whole = n.add_op("SHAPE", [x], [Tensor("whole", (4,), "int32")], out_type=2)

    def picked(name: str, axes: list[int]) -> Tensor:
        return n.add_op("GATHER", [whole, n.ints("axes", axes)], [Tensor(name, (len(axes),), "int32")])

    def product(name: str, of: Tensor) -> Tensor:
        return n.add_op("REDUCE_PROD", [of, n.ints("axes", [0])], [Tensor(name, (), "int32")])

    free, summed = picked("free", [0, 1, 2]), picked("summed", [3])
    parts = [product("rows", free), product("columns", summed)]
    flat_shape = n.add_op("PACK", parts, [Tensor("flat_shape", (2,), "int32")], values_count=2)
    flat = n.add_op("RESHAPE", [x, flat_shape], [n.like(x, "flat", (1, 4))])
    flat.signature = [-1, 4]
    dense = n.fully_connected(flat, 8)
    dense.signature = [-1, 8]
    new_shape = n.add_op("CONCATENATION", [free, n.ints("units", [8])], [Tensor("new_shape", (4,), "int32")])
    y = n.add_op("RESHAPE", [dense, new_shape], [n.like(dense, "dense", (1, 4, 6, 8))])
    y.signature = [-1, 4, 6, 8]
    up = n.transpose_conv(y, 4)
    upsampling = n.ops.pop()
    up.signature = [-1, *up.shape[1:]]
    bounds = [n.ints("bound", value) for value in ([0], [1], [1])]
    batch = n.add_op("STRIDED_SLICE", [whole, *bounds], [Tensor("batch", (), "int32")], shrink_axis_mask=1)
    sizes = [batch, *(n.ints("size", size) for size in up.shape[1:])]
    upsampling.inputs[0] = n.add_op("PACK", sizes, [Tensor("up_shape", (4,), "int32")], values_count=4)
    n.ops.append(upsampling)
    of_up = n.add_op("SHAPE", [up], [Tensor("of_up", (4,), "int32")], out_type=2)
    ends = [n.ints("bound", value) for value in ([1], [3], [1])]
    size = n.add_op("STRIDED_SLICE", [of_up, *ends], [Tensor("size", (2,), "int32")])
    resized = n.add_op("RESIZE_NEAREST_NEIGHBOR", [y, size], [n.like(y, "resized", (1, *up.shape[1:3], 8))])
    resized.signature = [-1, 1, 1, 8]
    return n.model(up, n.conv(resized, 4))


def test_shapes_that_layers_compute() -> None:
    data = keras_layers().to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128"))
    assert not compiled.summary.cpu_operators, compiled.summary.cpu_reasons
    values = np.random.default_rng(0).integers(-128, 128, (1, 4, 6, 4), np.int8)
    result = Session(load(compiled.data)).run({0: values})
    assert result.reports == []
    pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed: nothing to compare with")
    for one, other in zip(result.outputs.values(), golden.run(data, [values]), strict=True):
        assert np.array_equal(one, other)


def test_an_open_height_stays_open() -> None:
    n = Network(32)
    x = n.input((1, 1, 6, 8))
    x.signature = [1, -1, 6, 8]
    y = n.unary("RELU", x)
    y.signature = [1, -1, 6, 8]
    data = n.model(y).to_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128"))
    assert compiled.summary.cpu_operators == {"RELU": 1}
    assert "only the first dimension may be open" in compiled.summary.cpu_reasons[0]
    assert read_model(compiled.data)["subgraphs"] == read_model(data)["subgraphs"]
