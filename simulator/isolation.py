"""
An object in a process of its own, so that native code which takes its process down is one error line of ours.

The process is forked, which costs milliseconds: what is imported before need not be imported again. Calls are
answered one after the other; arguments and answers are pickled. On Linux it ends with the thread that made it, however
that ends and whatever native code is doing. Where the system cannot fork, as on Windows, all runs in this process.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from npuc.simulator.stream import StreamError


class HostError(StreamError):
    """Something that no runtime of the host can run, or its absence: one line."""


class SourceError(HostError):
    """The source model, which is the reference, cannot be run: one line."""


class Crash(HostError):
    """The process ended without an answer: one line that names the signal."""


FORKS = hasattr(os, "fork")
"""Whether the system can make a copy of a process."""
_PR_SET_PDEATHSIG = 1


def _end_with(parent: int) -> None:
    """Has the system kill this process when its parent ends: a kernel that runs forever sees no closed pipe."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended in between
        os._exit(1)


def _serve(make: Callable[[], Any], calls: Connection, other_end: Connection, parent: int) -> None:
    """The process: makes the object, then answers until the other end is closed, as it is when the parent dies."""
    other_end.close()
    _end_with(parent)
    # Ctrl-C reaches the whole group, and the parent's handlers are not ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # What a runtime logs, or says while it dies, would stand beside our one line.
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    served: Any = None
    while True:
        try:
            if served is None:
                served, answer = make(), None
            else:
                method, arguments = calls.recv()
                answer = getattr(served, method)(*arguments)
        except (EOFError, KeyboardInterrupt):
            return
        except BaseException as error:  # any error is the caller's to see
            answer = error
        try:
            calls.send(answer)
        except OSError:
            return
        if served is None:
            return


def _end(process: BaseProcess, calls: Connection) -> None:
    calls.close()
    process.kill()
    process.join()


def tried(action: Callable[[], str], what: str) -> str:
    """What `action` gives, or the text of its error, from a process forked for it; one line if that is taken down."""
    if not FORKS:
        try:
            return action()
        except Exception as error:
            return str(error) or type(error).__name__
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        _end_with(parent)
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            text = action()
        except BaseException as error:  # any error is the caller's to read
            text = str(error) or type(error).__name__
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if not code:
        return said
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"{what} takes its process down: {how}"


class Isolated:
    """
    What `make` gives, in a process of its own; `what` it does there begins the line of a crash.

    Raises what `make` and the methods raise, and Crash.
    """

    def __init__(self, make: Callable[[], Any], what: str):
        self._what = what
        self._here = None if FORKS else make()
        if not FORKS:
            return
        context = multiprocessing.get_context("fork")
        self._calls, theirs = context.Pipe()
        arguments = (make, theirs, self._calls, os.getpid())
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._finalizer = weakref.finalize(self, _end, self._process, self._calls)
        self._answer()

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method of the object; arguments by position."""
        if not FORKS:
            return getattr(self._here, method)(*arguments)
        try:
            self._calls.send((method, arguments))
        except OSError:  # it has died, and the answer says how
            pass
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._calls.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise Crash(f"{self._what} took its process down: {how}") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer
