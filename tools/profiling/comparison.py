"""
Two compiled files side by side, operator by operator.

Rows that work for the same source operator are one line. Compilers fuse differently, so a line has all rows of either
file that share an operator with one another. What names no operator is a line by itself, at the end. The cycles of all
lines add up to those of the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from npuc.tools.profiling.attribution import CAUSES, Row, rows
from npuc.tools.profiling.profile import Profile
from npuc.tools.profiling.tables import columns, row_data, size


@dataclass(frozen=True)
class Line:
    """What belongs together of two files."""

    name: str
    first: list[Row]
    second: list[Row]

    @property
    def cycles(self) -> tuple[int, int]:
        """Of either file."""
        return sum(row.cycles for row in self.first), sum(row.cycles for row in self.second)

    @property
    def difference(self) -> int:
        """Cycles that the second file takes more."""
        first, second = self.cycles
        return second - first


def compare(first: Profile, second: Profile) -> list[Line]:
    """The lines of two files, the greatest difference first."""
    tables = rows(first), rows(second)
    leader: dict[tuple[int, int], tuple[int, int]] = {}

    def find(key: tuple[int, int]) -> tuple[int, int]:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for row in (*tables[0], *tables[1]):
        keys = _operators(row)
        for key in keys[1:]:
            leader[find(key)] = find(keys[0])
    lines: dict[object, Line] = {}
    for number, table in enumerate(tables):
        for row in table:
            keys = _operators(row)
            group = find(keys[0]) if keys else (number, row.name, row.program)
            line = lines.setdefault(group, Line(row.name, [], []))
            (line.first, line.second)[number].append(row)
    return sorted(lines.values(), key=lambda line: -abs(line.difference))


def _operators(row: Row) -> list[tuple[int, int]]:
    return [(source.operator.subgraph, source.operator.number) for source in row.sources]


def comparison_data(first: Profile, second: Profile) -> dict[str, Any]:
    """The lines as JSON data."""
    return {
        "cycles": [first.cycles, second.cycles],
        "sram_bytes": [first.sram, second.sram],
        "lines": [
            {
                "name": line.name,
                "cycles": line.cycles,
                "difference": line.difference,
                "rows": [
                    [row_data(row, profile) for row in table]
                    for table, profile in ((line.first, first), (line.second, second))
                ],
            }
            for line in compare(first, second)
        ],
    }


def comparison_text(first: Profile, second: Profile, names: tuple[str, str], most: int) -> str:
    """A table of the greatest differences, and the sums."""
    lines = compare(first, second)
    cells = [
        [
            line.name,
            *(f"{cycles:,}" for cycles in line.cycles),
            f"{line.difference:+,}",
            *(_bound(table) for table in (line.first, line.second)),
            *(str(sum(row.launches for row in table)) for table in (line.first, line.second)),
        ]
        for line in lines[:most]
    ]
    text = [f"first:  {names[0]}", f"second: {names[1]}"]
    text += columns(
        ["operator", "first", "second", "more", "first bound by", "second bound by", "launches", "launches"],
        cells,
        left={0, 4, 5},
    )
    if len(lines) > most:
        rest = sum(line.difference for line in lines[most:])
        text.append(f"and {len(lines) - most} more, {rest:+,} cycles")
    ratio = second.cycles / max(1, first.cycles)
    text.append(f"cycles  {first.cycles:,} and {second.cycles:,}, {ratio:.3f} times as many")
    text.append(f"SRAM    {size(first.sram)} and {size(second.sram)}")
    return "\n".join(text)


def _bound(table: list[Row]) -> str:
    return CAUSES[max(table, key=lambda row: row.cycles).bound] if table else "-"
