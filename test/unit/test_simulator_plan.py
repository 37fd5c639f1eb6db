"""Files whose arena offsets lay one tensor over another: the simulator says so, whatever the results are."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from npuc.simulator import Session, load
from npuc.simulator.plan import Plan
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

pytest.importorskip("ai_edge_litert")


def moved(data: bytes, tensor: str, to: int) -> bytes:
    """The file with one tensor of its main subgraph at another arena offset."""
    model = load(data)
    offsets = [-1 if one.offset is None else one.offset for one in model.tensors]
    index = next(one.index for one in model.tensors if one.name == tensor)
    plan = struct.pack(f"<{len(offsets)}i", *offsets)
    assert data.count(plan) == 1
    offsets[index] = to
    return data.replace(plan, struct.pack(f"<{len(offsets)}i", *offsets))


def compiled(models, name: str) -> bytes:
    path = models[name].path
    return compile_tflite(path.read_bytes(), Target("ethos-u55-128"), name=path.name).data


def reports(data: bytes) -> set[str]:
    return {str(report) for report in Session(load(data)).run(seed=1).reports}


def offset(data: bytes, tensor: str) -> int:
    at = next(one.offset for one in load(data).tensors if one.name == tensor)
    assert at is not None
    return at


def test_an_operator_of_the_host_writes_where_it_reads(models) -> None:
    data = compiled(models, "float_in_the_middle")
    assert reports(data) == set()
    shared = moved(data, "rectified", offset(data, "real") + 4)
    assert "plan: CPU operator 2 writes tensor 'rectified' into tensor 'real'" in reports(shared)


def test_an_operator_of_the_host_writes_over_what_is_needed_later(models) -> None:
    data = compiled(models, "cpu_side_branch")
    assert reports(data) == set()
    found = reports(moved(data, "gather_0", offset(data, "conv_1")))
    assert any("writes tensor 'gather_0' into tensor 'conv_1'" in report for report in found)


def test_a_region_writes_over_what_the_host_keeps(models) -> None:
    data = compiled(models, "cpu_side_branch")
    model = load(data)
    last = model.npu_operators[-1]
    result = model.tensors[last.outputs[0]]
    assert result.offset is not None
    found = reports(moved(data, "gather_0", result.offset))
    assert f"plan: operator {last.index} on the NPU writes over tensor 'gather_0', which is needed after it" in found


def test_state_is_an_operators_own_if_it_reads_it(models) -> None:
    """As in files whose recurrent operators are on the NPU: such a region updates the state in the arena."""
    model = load(compiled(models, "cpu_side_branch"))
    first, last = model.npu_operators
    index = first.inputs[4]
    model = replace(model, tensors=[replace(t, is_variable=t.index == index) for t in model.tensors])
    plan = Plan(model)
    assert index not in {tensor.index for tensor in plan.across(first)}
    assert index in {tensor.index for tensor in plan.across(last)}
