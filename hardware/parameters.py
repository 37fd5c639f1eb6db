"""
What nobody outside Arm knows for certain of the machine's time: named figures, each with a low and a high end.

`DEFAULT` agrees best with what was measured; docs/hardware.md has the evidence for each figure. `LOW` and `HIGH` are
the ends of what is plausible: each field of `LOW` makes things take no longer than the default, each of `HIGH` no less.
A `MemorySetup` carries them, so that whoever is asked for a cost with that setup answers by them. A comparison of two
schedules holds if it has the same sign with `setup.with_parameters(LOW)` and with `setup.with_parameters(HIGH)`.
"""

from __future__ import annotations

from dataclasses import dataclass

AXI_BURST = 64
"""Bytes of the longest read or write that the machine makes: what Arm's driver sets (AXI_LIMIT, MAX_BEATS 0)."""


@dataclass(frozen=True)
class CostParameters:
    """See the module's text. Cycles are those of the core."""

    start_cycles: int = 90
    """Of every kernel and every transfer, besides its work: from the command to the first access, and to its end."""
    reads_outstanding: int = 24
    """Reads of `AXI_BURST` bytes that a memory has under way; half as many writes. So a memory of a latency of L cycles
    moves no more than that many times `AXI_BURST` bytes in L cycles."""
    weight_reads_outstanding: int = 16
    """The same for the weights of one core."""
    gate_cycles: int = 400
    """A memory lets whole bursts through until they reach its share of so many cycles. 0: it keeps to its rate."""
    longest_burst: int = 128
    """Bytes. An access that is shorter than a memory's burst takes as long as one, of at most so many bytes."""
    broadcast_fetched_again: bool = True
    """A broadcast operand is fetched for every block that needs another part of it. If not, its bytes come once."""
    duplex: bool = False
    """Reads and writes of a port do not disturb each other. If they do, their times add up."""
    fill_share: float = 1.0
    """How much of the fill of a kernel shows where it overlaps no neighbour."""
    fair_ports: bool = True
    """A transfer gets up to half of a port that a kernel keeps busy, and slows the kernel. If not, it gets what the
    kernel leaves. This has no low and no high end: the port moves as much either way."""


DEFAULT = CostParameters()
LOW = CostParameters(
    start_cycles=60,
    reads_outstanding=64,
    weight_reads_outstanding=64,
    longest_burst=AXI_BURST,
    broadcast_fetched_again=False,
    duplex=True,
    fill_share=0.5,
)
HIGH = CostParameters(start_cycles=120, gate_cycles=0)
