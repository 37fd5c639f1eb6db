"""tfl-fold-dilation: convolutions of every n-th row and column are dilated ones, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network import Network
from one_operator import HAS_LITERT, examples, usual_inputs
from tiny_writer import Model, Subgraph, Tensor

from npuc.dialects.tfl import TflOp
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators.space_to_batch_nd import SpaceToBatchNdOp
from npuc.passes.tfl_fold_dilation import TflFoldDilationPass
from npuc.simulator import Session, load
from npuc.tools.ir import make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

Pair = tuple[int, int]


def dilated(
    n: Network,
    x: Tensor,
    blocks: Sequence[int],
    paddings: Sequence[Pair],
    crops: Sequence[Pair],
    kernel: Pair,
    padding: str,
    depthwise: bool,
) -> Tensor:
    """What a framework writes for a dilated convolution of two axes, or of one that is the width between."""
    count = len(blocks)
    sizes = [
        (size + sum(around)) // block
        for size, around, block in zip(x.shape[1 : 1 + count], paddings, blocks, strict=True)
    ]
    images = x.shape[0] * math.prod(blocks)
    block = n.ints("blocks", blocks)
    y = n.like(x, "images", (images, *sizes, x.shape[-1]))
    n.add_op("SPACE_TO_BATCH_ND", [x, block, n.ints("paddings", paddings)], [y])
    if count == 1:
        y = n.reshape(y, (images, 1, *sizes, x.shape[-1]))
    z = n.depthwise(y, kernel, padding=padding) if depthwise else n.conv(y, 8, kernel, padding=padding)
    if count == 1:
        z = n.reshape(z, (images, *z.shape[2:]))
    sizes = [size * block - sum(crop) for size, block, crop in zip(z.shape[1 : 1 + count], blocks, crops, strict=True)]
    result = n.like(z, "result", (x.shape[0], *sizes, z.shape[-1]))
    return n.add_op("BATCH_TO_SPACE_ND", [z, block, n.ints("crops", crops)], [result])


def has_images(data: bytes, fold: bool) -> bool:
    """Whether there are images of every n-th row and column, with or without the pass."""
    module = import_tflite(data)
    if fold:
        TflFoldDilationPass().apply(make_context(), module)
        module.verify()
    return any(isinstance(op, SpaceToBatchNdOp) for op in module.walk() if isinstance(op, TflOp))


def check(model: Model) -> None:
    """The model is folded, and equals LiteRT."""
    data = model.to_bytes()
    assert has_images(data, fold=False)
    assert not has_images(data, fold=True)
    compiled = compile_tflite(data, Target("ethos-u55-128"))
    assert not compiled.summary.cpu_operators
    subgraph = model.subgraphs
    assert isinstance(subgraph, Subgraph)
    session = Session(load(compiled.data))
    for case in usual_inputs(subgraph.inputs):
        result = session.run(dict(enumerate(case)))
        assert result.reports == []
        if HAS_LITERT:
            import golden

            (expected,) = golden.run(data, case)
            (value,) = result.outputs.values()
            np.testing.assert_array_equal(value.reshape(expected.shape), expected)


@examples(12)
@given(st.data())
def test_dilated_convolutions(data: st.DataObject) -> None:
    draw: Any = data.draw
    n = Network(draw(st.integers(0, 1000)), draw(st.sampled_from(("int8", "uint8", "int16"))))
    count = draw(st.sampled_from((1, 2, 2)))
    blocks = [2, draw(st.integers(2, 3))] if count == 2 else [draw(st.integers(2, 4))]
    padding = draw(st.sampled_from(("SAME", "VALID")))
    kernel = (1, 3) if count == 1 else (3, draw(st.sampled_from((2, 3))))
    small = [draw(st.integers(3, 6)) for _ in range(count)]
    paddings: list[Pair] = []
    crops: list[Pair] = []
    shape = [1]
    for at, (size, block) in enumerate(zip(small, blocks, strict=True)):
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 2))
        paddings.append((before, after))
        shape.append(size * block - before - after)
        rows = size if padding == "SAME" else size - kernel[at if count == 2 else 1] + 1
        first = draw(st.integers(0, min(2, rows * block - 1)))
        crops.append((first, draw(st.integers(0, min(2, rows * block - 1 - first)))))
    x = n.input((*shape, draw(st.sampled_from((3, 8)))))
    check(n.model(dilated(n, x, blocks, paddings, crops, kernel, padding, draw(st.booleans()))))


@pytest.mark.parametrize("form", ["read_twice", "other_blocks", "far_apart"])
def test_what_is_left(form: str) -> None:
    n = Network(1)
    x = n.input((1, 12, 12, 8))
    block = 6 if form == "far_apart" else 2
    y = dilated(n, x, [block, block], [(0, 0)] * 2, [(0, 0)] * 2, (2, 2) if block == 6 else (3, 3), "VALID", False)
    results = [y]
    if form == "read_twice":
        results.append(n.ops[0].outputs[0])
    elif form == "other_blocks":
        n.ops[-1].inputs[1] = n.ints("others", [4, 1])
        y.shape = (1, 16, 4, 8)
    assert has_images(n.model(*results).to_bytes(), fold=True) == (form != "far_apart")
