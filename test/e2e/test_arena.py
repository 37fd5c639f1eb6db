"""
The arena that we print is the one that a runtime needs: TFLM's planner, by its rule, finds the same from the file.
test_exact.py asks the same of every committed model on every machine.
"""

from __future__ import annotations

import pytest
from network import Network
from tflm_planner import arena_of, check_plan, tensors_of

from npuc.simulator import Session, load
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


HEADS = {
    "op_add": 864,
    "op_concat_channels": 1408,
    "float_in_the_middle": 1728,
    "if_with_subgraphs": 1168,
    "residual_net": 6144,
}
"""Bytes of the head of the arena that TFLM's recording allocator reports for these models as they are, on the CPU."""


def test_the_rule_is_that_of_the_planner(models) -> None:
    assert {name: arena_of(models[name].path.read_bytes()) for name in HEADS} == HEADS


def test_the_rule_holds_for_files_of_others(shared_models) -> None:
    """A file that vela made needs what its scratch tensor says, which covers its whole plan."""
    if shared_models is None:
        pytest.skip("the shared models are not here")
    for path in sorted((shared_models / "vela").glob("*.tflite")):
        data = path.read_bytes()
        scratch = next(one for one in tensors_of(data)[0] if one.name.endswith("_scratch"))
        assert arena_of(data) == scratch.bytes


def test_regions_that_an_operator_of_the_host_separates_share_the_arena() -> None:
    """Each has wide maps within it; between them lies a narrow one, and no more than two of those live at one time."""

    def arena(regions: int) -> int:
        n = Network(51)
        x = n.input((1, 16, 16, 4))
        for _ in range(regions):
            x = n.conv(n.conv(n.conv(x, 32), 32), 4)
            x = n.add_op("CUSTOM", [x], [n.like(x, "secret", x.shape)], custom="SecretSauce")
        # With memory to spend nothing is cascaded.
        compiled = compile_tflite(n.model(x).to_bytes(), Target("ethos-u55-128", limit=1 << 20))
        assert compiled.summary.cpu_operators == {"SecretSauce": regions}
        check_plan(compiled.data, compiled.summary.arena, compiled.summary.fast or 0)
        return compiled.summary.arena

    assert arena(3) == arena(1) >= 16 * 16 * 2 * 32


DTCM = """
[System_Config.Two_Memories]
core_clock=400e6
axi0_port=Sram
axi1_port=Dram
Sram_read_latency=16
Sram_write_latency=16
Dram_clock_scale=0.25
Dram_read_latency=200
Dram_write_latency=200

[Memory_Mode.Dtcm_Cache]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=65536
"""


@pytest.mark.parametrize(("name", "stages"), [("tour", True), ("op_add", False)])
@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512"])
def test_a_fast_memory_is_as_large_as_what_is_in_it(
    models, tmp_path, name: str, stages: bool, accelerator: str
) -> None:
    """Input 3 is then never the arena: the driver refuses what is larger than its own fast memory."""
    ini = tmp_path / "dtcm.ini"
    ini.write_text(DTCM)
    target = Target(accelerator, (str(ini),), "Two_Memories", "Dtcm_Cache")
    compiled = compile_tflite(models[name].path.read_bytes(), target, name=name)
    assert compiled.summary.fast is not None
    assert (compiled.summary.fast > 0) == stages
    session = Session(load(compiled.data))
    (operator,) = session.model.npu_operators
    scratch, fast = (session.model.tensors[index] for index in operator.inputs[2:4])
    assert (scratch.bytes, scratch.offset) == (compiled.summary.arena, 0)
    assert (fast.index != scratch.index, fast.bytes, fast.offset) == (True, compiled.summary.fast, 0)
    check_plan(compiled.data, compiled.summary.arena, compiled.summary.fast)
    inputs, expected = next(iter(models[name].golden()))
    result = session.run(dict(enumerate(inputs)))
    assert result.reports == []
    for index, reference in zip(session.model.outputs, expected, strict=True):
        assert (result.outputs[session.model.tensors[index].name].reshape(-1) == reference.reshape(-1)).all()
