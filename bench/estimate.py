"""
What planners take a schedule to cost beside what the commands cost that come of it, and what more memory does to both.

    python bench/estimate.py [--models DIR] [--match TEXT] [--accelerators A,B] [--limits 10] [--steps 64] [--only PART]

Three parts, each with a bound; exit code 1 where one is broken:

- figures: for each network and accelerator `--limits` limits, from the least to that of the plain schedule with all its
  weights in buffers. The figure of the planner for the whole schedule, made before there are commands, must lie within
  5 % of the timeline of the emitted commands, the median of all within 1 %;
- sweep: `--steps` even steps from the least limit to the peak of the plain schedule; no schedule may be slower by more
  than 0.5 % than one with less memory;
- buffers: no schedule of the first part may be slower than the one without buffers of weights.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from statistics import median

from xdsl.dialects.builtin import ModuleOp

from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import machine_of, setup_of
from npuc.analysis.timeline import timeline
from npuc.dialects.npu_cmd import ProgramOp
from npuc.planning.network import scheduled_functions
from npuc.planning.schedules import planned_cycles, region_of
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import EMIT, Target, pipeline

ROOT = Path(__file__).parents[1]
ACCELERATORS = "ethos-u55-128,ethos-u55-256,ethos-u65-512"
PLANNED = "npu-schedule-split-weight-buffers"
"""The last pass of the schedule."""
FORMATS = "npu-schedule-select-formats"
"""The last pass before a limit is written."""
BUFFERS = frozenset({"npu-schedule-buffer-weights", PLANNED})
MOST_OFF, MEDIAN_OFF, SLOWER = 0.05, 0.01, 0.005


def run(data: bytes, target: Target, stop: str, left_out: frozenset[str] = frozenset()) -> ModuleOp:
    """The module of a model after a pass."""
    ctx = make_context()
    module = load_module(ctx, data, "model", "tflite")
    chain = parse_passes(pipeline(target, left_out), available_passes())
    names = [one.name for one in chain]
    run_passes(ctx, module, chain[: names.index(stop) + 1], file="model", verify_each=False)
    return module


def emitted(data: bytes, target: Target, left_out: frozenset[str] = frozenset()) -> tuple[int, int]:
    """The planner's figure for a schedule, and that of its commands."""
    ctx = make_context()
    module = load_module(ctx, data, "model", "tflite")
    chain = parse_passes(pipeline(target, left_out), available_passes())
    names = [one.name for one in chain]
    lowering = names.index("convert-npu-schedule-to-npu-cmd")
    run_passes(ctx, module, chain[:lowering], file="model", verify_each=False)
    planned = planned_cycles(module)
    run_passes(ctx, module, chain[lowering : names.index(EMIT)], file="model", verify_each=False)
    machine, setup = machine_of(module), setup_of(module)
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    return planned, sum(timeline(program, machine, setup).cycles for program in programs)


def span(data: bytes, accelerator: str) -> tuple[int, int, int]:
    """The least limit of a network, its plain peak, and that with all weights in buffers."""
    module = run(data, Target(accelerator), FORMATS)
    held = held_by_host(module)
    functions = scheduled_functions(module)
    machine, setup = machine_of(module), setup_of(module)
    regions = [region_of(one, held.get(one.sym_name.data, NOTHING_HELD), machine, setup) for one in functions]
    plain = max((one.network.plain_peak for one in regions), default=0)
    whole = max((one.buffered_peak for one in regions), default=0)
    try:
        compile_tflite(data, Target(accelerator, limit=16))
    except UserError as error:
        least = re.search(r"smallest found to work is (\d+)", str(error))
        return int(least[1]) if least else plain, plain, whole
    return 16, plain, whole


def steps(first: int, last: int, count: int) -> list[int]:
    """So many limits, evenly from the first to the last."""
    return sorted({first + (last - first) * step // max(1, count - 1) for step in range(count)})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", default=str(ROOT / "test/models"))
    made.add_argument("--match", default="", help="take only models in whose name one of these stands, by commas")
    made.add_argument("--accelerators", default=ACCELERATORS)
    made.add_argument("--limits", type=int, default=10)
    made.add_argument("--steps", type=int, default=64)
    made.add_argument("--only", choices=("figures", "sweep"), help="one part alone")
    return made


def main() -> int:
    """Print all parts; 1 where a bound is broken."""
    options = parser().parse_args()
    paths = [p for p in sorted(Path(options.models).glob("*.tflite")) if _matches(p.stem, options.match)]
    if not paths:
        print(f"{options.models}: no network whose name holds {options.match}", file=sys.stderr)
        return 1
    off: list[float] = []
    broken = 0
    for path in paths:
        data = path.read_bytes()
        for accelerator in options.accelerators.split(","):
            least, plain, whole = span(data, accelerator)
            if options.only != "sweep":
                for limit in steps(least, max(plain, whole), options.limits):
                    target = Target(accelerator, limit=limit)
                    planned, cycles = emitted(data, target)
                    bare = emitted(data, target, BUFFERS)[1]
                    off.append(abs(planned / max(1, cycles) - 1))
                    wrong = (off[-1] > MOST_OFF) + 2 * (cycles > bare)
                    broken += bool(wrong)
                    remark = ("", "  OFF", "  SLOWER THAN BARE", "  OFF, SLOWER THAN BARE")[wrong]
                    figures = f"planned {planned:>10} emitted {cycles:>10} without buffers {bare:>10}"
                    print(
                        f"{path.stem} {accelerator} {limit:>8} {figures} {planned / max(1, cycles):.3f}{remark}",
                        flush=True,
                    )
            if options.only != "figures":
                broken += sweep(path.stem, data, accelerator, steps(least, plain, options.steps))
    if off:
        print(f"median {median(off):.2%} off, worst {max(off):.2%}, of {len(off)}")
        broken += median(off) > MEDIAN_OFF
    return int(broken > 0)


def _matches(name: str, texts: str) -> bool:
    return any(text in name for text in texts.split(","))


def sweep(name: str, data: bytes, accelerator: str, limits: list[int]) -> int:
    """How many limits give a slower schedule than a smaller one."""
    best: int | None = None
    worst, slower = 0.0, 0
    for limit in limits:
        cycles = emitted(data, Target(accelerator, limit=limit))[1]
        if best is not None:
            worst = max(worst, cycles / best - 1)
            if cycles > best * (1 + SLOWER):
                slower += 1
                print(f"{name} {accelerator} {limit:>8} takes {cycles}, less memory {best}  SLOWER", flush=True)
        best = cycles if best is None else min(best, cycles)
    print(f"{name} {accelerator} sweep of {len(limits)}: {slower} slower, at most {worst:.2%}", flush=True)
    return slower


if __name__ == "__main__":
    sys.exit(main())
