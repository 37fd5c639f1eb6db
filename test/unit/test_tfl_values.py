"""What operators make of constants is what LiteRT makes of the same values, and so are the shapes of the results."""

from __future__ import annotations

import importlib.util
from typing import Any

import golden
import numpy as np
import pytest
from tiny_writer import Model, Op, Subgraph, Tensor

from npuc.analysis.tfl_values import Call, evaluate, result_shapes
from npuc.dialects.tfl import ConstantOp, TflOp
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators.support.rules import operator_name

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ai_edge_litert") is None, reason="LiteRT is not installed")

A = np.array([[3, -7, 0], [5, 2, -1]], np.int32)
B = np.array([[2, 3, 5], [-3, 2, 4]], np.int32)
MAP = np.arange(-60, 60, dtype=np.int8).reshape(1, 4, 6, 5)
FLAGS = np.array([[True, False, True], [False, False, True]])


def ints(*values: Any) -> np.ndarray:
    return np.array(values[0] if len(values) == 1 else values, np.int32)


CASES: list[tuple[str, list[np.ndarray], dict[str, Any], str]] = [
    # Operator, operands (those that are int8 or first are inputs of LiteRT's model), options, type of the result.
    *((name, [A, B], {}, "int32") for name in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "FLOOR_DIV", "FLOOR_MOD")),
    *((name, [A, B], {}, "bool") for name in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")),
    *((name, [FLAGS, FLAGS[:, ::-1].copy()], {}, "bool") for name in ("LOGICAL_AND", "LOGICAL_OR")),
    ("LOGICAL_NOT", [FLAGS], {}, "bool"),
    ("SELECT_V2", [FLAGS, A, B], {}, "int32"),
    ("ABS", [A], {}, "int32"),
    ("NEG", [A], {}, "int32"),
    ("ZEROS_LIKE", [A], {}, "int32"),
    ("CAST", [A], {"in_data_type": 2, "out_data_type": 4}, "int64"),
    ("CAST", [A * 1000], {"in_data_type": 2, "out_data_type": 9}, "int8"),
    ("CAST", [A], {"in_data_type": 2, "out_data_type": 6}, "bool"),
    ("CAST", [FLAGS], {"in_data_type": 6, "out_data_type": 2}, "int32"),
    ("REDUCE_MAX", [A, ints([1])], {"keep_dims": True}, "int32"),
    ("REDUCE_PROD", [A, ints([0])], {}, "int32"),
    ("REDUCE_MIN", [A, ints([-2])], {}, "int32"),
    ("BROADCAST_TO", [A, ints(4, 2, 3)], {"version": 2}, "int32"),
    ("CONCATENATION", [A, B], {"axis": -1}, "int32"),
    ("EXPAND_DIMS", [A, ints(1)], {}, "int32"),
    ("FILL", [ints(2, 3), ints(7).reshape(())], {}, "int32"),
    ("RANGE", [ints(5).reshape(()), ints(-4).reshape(()), ints(-2).reshape(())], {}, "int32"),
    ("BROADCAST_ARGS", [ints(3, 1), ints(2, 3, 5)], {}, "int32"),
    ("GATHER", [A, ints([2, 0])], {"axis": 1}, "int32"),
    ("PACK", [A, B], {"values_count": 2, "axis": 2}, "int32"),
    ("RESHAPE", [A, ints(3, -1)], {}, "int32"),
    ("REVERSE_V2", [A, ints([1])], {}, "int32"),
    ("SLICE", [A, ints(0, 1), ints(2, -1)], {}, "int32"),
    ("TILE", [A, ints(1, 3)], {}, "int32"),
    ("SQUEEZE", [A.reshape(1, 2, 1, 3)], {"squeeze_dims": [2]}, "int32"),
    ("UNPACK", [A], {"num": 3, "axis": 1}, "int32"),
    ("TRANSPOSE", [MAP, ints(0, 3, 1, 2)], {}, "int8"),
    ("RESHAPE", [MAP, ints(1, -1)], {}, "int8"),
    ("SPLIT", [ints(2), MAP], {"num_splits": 2}, "int8"),
    ("SPLIT_V", [MAP, ints(1, -1, 2), ints(2)], {"num_splits": 3}, "int8"),
    ("STRIDED_SLICE", [MAP, ints(0, -1, 1, 0), ints(1, 0, 5, 5), ints(1, -1, 2, 2)], {"end_mask": 2}, "int8"),
    ("STRIDED_SLICE", [MAP, ints(0, 1, 0), ints(1, 2, 9), ints(1, 1, 1)], {"shrink_axis_mask": 3}, "int8"),
    ("STRIDED_SLICE", [MAP, ints(0, 0, 1), ints(0, 0, 4), ints(1, 1, 1)], {"ellipsis_mask": 2, "begin_mask": 1,
        "end_mask": 1}, "int8"),
    ("STRIDED_SLICE", [MAP, ints(0, 0), ints(0, 1), ints(1, 1)], {"new_axis_mask": 1}, "int8"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[3]}")
def test_constants(case: tuple[str, list[np.ndarray], dict[str, Any], str]) -> None:
    name, operands, options, dtype = case
    quantised = {"scale": 0.5, "zero": 3} if dtype == "int8" and name != "CAST" else {}

    def tensors(as_inputs: bool) -> tuple[list[Tensor], list[Tensor]]:
        fed = [i for i, one in enumerate(operands) if one.dtype == np.int8] or ([0, 1, 2] if _all_fed(name) else [0])
        made = [
            Tensor(f"x{i}", one.shape, one.dtype.name, **(quantised if one.dtype == np.int8 else {}),
                   data=None if as_inputs and i in fed else one)
            for i, one in enumerate(operands)
        ]  # fmt: skip
        return made, [made[i] for i in fed if i < len(made)]

    def module(shapes: list[tuple[int, ...]]) -> TflOp:
        made, _ = tensors(as_inputs=False)
        results = [Tensor(f"y{i}", shape, dtype, **quantised) for i, shape in enumerate(shapes)]
        data = Model(Subgraph([], results, [Op(name, made, results, **options)])).to_bytes()
        (op,) = [op for op in import_tflite(data).walk() if isinstance(op, TflOp) and not isinstance(op, ConstantOp)]
        return op

    count = {"UNPACK": 3, "SPLIT": 2, "SPLIT_V": 3}.get(name, 1)
    op = module([(1,)] * count)
    found = evaluate(Call(op, operator_name(op)))
    assert found is not None
    made, inputs = tensors(as_inputs=True)
    results = [Tensor(f"y{i}", one.shape, dtype, **quantised) for i, one in enumerate(found)]
    data = Model(Subgraph(inputs, results, [Op(name, made, results, **options)])).to_bytes()
    expected = golden.run(data, [operands[made.index(one)] for one in inputs])
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert np.array_equal(one, other)
    if name not in ("BROADCAST_ARGS", "RANGE"):
        assert result_shapes(Call(op, name), [one.shape for one in operands]) == [one.shape for one in expected]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantize(dtype: str) -> None:
    scale, zero = 0.3, {"int8": -5, "uint8": 131, "int16": 0}[dtype]
    ties = (np.arange(-40, 40) + 0.5) * np.float32(scale)
    values = np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), [0.0, -0.0, 1e6, -1e6]])
    x = values.astype(np.float32)

    def model(given: bool) -> bytes:
        a = Tensor("x", x.shape, "float32", data=None if given else x)
        y = Tensor("y", x.shape, dtype, scale, zero)
        return Model(Subgraph([a] if given else [], [y], [Op("QUANTIZE", [a], [y])])).to_bytes()

    (op,) = [o for o in import_tflite(model(False)).walk() if isinstance(o, TflOp) and not isinstance(o, ConstantOp)]
    found = evaluate(Call(op, "QUANTIZE"))
    assert found is not None
    assert np.array_equal(found[0], golden.run(model(True), [x])[0])


def _all_fed(name: str) -> bool:
    """Whether all operands are values, none says how they are moved."""
    return name in (
        "ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "FLOOR_DIV", "FLOOR_MOD", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL",
        "GREATER", "GREATER_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "SELECT_V2", "CONCATENATION", "PACK",
    )  # fmt: skip
