"""
The arena that we print is the one that a runtime needs: TFLM's planner, by its rule, finds the same from the file.
test_exact.py asks the same of every committed model on every machine.
"""

from __future__ import annotations

import pytest
from tflm_planner import arena_of, check_plan, tensors_of

from npuc.tools.npu_compile import compile_tflite
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


@pytest.mark.parametrize("name", SHARED)
def test_networks_that_run_on_the_host_in_part(name: str, shared_models) -> None:
    if shared_models is None:
        pytest.skip("the shared models are not here")
    data = (shared_models / f"{name}.tflite").read_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128", strategy="size"), name=name)
    check_plan(compiled.data, compiled.summary.arena, compiled.summary.fast or 0)


def test_the_rule_holds_for_files_of_others(shared_models) -> None:
    """A file that vela made needs what its scratch tensor says, which covers its whole plan."""
    if shared_models is None:
        pytest.skip("the shared models are not here")
    for path in sorted((shared_models / "vela").glob("*.tflite")):
        data = path.read_bytes()
        scratch = next(one for one in tensors_of(data)[0] if one.name.endswith("_scratch"))
        assert arena_of(data) == scratch.bytes
