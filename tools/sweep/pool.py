"""
Runs a function on many items in processes that stay warm, or on a Dask cluster.

An item that takes its process down (LiteRT has such models) is one answer, `Died`, and not the end of the rest. Nothing
is left behind: processes end with the one that made them, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, TypeVar

from npuc.tools.sweep.answers import Died, answer_of

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def each(
    function: Callable[[Item], Answer], items: Sequence[Item], jobs: int | None = None
) -> Iterator[tuple[Item, Answer | Died]]:
    """Every item with what the function, which must be picklable, made of it; in the order of the items."""
    early: dict[int, Answer | Died] = {}
    answers = completed(function, items, jobs)
    for number, item in enumerate(items):
        while number not in early:
            at, answer = next(answers)
            early[at] = answer
        yield item, early.pop(number)


def completed(
    function: Callable[[Item], Answer],
    items: Sequence[Item],
    jobs: int | None = None,
    scheduler: str | None = None,
    *,
    import_main: bool = True,
) -> Iterator[tuple[int, Answer | Died]]:
    """
    The number of each item and what the function made of it, as they come.

    `jobs` processes of this machine (None: one a core), or the workers of the Dask scheduler at an address. Raises
    UserError where that cannot be reached. `import_main`: whether the processes import the program that was started,
    as they must where the function or an item is defined there.
    """
    if scheduler is not None:
        from npuc.tools.sweep.cluster import completed_on

        return completed_on(scheduler, function, items)
    return _completed_here(function, items, jobs or os.cpu_count() or 1, import_main)


def _completed_here(
    function: Callable[[Item], Answer], items: Sequence[Item], jobs: int, import_main: bool
) -> Iterator[tuple[int, Answer | Died]]:
    waiting = iter(range(len(items)))
    workers = {
        worker.answers: worker for worker in (_Worker(function, import_main) for _ in range(min(jobs, len(items))))
    }
    try:
        for worker in workers.values():
            worker.give(items, next(waiting, None))
        while busy := [answers for answers, worker in workers.items() if worker.item is not None]:
            for answers in wait(busy):
                worker = workers[answers]  # pyright: ignore[reportArgumentType]
                number, answer, alive = worker.take()
                following = next(waiting, None)
                if not alive:
                    worker.end()
                    del workers[worker.answers]
                if not alive and following is not None:
                    worker = _Worker(function, import_main)
                    workers[worker.answers] = worker
                if alive or following is not None:
                    worker.give(items, following)
                yield number, answer
    finally:
        for worker in workers.values():
            worker.end()


class _Worker:
    """A process that answers one item after another."""

    def __init__(self, function: Callable[[Any], Any], import_main: bool):
        # BLAS would start a thread a core in each process.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Not forked: threads and locks of this process would be there, but not running.
        context = multiprocessing.get_context("spawn")
        self.answers, theirs = context.Pipe()
        # Not a daemon, which may have no processes of its own: LiteRT runs in one.
        self._process: BaseProcess = context.Process(target=_serve, args=(function, theirs))
        with nullcontext() if import_main else _without_main():
            self._process.start()
        theirs.close()
        self.item: int | None = None
        """The number of the item that it works on."""

    def give(self, items: Sequence[Any], number: int | None) -> None:
        """Has it work on an item, or end where there is none left."""
        self.item = number
        if number is None:
            self.answers.close()
            return
        try:
            self.answers.send(items[number])
        except OSError:  # it has died, as `take` will say
            pass

    def take(self) -> tuple[int, Any, bool]:
        """The number of its item, the answer, and whether the process is still there."""
        assert self.item is not None
        try:
            return self.item, self.answers.recv(), True
        except (EOFError, OSError):
            self._process.join()
            return self.item, Died(_how_it_ended(self._process.exitcode)), False

    def end(self) -> None:
        """Ends it, whatever it works on."""
        if self.item is not None:
            self._process.kill()
        self._process.join()
        self.answers.close()


@contextmanager
def _without_main() -> Generator[None]:
    """Processes that are started in here do not import the program that was started, which would run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _how_it_ended(code: int | None) -> str:
    how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return f"its process ended: {how}"


def _serve(function: Callable[[Any], Any], questions: Connection) -> None:
    """The process: answers until there is nobody who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a group, and is the asker's to act upon
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            item = questions.recv()
        except EOFError:
            return
        answer = answer_of(function, item)
        try:
            questions.send(answer)
        except OSError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
