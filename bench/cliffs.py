"""
Cycles per multiplication from one size of a network to the next, in small steps: no cliffs.

    python bench/cliffs.py [--networks NAME,...] [--sizes N,...] [--channels FIRST:END] [--accelerators NAME,...]

Two networks of our own, one of inverted residuals and one of SiLU blocks with detection heads, for pictures of each
size, with every number of channels from FIRST to END - 1. A line gives cycles per MAC by our model under Performance.
Between neighbours they may rise by no more than 1.3 times without a cause: a line that does names what grew most for
each MAC. Operators on the CPU are a cliff by themselves.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from math import prod

import networks

from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.profiling.profile import profile
from npuc.tools.sweep import pool

MOST = 1.3
"""Greatest rise of cycles per MAC between neighbours that needs no cause."""


def residuals(size: int, width: int) -> bytes:
    """Inverted residuals: each block widens six times, filters each channel, and narrows again."""
    n = networks.Builder(size + width)
    x = n.sum_of_products(n.input((1, size, size, 3), 1 / 128, 0), width, 3, 2, "RELU6")
    for depth, stride in ((width, 1), (2 * width, 2), (2 * width, 1), (4 * width, 2), (4 * width, 1), (6 * width, 2)):
        y = n.sum_of_products(x, 6 * x.shape[-1], 1, 1, "RELU6")
        y = n.sum_of_products(n.each_channel(y, 3, stride), depth, 1)
        x = n.binary("ADD", x, y, networks.SCALE, networks.ZERO) if x.shape == y.shape else y
    return n.model(networks.operator_models.mean(n, n.sum_of_products(x, 100, 1), [1, 2], False)).to_bytes()


NETWORKS = {"residuals": residuals, "detector": networks.detector}


@dataclass(frozen=True)
class Point:
    """One network on one machine: MACs, cycles, what they are made of, and what stays on the CPU."""

    macs: int
    cycles: int
    parts: dict[str, float]
    left: str


def macs(data: bytes) -> int:
    """Multiplications of all convolutions and matrix products, as the file has them."""
    total = 0
    for op in import_tflite(data).walk():
        if op.name in ("tfl.conv_2d", "tfl.depthwise_conv_2d", "tfl.fully_connected"):
            result, weights = op.results[0].type.get_shape(), op.operands[1].type.get_shape()
            depthwise = op.name == "tfl.depthwise_conv_2d"
            total += prod(result) * (prod(weights[1:3]) if depthwise else prod(weights[1:]))
    return total


def measure(item: tuple[str, int, int, str]) -> Point:
    """One network on one machine."""
    name, size, width, accelerator = item
    data = NETWORKS[name](size, width)
    compiled = compile_tflite(data, Target(accelerator))
    profiled = profile(compiled.data)
    events = [event for timeline in profiled.timelines.values() for event in timeline.events]
    kernels = [event for event in events if event.is_kernel]
    parts = {
        "cycles of kernels": sum(event.end - event.start for event in kernels),
        "launches": len(kernels),
        "cycles of transfers": sum(event.end - event.start for event in events if not event.is_kernel),
        "bytes read": sum(sum(event.read.values()) for event in events),
        "waiting": sum(event.stall for event in events),
    }
    left = ", ".join(f"{name} {count}" for name, count in compiled.summary.cpu_operators.items())
    return Point(macs(data), profiled.cycles, parts, left)


def cause(before: Point, after: Point) -> str:
    """What grew most for each MAC."""
    growth = {
        name: (value / after.macs) / (before.parts[name] / before.macs)
        for name, value in after.parts.items()
        if before.parts[name]
    }
    name = max(growth, key=lambda one: growth[one])
    return f"{name} for each MAC x {growth[name]:.2f}"


def main() -> int:
    """0 if no operator is on the CPU and no rise is above `MOST`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--sizes", default="96,160,224,320,512")
    parser.add_argument("--channels", default="8:65", metavar="FIRST:END")
    parser.add_argument("--accelerators", default="ethos-u55-128,ethos-u65-512")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="networks at a time")
    args = parser.parse_args()
    first, end = map(int, args.channels.split(":"))
    items = [
        (name, int(size), width, accelerator)
        for name in args.networks.split(",")
        for accelerator in args.accelerators.split(",")
        for size in args.sizes.split(",")
        for width in range(first, end)
    ]
    cliffs = 0
    last: tuple[tuple[str, int, int, str], Point] | None = None
    print("network\tpicture\tchannels\taccelerator\tcycles\tcycles per 1000 MACs")
    for item, point in pool.each(measure, items, args.jobs):
        if isinstance(point, pool.Died):
            print(*item, point, sep="\t", flush=True)
            cliffs, last = cliffs + 1, None
            continue
        note = f"\ton the CPU: {point.left}" if point.left else ""
        if last is not None and (last[0][0], last[0][1], last[0][3]) == (item[0], item[1], item[3]):
            rise = (point.cycles / point.macs) / (last[1].cycles / last[1].macs)
            if rise > MOST:
                note += f"\tx {rise:.2f}: {cause(last[1], point)}"
        cliffs += bool(note)
        print(*item, point.cycles, f"{1000 * point.cycles / point.macs:.2f}{note}", sep="\t", flush=True)
        last = item, point
    print(f"{cliffs} cliffs in {len(items)} networks")
    return 1 if cliffs else 0


if __name__ == "__main__":
    sys.exit(main())
