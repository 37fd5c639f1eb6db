"""
Tables of functions: all 256 values of 8 bits, all 65,536 of 16 bits, through the whole pipeline; and many scales, the
tables alone, against LiteRT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import golden
import numpy as np
import pytest
from one_operator import RANGES, ROOTS, check
from property_tests import seeds
from tiny_writer import Model, Op, Subgraph, Tensor
from xdsl.context import Context

from npuc.dialects import tfl, tosa
from npuc.dialects.constants import as_numpy
from npuc.lowering.convert_tfl_to_tosa import ConvertTflToTosaPass
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators.support.legality import cpu_reason

pytest.importorskip("ai_edge_litert.interpreter")

# Operator, type, options; scale and zero point of operand and result for the test of all values.
FUNCTIONS: list[tuple[str, str, dict[str, Any], tuple[float, int], tuple[float, int]]] = [
    ("ELU", "int8", {}, (0.0421, 11), (0.0217, -71)),
    ("EXP", "int8", {}, (0.0421, 40), (0.173, -128)),
    ("EXP", "int16", {}, (0.0000921, 0), (0.000523, 0)),
    ("GELU", "int8", {}, (0.0521, 2), (0.027, -122)),
    ("GELU", "uint8", {}, (0.0521, 130), (0.027, 6)),
    ("GELU", "int16", {}, (0.000183, 0), (0.000192, 0)),
    ("GELU", "int8", {"approximate": True}, (0.0521, 2), (0.027, -122)),
    ("GELU", "uint8", {"approximate": True}, (0.0521, 130), (0.027, 6)),
    ("GELU", "int16", {"approximate": True}, (0.000183, 0), (0.000192, 0)),
    ("HARD_SWISH", "int8", {}, (0.0521, 2), (0.027, -114)),
    ("LEAKY_RELU", "int8", {"alpha": 0.3}, (0.0521, 2), (0.027, -34)),
    ("LOG", "int8", {}, (0.0321, -128), (0.0421, 30)),
    ("LOG", "int16", {}, (0.000183, 0), (0.000451, 0)),
    ("LOGISTIC", "int8", {}, (0.0521, 2), (1 / 256, -128)),
    ("LOGISTIC", "int16", {}, (0.000231, 0), (1 / 32768, 0)),
    ("NEG", "int8", {}, (0.0521, 2), (0.027, -34)),
    ("NEG", "int16", {}, (0.0521, 0), (0.027, 0)),
    ("RSQRT", "int8", {}, (0.0321, -128), (0.0221, -128)),
    ("RSQRT", "int16", {}, (0.000183, 0), (0.00231, 0)),
    ("SQRT", "int8", {}, (0.0321, -128), (0.0111, -128)),
    ("TANH", "int8", {}, (0.0231, 2), (1 / 128, 0)),
    ("TANH", "int16", {}, (0.000231, 0), (1 / 32768, 0)),
]


def named(function: Sequence[Any]) -> str:
    name, dtype, options = function[:3]
    return f"{name}-{dtype}{'-approximate' * ('approximate' in options)}"


TABLES = [
    function[:3]
    for function in FUNCTIONS
    if function[0] != "HARD_SWISH" and function[:2] not in (("LOGISTIC", "int16"), ("NEG", "int16"), ("TANH", "int16"))
]
"""Those that become a `tosa.table`."""


@pytest.mark.parametrize(("name", "dtype", "options", "source", "target"), FUNCTIONS, ids=map(named, FUNCTIONS))
def test_all_values(
    name: str, dtype: str, options: dict[str, Any], source: tuple[float, int], target: tuple[float, int]
) -> None:
    low, high = RANGES[dtype]
    side = 256 if dtype == "int16" else 16
    every = np.arange(low, high + 1).astype(dtype).reshape(1, side, side, 1)
    x, y = Tensor("x", every.shape, dtype, *source), Tensor("y", every.shape, dtype, *target)
    outcome = check(Model(Subgraph([x], [y], [Op(name, [x], [y], **options)])), [[every]])
    assert outcome.reason is None
    assert outcome.compared == 7 * every.size


@pytest.mark.parametrize(("name", "dtype", "options"), TABLES, ids=map(named, TABLES))
def test_many_scales(name: str, dtype: str, options: dict[str, Any]) -> None:
    """The entries of 8 bits, and the nodes of 16, which are results too: those of the first value of each segment."""
    low, high = RANGES[dtype]
    stored = np.arange(low, high + 1, 128 if dtype == "int16" else 1)
    compared = 0
    for seed in seeds(20):
        random = np.random.default_rng(seed)
        scales = [2.0 ** random.uniform(*((-15, -9) if dtype == "int16" else (-9, 0))) for _ in range(2)]
        if seed % 4 == 0:
            scales = [2.0 ** round(float(np.log2(scale))) for scale in scales]
        zeros = [0, 0] if dtype == "int16" else [int(zero) for zero in random.integers(low, high + 1, 2)]
        if name == "LOGISTIC":
            scales[1], zeros[1] = 1 / 256, low
        x, y = (
            Tensor(what, (stored.size,), dtype, float(np.float32(scale)), zero)
            for what, scale, zero in zip("xy", scales, zeros, strict=True)
        )
        data = Model(Subgraph([x], [y], [Op(name, [x], [y], **options)])).to_bytes()
        entries = table_of(data)
        if entries is None:
            continue
        values = np.maximum(stored, zeros[0]) if name in ROOTS else stored
        (expected,) = golden.run(data, [values.astype(dtype)])
        places = (values - low) >> 7 if dtype == "int16" else values - low
        starts = (values - low) % 128 == 0 if dtype == "int16" else np.ones(values.shape, bool)
        assert np.array_equal(entries[places][starts], expected[starts]), (scales, zeros)
        compared += int(starts.sum())
    assert compared >= 1000


def table_of(data: bytes) -> np.ndarray | None:
    """The one table that an operator becomes; None if it stays on the CPU."""
    module = import_tflite(data)
    (op,) = [op for op in module.walk() if isinstance(op, tfl.TflOp)]
    if cpu_reason(op) is not None:
        return None
    ConvertTflToTosaPass().apply(Context(), module)
    (look_up,) = [op for op in module.walk() if isinstance(op, tosa.TableOp)]
    entries = tosa.constant_attribute(look_up.table)
    assert entries is not None
    return as_numpy(entries)


def test_a_table_that_hangs_on_a_last_bit_stays_on_the_cpu() -> None:
    """Of this scale a node of 16 bits is 1 more by one C library than by another."""
    reasons: set[str] = set()
    for mantissa in range(24):
        scale = float(np.float32((1 + mantissa / 32) * 2.0**-12))
        x, y = Tensor("x", (8,), "int16", scale), Tensor("y", (8,), "int16", scale)
        module = import_tflite(Model(Subgraph([x], [y], [Op("GELU", [x], [y])])).to_bytes())
        reasons |= {str(cpu_reason(op)).split(": tensor")[0] for op in module.walk() if isinstance(op, tfl.TflOp)}
    assert reasons == {"None", "results must not depend on the last bit of the C library's function"}
