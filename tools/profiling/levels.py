"""
The IR that a compile goes through, operation by operation, under the source operators that they work for.

A `Levels` watches a compile (`watchers` of `compile_tflite`) and keeps, at each level that is complete, the lines of
the operations of each source operator, large constants left out. A cascade of many stripes has thousands of commands;
of what an operator has at one level the first ones are kept, and how many there are.
"""

from __future__ import annotations

from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from npuc.dialects.locations import sources
from npuc.dialects.npu import InvokeOp
from npuc.tools.compiling.compile import Watcher
from npuc.tools.ir import ElidingPrinter
from npuc.tools.pipeline import EMIT

LEVELS = ("tfl", "tosa", "schedule", "planned", "commands")
"""The source; kernels in TOSA; kernels of the NPU; the same with all decisions; commands with addresses."""
BEFORE = {
    "convert-tosa-to-npu-schedule": "tosa",
    "convert-npu-schedule-to-npu-cmd": "planned",
    EMIT: "commands",
}
"""Passes in front of which a level is complete."""
LAST_TO_SCHEDULE = "convert-tfl-to-npu-schedule"
"""The pass behind which kernels of the NPU are complete."""
MOST = 12
"""Operations of a source operator that are shown of one level."""
MOST_LETTERS = 1500
"""Of one operation."""

Lines = dict[tuple[int, int], tuple[list[str], int]]
"""By subgraph and number of the source operator, lines of the first operations, and how many there are."""


class Levels(Watcher):
    """What a compile has shown of itself so far."""

    def __init__(self) -> None:
        self.lines: dict[str, Lines] = {}
        self._before = ""

    def before(self, index: int, count: int, name: str, module: ModuleOp) -> None:
        if not self._before:
            self.lines["tfl"] = lines_of(module)
        if self._before == LAST_TO_SCHEDULE:
            self.lines["schedule"] = lines_of(module)
        if name in BEFORE:
            self.lines[BEFORE[name]] = lines_of(module)
        self._before = name

    def of_operators(self) -> dict[str, dict[str, list[str]]]:
        """By `subgraph:number` of the operator and level its lines, and a last one for those that are left out."""
        data: dict[str, dict[str, list[str]]] = {}
        for level in LEVELS:
            for (subgraph, number), (texts, count) in self.lines.get(level, {}).items():
                more = [f"... and {count - len(texts)} more"] if count > len(texts) else []
                data.setdefault(f"{subgraph}:{number}", {})[level] = [*texts, *more]
        return data


def lines_of(module: ModuleOp) -> Lines:
    """The operations of a module that work for source operators, but for those that only hold or call others."""
    printer = ElidingPrinter()
    known: Lines = {}
    for op in module.walk():
        served = sources(op.location)
        if not served or isinstance(op, InvokeOp) or any(region.blocks for region in op.regions):
            continue
        text = ""
        for source in served:
            key = source.operator.subgraph, source.operator.number
            texts, count = known.get(key, ([], 0))
            if count < MOST:
                text = text or _text(op, printer)
                texts = [*texts, text]
            known[key] = texts, count + 1
    return known


def _text(op: Operation, printer: ElidingPrinter) -> str:
    printer.stream = StringIO()
    printer.print_op(op)
    text = printer.stream.getvalue()
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} ..."
