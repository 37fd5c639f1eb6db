"""
Events for a trace viewer (ui.perfetto.dev, chrome://tracing), in the trace event format.

A program is a process, kernels and transfers are its threads; all numbers are integers, times microseconds at the clock
of the system. A flow leads from each transfer to the first kernel behind it that reads what it brought.
"""

from __future__ import annotations

from typing import Any

from npuc.analysis.accesses import first_readers
from npuc.tools.profiling.attribution import title
from npuc.tools.profiling.profile import Profile

KERNELS, TRANSFERS = 1, 2
"""Numbers of the threads."""


def as_trace(profile: Profile) -> dict[str, Any]:
    """The trace as JSON data."""
    events: list[dict[str, Any]] = []
    scale = 1e6 / profile.setup.core_clock
    begin = 0
    """Programs run one after the other."""
    flow = 0
    for process, (name, one) in enumerate(profile.timelines.items(), start=1):
        events.append(_name("process_name", process, 0, f"@{name}"))
        events += [
            _name("thread_name", process, KERNELS, "kernels"),
            _name("thread_name", process, TRANSFERS, "transfers"),
        ]
        for event in one.events:
            thread = KERNELS if event.is_kernel else TRANSFERS
            place = {"pid": process, "tid": thread}
            events.append(
                {
                    "ph": "X",
                    **place,
                    "cat": "kernel" if event.is_kernel else "transfer",
                    "name": title(event),
                    "ts": (begin + event.start) * scale,
                    "dur": (event.end - event.start) * scale,
                    "args": {
                        "index": event.index,
                        "cycles": event.end - event.start,
                        "stall": event.stall,
                        "read": event.read,
                        "written": event.written,
                    },
                }
            )
        for number, reader in first_readers([(event.is_kernel, event.touched) for event in one.events]):
            transfer, kernel = one.events[number], one.events[reader]
            flow += 1
            shared = {"cat": "brings", "name": "brings", "id": flow, "pid": process}
            events.append({"ph": "s", **shared, "tid": TRANSFERS, "ts": (begin + transfer.end - 1) * scale})
            events.append({"ph": "f", "bp": "e", **shared, "tid": KERNELS, "ts": (begin + kernel.start) * scale})
        begin += one.cycles
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _name(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": {"name": name}}
