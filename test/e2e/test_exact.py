"""
Every committed model, compiled and run on the simulator, equals LiteRT's golden outputs bit for bit.

All cases on one accelerator, fewer on each of the others. An operator that must be on the NPU and fell to the CPU is a
failure, and so is a run that compared fewer arrays than the manifest says: `test_comparisons` counts them.
"""

from __future__ import annotations

import importlib.util
from collections import Counter

import numpy as np
import pytest
from golden import Golden
from tflm_planner import check_plan

from npuc.simulator import Session, load
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target

MAIN = "ethos-u55-128"
OTHERS = (
    Target("ethos-u55-32"),
    Target("ethos-u55-64", memory_mode="Sram_Only"),
    Target("ethos-u55-256", strategy="size"),
    Target("ethos-u65-256", memory_mode="Sram_Only"),
    Target("ethos-u65-512"),
    Target("ethos-u65-512", memory_mode="Shared_Sram", strategy="size"),
)
CASES_ELSEWHERE = 2
HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None

done: Counter[str] = Counter()
wanted: Counter[str] = Counter()


def compare(compiled: Compiled, golden: Golden, cases: int) -> int:
    """Run some cases; returns the number of arrays that were equal, fails at the first that is not."""
    session = Session(load(compiled.data))
    count = 0
    for inputs, expected in list(golden)[:cases]:
        result = session.run(dict(enumerate(inputs)))
        assert result.reports == []
        names = [session.model.tensors[index].name for index in session.model.outputs]
        for name, reference in zip(names, expected, strict=True):
            value = result.outputs[name]
            wrong = np.flatnonzero(value.reshape(-1) != reference.reshape(-1))
            assert len(wrong) == 0, f"{name}: {len(wrong)} of {reference.size} elements differ, first {wrong[0]}"
            count += 1
    return count


def check(model, target: Target, cases: int, key: str) -> None:
    """Compile for one target and compare; models whose CPU operators need LiteRT are left to machines that have it."""
    compiled = compile_tflite(model.path.read_bytes(), target, name=model.path.name)
    expected = [model.operators[i] for i in model.npu]
    on_cpu = Counter(compiled.summary.cpu_operators)
    elsewhere = [reason for reason in compiled.summary.cpu_reasons if "only the main subgraph" in reason]
    on_cpu.subtract(reason.split()[0].removeprefix("tfl.").upper() for reason in elsewhere)
    fallen = [name for name in set(expected) if on_cpu[name] > model.operators.count(name) - expected.count(name)]
    assert not fallen, f"fell to the CPU: {', '.join(fallen)}: {compiled.summary.cpu_reasons}"
    if HAS_LITERT and compiled.summary.npu_operators:
        check_plan(compiled.data, compiled.summary.arena, compiled.summary.fast or 0)
    if not model.comparisons:
        return
    if on_cpu and not HAS_LITERT:
        pytest.skip("the operators left to the CPU need LiteRT")
    golden = model.golden()
    wanted[key] += len(golden.outputs[0]) * min(cases, len(golden.outputs))
    done[key] += compare(compiled, golden, cases)


def test_model(each_model) -> None:
    check(each_model, Target(MAIN), 1000, MAIN)


@pytest.mark.parametrize("target", OTHERS, ids=lambda t: f"{t.accelerator}-{t.memory_mode}-{t.strategy}")
def test_other_accelerators(each_model, target: Target) -> None:
    check(each_model, target, CASES_ELSEWHERE, f"{target.accelerator} {target.memory_mode} {target.strategy}")


def test_comparisons(models, record_property) -> None:
    """As many comparisons as the manifest lists; runs last, so a selection of tests counts for nothing here."""
    if not done:
        pytest.skip("no model was run")
    record_property("compared", f"comparisons with golden outputs: {dict(done)}")
    for key in done:
        assert done[key] == wanted[key]
    if HAS_LITERT and len(done) == 1 + len(OTHERS):
        assert done[MAIN] == sum(model.comparisons for model in models.values())
