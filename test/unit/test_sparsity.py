"""
Sparse constants become dense, in any order of dimensions and blocks, where DENSIFY reads them; where another operator
does they stay as they are. Descriptions that do not fit are refused.
"""

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network import Network
from property_tests import examples
from tiny_writer import Model, Op, Sparse, Subgraph, Tensor, constant
from xdsl.dialects.builtin import ModuleOp
from xdsl.printer import Printer

from npuc.dialects.tfl import ConstantOp, PseudoConstOp, constant_array
from npuc.lowering.tflite.export_tflite import export_tflite
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.lowering.tflite.sparsity import dense
from npuc.lowering.tflite.tflite_schema import Table, TFLiteError, read_model
from npuc.tools.ir import make_context, parse_text
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.verification import verify


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
    index = draw(st.sampled_from(("int32", "uint16", "uint8")))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    dtype = draw(st.sampled_from((np.int8, np.int16, np.float32)))
    data = (rng.integers(-100, 100, shape) * (rng.random(shape) < 0.4)).astype(dtype)
    return Sparse(order, sorted(csr), blocks, index), data


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


def sparse_tensors(file: bytes) -> list[tuple[str, list[int], bytes | None, Table]]:
    """Name, shape, stored bytes and description of the sparse tensors of a file's main subgraph."""
    model = read_model(file)
    return [
        (tensor["name"], list(tensor["shape"]), model["buffers"][tensor["buffer"]]["data"] or None, tensor["sparsity"])
        for tensor in model["subgraphs"][0]["tensors"]
        if tensor["sparsity"] is not None
    ]


def read_by_an_operator(sparse: Sparse, data: np.ndarray) -> bytes:
    """A model of ADD, which reads a sparse constant as it stands."""
    x, y = (Tensor(name, data.shape, data.dtype.name) for name in "xy")
    weights = constant("pruned", data)
    weights.sparse = sparse
    return Model(Subgraph([x], [y], [Op("ADD", [x, weights], [y])])).to_bytes()


def printed(module: ModuleOp) -> str:
    out = StringIO()
    Printer(stream=out, print_debuginfo=True).print_op(module)
    return out.getvalue()


@given(sparse_arrays())
@examples(40)
def test_an_operator_reads_what_stands_in_the_file(drawn: tuple[Sparse, np.ndarray]) -> None:
    file = read_by_an_operator(*drawn)
    module = import_tflite(file)
    verify(module)
    expected = sparse_tensors(file)
    assert len(expected) == 1
    assert sparse_tensors(export_tflite(module)) == expected
    parsed = parse_text(make_context(), printed(module).encode(), "text")
    assert sparse_tensors(export_tflite(parsed)) == expected


def test_densify_and_another_operator_read_one_constant() -> None:
    sparse, data = Sparse((0, 1), (1,)), np.diag(np.arange(1, 5)).astype(np.float32)
    x, y, z = (Tensor(name, data.shape, "float32") for name in "xyz")
    weights, full = constant("pruned", data), Tensor("full", data.shape, "float32")
    weights.sparse = sparse
    ops = [Op("DENSIFY", [weights], [full]), Op("ADD", [x, weights], [y]), Op("ADD", [x, full], [z])]
    file = Model(Subgraph([x], [y, z], ops)).to_bytes()
    module = import_tflite(file)
    (made,) = [op for op in module.walk() if isinstance(op, PseudoConstOp) and not op.attributes]
    np.testing.assert_array_equal(constant_array(made.output), data)
    assert len([op for op in module.walk() if isinstance(op, ConstantOp)]) == 2
    assert sparse_tensors(export_tflite(module)) == sparse_tensors(file)


@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD"])
def test_the_rest_of_a_model_is_compiled(operator: str) -> None:
    n = Network(7)
    x = n.conv(n.input((1, 4, 4, 8)), 8)
    if operator == "FULLY_CONNECTED":
        y = n.fully_connected(n.reshape(x, (8, 16)), 8)
    elif operator == "ADD":
        other = constant("other", n.rng.integers(-9, 9, x.shape).astype(np.int8), scale=0.1)
        n.add_op("ADD", [x, other], [y := n.tensor("sum", x.shape, 0.2)])
    else:
        y = n.conv(x, 8) if operator == "CONV_2D" else n.depthwise(x)
    weights = n.ops[-1].inputs[1]
    assert weights is not None
    assert weights.data is not None
    last = len(weights.shape) - 1
    weights.data = weights.data * (n.rng.random(weights.shape) < 0.5)
    weights.sparse = Sparse(range(last + 1), (last,))
    n.add_op("RELU", [y], [z := n.like(y, "relu", y.shape)])
    file = n.model(z).to_bytes()
    compiled = compile_tflite(file, Target("ethos-u55-128"))
    assert sparse_tensors(compiled.data) == sparse_tensors(file)
    (reason,) = compiled.summary.cpu_reasons
    size = "x".join(map(str, weights.shape))
    rule = "constants must be dense, TFLite computes otherwise with sparse ones"
    assert reason.endswith(f": {rule}: tensor '{weights.name}' ({size})")


def test_a_description_that_does_not_fit_names_the_tensor() -> None:
    data = np.eye(4, dtype=np.float32)[::-1]
    file = bytearray(read_by_an_operator(Sparse((0, 1), (1,), index="uint16"), data))
    indices = np.array([3, 2, 1, 0], "<u2").tobytes()
    assert file.count(indices) == 1
    file[file.index(indices)] = 9
    with pytest.raises(TFLiteError, match=r"tensor 1 \('pruned'\) .*: the segments and indices"):
        import_tflite(bytes(file))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Uint16Vector = {values = array<i32: 0, 1, 2, 3>}", "Uint16Vector = {values = array<i32: 65536>}"),
        ("Uint16Vector = {values = array<i32: 0, 1, 2, 3>}", "Uint16Vector = {sizes = array<i32: 0>}"),
        ("Uint16Vector = {values = array<i32: 0, 1, 2, 3>}", "Uint32Vector = {values = array<i32: 0>}"),
        ('format = "DENSE"', 'format = "HASHED"'),
    ],
)
def test_a_description_that_no_file_can_hold_is_refused(old: str, new: str) -> None:
    module = import_tflite(read_by_an_operator(Sparse((0, 1), (1,), index="uint16"), np.eye(4, dtype=np.float32)))
    text = printed(module)
    assert text.count(old) == 1
    with pytest.raises(TFLiteError):
        export_tflite(parse_text(make_context(), text.replace(old, new).encode(), "text"))
