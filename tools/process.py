"""
A tool as a process of the shell: its signals, its standard streams, and what it must not leave behind.

`npuc.tools` calls `start` before it imports anything that takes time, where the process is one of the tools.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import FrameType

TOOLS = ("npu-opt", "npu-compile", "npu-run", "npu-profile", "npu-sweep")
ENDING = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name))
"""Signals that ask a process to end; Windows has no SIGHUP."""
PIPE_CLOSED = 128 + 13
"""What the shell says of a process whose reader went away."""
CLEAR_LINE = "\r\033[K"
COLLECT_EVERY = 500_000
"""
Objects made, less those that went away, between two looks for what only cycles still hold. Python's 700 has it look
hundreds of times while modules are imported and a module of the IR grows, of which next to nothing goes away. A small
model makes fewer in all; so many take some 100 MB at most.
"""

_code: int | None = None
"""What the process is to exit with once the tool has ended."""
_unfinished: dict[str, int] = {}
"""Files that are being written, and the process that writes them."""
_children: dict[int, int] = {}
"""Processes that end with this one, and the process that started them."""


def is_tool() -> bool:
    """Whether this process was started as one of the tools, by its name or by `python -m`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return name == "-m" or name.removesuffix(".exe") in TOOLS


def start() -> None:
    """
    End without a word on a signal, with the exit code that the shell gives it; open the standard streams; and have
    Python do less that a short process does not need.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _end)
    gc.set_threshold(COLLECT_EVERY)
    if not atexit._ncallbacks():  # pyright: ignore[reportPrivateUsage]
        atexit.register(_leave)  # what is registered earlier, as by a measurement of coverage, would be left out
    open_standard_streams()


def ended(code: int) -> None:
    """The tool has done all it had to do and its output is written: what is left is to exit with this code."""
    global _code
    _code = code


def _leave() -> None:
    # The last of what is done at the exit, since it is registered first. Python would now look through all objects and
    # take them apart one by one, which takes a sixth of what a small model takes; the system has them back at once.
    if _code is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(_code)


def _end(number: int, frame: FrameType | None) -> None:
    # Not an exception: raised between any two instructions it can be lost in a callback, or leave something half done.
    for path, owner in list(_unfinished.items()):
        if owner == os.getpid():
            with suppress(OSError):
                os.unlink(path)
    for child, owner in list(_children.items()):
        if owner == os.getpid():
            with suppress(OSError):
                os.kill(child, signal.SIGTERM)
    if os.isatty(2):
        with suppress(OSError):
            os.write(2, CLEAR_LINE.encode())
    os._exit(128 + number)


@contextmanager
def signals_held() -> Generator[None]:
    """What is done in here is done whole: a signal ends the process behind it."""
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_signals() -> None:
    """For a process that was started while signals were held: they reach it again."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def begin(path: str) -> None:
    """The file will be removed when the process is told to end before `finish`."""
    _unfinished[path] = os.getpid()


def finish(path: str) -> None:
    """The file is whole, or gone."""
    _unfinished.pop(path, None)


def begin_child(pid: int) -> None:
    """The process will be told to end when this one is told to."""
    _children[pid] = os.getpid()


def end_child(pid: int) -> None:
    """The process has ended."""
    _children.pop(pid, None)


def open_standard_streams() -> None:
    """
    Gives a process the standard streams that its parent has closed, so that no file of ours takes their place.

    Standard output and input then fail at the first use, as they should; what is said on standard error is lost.
    """
    for descriptor, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may be in any script, and the terminal in one
