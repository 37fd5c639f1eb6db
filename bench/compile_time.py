"""
Whole-process compile time and memory of npu-compile beside vela's two cores.

    python bench/compile_time.py --vela VELA [--models DIR] [--match TEXT] [--accelerator NAME]
        [--optimise Size] [--runs N]

The three run in turn, so that a machine whose speed drifts slows all of them; the table gives the median of each and
the median of the ratios to vela's Python core (`--debug-force-legacy-core`), run by run. Peak memory is that of the
largest process. VELA is the command of an installation of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measure(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float] | None:
    """Wall seconds and peak MiB of one run, None if it failed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    return None if process.returncode else (seconds, usage.ru_maxrss / 1024)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", required=True, metavar="COMMAND")
    parser.add_argument("--models", default=str(ROOT.parent / "shared" / "models"), metavar="DIR")
    parser.add_argument("--match", default="")
    parser.add_argument("--accelerator", default="ethos-u55-256")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--optimise", default="Performance", choices=("Performance", "Size"))
    args = parser.parse_args()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    print(
        f"{args.accelerator}, median of {args.runs} runs in turn: seconds (MiB); ratio of times to vela's legacy core"
    )
    print(f"{'model':46} {'npu-compile':>14} {'vela legacy':>14} {'vela regor':>14} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(Path(args.models).glob("*.tflite")):
            if args.match not in path.name:
                continue
            common = [str(path), "--accelerator-config", args.accelerator, "--output-dir", folder]
            common += ["--optimise", args.optimise]
            commands = {
                "ours": [sys.executable, "-m", "npuc.tools.npu_compile", *common],
                "legacy": [args.vela, *common, "--debug-force-legacy-core"],
                "regor": [args.vela, *common],
            }
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for _ in range(args.runs):
                for name, command in commands.items():
                    found = measure(command, environment)
                    if found is not None:
                        runs[name].append(found)
            cells = [
                f"{statistics.median(t for t, _ in r):7.2f} ({max(m for _, m in r):4.0f})" if r else f"{'failed':>14}"
                for r in runs.values()
            ]
            pairs = list(zip(runs["ours"], runs["legacy"], strict=False))
            ratio = f"{statistics.median(a / b for (a, _), (b, _) in pairs):6.2f}" if pairs else "     -"
            print(f"{path.stem:46} {' '.join(cells)} {ratio}", flush=True)


if __name__ == "__main__":
    main()
