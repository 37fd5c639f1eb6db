"""Sparse constants become dense, in any order of dimensions and blocks; descriptions that do not fit are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_writer import Sparse

from npuc.lowering.sparsity import dense
from npuc.lowering.tflite_schema import Table, TFLiteError


def described(sparse: Sparse, data: np.ndarray) -> tuple[bytes, Table]:
    """The values, and the tables of the file, as the tiny writer has them."""
    values, levels = sparse.encode(data)
    metadata: list[Table] = []
    for dimension, (size, segments, indices) in zip(sparse.order, levels, strict=True):
        if dimension in sparse.csr:
            arrays = {"array_segments": ("", {"values": segments}), "array_indices": ("", {"values": indices})}
            metadata.append({"format": "SPARSE_CSR", "dense_size": 0, **arrays})
        else:
            metadata.append({"format": "DENSE", "dense_size": size})
    table = {"traversal_order": list(sparse.order), "block_map": list(sparse.blocks), "dim_metadata": metadata}
    return values.tobytes(), table


@st.composite
def sparse_arrays(draw: st.DrawFn) -> tuple[Sparse, np.ndarray]:
    rank = draw(st.integers(1, 4))
    blocked = sorted(draw(st.sets(st.integers(0, rank - 1), max_size=2)))
    blocks = {axis: draw(st.sampled_from((1, 2, 4))) for axis in blocked}
    shape = [draw(st.integers(1, 3)) * blocks.get(axis, 1) for axis in range(rank)]
    order = [*draw(st.permutations(range(rank))), *draw(st.permutations(range(rank, rank + len(blocks))))]
    # The elements of a block are all stored.
    csr = draw(st.sets(st.integers(0, rank - 1)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    dtype = draw(st.sampled_from((np.int8, np.int16, np.float32)))
    data = (rng.integers(-100, 100, shape) * (rng.random(shape) < 0.4)).astype(dtype)
    return Sparse(order, sorted(csr), blocks), data


@given(sparse_arrays())
def test_dense_again(drawn: tuple[Sparse, np.ndarray]) -> None:
    sparse, data = drawn
    values, table = described(sparse, data)
    assert dense(values, table, data.shape, data.itemsize) == data.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traversal_order": [0, 2, 1]}, "traversal order"),
        ({"traversal_order": None}, "traversal order"),
        ({"block_map": [5]}, "do not fit blocks"),
        ({"dim_metadata": []}, "0 descriptions"),
        ({"values": b"\1"}, "holds 1 bytes for"),
        ({"dense_size": 3}, "dense dimension 0 has 3"),
        ({"block": 3}, "not made of blocks of 3"),
        ({"segments": [0, 9, 9, 9, 9]}, "segments and indices"),
        ({"segments": [0, 1]}, "segments and indices"),
        ({"indices": [7] * 20}, "segments and indices"),
        ({"shape": (1 << 20, 1 << 20)}, "is not supported"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    data = np.arange(32, dtype=np.int8).reshape(4, 8) - 16
    values, table = described(Sparse((0, 1, 2), (1,), {1: 4}), data)
    first, second, third = table["dim_metadata"]
    shape = data.shape
    match change:
        case {"values": bytes(given_values)}:
            values = given_values
        case {"dense_size": size}:
            first["dense_size"] = size
        case {"block": size}:
            third["dense_size"] = size
        case {"segments": segments}:
            second["array_segments"] = ("", {"values": segments})
        case {"indices": indices}:
            second["array_indices"] = ("", {"values": indices})
        case {"shape": (int(height), int(width))}:
            shape = (height, width)
        case _:
            table |= change
    with pytest.raises(TFLiteError, match=message):
        dense(values, table, shape, 1)
