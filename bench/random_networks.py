"""
Random networks on random machines: what the nightly form of test/e2e/test_random_networks.py runs, with a summary.

    python bench/random_networks.py [--seeds FIRST:END] [--jobs N] [--write DIR]

Prints a line for each network that is not exact, and at the end how many arrays were compared, the runs by machine, and
the failing seeds by kind. `--write` keeps the failing networks as DIR/SEED.tflite. One seed is one network, machine and
limit: `--seeds 17:18` runs it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from npuc.tools.sweep import pool

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "models"))

from check_network import HAS_LITERT, Outcome, check_network, drawn_target
from random_network import wild_network

CHUNK = 20
"""Networks that share a process."""


def check_all(seeds: Sequence[int]) -> list[Outcome]:
    """What became of the networks of some seeds."""
    return [check_network(seed) for seed in seeds]


def main() -> int:
    """0 if every network is exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:200", metavar="FIRST:END")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="networks at a time")
    parser.add_argument("--write", metavar="DIR", help="where failing networks are kept")
    args = parser.parse_args()
    first, end = map(int, args.seeds.split(":"))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    start = time.perf_counter()
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    machines: Counter[str] = Counter()
    comparisons = npu = cpu = 0
    chunks = [range(i, min(i + CHUNK, end)) for i in range(first, end, CHUNK)]
    for chunk, found in pool.each(check_all, chunks, args.jobs):
        if isinstance(found, pool.Died):
            # One at a time, to know which of them it was.
            outcomes = [one for _, one in pool.each(check_network, chunk, 1)]
        else:
            outcomes = found
        for seed, one in zip(chunk, outcomes, strict=True):
            if isinstance(one, pool.Died):
                one = Outcome(seed, *drawn_target(seed)[::2], "ends the process", str(one))
            kinds[one.kind].append(one.seed)
            target = one.target
            limited = "limited" if target.limit is not None else "without passes" if one.left_out else "free"
            machines[f"{target.accelerator}\t{target.memory_mode}\t{target.strategy}\t{limited}"] += 1
            comparisons, npu, cpu = comparisons + one.comparisons, npu + one.npu_operators, cpu + one.cpu_operators
            if not one.passed:
                print(one, flush=True)
                if args.write:
                    Path(args.write).mkdir(parents=True, exist_ok=True)
                    (Path(args.write) / f"{seed}.tflite").write_bytes(wild_network(seed))
    for machine, count in sorted(machines.items()):
        print(f"{machine}\t{count}")
    reference = "LiteRT" if HAS_LITERT else "the plain schedule"
    print(
        f"{comparisons} arrays equal to {reference}'s; {npu} operators on the NPU, {cpu} on the CPU; "
        f"{time.perf_counter() - start:.0f} s"
    )
    for kind, seeds in sorted(kinds.items()):
        print(f"{len(seeds)} {kind}" + ("" if kind in ("exact", "not run") else f": seeds {' '.join(map(str, seeds))}"))
    return 0 if comparisons and set(kinds) <= {"exact", "not run"} else 1


if __name__ == "__main__":
    sys.exit(main())
