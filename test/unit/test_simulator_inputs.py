"""What inputs a seed gives: of every kind, within the type, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from npuc.simulator import load
from npuc.simulator.inputs import KINDS, default_runs, random_inputs
from npuc.simulator.tflite import CompiledModel, Operator, Tensor

SHAPE = (1, 8, 8, 4)


def model(dtype: str, zero: int, shape: tuple[int, ...] = SHAPE) -> CompiledModel:
    return CompiledModel(b"", (Tensor(0, "in", shape, np.dtype(dtype), None, False, 0.1, zero),), (), (0,), ())


def drawn(kind: str, dtype: str, zero: int) -> np.ndarray:
    (values,) = random_inputs(model(dtype, zero), list(KINDS).index(kind)).values()
    assert values.dtype == dtype
    assert values.shape == SHAPE
    return values.astype(np.int64)


@pytest.mark.parametrize(("dtype", "zero"), [("int8", -5), ("uint8", 250), ("int16", 0)])
def test_every_kind_is_what_it_says(dtype: str, zero: int):
    limits = np.iinfo(dtype)
    low, high, width = int(limits.min), int(limits.max), int(limits.max) - int(limits.min)
    assert len(np.unique(drawn("uniform", dtype, zero))) > 100
    assert abs(drawn("near the zero point", dtype, zero) - zero).max() <= width // 16
    assert set(np.unique(drawn("ends", dtype, zero))) == {low, high}
    steps = np.diff(drawn("ramp", dtype, zero).reshape(-1))
    assert set(np.unique(steps)) <= {1, -width}
    assert (drawn("sparse", dtype, zero) == zero).mean() > 0.8
    assert abs(np.diff(drawn("walk", dtype, zero).reshape(-1))).max() <= width // 64
    assert set(np.unique(drawn("ties", dtype, zero))) == {zero - 1, zero, zero + 1}
    assert len(np.unique(drawn("constant", dtype, zero))) == 1


def test_the_seed_and_the_invocation_say_it_all():
    one = model("int8", 3)
    seeds = range(2 * len(KINDS))
    found = [random_inputs(one, seed)[0].tobytes() for seed in seeds]
    assert found == [random_inputs(one, seed)[0].tobytes() for seed in seeds]
    # Of constants there are but three.
    assert len(set(found)) >= len(found) - 1
    assert random_inputs(one, 0)[0].tobytes() != random_inputs(one, 0, 1)[0].tobytes()
    assert random_inputs(one, 0)[0].tobytes() != random_inputs(one, len(KINDS))[0].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bool", "int32", "int64"])
def test_other_types_have_values_too(dtype: str):
    for seed in range(len(KINDS)):
        (values,) = random_inputs(model(dtype, 0), seed).values()
        assert values.dtype == dtype
        assert values.shape == SHAPE
        assert np.isfinite(values).all()


def test_the_shape_that_a_transposed_convolution_reads_is_its_own():
    tensors = (
        Tensor(0, "shape", (4,), np.dtype(np.int32), None, False, 0.0, 0),
        Tensor(1, "out", (1, 6, 7, 2), np.dtype(np.int8), None, False, 0.1, 0),
    )
    one = CompiledModel(b"", tensors, (Operator(0, "67", (0,), (1,), b""),), (0,), (1,))
    assert random_inputs(one, 5)[0].tolist() == [1, 6, 7, 2]


def test_large_models_are_run_a_few_times_only(models):
    assert default_runs(load(models["digits_cnn"].path.read_bytes())) == len(KINDS)
    assert default_runs(model("int8", 0, (1, 2048, 2048, 1))) == 3
