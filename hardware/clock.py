"""
How long a sequence takes: what launches and transfers cost together, command by command, on plain data.

What one launch or transfer costs is for `npuc.hardware.cycles` to say. A `Clock` is told the commands in the order of
issue, and says how much time has passed. It can be copied at any point, in a time that does not depend on what it has
been told, so that a planner can go on from one point in several ways.

    clock = Clock(acc, setup)
    clock.transfer(4096, setup.constants, setup.arena)
    clock.wait_transfers(0)
    clock.launch(kernel_cost(...), overlaps=False)
    clock.cycles

The model:

- The command processor issues commands in order, as they arrive (`fetch_cycles`; `OPERATIONS_AHEAD` says how early they
  can); time begins with the first. A wait holds it until no more than so many transfers or kernels are outstanding; so
  does a full queue (two kernels, one transfer on U55, two on U65).
- Kernels run one after the other, and so do transfers; the two run side by side. Each uses a port for a share of its
  time. Where the shares of both add up to more than the port can do, each is slowed: half of the port is for either,
  and what one does not need goes to the other (`CostParameters.fair_ports`).
- A kernel takes `KernelCost.cycles`. If it may not overlap the one before (BLOCKDEP 0), or follows a pause, it also
  takes its fill: nothing of it could be under way before. Otherwise its fill is hidden behind the last blocks of the
  kernel before.
- A transfer takes `dma_cost`, from any memory to any other, or to SHRAM.

When a transfer ends depends on the kernels that run beside it, also on those that are issued after it. So both engines
are run only as far as the command processor has come: nothing that it issues later can change what was before. Times
are whole cycles: what ends within a cycle ends with it.
"""

from __future__ import annotations

from math import ceil, inf
from typing import NamedTuple

from npuc.hardware.accelerators import Accelerator
from npuc.hardware.cycles import (
    DMA_WORDS,
    LAUNCH_WORDS,
    OPERATIONS_AHEAD,
    KernelCost,
    dma_cost,
    fetch_cycles,
)
from npuc.hardware.memory import Memory, MemorySetup

ENOUGH = 1e-6
"""Cycles that are left of what has ended, by rounding."""


class Run(NamedTuple):
    """When one launch or transfer ran, in cycles."""

    start: int
    end: int
    stall: int
    """Cycles that the command processor stood still, in waits or before a full queue, before it could issue this."""


class _Kernel(NamedTuple):
    """A launch in the queue."""

    number: int
    cycles: int
    fill: int
    overlaps: bool
    ports: tuple[int, int]
    """Cycles that it uses each port."""


class _Transfer(NamedTuple):
    """A transfer in the queue."""

    number: int
    cycles: int
    """With the ports to itself."""
    ports: tuple[int, int]
    """Cycles that it uses each port."""


class Clock:
    """
    The time that launches and transfers take, in the order of issue.

    `log`: if given, gets a `Run` for each launch and transfer, in the order of issue; they are final once `finish` has
    been called. A copy writes no log.
    """

    __slots__ = (
        "_fair",
        "_fetch_launch",
        "_fetch_transfer",
        "_fetched",
        "_issued",
        "_kernel_end",
        "_kernel_left",
        "_kernel_length",
        "_kernel_speed",
        "_kernel_start",
        "_kernels",
        "_log",
        "_most_kernels",
        "_most_transfers",
        "_number",
        "_stall",
        "_time",
        "_transfer_left",
        "_transfer_speed",
        "_transfer_start",
        "_transfers",
    )

    def __init__(self, acc: Accelerator, setup: MemorySetup, log: list[Run] | None = None):
        self._most_kernels = acc.max_outstanding_kernels
        self._most_transfers = acc.max_outstanding_dmas
        self._fetch_launch = fetch_cycles(setup, LAUNCH_WORDS)
        self._fetch_transfer = fetch_cycles(setup, DMA_WORDS)
        self._fair = setup.parameters.fair_ports
        self._log = log
        self._number = 0
        self._time = 0
        """Of the command processor; both engines have run as far."""
        self._stall = 0
        self._fetched = 0
        """When the commands of the last operation had arrived."""
        self._issued: tuple[int, ...] = (0,) * OPERATIONS_AHEAD
        """When the last operations came to their turn."""
        self._kernels: tuple[_Kernel, ...] = ()
        """All that are outstanding; the first one runs."""
        self._kernel_start = 0
        self._kernel_left = 0.0
        """Cycles that the kernel that runs would still take with the ports to itself, of `_kernel_length`."""
        self._kernel_length = 0
        self._kernel_speed = 1.0
        """By how much a cycle brings it on."""
        self._kernel_end = -1
        """When the last kernel ended."""
        self._transfers: tuple[_Transfer, ...] = ()
        """All that are outstanding; the first one runs."""
        self._transfer_start = 0
        self._transfer_left = 0.0
        """Cycles that the transfer that runs would still take with the ports to itself."""
        self._transfer_speed = 1.0
        """By how much a cycle brings it on."""

    def copy(self) -> Clock:
        """The same state, to go on from independently; without a log."""
        new = Clock.__new__(Clock)
        for name in Clock.__slots__:
            setattr(new, name, getattr(self, name))
        new._log = None
        return new

    @property
    def cycles(self) -> int:
        """The end of all that was issued."""
        if not self._kernels and not self._transfers:
            return self._time
        rest = self.copy()
        rest.finish()
        return rest._time

    def finish(self) -> None:
        """Let all that is outstanding end."""
        while self._kernels or self._transfers:
            self._advance(None)

    def launch(self, cost: KernelCost, overlaps: bool) -> None:
        """Issue a kernel; `overlaps`: its first blocks may run beside the last ones of the kernel before (BLOCKDEP)."""
        self._arrive(self._fetch_launch)
        self.wait_kernels(self._most_kernels - 1)
        self._kernels += (_Kernel(self._number, cost.cycles, cost.fill_cycles, overlaps, cost.port_cycles),)
        self._note()
        if len(self._kernels) == 1:
            self._start_kernel()

    def transfer(self, size: int, source: Memory, target: Memory | None) -> None:
        """Issue a transfer of `size` bytes; `target` None is SHRAM."""
        self._arrive(self._fetch_transfer)
        self.wait_transfers(self._most_transfers - 1)
        self._transfers += (_Transfer(self._number, *dma_cost(source, target, size)),)
        self._note()
        if len(self._transfers) == 1:
            self._start_transfer()

    def wait_kernels(self, pending: int) -> None:
        """Hold the command processor until at most `pending` kernels are outstanding."""
        before = self._time
        while len(self._kernels) > pending:
            self._advance(None)
        self._stall += self._time - before

    def wait_transfers(self, pending: int) -> None:
        """Hold the command processor until at most `pending` transfers are outstanding."""
        before = self._time
        while len(self._transfers) > pending:
            self._advance(None)
        self._stall += self._time - before

    def _arrive(self, fetch: int) -> None:
        """Let time pass until the commands of the next operation are there; time begins with the first."""
        if self._number:
            self._fetched = max(self._issued[0], self._fetched) + fetch
        while self._time < self._fetched:
            self._advance(self._fetched)
        self._issued = (*self._issued[1:], self._time)

    def _note(self) -> None:
        self._number += 1
        if self._log is not None:
            self._log.append(Run(self._time, self._time, self._stall))
        self._stall = 0

    def _start_kernel(self) -> None:
        kernel = self._kernels[0]
        hidden = kernel.overlaps and self._kernel_end == self._time
        self._kernel_start = self._time
        self._kernel_length = kernel.cycles if hidden else kernel.cycles + kernel.fill
        self._kernel_left = self._kernel_length
        self._share_ports()

    def _start_transfer(self) -> None:
        self._transfer_start = self._time
        self._transfer_left = self._transfers[0].cycles
        self._share_ports()

    def _share_ports(self) -> None:
        """How fast the kernel and the transfer that run are beside each other."""
        self._kernel_speed = self._transfer_speed = 1.0
        if not self._kernels or not self._transfers:
            return
        kernel, transfer = self._kernels[0], self._transfers[0]
        for kernel_cycles, transfer_cycles in zip(kernel.ports, transfer.ports, strict=True):
            if not kernel_cycles or not transfer_cycles:
                continue
            wanted = min(1.0, kernel_cycles / self._kernel_length)
            wanted_too = min(1.0, transfer_cycles / transfer.cycles)
            if wanted + wanted_too > 1:
                got = max(1 - wanted_too, min(wanted, 0.5)) if self._fair else wanted
                self._kernel_speed = min(self._kernel_speed, got / wanted)
                self._transfer_speed = min(self._transfer_speed, (1 - got) / wanted_too)

    def _advance(self, limit: int | None) -> None:
        """Let both engines run to the next end of a kernel or transfer, at most to the time `limit`."""
        step = inf if limit is None else limit - self._time
        if self._kernels and self._kernel_left < self._kernel_speed * step:
            step = self._kernel_left / self._kernel_speed
        if self._transfers and self._transfer_left < self._transfer_speed * step:
            step = self._transfer_left / self._transfer_speed
        step = ceil(step)
        self._time += step
        if self._kernels:
            self._kernel_left -= self._kernel_speed * step
        if self._transfers:
            self._transfer_left -= self._transfer_speed * step
            if self._transfer_left <= ENOUGH:
                self._end(self._transfers[0].number, self._transfer_start)
                self._transfers = self._transfers[1:]
                if self._transfers:
                    self._start_transfer()
                else:
                    self._share_ports()
        if self._kernels and self._kernel_left <= ENOUGH:
            self._end(self._kernels[0].number, self._kernel_start)
            self._kernels = self._kernels[1:]
            self._kernel_end = self._time
            if self._kernels:
                self._start_kernel()
            else:
                self._share_ports()

    def _end(self, number: int, start: int) -> None:
        if self._log is not None:
            self._log[number] = Run(start, self._time, self._log[number].stall)
