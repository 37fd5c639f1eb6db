"""
Runs a function on many items on a Dask cluster (extra `cluster`).

The scheduler gives items of a worker that dies to another. An item travels with all that it needs, so that nothing but
npuc has to be there. A few items a thread are under way at one time: the rest stays here.
"""

from __future__ import annotations

import importlib
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from npuc.tools.errors import UserError
from npuc.tools.sweep.answers import Died, answer_of, died_of

Item = TypeVar("Item")
Answer = TypeVar("Answer")

ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d+")
ANSWER_WITHIN = 10
"""Seconds that a scheduler may take to answer."""
UNDER_WAY = 2
"""Items for each thread of the cluster that are given out before they are wanted."""
_one_at_a_time = threading.Lock()


def completed_on(
    address: str, function: Callable[[Item], Answer], items: Sequence[Item]
) -> Iterator[tuple[int, Answer | Died]]:
    """
    The number of each item and what the function made of it, as they come; the function must be picklable.

    Raises UserError where Dask is missing, or no scheduler answers at the address.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise UserError("--scheduler: distributed is not installed: pip install 'npuc[cluster]'") from None
    if not ADDRESS.fullmatch(address):
        raise UserError(f"--scheduler {address}: not an address such as tcp://127.0.0.1:8786")
    try:
        client = distributed.Client(address, timeout=ANSWER_WITHIN, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"--scheduler {address}: no scheduler answers: {type(error).__name__}") from None
    return _completed(distributed, client, function, items)


def _completed(
    distributed: Any, client: Any, function: Callable[[Item], Answer], items: Sequence[Item]
) -> Iterator[tuple[int, Answer | Died]]:
    numbers: dict[Any, int] = {}
    waiting = iter(range(len(items)))
    stream = distributed.as_completed(loop=client.loop)

    def give() -> None:
        number = next(waiting, None)
        if number is not None:
            future = client.submit(_run, function, items[number], pure=False)
            numbers[future] = number
            stream.add(future)

    try:
        for _ in range(max(UNDER_WAY, UNDER_WAY * sum(client.nthreads().values()))):
            give()
        for future in stream:
            number = numbers.pop(future)
            # An error of Dask's own: that its workers died, one after the other, with this item.
            error = future.exception() if future.status == "error" else None
            answer = future.result() if error is None else died_of(error)
            future.release()
            give()
            yield number, answer
    finally:
        client.cancel(list(numbers))
        client.close()


def _run(function: Callable[[Any], Any], item: Any) -> Any:
    """On a worker: the answer, or `Died` with what was raised."""
    # A worker under a nanny is a daemon, which may have no processes of its own: LiteRT runs in one.
    process = multiprocessing.current_process()
    if process.daemon:
        process.daemon = False
    with _one_at_a_time:  # threads of a worker would only share one interpreter
        return answer_of(function, item)
