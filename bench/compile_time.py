"""
Whole-process compile time and memory of npu-compile beside vela's two cores.

    python bench/compile_time.py --vela VELA [--models DIR ...] [--match TEXT] [--accelerator NAME]
        [--optimise Size] [--runs N] [--regor]

The commands run in turn, so that a machine whose speed drifts slows all of them. Seconds are those of the processor,
which other work on the machine disturbs less than it does a clock; the table gives the median of each, and the median
of the ratios to vela's Python core (`--debug-force-legacy-core`), run by run. Below it stand the geometric mean of the
ratios and our slowest model. Peak memory is that of the largest process. VELA is the command of an installation of its
own; --regor measures its other core too. Networks of our own come from `bench/networks.py DIR`.

All run as installed packages do, from compiled modules: these are kept in a folder of this bench, whatever
PYTHONDONTWRITEBYTECODE says, and one run of each that is not counted fills it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measure(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float] | None:
    """Seconds of the processor and peak MiB of one run, None if it failed."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return None if process.returncode else (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def cell(results: Sequence[tuple[float, float] | None]) -> str:
    """Median of the seconds and largest peak of the runs that did not fail."""
    ended = [one for one in results if one is not None]
    if not ended:
        return f"{'failed':>14}"
    return f"{statistics.median(t for t, _ in ended):7.2f} ({max(m for _, m in ended):4.0f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", required=True, metavar="COMMAND")
    parser.add_argument("--models", nargs="+", default=[str(ROOT.parent / "shared" / "models")], metavar="DIR")
    parser.add_argument("--match", default="")
    parser.add_argument("--accelerator", default="ethos-u55-256")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--optimise", default="Performance", choices=("Performance", "Size"))
    parser.add_argument("--regor", action="store_true")
    args = parser.parse_args()
    files = [
        path for folder in args.models for path in sorted(Path(folder).glob("*.tflite")) if args.match in path.name
    ]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
    tools = {
        "npu-compile": [sys.executable, "-m", "npuc.tools.npu_compile"],
        "vela legacy": [args.vela, "--debug-force-legacy-core"],
    }
    if args.regor:
        tools["vela regor"] = [args.vela]
    ratios: list[float] = []
    slowest = (0.0, "none")
    print(f"{args.accelerator}, {args.optimise}, median of {args.runs} runs in turn: seconds (MiB); ratio to legacy")
    print(f"{'model':46} {' '.join(f'{name:>14}' for name in tools)} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = f"{folder}/modules"
        for path in files:
            options = [str(path), "--accelerator-config", args.accelerator, "--output-dir", folder]
            commands = {name: [*tool, *options, "--optimise", args.optimise] for name, tool in tools.items()}
            if path == files[0]:
                for command in commands.values():
                    measure(command, environment)
            runs: dict[str, list[tuple[float, float] | None]] = {name: [] for name in commands}
            for _ in range(args.runs):
                for name, command in commands.items():
                    runs[name].append(measure(command, environment))
            pairs = [(a[0], b[0]) for a, b in zip(runs["npu-compile"], runs["vela legacy"], strict=True) if a and b]
            ratio = "-"
            if pairs:
                ratios.append(statistics.median(a / b for a, b in pairs))
                ratio = f"{ratios[-1]:.2f}"
            ours = [one[0] for one in runs["npu-compile"] if one is not None]
            if ours:
                slowest = max(slowest, (statistics.median(ours), path.stem))
            print(f"{path.stem:46} {' '.join(map(cell, runs.values()))} {ratio:>6}", flush=True)
    if ratios:
        print(f"geometric mean of {len(ratios)} ratios {statistics.geometric_mean(ratios):.2f}")
    print(f"our slowest {slowest[0]:.2f} s, {slowest[1]}")


if __name__ == "__main__":
    main()
