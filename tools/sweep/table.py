"""The rows of a sweep as text: what people read in a terminal, and CSV and JSON for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO

from npuc.tools.sweep.pareto import Front, fronts
from npuc.tools.sweep.row import Row

MOST_FAILURES = 5
"""That are printed of each model and accelerator."""


def as_text(rows: Sequence[Row]) -> str:
    """The Pareto front of each model and accelerator, its knee, vela's points beside it, and what failed."""
    return "\n\n".join(_front_text(one) for one in fronts(rows))


def _front_text(one: Front) -> str:
    counts = [f"{len(one.ours)} schedules" if len(one.ours) != 1 else "1 schedule", f"{len(one.best)} on the front"]
    proven = sum(row.proven is True for row in one.ours)
    counts += [f"{proven} proven"] * (proven > 0) + [f"{len(one.failed)} failed"] * bool(one.failed)
    lines = [f"{one.model}, {one.accelerator}: {', '.join(counts)}"]
    if one.best or one.others:
        lines.append(f"{'SRAM':>12} {'cycles':>14} {'x bound':>8}  schedule")
    for row in one.best:
        lines.append(f"{_figures(row)}  {row.made_of.setting}{'  <- knee' if row is one.knee else ''}")
    for row in one.others:
        lines.append(f"{_figures(row)}  {row.made_of.setting}: {_beside(one, row)}")
    # Not those that are on the CPU as a whole, which is no fault.
    lines += [f"  failed: {row.made_of.setting}: {row.error}" for row in one.failed[:MOST_FAILURES]]
    if len(one.failed) > MOST_FAILURES:
        lines.append(f"  and {len(one.failed) - MOST_FAILURES} more failed")
    if not (one.best or one.others or one.failed):
        lines.append("  nothing is on the NPU")
    return "\n".join(lines)


def _figures(row: Row) -> str:
    gap = "" if row.gap is None else f"{row.gap:.2f}"
    return f"{row.sram:12,} {row.cycles:14,} {gap:>8}"


def _beside(one: Front, row: Row) -> str:
    ours = one.beside(row)
    if ours is None or not ours.cycles or not row.cycles:
        return "none of ours takes so little SRAM"
    return f"ours takes {ours.cycles / row.cycles:.3f} of its cycles in no more SRAM"


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each row, with a heading."""
    out = StringIO()
    lines = [row.data() for row in rows]
    writer = csv.DictWriter(out, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """The rows, and for each model and accelerator the keys of those on the front, and of the knee."""
    shown = [
        {
            "model": one.model,
            "sha256": one.sha256,
            "accelerator": one.accelerator,
            "front": [row.made_of.key for row in one.best],
            "knee": None if one.knee is None else one.knee.made_of.key,
        }
        for one in fronts(rows)
    ]
    return json.dumps({"rows": [row.data() for row in rows], "fronts": shown}, indent=1) + "\n"
