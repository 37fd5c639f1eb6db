"""
`npu-sweep MODELS`: every combination of machines, strategies, limits and options, and which are worth having.

Each is compiled and profiled, and with `--prove` run on the simulator beside LiteRT. Results are kept in a database,
so that the same command goes on where it was ended. What is done is for the files of npuc/tools/sweep to say.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from npuc.tools.command_line import command_line, exit_code, note
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, write_files
from npuc.tools.process import CLEAR_LINE

if TYPE_CHECKING:
    from npuc.tools.sweep.run import Progress

EVERY = 20.0
"""Seconds between two lines of progress where standard error is no terminal."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = command_line("npu-sweep", "Compile networks in every combination, and compare the schedules")
    out.add_argument("models", metavar="MODEL", nargs="+", help="TFLite files, or folders of such")
    out.add_argument("--accelerators", default="ethos-u55-256", metavar="NAME,...")
    out.add_argument("--memory-modes", metavar="NAME,...", help="without it, the usual one of each accelerator")
    out.add_argument("--system-config", metavar="NAME")
    out.add_argument(
        "--config",
        metavar="FILE.ini",
        action="append",
        default=[],
        help="system configurations and memory modes in vela's format",
    )
    out.add_argument("--strategies", default="Performance", metavar="NAME,...", help="Performance, Size")
    out.add_argument(
        "--limits",
        default="none",
        metavar="BYTES,...",
        help="memory there is for feature maps: none, bytes, or LOW:HIGH:COUNT for so many evenly from LOW to HIGH",
    )
    out.add_argument(
        "--options",
        nargs="+",
        default=[],
        metavar="PASS.OPTION=A,B",
        help="values to try for an option of a pass; put -- behind the last one if models follow",
    )
    out.add_argument("--prove", action="store_true", help="run every compiled file on the simulator beside LiteRT")
    out.add_argument("--vela", metavar="PATH", help="the vela to compare with: two cores, two strategies")
    out.add_argument("--cache", metavar="DIR", help="where vela's files are kept")
    out.add_argument("--database", default="sweep.sqlite", metavar="FILE", help="where results are kept")
    out.add_argument("--jobs", type=int, metavar="N", help="processes at a time (default: one a core)")
    out.add_argument("--scheduler", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead")
    out.add_argument("--csv", metavar="FILE.csv", help="write all rows as comma-separated values")
    out.add_argument("--json", metavar="FILE.json", help="write all rows and fronts as JSON")
    out.add_argument("--html", metavar="FILE.html", help="write a page that draws the fronts")
    return out


def run(arguments: Sequence[str] | None) -> int:
    """
    Sweep as the command line says; 1 if an output was wrong, a process died, or nothing could be compiled, else 0.

    A combination for which there is no schedule is a result. Raises UserError.
    """
    from npuc.tools.sweep.plan import read_limits, read_options, read_strategies
    from npuc.tools.sweep.run import sweep
    from npuc.tools.sweep.table import as_csv, as_json, as_text

    args = parser().parse_args(arguments)
    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: at least one process is needed")
    rows = sweep(
        args.models,
        accelerators=args.accelerators.split(","),
        memory_modes=[None] if args.memory_modes is None else args.memory_modes.split(","),
        strategies=read_strategies(args.strategies),
        limits=read_limits(args.limits),
        options=read_options(args.options),
        system_config=args.system_config,
        config=args.config,
        prove=args.prove,
        vela=args.vela,
        cache=args.cache,
        database=args.database,
        jobs=args.jobs,
        scheduler=args.scheduler,
        progress=shown(),
    )
    files: list[tuple[Path, bytes]] = []
    if args.csv is not None:
        files.append((Path(args.csv), as_csv(rows).encode()))
    if args.json is not None:
        files.append((Path(args.json), as_json(rows).encode()))
    if args.html is not None:
        from npuc.tools.sweep.page import as_html

        files.append((Path(args.html), as_html(rows).encode()))
    for path, _ in files:
        make_folder(path.parent)
    write_files(files)
    print(as_text(rows))
    wrong = any(row.state == "died" or row.proven is False for row in rows)
    return int(wrong or all(row.state != "done" for row in rows))


def shown() -> Callable[[Progress], None]:
    """What tells people how far it is: one line that changes, or one now and then where that is no terminal."""
    terminal = sys.stderr.isatty()
    begin = last = time.monotonic()
    failed = 0

    def show(progress: Progress) -> None:
        nonlocal last, failed
        failed += progress.row is not None and progress.row.state != "done"
        parts = [f"[{progress.done}/{progress.total}]"]
        if progress.row is not None:
            parts.append(f"{progress.row.made_of.model}, {progress.row.made_of.accelerator};")
        parts += [f"{failed} failed;"] * (failed > 0)
        if progress.done < progress.total:
            left = progress.seconds_left
            parts.append("..." if left is None else f"about {_duration(left)} left")
        else:
            parts.append(f"{_duration(time.monotonic() - begin)} in all")
        if terminal:
            note(CLEAR_LINE + " ".join(parts), end="\n" if progress.done == progress.total else "")
        elif time.monotonic() - last >= EVERY or progress.done == progress.total:
            last = time.monotonic()
            note(" ".join(parts))

    return show


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""
    return exit_code("npu-sweep", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
