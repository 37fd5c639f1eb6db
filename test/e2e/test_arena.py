"""
The arena that we print is the one that a runtime needs: TFLM's planner, by its rule, finds the same from the file.
"""

from __future__ import annotations

import pytest
from tflm_planner import arena_of, tensors_of

from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target

pytest.importorskip("ai_edge_litert.schema_py_generated")

SHARED = [
    "coral_movenet_single_pose_lightning_ptq",
    "coral_deeplabv3_mnv2_dm05_pascal_quant",
    "coral_keras_lstm_mnist_ptq",
    "tflm_keyword_scrambled_8bit",
    "tflm_mnist_lstm_int8",
]
"""Networks of which much runs on the host."""


def check(compiled: Compiled) -> None:
    """Every tensor of a known size has a place, and the planner needs what the summary says."""
    if not compiled.summary.npu_operators:
        return
    for tensors in tensors_of(compiled.data):
        for tensor in tensors:
            assert (tensor.offset is None) == (
                tensor.is_constant or tensor.is_variable or tensor.bytes in (None, 0)
            ) or (tensor.bytes == 0), tensor
    assert arena_of(compiled.data) == max(compiled.summary.arena, compiled.summary.fast)


def test_what_is_printed_is_what_the_planner_needs(each_model) -> None:
    data = each_model.path.read_bytes()
    for target in (Target("ethos-u55-64"), Target("ethos-u65-256", strategy="size")):
        check(compile_tflite(data, target, name=each_model.path.name))


@pytest.mark.parametrize("name", SHARED)
def test_networks_that_run_on_the_host_in_part(name: str, shared_models) -> None:
    if shared_models is None:
        pytest.skip("the shared models are not here")
    data = (shared_models / f"{name}.tflite").read_bytes()
    check(compile_tflite(data, Target("ethos-u55-128", strategy="size"), name=name))


def test_the_rule_holds_for_files_of_others(shared_models) -> None:
    """A file that vela made needs what its scratch tensor says, which covers its whole plan."""
    if shared_models is None:
        pytest.skip("the shared models are not here")
    for path in sorted((shared_models / "vela").glob("*.tflite")):
        data = path.read_bytes()
        scratch = next(one for one in tensors_of(data)[0] if one.name.endswith("_scratch"))
        assert arena_of(data) == scratch.bytes
