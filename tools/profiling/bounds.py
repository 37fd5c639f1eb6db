"""
What no schedule could be quicker than, and what this one is held to.

A resource that works all the time takes as long as the work that it has: that is a bound of the cycles. Those of all
MACs at full rate, of the output stage and of the constants, each byte brought once, hold for every schedule of the same
kernels; the rest depends on the schedule, and says which resource it is short of. SRAM is bounded by what is alive at
one time in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from npuc.analysis.accesses import Span
from npuc.analysis.timeline import Life
from npuc.dialects.locations import first_name, source_name
from npuc.dialects.npu_cmd import LaunchOp
from npuc.hardware.cycles import least_output_cycles
from npuc.hardware.memory import MemorySetup
from npuc.tools.profiling.attribution import profile_of, title
from npuc.tools.profiling.profile import Profile


@dataclass(frozen=True)
class Bounds:
    """Cycles, each a bound of the whole."""

    resources: dict[str, int]
    """Of every schedule of these kernels."""
    of_schedule: dict[str, int]
    """Of this one: how long each resource works."""

    @property
    def cycles(self) -> int:
        """The greatest of `resources`."""
        return max(self.resources.values(), default=0)

    @property
    def limiting(self) -> str:
        """Which of `resources` that is."""
        return max(self.resources, key=lambda name: self.resources[name])


def bounds(profile: Profile) -> Bounds:
    """The bounds of all programs of a profile."""
    macs = mac = 0
    output = 0.0
    ports = [0, 0]
    constants: set[tuple[int, int]] = set()
    for one in profile.timelines.values():
        for event in one.events:
            for port in range(2):
                ports[port] += event.ports[port]
            if isinstance(event.op, LaunchOp) and event.cost is not None:
                output += least_output_cycles(profile.machine, event.op.kernel)
                macs += event.cost.macs
                mac += event.cost.mac_cycles
            reads = event.touched.reads
            constants.update((span.start, span.end) for span in reads if span.space == "read_only")
    return Bounds(
        {
            "MACs at full rate": ceil(macs / profile.machine.total_macs),
            "output stage": ceil(output),
            "constants, once": ceil(_covered(constants) / profile.setup.constants.read_rate),
        },
        {
            "MAC array": mac,
            f"port 0 ({memories(profile.setup, 0)})": ports[0],
            f"port 1 ({memories(profile.setup, 1)})": ports[1],
        },
    )


def memories(setup: MemorySetup, port: int) -> str:
    """The names of the memories on a port."""
    all_ = (setup.constants, setup.arena, setup.cache, setup.external)
    return ", ".join(dict.fromkeys(one.name for one in all_ if one.port == f"Axi{port}")) or "nothing"


def _covered(spans: set[tuple[int, int]]) -> int:
    """Bytes of the union of spans."""
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


@dataclass(frozen=True)
class Held:
    """Something that lies in SRAM at its peak."""

    name: str
    start: int
    """First byte."""
    size: int


@dataclass(frozen=True)
class Peak:
    """When most bytes of SRAM hold something that is still needed, and what that is."""

    program: str
    cycle: int
    bytes: int
    """All that is alive then: no placement in this order needs less."""
    held: list[Held]
    """The largest first."""


def memory_peak(profile: Profile) -> Peak:
    """The peak of all programs of a profile."""
    best: tuple[int, str, int, list[Life]] = (0, "", 0, [])
    for name, one in profile.timelines.items():
        lives = one.lives(profile.scarce)
        sizes = [(life, life.span.end - life.span.start) for life in lives]
        changes = [step for life, size in sizes for step in ((life.start, size), (life.end, -size))]
        for time, height in profile_of(changes):
            if height > best[0]:
                best = height, name, time, lives
    most, program, time, lives = best
    spans: dict[tuple[str, bool], list[Span]] = {}
    for life in lives:
        if life.start <= time < life.end:
            spans.setdefault((content(life, program, profile), life.writer is None), []).append(life.span)
    held = [
        Held(name, min(span.start for span in found), sum(span.end - span.start for span in found))
        for (name, _), found in spans.items()
    ]
    return Peak(program, time, most, sorted(held, key=lambda one: -one.size))


def content(life: Life, program: str, profile: Profile) -> str:
    """What bytes of a program hold, for people."""
    if life.writer is None:
        for start, end, name in profile.inputs.get(program, ()):
            if life.span.space == "arena" and start <= life.span.start and life.span.end <= end and name:
                return f"{first_name(name)}, from the host"
        return "from the host"
    name = first_name(source_name(life.writer.op.location)) or title(life.writer)
    return name if life.writer.is_kernel else f"brought for {name}"
