"""What the comparison says of wrong intermediates: each is found, named first, and no correct one is called wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import tiny_writer
from network import Network

from npuc.simulator import Op, load
from npuc.simulator.compare import Comparer, SourceTensors
from npuc.simulator.inputs import KINDS
from npuc.simulator.memory import Access, Memory, Piece
from npuc.simulator.tflite import CompiledModel, Operator, Tensor
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

pytest.importorskip("ai_edge_litert")
SHAPE = (1, 8, 6, 32)
UNIFORM = [seed for seed, kind in enumerate(KINDS) if kind.startswith("uniform")]
ADD, SOFTMAX = "0", "25"


def source(count: int) -> CompiledModel:
    """A chain of `count` operators with one tensor between each two."""
    names = ["in", *(f"t{i}" for i in range(count))]
    tensors = tuple(Tensor(i, name, SHAPE, np.dtype(np.int8), None, False, 1.0, 0) for i, name in enumerate(names))
    operators = tuple(Operator(i, ADD, (i,), (i + 1,), b"") for i in range(count))
    return CompiledModel(b"", tensors, operators, (0,), (count,))


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-60, 60, SHAPE).astype(np.int8)


def numbered(values: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """What the operators make, by tensor: number 0 is the input."""
    return dict(enumerate(values, 1))


def op(index: int) -> Op:
    dense = {"OFM_PRECISION": 0, "OFM_STRIDE_X": SHAPE[3], "OFM_STRIDE_Y": SHAPE[2] * SHAPE[3]}
    return Op("CONV", "", 0, 10 * index, index, MappingProxyType(dense))


def take(tensors: SourceTensors, *written: np.ndarray) -> list[str]:
    return [tensors.take(op(i), value.reshape(value.shape[-3:])) for i, value in enumerate(written)]


def test_an_intermediate_that_is_off_by_one_everywhere_is_wrong():
    t = [values(i) for i in range(3)]
    tensors = SourceTensors(source(3), numbered(t))
    assert take(tensors, t[0], t[1] + 1, t[2]) == [
        "equals 't0' of operator 0 (ADD)",
        "",
        "equals 't2' of operator 2 (ADD)",
    ]
    (wrong,) = tensors.wrong()
    assert (wrong.op.index, wrong.name, wrong.maker, wrong.share, wrong.distance) == (1, "t1", "operator 1 (ADD)", 0, 1)
    assert f"first at [0, 0, 0]: {t[1][0, 0, 0, 0] + 1}, the reference has {t[1][0, 0, 0, 0]}" in str(wrong)
    assert tensors.first_wrong().op.index == 1


def test_every_fourth_column_of_a_resize_is_told_from_columns_beside_one_another():
    """They resemble them, as neighbours in a resized map do."""
    x, y = (
        tiny_writer.Tensor(name, (1, *size, 1), "uint8", 0.5, 255) for name, size in (("x", (3, 2)), ("y", (48, 8)))
    )
    size = tiny_writer.constant("size", np.array([48, 8], np.int32))
    resize = tiny_writer.Op("RESIZE_BILINEAR", [x, size], [y])
    model = tiny_writer.Model(tiny_writer.Subgraph([x], [y], [resize])).to_bytes()
    comparer = Comparer(load(compile_tflite(model, Target("ethos-u55-128")).data), model)
    comparisons = [comparer.run(seed=seed, trace=True) for seed in range(3)]
    assert all(comparison.exact for comparison in comparisons)
    phases = [step.equals.split(" of ")[0] for step in comparisons[0].steps if "'y'" in step.equals]
    assert phases == [f"equals [0:48, {column}:{column + 5}:4, 0:1]" for column in range(4)]


def test_channels_of_a_concat_are_found_wherever_they_begin():
    t = values(0)
    tensors = SourceTensors(source(1), {1: t})
    assert take(tensors, t[..., 13:], t[..., :13]) == [
        "equals [0:8, 0:6, 13:32] of 't0' of operator 0 (ADD)",
        "equals [0:8, 0:6, 0:13] of 't0' of operator 0 (ADD)",
    ]
    assert not tensors.wrong()


def test_a_stripe_that_is_wrong_is_named_with_its_place():
    t = values(0)
    tensors = SourceTensors(source(1), {1: t})
    stripe = t[0, 4:6].copy()
    stripe[1, 2, 3] += 9
    take(tensors, t[0, :4], stripe, t[0, 6:])
    (wrong,) = tensors.wrong()
    assert wrong.op.index == 1
    assert "first at [5, 2, 3]" in str(wrong)


def test_tensors_without_names_are_told_apart():
    t = [values(0), values(1)[:, :4]]
    model = source(2)
    model = replace(model, tensors=tuple(replace(tensor, name="") for tensor in model.tensors))
    tensors = SourceTensors(model, numbered(t))
    assert take(tensors, t[0], t[1] + 1) == ["equals '' of operator 0 (ADD)", ""]
    assert [wrong.maker for wrong in tensors.wrong()] == ["operator 1 (ADD)"]


def test_what_stands_in_a_tensors_place_and_goes_with_it_is_wrong_however_far_off():
    t = [values(i) for i in range(3)]
    tensors = SourceTensors(source(3), numbered(t))
    take(tensors, t[0], t[1] + 40, t[2])
    assert [(wrong.op.index, wrong.name, wrong.distance) for wrong in tensors.wrong()] == [(1, "t1", 40)]


def test_what_another_operation_wrote_exactly_is_not_wrong():
    t = values(0)
    tensors = SourceTensors(source(1), {1: t})
    # As a partial result that comes near the whole.
    take(tensors, t - 1, t)
    assert tensors.wrong() == []
    assert tensors.unwritten() == []


def test_what_the_cpu_computes_need_not_be_written():
    t = values(0)
    tensors = SourceTensors(source(1), {1: t}, {"t0"})
    take(tensors, t - 1)
    assert tensors.wrong() == []
    assert tensors.unwritten() == []


@pytest.mark.parametrize("made", [lambda t: -t, lambda t: np.where(t > 0, t, 0), lambda t: t * t // 60])
def test_a_partial_result_is_no_wrong_tensor(made):
    """The other sign, clipped, squared: an operation of a decomposition, whose last one is fused away."""
    t = values(0)
    tensors = SourceTensors(source(2), numbered([t, values(1)]))
    take(tensors, made(t).astype(np.int8), values(1))
    assert tensors.wrong() == []


def test_a_copy_of_an_input_that_is_near_a_tensor_a_few_columns_further_on_is_no_wrong_tensor():
    """As the first step of a MIRROR_PAD, of an input that rises evenly. In the place of a tensor it is wrong."""
    x = np.arange(6 * 8 * 16, dtype=np.int16).reshape(1, 6, 8, 16)
    padded = np.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0)), "reflect")
    for given, wrong in (([x], []), ([], ["t0"])):
        tensors = SourceTensors(source(1), {1: padded}, inputs=given)
        take(tensors, x)
        assert [one.name for one in tensors.wrong()] == wrong
    changed = SourceTensors(source(1), {1: x + 1}, inputs=[x])
    take(changed, x)
    assert [one.name for one in changed.wrong()] == ["t0"]


def test_tensors_of_fused_operators_are_told_from_missing_ones():
    t = [values(i) for i in range(4)]
    tensors = SourceTensors(source(4), numbered(t))
    # t0 was fused into t1; what became of t2 and t3 nobody knows.
    take(tensors, t[1], values(9))
    assert [source.name for source in tensors.unwritten()] == ["t2", "t3"]


def test_what_the_reference_does_not_know_may_resemble_what_it_knows():
    """As behind an operator that LiteRT has no kernel for; what comes before it is told as ever."""
    t = [values(i) for i in range(3)]
    known = {number: value for number, value in numbered(t).items() if number != 3}
    tensors = SourceTensors(source(3), known)
    take(tensors, t[1], t[0] + 1)
    assert tensors.wrong() == []
    tensors = SourceTensors(source(3), known)
    take(tensors, t[0] + 1, t[1])
    assert [wrong.name for wrong in tensors.wrong()] == ["t0"]


def test_an_operation_in_the_place_of_a_tensor_is_named_though_it_resembles_nothing():
    t = [values(i) for i in range(3)]
    tensors = SourceTensors(source(3), numbered(t))
    take(tensors, t[0], values(7), values(8))
    found = tensors.first_wrong()
    assert (found.op.index, found.name, found.verb) == (1, "t1", "stands in the place of")


def test_views_of_the_inputs_and_what_is_folded_need_not_be_written():
    model = source(2)
    x = values(0)
    # What the NPU computes on the way to t1 comes near the view t0.
    near = (x * 0.97).astype(np.int8)
    for given, wrong in (([x], []), ([], ["t0"])):
        tensors = SourceTensors(model, numbered([x.copy(), values(1)]), inputs=given)
        take(tensors, near, values(1))
        assert [one.name for one in tensors.wrong()] == wrong
    folded = replace(model, operators=(replace(model.operators[0], inputs=(-1,)), model.operators[1]))
    tensors = SourceTensors(folded, numbered([x, values(1)]))
    take(tensors, near, values(1))
    assert tensors.wrong() == []
    assert tensors.unwritten() == []


def test_what_is_made_exactly_tells_what_it_cannot_be_made_of():
    t = [values(0), values(1)]
    asked: list[tuple[int, np.ndarray]] = []

    def contradicted(number: int, made: np.ndarray) -> bool:
        asked.append((number, made))
        return True

    tensors = SourceTensors(source(2), numbered(t))
    stripe = t[0][0, 2:5] + 1
    take(tensors, stripe, t[1])
    assert [one.name for one in tensors.wrong()] == ["t0"]
    assert tensors.wrong(contradicted) == []
    expected = t[0].copy()
    expected[0, 2:5] = stripe
    assert {number for number, _ in asked} == {1}
    for _, made in asked:
        np.testing.assert_array_equal(made, expected.reshape(made.shape))


def access(what: str, memory: Memory, low: int, size: int) -> Access:
    return Access(what, memory, (Piece(low, (size,), (1,), low, low + size, (0, 1), (0, 1), (0, 1)),), low, low + size)


@pytest.mark.parametrize("past", [False, True])
def test_what_is_made_of_something_older_as_well_was_not_made_of_the_tensor_alone(past: bool):
    """t2 = f(t1): an OFM that resembles t1 is t1 only if t2 was made of nothing else."""
    t = [values(i) for i in range(3)]
    arena = Memory("arena", 1 << 12)
    tensors = SourceTensors(source(3), numbered(t))
    places = [access("OFM", arena, 1024 * i, 512) for i in range(3)]
    tensors.take(op(0), t[0][0], [], [places[0]])
    tensors.take(op(1), t[1][0] + 1, [access("IFM", arena, 0, 512)], [places[1]])
    also = [access("IFM2", arena, 0, 512)] if past else []
    tensors.take(op(2), t[2][0], [access("IFM", arena, 1024, 512), *also], [places[2]])
    assert [one.name for one in tensors.wrong()] == ([] if past else ["t1"])


def test_parts_of_what_was_made_of_something_older_tell_as_much():
    """t2 = f(t1), in two runs of rows, of which only one was made of nothing but the OFM that resembles t1."""
    t = [values(i) for i in range(3)]
    arena = Memory("arena", 1 << 14)
    tensors = SourceTensors(source(3), numbered(t))
    size = t[0].size
    places = [access("OFM", arena, size * i, size) for i in range(4)]
    tensors.take(op(0), t[0][0], [], [places[0]])
    tensors.take(op(1), t[1][0] + 1, [access("IFM", arena, 0, size)], [places[1]])
    rows = t[2].reshape(1, -1, SHAPE[-1])
    # Seen as one row of 48 columns, of which neither part is a box of the tensor's eight rows.
    parts = [rows[:, :20], rows[:, 20:]]
    for i, also in enumerate([[], [access("IFM2", arena, 0, size)]]):
        reads = [access("IFM", arena, size, size), *also]
        written = access("OFM", arena, 2 * size + 640 * i, parts[i].size)
        assert tensors.take(op(2 + i), parts[i], reads, [written]).startswith(f"equals elements {640 * i}:")
    assert tensors.wrong() == []


def test_a_wrong_stripe_is_none_the_better_for_right_ones_before_it():
    """t2 = f(t1), made of a right and a wrong stripe of t1: what is older than the wrong one is the right one."""
    t = [values(i) for i in range(2)]
    arena = Memory("arena", 1 << 14)
    tensors = SourceTensors(source(2), numbered(t))
    half = t[0].size // 2
    tensors.take(op(0), t[0][0, :4], [], [access("OFM", arena, 0, half)])
    tensors.take(op(1), t[0][0, 4:] + 1, [], [access("OFM", arena, half, half)])
    read = [access("IFM", arena, 0, 2 * half)]
    tensors.take(op(2), t[1][0], read, [access("OFM", arena, 2 * half, 2 * half)])
    assert [(one.op.index, one.name) for one in tensors.wrong()] == [(1, "t0")]


def test_steps_inside_operators_that_hardly_change_their_input_raise_no_alarm(models):
    data = models["leaky_relu_of_a_view"].path.read_bytes()
    comparer = Comparer(load(compile_tflite(data, Target("ethos-u55-128")).data), data)
    steps = 0
    for seed in range(len(KINDS)):
        found = comparer.run(seed=seed, trace=True)
        assert found.exact, str(found.first_wrong)
        steps += sum(not step.equals for step in found.steps)
    assert steps > len(KINDS)


@pytest.mark.parametrize("by", [1, 5, 30])
def test_a_wrong_zero_point_is_found_in_every_convolution_of_a_network(models, by: int):
    data = models["digits_cnn"].path.read_bytes()
    comparer = Comparer(load(compile_tflite(data, Target("ethos-u55-128")).data), data)
    (index,) = comparer.session.programs
    program = comparer.session.programs[index]
    good = comparer.run()
    assert good.exact
    hidden: list[int] = []
    for at, one in enumerate(program.ops):
        if one.name not in ("CONV", "DEPTHWISE"):
            continue
        state = MappingProxyType({**one.state, "OFM_ZERO_POINT": one.state["OFM_ZERO_POINT"] + by & 0xFFFF})
        ops = (*program.ops[:at], replace(one, state=state), *program.ops[at + 1 :])
        comparer.session.programs[index] = replace(program, ops=ops)
        for seed in UNIFORM:
            found = comparer.run(seed=seed)
            assert not found.exact
            assert found.first_wrong is not None
            assert found.first_wrong.op.index == at
            hidden += [at] if not found.differences else []
    # Softmax hides the last one.
    assert hidden


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_inputs_and_outputs_of_one_name_are_told_apart_by_their_place(what: str):
    n = Network(1)
    inputs = [n.input((1, 4, 4, 8)) for _ in range(2)]
    outputs = [n.conv(x, 8) for x in inputs]
    for tensor in {"inputs": inputs, "outputs": outputs}[what]:
        tensor.name = "same"
    data = n.model(*outputs).to_bytes()
    comparer = Comparer(load(compile_tflite(data, Target("ethos-u55-128")).data), data)
    for seed in range(len(KINDS)):
        compared = comparer.run(seed=seed)
        assert (compared.exact, compared.unwritten) == (True, []), compared


def test_outputs_are_found_by_name_where_their_order_is_another():
    def build(order: int) -> bytes:
        n = Network(1)
        x = n.input((1, 4, 4, 8))
        return n.model(*[n.conv(x, 8), n.conv(x, 8)][::order]).to_bytes()

    comparer = Comparer(load(compile_tflite(build(-1), Target("ethos-u55-128")).data), build(1))
    assert comparer.run(seed=UNIFORM[0]).exact


def test_a_variable_tensor_that_the_caller_gives_is_an_input():
    n = Network(1)
    x = n.input((1, 4, 4, 8))
    x.variable = True
    data = n.model(n.conv(x, 8)).to_bytes()
    comparer = Comparer(load(compile_tflite(data, Target("ethos-u55-128")).data), data)
    assert all(comparer.run(seed=seed).exact for seed in UNIFORM)
