"""
The report: one page, with all that it needs in it, that shows a profile to people.

The page is made of the three files in `npuc/tools/report`; what is here is the data that they show. Columns of numbers
are arrays, so that a network of thousands of commands stays small. Programs stand one behind the other on one axis.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from npuc.analysis.timeline import Event
from npuc.dialects.locations import first_name
from npuc.dialects.npu_cmd import ConvOp, DepthwiseOp, DmaOp, PoolOp
from npuc.tools.profiling.advice import Advice, advice_data
from npuc.tools.profiling.attribution import CAUSES, Row, charge, profile_of, rows, title
from npuc.tools.profiling.bounds import bounds, content, memories, memory_peak
from npuc.tools.profiling.comparison import compare
from npuc.tools.profiling.levels import LEVELS, Levels
from npuc.tools.profiling.profile import Profile
from npuc.tools.profiling.tables import row_data

FOLDER = Path(__file__).parents[1] / "report"
KINDS = ("convolution", "depthwise", "pooling", "elementwise", "transfer")
"""Kinds of work, which the colours of the page mean."""
EVENT_COLUMNS = ("start", "end", "row", "kind", "cause", "title", "bytes", "macs")
MOST_STRIPES = 32
"""Launches of an operator that are drawn."""
AREAS = ("arena", "cache", "constants", "external")


def as_html(
    profile: Profile,
    name: str,
    other: tuple[Profile, str] | None = None,
    advice: Advice | None = None,
    levels: Levels | None = None,
) -> str:
    """
    The page as text; with another file to compare with it shows either, and both operator by operator. `advice` is for
    the first file, and so are the `levels` of its compile.
    """
    style, script = (FOLDER / f"report.{kind}" for kind in ("css", "js"))
    parts = {
        "title": html.escape(Path(name).name),
        "style": style.read_text(encoding="utf-8"),
        # Within a script its end is special, and what looks like a comment or another script.
        "data": json.dumps(files_data(profile, name, other, advice, levels), separators=(",", ":")).replace(
            "<", "\\u003c"
        ),
        "script": script.read_text(encoding="utf-8"),
    }
    # Parts may hold what looks like the place of another.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], (FOLDER / "report.html").read_text(encoding="utf-8"))


def files_data(
    profile: Profile, name: str, other: tuple[Profile, str] | None, advice: Advice | None, levels: Levels | None
) -> dict[str, Any]:
    """What is shown of one file or two, and with two which of their rows belong together, by number."""
    files = [page_data(profile, name)]
    if advice is not None:
        files[0]["advice"] = advice_data(advice)
    if levels is not None:
        files[0]["levels"] = levels.of_operators()
        files[0]["levelNames"] = LEVELS
    if other is None:
        return {"files": files}
    files.append(page_data(*other))
    numbers = [
        {(row.program, row.events[0].index): number for number, row in enumerate(rows(one))}
        for one in (profile, other[0])
    ]
    lines = [
        {
            "name": line.name,
            "cycles": line.cycles,
            "rows": [
                [known[row.program, row.events[0].index] for row in table]
                for table, known in zip((line.first, line.second), numbers, strict=True)
            ],
        }
        for line in compare(profile, other[0])
    ]
    return {"files": files, "lines": lines}


def page_data(profile: Profile, name: str) -> dict[str, Any]:
    """All that the page shows. Times are cycles from the start of the first program, sizes bytes."""
    known, peak = bounds(profile), memory_peak(profile)
    table = rows(profile)
    number = {id(event): at for at, row in enumerate(table) for event in row.events}
    begin: dict[str, int] = {}
    at = 0
    for program, one in profile.timelines.items():
        begin[program] = at
        at += one.cycles
    return {
        "name": Path(name).name,
        "accelerator": profile.machine.name,
        "systemConfig": profile.setup.system_config,
        "memoryMode": profile.setup.memory_mode,
        "clock": profile.setup.core_clock,
        "macsPerCycle": profile.machine.total_macs,
        "cycles": profile.cycles,
        "macs": profile.macs,
        "sram": profile.sram,
        "arena": profile.arena,
        "fast": profile.fast,
        "least": profile.least,
        "scarce": profile.scarce,
        "memories": [_memory(profile, area) for area in AREAS],
        "ports": [memories(profile.setup, port) for port in range(2)],
        "traffic": {area: {"read": r, "written": w} for area, (r, w) in profile.traffic().items()},
        "bounds": {"resources": known.resources, "schedule": known.of_schedule, "limiting": known.limiting},
        "causes": CAUSES,
        "kinds": KINDS,
        "rows": [_row(row, profile, begin[row.program]) for row in table],
        "cascades": [_cascade(row, begin[row.program]) for row in rows(profile, "cascade")],
        "schedule": _schedule(profile, number),
        "programs": [{"name": program, "start": start} for program, start in begin.items()],
        "events": _events(profile, begin, number),
        "lives": _lives(profile, begin, number),
        "heights": _heights(profile, begin),
        "peak": {
            "cycle": begin.get(peak.program, 0) + peak.cycle,
            "bytes": peak.bytes,
            "held": [[one.name, one.start, one.size] for one in peak.held],
        },
        "host": [
            {
                "number": one.source.operator.number,
                "subgraph": one.source.operator.subgraph,
                "type": one.source.operator.type,
                "tensor": one.source.tensor,
                "reason": one.reason,
            }
            for one in profile.host
        ],
    }


def _memory(profile: Profile, area: str) -> dict[str, Any]:
    memory = {"arena": profile.setup.arena, "cache": profile.setup.cache, "constants": profile.setup.constants}.get(
        area, profile.setup.external
    )
    return {"area": area, "name": memory.name, "port": memory.port, "rate": memory.read_rate}


def _row(row: Row, profile: Profile, begin: int) -> dict[str, Any]:
    """One row of the table, with the kind of its kernels that takes most of the time, and when it runs."""
    work = Counter[int]()
    for event in [event for event in row.events if event.is_kernel] or row.events:
        work[kind(event)] += event.end - event.start
    main = row.sources[0] if row.sources else None
    return {
        **row_data(row, profile),
        "number": None if main is None else main.operator.number,
        "type": row.kind,
        "tensor": row.name if main is None else first_name(main.tensor),
        "kind": work.most_common(1)[0][0],
        "start": begin + min(event.start for event in row.events),
        "end": begin + max(event.end for event in row.events),
    }


def _cascade(row: Row, begin: int) -> list[Any]:
    """When the launches of a cascade run, or of an operator that is in none, and its name."""
    times = [event for event in row.events if event.is_kernel] or row.events
    return [begin + min(e.start for e in times), begin + max(e.end for e in times), row.name, len(row.sources)]


def _schedule(profile: Profile, number: dict[int, int]) -> list[dict[str, Any]]:
    """
    What runs together, in order: cascades, and operators that are in none. Of each operator in it, by its row, the OFM
    rows of its launches as far as they are shown, and the bytes of each buffer of SRAM that transfers fill for it.
    """
    groups: list[dict[str, Any]] = []
    for group in rows(profile, "cascade"):
        members: dict[int, dict[str, Any]] = {}
        for event in group.events:
            row = number[id(event)]
            one = members.setdefault(row, {"row": row, "launches": 0, "stripes": [], "buffers": {}})
            if isinstance(event.op, DmaOp):
                span = event.touched.writes[0]
                if span.space == profile.scarce:
                    buffers = one["buffers"]
                    buffers[span.start] = max(buffers.get(span.start, 0), span.end - span.start)
            else:
                one["launches"] += 1
                if len(one["stripes"]) < MOST_STRIPES:
                    one["stripes"].append(event.op.ofm_map.data.height)
        for one in members.values():
            one["buffers"] = list(one["buffers"].values())
        groups.append(
            {"name": group.name, "alive": group.alive, "cycles": group.cycles, "members": [*members.values()]}
        )
    return groups


def _events(profile: Profile, begin: dict[str, int], number: dict[int, int]) -> dict[str, list[Any]]:
    """Kernels and transfers in the order of issue, a list for each property."""
    columns: dict[str, list[Any]] = {key: [] for key in EVENT_COLUMNS}
    causes, titles = list(CAUSES), dict[str, int]()
    for program, one in profile.timelines.items():
        for event, spent in zip(one.events, charge(one, profile), strict=True):
            columns["start"].append(begin[program] + event.start)
            columns["end"].append(begin[program] + event.end)
            columns["row"].append(number[id(event)])
            columns["kind"].append(kind(event))
            most = max(spent, key=lambda cause: spent[cause], default="transfer")
            columns["cause"].append(causes.index(most))
            columns["title"].append(titles.setdefault(title(event), len(titles)))
            columns["bytes"].append(sum(event.read.values()) + (sum(event.written.values()) if event.is_kernel else 0))
            columns["macs"].append(0 if event.cost is None else event.cost.macs)
    columns["titles"] = list(titles)
    return columns


def _lives(profile: Profile, begin: dict[str, int], number: dict[int, int]) -> dict[str, list[Any]]:
    """What the bytes of SRAM hold, a list for each property; row and kind are -1 for what the host has put there."""
    columns: dict[str, list[Any]] = {key: [] for key in ("start", "end", "address", "size", "row", "kind", "name")}
    names: dict[str, int] = {}
    for program, one in profile.timelines.items():
        for life in one.lives(profile.scarce):
            columns["start"].append(begin[program] + life.start)
            columns["end"].append(begin[program] + life.end)
            columns["address"].append(life.span.start)
            columns["size"].append(life.span.end - life.span.start)
            columns["row"].append(-1 if life.writer is None else number[id(life.writer)])
            columns["kind"].append(-1 if life.writer is None else kind(life.writer))
            columns["name"].append(names.setdefault(content(life, program, profile), len(names)))
    columns["names"] = list(names)
    return columns


def _heights(profile: Profile, begin: dict[str, int]) -> list[tuple[int, int]]:
    """How many bytes of SRAM are alive from each cycle on."""
    heights: list[tuple[int, int]] = []
    for program, one in profile.timelines.items():
        sizes = [(life, life.span.end - life.span.start) for life in one.lives(profile.scarce)]
        changes = [step for life, size in sizes for step in ((life.start, size), (life.end, -size))]
        heights += [(begin[program] + time, height) for time, height in profile_of(changes)]
    return heights


def kind(event: Event) -> int:
    """The kind of work of a command, by its place in `KINDS`."""
    op = event.op
    for number, class_ in enumerate((ConvOp, DepthwiseOp, PoolOp)):
        if isinstance(op, class_):
            return number
    return KINDS.index("transfer" if isinstance(op, DmaOp) else "elementwise")
