"""
The rows of sweeps in a SQLite file, by the key of their combination.

One process writes it, a row at a time: whenever that process ends, all rows that it has told of are there, and whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

from npuc.tools.errors import UserError
from npuc.tools.sweep.plan import Combination
from npuc.tools.sweep.row import Row

APPLICATION = 0x6E707573
"""What marks a SQLite file as one of ours: "npus"."""
FORMAT = 1
"""Of the table below."""
MEMORY = ":memory:"
"""The name of a database that goes with its process."""
_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, model TEXT, sha256 TEXT, accelerator TEXT, system_config TEXT, memory_mode TEXT,
    strategy TEXT, "limit" INTEGER, options TEXT, compiler TEXT, version TEXT, config TEXT, config_sha256 TEXT,
    state TEXT, error TEXT, cycles INTEGER, cycles_low INTEGER, cycles_high INTEGER, milliseconds REAL, sram INTEGER,
    arena INTEGER, file INTEGER, macs INTEGER, utilisation REAL, least_cycles INTEGER, least_by TEXT,
    cpu_operators INTEGER, proven INTEGER, seconds REAL
)
"""


class Store:
    """A database of rows, open until `close`; a context manager. Raises UserError, one line that names the file."""

    def __init__(self, path: str | Path = MEMORY):
        self.path = str(path)
        new = self.path == MEMORY or not Path(path).exists() or not Path(path).stat().st_size
        try:
            self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            if new:
                self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
                self._connection.execute(f"PRAGMA user_version = {FORMAT}")
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            (written_as,) = self._connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION:
                raise UserError(f"{self.path}: a database, but not one of npu-sweep")
            if written_as != FORMAT:
                raise UserError(f"{self.path}: written by another npu-sweep: format {written_as}, not {FORMAT}")
            self._connection.execute(_TABLE)
        except sqlite3.Error as error:
            raise UserError(f"{self.path}: {error}") from None

    def put(self, row: Row) -> None:
        """Keep a row, in the place of an earlier one of the same combination."""
        known = row.data()
        marks = ", ".join("?" * len(known))
        names = ", ".join(f'"{name}"' for name in known)
        try:
            self._connection.execute(f"INSERT OR REPLACE INTO results ({names}) VALUES ({marks})", list(known.values()))
        except sqlite3.Error as error:
            raise UserError(f"{self.path}: {error}") from None

    def rows(self, planned: Iterable[Combination]) -> dict[str, Row]:
        """The rows of combinations that are there, by key."""
        known: dict[str, Row] = {}
        try:
            for made_of in planned:
                one = self._connection.execute("SELECT * FROM results WHERE key = ?", (made_of.key,)).fetchone()
                if one is not None:
                    known[made_of.key] = _row(dict(one), made_of)
        except sqlite3.Error as error:
            raise UserError(f"{self.path}: {error}") from None
        return known

    def close(self) -> None:
        """All rows are in the file already."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _row(known: dict[str, Any], made_of: Combination) -> Row:
    figures = {one.name: known[one.name] for one in fields(Row) if one.name != "made_of"}
    if figures["proven"] is not None:
        figures["proven"] = bool(figures["proven"])
    return Row(made_of, **figures)
