"""The partition takes what it must, and however CPU operators are strewn, regions are convex and nothing is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from npuc.dialects.npu import InvokeOp, is_region
from npuc.dialects.tfl import ConstantOp, NoValueOp, PseudoTensorOp, TflOp, tensor_name
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators.support.legality import cpu_reason
from npuc.passes.tfl_partition import TflPartitionPass
from npuc.tools.ir import make_context, parse_text
from npuc.tools.verification import verify


def functions(module: ModuleOp) -> list[FuncOp]:
    return [op for op in module.body.block.ops if isinstance(op, FuncOp)]


def operators(function: FuncOp) -> list[TflOp]:
    return [
        op for op in function.body.block.ops
        if isinstance(op, TflOp) and not isinstance(op, ConstantOp | NoValueOp | PseudoTensorOp)
    ]  # fmt: skip


def test_takes_what_it_must(each_model: Any) -> None:
    module = import_tflite(each_model.path.read_bytes())
    main = functions(module)[0]
    assert len(operators(main)) == len(each_model.operators)
    for index, op in enumerate(operators(main)):
        reason = cpu_reason(op)
        assert reason is None or index not in each_model.npu
        assert reason is None or len(reason.splitlines()) == 1
    TflPartitionPass().apply(make_context(), module)
    verify(module)


EXPECTED_REGIONS = {
    "batch_2": 1,
    "cpu_in_a_diamond": 2,
    "cpu_side_branch": 2,
    "dead_operator": 1,
    "float_in_the_middle": 2,
    "float_model": 0,
    "if_with_subgraphs": 2,
    "integer_operators": 1,
    "no_operators": 0,
    "residual_net": 1,
    "scaled_sums_wrap": 1,
    "stateful": 2,
    "two_islands": 2,
}


@pytest.mark.parametrize("name", EXPECTED_REGIONS)
def test_number_of_regions(models: dict[str, Any], name: str) -> None:
    module = import_tflite(models[name].path.read_bytes())
    TflPartitionPass().apply(make_context(), module)
    assert sum(map(is_region, functions(module))) == EXPECTED_REGIONS[name]


TYPE = "tensor<1x4x!quant.uniform<i8:f32, 0.5>>"


def graph(choices: list[tuple[bool, int, int]]) -> str:
    """A network of ADDs, each of two earlier values, on the NPU or pinned to the CPU."""
    lines = [f"func.func @main(%v0: {TYPE}) -> {TYPE} {{"]
    for index, (on_cpu, a, b) in enumerate(choices, 1):
        pinned = ' {npu.cpu_reason = "test"}' if on_cpu else ""
        operands = f"%v{a % index}, %v{b % index}"
        lines.append(f'  %v{index} = tfl.add {operands}{pinned} : ({TYPE}, {TYPE}) -> {TYPE} loc("{index}")')
    return "\n".join([*lines, f"  return %v{len(choices)} : {TYPE}", "}"])


def evaluate(function: FuncOp, arguments: list[int], callees: dict[str, FuncOp]) -> list[int]:
    """Runs ADD on plain integers; every value must have been computed before it is used."""
    values: dict[Any, int] = dict(zip(function.body.block.args, arguments, strict=True))
    for op in function.body.block.ops:
        operands = [values[operand] for operand in op.operands]
        if isinstance(op, InvokeOp):
            results = evaluate(callees[op.callee.string_value()], operands, callees)
        elif isinstance(op, TflOp):
            results = [operands[0] + 3 * operands[1] + 1]
        else:
            return operands
        values |= dict(zip(op.results, results, strict=True))
    raise AssertionError("no return")


def transitions(choices: list[tuple[bool, int, int]]) -> int:
    """
    How often a path comes from the CPU to the NPU, at most: no partition has fewer regions. Operators of the NPU that
    lead to nothing do not count.
    """
    live = {len(choices)} | {index for index, (on_cpu, _, _) in enumerate(choices, 1) if on_cpu}
    for index in range(len(choices), 0, -1):
        if index in live:
            live |= {choices[index - 1][1] % index, choices[index - 1][2] % index}
    depth = {0: 0}  # regions on the way, by value
    for index, (on_cpu, a, b) in enumerate(choices, 1):
        before = [(depth[v], v > 0 and not choices[v - 1][0]) for v in (a % index, b % index)]
        depth[index] = max(count + (not on_cpu and not on_npu) for count, on_npu in before)
    return max(depth[index] for index in live)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=25))
def test_random_graphs(choices: list[tuple[bool, int, int]]) -> None:
    ctx = make_context()
    module = parse_text(ctx, graph(choices).encode(), "graph.mlir")
    expected = evaluate(functions(module)[0], [7], {})
    TflPartitionPass().apply(ctx, module)
    verify(module)
    main, *regions = functions(module)
    assert evaluate(main, [7], {region.sym_name.data: region for region in regions}) == expected
    assert len(regions) == transitions(choices)
    for op in operators(main):
        assert "npu.cpu_reason" in op.attributes


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=25),
    st.integers(0, 40),
)
def test_an_unrelated_operator_of_the_cpu_cuts_nothing(choices: list[tuple[bool, int, int]], read: int) -> None:
    """However a side branch on the CPU hangs on a network, regions hold what they held without it."""

    def regions(text: str) -> list[set[str]]:
        module = parse_text(make_context(), text.encode(), "graph.mlir")
        TflPartitionPass().apply(make_context(), module)
        return [{tensor_name(op.results[0]) for op in operators(one)} for one in functions(module) if is_region(one)]

    text = graph(choices)
    value = f"%v{read % len(choices)}"
    beside = f'  %side = tfl.add {value}, {value} {{npu.cpu_reason = "test"}} : ({TYPE}, {TYPE}) -> {TYPE}\n'
    last = f"%v{len(choices)}"
    with_branch = text.replace(f"  return {last} : {TYPE}", f"{beside}  return {last}, %side : {TYPE}, {TYPE}")
    with_branch = with_branch.replace(f") -> {TYPE} {{", f") -> ({TYPE}, {TYPE}) {{", 1)
    # The branch may keep operators alive that led to nothing.
    before, after = regions(text), regions(with_branch)
    for one in before:
        assert any(one <= other for other in after)
    if len(before) == len(after):
        assert all(one <= other for one, other in zip(before, after, strict=True))
