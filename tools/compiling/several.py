"""
Several models of one command line, in one process or in several that each take the next model when they are free.

A process compiles many models, so that only the first one costs its start-up; where the system can, it is a copy of
this one and costs none. What fails with one model does not touch the others: an error is what came of that model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from npuc.tools import process
from npuc.tools.compiling.model import Result, compile_model
from npuc.tools.errors import UserError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


def compile_models(args: argparse.Namespace) -> Iterator[tuple[str, Result | str]]:
    """Each model of the command line with its result, or with the line that says why there is none, in their order."""
    if min(args.jobs, len(args.models)) == 1:
        for model in args.models:
            yield model, _outcome(model, args)
        return
    outcomes: dict[int, Result | str] = {}
    told = 0
    for number, outcome in _in_processes(args):
        outcomes[number] = outcome
        while told in outcomes:
            yield args.models[told], outcomes.pop(told)
            told += 1


def _outcome(model: str, args: argparse.Namespace) -> Result | str:
    try:
        return compile_model(model, args)
    except UserError as error:
        text = str(error)
        return text if model in text else f"{model}: {text}"
    except Exception as error:  # a fault of the compiler, which is no reason to lose the other models
        return f"{model}: internal error: {type(error).__name__}: {' '.join(str(error).split())}"


def _work(connection: Connection, others: list[Connection], args: argparse.Namespace) -> None:
    """A process: compiles what it is told to until there is nobody to tell it."""
    process.hear_signals()
    for other in others:  # a copy of the parent's ends would keep a process waiting for ever
        other.close()
    while True:
        try:
            model = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(model, args))


def _in_processes(args: argparse.Namespace) -> Iterator[tuple[int, Result | str]]:
    """The number of each model with its outcome, as they come."""
    import multiprocessing
    from multiprocessing.connection import wait

    # A copy of this process has all modules; Windows has none of that kind.
    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
    waiting = list(range(len(args.models)))
    workers: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, int] = {}

    def start() -> None:
        ours, theirs = context.Pipe()
        copied = [ours, *workers] if forks else []
        worker = context.Process(target=_work, args=(theirs, copied, args), daemon=True)
        with process.signals_held():
            worker.start()
            process.begin_child(worker.pid or 0)
        theirs.close()
        workers[ours] = worker
        give(ours)

    def give(connection: Connection) -> None:
        """The next model, or the end."""
        if waiting:
            busy[connection] = waiting.pop(0)
            with suppress(OSError):  # it has ended, as reading from it will say
                connection.send(args.models[busy[connection]])
        else:
            stop(connection)

    def stop(connection: Connection) -> int | None:
        worker = workers.pop(connection)
        connection.close()
        worker.join()
        process.end_child(worker.pid or 0)
        return worker.exitcode

    for _ in range(min(args.jobs, len(waiting))):
        start()
    while busy:
        for connection in cast("list[Connection]", wait(list(busy))):
            number = busy.pop(connection)
            try:
                outcome = connection.recv()
            except (EOFError, OSError):
                code = stop(connection)
                yield number, f"{args.models[number]}: its process ended with exit code {code}"
                if waiting:
                    start()
                continue
            give(connection)
            yield number, outcome
