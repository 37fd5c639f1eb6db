"""
Figures of a compiled network by memory, as vela's tables have them.

A memory is one of SRAM, DRAM, on-chip flash and off-chip flash; several areas may lie in one. What a transfer brings
from read-only memory counts as weights at both ends, and so does what a kernel reads of its weight and scale streams.
All else that is read or written is a feature map.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import StringIO

from npuc.analysis.timeline import Event
from npuc.dialects.npu import AREAS, BufferType
from npuc.dialects.npu_cmd import WeightedOp
from npuc.hardware.memory import MEMORY_NAMES, Area
from npuc.tools.profiling.profile import Profile

MEMORIES = MEMORY_NAMES
"""In the order of vela's columns."""


@dataclass
class Traffic:
    """Bytes that one memory moves."""

    feature_maps_read: int = 0
    feature_maps_written: int = 0
    weights_read: int = 0
    weights_written: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.feature_maps_read + self.feature_maps_written + self.weights_read + self.weights_written


@dataclass
class Figures:
    """By memory: bytes that are used and moved, cycles of its port, bytes a second by its description."""

    used: Counter[str] = field(default_factory=Counter[str])
    traffic: dict[str, Traffic] = field(default_factory=lambda: {name: Traffic() for name in MEMORIES})
    busy: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEMORIES, 0))
    bandwidth: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MEMORIES, 0.0))
    kernel_cycles: int = 0
    """In which kernels run."""


def figures(profile: Profile, read_only: int) -> Figures:
    """The figures of a network with so many bytes of read-only memory."""
    setup, out = profile.setup, Figures()
    memories = (setup.constants, setup.arena, setup.cache, setup.external)
    ports = {memory.name: int(memory.port[-1]) for memory in memories}
    for memory in memories:
        out.bandwidth[memory.name] = memory.bytes_per_cycle * setup.core_clock
    out.used[setup.constants.name] += read_only
    out.used[setup.arena.name] += profile.arena
    if profile.fast is not None:
        out.used[setup.cache.name] += profile.fast
    for one in profile.timelines.values():
        out.kernel_cycles += one.busy(True)
        for event in one.events:
            _add(event, profile, out)
            for name, port in ports.items():
                out.busy[name] += event.ports[port]
    return out


def _add(event: Event, profile: Profile, out: Figures) -> None:
    """The bytes that one command moves."""
    cost, op = event.cost, event.op
    if cost is None:
        weights = "constants" in event.read
        for area, size in event.read.items():
            _count(_traffic(area, profile, out), size, weights, written=False)
        for area, size in event.written.items():
            if area != "shram":
                _count(_traffic(area, profile, out), size, weights, written=True)
        return
    streams: Counter[str] = Counter()
    if isinstance(op, WeightedOp):
        streams[_area(op, "weights")] += cost.weights_read
        streams[_area(op, "scales")] += cost.scales_read
    for area, size in event.read.items():
        weights = min(size, streams[area])
        _count(_traffic(area, profile, out), weights, True, written=False)
        _count(_traffic(area, profile, out), size - weights, False, written=False)
    for area, size in event.written.items():
        _count(_traffic(area, profile, out), size, False, written=True)


def _area(op: WeightedOp, name: str) -> str:
    type_ = next((value.type for value in op.values_of(name)), None)
    return AREAS[type_.space] if isinstance(type_, BufferType) else "constants"


def _traffic(area: str, profile: Profile, out: Figures) -> Traffic:
    known: dict[str, Area] = {name: name for name in ("constants", "arena", "cache", "external")}
    return out.traffic[profile.setup.memory(known[area]).name]


def _count(traffic: Traffic, size: int, weights: bool, written: bool) -> None:
    what = "weights" if weights else "feature_maps"
    name = f"{what}_{'written' if written else 'read'}"
    setattr(traffic, name, getattr(traffic, name) + size)


def csv_text(lines: Iterable[Sequence[object]]) -> str:
    """Lines of comma-separated values."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
