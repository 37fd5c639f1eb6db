"""The rows of a profile as text, CSV and JSON."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from typing import Any

from npuc.tools.profiling.attribution import CAUSES, By, Row, rows, title
from npuc.tools.profiling.bounds import bounds, memory_peak
from npuc.tools.profiling.profile import Profile


def row_data(row: Row, profile: Profile) -> dict[str, Any]:
    """One row as JSON data; cycles and bytes."""
    return {
        "name": row.name,
        "program": row.program,
        "operators": [{**source.operator._asdict(), "tensor": source.tensor} for source in row.sources],
        "cycles": row.cycles,
        "share": row.cycles / max(1, profile.cycles),
        "bound": row.bound,
        "causes": dict(row.causes),
        "macs": row.macs,
        "utilisation": row.macs / max(1, row.cycles * profile.machine.total_macs),
        "read": dict(row.read),
        "written": dict(row.written),
        "launches": row.launches,
        "transfers": row.transfers,
        "sram_holds": row.holds,
        "sram_alive": row.alive,
    }


def as_data(profile: Profile, by: By = "operator") -> dict[str, Any]:
    """The profile as JSON data: the rows of a table, and every command."""
    known = bounds(profile)
    peak = memory_peak(profile)
    return {
        "accelerator": profile.machine.name,
        "system_config": profile.setup.system_config,
        "memory_mode": profile.setup.memory_mode,
        "clock_hertz": profile.setup.core_clock,
        "cycles": profile.cycles,
        "milliseconds": profile.milliseconds,
        "macs": profile.macs,
        "utilisation": profile.utilisation,
        "arena_bytes": profile.arena,
        "fast_bytes": profile.fast,
        "sram_bytes": profile.sram,
        "traffic": {area: {"read": r, "written": w} for area, (r, w) in profile.traffic().items()},
        "bounds": {
            "cycles": known.resources,
            "of_schedule": known.of_schedule,
            "sram": {"live_ranges": peak.bytes, "best_cascades": profile.least},
        },
        "peak": {
            "program": peak.program,
            "cycle": peak.cycle,
            "bytes": peak.bytes,
            "holds": [{"name": one.name, "address": one.start, "bytes": one.size} for one in peak.held],
        },
        "by": by,
        "rows": [row_data(row, profile) for row in rows(profile, by)],
        "host": [
            {**one.source.operator._asdict(), "tensor": one.source.tensor, "reason": one.reason} for one in profile.host
        ],
        "programs": {
            name: {
                "cycles": one.cycles,
                "kernel_cycles": one.busy(True),
                "dma_cycles": one.busy(False),
                "events": [
                    {
                        "index": event.index,
                        "what": title(event),
                        "start": event.start,
                        "end": event.end,
                        "stall": event.stall,
                        "read": event.read,
                        "written": event.written,
                    }
                    for event in one.events
                ],
            }
            for name, one in profile.timelines.items()
        },
    }


def as_csv(profile: Profile, by: By = "operator") -> str:
    """The rows as comma-separated values, cycles and bytes, with a line of titles."""
    out = StringIO()
    table = rows(profile, by)
    areas = sorted({area for row in table for area in (*row.read, *row.written)})
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["name", "program", "cycles", "bound", *CAUSES, "macs", "launches", "transfers"]
        + [f"{area} {what}" for area in areas for what in ("read", "written")]
        + ["sram holds", "sram alive"]
    )
    for row in table:
        writer.writerow(
            [row.name, row.program, row.cycles, row.bound, *(row.causes[cause] for cause in CAUSES), row.macs]
            + [row.launches, row.transfers]
            + [figure for area in areas for figure in (row.read[area], row.written[area])]
            + [row.holds, row.alive]
        )
    return out.getvalue()


def as_text(profile: Profile, most: int, by: By = "operator") -> str:
    """A table of the rows that take longest, and the sums."""
    table = rows(profile, by)
    shown = sorted(table, key=lambda row: -row.cycles)[:most]
    rate = profile.machine.total_macs
    lines = [f"{profile.machine.name}, {profile.setup.system_config}, {profile.setup.memory_mode}"]
    titles = [by, "cycles", "share", "MACs used", "bound by", "read", "written", "launches", "SRAM"]
    cells = [
        [
            row.name,
            f"{row.cycles:,}",
            f"{row.cycles / max(1, profile.cycles):.1%}",
            f"{row.macs / max(1, row.cycles * rate):.0%}",
            CAUSES[row.bound],
            size(row.read.total()),
            size(row.written.total()),
            f"{row.launches}" + (f" + {row.transfers} dma" if row.transfers else ""),
            size(row.holds),
        ]
        for row in shown
    ]
    lines += columns(titles, cells, left={0, 4})
    if len(table) > len(shown):
        rest = profile.cycles - sum(row.cycles for row in shown)
        lines.append(f"and {len(table) - len(shown)} more, {rest:,} cycles")
    lines += sums(profile)
    return "\n".join(lines)


def sums(profile: Profile) -> list[str]:
    """Lines about the whole."""
    causes = Counter[str]()
    for row in rows(profile):
        causes.update(row.causes)
    known = bounds(profile)
    lines = [
        f"cycles   {profile.cycles:,}, {profile.milliseconds:.3f} ms at {profile.setup.core_clock / 1e6:g} MHz, "
        f"{profile.macs:,} MACs, {profile.utilisation:.1%} of what the MAC array can do",
        "  spent on " + ", ".join(f"{CAUSES[c]} {n / max(1, profile.cycles):.0%}" for c, n in causes.most_common(5)),
        f"  no schedule takes less than {known.cycles:,} ({known.limiting}): "
        f"this one is {profile.cycles / max(1, known.cycles):.2f} times that",
    ]
    lines += [f"  {name} is busy for {n:,}" for name, n in known.of_schedule.items() if n]
    for name, one in profile.timelines.items():
        lines.append(f"  @{name}: {one.cycles:,}, kernels {one.busy(True):,}, transfers {one.busy(False):,}")
    lines.append(f"arena    {profile.arena:,} bytes")
    if profile.fast is not None:
        lines.append(f"fast     {profile.fast:,} bytes")
    peak = memory_peak(profile)
    lines.append(
        f"  {peak.bytes:,} are alive at the peak: " + ", ".join(f"{one.name} {one.size:,}" for one in peak.held[:3])
    )
    if profile.least:
        ratio = profile.sram / profile.least
        lines.append(f"  the best cascades could do with {profile.least:,}: this schedule has {ratio:.2f} times that")
    lines += [f"  {area}: {r:,} bytes read, {w:,} written" for area, (r, w) in profile.traffic().items()]
    if profile.host:
        lines.append(f"on the CPU: {len(profile.host)} operators")
        lines += [f"  {one.source.operator.number} {one.source.operator.type} {one.reason}" for one in profile.host]
    return lines


def size(count: int) -> str:
    """Bytes for people: at most four digits and a unit."""
    if count < 10000:
        return f"{count} B"
    return f"{count / 1024:.0f} KiB" if count < 10000 * 1024 else f"{count / 1024 / 1024:.0f} MiB"


def columns(titles: Sequence[str], cells: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    """Lines of a table; columns are as wide as they need, those in `left` flush left."""
    wide = [max(len(line[at]) for line in (titles, *cells)) for at in range(len(titles))]
    return [
        "  ".join(text.ljust(wide[at]) if at in left else text.rjust(wide[at]) for at, text in enumerate(line)).rstrip()
        for line in (titles, *cells)
    ]
