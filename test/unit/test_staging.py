"""Operands that are brought row by row: what the plan promises, against the commands that come of it."""

import numpy as np
import pytest
from execute_region import apply, execute, parse, region_of
from schedule_reference import evaluate

from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.timeline import Timeline, timeline
from npuc.dialects.npu_cmd import ProgramOp
from npuc.planning.schedules import planned_cycles
from npuc.tools.pipeline import COMMANDS

SCHEDULE = ("npu-schedule-place-inputs", "npu-schedule-stage-operands", "npu-schedule-select-blocks")
MAP = "tensor<1x32x16x64xi8>"
POOL = "window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127>"


def pool(target: str) -> str:
    """A pool of an input that lies in flash or DRAM, whose windows read each row five times; 32 KiB in and out."""
    return f"""builtin.module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0(%x: {MAP}) -> {MAP} attributes {{npu.region}} {{
    %y = npu_schedule.pool max %x {POOL} : ({MAP}) -> {MAP}
    func.return %y : {MAP}
  }}
}}
"""


def run(text: str, passes: tuple[str, ...]) -> tuple[Timeline, int]:
    """The timeline of the commands of a region, executed and compared, and the cycles that were planned."""
    data = np.random.default_rng(1).integers(-128, 128, (1, 32, 16, 64)).astype(np.int8)
    (wanted,) = evaluate(region_of(parse(text)), [data])
    module = parse(text)
    apply(module, passes)
    planned = planned_cycles(module)
    found = execute(module, [data], COMMANDS)
    assert not found.reports
    np.testing.assert_array_equal(found.results[0], wanted)
    program = next(op for op in module.ops if isinstance(op, ProgramOp))
    return timeline(program, machine_of(module), setup_of(module)), planned


@pytest.mark.parametrize(
    "target",
    [
        '"ethos-u55-256", limit 50000, external_inputs',
        '"ethos-u65-256", "Ethos_U65_Embedded", "Shared_Sram", limit 50000, external_inputs',
    ],
)
def test_rows_arrive_beside_the_kernels_as_planned(target: str) -> None:
    plain, _ = run(pool(target), (SCHEDULE[0], SCHEDULE[2]))
    staged, planned = run(pool(target), SCHEDULE)
    assert len(plain.events) == 1
    transfers = [event for event in staged.events if not event.is_kernel]
    kernels = [event for event in staged.events if event.is_kernel]
    assert len(transfers) > 3
    assert staged.cycles < 0.8 * plain.cycles
    for one in transfers[1:]:
        assert any(kernel.start < one.end and one.start < kernel.end for kernel in kernels)
    assert abs(planned - staged.cycles) < 0.02 * staged.cycles
