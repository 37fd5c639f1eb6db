"""
How compile time grows with the number of operators, for one kind of graph after another.

    python bench/growth.py [--match TEXT] [--sizes 125,250,500,1000,2000] [--accelerator NAME] [--optimise Size]
        [--vela VELA] [--timeout SECONDS] [--passes]

Prints for each kind of `test/models/growing.py` the seconds of a whole npu-compile process at each size, the exponent
between the first size and the last (1: twice the operators take twice the time; start-up makes it smaller), and the
ratio at the last size to a chain as long of convolutions. Seconds are those of the processor, which other work on the
machine disturbs less than it does a clock. With --vela, a second line has vela's Python core
(`--debug-force-legacy-core`), VELA being the command of an installation of its own, and the ratio of the two at the
last size where both end. What takes longer than --timeout is `-`, as are the larger sizes after it. With --passes, the
passes that took most of the largest compile follow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import log
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "test" / "models"))

from growing import KINDS  # noqa: E402
from xdsl.dialects.builtin import ModuleOp  # noqa: E402

from npuc.tools.compiling.compile import Watcher  # noqa: E402
from npuc.tools.npu_compile import compile_tflite  # noqa: E402
from npuc.tools.pipeline import Target  # noqa: E402

REFERENCE = "convolutions"
SHOWN = 5
"""Passes that are shown of each kind."""


def measure(command: Sequence[str], timeout: float) -> float | None:
    """Seconds of the processor that a command takes, its children included; None if it fails or takes too long."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return None if process.returncode else usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    process.kill()
    process.wait()
    return None


def row(command: Sequence[str], files: Sequence[Path], timeout: float) -> list[float | None]:
    """Seconds for each file, in the order of their sizes; none after the first that does not end."""
    seconds: list[float | None] = []
    for file in files:
        stopped = bool(seconds) and seconds[-1] is None
        seconds.append(None if stopped else measure([*command, str(file)], timeout))
    return seconds


def exponent(sizes: Sequence[int], seconds: Sequence[float | None]) -> float | None:
    """That of the power which goes through the first time and the last that is known."""
    known = [(size, one) for size, one in zip(sizes, seconds, strict=True) if one is not None]
    if len(known) < 2:
        return None
    (first, least), (last, most) = known[0], known[-1]
    return log(most / least) / log(last / first)


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """That of two times at the last size where both are known."""
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    return both[-1][0] / both[-1][1] if both else None


def cell(value: float | None, width: int = 8) -> str:
    """A number, or `-`."""
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


class Times(Watcher):
    """When each pass began, in seconds of the processor."""

    def __init__(self) -> None:
        self.began: list[tuple[float, str]] = []

    def before(self, index: int, count: int, name: str, module: ModuleOp) -> None:
        """One more."""
        self.began.append((time.process_time(), name))


def slowest_passes(data: bytes, target: Target) -> list[tuple[float, str]]:
    """Seconds of the processor and names of the passes of one compile that took longest."""
    times = Times()
    compile_tflite(data, target, watchers=[times])
    began = times.began
    ends = [*(start for start, _ in began[1:]), time.process_time()]
    return sorted(((end - start, name) for (start, name), end in zip(began, ends, strict=True)), reverse=True)[:SHOWN]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--match", default="")
    parser.add_argument("--sizes", default="125,250,500,1000,2000")
    parser.add_argument("--accelerator", default="ethos-u55-256")
    parser.add_argument("--optimise", default="Performance", choices=("Performance", "Size"))
    parser.add_argument("--vela", metavar="COMMAND")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--passes", action="store_true")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    target = Target(args.accelerator, strategy="size" if args.optimise == "Size" else "performance")
    print(
        f"{args.accelerator}, {args.optimise}: seconds of the processor; exponent; ratio to the chain of convolutions"
    )
    print(f"{'kind':24}" + "".join(f"{size:8}" for size in sizes) + f"{'exponent':>10}{'ratio':>8}")
    reference: list[float | None] = [None] * len(sizes)
    with tempfile.TemporaryDirectory() as folder:
        for name, build in KINDS.items():
            if args.match not in name and name != REFERENCE:
                continue
            files = [Path(folder) / f"{name}_{size}.tflite" for size in sizes]
            for file, size in zip(files, sizes, strict=True):
                file.write_bytes(build(size).to_bytes())
            options = ["--accelerator-config", args.accelerator, "--optimise", args.optimise, "--output-dir", folder]
            ours = row([sys.executable, "-m", "npuc.tools.npu_compile", *options], files, args.timeout)
            if name == REFERENCE:
                reference = ours
            cells = "".join(map(cell, ours)) + cell(exponent(sizes, ours), 10) + cell(ratio(ours, reference))
            print(f"{name:24}{cells}", flush=True)
            if args.vela is not None:
                theirs = row([args.vela, "--debug-force-legacy-core", *options], files, args.timeout)
                cells = "".join(map(cell, theirs)) + cell(exponent(sizes, theirs), 10)
                print(f"{'  vela; ours to it':24}{cells}{cell(ratio(ours, theirs))}", flush=True)
            if args.passes:
                for seconds, pass_name in slowest_passes(files[-1].read_bytes(), target):
                    print(f"  {seconds:8.2f} {pass_name}", flush=True)


if __name__ == "__main__":
    main()
