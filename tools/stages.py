"""
Named places in the pipeline of `npu-compile`, for `--from` and `--to`: what is true of the module once a stage is done.

    tfl        the network as it came, what the NPU takes outlined as regions
    tosa       those regions as integer arithmetic
    schedule   kernels on tensors, nothing decided
    planned    all decisions of the schedule
    commands   the linear program of kernels and transfers
    allocated  addresses, and what waits for what
    file       `ethos-u` operators
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.passes import ModulePass

from npuc.tools.pipeline import COMMANDS, EMIT, LOWERING, SCHEDULE

STAGES = ("tfl", "tosa", "schedule", "planned", "commands", "allocated", "file")
_BEGINS = {
    "convert-tfl-to-tosa": "tosa",
    "convert-tosa-to-npu-schedule": "schedule",
    SCHEDULE[0]: "planned",
    COMMANDS[0]: "commands",
    "npu-cmd-allocate": "allocated",
    EMIT: "file",
}
"""The first pass of each stage but `tfl`."""


def _stages() -> dict[str, int]:
    """Pass -> its stage's number, of the passes of the usual pipeline."""
    stage, stages = 0, dict[str, int]()
    for name in (*LOWERING, *SCHEDULE, *COMMANDS, EMIT):
        stage = STAGES.index(_BEGINS[name]) if name in _BEGINS else stage
        stages[name] = stage
    return stages


def between(passes: Sequence[ModulePass], start: str | None, stop: str | None) -> tuple[ModulePass, ...]:
    """
    The passes of a pipeline behind the stage `start`, up to the end of the stage `stop`; None is either end.

    A pass that the usual pipeline does not have belongs to the stage of the pass before it.
    """
    known = _stages()
    first = 0 if start is None else STAGES.index(start) + 1
    last = len(STAGES) if stop is None else STAGES.index(stop)
    stage, chosen = 0, list[ModulePass]()
    for pass_ in passes:
        stage = max(stage, known.get(pass_.name, 0))
        if first <= stage <= last:
            chosen.append(pass_)
    return tuple(chosen)
