"""
One operator each, as a converter writes it: those of vela's table that the committed test models lack.

    python bench/witness_models.py DIR        writes them as files

Scales and sizes are ordinary ones. What vela makes of extreme ones is counted by `bench/coverage.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "models"))

from tiny_writer import Model, Op, Subgraph, Tensor, constant

SHAPE = (1, 6, 8, 16)
MIDDLE = {"int8": 0, "uint8": 128, "int16": 0}
"""The zero points of values on both sides of 0."""


def models() -> Iterator[tuple[str, bytes]]:
    """Name, operator first, and file."""
    for name in ("ELU", "GELU"):
        yield from _functions(name, ("int8",), 1 / 16, 1 / 16)
    yield from _functions("EXP", ("int8",), 1 / 64, 1 / 16)
    yield from _functions("EXP", ("int16",), 1 / 16384, 1 / 4096)
    yield from _functions("LOG", ("int8", "int16"), 1 / 16, 1 / 32)
    yield from _functions("NEG", ("int8",), 1 / 16, 1 / 16)
    yield from _functions("RELU_0_TO_1", ("int8", "uint8"), 1 / 64, 1 / 64)
    yield from _functions("RSQRT", ("int8",), 1 / 16, 1 / 32, zero=-128)
    for dtype in ("int8", "uint8", "int16"):
        yield from _moved(dtype)
        for name in ("REDUCE_MAX", "REDUCE_MIN"):
            x, y = _tensor("x", SHAPE, dtype), _tensor("y", (1, 16), dtype)
            yield _model(name, dtype, [x], [y], [x, _ints("axes", [1, 2])])
        x, y = _tensor("x", SHAPE, dtype), _tensor("y", (1, 16), dtype, 2.0)
        yield _model("SUM", dtype, [x], [y], [x, _ints("axes", [1, 2])])
        x, y = _tensor("x", SHAPE, dtype), _tensor("y", (1, 12, 16, 16), dtype)
        yield _model("RESIZE_BILINEAR", dtype, [x], [y], [x, _ints("size", [12, 16])])
    for dtype in ("int8", "uint8"):
        x, alpha = _tensor("x", SHAPE, dtype), _tensor("alpha", (1, 1, 16), dtype, 1 / 256)
        values = np.random.default_rng(1).integers(1, 100, (1, 1, 16)) + MIDDLE[dtype]
        alpha.data = values.astype(dtype)
        yield _model("PRELU", dtype, [x], [_tensor("y", SHAPE, dtype)], [x, alpha])
        x, y = _tensor("x", SHAPE, dtype), Tensor("y", SHAPE[:3], "int32")
        yield _model("ARG_MAX", dtype, [x], [y], [x, _ints("axis", 3)], output_type="int32")
    x, z = (_tensor(name, (1, 6, 16), "int8", scale) for name, scale in (("x", 1 / 16), ("z", 1 / 20)))
    yield _model("SQUARED_DIFFERENCE", "int8", [x, z], [_tensor("y", (1, 6, 16), "int8", 0.5)], [x, z])
    a, b = _tensor("a", (1, 6, 16), "int8"), _tensor("b", (1, 16, 8), "int8")
    yield _model("BATCH_MATMUL", "int8", [a, b], [_tensor("y", (1, 6, 8), "int8", 0.5)], [a, b])


def _functions(name: str, dtypes: tuple[str, ...], scale: float, result: float, zero: int | None = None) -> Any:
    for dtype in dtypes:
        x, y = _tensor("x", SHAPE, dtype, scale), _tensor("y", SHAPE, dtype, result)
        if zero is not None:
            x.zero = zero
        yield _model(name, dtype, [x], [y], [x])


def _moved(dtype: str) -> Iterator[tuple[str, bytes]]:
    x = _tensor("x", SHAPE, dtype)
    yield _model("TRANSPOSE", dtype, [x], [_tensor("y", (1, 16, 6, 8), dtype)], [x, _ints("axes", [0, 3, 1, 2])])
    padded = _ints("amounts", [[0, 0], [1, 2], [2, 1], [0, 0]])
    whole = _tensor("y", (1, 9, 11, 16), dtype)
    yield _model("MIRROR_PAD", dtype, [x], [whole], [x, padded], mode=0)
    filler = constant("value", np.array([5], dtype), scale=1 / 16, zero=MIDDLE[dtype])
    yield _model("PADV2", dtype, [x], [whole], [x, padded, filler])
    yield _model("REVERSE_V2", dtype, [x], [_tensor("y", SHAPE, dtype)], [x, _ints("axes", [2])])
    parts = [_tensor(f"y{size}", (1, 6, size, 16), dtype) for size in (3, 5)]
    yield _model("SPLIT_V", dtype, [x], parts, [x, _ints("sizes", [3, 5]), _ints("axis", 2)], num_splits=2)
    rows = [_tensor(f"y{row}", (1, 8, 16), dtype) for row in range(6)]
    yield _model("UNPACK", dtype, [x], rows, [x], num=6, axis=1)


def _tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float = 1 / 16) -> Tensor:
    return Tensor(name, shape, dtype, scale, MIDDLE[dtype])


def _ints(name: str, values: Any) -> Tensor:
    return constant(name, np.array(values, np.int32))


def _model(
    name: str, dtype: str, inputs: list[Tensor], outputs: list[Tensor], operands: list[Tensor], **options: Any
) -> tuple[str, bytes]:
    model = Model(Subgraph(inputs, outputs, [Op(name, operands, outputs, **options)]))
    return f"{name.lower()}_{dtype}", model.to_bytes()


def write(folder: Path) -> list[Path]:
    """The files, written to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, data in models():
        paths.append(folder / f"{name}.tflite")
        paths[-1].write_bytes(data)
    return paths


if __name__ == "__main__":
    write(Path(sys.argv[1]))
