"""Plain integers of 32 bits: arithmetic that is known not to overflow is on the NPU, exactly, and no other is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_operator import HAS_LITERT, RANGES, arrays, examples, usual_inputs
from tiny_writer import Model, Op, Subgraph, Tensor, constant

from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

if HAS_LITERT:
    import golden

SHAPE = (1, 4, 5, 6)
NARROW = ("int8", "uint8", "int16")


def compiled_exactly(ops: list[Op], x: Tensor, y: Tensor) -> dict[str, int]:
    """The operators of a chain that stay on the CPU; if there are none it has LiteRT's results."""
    model = Model(Subgraph([x], [y], ops)).to_bytes()
    compiled = compile_tflite(model, Target("ethos-u55-128"))
    if not compiled.summary.cpu_operators:
        session = Session(load(compiled.data))
        for case in usual_inputs([x]):
            result = session.run(dict(enumerate(case)))
            assert result.reports == []
            if HAS_LITERT:
                (expected,) = golden.run(model, case)
                assert np.array_equal(result.outputs[y.name].reshape(expected.shape), expected)
    return dict(compiled.summary.cpu_operators)


def test_random_chains_between_casts() -> None:
    on_npu = 0

    @examples(25)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        nonlocal on_npu
        draw = data.draw
        x = Tensor("x", SHAPE, draw(st.sampled_from(NARROW)))
        value = Tensor("wide", SHAPE, "int32")
        ops = [Op("CAST", [x], [value], in_data_type=x.dtype, out_data_type="int32")]
        low, high = RANGES[x.dtype]
        for number in range(draw(st.integers(1, 4))):
            name, most = draw(st.sampled_from(("ADD", "SUB", "MUL"))), draw(st.sampled_from((1, 100, 40000)))
            values = draw(arrays((1, 1, 1, 6), -most, most, "int32"))
            result = Tensor(f"t{number}", SHAPE, "int32")
            operands = [value, constant(f"c{number}", values)]
            if draw(st.booleans()):
                operands.reverse()
            ops.append(Op(name, operands, [result]))
            value = result
            bound = max(-low, high)
            bound = bound * most if name == "MUL" else bound + most
            low, high = -bound, bound
        if high < 1 << 15:
            y = Tensor("y", SHAPE, "int16")
            ops.append(Op("CAST", [value], [y], in_data_type="int32", out_data_type="int16"))
            value = y
        left = compiled_exactly(ops, x, value)
        on_npu += not left
        assert not left or high >= 1 << 31

    run()
    assert on_npu >= 8


@pytest.mark.parametrize(("name", "operand"), [("ADD", 1), ("SUB", -1), ("MUL", 2)])
def test_what_may_overflow_stays_on_the_cpu(name: str, operand: int) -> None:
    x, y = Tensor("x", SHAPE, "int32"), Tensor("y", SHAPE, "int32")
    assert compiled_exactly([Op(name, [x, constant("c", np.array([operand], np.int32))], [y])], x, y) == {name: 1}


@pytest.mark.parametrize("activation", ["RELU", "RELU_N1_TO_1", "RELU6"])
def test_what_an_activation_makes_is_not_known(activation: str) -> None:
    """An operator with one stays on the CPU, and what it makes may lie outside of its sums."""
    x, y = Tensor("x", SHAPE, "int8"), Tensor("y", SHAPE, "int32")
    wide, low, high = (Tensor(name, SHAPE, "int32") for name in ("wide", "low", "high"))
    ops = [
        Op("CAST", [x], [wide], in_data_type="int8", out_data_type="int32"),
        Op("ADD", [wide, constant("less", np.array([-1000], np.int32))], [low], activation=activation),
        Op("ADD", [low, constant("most", np.array([(1 << 31) - 1], np.int32))], [high]),
        Op("ADD", [high, constant("more", np.array([800], np.int32))], [y]),
    ]
    assert compiled_exactly(ops, x, y)["ADD"] == 3


def test_what_is_joined_with_another_scale_is_not_known() -> None:
    """LiteRT rescales it."""
    x, y = Tensor("x", SHAPE, "uint8", 1.0, 0), Tensor("y", (1, 4, 5, 12), "int32")
    joined, wide = Tensor("joined", y.shape, "uint8", 4.0, 0), Tensor("wide", y.shape, "int32")
    zeros = constant("zeros", np.zeros(SHAPE, np.uint8))
    zeros = Tensor("zeros", SHAPE, "uint8", 4.0, 0, data=zeros.data)
    ops = [
        Op("CONCATENATION", [x, zeros], [joined], axis=3),
        Op("CAST", [joined], [wide], in_data_type="uint8", out_data_type="int32"),
        Op("MUL", [wide, constant("factor", np.array([1 << 28], np.int32))], [y]),
    ]
    assert compiled_exactly(ops, x, y)["MUL"] == 1


@pytest.mark.parametrize("axis", [3, 2])
def test_places_become_bytes(axis: int) -> None:
    """As at the end of a segmentation network: the greatest class of each pixel, in 8 bits."""
    x = Tensor("x", SHAPE, "int8", 0.5, 0)
    shape = tuple(size for at, size in enumerate(SHAPE) if at != axis)
    places, y = Tensor("places", shape, "int32"), Tensor("y", shape, "uint8")
    ops = [
        Op("ARG_MAX", [x, constant("axis", np.array(axis, np.int32))], [places], output_type="int32"),
        Op("CAST", [places], [y], in_data_type="int32", out_data_type="uint8"),
    ]
    assert not compiled_exactly(ops, x, y)


@pytest.mark.parametrize("target", ["int8", "uint8", "bool"])
def test_sixteen_bits_are_cut_off(target: str) -> None:
    """All 65536 of them."""
    x, y = Tensor("x", (256, 256), "int16"), Tensor("y", (256, 256), target)
    assert not compiled_exactly([Op("CAST", [x], [y], in_data_type="int16", out_data_type=target)], x, y)
