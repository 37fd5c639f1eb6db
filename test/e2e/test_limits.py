"""Models under a sweep of arena limits: never more memory than that, exact, and one line where nothing fits."""

from __future__ import annotations

import re

import pytest

from npuc.simulator import Session, load
from npuc.tools.errors import UserError
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target, pipeline

NETWORKS = ("digits_cnn", "residual_net", "separable_net", "int16x8_net", "unet")
ACCELERATORS = ("ethos-u55-32", "ethos-u65-512")
STEPS = 3
CASCADES = frozenset({"npu-schedule-limit-sram", "npu-schedule-plan-cascades", "npu-schedule-buffer-weights"})
"""What is left out for kernels that run whole, without buffers."""


def build(model, target: Target) -> Compiled:
    return compile_tflite(model.path.read_bytes(), target, name=model.path.name)


def check(model, compiled: Compiled) -> None:
    """One case of the golden data, bit for bit, nothing reported."""
    session = Session(load(compiled.data))
    inputs, expected = next(iter(model.golden()))
    result = session.run(dict(enumerate(inputs)))
    assert result.reports == []
    for index, reference in zip(session.model.outputs, expected, strict=True):
        value = result.outputs[session.model.tensors[index].name]
        assert (value.reshape(-1) == reference.reshape(-1)).all()


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("name", NETWORKS)
def test_limits_are_kept(models, name: str, accelerator: str) -> None:
    model = models[name]
    mode = "Sram_Only" if accelerator == "ethos-u65-512" else None
    whole = build(model, Target(accelerator, memory_mode=mode)).summary.arena
    with pytest.raises(UserError) as refused:
        build(model, Target(accelerator, memory_mode=mode, limit=16))
    found = re.search(r"the limit is 16 bytes of SRAM, the smallest found to work is (\d+)$", str(refused.value))
    assert found is not None
    least = int(found[1])
    assert least <= whole
    arenas: list[int] = []
    for step in range(STEPS):
        limit = least + (whole - least) * step // (STEPS - 1)
        compiled = build(model, Target(accelerator, memory_mode=mode, limit=limit))
        arenas.append(compiled.summary.arena)
        assert arenas[-1] <= limit
        if step < STEPS - 1:
            check(model, compiled)
    assert arenas[0] == least


@pytest.mark.parametrize("name", ["cpu_side_branch", "if_with_subgraphs", "open_batch_net", "two_islands"])
def test_values_of_cpu_operators_count(models, name: str) -> None:
    """What regions hand to the host and get from it lies in the arena while the host's operators run."""
    model = models[name]
    with pytest.raises(UserError) as refused:
        build(model, Target("ethos-u55-128", limit=16))
    least = int(str(refused.value).rsplit(" ", 1)[1])
    smallest, size = (
        build(model, Target("ethos-u55-128", limit=least)),
        build(model, Target("ethos-u55-128", strategy="size")),
    )
    assert smallest.summary.arena == least
    assert size.summary.scarce_limit is not None
    assert size.summary.arena <= size.summary.scarce_limit


TINY = ("op_split_channels_int16", "op_sub", "op_concat_width", "op_slice", "cpu_in_a_diamond", "split_to_concat")


@pytest.mark.parametrize("accelerator", ["ethos-u55-32", "ethos-u65-256"])
@pytest.mark.parametrize("name", TINY)
def test_the_limit_that_is_named_works(models, name: str, accelerator: str) -> None:
    """Whatever limit is too low, by the planner or by the allocator, the one that the message names is not."""
    mode = "Sram_Only" if accelerator == "ethos-u65-256" else None
    limit = 16
    for _ in range(4):
        try:
            compiled = build(models[name], Target(accelerator, memory_mode=mode, limit=limit))
        except UserError as error:
            least = int(str(error).rsplit(" ", 1)[1])
            assert limit < least
            assert build(models[name], Target(accelerator, memory_mode=mode, limit=least)).summary.arena <= least
            limit = (limit + least) // 2
        else:
            assert compiled.summary.arena <= limit


@pytest.mark.parametrize("name", NETWORKS)
def test_size_is_exact(models, name: str) -> None:
    model = models[name]
    performance, size = (build(model, Target("ethos-u55-256", strategy=s)) for s in ("performance", "size"))
    assert size.summary.arena <= performance.summary.arena
    check(model, size)


def test_the_limit_of_a_fast_memory_is_none_of_the_arena(models) -> None:
    summary = build(models["unet"], Target("ethos-u65-512", memory_mode="Dedicated_Sram_384KB", limit=512)).summary
    assert summary.fast is not None
    assert summary.fast <= 512 < summary.arena
    assert "kept to" not in summary.text()


def test_some_network_shrinks(models) -> None:
    """The sweep would show nothing if no cascade were ever formed."""
    shrunk = 0
    for name in NETWORKS:
        data, target = models[name].path.read_bytes(), Target("ethos-u55-128", strategy="size")
        whole = compile_tflite(data, target, passes=pipeline(target, CASCADES))
        shrunk += compile_tflite(data, target).summary.arena < whole.summary.arena
    assert shrunk >= 3
