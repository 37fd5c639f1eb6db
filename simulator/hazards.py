"""
Judges the order of accesses: which pairs does no wait, no queue limit and no BLOCKDEP keep apart?

DMA and kernels run concurrently and the command processor issues in program order. A DMA is done when a DMA_WAIT says
so or when the queue's depth (1 on U55, 2 on U65) forced it out; a kernel likewise (KERNEL_WAIT, depth 2). Of two
kernels that follow each other the second may run ahead by BLOCKDEP blocks; it writes only after the first has read,
because the engine takes blocks in order. Every other pair that touches a byte, one of them writing, is reported. So is
an operation that writes over what it has yet to read itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from npuc.simulator.memory import Access, Report, pieces_overlap
from npuc.simulator.products import Product
from npuc.simulator.shram import Jobs
from npuc.simulator.stream import Op

_KERNELS_IN_FLIGHT = 2


class _Pending(NamedTuple):
    op: Op
    reads: Sequence[Access]
    writes: Sequence[Access]
    jobs: Jobs | None


def overlap(a: Access, b: Access) -> bool:
    """Whether two accesses touch a byte in common, exactly."""
    if a.memory is not b.memory or a.low >= b.high or b.low >= a.high:
        return False
    return any(pieces_overlap(p, q) for p in a.pieces for q in b.pieces)


def _conflict(first: _Pending, reads: Sequence[Access], writes: Sequence[Access]) -> tuple[str, Access, Access] | None:
    """The first pair of accesses, one of them a write, that meet: (kind, earlier, later)."""
    for kind, earlier, later in (
        ("reads", first.writes, reads),
        ("overwrites", first.writes, writes),
        ("overwrites", first.reads, writes),
    ):
        for a in earlier:
            for b in later:
                if overlap(a, b):
                    return kind, a, b
    return None


class HazardChecker:
    """Follows one command stream; appends to `reports`. Every operation is checked when it is issued."""

    def __init__(self, product: Product, operator: int, reports: list[Report]):
        self.operator = operator
        self.reports = reports
        self.dma_depth = 2 if product.u65 else 1
        self.dmas: list[_Pending] = []
        self.kernels: list[_Pending] = []

    def _report(self, first: Op, second: Op, text: str) -> None:
        self.reports.append(Report("hazard", text, (first.word, second.word), self.operator))

    def _against(self, pending: Sequence[_Pending], op: Op, reads: Sequence[Access], writes: Sequence[Access]) -> None:
        for other in pending:
            found = _conflict(other, reads, writes)
            if found is None:
                continue
            kind, a, b = found
            low, high = max(a.low, b.low), min(a.high, b.high)
            verb = "reads" if any(a is access for access in other.reads) else "writes"
            self._report(
                other.op,
                op,
                f"{op} {kind} {b.what} in bytes {low:#x}..{high:#x} of {a.memory.name} where {other.op} "
                f"{verb} {a.what}, and no wait orders them",
            )

    def dma(self, op: Op, reads: Sequence[Access], writes: Sequence[Access]) -> None:
        if len(self.dmas) >= self.dma_depth:
            self.dmas.pop(0)
        read, write = reads[0], writes[0]
        if overlap(read, write) and (read.low, read.high) != (write.low, write.high):
            self._report(op, op, f"{op} overwrites its source while it copies it")
        self._against(self.dmas, op, reads, writes)
        self._against(self.kernels, op, reads, writes)
        self.dmas.append(_Pending(op, reads, writes, None))

    def dma_wait(self, op: Op) -> None:
        self.dmas = self.dmas[len(self.dmas) - op.param :] if op.param < len(self.dmas) else self.dmas

    def kernel_wait(self, op: Op) -> None:
        self.kernels = self.kernels[len(self.kernels) - op.param :] if op.param < len(self.kernels) else self.kernels

    def kernel(self, op: Op, reads: Sequence[Access], writes: Sequence[Access], jobs: Jobs) -> None:
        if len(self.kernels) >= _KERNELS_IN_FLIGHT:
            self.kernels.pop(0)
        self._against_itself(op, reads, writes[0], jobs)
        self._against(self.dmas, op, reads, writes)
        ahead = op.state["BLOCKDEP"]
        if self.kernels and ahead:
            self._against_previous(self.kernels[-1], op, reads, writes, jobs, ahead)
        self.kernels.append(_Pending(op, reads, writes, jobs))

    def _against_itself(self, op: Op, reads: Sequence[Access], write: Access, jobs: Jobs) -> None:
        for access in reads:
            if access.memory is not write.memory or access.low >= write.high or write.low >= access.high:
                continue
            if access.what not in ("IFM", "IFM2"):
                # Weights and scales are read again for each block, nobody knows how far ahead.
                if overlap(access, write):
                    self._report(op, op, f"{op} overwrites {access.what} while it reads them")
                continue
            fm = jobs.inputs[0 if access.what == "IFM" else 1]
            if op.name == "ELEMENTWISE" and fm.places_alike(jobs.ofm):
                continue
            if jobs.overtakes(access, write):
                self._report(op, op, f"{op} overwrites of its own {access.what} what later blocks of it read")

    def _against_previous(
        self,
        previous: _Pending,
        op: Op,
        reads: Sequence[Access],
        writes: Sequence[Access],
        jobs: Jobs,
        ahead: int,
    ) -> None:
        assert previous.jobs is not None
        maps = [access for access in reads if access.what in ("IFM", "IFM2")]
        others = [access for access in reads if access.what not in ("IFM", "IFM2")]
        written = previous.writes[0]
        for access in others:
            # Weights, scales and tables are not taken block by block, so only BLOCKDEP 0 orders them.
            if any(overlap(write, access) for write in previous.writes):
                self._blockdep(previous.op, op, f"reads {access.what} that", ahead)
        # What a kernel leaves in SHRAM destroys a table that the kernel before it still looks up.
        for write in writes[1:]:
            if any(overlap(read, write) for read in previous.reads):
                self._blockdep(previous.op, op, "overwrites the lookup table of", ahead)
        if any(overlap(written, access) for access in maps):
            outputs = previous.jobs.last_outputs(ahead)
            for i, inputs in enumerate(jobs.first_inputs(ahead)):
                for output in outputs[: ahead - i]:
                    if any(overlap(output, access) for access in inputs):
                        self._blockdep(previous.op, op, "reads in its first blocks what the last blocks of", ahead)
                        return
        if overlap(written, writes[0]):
            outputs = previous.jobs.last_outputs(ahead)
            for i, own in enumerate(jobs.first_outputs(ahead)):
                if any(overlap(output, own) for output in outputs[: ahead - i]):
                    self._blockdep(previous.op, op, "overwrites in its first blocks what the last blocks of", ahead)
                    return

    def _blockdep(self, first: Op, second: Op, what: str, ahead: int) -> None:
        tail = " write" if what.endswith(("blocks of", "that")) else ""
        self._report(first, second, f"{second} {what} {first}{tail}, and its BLOCKDEP {ahead} lets them overlap")
