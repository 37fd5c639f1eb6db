"""What a tool does with its arguments, its notes on standard error and its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import NoReturn

from npuc.tools import process
from npuc.tools.errors import UserError, one_line


def refuse_arguments(message: str) -> NoReturn:
    """What a command line's parser does with arguments that it cannot take: one line, as for any other error."""
    raise UserError(f"{one_line(message)} (see --help)")


def command_line(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser for a tool's arguments."""
    parser = argparse.ArgumentParser(prog, description=description)
    adopt(parser)
    return parser


def adopt(parser: argparse.ArgumentParser) -> None:
    """Has a parser raise UserError for wrong arguments, and OSError where its help cannot be written."""
    parser.error = refuse_arguments
    parser._print_message = lambda message, file=None: print(message, end="", file=file, flush=True)  # pyright: ignore


def exit_code(prog: str, run: Callable[[], int | None]) -> int:
    """
    What a tool exits with: what `run` returns, 0 for None; 1 after one line on standard error for a UserError, or where
    standard output cannot be written. A reader that went away is no error of ours: no word, and the code of SIGPIPE.
    """
    process.open_standard_streams()
    try:
        try:
            code = run() or 0
        except SystemExit as done:  # of --help and the like
            code = done.code if isinstance(done.code, int) else 0
        sys.stdout.flush()
    except UserError as error:
        note(f"{prog}: error: {error}")
        code = 1
    except BrokenPipeError:
        code = process.PIPE_CLOSED
    except OSError as error:  # what is a file's is a UserError
        note(f"{prog}: error: standard output: {error.strerror}")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # do not complain again when Python flushes
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    process.ended(code)
    return code


def note(text: str, end: str = "\n") -> None:
    """Says something on standard error; where that cannot be written there is nobody to tell."""
    with suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


def show_step(index: int, count: int, name: str) -> None:
    """Shows on a terminal which step of how many begins."""
    note(f"{process.CLEAR_LINE}[{index + 1}/{count}] {name}", end="")


@contextmanager
def progress(text: str) -> Generator[None, None, None]:
    """Shows on a terminal what goes on meanwhile."""
    shown = sys.stderr.isatty()
    if shown:
        note(f"{process.CLEAR_LINE}{text}", end="")
    try:
        yield
    finally:
        if shown:
            note(process.CLEAR_LINE, end="")
