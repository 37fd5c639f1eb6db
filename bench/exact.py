"""
Every model on every accelerator in every memory mode, compiled and executed: exact or not.

    python bench/exact.py [--models DIR ...] [--match TEXT] [--accelerators NAME,...] [--strategies size,performance]
        [--limits N] [--seeds N] [--jobs N] [--resume FILE]

Prints one line for each model and machine, and how many runs were exact. Without --models the committed test models are
run, and the shared ones where `../shared/models` or $NPUC_SHARED exists. The reference is LiteRT with its reference
kernels; TFLM, where `tflite-micro` is installed, if LiteRT cannot load the file. --limits N adds N limits of the arena,
from the smallest schedule there is, or of the fast memory beside a slow arena, from none. With --resume, runs that
stand in FILE as exact are not repeated. A model that takes its process down is one line.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from npuc.simulator import load
from npuc.simulator.compare import Comparer
from npuc.simulator.isolation import SourceError
from npuc.simulator.litert import HostError
from npuc.tools.errors import UserError
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target, pipeline
from npuc.tools.sweep import pool

ROOT = Path(__file__).parents[1]
U55 = ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256")
U65 = ("ethos-u65-256", "ethos-u65-512")
MODES = ("Sram_Only", "Shared_Sram")


def targets(accelerators: Sequence[str], strategies: Sequence[str]) -> Iterator[Target]:
    """Every machine with every memory mode that it has, for each strategy."""
    for name in accelerators:
        for mode in MODES if name in U55 else (*MODES, "Dedicated_Sram"):
            for strategy in strategies:
                yield Target(name, memory_mode=mode, strategy="size" if strategy == "size" else "performance")


def find_models(folders: Sequence[str]) -> list[Path]:
    """The .tflite files of some folders, or of the usual ones."""
    shared = Path(os.environ.get("NPUC_SHARED", ROOT.parent / "shared")) / "models"
    roots = [Path(f) for f in folders] or [ROOT / "test" / "models", *([shared] if shared.is_dir() else [])]
    return [path for root in roots for path in sorted(root.rglob("*.tflite")) if "vela" not in path.parts]


def limited(data: bytes, target: Target, count: int) -> Iterator[Target]:
    """
    The target with limits spread evenly from the smallest schedule there is to the one that is best for cycles: of the
    arena, or of the fast memory beside a slow arena.
    """
    smallest = pipeline(replace(target, strategy="size")).replace(
        'limit-sram{strategy="size"', 'limit-sram{strategy="size" slowdown=1000000.0'
    )
    low, high = (compile_tflite(data, target, passes=text).summary for text in (smallest, pipeline(target)))
    if target.memory_mode == "Dedicated_Sram":
        ends = 0, high.fast or 0
    else:
        ends = low.arena, max(low.arena, high.arena)
    for step in range(count):
        yield replace(target, limit=ends[0] + (ends[1] - ends[0]) * step // count // 16 * 16)


def judge(path: Path, data: bytes, target: Target, seeds: int) -> str:
    """`exact`, or what is wrong."""
    try:
        compiled = compile_tflite(data, target, name=path.name)
    except UserError as error:
        return f"not compiled: {error}"
    found = compiled.summary
    for limit in (found.scarce_limit, target.limit):
        if limit is not None and found.scarce > limit:
            return f"the limit is missed: {found.scarce} bytes, the limit is {limit}"
    try:
        comparer = Comparer(load(compiled.data), data)
    except HostError as error:
        return f"no reference: {error}"
    for seed in range(seeds):
        try:
            comparison = comparer.run(seed=seed)
        except SourceError as error:
            return f"no reference: {error}"
        if comparison.reports:
            return f"reported: {comparison.reports[0]}"
        if not comparison.exact:
            return f"differs: {(*comparison.differences, *comparison.wrong)[0]}"
    return f"exact ({found.npu_operators} on the NPU, {sum(found.cpu_operators.values())} on the CPU)"


@dataclass(frozen=True)
class Work:
    """One model on all machines but those that are `known` to be exact."""

    path: Path
    machines: tuple[Target, ...]
    limits: int
    seeds: int
    known: frozenset[str]
    resume: str | None

    def __call__(self) -> Counter[str]:
        """Print a line for each run; gives how many came out how."""
        data = self.path.read_bytes()
        machines = list(self.machines)
        if self.limits:
            machines += [
                one for t in self.machines if t.strategy == "performance" for one in limited(data, t, self.limits)
            ]
        counts: Counter[str] = Counter()
        for target in machines:
            limit = "" if target.limit is None else f"\t{target.limit}"
            key = f"{self.path.stem}\t{target.accelerator}\t{target.memory_mode}\t{target.strategy}{limit}"
            if key in self.known:
                counts["exact"] += 1
                continue
            start = time.perf_counter()
            try:
                verdict = judge(self.path, data, target, self.seeds)
            except Exception as error:  # one broken run must not end the table
                verdict = f"failed: {type(error).__name__}: {error}"
            counts["exact" if verdict.startswith("exact") else verdict.split(":")[0]] += 1
            print(f"{key}\t{verdict}\t{time.perf_counter() - start:.2f} s", flush=True)
            if self.resume:
                with open(self.resume, "a", encoding="utf-8") as file:
                    file.write(f"{key}\t{verdict}\n")
        return counts


def main() -> int:
    """0 if every run is exact, but for models that no reference can run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[], metavar="DIR")
    parser.add_argument("--match", default="", help="only models with this in their name")
    parser.add_argument("--accelerators", default=",".join(U55 + U65))
    parser.add_argument("--strategies", default="performance,size")
    parser.add_argument("--limits", type=int, default=0, help="limits between the arenas of the two strategies")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="models at a time")
    parser.add_argument("--resume", metavar="FILE", help="where results are kept")
    args = parser.parse_args()
    known: set[str] = set()
    if args.resume and Path(args.resume).exists():
        known = {
            line.rsplit("\t", 1)[0]
            for line in Path(args.resume).read_text(encoding="utf-8").splitlines()
            if "\texact" in line
        }
    machines = tuple(targets(args.accelerators.split(","), args.strategies.split(",")))
    work = [
        Work(path, machines, args.limits, args.seeds, frozenset(known), args.resume)
        for path in find_models(args.models)
        if args.match in path.name
    ]
    counts: Counter[str] = Counter()
    for one, found in pool.each(Work.__call__, work, args.jobs):
        if isinstance(found, pool.Died):
            print(f"{one.path.stem}\tfailed: {found}", flush=True)
            counts["failed"] += 1
        else:
            counts += found
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return 0 if counts["exact"] and set(counts) <= {"exact", "no reference"} else 1


if __name__ == "__main__":
    sys.exit(main())
