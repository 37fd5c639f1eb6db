"""The committed test models are what the manifest, their golden data and their makers say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODELS = Path(__file__).parents[1] / "models"
# The operators that must be on the NPU, issue by issue; each has a model of its own.
OPERATORS = """CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV AVERAGE_POOL_2D MAX_POOL_2D ADD SUB MUL MINIMUM
MAXIMUM ABS RELU RELU6 RELU_N1_TO_1 LEAKY_RELU LOGISTIC TANH HARD_SWISH SOFTMAX CONCATENATION SPLIT SLICE STRIDED_SLICE
RESHAPE SQUEEZE EXPAND_DIMS PAD MEAN QUANTIZE RESIZE_NEAREST_NEIGHBOR""".split()


def test_files_are_those_of_the_manifest(models: dict[str, Any]) -> None:
    assert {p.stem for p in MODELS.glob("*.tflite")} == set(models)
    assert {p.stem for p in MODELS.glob("*.npz")} == {m.name for m in models.values() if m.comparisons}


def test_every_operator_has_a_model_of_its_own(models: dict[str, Any]) -> None:
    alone = {m.operators[0] for m in models.values() if len(m.operators) == 1 and m.npu == [0]}
    assert alone >= set(OPERATORS)


def test_models_are_small() -> None:
    files = [p for p in MODELS.iterdir() if p.suffix in (".tflite", ".npz")]
    sizes = [p.stat().st_size for p in files]
    assert max(sizes) < 65_000
    # A clone should stay small however many operators have a model.
    assert sum(sizes) < 6_000 * len({p.stem for p in files})


def test_golden_data_is_complete(models: dict[str, Any]) -> None:
    compared = 0
    for model in models.values():
        if not model.comparisons:
            continue
        golden = model.golden()
        assert golden.litert
        assert len(golden.inputs) >= 8
        assert model.comparisons == golden.comparisons
        # Outputs that never change would let any constant pass.
        assert any(np.any(case[0] != golden.outputs[0][0]) for case in golden.outputs), model.name
        compared += golden.comparisons
    assert compared == sum(m.comparisons for m in models.values())
    assert compared >= 2300


@pytest.mark.parametrize("source", ["operator_models", "odd"])
def test_the_writer_still_makes_the_committed_files(models: dict[str, Any], source: str) -> None:
    made = {entry.name: entry for entry in importlib.import_module(source).models()}
    assert set(made) == {m.name for m in models.values() if m.source == source}
    for name, entry in made.items():
        assert entry.data == models[name].path.read_bytes(), f"{name}: run make_models.py --without-tensorflow"


def test_litert_reproduces_the_golden_outputs(models: dict[str, Any]) -> None:
    litert = pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    golden_module = importlib.import_module("golden")
    make_models = importlib.import_module("make_models")
    compared = 0
    for model in models.values():
        data = model.path.read_bytes()
        assert make_models.operator_names(data) == model.operators, model.name
        if not model.litert:
            continue
        golden = model.golden()
        if golden.litert != litert.__version__:
            pytest.skip(f"golden data is of LiteRT {golden.litert}, not {litert.__version__}")
        for inputs, outputs in golden:
            for got, want in zip(golden_module.run(data, inputs), outputs, strict=True):
                np.testing.assert_array_equal(got, want, strict=True, err_msg=model.name)
                compared += 1
    assert compared == sum(m.comparisons for m in models.values() if m.litert)


def test_random_networks_are_valid_and_varied() -> None:
    random_network = importlib.import_module("random_network").random_network
    networks = {
        (seed, dtype): random_network(seed, dtype) for dtype in ("int8", "uint8", "int16") for seed in range(20)
    }
    assert len(set(networks.values())) == len(networks)
    assert networks[3, "int8"] == random_network(3)
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    golden = importlib.import_module("golden")
    operator_names = importlib.import_module("make_models").operator_names
    seen: set[str] = set()
    for (seed, _), data in networks.items():
        assert golden.make(data, seed).comparisons >= golden.CASES
        seen.update(operator_names(data))
    assert len(seen) >= 15
    assert seen <= set(OPERATORS)
