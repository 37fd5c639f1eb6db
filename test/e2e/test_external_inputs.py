"""Inputs outside of the arena: exact, without their bytes in the arena, and only where the NPU alone reads them."""

from __future__ import annotations

import pytest

from npuc.simulator import Session, load
from npuc.simulator.memory import ExecutionError
from npuc.simulator.runner import _Run
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.profiling.profile import profile

MACHINES = [("ethos-u55-128", None), ("ethos-u65-512", "Dedicated_Sram_384KB")]


def build(model, *target, **options) -> Compiled:
    return compile_tflite(model.path.read_bytes(), Target(*target, **options), name=model.path.name)


@pytest.mark.parametrize(("accelerator", "mode"), MACHINES)
@pytest.mark.parametrize("strategy", ["performance", "size"])
@pytest.mark.parametrize("name", ["tour", "residual_net", "op_add"])
def test_external_inputs_are_exact_and_take_no_arena(models, name: str, strategy, accelerator: str, mode) -> None:
    model = models[name]
    options = {"memory_mode": mode, "strategy": strategy}
    plain, external = (build(model, accelerator, external_inputs=one, **options) for one in (False, True))
    session = Session(load(external.data))
    assert len(external.summary.external) == len(session.model.inputs)
    assert not external.summary.internal
    assert all(session.model.tensors[index].offset is None for index in session.model.inputs)
    # Performance spends what it saves on buffers; the peak of residual_net is elsewhere.
    if strategy == "size":
        assert external.summary.arena < plain.summary.arena + (name == "residual_net")
    inputs, expected = next(iter(model.golden()))
    result = session.run(dict(enumerate(inputs)))
    assert result.reports == []
    for index, reference in zip(session.model.outputs, expected, strict=True):
        assert (result.by_index[index].reshape(-1) == reference.reshape(-1)).all()
    # The decoded stream reads the inputs from where they are.
    assert profile(external.data, memory_mode=mode).cycles > 0


def test_an_input_that_the_host_reads_stays_in_the_arena(models) -> None:
    model = models["if_with_subgraphs"]
    external, plain = (build(model, "ethos-u55-128", external_inputs=one) for one in (True, False))
    assert "not only the NPU reads it" in external.summary.internal.values()
    assert "lies in the arena: not only the NPU reads it" in external.summary.text()
    assert not plain.summary.internal


def test_the_second_port_of_u55_is_not_written(models) -> None:
    """A stream whose OFM lies where an external input is: refused on U55."""
    session = Session(load(build(models["op_add"], "ethos-u55-128", external_inputs=True).data))
    operator = next(one for one in session.model.operators if one.is_npu)
    run = _Run(session, {}, 0, None, 0)
    program = session.programs[operator.index]
    regions = run._regions(operator, program)
    assert regions[3].read_only
    # The base pointer of the arena points to the input: the OFM would be written there.
    regions[1] = regions[3]
    executor = session.executor(program.product, regions, operator.index, None, run.reports)
    with pytest.raises(ExecutionError, match="read-only"):
        executor.run(program)
