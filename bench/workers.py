"""
Runs a function on many items, each in a process of its own, so many at a time.

A model that takes its process down (LiteRT has such) is one line of a table, not the end of it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class Died(Exception):
    """A process that ended without an answer; the text says how."""


def _answer(function: Callable[[Item], Found], item: Item, answer: Connection) -> None:
    try:
        answer.send(function(item))
    except Exception as error:  # one broken item must not end the table
        answer.send(Died(f"{type(error).__name__}: {error}"))
    answer.close()


def _in_process(function: Callable[[Item], Found], item: Item) -> Found | Died:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, item, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return Died(f"its process ended with exit code {_exit_code(process)}")
    finally:
        process.join()


def _exit_code(process: multiprocessing.process.BaseProcess) -> int | None:
    process.join()
    return process.exitcode


def each(function: Callable[[Item], Found], items: Sequence[Item], jobs: int) -> Iterator[tuple[Item, Found | Died]]:
    """Every item with what the function, which must be picklable, made of it; in the order of the items."""
    # BLAS would start a thread a core in each process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ThreadPoolExecutor(jobs) as threads:
        yield from zip(items, threads.map(partial(_in_process, function), items), strict=True)
