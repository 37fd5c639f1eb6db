"""
The page of a sweep: cycles against SRAM of each network, with all that it needs in it.

It has the style of the report (npuc/tools/report), and the files `front.*` beside this one. What is here is the data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npuc.tools.profiling.page import FOLDER as REPORT
from npuc.tools.sweep.pareto import Front, fronts
from npuc.tools.sweep.plan import COMPILERS
from npuc.tools.sweep.row import Row

FOLDER = Path(__file__).parent


def as_html(rows: Sequence[Row]) -> str:
    """The page as text."""
    styles = (REPORT / "report.css", FOLDER / "front.css")
    parts = {
        "title": "Sweep",
        "style": "\n".join(path.read_text(encoding="utf-8") for path in styles),
        # Within a script its end is special, and what looks like a comment or another script.
        "data": json.dumps(page_data(rows), separators=(",", ":")).replace("<", "\\u003c"),
        "script": (FOLDER / "front.js").read_text(encoding="utf-8"),
    }
    # Parts may hold what looks like the place of another.
    page = (FOLDER / "front.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], page)


def page_data(rows: Sequence[Row]) -> dict[str, Any]:
    """All that the page shows, and by which compiler's number a point is told. Sizes are bytes."""
    return {"compilers": COMPILERS, "fronts": [_front(one) for one in fronts(rows)]}


def _front(one: Front) -> dict[str, Any]:
    best = {row.made_of.key for row in one.best}
    return {
        "model": one.model,
        "sha256": one.sha256,
        "accelerator": one.accelerator,
        "points": [_point(row, one, row.made_of.key in best) for row in (*one.ours, *one.others)],
        "failed": [{"setting": row.made_of.setting, "error": row.error} for row in one.failed],
    }


def _point(row: Row, among: Front, best: bool) -> dict[str, Any]:
    ours = among.beside(row) if row in among.others else None
    return {
        "setting": row.made_of.setting,
        "by": COMPILERS.index(row.made_of.compiler),
        "version": row.made_of.version,
        "sram": row.sram,
        "cycles": row.cycles,
        "low": row.cycles_low,
        "high": row.cycles_high,
        "milliseconds": row.milliseconds,
        "least": row.least_cycles,
        "leastBy": row.least_by,
        "gap": row.gap,
        "cpu": row.cpu_operators,
        "proven": row.proven,
        "front": best,
        "knee": row is among.knee,
        "beside": ours.cycles / row.cycles if ours is not None and ours.cycles and row.cycles else None,
    }
