"""
A sweep from its plan to its rows: what is in the database already is not run again, the rest runs on many processes.

`sweep` is what programs call; the command `npu-sweep` is a thin caller of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from npuc.tools.sweep.answers import Died
from npuc.tools.sweep.measure import Job, measure
from npuc.tools.sweep.plan import Combination, Model, Strategy, combinations, read_models
from npuc.tools.sweep.pool import completed
from npuc.tools.sweep.row import Row
from npuc.tools.sweep.store import MEMORY, Store
from npuc.tools.sweep.vela import vela_version


@dataclass(frozen=True)
class Progress:
    """How far a sweep is."""

    done: int
    """Rows, those of earlier runs included."""
    total: int
    seconds_left: float | None
    """An estimate; None before anything is known."""
    row: Row | None
    """The one that has just come; None at the beginning."""


def sweep(
    models: Sequence[str | Path | Model],
    *,
    accelerators: Sequence[str] = ("ethos-u55-256",),
    memory_modes: Sequence[str | None] = (None,),
    strategies: Sequence[Strategy] = ("Performance",),
    limits: Sequence[int | None] = (None,),
    options: Mapping[str, Sequence[str]] | None = None,
    system_config: str | None = None,
    config: Sequence[str] = (),
    prove: bool = False,
    vela: str | None = None,
    cache: str | None = None,
    database: str | Path = MEMORY,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Row]:
    """
    Compile and profile every combination; gives a row for each, in their order.

    `models` are paths of TFLite files, of folders of such, or `Model`s. `memory_modes` and `limits` (bytes of the
    arena, or of the fast memory beside a slow one) of None are each accelerator's usual ones. `options` has values to
    try for options of passes, by `pass.option`. `prove` runs each compiled file on the simulator beside LiteRT. `vela`,
    a command, adds what its two cores make by both strategies; `cache` is a folder in which these files are kept.

    What `database`, a SQLite file, has of earlier runs is not made again, and what is made is kept there at once, so
    that a sweep can be ended at any time. It runs on `jobs` processes (None: one a core), or on the workers of the Dask
    scheduler at an address, which must have the same npuc.

    A combination that fails is a row with its `error`. Raises UserError, one line, for what is wrong with the sweep
    itself: a file, an accelerator, an option, a scheduler that does not answer.
    """
    known: list[Model] = []
    for one in models:
        known += [one] if isinstance(one, Model) else read_models([one])
    planned = combinations(
        known,
        accelerators,
        memory_modes,
        strategies,
        limits,
        options,
        system_config=system_config,
        config=config,
        vela_version=None if vela is None else vela_version(vela),
    )
    data = {model.sha256: model.data for model in known}
    return rows_of(
        planned,
        data,
        prove=prove,
        vela=vela,
        cache=cache,
        database=database,
        jobs=jobs,
        scheduler=scheduler,
        progress=progress,
    )


def rows_of(
    planned: Sequence[Combination],
    data: Mapping[str, bytes],
    *,
    prove: bool = False,
    vela: str | None = None,
    cache: str | None = None,
    database: str | Path = MEMORY,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Row]:
    """The rows of combinations, in their order, as `sweep` makes them; `data` are the models by their sha256."""
    with Store(database) as store:
        rows = {key: row for key, row in store.rows(planned).items() if _is_finished(row, prove)}
        rest = [one for one in planned if one.key not in rows]
        estimate = _Estimate(list(rows.values()))
        if progress is not None:
            progress(Progress(len(rows), len(planned), estimate.left(rest), None))
        items = [Job(one, data[one.sha256], prove, vela, cache) for one in rest]
        waiting = dict(enumerate(rest))
        for number, answer in completed(measure, items, jobs, scheduler, import_main=False) if items else ():
            made_of = waiting.pop(number)
            row = Row(made_of, "died", str(answer)) if isinstance(answer, Died) else answer
            store.put(row)
            rows[made_of.key] = row
            if progress is not None:
                estimate.add(row)
                progress(Progress(len(rows), len(planned), estimate.left(list(waiting.values())), row))
    return [rows[one.key] for one in planned]


def _is_finished(row: Row, prove: bool) -> bool:
    """Whether a row of an earlier run has all that is asked for."""
    if row.state == "died":
        return False
    return not prove or not row.counts or row.proven is not None or row.error is not None


class _Estimate:
    """How long the rest will take: what rows alike took, at the pace of this run."""

    def __init__(self, rows: Sequence[Row]):
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        self._begin = time.perf_counter()
        self._worked = 0.0
        for row in rows:
            self._note(row)

    def add(self, row: Row) -> None:
        """One that this run has made."""
        self._note(row)
        self._worked += row.seconds

    def _note(self, row: Row) -> None:
        for alike in _alike(row.made_of):
            self._seconds.setdefault(alike, []).append(row.seconds)

    def left(self, rest: Sequence[Combination]) -> float | None:
        """Seconds; None before this run has made anything."""
        if not rest:
            return 0.0
        if not self._worked:
            return None
        total = 0.0
        for one in rest:
            seconds = next(self._seconds[alike] for alike in _alike(one) if alike in self._seconds)
            total += sum(seconds) / len(seconds)
        # Processes side by side do so many seconds of work in one.
        return total * (time.perf_counter() - self._begin) / self._worked


def _alike(one: Combination) -> list[tuple[str, ...]]:
    """What may take as long, the most alike first."""
    return [(one.sha256, one.accelerator, one.compiler), (one.sha256, one.compiler), (one.compiler,), ()]
