"""
What could be saved in cascades of the schedule of a network: bounds, in bytes of the scarce memory at its peak.

    python bench/rolling_buffers.py [--models DIR] [--match TEXT] [--accelerators A,B] [--strategy size]

The schedule is cut as it is. For each network and accelerator the peak without buffers of weights, and what it would be

- live: if buffers inside a cascade shared bytes to the best: each takes the rows that are written and still to be read;
- in place: if elementwise kernels inside a cascade wrote over an operand that lies in a rolling buffer as well;
- none: if rolling buffers took nothing, which is more than recomputing rows could bring.

Peaks outside of cascades, and of those without rolling buffers, stay. So do cycles, but for recomputed rows.
"""

from __future__ import annotations

import argparse
import sys
from itertools import accumulate
from pathlib import Path

from xdsl.ir import SSAValue

from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import machine_of, setup_of
from npuc.dialects.npu_schedule import ElementwiseOp
from npuc.planning.network import Network, rounded, scheduled_functions
from npuc.planning.tasks import Task, Works
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import Target, pipeline

ROOT = Path(__file__).parents[1]
FORMED = "npu-schedule-overlap-results"
"""The last pass that forms cascades."""


def tasks_of(data: bytes, target: Target) -> list[Task]:
    """What runs, one after the other, in all regions of a network."""
    ctx = make_context()
    module = load_module(ctx, data, "model", "tflite")
    chain = parse_passes(pipeline(target), available_passes())
    stop = [one.name for one in chain].index(FORMED)
    run_passes(ctx, module, chain[: stop + 1], file="model", verify_each=False)
    machine, setup, held = machine_of(module), setup_of(module), held_by_host(module)
    found: list[Task] = []
    for function in scheduled_functions(module):
        network = Network(function, held.get(function.sym_name.data, NOTHING_HELD))
        found += Works(network, machine, setup).of_network()
    return found


def live_bytes(task: Task, rows: dict[SSAValue, int]) -> int:
    """The most bytes of rows at one launch that are written and still to be read; `rows` are bytes of a row by root."""
    first: dict[tuple[SSAValue, int], int] = {}
    last: dict[tuple[SSAValue, int], int] = {}
    for number, (work, start, stop) in enumerate(task.runs):
        spans = [(work.writes, start, stop)] if work.writes in rows else []
        for _, root in work.reads:
            if root not in rows:
                continue
            if isinstance(work.op, ElementwiseOp):
                spans.append((root, start, stop))
            else:
                read = work.form.rows(start, stop)
                spans.append((root, read.first, read.last))
        for root, begin, end in spans:
            for row in range(begin, end):
                first.setdefault((root, row), number)
                last[root, row] = number
    steps = [0] * (len(task.runs) + 1)
    for (root, row), number in first.items():
        steps[number] += rows[root]
        steps[last[root, row] + 1] -= rows[root]
    return max(accumulate(steps), default=0)


def bounds(task: Task) -> tuple[int, int, int, int]:
    """Bytes that a task takes, and those if rolling buffers shared bytes, were written over, or took nothing."""
    rows = {one.writes: one.storage.place(one.op.result).stride_y for one in task.works if one.rolling}
    sizes = {one.writes: rounded(one.rolling * rows[one.writes]) for one in task.works if one.rolling}
    over = {
        one.writes: sizes[one.writes]
        for one in task.works
        if one.rolling
        and isinstance(one.op, ElementwiseOp)
        and any(rows.get(root) == rows[one.writes] for _, root in one.reads)
    }
    rest = task.used - sum(sizes.values())
    return task.used, rest + live_bytes(task, rows), task.used - sum(over.values()), rest


def main() -> int:
    """Print all networks."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", default=str(ROOT / "test/models"))
    made.add_argument("--match", default="", help="take only models in whose name one of these stands, by commas")
    made.add_argument("--accelerators", default="ethos-u55-128,ethos-u55-256")
    made.add_argument("--strategy", choices=("performance", "size"), default="size")
    options = made.parse_args()
    texts = options.match.split(",")
    paths = [one for one in sorted(Path(options.models).glob("*.tflite")) if any(text in one.stem for text in texts)]
    if not paths:
        print(f"{options.models}: no network whose name holds {options.match}", file=sys.stderr)
        return 1
    for path in paths:
        for accelerator in options.accelerators.split(","):
            tasks = tasks_of(path.read_bytes(), Target(accelerator, strategy=options.strategy))
            peak, *others = (max(column) for column in zip((0, 0, 0, 0), *map(bounds, tasks), strict=True))
            named = zip(("live", "in place", "none"), others, strict=True)
            shares = (f"{name} {size / max(1, peak):.3f}" for name, size in named)
            print(f"{path.stem} {accelerator}: peak {peak}, of which {', '.join(shares)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
