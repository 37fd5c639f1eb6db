"""
Which schedules of a network are worth having: those for which no other takes less SRAM and as few cycles, or fewer
cycles and as little SRAM. Their knee is where a byte more begins to buy less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from npuc.tools.sweep.plan import OURS
from npuc.tools.sweep.row import Row


@dataclass(frozen=True)
class Front:
    """What a sweep says of one model on one accelerator."""

    model: str
    sha256: str
    accelerator: str
    ours: list[Row]
    """Our schedules, the least SRAM first."""
    best: list[Row]
    """Those of them on the front, in the same order: each takes more SRAM and fewer cycles than the one before."""
    knee: Row | None
    """None with fewer than three on the front."""
    others: list[Row]
    """Vela's points."""
    failed: list[Row]

    def beside(self, other: Row) -> Row | None:
        """Our quickest schedule that takes no more SRAM than another compiler's; None where there is none."""
        within = [row for row in self.best if _sram(row) <= _sram(other)]
        return within[-1] if within else None


def fronts(rows: Sequence[Row]) -> list[Front]:
    """One for each model and accelerator, in the order of the rows."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.made_of.sha256, row.made_of.accelerator), []).append(row)
    made: list[Front] = []
    for (sha256, accelerator), group in groups.items():
        counted = sorted((row for row in group if row.counts), key=lambda row: (_sram(row), _cycles(row)))
        ours = [row for row in counted if row.made_of.compiler == OURS]
        best = front(ours)
        others = [row for row in counted if row.made_of.compiler != OURS]
        failed = [row for row in group if row.state != "done"]
        made.append(Front(group[0].made_of.model, sha256, accelerator, ours, best, knee(best), others, failed))
    return made


def front(rows: Sequence[Row]) -> list[Row]:
    """The Pareto front of rows that count, the least SRAM first; of equal ones the first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (_sram(row), _cycles(row))):
        if not best or _cycles(row) < _cycles(best[-1]):
            best.append(row)
    return best


def knee(best: Sequence[Row]) -> Row | None:
    """
    The row of a front that lies furthest below the line between its ends, both axes scaled to the front.

    None with fewer than three rows, or where none lies below.
    """
    if len(best) < 3:
        return None
    wide, high = _sram(best[-1]) - _sram(best[0]), _cycles(best[0]) - _cycles(best[-1])

    def below(row: Row) -> float:
        return 1 - (_sram(row) - _sram(best[0])) / wide - (_cycles(row) - _cycles(best[-1])) / high

    furthest = max(best, key=below)
    return furthest if below(furthest) > 0 else None


def _sram(row: Row) -> int:
    assert row.sram is not None
    return row.sram


def _cycles(row: Row) -> int:
    assert row.cycles is not None
    return row.cycles
